//! `echelon-testbed power`: the disk of a coordinator, or of an agent, loses its power in the middle of rollouts, with all
//! that was written and not made durable. Its processes end with it, and come back over what is left. Deliberately at
//! moments spread evenly over the story, not by chance.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, stream};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{process::Command, time};

use super::{
    check,
    disk::{Cellar, Disk},
    ring::{Ground, Ring, Who},
    story,
};
use crate::{binaries::Binaries, hosts::able, place::Place, screen};

/// Set for the run in a mount namespace of its own: where it may put its files.
const APART: &str = "ECHELON_TESTBED_APART";
/// Of one story with its cut.
const RUN_WITHIN: Duration = Duration::from_secs(150);
/// Over so long the cuts are spread; a story takes about that.
const SPREAD: Duration = Duration::from_millis(4500);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// `power`
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How many cuts; the coordinator's disk and an agent's in turn
    #[arg(long, default_value_t = 20)]
    cuts: u32,
    /// Rings at once
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    parallel: u8,
    /// Keep the folder with all logs
    #[arg(long)]
    keep: bool,
}

/// Cuts, and looks at what is left.
///
/// # Errors
/// This machine cannot do it, or something does not hold.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    ensure!(
        able::is_root(),
        "disks are mounted from images, which takes root: run it as root"
    );
    let Some(place) = env::var_os(APART).map(PathBuf::from) else {
        return apart(arguments).await;
    };
    let began = Instant::now();
    let binaries = Binaries::build().await?;
    screen::head("Disks lose their power in the middle of rollouts");
    let cellar = Cellar::dig(&place.join("disks")).await?;
    let runs = (0..arguments.cuts).map(|number| {
        let who = [Who::Coordinator, Who::Agent][number as usize % 2];
        let after = SPREAD * (number + 1) / arguments.cuts.max(1);
        let folder = place.join(format!("{number}"));
        let (binaries, cellar) = (&binaries, &cellar);
        async move {
            let cut = cut(binaries, cellar, number as usize, &folder, (who, after));
            let ended = time::timeout(RUN_WITHIN, cut).await;
            (who, after, ended.context("it takes too long").flatten())
        }
    });
    let results: Vec<_> = stream::iter(runs)
        .buffer_unordered(usize::from(arguments.parallel))
        .collect()
        .await;
    let mut failed = 0;
    for (who, after, result) in &results {
        if let Err(error) = result {
            failed += 1;
            screen::bad(format_args!("{who:?}, after {} ms: {error:#}", after.as_millis()));
        }
    }
    ensure!(failed == 0, "{failed} of {} cuts did not end well", results.len());
    screen::good(format_args!(
        "{} power cuts: nothing acknowledged was lost, no phase ran twice, every rollout came to its end",
        results.len()
    ));
    screen::head(&format!("Done in {:.0} s.", began.elapsed().as_secs_f64()));
    Ok(ExitCode::SUCCESS)
}

/// This program again, where what it mounts is seen by nobody else and goes with it. Its files are taken away after that.
async fn apart(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let place = Place::new("power", arguments.keep)?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    command.arg(env::current_exe()?).args(env::args_os().skip(1));
    let status = command.env(APART, place.path()).kill_on_drop(true).status().await;
    let code = status.context("unshare cannot be started")?.code().unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

async fn cut(
    binaries: &Binaries,
    cellar: &Cellar,
    number: usize,
    folder: &Path,
    (who, after): (Who, Duration),
) -> anyhow::Result<()> {
    let coordinator = folder.join("coordinator-disk");
    let at = match who {
        Who::Coordinator => coordinator.clone(),
        Who::Agent => folder.join("hosts/web-1"),
    };
    fs::create_dir_all(folder)?;
    let mut disk = cellar.disk(number, &at).await?;
    let ground = Ground {
        folder: folder.to_owned(),
        coordinator,
    };
    let ring = Ring::start(binaries, &ground, &[]).await?;
    let cutting = async {
        time::sleep(after).await;
        lose(&ring, who, &mut disk).await
    };
    let (acknowledged, cut) = tokio::join!(story::tell(&ring, false), cutting);
    cut.context("the power could not be cut")?;
    check::all(ring, &acknowledged?).await?;
    disk.end().await
}

/// All of them are stopped first: what they would do between the cut and their end must not be seen by anybody.
async fn lose(ring: &Ring, who: Who, disk: &mut Disk) -> anyhow::Result<()> {
    match who {
        Who::Coordinator => {
            let mut coordinator = ring.coordinator.lock().await;
            let pid = coordinator.pid()?;
            kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGSTOP)?;
            disk.cut().await?;
            coordinator.kill().await?;
            disk.come_back().await?;
            coordinator.serve().await
        }
        Who::Agent => {
            let mut hosts = ring.hosts.lock().await;
            let host = hosts.first_mut().context("there is no host")?;
            // Over and over: what is stopped cannot start another, but what was not yet stopped could.
            while signal(&disk.at, Signal::SIGSTOP)? > 0 {}
            disk.cut().await?;
            host.kill().await?;
            while signal(&disk.at, Signal::SIGKILL)? > 0 {
                time::sleep(LOOK_EVERY).await;
            }
            disk.come_back().await?;
            host.run()
        }
    }
}

/// To all that run from this disk or speak of it, but for those that had it already. Gives to how many.
fn signal(disk: &Path, signal: Signal) -> anyhow::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let had_it = signal == Signal::SIGSTOP && is_in(pid, &["T"]);
        if is_of(pid, disk) && !had_it && !is_in(pid, &["Z", "X"]) {
            // It may have ended by itself just now.
            let _sent = kill(Pid::from_raw(pid), signal);
            count += 1;
        }
    }
    Ok(count)
}

fn is_of(pid: i32, disk: &Path) -> bool {
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let disk_name = PathBuf::from(disk).into_os_string().into_encoded_bytes();
    let is_named = words.windows(disk_name.len()).any(|part| part == disk_name);
    cwd.starts_with(disk) || is_named
}

/// Its state, as the kernel tells it after the name in brackets.
fn is_in(pid: i32, states: &[&str]) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').next());
    state.is_none_or(|state| states.contains(&state))
}
