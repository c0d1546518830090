//! What must hold of a record when it is taken, of whatever is no gate: phases, rollouts, terms. Deliberately by the state
//! before it (or after it, where that is said) and by what the watch itself remembers, never by asking the engine.

use echelon_engine::{
    Record, State,
    event::PhaseResult,
    host::Serving,
    outcome::Outcome,
    rollout::{Note, Rollout, Run, Settled, Status},
};
use echelon_playbooks::model::{Amount, BudgetScope};
use echelon_proto::{HostId, RolloutId, Time};

use super::memory::{Memory, Seen, is_forward};
use crate::story::{Held, Violation, must};

/// Before the record is taken.
pub(super) fn before(state: &State, memory: &Memory, at: Time, record: &Record) -> Held {
    match record {
        Record::TermBegan { term } => must(*term > state.term, "6 attempt", || {
            format!("term {term} begins after term {}", state.term)
        }),
        Record::RolloutQueued { rollout } => {
            let due = find(state, rollout)?.scheduled;
            must(due.is_none_or(|due| due <= at), "8 hold", || {
                format!("{rollout} is queued at {at} and was to wait until {due:?}")
            })
        }
        Record::RolloutStarted { rollout, .. } => {
            let app = &find(state, rollout)?.app;
            let other = state
                .active()
                .find(|other| other.app == *app && other.status == Status::Running);
            must(other.is_none(), "7 once", || {
                let other = other.map(|other| &other.id);
                format!("{rollout} starts beside {other:?}, of the same app")
            })
        }
        Record::PhaseStarted { .. } => starts(state, memory, record),
        Record::PhaseEnded { .. } => phase_ends(state, memory, record),
        Record::RolloutEnded { rollout, outcome, .. } => ends(state, memory, find(state, rollout)?, *outcome),
        _ => Ok(()),
    }
}

fn starts(state: &State, memory: &Memory, record: &Record) -> Held {
    let Record::PhaseStarted {
        rollout: id,
        host,
        direction,
        attempt,
        phase,
        note,
        ..
    } = record
    else {
        return Ok(());
    };
    let rollout = find(state, id)?;
    // The end of what was begun before the hold: nothing is run, the ledger takes it down.
    if *note != Some(Note::CountsAsDone) {
        still(rollout, "starts a phase")?;
    }
    let run = run(rollout, host)?;
    must(run.current.is_none(), "7 once", || {
        format!("{host} is to run {phase} beside another phase")
    })?;
    must(*attempt > run.attempts, "6 attempt", || {
        format!("{host}: attempt {attempt} is not new")
    })?;
    let busy = state.hosts.get(host).and_then(|host| host.busy.as_ref());
    must(busy.is_none(), "7 once", || {
        format!("{host} is busy with {busy:?} and is to run {phase}")
    })?;
    if is_forward(*direction) {
        return forward(rollout, host, run, *note);
    }
    let touched = memory.of(id).is_some_and(|seen| seen.origins.contains_key(host));
    must(touched, "10 rollback", || {
        format!("{host} goes back and was never touched")
    })
}

fn forward(rollout: &Rollout, host: &HostId, run: &Run, note: Option<Note>) -> Held {
    let wave = rollout.lanes.get(run.lane).and_then(|lane| lane.waves.get(run.wave));
    must(wave.is_some_and(|wave| wave.opened.is_some()), "1 opened", || {
        format!("{host} is touched in a wave that is not open")
    })?;
    must(
        rollout.aborting.is_none() || note == Some(Note::CountsAsDone),
        "8 hold",
        || format!("{} aborts and moves {host} on", rollout.id),
    )
}

/// A host begins in its rollout: that costs a look at all of its lane, so beyond a small fleet not each is looked at.
pub(super) fn host_begins(state: &State, memory: &Memory, record: &Record) -> Held {
    let Record::PhaseStarted {
        rollout: id,
        host,
        direction,
        ..
    } = record
    else {
        return Ok(());
    };
    let rollout = find(state, id)?;
    let begins = run(rollout, host)?;
    if begins.is_active() || !is_forward(*direction) {
        return Ok(());
    }
    let Some(pace) = rollout.pace(begins.lane) else {
        return Ok(());
    };
    let at_it = rollout
        .lane_runs(begins.lane)
        .filter(|(_, run)| run.is_active())
        .count();
    must(at_it < pace.max_parallel as usize, "2 capacity", || {
        format!(
            "{id} begins {host} beside {at_it} others, {} may be at it",
            pace.max_parallel
        )
    })?;
    let budget = pace.failure_budget;
    let (mut failed, mut pinned, mut forgiven) = (0, 0, 0);
    for (index, lane) in rollout.lanes.iter().enumerate() {
        if budget.scope == BudgetScope::Datacenter && index != begins.lane {
            continue;
        }
        forgiven += lane.forgiven as usize;
        for (host, run) in rollout.lane_runs(index) {
            pinned += 1;
            let just_now = memory.failed_now.contains(&(id.clone(), host.clone()));
            failed += usize::from(run.settled == Some(Settled::Failed) && !just_now);
        }
    }
    let percent = budget.percent.map(|percent| Amount::Percent(percent).of(pinned));
    let allowed = budget.hosts.into_iter().chain(percent).min().unwrap_or(0) as usize;
    must(failed.saturating_sub(forgiven) <= allowed, "9 gate", || {
        format!("{id} begins {host} though {failed} failed, of which {forgiven} are forgiven and {allowed} may")
    })
}

