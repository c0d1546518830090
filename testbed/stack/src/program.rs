//! What agents carry out, and the record of it that no agent, disk or coordinator can lose: which program began with which
//! fence, and how it ended. A program goes on when its agent dies, as under its supervisor, and not when its host does.
//! What must hold when one begins is asked here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use echelon_agent::{
    executor::{Executor, Work},
    ledger::{Ledger, Progress as Attempted},
    order::{Action, Order, Outcome, PhaseResult, Probe},
};
use echelon_engine::rollout::{Direction, Rollout};
use echelon_proto::{App, Fence, HostId, StateName, Time};
use echelon_sim::{Held, must};
use tokio::time::sleep;

use crate::{
    fault::Fault,
    host::{Key, Program, Progress},
    world::{Shared, World, now},
};

/// Between two looks whether a program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The one state of the playbooks in which an app serves.
const SERVING: &str = "serving";
/// And the one in which it is not there.
const ABSENT: &str = "absent";

/// One host's.
pub(crate) struct Programs {
    shared: Shared,
    host: usize,
}

impl Programs {
    pub(crate) fn new(shared: Shared, host: usize) -> Self {
        Self { shared, host }
    }
}

impl Executor for Programs {
    async fn execute(&self, work: Work) -> Outcome {
        let key = (work.order.fence.rollout.clone(), work.order.fence.attempt);
        self.shared.lock().carry_out(self.host, &key, &work);
        loop {
            let wait = match &self.shared.lock().hosts[self.host].programs[&key].progress {
                Progress::Runs(until, _) => until.saturating_sub(turmoil::sim_elapsed().unwrap_or_default()),
                Progress::Ended(outcome) => return outcome.clone(),
                Progress::Lost => return Outcome::of(PhaseResult::Lost, "the host went down".to_owned()),
            };
            sleep(wait.max(LOOK_EVERY)).await;
        }
    }

    async fn probe(&self, _: &Action) -> Probe {
        let mut world = self.shared.lock();
        let fails = world.strikes(Fault::ProbeFails);
        if fails {
            let whom = world.hosts[self.host].id.clone();
            world.struck(now(), Fault::ProbeFails, whom);
        }
        Probe {
            healthy: !fails,
            message: String::new(),
        }
    }
}

impl World {
    /// An attempt begins, or is taken up again by a later agent.
    fn carry_out(&mut self, host: usize, key: &Key, work: &Work) {
        let at = now();
        if work.resumed && self.hosts[host].programs.contains_key(key) {
            self.happens(at, || format!("taken up {}", work.order.fence));
            return;
        }
        self.follow(at);
        let held = self.may_begin(host, work);
        self.hold(at, held);
        self.happens(at, || format!("begins {}", work.order.fence));
        let (takes, outcome) = self.fate(host, at, &work.order);
        let until = turmoil::sim_elapsed().unwrap_or_default() + takes;
        let host = &mut self.hosts[host];
        if stands(work.order.from_state.as_ref())
            && let Some(serves) = host.serves.get_mut(&work.order.app)
        {
            *serves = false;
        }
        let program = Program {
            order: work.order.clone(),
            progress: Progress::Runs(until, outcome),
        };
        host.programs.insert(key.clone(), program);
    }

    /// How long it takes and how it ends.
    fn fate(&mut self, host: usize, at: Time, order: &Arc<Order>) -> (Duration, Outcome) {
        if order.action == Action::Note {
            // No program: the ledger takes it down.
            return (Duration::ZERO, Outcome::done());
        }
        let id = self.hosts[host].id.clone();
        let strikes = |world: &mut Self, fault| {
            let strikes = world.faults.strikes(fault, &mut world.hosts[host].chance);
            if strikes {
                world.struck(at, fault, &id);
            }
            strikes
        };
        if strikes(self, Fault::ProgramHangs) {
            let outcome = Outcome::of(PhaseResult::TimedOut, "did not end".to_owned());
            return (order.timeout.duration(), outcome);
        }
        let slow = strikes(self, Fault::ProgramSlow);
        let fails = strikes(self, Fault::ProgramFails);
        let chance = &mut self.hosts[host].chance;
        let takes = chance.between(10, if slow { 9000 } else { 1500 });
        let takes = Duration::from_millis(takes).min(order.timeout.duration());
        if fails {
            return (takes, Outcome::failed("made to fail"));
        }
        (takes, Outcome::done())
    }

