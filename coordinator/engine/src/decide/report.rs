//! A host says how a phase ended, or what a probe sees. A word on anything but the attempt in flight changes nothing: it
//! is late, repeated, or from before a restart.

use echelon_playbooks::model::OnTimeout;
use echelon_proto::{
    HostId, Time,
    planted::{self, Plant},
};

use super::fleet::traffic_by;
use crate::{
    effect::{Effect, Key},
    engine::Engine,
    event::{Hello, PhaseResult, Report},
    host::{Serving, Standing},
    invariant,
    record::{Again, Record},
    rollback::serving,
    rollout::{Current, Direction, Note, Rollout, Run, Settled},
};

pub(crate) fn decide(engine: &Engine, now: Time, report: &Report) -> Vec<Record> {
    let fence = &report.fence;
    let Some(rollout) = engine.state().rollouts.get(&fence.rollout) else {
        return Vec::new();
    };
    let Some(run) = rollout.runs.get(&fence.host) else {
        return Vec::new();
    };
    let Some(current) = &run.current else {
        return late(engine, rollout, run, report);
    };
    let same = current.attempt == fence.attempt || planted::is(Plant::AttemptNotCompared);
    if current.phase != fence.phase || !same {
        return Vec::new();
    }
    let end = End::of(rollout, run, current, report.result);
    let again = again(rollout, run, current, end, now);
    let stands = standing(rollout, current, report);
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
        leftovers: report.leftovers.clone(),
        standing: stands.clone(),
        again,
        on_timeout: end.on_timeout(),
    }];
    let follows = match end {
        End::CountsAsDone => Some(Some(Note::CountsAsDone)),
        // Held or aborted meanwhile, it starts nothing new: it is asked again when it goes on.
        End::Asked => (rollout.hold.is_none() && rollout.aborting.is_none()).then_some(None),
        End::Good | End::Waits | End::HeldBack | End::Failed | End::Turned => None,
    };
    records.extend(follows.map(|note| Record::PhaseStarted {
        rollout: rollout.id.clone(),
        host: fence.host.clone(),
        phase: current.phase.clone(),
        attempt: current.attempt + 1,
        direction: current.direction,
        release: current.release.clone(),
        from: stands,
        after: current.after.clone(),
        note,
        guarded: false,
    }));
    if end == End::Failed && again.is_none() {
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

/// The end of an attempt is heard after all, when it was called lost and nobody has done anything to the host since.
/// For the rollout it comes too late; but where the host stands is believed of it, as if it had said so when it attached.
fn late(engine: &Engine, rollout: &Rollout, run: &Run, report: &Report) -> Vec<Record> {
    let fence = &report.fence;
    let was_lost = run.unheard.contains(&fence.attempt);
    let state = engine.state();
    // What runs there for another app says nothing of this one.
    let known = state.hosts.get(&fence.host);
    let known = known.filter(|host| !state.is_worked_on(host, &rollout.app));
    let (true, Some(host), Some(said)) = (was_lost, known, &report.standing) else {
        return Vec::new();
    };
    let believed = host.standings.get(&rollout.app);
    let is_same = |believed: &Standing| {
        (&believed.state, &believed.release, &believed.error) == (&said.state, &said.release, &said.error)
    };
    let (Some(session), false) = (host.session, believed.is_some_and(is_same)) else {
        return Vec::new();
    };
    // Its agent may have attached since, while the phase still ran: it said then where the host stood, without our error, or
    // nothing, where nothing stood yet.
    let place = |standing: &Standing| (standing.state.clone(), standing.release.clone());
    if believed.is_some() && believed.map(place) != run.stands.as_ref().map(place) {
        return Vec::new();
    }
    let mut standings = host.standings.clone();
    let traffic = traffic_by(rollout, said);
    standings.insert(
        rollout.app.clone(),
        Standing {
            traffic,
            ..said.clone()
        },
    );
    vec![Record::HostAttached {
        host: host.id.clone(),
        session,
        hello: Hello {
            version: host.version.clone(),
            labels: host.told.clone(),
            facts: host.facts.clone(),
            standings,
        },
    }]
}

fn what(report: &Report) -> String {
    match (report.exit_code, report.signal) {
        _ if !report.message.is_empty() => report.message.clone(),
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => report.result.name().replace('_', " "),
    }
}

/// What the end of a phase means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The host stands where the phase leads.
    Good,
    /// What must hold on the host does: the coordinator may do its part.
    Asked,
    /// It did not end in time, which is as good: the agent has yet to take that down.
    CountsAsDone,
    /// It did not end in time, and a person says what next.
    Waits,
    /// Nothing was run, because something must hold first.
    HeldBack,
    /// It went wrong.
    Failed,
    /// It did not end well, but the host has been told to go back meanwhile: that is what it does next.
    Turned,
}

