//! An archive (zip, or tar alone or in gzip or zstd) into a fresh folder that nobody else writes to, and never out of it.
//!
//! An archive is what a stranger says. So: no absolute path, no `..`, no device, no pipe; links only to what lies inside,
//! whatever other links are on the way; nothing is ever written through a link (symbolic links are made last, hard links
//! only to files already written); no bit that gives rights; and bounds on count, depth, size, ratio, memory and time. The
//! first fault ends it and the caller throws the folder away. Deliberately no owner, time or extended attribute is taken.

mod meter;
mod tape;
mod tree;
mod zip;

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    rc::Rc,
    time::Instant,
};

use self::{meter::Gauge, tree::Tree};

/// How much an archive may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of files, links and folders together, whether the archive names a folder or only goes through it.
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

/// Of a name in a message: what a person can still read.
const SHOWN_CHARS: usize = 120;
/// Enough to know every kind of archive by.
const HEAD_BYTES: usize = 512;

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// One of the entries is not allowed.
    #[error("entry {entry:?} of the archive {why}; nothing of it is installed")]
    Entry { entry: String, why: String },
    /// The archive as a whole.
    #[error("the archive {0}; nothing of it is installed")]
    Archive(String),
    /// It took too long.
    #[error("the time is over and the archive is not unpacked; nothing of it is installed")]
    TimedOut,
    /// The archive cannot be opened.
    #[error("unpacking: {0}")]
    Io(#[from] io::Error),
}

impl Error {
    /// Of one entry.
    fn of(entry: &[u8], fault: Fault) -> Self {
        let why = match fault {
            Fault::Why(why) => why,
            Fault::Io(error) if error.kind() == io::ErrorKind::TimedOut => return Self::TimedOut,
            Fault::Io(error) => format!("cannot be unpacked: {error}"),
        };
        let entry = shown(entry);
        Self::Entry { entry, why }
    }

    /// Of what lies between the entries, or around them.
    fn unreadable(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Archive(format!("cannot be read: {error}")),
        }
    }
}

/// What is wrong with one entry.
enum Fault {
    Why(String),
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn fault<T>(why: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Why(why.into()))
}

/// A name as it is told: whatever it is made of, and however long.
fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut short: String = text.chars().take(SHOWN_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// What kind of archive it is, by its first bytes: names lie.
enum Kind {
    Zip,
    Gzip,
    Zstd,
    Tar,
}

impl Kind {
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [b'P', b'K', 3, 4, ..] => Some(Self::Zip),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ if head.get(257..262) == Some(b"ustar".as_slice()) => Some(Self::Tar),
            _ => None,
        }
    }
}

/// Unpacks `archive` into the empty folder `into`. Blocks; gives up at `deadline`.
pub(super) fn unpack(archive: &Path, into: &Path, limits: Limits, deadline: Instant) -> Result<(), Error> {
    let mut file = File::open(archive)?;
    let packed = file.metadata()?.len();
    let mut head = Vec::with_capacity(HEAD_BYTES);
    (&mut file).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    io::Seek::rewind(&mut file)?;
    let gauge = Rc::new(Gauge::new(&limits, packed, deadline));
    let mut tree = Tree::new(into, limits.entries_max);
    match Kind::of(&head) {
        Some(Kind::Zip) => zip::unpack(file, packed, &mut tree, &gauge, limits.entries_max)?,
        Some(Kind::Gzip) => {
            let unpacked = flate2::read::MultiGzDecoder::new(meter::buffered(file));
            tape::unpack(unpacked, &mut tree, &gauge)?;
        }
        Some(Kind::Zstd) => tape::unpack(zstd::Decoder::new(file)?, &mut tree, &gauge)?,
        Some(Kind::Tar) => tape::unpack(meter::buffered(file), &mut tree, &gauge)?,
        None => return Err(Error::Archive("is neither tar, tar.gz, tar.zst nor zip".to_owned())),
    }
    tree.link(&gauge)
}

#[cfg(test)]
mod tests;