    /// Programs whose time has come end, whether an agent looks or not.
    pub(crate) fn programs_end(&mut self, at: Time) {
        let mut ended = Vec::new();
        for host in &mut self.hosts {
            for program in host.programs.values_mut() {
                if let Progress::Runs(until, outcome) = &program.progress
                    && until.as_millis() <= u128::from(at.0)
                {
                    let (fence, result) = (program.order.fence.clone(), outcome.result);
                    if result.is_success() {
                        served(&mut host.serves, &program.order);
                    }
                    program.progress = Progress::Ended(outcome.clone());
                    ended.push((fence, result));
                }
            }
        }
        for (fence, result) in ended {
            self.watch.ended(&fence, result);
            self.happens(at, || format!("ends {fence} {result}"));
        }
    }

    /// The host goes down: what runs is lost.
    pub(crate) fn programs_lost(&mut self, host: usize) {
        for program in self.hosts[host].programs.values_mut() {
            if let Progress::Runs(..) = program.progress {
                program.progress = Progress::Lost;
            }
        }
    }

    /// What must hold when a program begins.
    fn may_begin(&mut self, host: usize, work: &Work) -> Held {
        let (fence, app) = (&work.order.fence, &work.order.app);
        let ledger = self.hosts[host].disk.load().unwrap_or_default();
        must(says_that_it_runs(&ledger, fence), "3 durable first", || {
            format!("{fence} begins, and its host's ledger does not say so")
        })?;
        let stood = ledger.apps.get(app).and_then(|standing| standing.state.as_ref());
        let wanted = work.order.from_state.as_ref();
        must(
            work.resumed || stood.is_none() || wanted.is_none() || stood == wanted,
            "7 once",
            || format!("{fence} begins from {wanted:?}, and its host stands in {stood:?}"),
        )?;
        let beside = self.hosts[host].running(app).cloned();
        self.watch.obeys(&fence.host, ledger.term, ledger.term)?;
        self.watch.begins(fence, beside.is_none())?;
        if work.order.action == Action::Note {
            return Ok(());
        }
        self.is_next(host, &work.order)?;
        self.leaves_enough(host, &work.order)
    }

    /// By what runs on hosts: no more of a lane are at it than may be, and nothing of an earlier wave runs.
    fn is_next(&self, host: usize, order: &Order) -> Held {
        let id = &self.hosts[host].id;
        let Some(rollout) = self.watch.state().rollouts.get(&order.fence.rollout) else {
            return Ok(());
        };
        let Some((lane, wave)) = forward(rollout, id, order.fence.attempt) else {
            return Ok(());
        };
        let busy = self.hosts.iter().filter_map(|other| {
            let fence = other.running(&order.app).filter(|fence| fence.rollout == rollout.id)?;
            let (of, wave) = forward(rollout, &other.id, fence.attempt)?;
            (of == lane).then_some((&other.id, wave))
        });
        let busy: Vec<_> = busy.collect();
        let max = rollout.pace(lane).map_or(usize::MAX, |pace| pace.max_parallel as usize);
        must(busy.len() < max, "2 capacity", || {
            format!("{} begins beside {busy:?}, and {max} may be at it", order.fence)
        })?;
        // One that failed, and is tried again after its wave has passed, is late by a person's word.
        let is_late = |host: &HostId, of: usize| {
            let passed = rollout.lanes[lane].waves.get(of).and_then(|wave| wave.passed);
            let ordered = rollout.runs.get(host).and_then(|run| run.current.as_ref());
            passed
                .zip(ordered)
                .is_some_and(|(passed, current)| current.started >= passed)
        };
        let earlier = busy.iter().find(|(host, of)| *of < wave && !is_late(host, *of));
        must(earlier.is_none(), "9 gate", || {
            format!("{} begins in wave {wave} while {earlier:?} still runs", order.fence)
        })
    }

