//! `sim`: seeds of the core simulation (`echelon-sim`) on every core, and what they found; `replay`: one of its stories
//! again. Deliberately no world of its own.

mod replay;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::Context as _;
use echelon_sim::{Fault, Ran, Setup, TRANSITIONS, Violation, run as one};
use serde::{Deserialize, Serialize};

use crate::{bench::Format, binaries::target, screen};

pub use replay::{Arguments as ReplayArguments, run as replay};

/// A set of so many seeds must have reached everything.
const SEEDS_ENOUGH: u64 = 1000;
/// Stories that are kept of one set: more of them say the same.
const KEPT_MAX: usize = 20;

/// `sim`
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Hosts of each fleet, over four datacenters
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    hosts: u32,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// What a set of seeds showed.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    /// Seeds that were run.
    pub seeds: u64,
    /// Of each fleet.
    pub hosts: u32,
    /// Things that happened, in all.
    pub events: u64,
    /// How often each kind of trouble struck.
    pub faults: BTreeMap<&'static str, u64>,
    /// Of [`TRANSITIONS`].
    pub transitions_reached: usize,
    /// All of them.
    pub transitions_total: usize,
    /// What did not hold.
    pub violations: Vec<Broken>,
    /// By this machine's clock.
    pub seconds: f64,
}

/// One seed in which something did not hold.
#[derive(Debug, Clone, Serialize)]
pub struct Broken {
    /// Which.
    pub seed: u64,
    /// By number and name.
    pub invariant: String,
    /// The command that shows it again.
    pub replay: String,
    /// What was found.
    pub text: String,
}

/// The first line of a story: what it takes to have it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    seed: u64,
    hosts: usize,
    invariant: String,
    text: String,
    hash: String,
}

/// Runs them.
///
/// # Errors
/// A story cannot be written.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let wanted = arguments.clone();
    let done = tokio::task::spawn_blocking(move || all(&wanted)).await?;
    let (figures, missed) = done?;
    show(arguments, &figures, &missed)?;
    let holds = figures.violations.is_empty() && (arguments.seeds < SEEDS_ENOUGH || missed.is_empty());
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What each thread adds to.
#[derive(Debug, Default)]
struct Sum {
    events: u64,
    faults: BTreeMap<Fault, u64>,
    reached: BTreeSet<&'static str>,
    broken: BTreeMap<u64, Violation>,
}

fn all(arguments: &Arguments) -> anyhow::Result<(Figures, Vec<&'static str>)> {
    let began = Instant::now();
    let (next, end) = (AtomicU64::new(arguments.first), arguments.first + arguments.seeds);
    let sum = Mutex::new(Sum::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let ran = guarded(setup(arguments, seed, false));
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            match ran {
                Ok(ran) => sum.add(seed, ran),
                Err(violation) => drop(sum.broken.insert(seed, violation)),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut figures = Figures {
        seeds: arguments.seeds,
        hosts: arguments.hosts,
        events: sum.events,
        faults: sum.faults.iter().map(|(fault, count)| (fault.name(), *count)).collect(),
        transitions_reached: sum.reached.len(),
        transitions_total: TRANSITIONS.len(),
        ..Figures::default()
    };
    for (seed, violation) in &sum.broken {
        let kept = figures.violations.len() < KEPT_MAX;
        figures.violations.push(broken(arguments, *seed, violation, kept)?);
    }
    figures.seconds = began.elapsed().as_secs_f64();
    let unseen = Fault::ALL.iter().filter(|fault| !sum.faults.contains_key(fault));
    let missed = TRANSITIONS.iter().copied().filter(|name| !sum.reached.contains(name));
    let missed = missed.chain(unseen.map(|fault| fault.name())).collect();
    Ok((figures, missed))
}

fn setup(arguments: &Arguments, seed: u64, told: bool) -> Setup {
    Setup {
        seed,
        hosts: arguments.hosts as usize,
        told,
        until: None,
    }
}

/// A panic is a bug of what is simulated, and told as one.
fn guarded(setup: Setup) -> Result<Ran, Violation> {
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
    fn add(&mut self, seed: u64, ran: Ran) {
        self.events += ran.events;
        self.reached.extend(ran.reached);
        for (fault, count) in ran.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        if let Some(violation) = ran.violation {
            self.broken.insert(seed, violation);
        }
    }
}

/// The seed once more with its story, which is kept beside the command that walks it.
fn broken(arguments: &Arguments, seed: u64, violation: &Violation, kept: bool) -> anyhow::Result<Broken> {
    let hosts = arguments.hosts;
    let mut replay = format!("cargo run -p echelon-testbed -- sim --first {seed} --seeds 1 --hosts {hosts}");
    if kept && let Ok(ran) = guarded(setup(arguments, seed, true)) {
        let path = keep(arguments, seed, violation, &ran).context("the story of a violation cannot be kept")?;
        replay = format!(
            "cargo run -p echelon-testbed -- replay {} --until {}",
            path.display(),
            ran.events
        );
    }
    Ok(Broken {
        seed,
        invariant: violation.invariant.to_owned(),
        replay,
        text: violation.text.clone(),
    })
}

fn keep(arguments: &Arguments, seed: u64, violation: &Violation, ran: &Ran) -> anyhow::Result<PathBuf> {
    let folder = target()?.join("sim");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("seed-{seed}-hosts-{}.story", arguments.hosts));
    let head = Head {
        seed,
        hosts: arguments.hosts as usize,
        invariant: violation.invariant.to_owned(),
        text: violation.text.clone(),
        hash: format!("{:016x}", ran.hash),
    };
    let mut text = serde_json::to_string(&head)?;
    for line in &ran.lines {
        text.push('\n');
        text.push_str(line);
    }
    fs::write(&path, text + "\n")?;
    Ok(path)
}

fn show(arguments: &Arguments, figures: &Figures, missed: &[&str]) -> anyhow::Result<()> {
    if arguments.output == Format::Json {
        screen::plain(serde_json::to_string(figures)?);
        return Ok(());
    }
    let faults: u64 = figures.faults.values().sum();
    screen::note(format_args!(
        "{} seeds of {} hosts: {} events, {faults} faults of {} kinds, {} of {} transitions, {:.1} s",
        figures.seeds,
        figures.hosts,
        figures.events,
        figures.faults.len(),
        figures.transitions_reached,
        figures.transitions_total,
        figures.seconds
    ));
    for broken in &figures.violations {
        screen::bad(format_args!(
            "seed {}: {}: {}",
            broken.seed, broken.invariant, broken.text
        ));
        screen::command(&broken.replay);
    }
    if !missed.is_empty() {
        let missed = missed.join(", ");
        if arguments.seeds < SEEDS_ENOUGH {
            screen::note(format_args!("not reached, which takes more seeds: {missed}"));
        } else {
            screen::bad(format_args!("never reached: {missed}"));
        }
    }
    if figures.violations.is_empty() {
        screen::good("what must hold held in each of them");
    }
    Ok(())
}
