//! What is sent to agents, as messages of the link.

use echelon_engine::{
    command::Artifact,
    effect::{Effect, Order, Watch},
    host::Standing,
};
use echelon_playbooks::model::{
    Action, ArtifactVerb, Content, FileSpec, HttpCheck, Leftovers, Limits, Run, SystemdVerb, TcpCheck,
};
use echelon_proto::{
    App, Fence, ReleaseName,
    wire::link::{self as wire, CoordinatorMessage, action::Kind, ask::What, coordinator_message::Body},
};

use crate::{asks::Ask, driver::wall, sessions::Item};

/// An item as it goes over the link.
#[must_use]
pub fn message(item: &Item, heartbeat_ms: u32) -> CoordinatorMessage {
    let body = match item {
        Item::Welcome { term } => Body::Welcome(wire::Welcome {
            term: *term,
            heartbeat_ms,
        }),
        Item::Owed(effect) => match effect.as_ref() {
            Effect::Order(owed) => Body::Order(order(owed)),
            Effect::Watch(owed) => Body::Watch(watch(owed)),
            // Not for a host: the dispatcher leaves it to the notify runner, so it never comes here.
            Effect::Canary(_) | Effect::Notify(_) => Body::Heartbeat(wire::Heartbeat {}),
        },
        Item::Prefetch(artifact) => Body::Prefetch(wire::Prefetch {
            app: artifact.app.to_string(),
            release: Some(release(artifact)),
            // It does not outlive the session, and another rollout may want it as well.
            timeout_ms: 0,
        }),
        Item::Ask(number, what) => Body::Ask(wire::Ask {
            number: *number,
            what: Some(question(what)),
        }),
        Item::NoMore(number) => Body::Ask(wire::Ask {
            number: *number,
            what: Some(What::NoMore(wire::AskNoMore {})),
        }),
        Item::Unwatch(watch) => Body::Unwatch(wire::Unwatch { watch: watch.clone() }),
        Item::Ack(sequence) => Body::Ack(wire::ReportAck { sequence: *sequence }),
        Item::Heartbeat => Body::Heartbeat(wire::Heartbeat {}),
    };
    CoordinatorMessage { body: Some(body) }
}

