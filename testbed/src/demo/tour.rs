//! The tour of one machine: its playbook is read, rehearsed and pushed as it is shipped, then used: forward, by its other
//! operations, and back from a release that is bad. At the end a host joins late, is seen as drift, and is brought along.
//! After each rollout the programs' own log says what every host was asked for.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context as _, bail};
use echelon_cli::exit::Exit;
use serde_json::Value;

use super::{
    machine::{Act, Machine},
    scene::{DATACENTERS, Scene},
};
use crate::{binaries::repository, cli::Cli, coordinator::Person, screen};

/// Of one rollout.
const ROLLOUT_WITHIN: Duration = Duration::from_secs(180);
const SHORT: Duration = Duration::from_secs(30);

/// Tells it; gives the number of the next act.
pub(super) async fn tell(scene: &mut Scene, machine: Machine) -> anyhow::Result<usize> {
    screen::title(1, "A fleet: eight hosts in four datacenters join and attach");
    scene.populate(&DATACENTERS).await?;
    screen::title(2, "The playbook is read, rehearsed in virtual time, and pushed");
    playbook(scene, machine).await?;
    let acts = machine.acts();
    let mut number = 2;
    for act in &acts {
        number += 1;
        screen::title(number, act.title);
        play(scene, machine, act).await?;
    }
    screen::title(
        number + 1,
        "A host that joins late is drift, and an ordinary plan brings it along",
    );
    let stands = acts.last().map(|act| act.serves).context("nothing was done")?;
    late(scene, stands).await?;
    scene.ledger()?.must_be_unique()?;
    screen::good("no program of a phase ran twice");
    Ok(number + 2)
}

fn alice(scene: &Scene) -> Cli {
    scene.coordinator.cli(Person::Alice)
}

fn params(machine: Machine) -> impl Iterator<Item = &'static str> {
    machine.params().iter().flat_map(|param| ["--param", param])
}

async fn playbook(scene: &Scene, machine: Machine) -> anyhow::Result<()> {
    let path = repository().join(machine.file());
    let path = path.strip_prefix(std::env::current_dir()?).unwrap_or(&path);
    let path = path.display().to_string();
    let cli = alice(scene);
    cli.show_ends(&["playbook", "lint", &path], 0, SHORT).await?;
    let [how, what] = machine.bad_day();
    let rehearse = ["playbook", "simulate", &path, "--hosts", "8", how, what];
    cli.show_ends(&rehearse, 0, SHORT).await?;
    cli.show_ends(&["playbook", "push", &path], 0, SHORT).await?;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        scene.release_complete(version).await?;
    }
    Ok(())
}

async fn play(scene: &Scene, machine: Machine, act: &Act) -> anyhow::Result<()> {
    let mut words = vec!["start", scene.app, "--release", act.release];
    words.extend(["--playbook", machine.playbook()]);
    words.extend(params(machine));
    if act.operation != "deploy" {
        words.extend(["--operation", act.operation]);
    }
    // A watch goes on while somebody is waited for; the story does not.
    words.push(if act.exit == Exit::WaitsForPerson {
        "--wait"
    } else {
        "--watch"
    });
    let cli = alice(scene);
    cli.show_ends(&words, act.exit.code().into(), ROLLOUT_WITHIN).await?;
    let name = scene.newest().await?.name;
    let id = name.rsplit('/').next().unwrap_or(&name).to_owned();
    if act.exit == Exit::WaitsForPerson {
        cli.show_ends(&["rollout", "explain", &id], 0, SHORT).await?;
        let back = ["rollback", &id, "--reason", "one answer in ten differs"];
        cli.show_ends(&back, 0, SHORT).await?;
        let watch = ["status", &id, "--watch"];
        cli.show_ends(&watch, Exit::RolledBack.code().into(), ROLLOUT_WITHIN)
            .await?;
    }
    asked(scene, &id, act)?;
    scene.must_serve(act.serves).await
}

/// Compares what each touched host's programs wrote down with what this act is about.
fn asked(scene: &Scene, rollout: &str, act: &Act) -> anyhow::Result<()> {
    let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for run in scene.ledger()?.0.into_iter().filter(|run| run.rollout == rollout) {
        hosts.entry(run.host).or_default().push(run.phase);
    }
    if hosts.is_empty() {
        bail!("no program ran on any host");
    }
    for (host, phases) in &hosts {
        let ran = phases.join(" ");
        if !act.asked.holds(&ran) {
            bail!("{host} ran {ran}, and not {:?}", act.asked);
        }
    }
    screen::good(format_args!(
        "the programs that ran on each of {} hosts, by their own log: {}",
        hosts.len(),
        act.asked.phases()
    ));
    Ok(())
}

async fn late(scene: &mut Scene, stands: &str) -> anyhow::Result<()> {
    scene.add(&[("dc1", "dc1-web-3".to_owned())]).await?;
    let cli = alice(scene);
    let drifted = Exit::HasChanges.code().into();
    let drift = ["drift", scene.app, "--detailed-exitcode"];
    cli.show_ends(&drift, drifted, SHORT).await?;
    let out = scene.folder().join("plan.json");
    let file = out.display().to_string();
    cli.show_ends(&["converge", scene.app, "--out", &file], 0, SHORT)
        .await?;
    let plan: Value = serde_json::from_slice(&fs::read(&out)?)?;
    let name = plan.get("name").and_then(Value::as_str);
    let id = name.and_then(|name| name.rsplit('/').next());
    let id = id.with_context(|| format!("{file} names no plan"))?;
    cli.show_ends(&["start", "--plan", id, "--watch"], 0, ROLLOUT_WITHIN)
        .await?;
    cli.show_ends(&drift, 0, SHORT).await?;
    scene.must_serve(stands).await
}
