//! `echelon-testbed canary`: a canary gate over a real Prometheus that scrapes eighteen real services with real traffic. A
//! harmless release goes forward, one that is a fifth slower and one that errs on two of a hundred requests go back by
//! themselves, and one without traffic is no data and does what its rule says. Every verdict is computed again from what was
//! kept. Deliberately no clock of its own: the gate looks as often as its playbook says, which is more often than a site's.

mod load;
mod story;

use std::{net::SocketAddr, process::ExitCode, time::Instant};

use anyhow::Context as _;

use crate::{
    coordinator::ports,
    demo::{self, Scene},
    screen,
};

/// `canary`
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Arguments {
    /// Keep the folder with all logs
    #[arg(long)]
    keep: bool,
}

/// The app, as the playbook's hosts are labelled.
const APP: &str = "compared";

/// From nothing to nothing.
///
/// # Errors
/// Something is not as it has to be: what, and where to look.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    screen::head("A canary gate over a real Prometheus: eighteen services, one of three releases is good");
    let port = *ports(1)?.first().context("no port is free")?;
    let prometheus = SocketAddr::from(([127, 0, 0, 1], port));
    let config = format!("[[sources]]\nname = \"prometheus\"\nkind = \"prometheus\"\nurl = \"http://{prometheus}\"\n");
    let mut scene = Scene::configured(APP, arguments.keep, &config).await?;
    let began = Instant::now();
    let told = story::tell(&mut scene, prometheus).await;
    if let Err(error) = &told {
        screen::bad(format_args!("{error:#}"));
        scene.confess();
        screen::note("run it with --keep to keep all logs");
    }
    let ended = demo::end(scene).await;
    let facts = told?;
    ended?;
    screen::gap();
    screen::head(&format!(
        "Done in {:.0} s: {facts} releases were judged as they had to be, and nothing is left.",
        began.elapsed().as_secs_f64()
    ));
    Ok(ExitCode::SUCCESS)
}
