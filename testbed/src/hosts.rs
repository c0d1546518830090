//! `echelon-testbed hosts`: real Debian hosts under systemd in datacenters of their own, the agent as a package on each, and
//! a rollout of a real service over all of them. Needs root, debootstrap, systemd-nspawn and nftables. All is looked at from
//! the outside: each host's systemd, its services' pages, its logs. Deliberately no part of a host is played.

pub mod able;
mod afar;
mod event;
mod figure;
mod headquarters;
mod machine;
mod network;
mod package;
mod root;
mod scene;
mod slot;
mod tool;
mod upgrade;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::value_parser;

use crate::{
    binaries::repository,
    coordinator::{Coordinator, Person},
    screen,
};
use scene::{APP, Scene, Size};

const SHORT: Duration = Duration::from_secs(60);
/// Of one rollout, with whatever happens to the hosts meanwhile.
const ROLLOUT_WITHIN: Duration = Duration::from_secs(240);

/// `hosts`
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How many datacenters
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u8).range(1..=16))]
    datacenters: u8,
    /// How many hosts in each
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u8).range(1..=16))]
    per_dc: u8,
    /// In the middle of a phase of twenty seconds kill, restart and reinstall agents, reboot hosts, cut a datacenter off
    #[arg(long)]
    events: bool,
    /// Then leave an agent alone, and say what it costs its host; best with `--profile dist`
    #[arg(long)]
    figures: bool,
    /// Cargo's profile of the agent [default: that of the testbed]
    #[arg(long)]
    profile: Option<String>,
    /// At the end keep everything running, and print commands to try
    #[arg(long)]
    stay: bool,
    /// Keep the folder with all logs
    #[arg(long)]
    keep: bool,
}

/// The hosts, from nothing to nothing.
///
/// # Errors
/// Something is not as it has to be: what, and where to look.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    able::must_be().await?;
    if arguments.events && (arguments.datacenters < 4 || arguments.per_dc < 2) {
        bail!("--events strikes each of eight hosts in another way: give it 4 datacenters of 2 hosts");
    }
    let size = Size {
        datacenters: arguments.datacenters,
        each: arguments.per_dc,
    };
    screen::head(&format!(
        "Echelon on {} real hosts in {} datacenters",
        u16::from(size.datacenters) * u16::from(size.each),
        size.datacenters
    ));
    // A coordinator that notices within seconds that a host is away; what an agent costs is said with its defaults.
    let hasty = ["--heartbeat-ms", "1000", "--unreachable-after", "10s"];
    let flags: &[&str] = if arguments.figures { &[] } else { &hasty };
    let began = Instant::now();
    let mut scene = Scene::boot(size, arguments.profile.as_deref(), flags, arguments.keep).await?;
    let told = tell(&mut scene, arguments).await;
    if let Err(error) = &told {
        screen::bad(format_args!("{error:#}"));
        scene.confess().await;
        screen::note("run it with --keep to keep all logs");
    }
    if told.is_ok() && arguments.stay {
        scene.invite();
        // Ctrl-C ends it all: `main` listens.
        std::future::pending::<()>().await;
    }
    told.and(scene.end().await)?;
    screen::gap();
    screen::head(&format!(
        "Done in {:.0} s: all is as it should be, and nothing is left.",
        began.elapsed().as_secs_f64()
    ));
    Ok(ExitCode::SUCCESS)
}

async fn tell(scene: &mut Scene, arguments: &Arguments) -> anyhow::Result<()> {
    screen::title(1, "Hosts boot, get the package, and join");
    scene.populate().await?;
    scene
        .coordinator
        .cli(Person::Alice)
        .show_ends(&["host", "list"], 0, SHORT)
        .await?;
    screen::title(
        2,
        "A web server goes out as a unit of each host's systemd, and a newer one after it",
    );
    push(&scene.coordinator, "storefront.yaml").await?;
    for version in ["1.0.0", "1.1.0"] {
        scene.release(version).await?;
        let words = [
            "start",
            APP,
            "--release",
            version,
            "--playbook",
            "storefront",
            "--watch",
        ];
        scene
            .coordinator
            .cli(Person::Alice)
            .show_ends(&words, 0, ROLLOUT_WITHIN)
            .await?;
    }
    scene.must_serve("1.1.0").await?;
    scene.must_be_apart().await?;
    afar::ask(scene).await?;
    headquarters::set_up(scene).await?;
    if arguments.events {
        screen::title(
            3,
            "In the middle of a phase that takes twenty seconds, something happens to each host",
        );
        event::strike(scene).await?;
        scene.must_serve("1.1.0").await?;
        screen::title(
            4,
            "The agents upgrade themselves, and go back from a version that hangs",
        );
        let next = upgrade::Next::build(&scene.binaries).await?;
        upgrade::roll(scene, &next).await?;
        scene.must_serve("1.1.0").await?;
    }
    if arguments.figures {
        screen::title(5, "An agent that has nothing to do");
        figure::measure(scene).await?;
    }
    taken_away(scene).await
}

async fn taken_away(scene: &Scene) -> anyhow::Result<()> {
    screen::title(6, "The agent is taken away from a host");
    if let Some(machine) = scene.machines.last() {
        package::purge(machine).await?;
        screen::good(format_args!("{}: purged; of the agent nothing is left", machine.name));
    }
    scene.must_serve("1.1.0").await
}

async fn push(coordinator: &Coordinator, file: &str) -> anyhow::Result<()> {
    let path = repository().join("testbed/hosts").join(file);
    let words = ["playbook", "push", &path.display().to_string()];
    coordinator.cli(Person::Alice).must(&words).await.map(drop)
}
