//! `rollout logs`: the output of phases, followed across restarts of the coordinator without a byte shown twice.

use std::{collections::BTreeMap, time::Duration};

use echelon_proto::wire::control::{LogChunk, ReadLogsRequest};
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::{Outcome, Session, rollout::lost};
use crate::{
    args::Logs,
    client::{is_unreachable, why_unreachable},
    error::Error,
    exit::Exit,
    line::{Line, Style},
    name,
};

const PAUSE: Duration = Duration::from_secs(1);
/// A line without an end is shown in pieces of this, so that a program that prints none cannot fill our memory.
const LINE_BYTES_MAX: usize = 64 * 1024;

pub(super) async fn run(args: &Logs, mut session: Session<'_>) -> Outcome {
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    let mut shown = Shown::default();
    let end = tokio::select! {
        _ = &mut interrupt => None,
        end = read(args, &mut session, &mut shown) => Some(end),
    };
    let rest = shown.rest();
    session.console.lines(&rest)?;
    match end {
        None => Ok(Exit::Detached),
        Some(Err(error)) => Err(error),
        Some(Ok(())) => {
            if shown.attempts.is_empty() {
                session.console.note(&Line::new().plain("no output yet"))?;
            }
            Ok(Exit::Done)
        }
    }
}

/// Reads to the end; after a loss from the beginning again, leaving out what was shown.
async fn read(args: &Logs, session: &mut Session<'_>, shown: &mut Shown) -> Result<(), Error> {
    let mut lost_at: Option<Instant> = None;
    loop {
        let status = match stream(args, session, shown, &mut lost_at).await? {
            None => return Ok(()),
            Some(status) => status,
        };
        if !args.follow || !is_unreachable(&status) {
            return Err(lost(status));
        }
        if lost_at.is_none() {
            let note = format!("⚠ coordinator unreachable, retrying ({})", why_unreachable(&status));
            session.console.note(&Line::new().push(Style::Warn, note))?;
        }
        if lost_at.get_or_insert_with(Instant::now).elapsed() >= session.patience {
            let again = format!("echelon rollout logs {} -f", name::id(&args.rollout.resource()));
            return Err(Error::from(status).next(again));
        }
        sleep(PAUSE).await;
    }
}

/// One stream; what broke it, or `None` when it ended well.
async fn stream(
    args: &Logs,
    session: &mut Session<'_>,
    shown: &mut Shown,
    lost_at: &mut Option<Instant>,
) -> Result<Option<Status>, Error> {
    let request = ReadLogsRequest {
        name: args.rollout.resource(),
        host: args.host.as_ref().map(ToString::to_string).unwrap_or_default(),
        phase: args.phase.as_ref().map(ToString::to_string).unwrap_or_default(),
        follow: args.follow,
    };
    let mut chunks = match session.client.read_logs(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Ok(Some(status)),
    };
    loop {
        match chunks.message().await {
            Ok(Some(chunk)) => {
                *lost_at = None;
                session.console.lines(&shown.take(chunk))?;
            }
            Ok(None) => return Ok(None),
            Err(status) => return Ok(Some(status)),
        }
    }
}

/// Host, phase, attempt.
type Key = (String, String, u32);

/// What was shown of each attempt.
#[derive(Debug, Default)]
struct Shown {
    attempts: BTreeMap<Key, Attempt>,
}

#[derive(Debug, Default)]
struct Attempt {
    /// Where the next byte is.
    offset: u64,
    /// The line that has not ended yet.
    open: Vec<u8>,
}

impl Shown {
    /// The lines that this piece completes.
    fn take(&mut self, chunk: LogChunk) -> Vec<Line> {
        let key = (chunk.host, chunk.phase, chunk.attempt);
        let attempt = self.attempts.entry(key.clone()).or_default();
        let end = chunk.offset + chunk.data.len() as u64;
        if end <= attempt.offset {
            return Vec::new();
        }
        let mut lines = Vec::new();
        if chunk.offset > attempt.offset {
            let left_out = chunk.offset - attempt.offset;
            lines.extend(attempt.flush(&key));
            lines.push(prefix(&key).push(Style::Dim, format!("… {left_out} bytes were not kept")));
        }
        let known = usize::try_from(attempt.offset.saturating_sub(chunk.offset)).unwrap_or(usize::MAX);
        attempt.offset = end;
        for byte in chunk.data.into_iter().skip(known) {
            if byte == b'\n' || attempt.open.len() >= LINE_BYTES_MAX {
                lines.push(attempt.line(&key));
            }
            if byte != b'\n' {
                attempt.open.push(byte);
            }
        }
        lines
    }

    /// Lines that never ended.
    fn rest(&mut self) -> Vec<Line> {
        let attempts = self.attempts.iter_mut();
        attempts.filter_map(|(key, attempt)| attempt.flush(key)).collect()
    }
}

impl Attempt {
    fn line(&mut self, key: &Key) -> Line {
        let bytes = std::mem::take(&mut self.open);
        prefix(key).plain(String::from_utf8_lossy(&bytes))
    }

    fn flush(&mut self, key: &Key) -> Option<Line> {
        (!self.open.is_empty()).then(|| self.line(key))
    }
}

fn prefix((host, phase, attempt): &Key) -> Line {
    Line::new().push(Style::Dim, format!("{host} {phase}#{attempt} │ "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(host: &str, offset: u64, data: &str) -> LogChunk {
        LogChunk {
            host: host.into(),
            phase: "install".into(),
            attempt: 1,
            offset,
            data: data.into(),
        }
    }

    fn texts(lines: &[Line]) -> Vec<String> {
        lines.iter().map(Line::text).collect()
    }

    #[test]
    fn lines_of_several_hosts_are_never_mixed() {
        let mut shown = Shown::default();
        assert!(shown.take(chunk("web-1", 0, "un")).is_empty());
        assert_eq!(texts(&shown.take(chunk("web-2", 0, "ok\n"))), ["web-2 install#1 │ ok"]);
        assert_eq!(
            texts(&shown.take(chunk("web-1", 2, "pack\n\nend"))),
            ["web-1 install#1 │ unpack", "web-1 install#1 │ "]
        );
        assert_eq!(texts(&shown.rest()), ["web-1 install#1 │ end"]);
    }

    #[test]
    fn what_comes_again_after_a_restart_is_not_shown_twice_and_a_gap_is_named() {
        let mut shown = Shown::default();
        shown.take(chunk("web-1", 0, "one\ntw"));
        assert!(shown.take(chunk("web-1", 0, "one\n")).is_empty());
        assert_eq!(
            texts(&shown.take(chunk("web-1", 4, "two\n"))),
            ["web-1 install#1 │ two"]
        );
        assert_eq!(
            texts(&shown.take(chunk("web-1", 100, "late\n"))),
            ["web-1 install#1 │ … 92 bytes were not kept", "web-1 install#1 │ late"]
        );
    }

    #[test]
    fn a_line_without_an_end_does_not_grow_for_ever() {
        let mut shown = Shown::default();
        let lines = shown.take(chunk("web-1", 0, &"x".repeat(LINE_BYTES_MAX + 1)));
        assert_eq!(lines.len(), 1);
        assert_eq!(shown.rest().len(), 1);
    }
}
