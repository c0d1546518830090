//! A zip, entry by entry as its central directory has them. A zip says everything twice, and readers differ on which of both
//! they believe: here both must agree. No two entries share a byte, each is as long as it says and has the checksum that
//! it says, and nothing follows the end. Deliberately no encryption, no second disk, and no name that comes twice.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    rc::Rc,
};

use rawzip::{
    CompressionMethod, CreatorSystem, EntryFlags, FileReader, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ZipArchive, ZipEntry,
    ZipFileHeaderRecord,
};

use super::{
    Error, Fault, fault,
    meter::{Gauge, Metered},
    tree::{Again, Tree, inside},
};

const KIND: u32 = 0o170_000;
const LINK: u32 = 0o120_000;
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
/// Of a file that was packed where there are no rights.
const PLAIN: u32 = 0o644;
/// Of a symbolic link's target; longer ones are told to be too long.
const TARGET_BYTES_MAX: u64 = 4096;

type Archive = ZipArchive<FileReader>;
type Item<'a> = ZipEntry<'a, FileReader>;

/// All entries of a zip of so many bytes.
pub(super) fn unpack(
    file: File,
    packed: u64,
    tree: &mut Tree<'_>,
    gauge: &Rc<Gauge>,
    entries_max: u64,
) -> Result<(), Error> {
    let mut record = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let archive = ZipArchive::from_file(file, &mut record).map_err(|error| unreadable(&error))?;
    if archive.end_offset() != packed {
        return Err(Error::Archive("has something after its end".to_owned()));
    }
    if archive.entries_hint() > entries_max {
        return Err(Error::Archive(format!("has more than {entries_max} entries")));
    }
    // Before anything is written: a zip whose entries share bytes unpacks to far more than its ratio tells.
    let (mut spans, mut header) = (Vec::new(), vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE]);
    each(&archive, &mut record, gauge, |entry| {
        spans.push(agreed(&archive, entry, &mut header)?);
        Ok(())
    })?;
    if spans.len() as u64 != archive.entries_hint() {
        let (says, has) = (archive.entries_hint(), spans.len());
        return Err(Error::Archive(format!("says it has {says} entries and has {has}")));
    }
    let shared = shared(spans, archive.directory_offset());
    each(&archive, &mut record, gauge, |entry| {
        if shared == Some(entry.local_header_offset()) {
            return fault("shares bytes with another entry");
        }
        take(tree, &archive, entry, gauge)
    })
}

fn unreadable(error: &rawzip::Error) -> Error {
    Error::Archive(format!("is no zip that can be read: {error}"))
}

