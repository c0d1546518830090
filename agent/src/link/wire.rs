//! Wire messages to the agent's own types and back: every name is checked here, so nothing behind this file meets a text
//! that is no name. Deliberately no decisions: a message that is wrong is given back with what is wrong.

use std::fmt::Display;

use echelon_proto::{
    App, Fence, HostId, PhaseName, ReleaseName, RolloutId, Span, StateName, limits,
    wire::link::{self as wire, action::Kind, agent_message::Body},
};

use super::Settings;
use crate::{
    machine::{Input, Machine},
    order,
};

/// Arguments of one program: far above what playbooks write, far below what would hurt.
const ARGV_MAX: usize = 1024;

pub(super) fn fence_out(fence: &Fence) -> wire::Fence {
    wire::Fence {
        term: fence.term,
        rollout: fence.rollout.to_string(),
        host: fence.host.to_string(),
        phase: fence.phase.to_string(),
        attempt: fence.attempt,
    }
}

pub(super) fn fence_in(fence: Option<wire::Fence>) -> Result<Fence, String> {
    let fence = fence.ok_or("it has no fence")?;
    Ok(Fence {
        term: fence.term,
        rollout: RolloutId::new(fence.rollout).map_err(text)?,
        host: HostId::new(fence.host).map_err(text)?,
        phase: PhaseName::new(fence.phase).map_err(text)?,
        attempt: fence.attempt,
    })
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn standing_out(standing: &order::Standing) -> wire::Standing {
    let name = |name: Option<&ReleaseName>| name.map(ToString::to_string).unwrap_or_default();
    wire::Standing {
        app: standing.app.to_string(),
        state: standing.state.as_ref().map(ToString::to_string).unwrap_or_default(),
        release: name(standing.release.as_ref()),
        previous: name(standing.previous.as_ref()),
        error: standing.error.clone(),
    }
}

fn state_in(state: String) -> Result<Option<StateName>, String> {
    (!state.is_empty())
        .then(|| StateName::new(state).map_err(text))
        .transpose()
}

fn release_name_in(name: String) -> Result<Option<ReleaseName>, String> {
    (!name.is_empty())
        .then(|| ReleaseName::new(name).map_err(text))
        .transpose()
}

fn standing_in(app: &App, standing: wire::Standing) -> Result<order::Standing, String> {
    Ok(order::Standing {
        app: app.clone(),
        state: state_in(standing.state)?,
        release: release_name_in(standing.release)?,
        previous: release_name_in(standing.previous)?,
        error: String::new(),
    })
}

/// The Hello that opens a session.
pub(super) fn hello(settings: &Settings, machine: &Machine) -> wire::AgentMessage {
    let facts = &settings.facts;
    message(Body::Hello(wire::Hello {
        protocol: limits::LINK_PROTOCOL,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: settings
            .labels
            .iter()
            .map(|(k, v)| (k.to_string(), v.clone()))
            .collect(),
        facts: Some(wire::Facts {
            os: facts.os.clone(),
            kernel: facts.kernel.clone(),
            architecture: facts.architecture.clone(),
            cores: facts.cores,
            memory_bytes: facts.memory_bytes,
        }),
        standings: machine.standings().map(standing_out).collect(),
        term: machine.term(),
        running: machine.running().map(fence_out).collect(),
    }))
}

pub(super) fn message(body: Body) -> wire::AgentMessage {
    wire::AgentMessage { body: Some(body) }
}

pub(super) fn report(report: &order::Report) -> wire::AgentMessage {
    let outcome = &report.outcome;
    message(Body::Report(wire::Report {
        sequence: report.sequence,
        fence: Some(fence_out(&report.fence)),
        result: result_out(outcome.result).into(),
        exit_code: outcome.exit_code,
        signal: outcome.signal,
        message: outcome.message.clone(),
        tail: outcome.tail.clone(),
        started_ms: i64::try_from(report.started.0).unwrap_or(i64::MAX),
        ended_ms: i64::try_from(report.ended.0).unwrap_or(i64::MAX),
        standing: Some(standing_out(&report.standing)),
    }))
}

const fn result_out(result: order::PhaseResult) -> wire::PhaseResult {
    match result {
        order::PhaseResult::Done => wire::PhaseResult::Done,
        order::PhaseResult::AlreadyDone => wire::PhaseResult::AlreadyDone,
        order::PhaseResult::Failed => wire::PhaseResult::Failed,
        order::PhaseResult::TimedOut => wire::PhaseResult::TimedOut,
        order::PhaseResult::Refused => wire::PhaseResult::Refused,
        order::PhaseResult::Lost => wire::PhaseResult::Lost,
    }
}

pub(super) fn health(watch: String, probe: order::Probe) -> wire::AgentMessage {
    let message_text = probe.message.chars().take(limits::MESSAGE_CHARS_MAX).collect();
    message(Body::Health(wire::Health {
        watch,
        healthy: probe.healthy,
        message: message_text,
    }))
}

/// An order as the machine takes it. An error means that not even a refusal can be addressed.
pub(super) fn order_in(order: wire::Order) -> Result<Input, String> {
    let fence = fence_in(order.fence.clone())?;
    let app = App::new(&order.app).map_err(text)?;
    Ok(match checked_order(order, fence.clone(), app.clone()) {
        Ok(order) => Input::Order(Box::new(order)),
        Err(why) => Input::Malformed {
            fence,
            app,
            why: format!("the order cannot be read: {why}"),
        },
    })
}

fn checked_order(order: wire::Order, fence: Fence, app: App) -> Result<order::Order, String> {
    Ok(order::Order {
        fence,
        release: order.release.map(release_in).transpose()?,
        action: action_in(order.action)?,
        timeout: Span(order.timeout_ms),
        verify: order.verify.map(|verify| action_in(Some(verify))).transpose()?,
        after: standing_in(&app, order.after.ok_or("it does not say what stands after it")?)?,
        from_state: state_in(order.from_state)?,
        app,
    })
}

fn release_in(release: wire::Release) -> Result<order::Release, String> {
    let name = ReleaseName::new(release.name).map_err(text)?;
    if release.url.is_empty() {
        return Ok(order::Release { name, artifact: None });
    }
    Ok(order::Release {
        name,
        artifact: Some(order::Source {
            url: release.url,
            sha256: release.sha256.parse().map_err(text)?,
            size: (release.size_bytes > 0).then_some(release.size_bytes),
        }),
    })
}

fn action_in(action: Option<wire::Action>) -> Result<order::Action, String> {
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
            keep: (artifact.keep > 0).then_some(artifact.keep),
        }),
        Kind::Poll(_) | Kind::File(_) | Kind::Note(_) => return Err("an action is of no kind this agent knows".into()),
    })
}

fn run_in(run: wire::Run) -> Result<order::Run, String> {
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
    })
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

/// A watch, or what is wrong with it (its name is then the caller's to answer with).
pub(super) fn watch_in(watch: wire::Watch) -> Result<order::Watch, String> {
    Ok(order::Watch {
        probe: action_in(watch.probe)?,
        name: watch.watch,
        every: Span(watch.every_ms.max(EVERY_MS_MIN)),
        unhealthy_after: watch.unhealthy_after.max(1),
    })
}

/// A probe asked more often than this would load the host it watches.
const EVERY_MS_MIN: u64 = 100;
