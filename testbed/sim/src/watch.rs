//! What must always hold, said from the outside and a second time: a mirror of the engine takes every record from the
//! journal's own bytes, and is asked before and after each; what hosts begin, and what people are told, is held against it.
//! The names are those of the house's thirteen. Deliberately not the engine's own arithmetic: capacity is counted here
//! host by host.

use std::collections::BTreeSet;

use echelon_coordinator::{
    driver::Driver,
    journal::{Disk, Journal, MemoryStore},
};
use echelon_engine::{
    Config, Engine, Entry, Record, State,
    event::PhaseResult,
    host::{Host, Serving},
    outcome::Outcome,
    plan::PoolPlan,
    rollout::{Direction, Note, Rollout, Run, Settled, Status},
};
use echelon_proto::{Datacenter, Fence, HostId, RolloutId, Time};

use crate::{
    reach,
    story::{Held, Story, Violation, must},
};

/// Up to so many hosts everything is compared after every turn; beyond it after each so many turns, and after each crash.
const SMALL_FLEET: usize = 40;
const COMPARE_EVERY: u64 = 64;

/// An attempt, whatever the term.
type Attempt = (RolloutId, HostId, u32);

#[derive(Debug)]
pub(crate) struct Watch {
    mirror: Engine,
    /// Last entry in the mirror.
    taken: u64,
    /// The newest entry that somebody was told of.
    told: u64,
    begun: BTreeSet<Attempt>,
    done: BTreeSet<Attempt>,
    turns: u64,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            mirror: Engine::new(Config::default(), State::default()),
            taken: 0,
            told: 0,
            begun: BTreeSet::new(),
            done: BTreeSet::new(),
            turns: 0,
        }
    }

    /// All that is durable.
    pub(crate) fn state(&self) -> &State {
        self.mirror.state()
    }

    /// Takes what the journal has got since, and asks of each record whether it may be.
    pub(crate) fn follow(&mut self, disk: &Disk, story: &mut Story) -> Held {
        let journal: Journal<Entry> = Journal::on(Box::new(MemoryStore::on(disk)));
        let mut entries = Vec::new();
        let read = journal.replay(self.taken + 1, |sequence, entry| entries.push((sequence, entry)));
        must(read.is_ok(), "12 acknowledged", || {
            format!("the journal cannot be read: {read:?}")
        })?;
        for (sequence, entry) in entries {
            for record in &entry.records {
                self.record(entry.at, record, story)?;
            }
            self.taken = sequence;
        }
        Ok(())
    }

    fn record(&mut self, at: Time, record: &Record, story: &mut Story) -> Held {
        before(self.mirror.state(), record)?;
        let out = self.leaving(record);
        self.mirror.apply(at, record);
        if let Some((rollout, host)) = out {
            capacity(self.mirror.state(), &rollout, &host)?;
        }
        after(self.mirror.state(), record)?;
        if let Record::PhaseEnded {
            rollout,
            host,
            attempt,
            result,
            ..
        } = record
            && result.is_good()
        {
            self.done.insert((rollout.clone(), host.clone(), *attempt));
        }
        let reached = reach::of(record);
        story.mark((at, &reached));
        story.reached.extend(reached);
        if story.is_told() {
            let line = serde_json::to_string(record).unwrap_or_default();
            let line: String = line.chars().take(400).collect();
            story.tell(at, || format!("record {line}"));
        }
        Ok(())
    }

    /// The host that this record takes out of service.
    fn leaving(&self, record: &Record) -> Option<(RolloutId, HostId)> {
        let Record::PhaseStarted {
            rollout,
            host,
            from,
            after,
            ..
        } = record
        else {
            return None;
        };
        let known = self.mirror.state().hosts.get(host)?;
        (serves(known) && after.leaves_service(from)).then(|| (rollout.clone(), host.clone()))
    }

    /// After a turn: what is live is what the journal gives.
    pub(crate) fn compare(&mut self, driver: &Driver) -> Held {
        self.turns += 1;
        let small = self.mirror.state().hosts.size() <= SMALL_FLEET;
        must(self.taken == driver.sequence(), "4 replay", || {
            format!(
                "the journal ends at {}, the driver at {}",
                self.taken,
                driver.sequence()
            )
        })?;
        if small || self.turns.is_multiple_of(COMPARE_EVERY) {
            self.compare_all(driver)?;
        }
        Ok(())
    }

    /// The same, whole: for after a crash, too.
    pub(crate) fn compare_all(&self, driver: &Driver) -> Held {
        must(self.mirror.state() == driver.state(), "4 replay", || {
            "what the journal gives differs from the live state".to_owned()
        })?;
        must(driver.engine().is_consistent(), "5 owed", || {
            "what is owed, or the muster, differs from what the state gives".to_owned()
        })
    }

    /// Somebody is told that this entry is done.
    pub(crate) fn tell(&mut self, sequence: u64, disk: &Disk) -> Held {
        self.told = self.told.max(sequence);
        must(disk.flushed() >= sequence, "3 durable first", || {
            format!("entry {sequence} is told of and durable is only {}", disk.flushed())
        })
    }

    /// The coordinator is back and knows this much.
    pub(crate) fn back(&self, sequence: u64) -> Held {
        must(sequence >= self.told, "12 acknowledged", || {
            format!(
                "entry {} was told of; after the crash the last is {sequence}",
                self.told
            )
        })
    }

    /// A host begins to run a program. `alone`: no other of the app's runs there.
    pub(crate) fn begins(&mut self, fence: &Fence, alone: bool) -> Held {
        let attempt = (fence.rollout.clone(), fence.host.clone(), fence.attempt);
        must(alone, "7 once", || {
            format!("{fence} begins beside another phase of its app")
        })?;
        must(!self.done.contains(&attempt), "7 once", || {
            format!("{fence} begins again, after it was reported done")
        })?;
        must(self.begun.insert(attempt), "7 once", || {
            format!("{fence} begins a second time")
        })?;
        let Some(rollout) = self.mirror.state().rollouts.get(&fence.rollout) else {
            // It ended and was forgotten while the order was on its way.
            return Ok(());
        };
        let run = rollout.runs.get(&fence.host);
        must(
            run.is_some_and(|run| run.attempts >= fence.attempt),
            "3 durable first",
            || format!("{fence} begins and is in no journal"),
        )
    }
}

