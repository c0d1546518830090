//! `echelon-testbed`: reads the command line and calls the library. Deliberately nothing else.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use echelon_testbed::{
    bench, canary,
    crash::{self, power},
    demo, fleet, fuzz, hosts, judge,
    reaper::Reaper,
    sample, screen, sim, verify,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// As a shell says that a program was interrupted.
const INTERRUPTED: u8 = 130;

/// Shows, verifies and measures Echelon on this machine; needs no root but for `hosts`, and leaves nothing behind.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A real release goes out over four datacenters, and a bad one comes back
    Demo(demo::Arguments),
    /// Everything that must hold before a change is taken: format, clippy, tests, fuzzing, demo, clients, a small bench
    Verify(verify::Arguments),
    /// Thousands of agents in one process, attached to a real coordinator, until Ctrl-C
    Fleet(fleet::Arguments),
    /// Real Debian hosts under systemd with the agent's package, and a real service rolled out on them; takes root
    Hosts(hosts::Arguments),
    /// Measure a coordinator with a fleet attached, from the outside
    Bench(bench::Arguments),
    /// A canary gate over a real Prometheus: a slower release and one that errs go back, a harmless one goes forward
    Canary(canary::Arguments),
    /// What the judge of canaries gets wrong, and how soon it finds harm, over made-up fleets
    Judge(judge::Arguments),
    /// The reader of playbooks under libFuzzer, for as long as you like
    Fuzz(fuzz::Arguments),
    /// The whole ring in made-up time, seed after seed: anything may fail, and what must hold is asked after every event
    Sim(sim::Arguments),
    /// Real processes, each killed at every place where it could matter, and what must hold then
    Crash(crash::Arguments),
    /// Disks that lose their power in the middle of rollouts, with all that was not made durable; takes root
    Power(power::Arguments),
    /// What led to a violation that `sim` found, told again
    Replay(sim::ReplayArguments),
    /// The service that the demo rolls out; not for people
    #[command(hide = true)]
    SampleService(sample::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    if let Command::Judge(arguments) = &arguments.command {
        return judge::run(arguments);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Command::SampleService(arguments) = arguments.command {
        runtime.block_on(sample::run(&arguments))?;
        return Ok(ExitCode::SUCCESS);
    }
    // Dropped after everything else here, also on a panic: whatever was started and is still there is ended.
    let _reaper = Reaper::new()?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = run(arguments.command) => done,
            told = told_to_stop() => told,
        }
    });
    runtime.shutdown_background();
    done
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments).await,
        Command::Verify(arguments) => verify::run(&arguments).await,
        Command::Fleet(arguments) => fleet::run(&arguments).await,
        Command::Hosts(arguments) => hosts::run(&arguments).await,
        Command::Bench(arguments) => bench::run(&arguments).await,
        Command::Canary(arguments) => canary::run(&arguments).await,
        Command::Fuzz(arguments) => fuzz::run(&arguments).await,
        Command::Crash(arguments) => crash::run(&arguments).await,
        Command::Power(arguments) => power::run(&arguments).await,
        Command::Sim(arguments) => sim::run(&arguments).await,
        Command::Replay(arguments) => sim::replay(&arguments).await,
        Command::Judge(_) | Command::SampleService(_) => Ok(ExitCode::SUCCESS),
    }
}

async fn told_to_stop() -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    screen::note("told to stop: ending everything that was started");
    Ok(ExitCode::from(INTERRUPTED))
}
