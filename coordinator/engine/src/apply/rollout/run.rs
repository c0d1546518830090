//! One host's part in a rollout, and what it means for the host itself.

use echelon_playbooks::model::OnTimeout;
use echelon_proto::{
    HostId, RolloutId, Time,
    planted::{self, Plant},
};

use crate::{
    engine::Engine,
    event::PhaseResult,
    host::{Busy, Serving},
    record::{Again, Record},
    rollout::{
        Back, Current, Direction, Failure, Health, HeldBack, Lane, LaneStage, Note, Rollout, Run, Settled, Step, Touch,
    },
};

pub(super) fn apply(engine: &mut Engine, now: Time, record: &Record) {
    match record {
        Record::PhaseStarted { rollout, host, .. } => started(engine, now, rollout, host, record),
        Record::PhaseEnded { rollout, host, .. } => ended(engine, now, rollout, host, record),
        Record::StepDropped { rollout, host } => {
            if let Some(run) = run(engine, rollout, host) {
                run.steps.pop();
            }
        }
        Record::HostSettled {
            rollout,
            host,
            settled,
            text,
            ..
        } => {
            if let Some(run) = run(engine, rollout, host) {
                run.settled = Some(*settled);
                run.text = text.clone();
                (run.not_before, run.timed_out, run.held_back) = (None, None, None);
                run.reopened = false;
            }
            // One that failed counts as long as the rollout lasts.
            if matches!(settled, Settled::Done | Settled::RolledBack) {
                release(engine, rollout, host);
            }
        }
        Record::HostReopened { rollout, host, .. } => reopened(engine, rollout, host),
        Record::HealthChanged {
            rollout,
            host,
            healthy,
            message,
        } => {
            if let Some(run) = run(engine, rollout, host) {
                run.health = Some(Health {
                    healthy: *healthy,
                    since: now,
                    message: message.clone(),
                });
            }
        }
        _ => {}
    }
}

fn run<'a>(engine: &'a mut Engine, rollout: &RolloutId, host: &HostId) -> Option<&'a mut Run> {
    engine.state.rollouts.get_mut(rollout)?.runs.get_mut(host)
}

fn started(engine: &mut Engine, now: Time, id: &RolloutId, host: &HostId, record: &Record) {
    let Record::PhaseStarted {
        phase,
        attempt,
        direction,
        release,
        from,
        after,
        note,
        guarded,
        ..
    } = record
    else {
        return;
    };
    let Some(rollout) = engine.state.rollouts.get_mut(id) else {
        return;
    };
    let number = rollout.touched + 1;
    let Some(run) = rollout.runs.get_mut(host) else { return };
    let first = run.touched.is_none();
    if first || planted::is(Plant::OriginNotFirst) {
        run.touched = Some(Touch {
            number,
            origin: from.clone(),
            at: now,
        });
    }
    run.attempts = *attempt;
    (run.not_before, run.reopened) = (None, false);
    run.back_begun |= *direction != Direction::Forward;
    run.current = Some(Current {
        phase: phase.clone(),
        attempt: *attempt,
        started: now,
        direction: *direction,
        release: release.clone(),
        from: from.clone(),
        after: after.clone(),
        note: *note,
        guarded: *guarded,
    });
    let found = run
        .touched
        .as_ref()
        .is_some_and(|touch| touch.origin.traffic != Serving::Absent);
    let lane = run.lane;
    if first {
        rollout.touched = number;
        if let Some(lane) = rollout.lanes.get_mut(lane) {
            lane.last_start = Some(now);
        }
    }
    if let Some(host) = engine.state.hosts.get_mut(host) {
        host.busy = Some(Busy {
            rollout: id.clone(),
            out_of_service: after.leaves_service(from),
        });
        if found {
            host.taken_by.insert(id.clone());
        }
    }
}

/// The rollout is done with the host.
pub(super) fn release(engine: &mut Engine, id: &RolloutId, host: &HostId) {
    let taken = engine
        .state
        .hosts
        .get(host)
        .is_some_and(|host| host.taken_by.contains(id));
    if let Some(host) = engine.state.hosts.get_mut(host).filter(|_| taken) {
        host.taken_by.remove(id);
    }
}

fn ended(engine: &mut Engine, now: Time, id: &RolloutId, host: &HostId, record: &Record) {
    let Record::PhaseEnded {
        result,
        standing,
        again,
        ..
    } = record
    else {
        return;
    };
    let Some(rollout) = engine.state.rollouts.get_mut(id) else {
        return;
    };
    let app = rollout.app.clone();
    let Some(current) = rollout.runs.get_mut(host).and_then(|run| run.current.take()) else {
        return;
    };
    let read_only = rollout
        .playbook
        .machine
        .phase(&current.phase)
        .is_some_and(|phase| phase.read_only);
    let Some(run) = rollout.runs.get_mut(host) else { return };
    if current.note.is_none() && *result != PhaseResult::HeldBack {
        run.timings.push((current.phase.clone(), now.since(current.started).0));
    }
    run.stands = Some(standing.clone());
    match result {
        PhaseResult::Lost => run.unheard.push(current.attempt),
        // Nothing was run, and what was called lost may run yet.
        PhaseResult::HeldBack | PhaseResult::Refused => {}
        PhaseResult::Done | PhaseResult::AlreadyDone | PhaseResult::Failed | PhaseResult::TimedOut => {
            run.unheard.clear();
        }
    }
    match result {
        PhaseResult::Done | PhaseResult::AlreadyDone => done(run, &current),
        PhaseResult::HeldBack => held_back(run, record, *again),
        PhaseResult::Failed | PhaseResult::TimedOut | PhaseResult::Refused | PhaseResult::Lost => {
            let ran = match result {
                // What is called lost may be carried out yet, and where it only takes a state down it leads there all the same.
                PhaseResult::Lost => current.note != Some(Note::Asks),
                PhaseResult::Refused | PhaseResult::HeldBack => false,
                PhaseResult::Done | PhaseResult::AlreadyDone | PhaseResult::Failed | PhaseResult::TimedOut => {
                    current.note.is_none()
                }
            };
            if current.direction == Direction::Forward && ran && !read_only {
                begun(run, &current);
            }
            // Nothing was begun here yet, and it never stood where it was believed to stand: it goes back to where it does. On
            // the way back nothing is left of what was begun either, and where it came from stays.
            if let Some(touch) = run.touched.as_mut().filter(|_| run.steps.is_empty())
                && *result == PhaseResult::Refused
                && current.direction == Direction::Forward
            {
                touch.origin = standing.clone();
            }
            run.held_back = None;
            failed(run, now, record, *again);
        }
    }
    if let Some(host) = engine.state.hosts.get_mut(host) {
        host.busy = None;
        host.stand(app, standing.clone());
    }
}

