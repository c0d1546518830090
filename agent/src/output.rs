//! Output of attempts: what is kept of a file that a program writes to, and which attempts' output waits to be sent.
//!
//! Up to [`OUTPUT_BYTES_MAX`] all is kept. Beyond it the first half and the last part are, with a line between them that
//! says how much is left out; the offsets on the wire count in what is kept. So while a program runs the first half goes
//! out as it is written, and the rest once it has ended. Deliberately no wire: `link` sends, this reads.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use echelon_proto::{Fence, limits::OUTPUT_BYTES_MAX};
use tokio::sync::Notify;

/// The part from the front that is always kept.
pub(crate) const HEAD_BYTES: u64 = OUTPUT_BYTES_MAX / 2;
/// Room in what is kept for the line that says what is left out.
const GAP_BYTES: u64 = 128;
/// The part from the end that is kept when the middle is left out.
pub(crate) const LAST_BYTES: u64 = OUTPUT_BYTES_MAX - HEAD_BYTES - GAP_BYTES;

/// A piece of an attempt's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What comes at the offset asked for.
    pub data: Bytes,
    /// The attempt has ended and nothing follows.
    pub last: bool,
}

/// Attempts whose output is not yet held by the coordinator, each with its file.
#[derive(Debug, Default)]
pub struct Outputs {
    files: Mutex<BTreeMap<Fence, Source>>,
    changed: Notify,
}

#[derive(Debug, Clone)]
struct Source {
    path: PathBuf,
    /// Bytes in the file when the attempt ended; what a left-over process writes later is not the attempt's.
    ended: Option<u64>,
}

impl Outputs {
    /// An attempt writes to this file, from now or from before.
    pub fn begin(&self, fence: Fence, path: PathBuf) {
        self.files().entry(fence).or_insert(Source { path, ended: None });
        self.changed.notify_one();
    }

    /// The attempt has ended with so many bytes in its file.
    pub fn end(&self, fence: &Fence, bytes: u64) {
        if let Some(source) = self.files().get_mut(fence) {
            source.ended = Some(bytes);
        }
        self.changed.notify_one();
    }

    /// All whose output waits to be sent.
    #[must_use]
    pub fn fences(&self) -> Vec<Fence> {
        self.files().keys().cloned().collect()
    }

