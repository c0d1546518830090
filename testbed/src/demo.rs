//! `cargo demo`: a real release goes out over four datacenters, is judged gate by gate, and comes back when it is bad.
//! A coordinator and eight agents as real processes, a real HTTP service in real archives, everything by the real command
//! line. Each fact is looked at from the outside: the services' own pages, a log that the phases' programs write.

mod blow;
mod ledger;
mod machine;
mod scene;
mod story;
mod tour;

use std::{process::ExitCode, time::Instant};

use anyhow::bail;

use crate::{
    reaper::{Reaper, descendants},
    screen,
};

pub use machine::Machine;
pub use scene::{APP, Scene};

/// `demo`
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Arguments {
    /// At the end keep everything running, and print commands to try
    #[arg(long)]
    pub stay: bool,
    /// Kill the coordinator (-9) in the middle of a wave of 1.1.0, and start it again
    #[arg(long)]
    pub kill_coordinator: bool,
    /// Kill one agent (-9) in the middle of a phase of 1.1.0, and start it again
    #[arg(long)]
    pub kill_agent: bool,
    /// Show another machine than the storefront's own
    #[arg(long, value_enum, value_name = "NAME", conflicts_with_all = ["kill_coordinator", "kill_agent"])]
    pub machine: Option<Machine>,
    /// Keep the folder with all logs
    #[arg(long)]
    pub keep: bool,
}

/// The demo, from nothing to nothing.
///
/// # Errors
/// Something is not as it has to be: what, and where to look.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    screen::head("Echelon demo: one coordinator, eight agents in four datacenters, one real service");
    let app = arguments.machine.map_or(APP, Machine::app);
    let mut scene = Scene::build(app, arguments.keep).await?;
    let began = Instant::now();
    let told = match arguments.machine {
        Some(machine) => tour::tell(&mut scene, machine).await,
        None => story::tell(&mut scene, arguments).await,
    };
    if let Err(error) = &told {
        screen::bad(format_args!("{error:#}"));
        scene.confess();
        screen::note("run it with --keep to keep all logs");
    }
    if told.is_ok() && arguments.stay {
        scene.invite();
        // Ctrl-C ends it all: `main` listens.
        std::future::pending::<()>().await;
    }
    if let Ok(number) = &told {
        screen::title(*number, "The end");
    }
    let ended = end(scene).await;
    told?;
    ended?;
    screen::gap();
    screen::head(&format!(
        "Done in {:.0} s: all is as it should be, and nothing is left.",
        began.elapsed().as_secs_f64()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Ends what runs and looks that nothing is left.
pub(crate) async fn end(scene: Scene) -> anyhow::Result<()> {
    let running = descendants().len();
    let (folder, ports, kept) = scene.end().await?;
    // What phases put into the background belongs to nobody now.
    tokio::task::spawn_blocking(Reaper::sweep).await?;
    let left = descendants();
    if !left.is_empty() {
        bail!("still there: {left:?}");
    }
    for port in ports {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            bail!("something still listens on port {port}");
        }
    }
    if kept {
        screen::note(format_args!("all files are kept in {}", folder.display()));
    } else if folder.exists() {
        bail!("{} is still there", folder.display());
    }
    screen::good(format_args!("{running} processes ended, none left, no port held"));
    Ok(())
}