impl End {
    fn of(rollout: &Rollout, run: &Run, current: &Current, result: PhaseResult) -> Self {
        let turned = run.back.is_some() && current.direction == Direction::Forward;
        let phase = rollout.playbook.machine.phase(&current.phase);
        let on_timeout = match current.note {
            None => phase.map(|phase| phase.on_timeout).unwrap_or_default(),
            // Nothing was run, so nothing of the playbook's can have been late.
            Some(Note::PassedOver | Note::CountsAsDone | Note::Asks) => OnTimeout::Fail,
        };
        let asks = current.note == Some(Note::Asks);
        match (result, on_timeout) {
            (PhaseResult::Done | PhaseResult::AlreadyDone, _) if asks && turned => Self::Turned,
            (PhaseResult::Done | PhaseResult::AlreadyDone, _) if asks => Self::Asked,
            (PhaseResult::Done | PhaseResult::AlreadyDone, _) => Self::Good,
            _ if turned => Self::Turned,
            (PhaseResult::HeldBack, _) => Self::HeldBack,
            (PhaseResult::TimedOut, OnTimeout::Continue) => Self::CountsAsDone,
            (PhaseResult::TimedOut, OnTimeout::Hold) => Self::Waits,
            (PhaseResult::TimedOut, OnTimeout::Fail)
            | (PhaseResult::Failed | PhaseResult::Refused | PhaseResult::Lost, _) => Self::Failed,
        }
    }

    fn on_timeout(self) -> OnTimeout {
        match self {
            Self::CountsAsDone => OnTimeout::Continue,
            Self::Waits => OnTimeout::Hold,
            Self::Good | Self::Asked | Self::HeldBack | Self::Failed | Self::Turned => OnTimeout::Fail,
        }
    }
}

/// Whether and when the host goes again: when it was held back, the more patiently the more often that was; when it
/// failed, the phase first, then the host as a whole.
fn again(rollout: &Rollout, run: &Run, current: &Current, end: End, now: Time) -> Option<Again> {
    match end {
        End::Good | End::Asked | End::CountsAsDone | End::Waits | End::Turned => return None,
        End::HeldBack => {
            let before = run.held_back.as_ref().map_or(0, |held| held.times);
            return Some(Again {
                at: now + invariant::back_off(before),
                host: false,
            });
        }
        End::Failed => {}
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

/// Where the host stands now. After a good end: where the phase leads. Held back: where it stood, for nothing was run.
/// Otherwise where its agent says, or where it stood;
/// and out of service, unless the phase was one that only looks, or never ran: a host that serves for all that may not be
/// taken for one that is out already.
fn standing(rollout: &Rollout, current: &Current, report: &Report) -> Standing {
    match report.result {
        PhaseResult::Done | PhaseResult::AlreadyDone if current.note == Some(Note::Asks) => {
            return current.from.clone();
        }
        PhaseResult::Done | PhaseResult::AlreadyDone => return current.after.clone(),
        PhaseResult::HeldBack => return current.from.clone(),
        PhaseResult::Failed | PhaseResult::TimedOut | PhaseResult::Refused | PhaseResult::Lost => {}
    }
    let machine = &rollout.playbook.machine;
    let mut standing = report.standing.clone().unwrap_or_else(|| current.from.clone());
    let read_only = machine.phase(&current.phase).is_some_and(|phase| phase.read_only);
    standing.traffic = match (report.result, serving(machine, &standing.state)) {
        (PhaseResult::Refused, _) if standing.state == current.from.state => current.from.traffic,
        (PhaseResult::Refused, _) => traffic_by(rollout, &standing),
        (_, Serving::Full) if !read_only => Serving::Out,
        (_, traffic) => traffic,
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
            Key::Order(..) | Key::Monitor(..) | Key::Canary(..) | Key::Notify(_) => false,
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
