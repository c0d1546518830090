//! What happens to hosts in the middle of a phase that takes twenty seconds, each to another: the agent is killed,
//! restarted, installed anew; the host reboots; its datacenter is cut off for longer than the phase. In the end all is as if
//! nothing had been: the program ran once, and its output is whole. A reboot is told from the rest by the phase's `verify`:
//! where that holds nothing runs again, where it does not the phase is lost and ordered anew. Deliberately aimed by what
//! can be seen on the host, not by a timer.

use std::{fs, time::Duration};

use anyhow::{Context as _, bail, ensure};
use echelon_proto::wire::control::{Rollout, RolloutState};
use futures::future::try_join_all;
use tokio::time;

use super::{ROLLOUT_WITHIN, machine::Machine, network::Network, package, scene::Scene};
use crate::{
    bundle::Entry,
    coordinator::{Coordinator, Person},
    screen,
};

const APP: &str = "endurance";
const WORK: &str = include_str!("../../hosts/work.sh");
const LINES: usize = 20;
/// Seen on a host, it is in the middle; what is done early is done by then.
const MIDDLE: &str = "line 4";
const COMES_WITHIN: Duration = Duration::from_secs(120);
/// A cut goes on for so long after the phase's end: the phase was a few seconds old when it began.
const AFTER: Duration = Duration::from_secs(8);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Whether what the program leaves running does run. The brackets keep it from finding itself.
const LOOK_FOR_IT: &str = "grep -lsa 'sleep.360[0]' /proc/[0-9]*/cmdline";
/// On a host.
const LOG: &str = "/var/lib/endurance.log";
/// In this datacenter, which is cut off.
const CUT: u8 = 3;

/// What happens to one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// `kill -9` of the agent; systemd starts another.
    Killed,
    /// `systemctl restart` of the agent.
    Restarted,
    /// The package is installed over itself, which restarts the agent.
    Upgraded,
    /// The host reboots, and the phase had done nothing yet.
    RebootedLate,
    /// The host reboots, and the phase had done what it is for.
    RebootedEarly,
    /// The datacenter is cut off.
    Cut,
    /// Nothing.
    Spared,
}

impl Event {
    /// By datacenter and number.
    fn of(machine: &Machine) -> Self {
        let is_first = machine.name.ends_with("-1");
        match (machine.datacenter, is_first) {
            (1, true) => Self::Killed,
            (1, false) => Self::Restarted,
            (2, true) => Self::RebootedLate,
            (2, false) => Self::RebootedEarly,
            (CUT, _) => Self::Cut,
            (_, true) => Self::Upgraded,
            (_, false) => Self::Spared,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Killed => "kill -9 of its agent",
            Self::Restarted => "systemctl restart of its agent",
            Self::Upgraded => "its agent's package installed anew",
            Self::RebootedLate => "rebooted before the phase had done anything",
            Self::RebootedEarly => "rebooted after the phase had done what it is for",
            Self::Cut => "its datacenter cut off from the coordinator for longer than the phase",
            Self::Spared => "nothing",
        }
    }

    /// What the phase's program wrote on the host, when it ran as often as it should: the first order of a rollout is
    /// `fetch`, so it begins with the second.
    fn log(self) -> Vec<String> {
        let whole = |attempt: u32| {
            let lines = (1..=LINES).map(|line| format!("line {line}"));
            std::iter::once(format!("begin {attempt}"))
                .chain(lines)
                .chain([format!("end {attempt}")])
        };
        match self {
            Self::RebootedLate => std::iter::once("begin 2".to_owned()).chain(whole(3)).collect(),
            Self::RebootedEarly => vec!["begin 2".to_owned()],
            _ => whole(2).collect(),
        }
    }
}

