//! Many seeds on several threads, and what they showed together. Each world is one thread's alone, so a seed goes the same
//! however many run beside it. Deliberately no telling of it: that is the caller's.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::{Fault, Ran, Setup, TRANSITIONS, Violation, run};

/// Which seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// The first of them.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// Hosts of each fleet, over four datacenters.
    pub hosts: usize,
    /// At once.
    pub threads: usize,
    /// No seed after the first in which something did not hold.
    pub only_first: bool,
}

/// What they showed.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    /// Seeds that ran to their end, or to where something did not hold.
    pub seeds: u64,
    /// Things that happened.
    pub events: u64,
    /// Rollouts there were.
    pub rollouts: u64,
    /// How often each kind of trouble struck.
    pub faults: BTreeMap<Fault, u64>,
    /// What of [`TRANSITIONS`] was reached.
    pub reached: BTreeSet<&'static str>,
    /// What did not hold, by seed.
    pub broken: BTreeMap<u64, Violation>,
}

impl Set {
    /// Runs them. `one` runs a seed: [`run`], or that with something beside it.
    pub fn run_by(&self, one: impl Fn(Setup) -> Ran + Sync) -> Sum {
        let (next, end) = (AtomicU64::new(self.first), self.first.saturating_add(self.seeds));
        let (sum, lowest) = (Mutex::new(Sum::default()), AtomicU64::new(u64::MAX));
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end || (self.only_first && seed > lowest.load(Ordering::Relaxed)) {
                    return;
                }
                let ran = guarded(self.setup(seed, false), &one);
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                sum.add(seed, ran);
                if let Some((broken, _)) = sum.broken.first_key_value() {
                    lowest.store(*broken, Ordering::Relaxed);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(work);
            }
        });
        sum.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs them.
    #[must_use]
    pub fn run(&self) -> Sum {
        self.run_by(run)
    }

    /// One of them.
    #[must_use]
    pub fn setup(&self, seed: u64, told: bool) -> Setup {
        Setup {
            seed,
            hosts: self.hosts,
            told,
            until: None,
        }
    }
}

/// A panic is a bug of what is simulated, and told as a violation.
pub fn guarded(setup: Setup, one: impl Fn(Setup) -> Ran) -> Result<Ran, Violation> {
    catch_unwind(AssertUnwindSafe(|| one(setup))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Violation {
            invariant: "bug",
            text: text.unwrap_or_else(|| "a panic without a word".to_owned()),
        }
    })
}

impl Sum {
    fn add(&mut self, seed: u64, ran: Result<Ran, Violation>) {
        self.seeds += 1;
        let violation = match ran {
            Ok(ran) => {
                self.events += ran.events;
                self.rollouts += ran.rollouts;
                self.reached.extend(ran.reached);
                for (fault, count) in ran.faults {
                    *self.faults.entry(fault).or_default() += count;
                }
                ran.violation
            }
            Err(violation) => Some(violation),
        };
        if let Some(violation) = violation {
            self.broken.insert(seed, violation);
        }
    }

    /// Kinds of trouble that never struck, and transitions that were never reached.
    #[must_use]
    pub fn missed(&self) -> Vec<&'static str> {
        let unseen = Fault::ALL.iter().filter(|fault| !self.faults.contains_key(fault));
        let missed = TRANSITIONS.iter().copied().filter(|name| !self.reached.contains(name));
        missed.chain(unseen.map(|fault| fault.name())).collect()
    }
}
