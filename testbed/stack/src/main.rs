//! `echelon-stack`: one seed of the real-stack simulation, told as one line of JSON. Whoever wants many runs many of these:
//! clocks and chance are a process's.

use std::{fs, io::Write as _, path::PathBuf, process::ExitCode, thread};

use anyhow::Context as _;
use clap::Parser;
use echelon_sim::TRANSITIONS;
use echelon_stack::{Fault, Ran, Setup, deterministic, run};
use serde_json::json;
use tracing_subscriber::EnvFilter;

/// Runs one seed of the real stack in made-up time.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which
    #[arg(long)]
    seed: u64,
    /// Hosts of the fleet
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=50))]
    hosts: u16,
    /// Write what happened to this file
    #[arg(long, value_name = "FILE")]
    story: Option<PathBuf>,
    /// Make this known mistake, by name (proto/src/planted.rs)
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "MISTAKE")]
    plant: Option<String>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off")))
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    let data = tempfile::Builder::new().prefix("echelon-stack-").tempdir()?;
    let setup = Setup {
        seed: arguments.seed,
        hosts: arguments.hosts.into(),
        told: arguments.story.is_some(),
    };
    let clocks = deterministic(setup.seed);
    let folder = data.path().to_owned();
    #[cfg(feature = "planted")]
    let plant = plant(arguments.plant.as_deref())?;
    let seed = thread::Builder::new().spawn(move || {
        #[cfg(feature = "planted")]
        echelon_proto::planted::plant(plant);
        run(setup, &folder)
    })?;
    let ran = seed.join().map_err(|_| anyhow::anyhow!("the seed panicked"))??;
    drop(clocks);
    if let Some(path) = &arguments.story {
        let text = ran.lines.join("\n") + "\n";
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    writeln!(std::io::stdout(), "{}", told(&ran))?;
    Ok(if ran.violation.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// As the testbed reads it.
fn told(ran: &Ran) -> serde_json::Value {
    let faults: serde_json::Map<_, _> = ran
        .faults
        .iter()
        .map(|(fault, n)| (fault.name().to_owned(), json!(n)))
        .collect();
    json!({
        "events": ran.events,
        "faults": faults,
        "faults_known": Fault::ALL.iter().map(|fault| fault.name()).collect::<Vec<_>>(),
        "reached": ran.reached,
        "transitions_total": TRANSITIONS.len(),
        "hash": format!("{:016x}", ran.hash),
        "lasted_ms": u64::try_from(ran.lasted.as_millis()).unwrap_or(u64::MAX),
        "violation": ran.violation.as_ref().map(|found| json!({ "invariant": found.invariant, "text": found.text })),
    })
}

#[cfg(feature = "planted")]
fn plant(called: Option<&str>) -> anyhow::Result<Option<echelon_proto::planted::Plant>> {
    use echelon_proto::planted::Plant;
    let Some(called) = called else { return Ok(None) };
    let found = Plant::ALL.iter().find(|plant| plant.name() == called);
    Ok(Some(*found.with_context(|| format!("no mistake is called {called}"))?))
}
