//! What an order does, from the wire: each kind with its bounds. Deliberately nothing of the order around it.

use std::collections::BTreeMap;

use echelon_condition::{Condition, Place};
use echelon_proto::{
    Span, limits,
    wire::link::{self as wire, action::Kind},
};

use super::{EVERY_MS_MIN, text};
use crate::order;

/// Arguments and variables of one program: far above what playbooks write, far below what would hurt.
const ARGV_MAX: usize = 1024;
const ENV_MAX: usize = 1024;
/// Of one program. Each is looked for at every byte of its output.
const SECRETS_MAX: usize = 32;
/// A file's text: as the link promises.
const CONTENT_BYTES_MAX: usize = 256 * 1024;
/// As Linux has it.
const PATH_BYTES_MAX: usize = 4095;

pub(super) fn action_in(action: Option<wire::Action>) -> Result<order::Action, String> {
    let kind = action.and_then(|action| action.kind);
    Ok(match kind.ok_or("an action is of no kind this agent knows")? {
        Kind::Run(run) => order::Action::Run(run_in(run)?),
        Kind::Http(http) => order::Action::Http(order::HttpCheck {
            url: http.url,
            status: match http.status {
                0 => 200,
                status => u16::try_from(status).map_err(text)?,
            },
            consecutive: http.consecutive.max(1),
            interval: Span(http.interval_ms),
            request_timeout: Span(http.request_timeout_ms),
            contains: (!http.contains.is_empty()).then_some(http.contains),
        }),
        Kind::Tcp(tcp) => order::Action::Tcp(order::TcpCheck {
            address: tcp.address,
            consecutive: tcp.consecutive.max(1),
            interval: Span(tcp.interval_ms),
        }),
        Kind::Systemd(systemd) => order::Action::Systemd(order::Systemd {
            verb: systemd_verb(systemd.verb())?,
            unit: systemd.unit,
        }),
        Kind::Artifact(artifact) => order::Action::Artifact(order::Artifact {
            verb: artifact_verb(artifact.verb())?,
            keep: artifact.keep,
        }),
        Kind::Poll(poll) => order::Action::Poll(poll_in(*poll)?),
        Kind::File(file) => order::Action::File(file_in(file)?),
        Kind::Note(wire::Note {}) => order::Action::Note,
    })
}

/// What a guard or a poll asks.
pub(super) fn question_in(ask: Option<wire::Action>) -> Result<order::Action, String> {
    match ask.as_ref().and_then(|ask| ask.kind.as_ref()) {
        Some(Kind::Http(_) | Kind::Tcp(_) | Kind::Run(_)) => action_in(ask),
        // Also keeps a poll of a poll of a poll out.
        _ => Err("it asks something other than http, tcp or run".to_owned()),
    }
}

fn poll_in(poll: wire::Poll) -> Result<order::Poll, String> {
    let ask = question_in(poll.ask.map(|ask| *ask)).map_err(|why| format!("poll: {why}"))?;
    let until = Condition::new(&poll.until, Place::Until).map_err(|error| format!("poll, until: {error}"))?;
    Ok(order::Poll {
        ask: Box::new(ask),
        every: Span(poll.every_ms.max(EVERY_MS_MIN)),
        until: until.as_str().to_owned(),
    })
}

fn file_in(file: wire::File) -> Result<order::File, String> {
    if file.mode > 0o777 {
        return Err(format!(
            "a file's mode is at most 0777, not {:o}: set-user-id and its like are not given",
            file.mode
        ));
    }
    Ok(order::File {
        path: path_in(file.path)?,
        content: match file.content.ok_or("a file has neither text nor template")? {
            wire::file::Content::Text(text) if text.len() > CONTENT_BYTES_MAX => {
                let bytes = text.len();
                return Err(format!(
                    "a file's text has {bytes} bytes, at most {CONTENT_BYTES_MAX} are taken"
                ));
            }
            wire::file::Content::Text(text) => order::Content::Text(text),
            wire::file::Content::Template(path) => order::Content::Template(path_in(path)?),
        },
        mode: file.mode,
        owner: (!file.owner.is_empty()).then_some(file.owner),
        group: (!file.group.is_empty()).then_some(file.group),
    })
}

