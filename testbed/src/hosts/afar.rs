//! What people ask of a host from afar, on a real one: the agent answers from within its unit, where it may see less than root
//! may. Deliberately no shell: only the command.

use anyhow::ensure;

use super::{
    scene::{APP, Scene},
    tool,
};
use crate::{coordinator::Person, screen};

/// Of the web server: its first process is root's and names the app's folder, the others are nobody's and only stand in it.
const USERS: [&str; 2] = ["root", "nobody"];

/// Asks the first host what runs, what lies there, and what is wrong.
pub(super) async fn ask(scene: &Scene) -> anyhow::Result<()> {
    let Some(machine) = scene.machines.first() else {
        return Ok(());
    };
    let cli = || scene.coordinator.cli(Person::Alice);
    let host = machine.name.as_str();
    let running = cli()
        .must(&["host", "processes", host, APP, "--output", "json"])
        .await?;
    for user in USERS {
        ensure!(
            running.contains(&format!("\"{user}\"")),
            "nothing of {user} runs of {APP}: {running}"
        );
    }
    let releases = cli().must(&["host", "releases", host]).await?;
    for release in ["1.0.0", "1.1.0"] {
        ensure!(
            releases.contains(release),
            "{release} is not among the releases:\n{releases}"
        );
    }
    cli().show_ends(&["host", "doctor", host], 0, tool::SHORT).await?;
    screen::good(format_args!(
        "{host}: says from afar what runs and what lies on its disk"
    ));
    Ok(())
}