fn question(ask: &Ask) -> What {
    match ask {
        Ask::Doctor => What::Doctor(wire::AskDoctor {
            now_ms: i64::try_from(wall().0).unwrap_or(i64::MAX),
        }),
        Ask::Processes(app) => What::Processes(wire::AskProcesses { app: app.to_string() }),
        Ask::Releases(app) => What::Releases(wire::AskReleases {
            app: app.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        Ask::Tail { path, lines, follow } => What::Tail(wire::AskTail {
            path: path.to_string_lossy().into_owned(),
            lines: *lines,
            follow: *follow,
        }),
    }
}

fn order(order: &Order) -> wire::Order {
    wire::Order {
        fence: Some(fence(&order.fence)),
        app: order.app.to_string(),
        release: order.release.as_ref().map(release),
        action: Some(order.action.as_ref().map_or_else(note, action)),
        timeout_ms: order.timeout.0,
        verify: order.verify.as_ref().map(action),
        after: Some(standing(&order.app, &order.after)),
        from_state: order.from.to_string(),
        guards: order.guards.iter().map(guard).collect(),
        variables: order.variables.clone().into_iter().collect(),
        leftovers: leftovers(order.leftovers).into(),
    }
}

const fn leftovers(rule: Leftovers) -> wire::Leftovers {
    match rule {
        Leftovers::Leave => wire::Leftovers::Leave,
        Leftovers::End => wire::Leftovers::End,
        Leftovers::Fail => wire::Leftovers::Fail,
    }
}

/// Nothing is run.
fn note() -> wire::Action {
    wire::Action {
        kind: Some(Kind::Note(wire::Note {})),
    }
}

fn guard((name, ask): &(String, Action<String>)) -> wire::Guard {
    wire::Guard {
        name: name.clone(),
        ask: Some(action(ask)),
    }
}

fn watch(watch: &Watch) -> wire::Watch {
    wire::Watch {
        watch: watch.id.clone(),
        probe: Some(action(&watch.probe)),
        every_ms: watch.every.0,
        unhealthy_after: watch.unhealthy_after,
    }
}

pub(super) fn fence(fence: &Fence) -> wire::Fence {
    wire::Fence {
        term: fence.term,
        rollout: fence.rollout.to_string(),
        host: fence.host.to_string(),
        phase: fence.phase.to_string(),
        attempt: fence.attempt,
    }
}

fn release(artifact: &Artifact) -> wire::Release {
    wire::Release {
        name: artifact.release.to_string(),
        url: artifact.url.clone(),
        sha256: artifact.sha256.map(String::from).unwrap_or_default(),
        size_bytes: artifact.size_bytes,
    }
}

fn standing(app: &App, standing: &Standing) -> wire::Standing {
    let name = |release: &Option<ReleaseName>| release.as_ref().map(ToString::to_string).unwrap_or_default();
    wire::Standing {
        app: app.to_string(),
        state: standing.state.to_string(),
        release: name(&standing.release),
        previous: name(&standing.previous),
        error: standing.error.clone().unwrap_or_default(),
    }
}

fn action(doing: &Action<String>) -> wire::Action {
    let kind = match doing {
        Action::Run(program) => Kind::Run(run(program)),
        Action::Http(check) => Kind::Http(http(check)),
        Action::Tcp(check) => Kind::Tcp(tcp(check)),
        Action::Systemd { unit, verb } => Kind::Systemd(wire::Systemd {
            unit: unit.clone(),
            verb: systemd_verb(*verb).into(),
        }),
        Action::Artifact { verb, release: _, keep } => Kind::Artifact(wire::Artifact {
            verb: artifact_verb(*verb).into(),
            keep: *keep,
        }),
        Action::Poll(poll) => Kind::Poll(Box::new(wire::Poll {
            ask: Some(Box::new(action(&poll.ask))),
            every_ms: poll.every.0,
            until: poll.until.to_string(),
        })),
        Action::File(spec) => Kind::File(file(spec)),
        // Done by the coordinator before the order goes to the host.
        Action::Balancer(_) => return note(),
    };
    wire::Action { kind: Some(kind) }
}

fn run(run: &Run<String>) -> wire::Run {
    wire::Run {
        argv: run.argv.clone(),
        env: run.env.clone().into_iter().collect(),
        cwd: run.cwd.clone().unwrap_or_default(),
        user: run.user.clone().unwrap_or_default(),
        limits: (!run.limits.is_none()).then(|| limits(run.limits)),
        secrets: run.secrets.clone().into_iter().collect(),
    }
}

fn limits(limits: Limits) -> wire::Limits {
    wire::Limits {
        cpu_percent: limits.cpu_percent.unwrap_or(0),
        memory_bytes: limits.memory_bytes.unwrap_or(0),
        open_files: limits.open_files.unwrap_or(0),
    }
}

fn file(file: &FileSpec<String>) -> wire::File {
    wire::File {
        path: file.path.clone(),
        content: Some(match &file.content {
            Content::Text(text) => wire::file::Content::Text(text.clone()),
            Content::Template(path) => wire::file::Content::Template(path.clone()),
        }),
        mode: file.mode,
        owner: file.owner.clone().unwrap_or_default(),
        group: file.group.clone().unwrap_or_default(),
    }
}

fn http(check: &HttpCheck<String>) -> wire::HttpCheck {
    wire::HttpCheck {
        url: check.url.clone(),
        status: u32::from(check.status),
        consecutive: check.repeat.consecutive,
        interval_ms: check.repeat.interval.0,
        request_timeout_ms: check.request_timeout.0,
        contains: check.contains.clone().unwrap_or_default(),
    }
}

fn tcp(check: &TcpCheck<String>) -> wire::TcpCheck {
    wire::TcpCheck {
        address: check.address.clone(),
        consecutive: check.repeat.consecutive,
        interval_ms: check.repeat.interval.0,
    }
}

fn systemd_verb(verb: SystemdVerb) -> wire::SystemdVerb {
    match verb {
        SystemdVerb::Start => wire::SystemdVerb::Start,
        SystemdVerb::Stop => wire::SystemdVerb::Stop,
        SystemdVerb::Restart => wire::SystemdVerb::Restart,
        SystemdVerb::Reload => wire::SystemdVerb::Reload,
        SystemdVerb::Enable => wire::SystemdVerb::Enable,
        SystemdVerb::Disable => wire::SystemdVerb::Disable,
        SystemdVerb::IsActive => wire::SystemdVerb::IsActive,
    }
}

fn artifact_verb(verb: ArtifactVerb) -> wire::ArtifactVerb {
    match verb {
        ArtifactVerb::Fetch => wire::ArtifactVerb::Fetch,
        ArtifactVerb::Install => wire::ArtifactVerb::Install,
        ArtifactVerb::Activate => wire::ArtifactVerb::Activate,
        ArtifactVerb::Remove => wire::ArtifactVerb::Remove,
        ArtifactVerb::Prune => wire::ArtifactVerb::Prune,
    }
}