    /// What comes at this offset of what is kept, at most so many bytes. None: nothing yet. Reads a file.
    pub fn read(&self, fence: &Fence, offset: u64, bytes_max: usize) -> io::Result<Option<Piece>> {
        let Some(source) = self.files().get(fence).cloned() else {
            return Ok(None);
        };
        let file = match File::open(&source.path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let written = match (source.ended, &file) {
            (_, None) => 0,
            (Some(bytes), Some(_)) => bytes,
            (None, Some(file)) => file.metadata()?.len(),
        };
        let kept = Kept {
            written,
            ended: source.ended.is_some(),
        };
        let data = file.map_or(Ok(Bytes::new()), |file| kept.read(&file, offset, bytes_max))?;
        let last = kept.ended && offset + data.len() as u64 >= kept.len();
        Ok((last || !data.is_empty()).then_some(Piece { data, last }))
    }

    /// The coordinator holds all of it: marked beside the file, and forgotten.
    pub fn sent(&self, fence: &Fence) {
        if let Some(source) = self.files().remove(fence) {
            // Were the mark lost, the output would only be offered once more.
            let _ = File::create(sent_mark(&source.path));
        }
    }

    /// The files of an attempt are gone.
    pub fn forget(&self, fence: &Fence) {
        self.files().remove(fence);
    }

    /// Until an attempt begins or ends. Files grow without a sign.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<Fence, Source>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mark that all of this output file is with the coordinator.
pub(crate) fn sent_mark(output: &Path) -> PathBuf {
    output.with_file_name("sent")
}

/// The last lines of an output file of so many bytes, at most `bytes_max`; empty when it cannot be read.
pub(crate) fn tail(path: &Path, written: u64, bytes_max: usize) -> String {
    let from = written.saturating_sub(bytes_max as u64);
    let read = File::open(path).and_then(|file| read_at(&file, from, written, bytes_max));
    let bytes = read.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    // A line cut in the middle says less than none, unless it is all there is.
    match text.split_once('\n') {
        Some((_, rest)) if from > 0 && !rest.trim().is_empty() => rest.trim_end().to_owned(),
        _ => text.trim_end().to_owned(),
    }
}

/// Bytes in an output file; 0 when there is none.
pub(crate) fn written(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// What is kept of a file of `written` bytes.
struct Kept {
    written: u64,
    ended: bool,
}

impl Kept {
    fn is_cut(&self) -> bool {
        self.written > OUTPUT_BYTES_MAX
    }

    /// Bytes that can be read now.
    fn len(&self) -> u64 {
        match (self.ended, self.is_cut()) {
            (false, _) => self.written.min(HEAD_BYTES),
            (true, false) => self.written,
            (true, true) => OUTPUT_BYTES_MAX,
        }
    }

    /// Exactly `GAP_BYTES`, so that offsets do not depend on the number in it.
    fn gap(&self) -> Vec<u8> {
        let left_out = self.written - HEAD_BYTES - LAST_BYTES;
        let text =
            format!("\n[{left_out} bytes left out here: only the first and the last part of an output are kept]");
        let mut line = text.into_bytes();
        line.resize(GAP_BYTES as usize - 1, b' ');
        line.push(b'\n');
        line
    }

    fn read(&self, file: &File, offset: u64, bytes_max: usize) -> io::Result<Bytes> {
        let len = self.len();
        if offset >= len {
            return Ok(Bytes::new());
        }
        if !(self.ended && self.is_cut()) || offset < HEAD_BYTES {
            let end = if self.is_cut() { HEAD_BYTES } else { len };
            return read_at(file, offset, end, bytes_max);
        }
        if offset < HEAD_BYTES + GAP_BYTES {
            let gap = Bytes::from(self.gap()).split_off((offset - HEAD_BYTES) as usize);
            return Ok(gap.slice(..gap.len().min(bytes_max)));
        }
        let from = self.written - LAST_BYTES + (offset - HEAD_BYTES - GAP_BYTES);
        read_at(file, from, self.written, bytes_max)
    }
}

fn read_at(file: &File, from: u64, end: u64, bytes_max: usize) -> io::Result<Bytes> {
    let want = usize::try_from(end.saturating_sub(from))
        .unwrap_or(usize::MAX)
        .min(bytes_max);
    let mut bytes = vec![0; want];
    let mut have = 0;
    while have < want {
        match file.read_at(&mut bytes[have..], from + have as u64)? {
            0 => break,
            n => have += n,
        }
    }
    bytes.truncate(have);
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use echelon_proto::{HostId, PhaseName, RolloutId};

    use super::*;

    fn fence() -> Fence {
        Fence {
            term: 1,
            rollout: RolloutId::new("r1").unwrap(),
            host: HostId::new("h1").unwrap(),
            phase: PhaseName::new("start").unwrap(),
            attempt: 1,
        }
    }

    fn whole(outputs: &Outputs) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        while let Some(piece) = outputs.read(&fence(), all.len() as u64, 1_000_003).unwrap() {
            all.extend_from_slice(&piece.data);
            if piece.last {
                return (all, true);
            }
        }
        (all, false)
    }

    #[test]
    fn output_beyond_the_bound_keeps_its_first_and_last_part_and_says_what_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        let written: Vec<u8> = (0..OUTPUT_BYTES_MAX + 5000).map(|n| (n % 251) as u8).collect();
        fs::write(&path, &written).unwrap();
        let outputs = Outputs::default();
        outputs.begin(fence(), path);

        let (live, last) = whole(&outputs);
        assert!(!last && live == written[..HEAD_BYTES as usize]);

        outputs.end(&fence(), written.len() as u64);
        let (kept, last) = whole(&outputs);
        assert!(last);
        assert_eq!(kept.len() as u64, OUTPUT_BYTES_MAX);
        assert!(kept[..HEAD_BYTES as usize] == written[..HEAD_BYTES as usize]);
        assert!(kept.ends_with(&written[written.len() - LAST_BYTES as usize..]));
        let gap = &kept[HEAD_BYTES as usize..(HEAD_BYTES + GAP_BYTES) as usize];
        assert!(
            String::from_utf8_lossy(gap).contains("[5128 bytes left out here"),
            "{gap:?}"
        );
    }

    #[test]
    fn an_attempt_without_output_still_has_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let outputs = Outputs::default();
        outputs.begin(fence(), folder.path().join("output"));
        assert_eq!(outputs.read(&fence(), 0, 10).unwrap(), None);
        outputs.end(&fence(), 0);
        let end = outputs.read(&fence(), 0, 10).unwrap().unwrap();
        assert!(end.last && end.data.is_empty());
        outputs.sent(&fence());
        assert!(outputs.fences().is_empty() && folder.path().join("sent").exists());
    }

    #[test]
    fn what_a_left_over_process_writes_after_the_end_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        fs::write(&path, "mine, not mine").unwrap();
        let outputs = Outputs::default();
        outputs.begin(fence(), path);
        outputs.end(&fence(), 4);
        assert_eq!(whole(&outputs), (b"mine".to_vec(), true));
    }

    #[test]
    fn a_tail_is_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        fs::write(&path, "first line\nsecond\nthird\n").unwrap();
        assert_eq!(tail(&path, 24, 4096), "first line\nsecond\nthird");
        assert_eq!(tail(&path, 24, 15), "second\nthird");
        assert_eq!(tail(&path, 24, 13), "third");
        assert_eq!(tail(&folder.path().join("absent"), 24, 14), "");
    }
}