/// All of it, in one rollout.
pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    super::push(&scene.coordinator, "endurance.yaml").await?;
    let rollout = work(scene, "1").await?;
    let struck = try_join_all(scene.machines.iter_mut().map(|machine| {
        let (package, network, coordinator) = (&scene.package, &scene.network, &scene.coordinator);
        async move {
            in_the_middle(machine).await?;
            let event = Event::of(machine);
            match event {
                Event::Killed => killed(machine).await?,
                Event::Restarted => machine.must("systemctl restart echelon-agent").await.map(drop)?,
                Event::Upgraded => package::install(package, machine).await?,
                Event::RebootedLate | Event::RebootedEarly => machine.reboot().await?,
                Event::Cut => cut(network, coordinator, machine).await?,
                Event::Spared => {}
            }
            screen::strike(format_args!("{}: {}", machine.name, event.words()));
            anyhow::Ok(())
        }
    }));
    struck.await?;
    let id = rollout.rsplit('/').next().unwrap_or_default();
    let ended = |rollout: &Rollout| rollout.end_time.is_some();
    let ended = scene
        .coordinator
        .until(&rollout, ROLLOUT_WITHIN, "its end", ended)
        .await?;
    ensure!(
        ended.state() == RolloutState::Succeeded,
        "{rollout} is {:?} in the end",
        ended.state()
    );
    scene
        .coordinator
        .cli(Person::Alice)
        .show_ends(&["report", id], 0, super::SHORT)
        .await?;
    let words = ["rollout", "events", id, "--output", "ndjson"];
    let events = scene.coordinator.cli(Person::Alice).must(&words).await?;
    for machine in &scene.machines {
        ran_once(machine)?;
        left_nothing(machine, &events).await?;
        output_is_whole(scene, machine, id).await?;
        screen::good(format_args!(
            "{}: the program ran as it should and its output is whole",
            machine.name
        ));
    }
    Ok(())
}

/// The phase's program has written its fourth line, in a unit of its own with its limits.
async fn in_the_middle(machine: &Machine) -> anyhow::Result<()> {
    until(machine, MIDDLE).await?;
    let units = "systemctl list-units --plain --no-legend --state=running echelon-phase-*";
    let units = machine.must(units).await?;
    let [unit] = units.lines().collect::<Vec<_>>()[..] else {
        bail!("on {} the phase is in no unit of its own: {units:?}", machine.name);
    };
    let name = unit.split_whitespace().next().unwrap_or_default();
    let limit = machine
        .must(&format!("systemctl show --property=MemoryMax {name}"))
        .await?;
    ensure!(
        limit.trim() == "MemoryMax=67108864",
        "on {} {name} has {limit}",
        machine.name
    );
    Ok(())
}

/// Until the program's log on the host has this line.
async fn until(machine: &Machine, line: &str) -> anyhow::Result<()> {
    let looking = async {
        while !log(machine).iter().any(|found| found.starts_with(line)) {
            time::sleep(LOOK_EVERY).await;
        }
    };
    time::timeout(COMES_WITHIN, looking)
        .await
        .with_context(|| format!("on {} the program does not come to {line:?}", machine.name))
}

