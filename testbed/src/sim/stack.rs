//! `sim --real-stack`: seeds of the real-stack simulation, each in a process of its own, because clocks and chance are a
//! process's there; some of them twice, because the same seed must go the same. Deliberately nothing of that simulation is
//! linked here: it takes the place of this program's own clock.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::{process::Command, time};

use super::{Arguments, Broken, Figures, KEPT_MAX};
use crate::binaries::{self, target};

/// One seed in so many is run twice.
const TWICE_EVERY: u64 = 10;
/// A seed takes seconds; one that does not end is a fault as any.
const WITHIN: Duration = Duration::from_secs(300);
/// A set of so many seeds must have met every kind of trouble.
pub(super) const SEEDS_ENOUGH: u64 = 150;

/// What one process says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Told {
    events: u64,
    faults: std::collections::BTreeMap<String, u64>,
    faults_known: BTreeSet<String>,
    reached: BTreeSet<String>,
    transitions_total: usize,
    hash: String,
    lasted_ms: u64,
    violation: Option<Violation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Violation {
    invariant: String,
    text: String,
}

/// Runs them. Gives what they showed, and which kinds of trouble never struck.
pub(super) async fn all(arguments: &Arguments) -> anyhow::Result<(Figures, Vec<String>)> {
    let began = Instant::now();
    let program = binaries::build_stack().await?;
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    let seeds = arguments.first..arguments.first.saturating_add(arguments.seeds);
    let alone = arguments.seeds == 1;
    let mut told = stream::iter(seeds)
        .map(|seed| {
            looked_at(
                &program,
                arguments.hosts,
                seed,
                alone || seed.is_multiple_of(TWICE_EVERY),
            )
        })
        .buffered(at_once);
    let mut figures = Figures {
        hosts: arguments.hosts,
        ..Figures::default()
    };
    let (mut reached, mut known) = (BTreeSet::new(), BTreeSet::new());
    while let Some(one) = told.next().await {
        let (seed, told) = one?;
        figures.seeds += 1;
        figures.events += told.events;
        figures.transitions_total = figures.transitions_total.max(told.transitions_total);
        for (fault, count) in told.faults {
            *figures.faults.entry(fault).or_default() += count;
        }
        reached.extend(told.reached);
        known.extend(told.faults_known);
        if let Some(violation) = told.violation {
            let kept = figures.violations.len() < KEPT_MAX;
            figures
                .violations
                .push(broken(&program, arguments.hosts, seed, violation, kept).await?);
        }
    }
    figures.transitions_reached = reached.len();
    figures.seconds = began.elapsed().as_secs_f64();
    let missed = known
        .into_iter()
        .filter(|fault| !figures.faults.contains_key(fault))
        .collect();
    Ok((figures, missed))
}

/// A seed, and when it is one of those a second time.
async fn looked_at(program: &Path, hosts: u32, seed: u64, twice: bool) -> anyhow::Result<(u64, Told)> {
    let mut told = run(program, hosts, seed, None).await?;
    if twice && told.violation.is_none() {
        let again = run(program, hosts, seed, None).await?;
        if again != told {
            told.violation = Some(Violation {
                invariant: "determinism".into(),
                text: format!(
                    "the same seed went otherwise: {} events, {} ms, hash {}; then {} events, {} ms, hash {}",
                    told.events, told.lasted_ms, told.hash, again.events, again.lasted_ms, again.hash
                ),
            });
        }
    }
    Ok((seed, told))
}

async fn run(program: &Path, hosts: u32, seed: u64, story: Option<&Path>) -> anyhow::Result<Told> {
    let mut command = Command::new(program);
    command.args(["--seed", &seed.to_string(), "--hosts", &hosts.to_string()]);
    if let Some(story) = story {
        command.arg("--story").arg(story);
    }
    command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let Ok(ended) = time::timeout(WITHIN, command.output()).await else {
        bail!("seed {seed} did not end within {} s", WITHIN.as_secs());
    };
    let ended = ended.with_context(|| format!("{} cannot be started", program.display()))?;
    let said = String::from_utf8_lossy(&ended.stdout);
    serde_json::from_str(&said).with_context(|| {
        let errors = String::from_utf8_lossy(&ended.stderr);
        format!("seed {seed} ended without a word ({}): {errors}", ended.status)
    })
}

/// The seed once more with its story, which is kept.
async fn broken(program: &Path, hosts: u32, seed: u64, found: Violation, kept: bool) -> anyhow::Result<Broken> {
    let mut text = found.text;
    if kept {
        let story = story(hosts, seed)?;
        run(program, hosts, seed, Some(&story)).await?;
        text = format!("{text} (its story: {})", story.display());
    }
    Ok(Broken {
        seed,
        invariant: found.invariant,
        replay: format!("cargo run -p echelon-testbed -- sim --real-stack --first {seed} --seeds 1 --hosts {hosts}"),
        text,
    })
}

fn story(hosts: u32, seed: u64) -> anyhow::Result<PathBuf> {
    let folder = target()?.join("sim");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("stack-seed-{seed}-hosts-{hosts}.story")))
}