fn done(run: &mut Run, current: &Current) {
    run.phase_tries = 0;
    run.held_back = None;
    if current.note == Some(Note::Asks) {
        return;
    }
    match current.direction {
        Direction::Forward => begun(run, current),
        Direction::Undo => {
            let undone = run.steps.pop();
            if undone.is_some_and(|step| step.from.state != current.after.state) {
                run.back = Some(Back::Onward);
            }
        }
        Direction::Return => run.returned.push(current.from.state.clone()),
    }
}

/// Nothing was run and nothing has failed.
fn held_back(run: &mut Run, record: &Record, again: Option<Again>) {
    let Record::PhaseEnded { message, .. } = record else {
        return;
    };
    let before = run.held_back.take().map_or(0, |held| held.times);
    run.held_back = Some(HeldBack {
        times: before.saturating_add(1),
        by: message.clone(),
    });
    run.not_before = again.map(|again| again.at);
}

fn failed(run: &mut Run, now: Time, record: &Record, again: Option<Again>) {
    let Record::PhaseEnded {
        phase,
        result,
        on_timeout,
        ..
    } = record
    else {
        return;
    };
    let late = *result == PhaseResult::TimedOut;
    match on_timeout {
        OnTimeout::Continue if late => {}
        OnTimeout::Hold if late => {
            run.failure = failure(now, record);
            run.timed_out = Some(phase.clone());
        }
        OnTimeout::Fail | OnTimeout::Continue | OnTimeout::Hold => {
            run.failure = failure(now, record);
            count(run, again);
        }
    }
}

/// What was begun has to be taken back, once, however often it was tried.
fn begun(run: &mut Run, current: &Current) {
    let is_same = |step: &Step| step.phase == current.phase && step.from.state == current.from.state;
    if !run.steps.last().is_some_and(is_same) {
        run.steps.push(Step {
            phase: current.phase.clone(),
            from: current.from.clone(),
            passed_over: current.note == Some(Note::PassedOver),
        });
    }
}

fn failure(now: Time, record: &Record) -> Option<Failure> {
    let Record::PhaseEnded {
        phase,
        attempt,
        result,
        exit_code,
        signal,
        message,
        tail,
        ..
    } = record
    else {
        return None;
    };
    Some(Failure {
        at: now,
        phase: phase.clone(),
        attempt: *attempt,
        result: *result,
        exit_code: *exit_code,
        signal: *signal,
        message: message.clone(),
        tail: tail.clone(),
    })
}

fn count(run: &mut Run, again: Option<Again>) {
    match again {
        Some(Again { at, host: false }) => {
            run.phase_tries += 1;
            run.not_before = Some(at);
        }
        Some(Again { at, host: true }) => {
            run.phase_tries = 0;
            run.host_tries += 1;
            run.not_before = Some(at);
        }
        None => {}
    }
}

fn reopened(engine: &mut Engine, id: &RolloutId, host: &HostId) {
    let Some(rollout) = engine.state.rollouts.get_mut(id) else {
        return;
    };
    let Some(run) = rollout.runs.get_mut(host) else { return };
    (run.settled, run.not_before, run.text) = (None, None, String::new());
    // A host that goes back is tried again on its way back, and its lane stays on it.
    let goes_back = run.back.is_some();
    run.reopened = !goes_back;
    (run.phase_tries, run.host_tries) = (0, 0);
    let (lane, wave) = (run.lane, run.wave);
    let opened = |lane: &Lane| lane.waves.get(wave).is_some_and(|wave| wave.opened.is_some());
    // One whose wave has yet to open goes with it.
    if planted::is(Plant::TouchedForgotten) {
        run.touched = None;
    }
    if !goes_back
        && rollout
            .lanes
            .get(lane)
            .is_some_and(|lane| opened(lane) || planted::is(Plant::RetrySkipsItsWave))
    {
        reroll(rollout, lane);
    }
}

/// The lane goes back from its gates to its hosts.
fn reroll(rollout: &mut Rollout, lane: usize) {
    let Some(lane) = rollout.lanes.get_mut(lane) else {
        return;
    };
    lane.stage = LaneStage::Rolling;
    if let Some(wave) = lane.waves.get_mut(lane.wave) {
        wave.rolled = None;
        wave.passed = None;
        wave.gates.clear();
    }
}