/// What the program wrote; nothing while the host is down.
fn log(machine: &Machine) -> Vec<String> {
    let text = machine.file(LOG).ok().and_then(|file| fs::read_to_string(file).ok());
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// How often the program has come to its end on this host.
pub(super) fn ends(machine: &Machine) -> usize {
    log(machine).iter().filter(|line| line.starts_with("end")).count()
}

/// Until the program has begun on this host after so many ends, and is in the middle.
pub(super) async fn begun_after(machine: &Machine, ends: usize) -> anyhow::Result<()> {
    let looking = async {
        loop {
            let log = log(machine);
            let last = log
                .iter()
                .rposition(|line| line.starts_with("begin"))
                .unwrap_or_default();
            let is_new = log[..last].iter().filter(|line| line.starts_with("end")).count() == ends;
            if is_new && log[last..].iter().any(|line| line == MIDDLE) {
                return;
            }
            time::sleep(LOOK_EVERY).await;
        }
    };
    time::timeout(COMES_WITHIN, looking)
        .await
        .with_context(|| format!("on {} the program does not begin again", machine.name))
}

/// Rolls another release of the program out, and does not wait for it. Gives the rollout's name.
pub(super) async fn work(scene: &Scene, release: &str) -> anyhow::Result<String> {
    scene.offer(APP, release, &[Entry::program("bin/work", WORK)]).await?;
    let words = ["start", APP, "--release", release, "--playbook", APP, "--detach"];
    scene.coordinator.cli(Person::Alice).must(&words).await?;
    Ok(scene.coordinator.newest(APP).await?.name)
}

async fn killed(machine: &Machine) -> anyhow::Result<()> {
    let number = || machine.must("systemctl show --value --property=MainPID echelon-agent");
    let before = number().await?;
    machine
        .must("systemctl kill --kill-whom=main --signal=KILL echelon-agent")
        .await?;
    let another = async {
        loop {
            let now = number().await?;
            if now != before && now.trim() != "0" {
                return anyhow::Ok(());
            }
            time::sleep(LOOK_EVERY).await;
        }
    };
    time::timeout(COMES_WITHIN, another)
        .await
        .with_context(|| format!("on {} systemd starts no other agent", machine.name))?
}

/// Until the program has ended, the coordinator has missed the host, and then some.
async fn cut(network: &Network, coordinator: &Coordinator, machine: &Machine) -> anyhow::Result<()> {
    // By the first of its hosts for both.
    if machine.name.ends_with("-1") {
        network.cut(machine.datacenter).await?;
    }
    until(machine, "end").await?;
    coordinator.missed(&machine.name, COMES_WITHIN).await?;
    time::sleep(AFTER).await;
    if machine.name.ends_with("-1") {
        network.heal(machine.datacenter).await?;
    }
    Ok(())
}

fn ran_once(machine: &Machine) -> anyhow::Result<()> {
    let (found, wanted) = (log(machine), Event::of(machine).log());
    let is_cut_short = matches!(Event::of(machine), Event::RebootedLate | Event::RebootedEarly);
    // How far it came before the reboot is not known.
    let found: Vec<_> = if is_cut_short { without_first_try(&found) } else { found };
    ensure!(found == wanted, "on {} the program wrote {found:?}", machine.name);
    Ok(())
}

/// What the program left running is named, and was ended; a reboot ends it unseen.
async fn left_nothing(machine: &Machine, events: &str) -> anyhow::Result<()> {
    let host = format!("\"{}\"", machine.name);
    let mut told = events.lines().filter(|event| event.contains(&host));
    let is_named = told.any(|event| event.contains("left running: ") && event.contains("sleep"));
    ensure!(
        is_named || Event::of(machine) == Event::RebootedEarly,
        "what the program left running on {} is named nowhere:\n{events}",
        machine.name
    );
    let found = machine.ask_with(&["sh", "-c", LOOK_FOR_IT]).await?;
    ensure!(
        !found.out.contains("/proc/"),
        "on {} it still runs: {}",
        machine.name,
        found.out
    );
    Ok(())
}

/// Without the lines after the first `begin`, which a reboot has cut short.
fn without_first_try(log: &[String]) -> Vec<String> {
    let (first, rest) = log.split_at(log.len().min(1));
    let again = rest
        .iter()
        .position(|line| line.starts_with("begin"))
        .unwrap_or(rest.len());
    first.iter().chain(&rest[again..]).cloned().collect()
}

/// As the coordinator has it.
async fn output_is_whole(scene: &Scene, machine: &Machine, rollout: &str) -> anyhow::Result<()> {
    let words = ["rollout", "logs", rollout, "--host", &machine.name, "--phase", "work"];
    let said = scene.coordinator.cli(Person::Alice).must(&words).await?;
    let is_whole = |line: usize| {
        let text = format!("line {line} of {LINES} on {}", machine.name);
        said.lines().filter(|found| found.ends_with(&text)).count()
    };
    let times: Vec<_> = (1..=LINES).map(is_whole).collect();
    let is_right = match Event::of(machine) {
        // The first try's lines too, as far as it came.
        Event::RebootedLate => times.iter().all(|times| (1..=2).contains(times)),
        // As far as it came.
        Event::RebootedEarly => times[..4].iter().all(|times| *times == 1),
        _ => times.iter().all(|times| *times == 1),
    };
    ensure!(is_right, "the output of {} is not whole:\n{said}", machine.name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reboot_cut_short_is_left_out_and_nothing_else() {
        let lines = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
        let log = lines("begin 2, line 1, line 2, begin 3, line 1, end 3");
        assert_eq!(without_first_try(&log), lines("begin 2, begin 3, line 1, end 3"));
        assert_eq!(without_first_try(&lines("begin 2, line 1")), lines("begin 2"));
        assert!(without_first_try(&[]).is_empty());
    }
}
