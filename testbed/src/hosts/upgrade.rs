//! The agents upgrade themselves by a rollout of the library's playbook, as on any fleet: while a phase of twenty seconds runs
//! on each host the upgrade waits, then each agent becomes the new one, and the phase has run once. A new version that hangs
//! without a word to the coordinator is then taken back by each host itself, and the rollout goes back. What is said of it
//! comes from each host's systemd and /proc, and from the coordinator. Deliberately nothing is installed by hand.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use echelon_proto::{
    Digest,
    wire::control::{Rollout, RolloutState},
};
use tokio::{process::Command, time};

use super::{ROLLOUT_WITHIN, event, machine::Machine, package::MAKER, scene::Scene, tool};
use crate::{
    binaries::{Binaries, target},
    bundle::Entry,
    coordinator::Person,
    screen,
};

const APP: &str = "echelon-agent";
const UPGRADE: &str = include_str!("../../packages/artifact/upgrade.sh");
/// An agent as a bad build may be one: it says its version, and then nothing any more.
const HANGS: &str = "#!/bin/sh\n[ \"$1\" = --version ] && exec echo echelon-agent 99.0.0\nexec sleep 1000\n";
const BAD: &str = "99.0.0";
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The package's binary on a host.
const OWN: &str = "/usr/bin/echelon-agent";

/// A second version of the agent: of the same source, with another number.
#[derive(Debug)]
pub(super) struct Next {
    version: String,
    binary: PathBuf,
}

impl Next {
    /// Built once for the agent that this testbed has built; the agent in cargo's folder is that one again in the end.
    pub(super) async fn build(binaries: &Binaries) -> anyhow::Result<Self> {
        let version = next(env!("CARGO_PKG_VERSION")).context("this version has no number to count up")?;
        let own = fs::read(&binaries.agent)?;
        let folder = target()?.join("testbed");
        fs::create_dir_all(&folder)?;
        let binary = folder.join(format!("agent-{version}-{}", Digest::of(&own).short()));
        if !binary.exists() {
            screen::note(format_args!(
                "a second agent is built, which says that it is {version} ..."
            ));
            let built = Binaries::build_as(Some(&version), &[MAKER]).await?;
            let part = binary.with_extension("part");
            let mut strip = Command::new("strip");
            strip.arg("-o").arg(&part).arg(&built.agent);
            tool::must(strip, "", tool::SHORT).await?;
            fs::rename(&part, &binary)?;
            Binaries::build_with(&[MAKER]).await?;
        }
        Ok(Self { version, binary })
    }
}

/// The same with one more at its end.
fn next(version: &str) -> Option<String> {
    let (front, last) = version.rsplit_once('.')?;
    Some(format!("{front}.{}", last.parse::<u32>().ok()? + 1))
}

/// All of it.
pub(super) async fn roll(scene: &Scene, next: &Next) -> anyhow::Result<()> {
    super::push(&scene.coordinator, "agent.yaml").await?;
    let binary = fs::read(&next.binary)?;
    scene.offer(APP, &next.version, &artifact(binary)).await?;
    scene.offer(APP, BAD, &artifact(HANGS)).await?;
    let before: Vec<_> = scene.machines.iter().map(event::ends).collect();
    let works = event::work(scene, "2").await?;
    for (machine, before) in scene.machines.iter().zip(&before) {
        event::begun_after(machine, *before).await?;
    }
    let upgrade = start(scene, &next.version).await?;
    for (machine, before) in scene.machines.iter().zip(&before) {
        waits(machine, *before).await?;
    }
    screen::good("on each host the upgrade waits until its phase has ended");
    for rollout in [&works, &upgrade] {
        let ended = ended(scene, rollout).await?;
        ensure!(
            ended.state() == RolloutState::Succeeded,
            "{rollout} is {:?}",
            ended.state()
        );
    }
    report(scene, &upgrade).await?;
    all_run(scene, &next.version).await?;
    screen::good(format_args!("all agents are {} now, and are attached", next.version));
    goes_back(scene, next).await
}

