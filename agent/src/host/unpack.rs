//! An archive (tar, alone or in gzip or zstd) into a fresh folder that nobody else writes to, and never out of it.
//!
//! An archive is what a stranger says. So: no absolute path, no `..`, no device, no pipe; links only to what lies inside,
//! whatever other links are on the way; nothing is ever written through a link (symbolic links are made last, hard links
//! only to files already written); no bit that gives rights; and bounds on count, size and ratio. The first fault ends it
//! and the caller throws the folder away. Deliberately no owner, time or extended attribute is taken over.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, BufReader, Read, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink},
    path::{Component, Path, PathBuf},
    rc::Rc,
    time::Instant,
};

use tar::{Archive, Entry, EntryType};

/// How much an archive may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) entries_max: u64,
    /// All unpacked, headers included.
    pub(super) bytes_max: u64,
    /// Unpacked over packed, beyond the first `RATIO_FREE` bytes: real software stays far below.
    pub(super) ratio_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries_max: 500_000,
            bytes_max: 16 * 1024 * 1024 * 1024,
            ratio_max: 200,
        }
    }
}

/// A small archive of zeros is no attack.
const RATIO_FREE: u64 = 16 * 1024 * 1024;
/// What may be read between two entries: long names and their like, which are held in memory.
const NAMES_BYTES_MAX: u64 = 1024 * 1024;
/// Links on the way of one link, as the kernel has it.
const LINKS_MAX: usize = 40;

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// One of the entries is not allowed.
    #[error("entry {entry:?} of the archive {why}; nothing of it is installed")]
    Entry { entry: String, why: String },
    /// The archive as a whole.
    #[error("the archive {0}; nothing of it is installed")]
    Archive(String),
    /// The disk or the archive cannot be read or written.
    #[error("unpacking: {0}")]
    Io(#[from] io::Error),
}

/// Unpacks `archive` into the empty folder `into`. Blocks; gives up at `deadline`.
pub(super) fn unpack(archive: &Path, into: &Path, limits: Limits, deadline: Instant) -> Result<(), Error> {
    let file = File::open(archive)?;
    let packed = file.metadata()?.len();
    let gauge = Rc::new(Gauge::new(&limits, packed, deadline));
    let reader = Metered {
        inner: decoder(file)?,
        gauge: gauge.clone(),
    };
    let mut unpacker = Unpacker {
        root: into,
        links: BTreeMap::new(),
        files: BTreeSet::new(),
    };
    let mut archive = Archive::new(reader);
    let mut entries = archive.entries().map_err(unreadable)?;
    let mut count = 0;
    loop {
        gauge.names_only(true);
        let Some(entry) = entries.next() else { break };
        gauge.names_only(false);
        let mut entry = entry.map_err(unreadable)?;
        count += 1;
        if count > limits.entries_max {
            return Err(Error::Archive(format!("has more than {} entries", limits.entries_max)));
        }
        let name = String::from_utf8_lossy(&entry.path_bytes())
            .chars()
            .take(200)
            .collect::<String>();
        let taken = unpacker.take(&mut entry);
        taken.map_err(|fault| fault.of(name))?;
    }
    unpacker.link()
}

/// By the first bytes: names lie.
fn decoder(file: File) -> Result<Box<dyn Read>, Error> {
    let mut head = [0; 512];
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let mut have = 0;
    while have < head.len() {
        match reader.read(&mut head[have..])? {
            0 => break,
            n => have += n,
        }
    }
    let head = &head[..have];
    let whole = io::Cursor::new(head.to_vec()).chain(reader);
    if head.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(flate2::read::MultiGzDecoder::new(whole)));
    }
    if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Box::new(zstd::Decoder::new(whole)?));
    }
    if head.get(257..262) == Some(b"ustar".as_slice()) {
        return Ok(Box::new(whole));
    }
    Err(Error::Archive("is neither tar, tar.gz nor tar.zst".to_owned()))
}

fn unreadable(error: io::Error) -> Error {
    Error::Archive(format!("cannot be read: {error}"))
}

/// What is wrong with one entry.
enum Fault {
    Why(String),
    Io(io::Error),
}

impl Fault {
    fn of(self, entry: String) -> Error {
        match self {
            Self::Why(why) => Error::Entry { entry, why },
            Self::Io(error) => Error::Entry {
                entry,
                why: format!("cannot be unpacked: {error}"),
            },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn fault<T>(why: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Why(why.into()))
}

struct Unpacker<'a> {
    root: &'a Path,
    /// Symbolic links, made when everything else is there: where, and to what.
    links: BTreeMap<PathBuf, PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Unpacker<'_> {
    fn take<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), Fault> {
        let path = inside(&entry.path()?)?;
        let kind = match entry.header().entry_type() {
            // As tar wrote folders before it had a type for them.
            EntryType::Regular if entry.path_bytes().ends_with(b"/") => EntryType::Directory,
            kind => kind,
        };
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        if path.as_os_str().is_empty() {
            // The folder itself, as `tar -C folder .` writes it.
            return if kind == EntryType::Directory {
                Ok(())
            } else {
                fault("has no name")
            };
        }
        if path.starts_with(super::release::MARK) {
            return fault("has a name that the agent keeps for itself");
        }
        self.make_folders(path.parent().unwrap_or(Path::new("")))?;
        match kind {
            EntryType::Directory => self.make_folders(&path),
            EntryType::Regular | EntryType::Continuous => self.file(entry, path),
            EntryType::Symlink => {
                let target = entry.link_name()?.unwrap_or_default().into_owned();
                self.clear(&path)?;
                self.links.insert(path, target);
                Ok(())
            }
            EntryType::Link => self.hard_link(entry, path),
            // Its holes would be written out: a few bytes could fill the disk.
            EntryType::GNUSparse => fault("is a sparse file; pack the archive without --sparse"),
            _ => fault("is a device, a pipe or of a kind that no release has"),
        }
    }

