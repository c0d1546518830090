//! What is done to the fleet on purpose while a release goes out: the coordinator or an agent is killed (-9) where it
//! hurts, and started again. Deliberately aimed by what can be seen from outside, not by a timer.

use std::time::Duration;

use anyhow::{Context as _, bail};
use echelon_proto::wire::control::{ListReleasesRequest, Rollout};
use tokio::time;

use super::{
    Arguments,
    scene::{APP, Scene},
};
use crate::{coordinator::Person, screen};

/// For what is waited for to come about.
const COMES_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long the killed one stays away.
const AWAY: Duration = Duration::from_millis(700);

/// Strikes as asked for, in the middle of this rollout; `acknowledged` is made known just before the coordinator is
/// killed, and must be known afterwards.
pub(super) async fn strike(
    scene: &mut Scene,
    arguments: &Arguments,
    rollout: &str,
    acknowledged: &str,
) -> anyhow::Result<()> {
    if arguments.kill_agent {
        strike_agent(scene, rollout).await?;
    }
    if arguments.kill_coordinator {
        strike_coordinator(scene, rollout, acknowledged).await?;
    }
    Ok(())
}

/// While one of its programs runs: after the first line of a `warm` of this rollout, which takes about a second.
async fn strike_agent(scene: &mut Scene, rollout: &str) -> anyhow::Result<()> {
    let id = rollout.rsplit('/').next().unwrap_or(rollout).to_owned();
    let seen = time::timeout(COMES_WITHIN, async {
        loop {
            let run = scene
                .ledger()?
                .0
                .into_iter()
                .find(|run| run.phase == "warm" && run.rollout == id);
            if let Some(run) = run {
                return anyhow::Ok(run);
            }
            time::sleep(LOOK_EVERY).await;
        }
    });
    let run = seen.await.context("no `warm` begins")??;
    let host = scene.hosts.iter_mut().find(|host| host.name == run.host);
    let host = host.with_context(|| format!("there is no host {}", run.host))?;
    host.kill().await?;
    screen::strike(format_args!(
        "kill -9 of the agent of {} in the middle of its phase `warm`",
        run.host
    ));
    time::sleep(AWAY).await;
    host.run()?;
    screen::strike(format_args!("the agent of {} is started again", run.host));
    Ok(())
}

/// While hosts of a wave are being worked on and others wait.
async fn strike_coordinator(scene: &mut Scene, rollout: &str, acknowledged: &str) -> anyhow::Result<()> {
    let seen = scene
        .until(rollout, COMES_WITHIN, "the middle of a wave", in_a_wave)
        .await?;
    scene.release(acknowledged).await?;
    scene.coordinator.kill().await?;
    let wave = rolling(&seen).unwrap_or_default();
    screen::strike(format_args!(
        "kill -9 of the coordinator in the middle of {wave}, just after it acknowledged release {acknowledged}"
    ));
    time::sleep(AWAY).await;
    scene.coordinator.serve().await?;
    let mut client = scene.coordinator.client(Person::Carol).await?;
    let request = ListReleasesRequest {
        app: APP.to_owned(),
        ..ListReleasesRequest::default()
    };
    let releases = client.list_releases(request).await?.into_inner().releases;
    if !releases.iter().any(|release| release.release == acknowledged) {
        bail!("release {acknowledged} was acknowledged before the kill and is not known after it");
    }
    screen::strike("the coordinator is started again; what it had acknowledged it still knows");
    Ok(())
}

fn in_a_wave(rollout: &Rollout) -> bool {
    rolling(rollout).is_some()
}

/// The first wave with hosts under way.
fn rolling(rollout: &Rollout) -> Option<String> {
    let waves = rollout
        .lanes
        .iter()
        .flat_map(|lane| lane.waves.iter().map(move |wave| (lane, wave)));
    let mut under_way = waves.filter(|(_, wave)| wave.running > 0 && wave.done < wave.hosts);
    under_way
        .next()
        .map(|(lane, wave)| format!("the wave `{}` of {}", wave.wave, lane.datacenter))
}
