//! Wire messages to the agent's own types and back: every name is checked here, so nothing behind this file meets a text
//! that is no name. Deliberately no decisions: a message that is wrong is given back with what is wrong.

mod action;

use std::{collections::BTreeMap, fmt::Display};

use echelon_proto::{
    App, Fence, HostId, PhaseName, ReleaseName, RolloutId, Span, StateName, Time, limits,
    wire::link::{self as wire, agent_message::Body},
};

use self::action::{action_in, question_in};
use super::Settings;
use crate::{
    facts::Disk,
    machine::{Input, Machine},
    order,
};

/// Guards of one order: each is a question before a phase may begin, and people wait for it.
const GUARDS_MAX: usize = 16;
/// Names that a template may use, and their bytes in all: the labels of a host and a few more.
const VARIABLES_MAX: usize = 256;
const VARIABLES_BYTES_MAX: usize = 256 * 1024;

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
        agent_version: settings.version.clone(),
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
            disks: facts.disks().map(disk).collect(),
        }),
        standings: machine.standings().map(standing_out).collect(),
        term: machine.term(),
        running: machine.running().map(fence_out).collect(),
    }))
}

fn disk((folder, disk): (&str, Disk)) -> wire::Disk {
    wire::Disk {
        folder: folder.to_owned(),
        total_bytes: disk.total,
        free_bytes: disk.free,
    }
}

pub(super) fn message(body: Body) -> wire::AgentMessage {
    wire::AgentMessage { body: Some(body) }
}

