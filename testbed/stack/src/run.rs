//! One seed, from an empty fleet to the end: the coordinator, its agents and its people in turmoil's one thread, what goes
//! wrong between its ticks, and what must hold asked after each. To be called once in a process, after
//! [`deterministic`]: chance and clocks of the whole process are the seed's then.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use echelon_coordinator::pki::{self, Authority};
use echelon_proto::Time;
use echelon_sim::{Held, Violation, must};
use mad_turmoil::time::SimClocksGuard;
use rand::{SeedableRng as _, rngs::StdRng};
use turmoil::Sim;

use crate::{
    center,
    fault::Fault,
    host::{self, name},
    people,
    trouble::{LATENCY, Trouble},
    world::{Shared, Stage, World},
};

/// Of turmoil's: a message arrives at the end of one. Longer ones make seeds faster and answers later.
const TICK: Duration = Duration::from_millis(20);
/// For the last words after the last outcome.
const SETTLES: u64 = 15_000;
/// People give up what does not move after two minutes: no rollout of so few hosts takes so long, healed.
const PATIENCE: u64 = 10 * 60_000;

/// Which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// What chance is drawn from.
    pub seed: u64,
    /// Hosts of the fleet.
    pub hosts: usize,
    /// Whether its story is told, line by line.
    pub told: bool,
}

/// How it went.
#[derive(Debug)]
pub struct Ran {
    /// Things that happened.
    pub events: u64,
    /// Troubles that struck.
    pub faults: BTreeMap<Fault, u64>,
    /// What of [`echelon_sim::TRANSITIONS`] was reached.
    pub reached: BTreeSet<&'static str>,
    /// Of everything that happened in its order.
    pub hash: u64,
    /// How long it took, by its own clocks.
    pub lasted: Duration,
    /// What did not hold, if something did not.
    pub violation: Option<Violation>,
    /// The story, if it was to be told: event, time, what.
    pub lines: Vec<String>,
}

/// A seed could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// With certificates.
    #[error(transparent)]
    Pki(#[from] pki::Error),
    /// With a person's TLS.
    #[error("a person's TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// With a person's key.
    #[error("a person's key: {0}")]
    Key(#[from] rustls_pki_types::pem::Error),
}

/// From now on every random number and every clock of this process is the seed's. To be called once, before the thread in
/// which the seed runs is begun: what is drawn once a thread must be drawn after it.
#[must_use]
pub fn deterministic(seed: u64) -> SimClocksGuard {
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
    SimClocksGuard::init()
}

/// The first panic anywhere: a task's is otherwise only its own.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Runs one seed to its end. `data` is an empty folder for what is no journal.
///
/// # Errors
/// It could not be begun.
pub fn run(setup: Setup, data: &Path) -> Result<Ran, Error> {
    std::panic::set_hook(Box::new(|panic| {
        let mut first = PANIC.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| panic.to_string());
    }));
    let pki = data.join("pki");
    let authority = Authority::init(&pki, &[], &name("root"), Time::default())?;
    let shared = Shared::new(World::new(setup.seed, setup.hosts, data.to_owned(), setup.told));
    let mut sim = turmoil::Builder::new()
        .rng_seed(setup.seed)
        .tick_duration(TICK)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(LATENCY)
        .simulation_duration(Duration::MAX)
        .tcp_capacity(4096)
        .build();
    settle(&mut sim, &shared, &authority)?;
    let mut life = Life {
        sim: &mut sim,
        shared: shared.clone(),
        trouble: Trouble::new(setup.hosts),
        ends: 0,
        over: None,
    };
    if let Err(error) = life.live() {
        bug(&shared, sim.elapsed(), format!("a host ended: {error}"));
    }
    let lasted = sim.elapsed();
    let mut world = shared.lock();
    let story = std::mem::replace(&mut world.story, echelon_sim::Story::new(false));
    Ok(Ran {
        events: story.events,
        faults: world.counts.clone(),
        reached: story.reached.clone(),
        hash: story.hash(),
        lasted,
        violation: world.violation.clone(),
        lines: story.into_lines(),
    })
}

