//! `sim`: seeds of the core simulation (`echelon-sim`) on every core, or of the real stack, and what they found; `replay`:
//! one of the core's stories again. Deliberately no world of its own.

mod replay;
mod stack;

use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode, thread, time::Instant};

use anyhow::{Context as _, ensure};
use echelon_sim::{Ran, Set, TRANSITIONS, Violation, guarded, run as one};
use serde::{Deserialize, Serialize};

use crate::{bench::Format, binaries::target, screen};

pub use replay::{Arguments as ReplayArguments, run as replay};

/// A set of so many seeds must have reached everything.
const SEEDS_ENOUGH: u64 = 1000;
/// Of the real stack: turmoil looks at every pair of machines in every tick.
const STACK_HOSTS_MAX: u32 = 50;
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
    /// The real stack, gRPC and TLS and all, with up to 50 hosts over three datacenters; a process a seed
    #[arg(long)]
    real_stack: bool,
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
    pub faults: BTreeMap<String, u64>,
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
    let (figures, missed) = if arguments.real_stack {
        ensure!(
            arguments.hosts <= STACK_HOSTS_MAX,
            "the real stack takes up to {STACK_HOSTS_MAX} hosts"
        );
        stack::all(arguments).await?
    } else {
        let wanted = arguments.clone();
        tokio::task::spawn_blocking(move || all(&wanted)).await??
    };
    show(arguments, &figures, &missed)?;
    let holds = figures.violations.is_empty() && (arguments.seeds < arguments.enough() || missed.is_empty());
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Arguments {
    /// A set of so many seeds must have reached everything.
    const fn enough(&self) -> u64 {
        if self.real_stack {
            stack::SEEDS_ENOUGH
        } else {
            SEEDS_ENOUGH
        }
    }
}

fn all(arguments: &Arguments) -> anyhow::Result<(Figures, Vec<String>)> {
    let began = Instant::now();
    let sum = set(arguments).run();
    let mut figures = Figures {
        seeds: sum.seeds,
        hosts: arguments.hosts,
        events: sum.events,
        faults: sum
            .faults
            .iter()
            .map(|(fault, count)| (fault.name().to_owned(), *count))
            .collect(),
        transitions_reached: sum.reached.len(),
        transitions_total: TRANSITIONS.len(),
        ..Figures::default()
    };
    for (seed, violation) in &sum.broken {
        let kept = figures.violations.len() < KEPT_MAX;
        figures.violations.push(broken(arguments, *seed, violation, kept)?);
    }
    figures.seconds = began.elapsed().as_secs_f64();
    Ok((figures, sum.missed().into_iter().map(str::to_owned).collect()))
}

fn set(arguments: &Arguments) -> Set {
    Set {
        first: arguments.first,
        seeds: arguments.seeds,
        hosts: arguments.hosts as usize,
        threads: thread::available_parallelism().map_or(1, usize::from),
        only_first: false,
    }
}

/// The seed once more with its story, which is kept beside the command that walks it.
fn broken(arguments: &Arguments, seed: u64, violation: &Violation, kept: bool) -> anyhow::Result<Broken> {
    let hosts = arguments.hosts;
    let mut replay = format!("cargo run -p echelon-testbed -- sim --first {seed} --seeds 1 --hosts {hosts}");
    if kept && let Ok(ran) = guarded(set(arguments).setup(seed, true), one) {
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

fn show(arguments: &Arguments, figures: &Figures, missed: &[String]) -> anyhow::Result<()> {
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
        if arguments.seeds < arguments.enough() {
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