/// Reachable, and all that is on it is in service.
fn serves(host: &Host) -> bool {
    let full = host.standings.values().filter(|s| s.traffic != Serving::Absent);
    let mut full = full.map(|standing| standing.traffic == Serving::Full).peekable();
    host.session.is_some()
        && host.unwell.is_empty()
        && !host.busy.as_ref().is_some_and(|busy| busy.out_of_service)
        && full.peek().is_some()
        && full.all(|full| full)
}

/// Something is on it, or a rollout has only just taken it away and is not done. One that is installed for the first time
/// is not there yet.
fn is_there(host: &Host) -> bool {
    !host.taken_by.is_empty() || host.standings.values().any(|s| s.traffic != Serving::Absent)
}

fn capacity(state: &State, rollout: &RolloutId, host: &HostId) -> Held {
    let Some(rollout) = state.rollouts.get(rollout) else {
        return Ok(());
    };
    let pools = rollout.plan.lanes.iter().flat_map(|lane| &lane.capacity);
    for pool in pools.filter(|pool: &&PoolPlan| pool.hosts.contains(host)) {
        let known = pool.hosts.iter().filter_map(|id| state.hosts.get(id));
        let out = known.filter(|host| !serves(host) && is_there(host)).count();
        must(out <= pool.max_unavailable as usize, "2 capacity", || {
            let (id, max) = (&rollout.id, pool.max_unavailable);
            format!(
                "{id} takes {host} out of service: {out} are out in pool {}, {max} may be",
                pool.pool
            )
        })?;
    }
    Ok(())
}

