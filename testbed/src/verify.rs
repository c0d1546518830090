//! `cargo verify`: everything that must hold before a change is taken, in one run that goes on after a failure and tells
//! all of it. What a step says is shown only when the step failed, and kept whole in `target/verify`. The last line is the
//! count: every test is one, and every step that is no test. Deliberately no timed assertion: a step has a bound so that
//! nothing hangs, and passes however slow this machine is.

mod bench;
mod buckets;
mod clients;
mod fuzz;
mod job;
mod judge;
mod needs;
mod room;
mod tally;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::ValueEnum;
use futures::future;

use crate::{
    binaries::{cargo, target},
    demo::Machine,
    hosts,
    reaper::Reaper,
    screen,
};
use job::Job;
use room::Room;
use tally::Tally;

const MINUTE: Duration = Duration::from_secs(60);
/// So many seeds must have reached everything.
const SIM_SEEDS: &str = "2000";
/// Each is a process, and one in ten is run twice.
const STACK_SEEDS: &str = "200";
/// Two in each datacenter, which is enough for waves, floors and pools, and takes a minute on two cores.
const SIM_HOSTS: &str = "8";
/// Of a story: two minutes at the most, and on a fresh machine a root for the hosts before it.
const STORY_WITHIN: Duration = Duration::from_secs(1800);

/// One part of it, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// What the other steps need on this machine; installs Debian's packages when run by root
    Needs,
    /// rustfmt has nothing to change
    Format,
    /// No warning of clippy
    Clippy,
    /// Every test of every crate, those in documentation too
    Tests,
    /// The reader of playbooks under libFuzzer for a while
    Fuzz,
    /// Seeds of the core simulation: what must hold, and that every fault and every transition was reached
    Sim,
    /// Seeds of the real-stack simulation: gRPC, TLS, coordinator and agents as they are, some of them twice
    SimStack,
    /// The demo
    Demo,
    /// The demo, with the coordinator killed in the middle of a wave
    DemoKillCoordinator,
    /// The demo, with an agent killed in the middle of a phase
    DemoKillAgent,
    /// The demo with the machines that are shipped, and with one of one's own
    DemoMachines,
    /// Real hosts under systemd in four datacenters: a rollout, and agents, hosts and lines that fail in the middle of a phase
    Hosts,
    /// Canary gates over a real Prometheus that scrapes real services, and a real Graphite that is told of them
    Canary,
    /// Real coordinator and agents, each killed once at every place where it could matter
    Crash,
    /// Twenty disks of coordinators and agents that lose their power in the middle of rollouts
    Power,
    /// The judge of canaries against SciPy, and its bench with a few canaries
    Judge,
    /// A Python client as a Jenkins job would use it
    Clients,
    /// An artifact out of an S3 bucket, which is moto's; installs moto from PyPI once
    Buckets,
    /// A small fleet: that the bench ends and prints what it should, not how fast
    Bench,
}

/// `verify`
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Arguments {
    /// Only this step; may be given again
    #[arg(long, value_enum, value_name = "STEP")]
    only: Vec<Step>,
}

/// What a step came to.
#[derive(Debug)]
struct Found {
    tally: Tally,
    /// One line.
    said: String,
}

impl Found {
    /// Of a step that is no test.
    fn good(said: impl Into<String>) -> Self {
        Self {
            tally: Tally::PASSED,
            said: said.into(),
        }
    }

    /// Of a step that this machine cannot take.
    fn left_out(said: &str) -> Self {
        Self {
            tally: Tally::default(),
            said: said.to_owned(),
        }
    }
}

