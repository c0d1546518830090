//! The story, release by release: each is started by the command line, and what became of it is looked at from the outside.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use echelon_cli::exit::Exit;
use echelon_proto::wire::control::{Rollout, RolloutState};
use tokio::time;

use super::{APP, Sources, feed::Feed, load::Load};
use crate::{
    binaries::repository,
    coordinator::Person,
    demo::Scene,
    graphite::Graphite,
    prometheus::Prometheus,
    sample::work::{ERRING_RELEASE, SLOWER_RELEASE},
    screen,
};

const HOSTS: usize = 18;
/// Hosts of the first wave, as the playbook has it.
const CANARIES: u32 = 6;
/// The gates' window before, and a little more: every host must have had its release for so long.
const BEFORE: Duration = Duration::from_secs(19);
/// The gates' longest window, and what it takes to move hosts there and back on a slow machine.
const ROLLOUT_WITHIN: Duration = Duration::from_secs(300);
const SHORT: Duration = Duration::from_secs(30);

/// A version of the playbook, and which of its gates the canaries have.
struct Playbook {
    name: &'static str,
    gates: &'static [&'static str],
}

/// Of hosts on which there is nothing to compare with.
const UNJUDGED: Playbook = Playbook {
    name: "compared@1",
    gates: &[],
};
/// As the file has it.
const BOTH: Playbook = Playbook {
    name: "compared@2",
    gates: &["scraped", "pushed"],
};
/// What is harmful must be seen by each source alone.
const ALONE: [Playbook; 2] = [
    Playbook {
        name: "compared@3",
        gates: &["scraped"],
    },
    Playbook {
        name: "compared@4",
        gates: &["pushed"],
    },
];

/// Tells it; gives how many rollouts were judged.
pub(super) async fn tell(scene: &mut Scene, sources: &Sources) -> anyhow::Result<usize> {
    screen::title(
        1,
        "Eighteen services of 2.0.0 with traffic, a Prometheus that scrapes them, and a Graphite that is told",
    );
    scene.coordinator.serve().await?;
    let names: Vec<_> = (1..=HOSTS).map(|number| ("dc1", format!("work-{number:02}"))).collect();
    scene.add(&names).await?;
    for version in ["2.0.0", "2.0.1", SLOWER_RELEASE, ERRING_RELEASE, "2.0.2"] {
        scene.release(version).await?;
    }
    push(scene).await?;
    ends(scene, "2.0.0", &UNJUDGED, Exit::Done).await?;
    scene.must_serve("2.0.0").await?;
    let services: Vec<_> = scene.hosts.iter().map(|host| (host.name.clone(), host.port)).collect();
    let ports: Vec<u16> = services.iter().map(|(_, port)| *port).collect();
    let (prometheus, graphite) = tokio::try_join!(
        Prometheus::start(scene.place(), sources.prometheus, &ports),
        Graphite::start(scene.place(), sources.graphite),
    )?;
    let feed = Feed::start(graphite.lines, services).await?;
    let load = Load::start(ports.into_iter());
    let judged = releases(scene, &load).await;
    // Before the services, so that they say nothing of their end.
    drop(feed);
    let (prometheus, graphite) = tokio::join!(prometheus.stop(), graphite.kill());
    prometheus.and(graphite)?;
    judged
}