/// Every machine and who lives on it.
fn settle(sim: &mut Sim<'_>, shared: &Shared, authority: &Authority) -> Result<(), Error> {
    let world = shared.clone();
    sim.host(center::NAME, move || center::live(world.clone()));
    let ca: Arc<str> = authority.ca_pem().into();
    let hosts = shared.lock().hosts.len();
    for at in 0..hosts {
        let (node, world, ca) = (shared.lock().hosts[at].node(), shared.clone(), ca.clone());
        sim.host(node, move || host::live(world.clone(), at, ca.clone()));
    }
    sim.client(people::NODE, people::live(shared.clone(), people::all(authority)?));
    Ok(())
}

/// A seed under way.
struct Life<'s, 'h> {
    sim: &'s mut Sim<'h>,
    shared: Shared,
    trouble: Trouble,
    /// When its stage ends.
    ends: u64,
    /// When it is over, if nothing stirs until then.
    over: Option<u64>,
}

impl Life<'_, '_> {
    /// To the end, or to where something does not hold.
    fn live(&mut self) -> turmoil::Result {
        loop {
            self.sim.step()?;
            let at = time(self.sim.elapsed());
            {
                let mut world = self.shared.lock();
                world.programs_end(at);
                world.follow(at);
            }
            if let Some(panic) = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take() {
                bug(&self.shared, self.sim.elapsed(), panic);
            }
            if self.shared.lock().violation.is_some() {
                return Ok(());
            }
            self.trouble.pass(self.sim, &self.shared, at);
            if self.passes(at) {
                return Ok(());
            }
        }
    }

    /// One stage follows the other. Whether it was the last.
    fn passes(&mut self, at: Time) -> bool {
        let stage = self.shared.lock().stage;
        match stage {
            Stage::Joining if at.0 > PATIENCE => {
                bug(&self.shared, self.sim.elapsed(), "hosts cannot join".to_owned());
                true
            }
            Stage::Joining => false,
            Stage::Troubled if self.ends == 0 => {
                let mut world = self.shared.lock();
                self.trouble.begin(&mut world, at);
                self.ends = at.0 + world.chance.between(40_000, 100_000);
                false
            }
            Stage::Troubled if at.0 >= self.ends => {
                self.trouble.heal(self.sim, &self.shared, at);
                self.shared.lock().stage = Stage::Healed;
                self.ends = at.0 + PATIENCE;
                false
            }
            Stage::Troubled => false,
            Stage::Healed => self.is_over(at),
        }
    }

    /// Nothing stirs, or it never ends.
    fn is_over(&mut self, at: Time) -> bool {
        let mut world = self.shared.lock();
        let runs = self.trouble.is_coordinator_up() && world.reader.is_some();
        let rests = runs && world.watch.state().active.is_empty();
        self.over = self.over.filter(|_| rests).or(rests.then_some(at.0 + SETTLES));
        let over = self.over.is_some_and(|over| at.0 >= over);
        let held = match (over, at.0 >= self.ends) {
            (true, _) => agree(&world),
            (false, true) => stuck(&world, at),
            (false, false) => return false,
        };
        world.hold(at, held);
        world.compare(at);
        true
    }
}

fn time(elapsed: Duration) -> Time {
    Time(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

fn bug(shared: &Shared, elapsed: Duration, text: String) {
    let held = Err(Violation { invariant: "bug", text });
    shared.lock().hold(time(elapsed), held);
}

/// No outcome.
fn stuck(world: &World, at: Time) -> Held {
    let state = world.watch.state();
    let stands: Vec<_> = state
        .active()
        .map(|rollout| format!("{} {:?}", rollout.id, rollout.status))
        .collect();
    let why = state
        .active()
        .next()
        .map(|rollout| echelon_engine::view::explain(state, &Default::default(), &rollout.id, at));
    must(false, "13 liveness", || {
        format!("no outcome {PATIENCE} ms after all was healed: {stands:?}: {why:?}")
    })
}

/// What the coordinator believes of each host is what its agent's ledger says.
fn agree(world: &World) -> Held {
    for host in &world.hosts {
        let ledger = host.disk.load().map_err(|error| Violation {
            invariant: "12 acknowledged",
            text: format!("{}: {error}", host.id),
        })?;
        world.watch.agrees(&host.id, &ledger)?;
    }
    Ok(())
}