fn artifact(binary: impl Into<Vec<u8>>) -> [Entry; 2] {
    [
        Entry::program("bin/echelon-agent", binary),
        Entry::program("bin/upgrade", UPGRADE),
    ]
}

async fn start(scene: &Scene, version: &str) -> anyhow::Result<String> {
    let words = ["start", APP, "--release", version, "--playbook", "agent", "--detach"];
    scene.coordinator.cli(Person::Alice).must(&words).await?;
    Ok(scene.coordinator.newest(APP).await?.name)
}

/// As long as the phase runs the agent is the package's.
async fn waits(machine: &Machine, ends_before: usize) -> anyhow::Result<()> {
    let waits = async {
        while event::ends(machine) == ends_before {
            let runs = binary(machine).await?;
            // Looked at again: it may have ended in between.
            ensure!(
                runs == OWN || event::ends(machine) > ends_before,
                "on {} {runs} runs in the middle of a phase",
                machine.name
            );
            time::sleep(LOOK_EVERY).await;
        }
        anyhow::Ok(())
    };
    let waits = time::timeout(ROLLOUT_WITHIN, waits).await;
    waits.with_context(|| format!("on {} the phase does not end", machine.name))?
}

/// What runs as the agent's unit, as the host sees it; empty while none does.
async fn binary(machine: &Machine) -> anyhow::Result<String> {
    let number = machine
        .must("systemctl show --value --property=MainPID echelon-agent")
        .await?;
    let said = machine.ask(&format!("readlink /proc/{}/exe", number.trim())).await?;
    Ok(said.out.trim().to_owned())
}

async fn ended(scene: &Scene, rollout: &str) -> anyhow::Result<Rollout> {
    let ended = |rollout: &Rollout| rollout.end_time.is_some();
    scene.coordinator.until(rollout, ROLLOUT_WITHIN, "its end", ended).await
}

async fn report(scene: &Scene, rollout: &str) -> anyhow::Result<()> {
    let id = rollout.rsplit('/').next().unwrap_or_default();
    let cli = scene.coordinator.cli(Person::Alice);
    cli.show_ends(&["report", id], 0, super::SHORT).await
}

/// Each host's agent is of this version, by its own word and by what runs there.
async fn all_run(scene: &Scene, version: &str) -> anyhow::Result<()> {
    scene.coordinator.attached(scene.machines.len(), super::SHORT).await?;
    let versions = scene.coordinator.versions().await?;
    for machine in &scene.machines {
        let says = versions.get(&machine.name);
        ensure!(
            says.is_some_and(|says| says == version),
            "{} says that it is {says:?}",
            machine.name
        );
        let runs = binary(machine).await?;
        ensure!(
            runs.starts_with("/var/lib/echelon/agent/versions/"),
            "on {} {runs} runs",
            machine.name
        );
    }
    Ok(())
}

async fn goes_back(scene: &Scene, next: &Next) -> anyhow::Result<()> {
    screen::note("a version that hangs without a word to the coordinator ...");
    let bad = start(scene, BAD).await?;
    let rollout = ended(scene, &bad).await?;
    report(scene, &bad).await?;
    ensure!(
        rollout.state() == RolloutState::RolledBack,
        "{bad} is {:?}",
        rollout.state()
    );
    let says_why = |failure: &echelon_proto::wire::control::HostFailure| {
        failure.phase == "probation"
            && failure
                .tail
                .contains("99.0.0 was taken back: within 25s it was not welcomed")
    };
    ensure!(!rollout.failures.is_empty(), "{bad} names no host that failed");
    for failure in &rollout.failures {
        ensure!(says_why(failure), "{bad} says of {}: {failure:?}", failure.host);
    }
    all_run(scene, &next.version).await?;
    screen::good(format_args!(
        "{} hosts have taken {BAD} back by themselves, and are {} again",
        rollout.failures.len(),
        next.version
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_version_is_one_more() {
        assert_eq!(next("0.1.9").as_deref(), Some("0.1.10"));
        assert_eq!(next("x"), None);
    }
}
