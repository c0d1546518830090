//! How much of an archive has been read, and whether that is still in its bounds. Whoever reads what was unpacked reads
//! through this, so no bomb goes further than its bound, whatever it says of itself. Deliberately no formats.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, Read},
    rc::Rc,
    time::Instant,
};

use super::Limits;

/// A small archive of zeros is no attack.
const RATIO_FREE: u64 = 16 * 1024 * 1024;
/// What may be read between two entries: long names and their like, which are held in memory.
const NAMES_BYTES_MAX: u64 = 1024 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;

/// What has been read, and how much may be.
pub(super) struct Gauge {
    read: Cell<u64>,
    bytes_max: u64,
    /// Where the present run of names must end. `u64::MAX` within an entry.
    names_end: Cell<u64>,
    /// The last read found nothing more.
    is_at_end: Cell<bool>,
    deadline: Instant,
}

impl Gauge {
    pub(super) fn new(limits: &Limits, packed: u64, deadline: Instant) -> Self {
        let by_ratio = packed.saturating_mul(limits.ratio_max).max(RATIO_FREE);
        Self {
            read: Cell::new(0),
            bytes_max: limits.bytes_max.min(by_ratio),
            names_end: Cell::new(u64::MAX),
            is_at_end: Cell::new(false),
            deadline,
        }
    }

    pub(super) fn names_only(&self, on: bool) {
        let end = if on {
            self.read.get().saturating_add(NAMES_BYTES_MAX)
        } else {
            u64::MAX
        };
        self.names_end.set(end);
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.is_at_end.get()
    }

    /// For work that reads nothing.
    pub(super) fn in_time(&self) -> io::Result<()> {
        if Instant::now() > self.deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the time is over"));
        }
        Ok(())
    }

    fn took(&self, bytes: usize) -> io::Result<()> {
        self.is_at_end.set(bytes == 0);
        let read = self.read.get() + bytes as u64;
        self.read.set(read);
        if read > self.bytes_max {
            let why = format!("it unpacks to more than {} bytes", self.bytes_max);
            return Err(io::Error::other(why));
        }
        if read > self.names_end.get() {
            return Err(io::Error::other("its names are too long"));
        }
        self.in_time()
    }
}

/// A reader that the gauge watches.
pub(super) struct Metered<R> {
    inner: R,
    gauge: Rc<Gauge>,
}

impl<R> Metered<R> {
    pub(super) fn new(inner: R, gauge: &Rc<Gauge>) -> Self {
        let gauge = gauge.clone();
        Self { inner, gauge }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        if !buffer.is_empty() {
            self.gauge.took(n)?;
        }
        Ok(n)
    }
}

pub(super) fn buffered(file: File) -> BufReader<File> {
    BufReader::with_capacity(BUFFER_BYTES, file)
}