/// All steps, or those asked for.
///
/// # Errors
/// There is no room to work in; whatever a step finds is no error of this.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let room = Room::new(target()?.join("verify"))?;
    // Dropped before the room, also when this is broken off in the middle: first those who write, then the folder.
    let reaper = Reaper::new()?;
    let wanted = |step: &Step| arguments.only.is_empty() || arguments.only.contains(step);
    let wanted: Vec<_> = Step::value_variants().iter().copied().filter(wanted).collect();
    let (mut number, mut whole, mut failed) = (0, Tally::default(), Vec::new());
    for turn in wanted.chunk_by(Step::goes_with) {
        for step in turn {
            number += 1;
            screen::title(number, step.title());
        }
        for (step, tally) in take(turn, &room).await {
            if tally.failed > 0 {
                failed.push(step.name());
            }
            whole += tally;
        }
    }
    screen::gap();
    if !failed.is_empty() {
        screen::bad(format_args!("failed: {}", failed.join(", ")));
        screen::note(format_args!("all that they said is in {}", room.logs().display()));
        screen::note(format_args!("one of them again: cargo verify --only {}", failed[0]));
    }
    screen::note(format_args!("{:.0} s", began.elapsed().as_secs_f64()));
    drop((reaper, room));
    screen::plain(whole);
    Ok(if whole.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Takes these steps at once, says what came of each, and ends and removes whatever they left behind, which is a failure
/// too: of the last, when they were several.
async fn take(turn: &[Step], room: &Room) -> Vec<(Step, Tally)> {
    let mut tallies = future::join_all(turn.iter().map(async |step| (*step, step.run(room).await))).await;
    for left in room.clear().await {
        screen::bad(format_args!("left behind: {left}"));
        if let Some((_, tally)) = tallies.last_mut() {
            tally.failed += 1;
        }
    }
    tallies
}

impl Step {
    /// Of two that follow each other: whether they are taken at once, since both mostly wait.
    fn goes_with(&self, next: &Self) -> bool {
        const AT_ONCE: [&[Step]; 2] = [
            &[Step::Demo, Step::DemoKillCoordinator, Step::DemoKillAgent],
            &[Step::Hosts, Step::Canary],
        ];
        AT_ONCE.iter().any(|turn| turn.contains(self) && turn.contains(next))
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Needs => "What this machine must have",
            Self::Format => "Format",
            Self::Clippy => "Clippy",
            Self::Tests => "Tests",
            Self::Fuzz => "The reader of playbooks, fuzzed",
            Self::Sim => "The whole ring in made-up time",
            Self::SimStack => "The real stack in made-up time",
            Self::Demo => "The demo",
            Self::DemoKillCoordinator => "The demo, with the coordinator killed in the middle of a wave",
            Self::DemoKillAgent => "The demo, with an agent killed in the middle of a phase",
            Self::DemoMachines => "The demo with other machines: glu's, Edge's, and one of one's own",
            Self::Hosts => "Real hosts, and what happens to them in the middle of a phase",
            Self::Canary => "Canary gates over a real Prometheus and a real Graphite",
            Self::Crash => "Killed at every place where it could matter",
            Self::Power => "Power cuts",
            Self::Judge => "The judge of canaries",
            Self::Clients => "A Python client, as a Jenkins job",
            Self::Buckets => "An artifact out of an S3 bucket",
            Self::Bench => "A small fleet in the bench",
        }
    }

    /// As `--only` takes it.
    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// Does it and says what came of it.
    async fn run(self, room: &Room) -> Tally {
        let began = Instant::now();
        let found = self.look(room).await;
        let (name, time) = (self.name(), began.elapsed().as_secs_f64());
        match found {
            Ok(found) if found.tally.failed == 0 => {
                screen::good(format_args!("{name}: {} ({time:.1} s)", found.said));
                found.tally
            }
            Ok(found) => {
                screen::bad(format_args!("{name}: {} ({time:.1} s)", found.said));
                found.tally
            }
            Err(error) => {
                screen::bad(format_args!("{name}: {error:#} ({time:.1} s)"));
                Tally::FAILED
            }
        }
    }

    async fn look(self, room: &Room) -> anyhow::Result<Found> {
        let name = self.name();
        match self {
            Self::Needs => needs::look(room).await,
            Self::Format => {
                let mut format = cargo();
                format.args(["fmt", "--all", "--check"]);
                Job::new(&name, format, 2 * MINUTE).must(room).await?;
                Ok(Found::good("nothing to change"))
            }
            Self::Clippy => {
                let mut clippy = cargo();
                clippy.args(["clippy", "--workspace", "--all-targets"]);
                clippy.args(["--features", "echelon-fuzz/libfuzzer", "--", "-D", "warnings"]);
                Job::new(&name, clippy, 20 * MINUTE).must(room).await?;
                Ok(Found::good("no warning"))
            }
            Self::Tests => tests(&name, room).await,
            Self::Fuzz => fuzz::look(&name, room).await,
            Self::Sim => story(&name, &["sim", "--seeds", SIM_SEEDS, "--hosts", SIM_HOSTS], room).await,
            Self::SimStack => {
                let words = ["sim", "--real-stack", "--seeds", STACK_SEEDS, "--hosts", SIM_HOSTS];
                story(&name, &words, room).await
            }
            Self::Demo => story(&name, &["demo"], room).await,
            Self::DemoKillCoordinator => story(&name, &["demo", "--kill-coordinator"], room).await,
            Self::DemoKillAgent => story(&name, &["demo", "--kill-agent"], room).await,
            Self::DemoMachines => machines(&name, room).await,
            // As root it must be able to; what it lacks is then said by the story itself, and is a failure.
            Self::Hosts if !hosts::able::is_root() => Ok(Found::left_out("left out: it takes root")),
            Self::Hosts => story(&name, &["hosts", "--events"], room).await,
            Self::Canary => story(&name, &["canary"], room).await,
            Self::Crash => story(&name, &["crash", "--passings", "1"], room).await,
            Self::Power if !hosts::able::is_root() => Ok(Found::left_out("left out: it takes root")),
            Self::Power => story(&name, &["power", "--cuts", "20"], room).await,
            Self::Judge => judge::look(&name, room).await,
            Self::Clients => clients::look(&name, room).await,
            Self::Buckets => buckets::look(&name, room).await,
            Self::Bench => bench::look(&name, room).await,
        }
    }
}