fn phase_ends(state: &State, memory: &Memory, record: &Record) -> Held {
    let Record::PhaseEnded {
        rollout,
        host,
        attempt,
        phase,
        result,
        ..
    } = record
    else {
        return Ok(());
    };
    let run = run(find(state, rollout)?, host)?;
    let current = run.current.as_ref();
    must(
        current.is_some_and(|current| current.attempt == *attempt && current.phase == *phase),
        "6 attempt",
        || format!("{host}: the end of {phase}, attempt {attempt}, counts; what runs is {current:?}"),
    )?;
    // These two are said without a program that ended: by the coordinator, by the agent.
    let bare = matches!(result, PhaseResult::Lost | PhaseResult::Refused);
    let said = memory.of(rollout).and_then(|seen| seen.said(host, *attempt));
    must(bare || said == Some(*result), "6 attempt", || {
        format!("{host}: {phase}, attempt {attempt}, is called {result:?}; what ran it said {said:?}")
    })
}

/// After the record is taken.
pub(super) fn after(state: &State, memory: &Memory, record: &Record) -> Held {
    let Record::HostSettled {
        rollout: id,
        host,
        settled: Settled::RolledBack,
        ..
    } = record
    else {
        return Ok(());
    };
    let rollout = find(state, id)?;
    let seen = memory.of(id);
    if nothing_done(seen, host, run(rollout, host)?) {
        return Ok(());
    }
    let origin = seen.and_then(|seen| seen.origins.get(host));
    let stands = state.hosts.get(host).and_then(|host| host.standings.get(&rollout.app));
    let is_back = match (origin, stands) {
        (Some(origin), Some(stands)) => {
            // One whose last word was an error is shown as that.
            let serves = stands.traffic == Serving::Full || stands.error.is_some();
            origin.release == stands.release && (origin.traffic != Serving::Full || serves)
        }
        (origin, stands) => origin.is_none() && stands.is_none(),
    };
    must(is_back, "10 rollback", || {
        format!("{host} is called rolled back; it stood {origin:?} and stands {stands:?}")
    })
}

/// The host refused, and never began anything of this rollout: it stands elsewhere than was believed.
fn nothing_done(seen: Option<&Seen>, host: &HostId, run: &Run) -> bool {
    let refused = run
        .failure
        .as_ref()
        .is_some_and(|failure| failure.result == PhaseResult::Refused);
    refused && seen.is_none_or(|seen| !seen.begun.contains_key(host))
}

pub(super) fn find<'a>(state: &'a State, id: &RolloutId) -> Result<&'a Rollout, Violation> {
    state.rollouts.get(id).ok_or_else(|| Violation {
        invariant: "4 replay",
        text: format!("a record of {id}, which is not known"),
    })
}

fn run<'a>(rollout: &'a Rollout, host: &HostId) -> Result<&'a Run, Violation> {
    rollout.runs.get(host).ok_or_else(|| Violation {
        invariant: "1 opened",
        text: format!("{} has no part for {host}", rollout.id),
    })
}

/// Neither held nor over.
pub(super) fn still(rollout: &Rollout, does: &str) -> Held {
    must(rollout.hold.is_none(), "8 hold", || {
        format!("{} is held and {does}", rollout.id)
    })?;
    must(rollout.status == Status::Running, "8 hold", || {
        format!("{} is {:?} and {does}", rollout.id, rollout.status)
    })
}

fn ends(state: &State, memory: &Memory, rollout: &Rollout, outcome: Outcome) -> Held {
    let seen = memory.of(&rollout.id);
    for (host, run) in rollout.runs.iter() {
        must(run.current.is_none(), "13 liveness", || {
            format!("{} ends and {host} still runs {:?}", rollout.id, run.current)
        })?;
        let Some(origin) = seen.and_then(|seen| seen.origins.get(host)) else {
            continue;
        };
        if outcome != Outcome::RolledBack || nothing_done(seen, host, run) {
            continue;
        }
        let stands = state
            .hosts
            .get(host)
            .and_then(|host| host.standings.get(&rollout.app)?.release.as_ref());
        let named = matches!(run.settled, Some(Settled::Debt | Settled::Failed | Settled::Skipped));
        must(named || origin.release.as_ref() == stands, "10 rollback", || {
            format!(
                "{} is rolled back; {host} stood on {:?}, stands on {stands:?} and is no debt",
                rollout.id, origin.release
            )
        })?;
    }
    Ok(())
}
