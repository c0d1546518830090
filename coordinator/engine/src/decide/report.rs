//! A host says how a phase ended, or what a probe sees. A word on anything but the attempt in flight changes nothing: it
//! is late, repeated, or from before a restart.

use echelon_proto::{HostId, Time};

use crate::{
    effect::{Effect, Key},
    engine::Engine,
    event::{PhaseResult, Report},
    host::{Serving, Standing},
    record::{Again, Record},
    rollback::serving,
    rollout::{Current, Direction, Rollout, Run, Settled},
};

pub(crate) fn decide(engine: &Engine, now: Time, report: &Report) -> Vec<Record> {
    let fence = &report.fence;
    let Some(rollout) = engine.state().rollouts.get(&fence.rollout) else {
        return Vec::new();
    };
    let Some(run) = rollout.runs.get(&fence.host) else {
        return Vec::new();
    };
    let Some(current) = &run.current else { return Vec::new() };
    if current.phase != fence.phase || current.attempt != fence.attempt {
        return Vec::new();
    }
    let again = again(rollout, run, current, report.result, now);
    let mut records = vec![Record::PhaseEnded {
        rollout: rollout.id.clone(),
        host: fence.host.clone(),
        phase: current.phase.clone(),
        attempt: current.attempt,
        result: report.result,
        exit_code: report.exit_code,
        signal: report.signal,
        message: report.message.clone(),
        tail: report.tail.clone(),
        standing: standing(rollout, current, report),
        again,
    }];
    let gives_up = !report.result.is_good() && again.is_none();
    let turned = run.back.is_some() && current.direction == Direction::Forward;
    if gives_up && !turned {
        let (settled, how) = match current.direction {
            Direction::Forward => (Settled::Failed, ""),
            Direction::Undo | Direction::Return => (Settled::Debt, "could not be brought back: "),
        };
        records.push(Record::HostSettled {
            rollout: rollout.id.clone(),
            host: fence.host.clone(),
            settled,
            text: format!("{how}{} failed: {}", current.phase, what(report)),
            by: None,
        });
    }
    records
}

fn what(report: &Report) -> String {
    match (report.exit_code, report.signal) {
        _ if !report.message.is_empty() => report.message.clone(),
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => report.result.name().replace('_', " "),
    }
}

/// Whether and when a failure is tried again: the phase first, then the host as a whole. A phase that went forward on a
/// host that has since been told to go back is not.
fn again(rollout: &Rollout, run: &Run, current: &Current, result: PhaseResult, now: Time) -> Option<Again> {
    let turned = run.back.is_some() && current.direction == Direction::Forward;
    if result.is_good() || turned {
        return None;
    }
    let retry = rollout
        .playbook
        .machine
        .phase(&current.phase)
        .map(|phase| phase.retry)
        .unwrap_or_default();
    if run.phase_tries < retry.max {
        return Some(Again {
            at: now + retry.backoff,
            host: false,
        });
    }
    (run.host_tries < rollout.playbook.on_failure.host_retry).then_some(Again { at: now, host: true })
}

/// Where the host stands now. After a good end: where the phase leads. Otherwise where its agent says, or where it stood;
/// and out of service, unless the phase was one that only looks.
fn standing(rollout: &Rollout, current: &Current, report: &Report) -> Standing {
    if report.result.is_good() {
        return current.after.clone();
    }
    let machine = &rollout.playbook.machine;
    let mut standing = report.standing.clone().unwrap_or_else(|| current.from.clone());
    let read_only = machine.phase(&current.phase).is_some_and(|phase| phase.read_only);
    standing.traffic = match serving(machine, &standing.state) {
        Serving::Full if !read_only => Serving::Out,
        traffic @ (Serving::Full | Serving::Out | Serving::Absent) => traffic,
    };
    standing.error = Some(format!("{}: {}", current.phase, what(report)));
    standing
}

/// A probe's answer. Only a change is worth a record.
pub(super) fn health(engine: &Engine, host: &HostId, watch: &str, healthy: bool, message: &str) -> Vec<Record> {
    let wanted = engine
        .owed()
        .range(Key::Watch(host.clone(), first())..)
        .take_while(|(key, _)| match key {
            Key::Watch(of, _) => of == host,
            Key::Order(..) | Key::Notify(_) => false,
        });
    let mut records = Vec::new();
    for (key, effect) in wanted {
        let (Key::Watch(_, rollout), Effect::Watch(owed)) = (key, effect.as_ref()) else {
            continue;
        };
        let run = engine
            .state()
            .rollouts
            .get(rollout)
            .and_then(|rollout| rollout.runs.get(host));
        let known = run.and_then(|run| run.health.as_ref()).map(|health| health.healthy);
        if owed.id == watch && known != Some(healthy) {
            let (rollout, host, message) = (rollout.clone(), host.clone(), message.into());
            records.push(Record::HealthChanged {
                rollout,
                host,
                healthy,
                message,
            });
        }
    }
    records
}

/// Sorts before every rollout's id.
fn first() -> echelon_proto::RolloutId {
    echelon_proto::RolloutId::new("0").expect("a name")
}