fn each(
    archive: &Archive,
    record: &mut [u8],
    gauge: &Gauge,
    mut work: impl FnMut(&ZipFileHeaderRecord<'_>) -> Result<(), Fault>,
) -> Result<(), Error> {
    let mut entries = archive.entries(record);
    while let Some(entry) = entries.next_entry().map_err(|error| unreadable(&error))? {
        gauge.in_time().map_err(|error| Error::unreadable(&error))?;
        work(&entry).map_err(|fault| Error::of(entry.file_path().as_ref(), fault))?;
    }
    Ok(())
}

fn item<'a>(archive: &'a Archive, entry: &ZipFileHeaderRecord<'_>) -> Result<Item<'a>, Fault> {
    let found = archive.get_entry(entry.wayfinder());
    found.map_err(|error| Fault::Why(format!("is not where the archive says: {error}")))
}

/// From where to where in the file it lies. A fault when its two headers say different things.
fn agreed(archive: &Archive, entry: &ZipFileHeaderRecord<'_>, header: &mut [u8]) -> Result<(u64, u64), Fault> {
    let flags = entry.flags();
    let item = item(archive, entry)?;
    let local = item.local_header(header);
    let local = local.map_err(|error| Fault::Why(format!("has a header that cannot be read: {error}")))?;
    if is_encrypted(flags) || is_encrypted(local.flags()) {
        return fault("is encrypted");
    }
    let differs = if local.file_path().as_ref() != entry.file_path().as_ref() {
        Some("name")
    } else if local.compression_method() != entry.compression_method() {
        Some("compression")
    } else if !flags.has_data_descriptor()
        && (
            local.crc32(),
            local.compressed_size_hint(),
            local.uncompressed_size_hint(),
        ) != (
            entry.crc32(),
            entry.compressed_size_hint(),
            entry.uncompressed_size_hint(),
        )
    {
        Some("size or checksum")
    } else {
        None
    };
    if let Some(what) = differs {
        return fault(format!("has one {what} in its own header and another in the directory"));
    }
    let (_, end) = item.compressed_data_range();
    Ok((entry.local_header_offset(), end))
}

const fn is_encrypted(flags: EntryFlags) -> bool {
    flags.is_encrypted() || flags.has_strong_encryption() || flags.is_masked()
}

/// Where an entry begins that lies in another one, or in the directory.
fn shared(mut spans: Vec<(u64, u64)>, directory: u64) -> Option<u64> {
    spans.sort_unstable();
    let pairs = spans
        .windows(2)
        .find(|pair| pair[0].1 > pair[1].0 || pair[0].0 == pair[1].0);
    let beyond = spans.last().filter(|(_, end)| *end > directory);
    pairs.map(|pair| pair[1].0).or(beyond.map(|(start, _)| *start))
}

fn take(
    tree: &mut Tree<'_>,
    archive: &Archive,
    entry: &ZipFileHeaderRecord<'_>,
    gauge: &Rc<Gauge>,
) -> Result<(), Fault> {
    let raw = entry.file_path();
    let name: &[u8] = raw.as_ref();
    if name.contains(&b'\\') {
        return fault("has a `\\` in its path; pack the archive with `/`");
    }
    if std::str::from_utf8(name).is_err() {
        return fault("has a name that is not UTF-8");
    }
    let path = inside(Path::new(OsStr::from_bytes(name)))?;
    if path.as_os_str().is_empty() {
        return fault("has no name");
    }
    let mode = mode(entry);
    match (mode & KIND, name.ends_with(b"/")) {
        (FOLDER, _) | (0, true) if entry.uncompressed_size_hint() == 0 => tree.folder(&path),
        (FOLDER, _) | (0, true) => fault("is a folder with content"),
        (FILE | 0, false) => {
            let size = entry.uncompressed_size_hint();
            tree.file(&path, mode, Again::Refused, &mut content(archive, entry, gauge)?, size)
        }
        (LINK, false) => {
            let mut target = Vec::new();
            let content = content(archive, entry, gauge)?;
            content.take(TARGET_BYTES_MAX).read_to_end(&mut target)?;
            tree.symlink(path, Path::new(OsStr::from_bytes(&target)), Again::Refused)
        }
        (FILE | LINK, true) => fault("has the name of a folder and is none"),
        _ => fault("is a device, a pipe or of a kind that no release has"),
    }
}

/// Of a zip made elsewhere than on Unix only that a name ends with `/` says something.
fn mode(entry: &ZipFileHeaderRecord<'_>) -> u32 {
    match entry.version_made_by().creator_system() {
        CreatorSystem::UNIX | CreatorSystem::MACOS => match entry.external_attributes() >> 16 {
            0 => PLAIN,
            mode => mode,
        },
        _ => PLAIN,
    }
}

fn content<'a>(
    archive: &'a Archive,
    entry: &ZipFileHeaderRecord<'_>,
    gauge: &Rc<Gauge>,
) -> Result<impl Read + use<'a>, Fault> {
    let item = item(archive, entry)?;
    let packed = io::BufReader::new(item.reader());
    let unpacked: Box<dyn Read + 'a> = match entry.compression_method() {
        CompressionMethod::STORE => Box::new(packed),
        CompressionMethod::DEFLATE => Box::new(flate2::bufread::DeflateDecoder::new(packed)),
        CompressionMethod::ZSTD => Box::new(zstd::Decoder::with_buffer(packed)?),
        other => return fault(format!("is packed with {other}; deflate, zstd and none are taken")),
    };
    Ok(Metered::new(item.verifying_reader(unpacked), gauge))
}