fn path_in(path: String) -> Result<String, String> {
    if path.is_empty() || path.len() > PATH_BYTES_MAX || path.contains('\0') {
        return Err(format!("a path has 1 to {PATH_BYTES_MAX} bytes and no NUL"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(format!(
            "the path {path:?} has `..`: name the file by the folder it is in"
        ));
    }
    Ok(path)
}

fn run_in(run: wire::Run) -> Result<order::Run, String> {
    if run.env.len() > ENV_MAX {
        return Err(format!(
            "a program has {} variables, at most {ENV_MAX} are taken",
            run.env.len()
        ));
    }
    if run.argv.is_empty() || run.argv[0].is_empty() || run.argv.len() > ARGV_MAX {
        return Err(format!("a program has 1 to {ARGV_MAX} arguments, the first not empty"));
    }
    let has_nul = |text: &String| text.contains('\0');
    let bad_key = |key: &String| key.is_empty() || key.contains('=') || key.contains('\0');
    if run.argv.iter().any(has_nul) || run.env.iter().any(|(key, value)| bad_key(key) || has_nul(value)) {
        return Err("a program's arguments and environment have no NUL, a variable's name no `=`".to_owned());
    }
    Ok(order::Run {
        argv: run.argv,
        env: run.env.into_iter().collect(),
        cwd: (!run.cwd.is_empty()).then_some(run.cwd),
        user: (!run.user.is_empty()).then_some(run.user),
        limits: run.limits.map(limits_in).unwrap_or_default(),
        secrets: secrets_in(run.secrets)?,
    })
}

fn limits_in(limits: wire::Limits) -> order::Limits {
    order::Limits {
        cpu_percent: (limits.cpu_percent > 0).then_some(limits.cpu_percent),
        memory_bytes: (limits.memory_bytes > 0).then_some(limits.memory_bytes),
        open_files: (limits.open_files > 0).then_some(limits.open_files),
    }
}

fn secrets_in(secrets: impl IntoIterator<Item = (String, String)>) -> Result<BTreeMap<String, String>, String> {
    let secrets: BTreeMap<String, String> = secrets.into_iter().collect();
    if secrets.len() > SECRETS_MAX {
        return Err(format!(
            "a program is given {} secrets, at most {SECRETS_MAX} are",
            secrets.len()
        ));
    }
    for (name, place) in &secrets {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > limits::NAME_CHARS_MAX || name.starts_with('.') || !name.chars().all(plain) {
            return Err(format!(
                "{name:?} is no name of a secret: letters, digits, `-`, `_` and `.`, the first no `.`"
            ));
        }
        path_in(place.clone()).map_err(|why| format!("secret {name}: {why}"))?;
        if place.starts_with('/') {
            return Err(format!(
                "secret {name}: {place:?} is absolute; secrets are named below the agent's secrets_dir"
            ));
        }
    }
    Ok(secrets)
}

fn systemd_verb(verb: wire::SystemdVerb) -> Result<order::SystemdVerb, String> {
    Ok(match verb {
        wire::SystemdVerb::Unspecified => return Err("a systemd action has no verb this agent knows".to_owned()),
        wire::SystemdVerb::Start => order::SystemdVerb::Start,
        wire::SystemdVerb::Stop => order::SystemdVerb::Stop,
        wire::SystemdVerb::Restart => order::SystemdVerb::Restart,
        wire::SystemdVerb::Reload => order::SystemdVerb::Reload,
        wire::SystemdVerb::Enable => order::SystemdVerb::Enable,
        wire::SystemdVerb::Disable => order::SystemdVerb::Disable,
        wire::SystemdVerb::IsActive => order::SystemdVerb::IsActive,
    })
}

fn artifact_verb(verb: wire::ArtifactVerb) -> Result<order::ArtifactVerb, String> {
    Ok(match verb {
        wire::ArtifactVerb::Unspecified => return Err("an artifact action has no verb this agent knows".to_owned()),
        wire::ArtifactVerb::Fetch => order::ArtifactVerb::Fetch,
        wire::ArtifactVerb::Install => order::ArtifactVerb::Install,
        wire::ArtifactVerb::Activate => order::ArtifactVerb::Activate,
        wire::ArtifactVerb::Remove => order::ArtifactVerb::Remove,
        wire::ArtifactVerb::Prune => order::ArtifactVerb::Prune,
    })
}