/// Every test counts as one; what cannot be built, or ends without a word, as one failure.
async fn tests(name: &str, room: &Room) -> anyhow::Result<Found> {
    let mut test = cargo();
    test.args(["test", "--workspace", "--no-fail-fast"]);
    let ended = Job::new(name, test, 30 * MINUTE).run(room).await?;
    let (mut tally, suites) = Tally::of_tests(&ended.said);
    let said = format!("{tally}, in {suites} suites");
    if ended.status.success() && tally.failed == 0 {
        anyhow::ensure!(tally.passed > 0, "not one test ran");
        return Ok(Found { tally, said });
    }
    ended.show();
    // Something that is no failed test: it does not compile, a suite was killed.
    tally.failed = tally.failed.max(1);
    Ok(Found {
        tally,
        said: format!("{said}; cargo test: {}", ended.status),
    })
}

/// This program again, with these words: it tells a story, and ends well when all of it is as it should be.
async fn story(name: &str, words: &[&str], room: &Room) -> anyhow::Result<Found> {
    let mut story = job::testbed()?;
    story.args(words);
    let ended = Job::new(name, story, STORY_WITHIN).must(room).await?;
    Ok(Found::good(ended.last_line()))
}

/// All of them at once: they mostly wait.
async fn machines(name: &str, room: &Room) -> anyhow::Result<Found> {
    let told = Machine::value_variants().iter().map(async |machine| {
        let machine = machine.to_possible_value().context("a machine has no name")?;
        let machine = machine.get_name();
        let mut demo = job::testbed()?;
        demo.args(["demo", "--machine", machine]);
        Job::new(&format!("{name}-{machine}"), demo, 10 * MINUTE)
            .must(room)
            .await
    });
    // Each to its own end, also when another fails: what it started it ends itself.
    let told = future::join_all(told)
        .await
        .into_iter()
        .collect::<anyhow::Result<Vec<_>>>()?;
    let machines = told.len();
    let lines = told.iter().flat_map(|ended| ended.said.lines());
    let facts = lines.filter(|line| line.starts_with("   ✔ ")).count();
    Ok(Found::good(format!(
        "{machines} machines do what is written of them: {facts} facts looked at"
    )))
}
