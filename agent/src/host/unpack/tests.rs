//! What is taken of an archive, and where the bounds are. Archives of attackers are in `tests/agent/archives`.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;

/// One entry, with nothing checked: the tar crate's own helpers refuse to write what attackers write.
fn entry(kind: EntryType, name: &str, link: &str, mode: u32, data: &[u8]) -> (Header, Vec<u8>) {
    let mut header = Header::new_gnu();
    let raw = header.as_mut_bytes();
    raw[..name.len()].copy_from_slice(name.as_bytes());
    raw[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(data.len() as u64);
    header.set_cksum();
    (header, data.to_vec())
}

fn file(name: &str, data: &str) -> (Header, Vec<u8>) {
    entry(EntryType::Regular, name, "", 0o644, data.as_bytes())
}

fn link(name: &str, target: &str) -> (Header, Vec<u8>) {
    entry(EntryType::Symlink, name, target, 0o777, b"")
}

fn tar(entries: &[(Header, Vec<u8>)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (header, data) in entries {
        builder.append(header, data.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("target")).unwrap();
        Self { folder }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    fn unpack(&self, bytes: &[u8], limits: Limits) -> Result<(), Error> {
        let archive = self.folder.path().join("archive");
        fs::write(&archive, bytes).unwrap();
        unpack(
            &archive,
            &self.target(),
            limits,
            Instant::now() + Duration::from_secs(30),
        )
    }
}

#[test]
fn tar_gzip_and_zstd_are_known_by_their_bytes() {
    let plain = tar(&[file("bin/web", "run"), link("web", "bin/web")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for bytes in [plain, gzip.finish().unwrap(), zstd] {
        let place = Place::new();
        place.unpack(&bytes, Limits::default()).unwrap();
        assert_eq!(fs::read_to_string(place.target().join("web")).unwrap(), "run");
    }
    let place = Place::new();
    let error = place.unpack(b"BZh9 a bzip2", Limits::default()).unwrap_err();
    assert!(error.to_string().contains("neither tar"), "{error}");
}

#[test]
fn what_stays_inside_is_unpacked_and_later_entries_replace_earlier_ones() {
    let place = Place::new();
    let hard = entry(EntryType::Link, "again", "a/f", 0o644, b"");
    let entries = [
        entry(EntryType::Directory, "./", "", 0o700, b""),
        file("a/f", "old"),
        link("a/up", "../b/g"),
        file("b/g", "there"),
        file("a/f", "new"),
        hard,
        link("dangling", "made/later"),
    ];
    place.unpack(&tar(&entries), Limits::default()).unwrap();
    let read = |name: &str| fs::read_to_string(place.target().join(name)).unwrap();
    assert_eq!(
        (read("a/f"), read("a/up"), read("again")),
        ("new".into(), "there".into(), "new".into())
    );
    assert!(place.target().join("dangling").is_symlink());
}

#[test]
fn bits_that_give_rights_are_taken_away() {
    let place = Place::new();
    let entries = [
        entry(EntryType::Regular, "su", "", 0o6777, b"x"),
        entry(EntryType::Regular, "w", "", 0o000, b"x"),
    ];
    place.unpack(&tar(&entries), Limits::default()).unwrap();
    let mode = |name: &str| fs::metadata(place.target().join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("su"), mode("w")), (0o755, 0o600));
}

#[test]
fn a_bomb_ends_at_its_bound() {
    let zeros = vec![0; 8 * 1024 * 1024];
    let bomb = tar(&vec![entry(EntryType::Regular, "zeros", "", 0o644, &zeros); 4]);
    let packed = zstd::encode_all(bomb.as_slice(), 1).unwrap();
    let place = Place::new();
    let ratio = place.unpack(&packed, Limits::default()).unwrap_err().to_string();
    assert!(ratio.contains("more than 16777216 bytes"), "{ratio}");

    let small = Limits {
        bytes_max: 4096,
        ..Limits::default()
    };
    let size = Place::new()
        .unpack(&tar(&[file("f", &"x".repeat(8192))]), small)
        .unwrap_err()
        .to_string();
    assert!(size.contains("more than 4096 bytes"), "{size}");

    let few = Limits {
        entries_max: 2,
        ..Limits::default()
    };
    let count = Place::new()
        .unpack(&tar(&[file("a", ""), file("b", ""), file("c", "")]), few)
        .unwrap_err()
        .to_string();
    assert!(
        count.contains("\"c\"") && count.contains("beyond the 2 entries"),
        "{count}"
    );
    let through = Place::new()
        .unpack(&tar(&[file("a/b/c/f", "")]), few)
        .unwrap_err()
        .to_string();
    assert!(
        through.contains("beyond the 2 entries"),
        "folders on the way count: {through}"
    );
}

#[test]
fn a_name_of_many_megabytes_is_not_read_into_memory() {
    let long = vec![b'a'; 4 * 1024 * 1024];
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.as_mut_bytes()[..13].copy_from_slice(b"././@LongLink");
    header.set_size(long.len() as u64);
    header.set_cksum();
    let error = Place::new()
        .unpack(&tar(&[(header, long), file("f", "")]), Limits::default())
        .unwrap_err();
    assert!(error.to_string().contains("names are too long"), "{error}");
}

#[test]
fn a_cut_archive_and_one_without_time_are_errors() {
    let whole = tar(&[file("a", &"x".repeat(4096))]);
    assert!(Place::new().unpack(&whole[..2048], Limits::default()).is_err());
    let place = Place::new();
    let archive = place.folder.path().join("archive");
    fs::write(&archive, whole).unwrap();
    let error = unpack(
        &archive,
        &place.target(),
        Limits::default(),
        Instant::now() - Duration::from_secs(1),
    )
    .unwrap_err();
    assert!(error.to_string().contains("time is over"), "{error}");
}
