//! The demo's story, act by act. Each act does something by the command line and then looks at the services themselves.

use std::time::Duration;

use anyhow::{Context as _, bail};
use echelon_cli::exit::Exit;
use echelon_proto::wire::control::RolloutState;
use tokio::time;

use super::{
    Arguments, blow,
    scene::{APP, DATACENTERS, Scene},
};
use crate::{binaries::repository, coordinator::Person, sample::BAD_RELEASE, screen};

/// Of one rollout of the demo, with whatever is killed meanwhile.
const ROLLOUT_WITHIN: Duration = Duration::from_secs(120);
const SHORT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Tells it; gives the number of the next act.
pub(super) async fn tell(scene: &mut Scene, arguments: &Arguments) -> anyhow::Result<usize> {
    fleet(scene).await?;
    first(scene).await?;
    forward(scene, arguments).await?;
    bad(scene, arguments).await?;
    signoff(scene).await?;
    account(scene).await?;
    Ok(7)
}

async fn fleet(scene: &mut Scene) -> anyhow::Result<()> {
    screen::title(1, "A fleet: hosts join with one-time tokens and attach over mutual TLS");
    scene.populate(&DATACENTERS).await?;
    screen::note(format_args!(
        "coordinator (sled journal) on {}; agents connect to {}",
        scene.coordinator.people, scene.coordinator.agents
    ));
    scene
        .coordinator
        .cli(Person::Alice)
        .show_ends(&["host", "list"], 0, SHORT)
        .await
}

async fn push(scene: &Scene, file: &str) -> anyhow::Result<()> {
    let path = repository().join("testbed/demo").join(file);
    let path = path
        .strip_prefix(std::env::current_dir()?)
        .unwrap_or(&path)
        .display()
        .to_string();
    scene
        .coordinator
        .cli(Person::Alice)
        .show_ends(&["playbook", "push", &path], 0, SHORT)
        .await
}

async fn start(scene: &Scene, release: &str, playbook: &str, how: &str, code: Exit) -> anyhow::Result<()> {
    let words = ["start", APP, "--release", release, "--playbook", playbook, how];
    scene
        .coordinator
        .cli(Person::Alice)
        .show_ends(&words, code.code().into(), ROLLOUT_WITHIN)
        .await
}

async fn first(scene: &Scene) -> anyhow::Result<()> {
    screen::title(2, "1.0.0 is installed on eight empty hosts");
    push(scene, "storefront.yaml").await?;
    for version in ["1.0.0", "1.1.0"] {
        scene.release(version).await?;
    }
    start(scene, "1.0.0", "storefront", "--watch", Exit::Done).await?;
    scene.must_serve("1.0.0").await
}

async fn forward(scene: &mut Scene, arguments: &Arguments) -> anyhow::Result<()> {
    screen::title(
        3,
        "1.1.0 goes out: canary, early, rest, in all four datacenters at once",
    );
    screen::note(
        "of a datacenter's two hosts the canary is one; early (50 %) has none besides, and falls away; rest is the other",
    );
    let before = scene.newest().await?.name;
    let cli = scene.coordinator.cli(Person::Alice);
    let words = [
        "start",
        APP,
        "--release",
        "1.1.0",
        "--playbook",
        "storefront",
        "--watch",
    ];
    let watched = tokio::spawn(async move { cli.show_ends(&words, 0, ROLLOUT_WITHIN).await });
    let name = time::timeout(SHORT, newer(scene, &before))
        .await
        .context("1.1.0 does not start")??;
    let struck = blow::strike(scene, arguments, &name, BAD_RELEASE).await;
    let watched = watched.await?;
    struck?;
    watched?;
    scene.must_serve("1.1.0").await
}

async fn newer(scene: &Scene, than: &str) -> anyhow::Result<String> {
    loop {
        let name = scene.newest().await?.name;
        if name != than {
            return Ok(name);
        }
        time::sleep(LOOK_EVERY).await;
    }
}

async fn bad(scene: &Scene, arguments: &Arguments) -> anyhow::Result<()> {
    screen::title(
        4,
        "1.2.0 answers 500 on its health page: it stops at the canary gate and goes back by itself",
    );
    if !arguments.kill_coordinator {
        scene.release(BAD_RELEASE).await?;
    }
    start(scene, BAD_RELEASE, "storefront", "--watch", Exit::RolledBack).await?;
    let rollout = scene.newest().await?;
    if rollout.state() != RolloutState::RolledBack {
        bail!("{} is {:?} and not rolled back", rollout.name, rollout.state());
    }
    let touched: u32 = rollout
        .lanes
        .iter()
        .flat_map(|lane| &lane.waves)
        .map(|wave| wave.rolled_back)
        .sum();
    screen::good(format_args!("{touched} canaries went back; no other host was touched"));
    scene.must_serve("1.1.0").await
}

async fn signoff(scene: &Scene) -> anyhow::Result<()> {
    screen::title(
        5,
        "1.3.0 waits after its canaries for a person, who is not the one who started it",
    );
    push(scene, "storefront-signoff.yaml").await?;
    scene.release("1.3.0").await?;
    start(scene, "1.3.0", "storefront@2", "--wait", Exit::WaitsForPerson).await?;
    let rollout = scene.newest().await?;
    let all_wait = |rollout: &echelon_proto::wire::control::Rollout| rollout.waiting.len() == DATACENTERS.len();
    scene
        .until(&rollout.name, SHORT, "its approval in every datacenter", all_wait)
        .await?;
    let id = rollout.name.rsplit('/').next().unwrap_or_default();
    let (alice, bob) = (scene.coordinator.cli(Person::Alice), scene.coordinator.cli(Person::Bob));
    let reason = ["--reason", "canaries look good"];
    let approve = ["approve", id, reason[0], reason[1]];
    alice.show_ends(&approve, Exit::NotAllowed.code().into(), SHORT).await?;
    bob.show_ends(&approve, 0, SHORT).await?;
    alice.show_ends(&["status", id, "--watch"], 0, ROLLOUT_WITHIN).await?;
    scene.must_serve("1.3.0").await
}

async fn account(scene: &Scene) -> anyhow::Result<()> {
    screen::title(6, "What happened, and how often each phase ran");
    let cli = scene.coordinator.cli(Person::Alice);
    cli.show_ends(&["rollout", "list", APP], 0, SHORT).await?;
    cli.show_ends(&["report", "r3"], 0, SHORT).await?;
    let ledger = scene.ledger()?;
    ledger.must_be_unique()?;
    screen::good(format_args!(
        "{} programs of phases ran, none of them twice",
        ledger.0.len()
    ));
    Ok(())
}