async fn releases(scene: &Scene, load: &Load) -> anyhow::Result<usize> {
    screen::title(2, "2.0.1 does no harm: both gates pass and it goes forward");
    time::sleep(BEFORE).await;
    ends(scene, "2.0.1", &BOTH, Exit::Done).await?;
    explained(scene, &BOTH, "pass").await?;
    scene.must_serve("2.0.1").await?;

    screen::title(3, "2.1.0 is a fifth slower: it goes back by itself");
    for playbook in &ALONE {
        goes_back(scene, SLOWER_RELEASE, playbook, "latency  fail").await?;
    }
    screen::title(4, "2.2.0 errs on two of a hundred requests: it goes back by itself");
    for playbook in &ALONE {
        goes_back(scene, ERRING_RELEASE, playbook, "errors  fail").await?;
    }
    scene.must_serve("2.0.1").await?;

    screen::title(5, "2.0.2 has no traffic: that is no data, and its rule is to hold");
    load.stop();
    ends(scene, "2.0.2", &BOTH, Exit::WaitsForPerson).await?;
    let rollout = scene.newest().await?;
    ensure!(
        rollout.state() == RolloutState::Held,
        "{} is {:?} and not held",
        rollout.name,
        rollout.state()
    );
    explained(scene, &BOTH, "no data").await?;
    let id = rollout.name.rsplit('/').next().unwrap_or_default();
    let cli = scene.coordinator.cli(Person::Alice);
    cli.show_ends(&["rollback", id, "--reason", "nobody visits it"], 0, SHORT)
        .await?;
    let back = |rollout: &Rollout| rollout.state() == RolloutState::RolledBack;
    scene.until(&rollout.name, ROLLOUT_WITHIN, "its way back", back).await?;
    scene.must_serve("2.0.1").await?;
    Ok(6)
}

async fn goes_back(scene: &Scene, release: &str, playbook: &Playbook, wanted: &str) -> anyhow::Result<()> {
    time::sleep(BEFORE).await;
    ends(scene, release, playbook, Exit::RolledBack).await?;
    explained(scene, playbook, wanted).await?;
    only_canaries(&scene.newest().await?)
}

/// The playbook as it is, and with other gates of its first wave.
async fn push(scene: &Scene) -> anyhow::Result<()> {
    let file = repository().join("testbed/demo/compared.yaml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let [one, two] = &ALONE;
    for playbook in [&UNJUDGED, &BOTH, one, two] {
        let (_, version) = playbook.name.split_once('@').unwrap_or_default();
        let version = text.replace("\nversion: 2\n", &format!("\nversion: {version}\n"));
        let gates = format!(", gates: [{}] }}", playbook.gates.join(", "));
        let changed = version.replace(", gates: [scraped, pushed] }", &gates);
        ensure!(
            playbook.gates == BOTH.gates || changed != version,
            "compared.yaml has other gates"
        );
        let path = scene.folder().join(format!("{}.yaml", playbook.name));
        std::fs::write(&path, changed)?;
        let words = ["playbook", "push", &path.display().to_string()];
        scene.coordinator.cli(Person::Alice).must(&words).await?;
    }
    Ok(())
}

async fn ends(scene: &Scene, release: &str, playbook: &Playbook, code: Exit) -> anyhow::Result<()> {
    let words = [
        "start",
        APP,
        "--release",
        release,
        "--playbook",
        playbook.name,
        "--wait",
    ];
    let cli = scene.coordinator.cli(Person::Alice);
    cli.show_ends(&words, code.code().into(), ROLLOUT_WITHIN).await
}

/// Every gate of the newest rollout said so, and says the same when it is computed again.
async fn explained(scene: &Scene, playbook: &Playbook, wanted: &str) -> anyhow::Result<()> {
    let rollout = scene.newest().await?;
    let id = rollout.name.rsplit('/').next().unwrap_or_default();
    for gate in playbook.gates {
        let words = ["rollout", "explain", id, "--gate", gate];
        let cli = scene.coordinator.cli(Person::Carol);
        cli.show_ends(&words, 0, SHORT).await?;
        let said = cli.must(&words).await?;
        let same = said.matches("computed again from what was kept: the same").count();
        if !said.contains(wanted) || same != 2 {
            bail!("gate {gate} of {id} does not say {wanted:?} of its two metrics:\n{said}");
        }
        screen::good(format_args!(
            "{id}: {gate}: {wanted}; both verdicts are the same when they are computed again"
        ));
    }
    Ok(())
}

fn only_canaries(rollout: &Rollout) -> anyhow::Result<()> {
    let waves = rollout.lanes.iter().flat_map(|lane| &lane.waves);
    let back: u32 = waves.map(|wave| wave.rolled_back).sum();
    ensure!(back == CANARIES, "{back} hosts went back, not {CANARIES}");
    screen::good(format_args!("{back} canaries went back; no other host was touched"));
    Ok(())
}
