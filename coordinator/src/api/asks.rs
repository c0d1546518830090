//! What people ask of a host itself: it is written down who asked what, and only then is it asked.

use echelon_engine::command::Command;
use echelon_proto::{App, Person, wire::control as wire};
use tonic::{Code, Status};

use super::{Control, Messages, field, hosts, status};
use crate::asks::{Ask, Asking, Error};

/// Of a path, in bytes.
const PATH_MAX: usize = 4096;
/// Of a file's end, where nothing is said.
const LINES: u32 = 10;

pub(super) async fn ask(
    control: &Control,
    by: Person,
    request: wire::AskHostRequest,
) -> Result<Messages<wire::AskHostResponse>, Status> {
    let host = hosts::named(&request.name)?;
    let what = wanted(request.what)?;
    let command = Command::AskHost {
        host: host.clone(),
        what: words(&what),
    };
    control.wish(by, command, false).await?;
    let asking = control
        .known
        .hands
        .asks
        .ask(&host, what)
        .map_err(|error| told(&error))?;
    Ok(Box::pin(futures::stream::try_unfold(asking, next)))
}

/// In the words of the people's face already.
type Asked = Asking<wire::AskHostResponse>;

async fn next(mut asking: Asked) -> Result<Option<(wire::AskHostResponse, Asked)>, Status> {
    let piece = asking.next().await.map_err(|error| told(&error))?;
    Ok(piece.map(|piece| (piece, asking)))
}

fn wanted(what: Option<wire::ask_host_request::What>) -> Result<Ask, Status> {
    use wire::ask_host_request::What;
    let what = what.ok_or_else(|| status::invalid("what", "is not set: ask something"))?;
    Ok(match what {
        What::Doctor(_) => Ask::Doctor,
        What::Processes(of) => Ask::Processes(field::parsed("processes.app", App::new(of.app))?),
        What::Releases(of) => Ask::Releases(field::optional("releases.app", &of.app)?),
        What::Tail(tail) => {
            field::at_most("tail.path", tail.path.len(), PATH_MAX, "bytes")?;
            if !tail.path.starts_with('/') || tail.path.chars().any(char::is_control) {
                return Err(status::invalid(
                    "tail.path",
                    "is not the whole path of a file of the host",
                ));
            }
            Ask::Tail {
                path: tail.path.into(),
                lines: tail.lines.unwrap_or(LINES),
                follow: tail.follow,
            }
        }
    })
}

/// As the journal keeps it.
fn words(what: &Ask) -> String {
    match what {
        Ask::Doctor => "doctor".to_owned(),
        Ask::Processes(app) => format!("processes {app}"),
        Ask::Releases(None) => "releases".to_owned(),
        Ask::Releases(Some(app)) => format!("releases {app}"),
        Ask::Tail { path, lines, follow } => {
            let follow = if *follow { " -f" } else { "" };
            format!("tail {} -n {lines}{follow}", path.display())
        }
    }
}

fn told(error: &Error) -> Status {
    let (code, reason) = match error {
        Error::Away(_) => (Code::FailedPrecondition, "HOST_AWAY"),
        Error::Gone(_) => (Code::FailedPrecondition, "HOST_GONE"),
        Error::Refused { .. } => (Code::FailedPrecondition, "HOST_REFUSES"),
        Error::Silent(_) => (Code::FailedPrecondition, "HOST_SILENT"),
        Error::Busy(_) | Error::Slow(_) => (Code::ResourceExhausted, "TOO_MUCH"),
    };
    status::with_reason(code, reason, &error.to_string())
}
