//! The story, release by release: each is started by the command line, and what became of it is looked at from the outside.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use echelon_cli::exit::Exit;
use echelon_proto::wire::control::{Rollout, RolloutState};
use tokio::time;

use super::{APP, load::Load};
use crate::{
    binaries::repository,
    coordinator::Person,
    demo::Scene,
    prometheus::Prometheus,
    sample::work::{ERRING_RELEASE, SLOWER_RELEASE},
    screen,
};

const HOSTS: usize = 18;
/// Hosts of the first wave, as the playbook has it.
const CANARIES: u32 = 6;
/// The gate's window before, and a little more: every host must have had its release for so long.
const BEFORE: Duration = Duration::from_secs(24);
/// The gate's longest window, and what it takes to move hosts there and back on a slow machine.
const ROLLOUT_WITHIN: Duration = Duration::from_secs(300);
const SHORT: Duration = Duration::from_secs(30);

/// Tells it; gives how many releases were judged.
pub(super) async fn tell(scene: &mut Scene, address: SocketAddr) -> anyhow::Result<usize> {
    screen::title(
        1,
        "Eighteen services of 2.0.0, a Prometheus that scrapes them, and traffic",
    );
    scene.coordinator.serve().await?;
    let names: Vec<_> = (1..=HOSTS).map(|number| ("dc1", format!("work-{number:02}"))).collect();
    scene.add(&names).await?;
    for version in ["2.0.0", "2.0.1", SLOWER_RELEASE, ERRING_RELEASE, "2.0.2"] {
        scene.release(version).await?;
    }
    push(scene).await?;
    ends(scene, "2.0.0", "compared@1", Exit::Done).await?;
    scene.must_serve("2.0.0").await?;
    let ports: Vec<u16> = scene.hosts.iter().map(|host| host.port).collect();
    let prometheus = Prometheus::start(scene.place(), address, &ports).await?;
    let load = Load::start(ports.into_iter());
    let judged = releases(scene, &load).await;
    // Before the services, so that it says nothing of their end.
    prometheus.stop().await?;
    judged
}

async fn releases(scene: &Scene, load: &Load) -> anyhow::Result<usize> {
    screen::title(2, "2.0.1 does no harm: the gate passes and it goes forward");
    time::sleep(BEFORE).await;
    ends(scene, "2.0.1", "compared@2", Exit::Done).await?;
    explained(scene, "pass").await?;
    scene.must_serve("2.0.1").await?;

    screen::title(3, "2.1.0 is a fifth slower: it goes back by itself");
    time::sleep(BEFORE).await;
    ends(scene, SLOWER_RELEASE, "compared@2", Exit::RolledBack).await?;
    explained(scene, "latency  fail").await?;
    only_canaries(&scene.newest().await?)?;
    scene.must_serve("2.0.1").await?;

    screen::title(4, "2.2.0 errs on two of a hundred requests: it goes back by itself");
    time::sleep(BEFORE).await;
    ends(scene, ERRING_RELEASE, "compared@2", Exit::RolledBack).await?;
    explained(scene, "errors  fail").await?;
    only_canaries(&scene.newest().await?)?;
    scene.must_serve("2.0.1").await?;

    screen::title(5, "2.0.2 has no traffic: that is no data, and its rule is to hold");
    time::sleep(BEFORE).await;
    load.stop();
    ends(scene, "2.0.2", "compared@2", Exit::WaitsForPerson).await?;
    let rollout = scene.newest().await?;
    ensure!(
        rollout.state() == RolloutState::Held,
        "{} is {:?} and not held",
        rollout.name,
        rollout.state()
    );
    explained(scene, "no data").await?;
    let id = rollout.name.rsplit('/').next().unwrap_or_default();
    let cli = scene.coordinator.cli(Person::Alice);
    cli.show_ends(&["rollback", id, "--reason", "nobody visits it"], 0, SHORT)
        .await?;
    let back = |rollout: &Rollout| rollout.state() == RolloutState::RolledBack;
    scene.until(&rollout.name, ROLLOUT_WITHIN, "its way back", back).await?;
    scene.must_serve("2.0.1").await?;
    Ok(4)
}

/// The playbook without its gate as version 1, for hosts on which there is nothing to compare with, then as it is.
async fn push(scene: &Scene) -> anyhow::Result<()> {
    let file = repository().join("testbed/demo/compared.yaml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let first = text
        .replace("version: 2", "version: 1")
        .replace(", gates: [compare]", "");
    ensure!(first.len() < text.len(), "compared.yaml has another gate");
    let without = scene.folder().join("compared-1.yaml");
    std::fs::write(&without, first)?;
    for path in [without, file] {
        let words = ["playbook", "push", &path.display().to_string()];
        scene.coordinator.cli(Person::Alice).must(&words).await?;
    }
    Ok(())
}

async fn ends(scene: &Scene, release: &str, playbook: &str, code: Exit) -> anyhow::Result<()> {
    let words = ["start", APP, "--release", release, "--playbook", playbook, "--wait"];
    let cli = scene.coordinator.cli(Person::Alice);
    cli.show_ends(&words, code.code().into(), ROLLOUT_WITHIN).await
}

/// The newest rollout's gate said so, and says the same when it is computed again.
async fn explained(scene: &Scene, wanted: &str) -> anyhow::Result<()> {
    let rollout = scene.newest().await?;
    let id = rollout.name.rsplit('/').next().unwrap_or_default();
    let words = ["rollout", "explain", id, "--gate", "compare"];
    let cli = scene.coordinator.cli(Person::Carol);
    cli.show_ends(&words, 0, SHORT).await?;
    let said = cli.must(&words).await?;
    let same = said.matches("computed again from what was kept: the same").count();
    if !said.contains(wanted) || same != 2 {
        bail!("gate compare of {id} does not say {wanted:?} of its two metrics:\n{said}");
    }
    screen::good(format_args!(
        "{id}: {wanted}; both verdicts are the same when they are computed again"
    ));
    Ok(())
}

fn only_canaries(rollout: &Rollout) -> anyhow::Result<()> {
    let waves = rollout.lanes.iter().flat_map(|lane| &lane.waves);
    let back: u32 = waves.map(|wave| wave.rolled_back).sum();
    ensure!(back == CANARIES, "{back} hosts went back, not {CANARIES}");
    screen::good(format_args!("{back} canaries went back; no other host was touched"));
    Ok(())
}