/// A report as it goes over the link.
#[must_use]
pub fn report(report: &order::Report) -> wire::AgentMessage {
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
        leftovers: outcome.leftovers.clone(),
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
        order::PhaseResult::HeldBack => wire::PhaseResult::HeldBack,
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

pub(super) fn samples(at: Time, values: BTreeMap<String, f64>) -> wire::AgentMessage {
    message(Body::Samples(wire::Samples {
        at_ms: millis(at),
        values: values.into_iter().collect(),
    }))
}

/// A question; `None`: nobody waits for its answers any more.
pub(super) fn ask_in(ask: wire::Ask) -> Result<Option<order::Ask>, String> {
    use wire::ask::What;
    Ok(Some(
        match ask.what.ok_or("it is of a kind that this agent does not know")? {
            What::Doctor(doctor) => order::Ask::Doctor {
                now: Time(u64::try_from(doctor.now_ms).unwrap_or(0)),
            },
            What::Processes(of) => order::Ask::Processes(App::new(of.app).map_err(text)?),
            What::Releases(of) if of.app.is_empty() => order::Ask::Releases(None),
            What::Releases(of) => order::Ask::Releases(Some(App::new(of.app).map_err(text)?)),
            What::Tail(tail) => order::Ask::Tail(order::Tail {
                path: tail.path.into(),
                lines: usize::try_from(tail.lines).unwrap_or(usize::MAX),
                follow: tail.follow,
            }),
            What::NoMore(_) => return Ok(None),
        },
    ))
}

/// A piece of the answer to a question, or its end.
pub(super) fn answer(number: u64, piece: Option<order::Answer>, last: bool) -> wire::AgentMessage {
    use wire::answer::What;
    let what = piece.map(|piece| match piece {
        order::Answer::Refused(why) => What::Refused(line(&why)),
        order::Answer::Findings(all) => What::Findings(wire::Findings {
            findings: all.into_iter().map(finding).collect(),
        }),
        order::Answer::Processes(all) => What::Processes(wire::Processes {
            processes: all.into_iter().map(process).collect(),
        }),
        order::Answer::Releases(all) => What::Releases(wire::ReleasesOnDisk {
            releases: all.into_iter().map(on_disk).collect(),
        }),
        order::Answer::Data(data) => What::Data(data),
    });
    message(Body::Answer(wire::Answer { number, what, last }))
}

/// With room for a path.
fn line(text: &str) -> String {
    text.chars().take(limits::MESSAGE_CHARS_MAX * 5).collect()
}

fn finding(finding: order::Finding) -> wire::Finding {
    let health = match finding.health {
        order::Health::Well => wire::FindingHealth::Well,
        order::Health::Warning => wire::FindingHealth::Warning,
        order::Health::Fault => wire::FindingHealth::Fault,
    };
    wire::Finding {
        check: finding.check.to_owned(),
        health: health.into(),
        seen: line(&finding.seen),
        mend: line(&finding.mend),
    }
}

fn process(process: order::Process) -> wire::Process {
    wire::Process {
        pid: process.pid,
        parent: process.parent,
        user: process.user,
        state: process.state.to_string(),
        started_ms: millis(process.started),
        cpu_ms: process.cpu_ms,
        memory_bytes: process.memory_bytes,
        unit: process.unit,
        command: process.command,
    }
}

fn on_disk(release: order::OnDisk) -> wire::ReleaseOnDisk {
    wire::ReleaseOnDisk {
        app: release.app,
        release: release.release,
        current: release.current,
        installed_ms: release.installed.map_or(0, millis),
    }
}

fn millis(time: Time) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// An order as the machine takes it.
///
/// # Errors
/// Not even a refusal could be addressed: it has no fence, or no app.
pub fn order_in(order: wire::Order) -> Result<Input, String> {
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
    let leftovers = order.leftovers();
    Ok(order::Order {
        fence,
        release: order.release.map(release_in).transpose()?,
        action: action_in(order.action)?,
        timeout: Span(order.timeout_ms),
        verify: order.verify.map(|verify| action_in(Some(verify))).transpose()?,
        after: standing_in(&app, order.after.ok_or("it does not say what stands after it")?)?,
        from_state: state_in(order.from_state)?,
        guards: guards_in(order.guards)?,
        variables: variables_in(order.variables)?,
        leftovers: leftovers_in(leftovers),
        app,
    })
}

const fn leftovers_in(rule: wire::Leftovers) -> order::Leftovers {
    match rule {
        wire::Leftovers::Unspecified | wire::Leftovers::Leave => order::Leftovers::Leave,
        wire::Leftovers::End => order::Leftovers::End,
        wire::Leftovers::Fail => order::Leftovers::Fail,
    }
}

fn guards_in(guards: Vec<wire::Guard>) -> Result<Vec<order::Guard>, String> {
    if guards.len() > GUARDS_MAX {
        return Err(format!(
            "it has {} guards, at most {GUARDS_MAX} are taken",
            guards.len()
        ));
    }
    guards.into_iter().map(guard_in).collect()
}

fn guard_in(guard: wire::Guard) -> Result<order::Guard, String> {
    if guard.name.is_empty() || guard.name.chars().count() > limits::NAME_CHARS_MAX {
        return Err(format!("a guard's name has 1 to {} characters", limits::NAME_CHARS_MAX));
    }
    let ask = question_in(guard.ask).map_err(|why| format!("guard {}: {why}", guard.name))?;
    Ok(order::Guard { name: guard.name, ask })
}

fn variables_in(variables: impl IntoIterator<Item = (String, String)>) -> Result<BTreeMap<String, String>, String> {
    let variables: BTreeMap<String, String> = variables.into_iter().collect();
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if variables.len() > VARIABLES_MAX || bytes > VARIABLES_BYTES_MAX {
        return Err(format!(
            "its {} variables have {bytes} bytes, at most {VARIABLES_MAX} of {VARIABLES_BYTES_MAX} bytes are taken",
            variables.len()
        ));
    }
    Ok(variables)
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

/// What is to be prefetched, or what is wrong with it.
pub(super) fn prefetch_in(prefetch: wire::Prefetch) -> Result<order::Prefetch, String> {
    Ok(order::Prefetch {
        app: App::new(prefetch.app).map_err(text)?,
        release: release_in(prefetch.release.ok_or("it names no release")?)?,
        timeout: (prefetch.timeout_ms > 0).then_some(Span(prefetch.timeout_ms)),
    })
}

pub(super) fn prefetched(wanted: wire::Prefetch, outcome: Result<(), String>) -> wire::AgentMessage {
    let release = wanted.release.unwrap_or_default();
    let why = outcome.as_ref().err().map(String::as_str).unwrap_or_default();
    message(Body::Prefetched(wire::Prefetched {
        app: wanted.app,
        release: release.name,
        sha256: release.sha256,
        ready: outcome.is_ok(),
        message: why.chars().take(limits::MESSAGE_CHARS_MAX).collect(),
    }))
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
