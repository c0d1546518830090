//! `host doctor`, `processes`, `releases`, `tail`: what only the host itself can say.

use echelon_proto::{
    App, HostId,
    wire::control::{
        AskHostDoctor, AskHostProcesses, AskHostReleases, AskHostRequest, AskHostTail, HostFinding, HostProcess,
        HostRelease, ask_host_request::What, ask_host_response::Answer,
    },
};
use jiff::Timestamp;

use crate::{
    commands::{Outcome, Session},
    console::Format,
    error::Error,
    exit::Exit,
    line::{Line, Style},
    table::Row,
    when,
};

/// A line without an end is shown in pieces of this, so that a file that has none cannot fill our memory.
const LINE_BYTES_MAX: usize = 64 * 1024;

pub(super) async fn doctor(host: &HostId, mut session: Session<'_>, format: Format) -> Outcome {
    let Answer::Findings(said) = once(host, What::Doctor(AskHostDoctor {}), &mut session).await? else {
        return Err(strange(host));
    };
    let sick = said.findings.iter().any(|finding| finding.health == "fault");
    session.list(&said.findings, false, format, "nothing was looked at")?;
    if sick {
        Err(Error::silent(Exit::Error))
    } else {
        Ok(Exit::Done)
    }
}

pub(super) async fn processes(host: &HostId, app: &App, mut session: Session<'_>, format: Format) -> Outcome {
    let what = What::Processes(AskHostProcesses { app: app.to_string() });
    let Answer::Processes(said) = once(host, what, &mut session).await? else {
        return Err(strange(host));
    };
    session.list(&said.processes, false, format, "nothing of it runs there")
}

pub(super) async fn releases(host: &HostId, app: Option<&App>, mut session: Session<'_>, format: Format) -> Outcome {
    let what = What::Releases(AskHostReleases {
        app: app.map(ToString::to_string).unwrap_or_default(),
    });
    let Answer::Releases(said) = once(host, what, &mut session).await? else {
        return Err(strange(host));
    };
    session.list(&said.releases, false, format, "no release is on its disk")
}

pub(super) async fn tail(host: &HostId, path: String, lines: u32, follow: bool, mut session: Session<'_>) -> Outcome {
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    let what = What::Tail(AskHostTail {
        path,
        lines: Some(lines),
        follow,
    });
    let mut open = Open::default();
    let end = tokio::select! {
        _ = &mut interrupt => None,
        end = follow_pieces(host, what, &mut open, &mut session) => Some(end),
    };
    let rest = open.rest();
    session.console.lines(&rest)?;
    match end {
        None => Ok(Exit::Detached),
        Some(Err(error)) => Err(error),
        Some(Ok(())) => {
            if follow {
                let note = "⚠ ten minutes are over; the same command goes on";
                session.console.note(&Line::new().push(Style::Warn, note))?;
            }
            Ok(Exit::Done)
        }
    }
}

async fn follow_pieces(host: &HostId, what: What, open: &mut Open, session: &mut Session<'_>) -> Result<(), Error> {
    let mut pieces = session.client.ask_host(request(host, what)).await?.into_inner();
    while let Some(piece) = pieces.message().await? {
        if let Some(Answer::Data(data)) = piece.answer {
            session.console.lines(&open.take(&data))?;
        }
    }
    Ok(())
}

/// What is answered in one piece.
async fn once(host: &HostId, what: What, session: &mut Session<'_>) -> Result<Answer, Error> {
    let mut pieces = session.client.ask_host(request(host, what)).await?.into_inner();
    let piece = pieces.message().await?;
    piece.and_then(|piece| piece.answer).ok_or_else(|| strange(host))
}

fn request(host: &HostId, what: What) -> AskHostRequest {
    AskHostRequest {
        name: format!("hosts/{host}"),
        what: Some(what),
    }
}

fn strange(host: &HostId) -> Error {
    let what = format!("host {host} answers something that was not asked: is its agent as new as this command?");
    Error::new(Exit::Error, what).next(format!("echelon host get {host}"))
}

/// The line that has not ended yet.
#[derive(Debug, Default)]
struct Open(Vec<u8>);

impl Open {
    /// The lines that these bytes complete.
    fn take(&mut self, data: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for byte in data {
            if *byte == b'\n' || self.0.len() >= LINE_BYTES_MAX {
                lines.push(self.line());
            }
            if *byte != b'\n' {
                self.0.push(*byte);
            }
        }
        lines
    }

    fn line(&mut self) -> Line {
        Line::new().plain(String::from_utf8_lossy(&std::mem::take(&mut self.0)))
    }

    fn rest(&mut self) -> Vec<Line> {
        (!self.0.is_empty()).then(|| self.line()).into_iter().collect()
    }
}

impl Row for HostFinding {
    const COLUMNS: &'static [&'static str] = &["CHECK", "HEALTH", "SEEN", "TO MEND"];
    const NARROW: usize = 4;

    fn cells(&self, _: Timestamp) -> Vec<String> {
        let glyph = match self.health.as_str() {
            "well" => "✔",
            "warning" => "⚠",
            _ => "✖",
        };
        vec![
            self.check.clone(),
            format!("{glyph} {}", self.health),
            self.seen.clone(),
            self.mend.clone(),
        ]
    }
}

impl Row for HostProcess {
    const COLUMNS: &'static [&'static str] = &[
        "PID", "USER", "STATE", "STARTED", "CPU MS", "MEMORY", "COMMAND", "PARENT", "UNIT",
    ];
    const NARROW: usize = 7;

    fn cells(&self, _: Timestamp) -> Vec<String> {
        vec![
            self.pid.to_string(),
            self.user.clone(),
            self.state.clone(),
            when::shown(self.start_time.as_ref()),
            self.cpu_ms.to_string(),
            self.memory_bytes.to_string(),
            self.command.clone(),
            self.parent.to_string(),
            self.unit.clone(),
        ]
    }
}

impl Row for HostRelease {
    const COLUMNS: &'static [&'static str] = &["APP", "RELEASE", "CURRENT", "INSTALLED"];
    const NARROW: usize = 4;

    fn cells(&self, _: Timestamp) -> Vec<String> {
        vec![
            self.app.clone(),
            self.release.clone(),
            if self.current { "✔" } else { "" }.to_owned(),
            when::shown(self.install_time.as_ref()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces_and_one_without_an_end_does_not_grow() {
        let mut open = Open::default();
        let texts = |lines: Vec<Line>| lines.iter().map(Line::text).collect::<Vec<_>>();
        assert_eq!(texts(open.take(b"one\ntw")), ["one"]);
        assert_eq!(texts(open.take(b"o\n\n")), ["two", ""]);
        assert_eq!(open.take(&vec![b'x'; LINE_BYTES_MAX + 1]).len(), 1);
        assert_eq!(texts(open.rest()), ["x"]);
        assert_eq!(texts(open.rest()), [""; 0]);
    }
}