fn before(state: &State, record: &Record) -> Held {
    match record {
        Record::WaveOpened {
            rollout,
            datacenter,
            wave,
        } => opens(find(state, rollout)?, datacenter, *wave),
        Record::PhaseStarted {
            rollout,
            host,
            direction,
            attempt,
            phase,
            note,
            ..
        } => {
            let rollout = find(state, rollout)?;
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
            match direction {
                Direction::Forward => forward(rollout, host, run, *note),
                Direction::Undo | Direction::Return => must(run.touched.is_some(), "10 rollback", || {
                    format!("{host} goes back and was never touched")
                }),
            }
        }
        Record::PhaseEnded {
            rollout,
            host,
            attempt,
            phase,
            ..
        } => {
            let run = run(find(state, rollout)?, host)?;
            let current = run.current.as_ref();
            must(
                current.is_some_and(|current| current.attempt == *attempt && current.phase == *phase),
                "6 attempt",
                || format!("{host}: the end of {phase}, attempt {attempt}, counts; what runs is {current:?}"),
            )
        }
        Record::RolloutEnded { rollout, outcome, .. } => ends(state, find(state, rollout)?, *outcome),
        _ => Ok(()),
    }
}

fn opens(rollout: &Rollout, datacenter: &Datacenter, wave: usize) -> Held {
    still(rollout, "opens a wave")?;
    let lane = rollout.lane_of(datacenter).and_then(|lane| rollout.lanes.get(lane));
    let earlier = lane.map_or(&[][..], |lane| &lane.waves[..wave]);
    for (number, before) in earlier.iter().enumerate() {
        let passed = before.passed.is_some() && before.gates.values().all(|gate| gate.is_passed());
        must(passed, "9 gate", || {
            let id = &rollout.id;
            format!("{id} {datacenter} opens wave {wave}, and wave {number} has not passed")
        })?;
    }
    Ok(())
}

fn after(state: &State, record: &Record) -> Held {
    let Record::HostSettled {
        rollout,
        host,
        settled: Settled::RolledBack,
        ..
    } = record
    else {
        return Ok(());
    };
    let rollout = find(state, rollout)?;
    let run = run(rollout, host)?;
    if was_refused(run) {
        return Ok(());
    }
    let origin = run.touched.as_ref().map(|touch| &touch.origin);
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

/// Of what the host refused nothing was done: it stands elsewhere than was believed.
fn was_refused(run: &Run) -> bool {
    run.failure
        .as_ref()
        .is_some_and(|failure| failure.result == PhaseResult::Refused)
}

fn find<'a>(state: &'a State, id: &RolloutId) -> Result<&'a Rollout, Violation> {
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
fn still(rollout: &Rollout, does: &str) -> Held {
    must(rollout.hold.is_none(), "8 hold", || {
        format!("{} is held and {does}", rollout.id)
    })?;
    must(rollout.status == Status::Running, "8 hold", || {
        format!("{} is {:?} and {does}", rollout.id, rollout.status)
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

fn ends(state: &State, rollout: &Rollout, outcome: Outcome) -> Held {
    for (host, run) in rollout.runs.iter() {
        must(run.current.is_none(), "13 liveness", || {
            format!("{} ends and {host} still runs {:?}", rollout.id, run.current)
        })?;
        if outcome != Outcome::RolledBack || run.touched.is_none() || was_refused(run) {
            continue;
        }
        let origin = run.touched.as_ref().and_then(|touch| touch.origin.release.as_ref());
        let stands = state
            .hosts
            .get(host)
            .and_then(|host| host.standings.get(&rollout.app)?.release.as_ref());
        let named = matches!(run.settled, Some(Settled::Debt | Settled::Failed | Settled::Skipped));
        must(named || origin == stands, "10 rollback", || {
            format!(
                "{} is rolled back; {host} stood on {origin:?}, stands on {stands:?} and is no debt",
                rollout.id
            )
        })?;
    }
    Ok(())
}