    /// Every folder down to `path`, none of them a link or a file.
    fn make_folders(&self, path: &Path) -> Result<(), Fault> {
        let mut folder = PathBuf::new();
        for part in path.components() {
            folder.push(part);
            if self.links.contains_key(&folder) {
                return fault(format!("goes through the link {folder:?}"));
            }
            let full = self.root.join(&folder);
            match fs::symlink_metadata(&full) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return fault(format!("goes through the file {folder:?}")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    DirBuilder::new().mode(0o755).create(&full)?;
                    fs::set_permissions(&full, Permissions::from_mode(0o755))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A name that comes again takes the place of what had it, as tar has it; a folder does not give way.
    fn clear(&mut self, path: &Path) -> Result<(), Fault> {
        self.links.remove(path);
        self.files.remove(path);
        match fs::remove_file(self.root.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => fault("has the name of a folder before it"),
            result => Ok(result?),
        }
    }

    fn file<R: Read>(&mut self, entry: &mut Entry<'_, R>, path: PathBuf) -> Result<(), Fault> {
        self.clear(&path)?;
        // Rights of the owner to read and write, never more than reading for others, nothing that gives rights.
        let mode = (entry.header().mode()? & 0o755) | 0o600;
        let full = self.root.join(&path);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(full)?;
        io::copy(entry, &mut file)?;
        file.flush()?;
        file.set_permissions(Permissions::from_mode(mode))?;
        self.files.insert(path);
        Ok(())
    }

    fn hard_link<R: Read>(&mut self, entry: &Entry<'_, R>, path: PathBuf) -> Result<(), Fault> {
        let target = entry.link_name()?.unwrap_or_default().into_owned();
        let Ok(target) = inside(&target) else {
            return fault(format!("is a link to {target:?}, outside of the archive"));
        };
        if target == path {
            return fault("is a link to itself");
        }
        if !self.files.contains(&target) {
            return fault(format!("is a hard link to {target:?}, which is no file before it"));
        }
        self.clear(&path)?;
        fs::hard_link(self.root.join(&target), self.root.join(&path))?;
        self.files.insert(path);
        Ok(())
    }

    /// Makes the symbolic links, now that it is known where each leads.
    fn link(&self) -> Result<(), Error> {
        for (path, target) in &self.links {
            if !self.stays_inside(path, target) {
                return Err(Error::Entry {
                    entry: path.display().to_string(),
                    why: format!("is a link to {}, which leads out of the archive", target.display()),
                });
            }
        }
        for (path, target) in &self.links {
            symlink(target, self.root.join(path))?;
        }
        Ok(())
    }

    /// Follows the link as the kernel would, links on its way included.
    fn stays_inside(&self, path: &Path, target: &Path) -> bool {
        let mut at: Vec<&OsStr> = names(path.parent().unwrap_or(Path::new("")));
        let mut ahead: Vec<Component<'_>> = target.components().rev().collect();
        let mut followed = 0;
        while let Some(component) = ahead.pop() {
            match component {
                Component::Prefix(_) | Component::RootDir => return false,
                Component::CurDir => {}
                Component::ParentDir => {
                    if at.pop().is_none() {
                        return false;
                    }
                }
                Component::Normal(name) => {
                    at.push(name);
                    let here: PathBuf = at.iter().collect();
                    let Some((_, further)) = self.links.get_key_value(&here) else {
                        continue;
                    };
                    followed += 1;
                    if followed > LINKS_MAX {
                        return false;
                    }
                    at.pop();
                    ahead.extend(further.components().rev());
                }
            }
        }
        !target.as_os_str().is_empty()
    }
}

fn names(path: &Path) -> Vec<&OsStr> {
    path.iter().collect()
}

/// The path without `.`; a fault when it is absolute or has a `..`.
fn inside(path: &Path) -> Result<PathBuf, Fault> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => return fault("has a `..` in its path"),
            Component::RootDir | Component::Prefix(_) => return fault("has an absolute path"),
        }
    }
    Ok(clean)
}

/// What has been read, and how much may be.
struct Gauge {
    read: Cell<u64>,
    bytes_max: u64,
    /// Where the present run of names must end. `u64::MAX` within an entry.
    names_end: Cell<u64>,
    deadline: Instant,
}

impl Gauge {
    fn new(limits: &Limits, packed: u64, deadline: Instant) -> Self {
        let by_ratio = packed.saturating_mul(limits.ratio_max).max(RATIO_FREE);
        Self {
            read: Cell::new(0),
            bytes_max: limits.bytes_max.min(by_ratio),
            names_end: Cell::new(u64::MAX),
            deadline,
        }
    }

    fn names_only(&self, on: bool) {
        let end = if on {
            self.read.get() + NAMES_BYTES_MAX
        } else {
            u64::MAX
        };
        self.names_end.set(end);
    }

    fn took(&self, bytes: usize) -> io::Result<()> {
        let read = self.read.get() + bytes as u64;
        self.read.set(read);
        if read > self.bytes_max {
            return Err(io::Error::other(format!(
                "it unpacks to more than {} bytes",
                self.bytes_max
            )));
        }
        if read > self.names_end.get() {
            return Err(io::Error::other("its names are too long"));
        }
        if Instant::now() > self.deadline {
            return Err(io::Error::other("the time is over"));
        }
        Ok(())
    }
}

struct Metered<R> {
    inner: R,
    gauge: Rc<Gauge>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.gauge.took(n)?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
