//! A host: its agent's real machine over a ledger on a made-up disk, and the programs that run there, which outlive the
//! agent and not the host. Deliberately no network: what is to be said is handed back.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use echelon_agent::{
    executor::Work,
    ledger::{self, Ledger},
    machine::{self, Input, Machine},
    order::{Order, Outcome, PhaseResult, Report},
};
use echelon_engine::{effect::Effect, event::Hello, host::Standing};
use echelon_proto::{App, Datacenter, Fence, HostId, Label, Pool, RolloutId, Time};

/// An attempt of a rollout on this host.
pub(crate) type Key = (RolloutId, u32);

/// A program that was begun.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) order: Arc<Order>,
    pub(crate) progress: Progress,
    /// By an agent that lives and hears of its end.
    pub(crate) watched: bool,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It will end so.
    Runs(Outcome),
    /// It has.
    Ended(Outcome),
    /// The host went down under it.
    Lost,
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) id: HostId,
    pub(crate) datacenter: Datacenter,
    pub(crate) pool: Pool,
    pub(crate) labels: BTreeMap<Label, String>,
    pub(crate) joined: bool,
    /// `None`: its agent does not run.
    pub(crate) agent: Option<Machine>,
    /// On its disk.
    pub(crate) ledger: Ledger,
    pub(crate) disk_full: bool,
    pub(crate) link: Option<u64>,
    pub(crate) programs: BTreeMap<Key, Program>,
    /// Watches of this connection, by name, and what each said last.
    pub(crate) watches: BTreeMap<String, Option<bool>>,
    /// The newest orders that were sent to it.
    pub(crate) ordered: VecDeque<Arc<Effect>>,
    /// The agent dies at its next save, before (`false`) or after it.
    pub(crate) dies_at_save: Option<bool>,
}

/// What an input led to.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) begin: Vec<Work>,
    pub(crate) reports: Vec<Report>,
    /// The ledger could not be saved.
    pub(crate) save_again: bool,
    /// The agent died.
    pub(crate) died: bool,
}

impl Host {
    /// The agent starts from its ledger.
    pub(crate) fn start(&mut self, now: Time) -> Moved {
        self.agent = Some(Machine::new(self.id.clone(), self.ledger.clone()));
        self.settle(now)
    }

    /// As `link::Agent::take`: one input to its end.
    pub(crate) fn take(&mut self, input: Input, now: Time) -> Moved {
        let Some(machine) = &mut self.agent else {
            return Moved::default();
        };
        machine.on(input, now);
        self.settle(now)
    }

    /// As `link::Agent::settle`: the ledger first, then what it allows.
    pub(crate) fn settle(&mut self, now: Time) -> Moved {
        let mut moved = Moved::default();
        let Some(machine) = &mut self.agent else { return moved };
        if let Some(ledger) = machine.unsaved() {
            let dies = self.dies_at_save.take();
            if self.disk_full {
                machine.not_saved("the disk is full", now);
                moved.save_again = true;
            } else if dies == Some(false) {
                moved.died = true;
            } else {
                self.ledger = ledger.clone();
                machine.saved();
                moved.died = dies == Some(true);
            }
        }
        if moved.died {
            self.agent = None;
            self.unwatched();
            return moved;
        }
        for effect in machine.effects() {
            match effect {
                machine::Effect::Start(work) => moved.begin.push(work),
                machine::Effect::Report(report) => moved.reports.push(*report),
            }
        }
        moved
    }

    /// What it says when it attaches.
    pub(crate) fn hello(&self) -> Option<Hello> {
        let machine = self.agent.as_ref()?;
        let standings = machine.standings().filter_map(|standing| {
            let stands = Standing {
                state: standing.state.clone()?,
                release: standing.release.clone(),
                previous: standing.previous.clone(),
                error: Some(standing.error.clone()).filter(|error| !error.is_empty()),
                traffic: Default::default(),
            };
            Some((standing.app.clone(), stands))
        });
        Some(Hello {
            version: "1".into(),
            labels: BTreeMap::new(),
            facts: BTreeMap::new(),
            standings: standings.collect(),
        })
    }

    /// Its agent is gone: nobody hears of an end until one takes it up again.
    pub(crate) fn unwatched(&mut self) {
        self.programs.values_mut().for_each(|program| program.watched = false);
    }

    /// Whether no program of this app runs.
    pub(crate) fn is_free(&self, app: &App) -> bool {
        let runs = |program: &Program| matches!(program.progress, Progress::Runs(_)) && program.order.app == *app;
        !self.programs.values().any(runs)
    }

    /// The host goes down: what runs is lost.
    pub(crate) fn go_down(&mut self) {
        for program in self.programs.values_mut() {
            if let Progress::Runs(_) = program.progress {
                program.progress = Progress::Lost;
            }
        }
    }

    /// Whether the ledger on its disk says that the attempt runs.
    pub(crate) fn says_that_it_runs(&self, fence: &Fence) -> bool {
        let runs = |progress: &ledger::Progress| matches!(progress, ledger::Progress::Running(_));
        let mut attempts = self.ledger.attempts.iter();
        attempts.any(|attempt| attempt.fence == *fence && runs(&attempt.progress))
    }

    /// How an attempt that an agent takes up again stands: ended, and how; `None`: it runs, or was never begun.
    pub(crate) fn found(&self, fence: &Fence) -> Option<Outcome> {
        match &self.programs.get(&key(fence))?.progress {
            Progress::Runs(_) => None,
            Progress::Ended(outcome) => Some(outcome.clone()),
            Progress::Lost => Some(Outcome::of(PhaseResult::Lost, "the host went down".to_owned())),
        }
    }
}

/// The attempt's.
pub(crate) fn key(fence: &Fence) -> Key {
    (fence.rollout.clone(), fence.attempt)
}
