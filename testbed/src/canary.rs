//! `echelon-testbed canary`: canary gates over a real Prometheus that scrapes eighteen real services with real traffic, and over
//! a real Graphite that is told of the same. A harmless release goes forward, one that is a fifth slower and one that errs on
//! two of a hundred requests go back by themselves by what either of them says, and one without traffic is no data and does
//! what its rule says. Every verdict is computed again from what was kept. Deliberately no clock of its own: the gate looks as often as its playbook says, which is more often than a site's.

mod feed;
mod load;
mod story;

use std::{net::SocketAddr, process::ExitCode, time::Instant};

use crate::{
    demo::{self, Scene},
    ports, screen,
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

/// Where both answer.
#[derive(Debug, Clone, Copy)]
struct Sources {
    prometheus: SocketAddr,
    graphite: SocketAddr,
}

impl Sources {
    /// As the coordinator is told of them.
    fn config(&self) -> String {
        let source = |name: &str, address: SocketAddr| {
            format!("[[sources]]\nname = \"{name}\"\nkind = \"{name}\"\nurl = \"http://{address}\"\n")
        };
        source("prometheus", self.prometheus) + &source("graphite", self.graphite)
    }
}

/// From nothing to nothing.
///
/// # Errors
/// Something is not as it has to be: what, and where to look.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    screen::head(
        "Canary gates over a real Prometheus and a real Graphite: eighteen services, one of three releases is good",
    );
    let [prometheus, graphite] = ports::claim()?;
    let sources = Sources {
        prometheus: SocketAddr::from(([127, 0, 0, 1], prometheus)),
        graphite: SocketAddr::from(([127, 0, 0, 1], graphite)),
    };
    let mut scene = Scene::configured(APP, arguments.keep, &sources.config()).await?;
    let began = Instant::now();
    let told = story::tell(&mut scene, &sources).await;
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
        "Done in {:.0} s: {facts} rollouts were judged as they had to be, and nothing is left.",
        began.elapsed().as_secs_f64()
    ));
    Ok(ExitCode::SUCCESS)
}