    /// By what runs on hosts: so many of its pool may be out of service. Only of a rollout that was alone since it gave the
    /// order: another's limit may be wider, and let a host out while the order was on its way.
    fn leaves_enough(&self, host: usize, order: &Order) -> Held {
        let leaving = &self.hosts[host];
        // What undoes a stop that was never begun starts a host that serves: it goes on serving.
        let leaves = stands(order.from_state.as_ref()) && !stands(order.after.state.as_ref());
        if !leaves || leaving.serves.is_empty() || leaving.is_out() {
            return Ok(());
        }
        let state = self.watch.state();
        let Some(rollout) = state.rollouts.get(&order.fence.rollout) else {
            return Ok(());
        };
        let run = rollout.runs.get(&leaving.id).and_then(|run| run.current.as_ref());
        let Some(ordered) = run.map(|current| current.started) else {
            return Ok(());
        };
        let has_been = |other: &Rollout| other.started.is_some() && other.ended.is_none_or(|ended| ended >= ordered);
        let is_beside = |other: &Rollout| other.id != rollout.id && has_been(other);
        if state.rollouts.values().any(is_beside) {
            return Ok(());
        }
        // What came to stand on a host for the first time while nobody could reach it has served nobody yet.
        let is_unheard = |id: &HostId| {
            let known = state.hosts.get(id);
            known.is_some_and(|known| !known.is_attached() && known.is_empty())
        };
        let pools = rollout.plan.lanes.iter().flat_map(|lane| &lane.capacity);
        for pool in pools.filter(|pool| pool.hosts.contains(&leaving.id)) {
            let others = self.hosts.iter().filter(|other| pool.hosts.contains(&other.id));
            let out = others.filter(|other| other.is_out()).map(|other| &other.id);
            let out: Vec<_> = out.filter(|id| !is_unheard(id)).collect();
            must(out.len() < pool.max_unavailable as usize, "2 capacity", || {
                let max = pool.max_unavailable;
                format!(
                    "{} takes its host out of service, {out:?} are out, and {max} may be",
                    order.fence
                )
            })?;
        }
        Ok(())
    }
}

/// Lane and wave of a host that goes forward with this attempt, as the journal has it.
fn forward(rollout: &Rollout, host: &HostId, attempt: u32) -> Option<(usize, usize)> {
    let run = rollout.runs.get(host)?;
    let current = run.current.as_ref()?;
    let goes = current.attempt == attempt && current.direction == Direction::Forward;
    goes.then_some((run.lane, run.wave))
}

/// What the end of a phase means for whether the app serves; one that is taken away is missed by nobody.
fn served(serves: &mut BTreeMap<App, bool>, order: &Order) {
    match &order.after.state {
        Some(state) if state.as_str() == SERVING => drop(serves.insert(order.app.clone(), true)),
        Some(state) if state.as_str() == ABSENT => drop(serves.remove(&order.app)),
        Some(_) => drop(serves.insert(order.app.clone(), false)),
        None => {}
    }
}

fn stands(state: Option<&StateName>) -> bool {
    state.is_some_and(|state| state.as_str() == SERVING)
}

fn says_that_it_runs(ledger: &Ledger, fence: &Fence) -> bool {
    let mut attempts = ledger.attempts.iter();
    attempts.any(|attempt| attempt.fence == *fence && matches!(attempt.progress, Attempted::Running(_)))
}
