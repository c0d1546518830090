//! What an agent costs its host when nothing happens: measured on a real host, over a minute, from the outside. Deliberately
//! no judgement: what is good enough is said elsewhere.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::time;

use super::{machine::Machine, scene::Scene};
use crate::screen;

/// After the last thing that happened, until all is calm.
const CALM: Duration = Duration::from_secs(20);
/// Several heartbeats.
const OVER: Duration = Duration::from_secs(60);
const MIB: f64 = 1024.0 * 1024.0;
/// The kernel's clock ticks in a second, as it tells them to programs: a hundred on every Linux.
const TICKS: f64 = 100.0;

/// At one moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Of the processor, by the agent.
    ticks: u64,
    /// Over the host's only line, both ways.
    bytes: u64,
}

/// Measures the first host's agent and says what was found.
pub(super) async fn measure(scene: &Scene) -> anyhow::Result<()> {
    let machine = scene.machines.first().context("there is no host")?;
    screen::note(format_args!(
        "{} is left alone for {} s ...",
        machine.name,
        (CALM + OVER).as_secs()
    ));
    time::sleep(CALM).await;
    let pid = machine
        .must("systemctl show --value --property=MainPID echelon-agent")
        .await?;
    let pid = pid.trim().to_owned();
    let before = look(machine, &pid)?;
    time::sleep(OVER).await;
    let after = look(machine, &pid)?;
    let seconds = OVER.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (ticks, bytes) = ((after.ticks - before.ticks) as f64, (after.bytes - before.bytes) as f64);
    let size = |path: &std::path::Path| anyhow::Ok(fs::metadata(path)?.len());
    let security = machine
        .ask("systemd-analyze security --no-pager echelon-agent")
        .await?
        .out;
    let security = security
        .lines()
        .rev()
        .find(|line| line.contains("exposure level"))
        .unwrap_or("not known");
    let security = security.rsplit(": ").next().unwrap_or(security);
    for (what, value) in [
        ("resident", format!("{:.1} MiB", mib(resident(machine, &pid)?))),
        (
            "processor",
            format!("{:.3} % of a core", 100.0 * ticks / TICKS / seconds),
        ),
        (
            "on the wire",
            format!("{:.0} bytes a second, both ways, with all headers", bytes / seconds),
        ),
        (
            "binary",
            format!("{:.1} MiB", mib(size(&machine.file("/usr/bin/echelon-agent")?)?)),
        ),
        ("package", format!("{:.1} MiB", mib(size(&scene.package)?))),
        ("systemd-analyze security", security.to_owned()),
    ] {
        screen::good(format_args!("{what}: {value}"));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a size, rounded to a tenth")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

fn read(machine: &Machine, path: &str) -> anyhow::Result<String> {
    let path = machine.file(path)?;
    fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
}

fn look(machine: &Machine, pid: &str) -> anyhow::Result<Look> {
    let stat = read(machine, &format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no line of /proc")?;
    let fields: Vec<_> = fields.split(' ').collect();
    // utime and stime, the 14th and 15th of all.
    let ticks = fields.get(11..13).context("too short a line of /proc")?;
    let ticks = ticks.iter().map(|field| field.parse::<u64>()).sum::<Result<u64, _>>()?;
    Ok(Look {
        ticks,
        bytes: bytes(&read(machine, "/proc/1/net/dev")?)?,
    })
}

/// Of all interfaces but the loopback: `host0: RX-BYTES 7 more TX-BYTES ...`
fn bytes(devices: &str) -> anyhow::Result<u64> {
    let mut sum = 0;
    for line in devices.lines().filter_map(|line| line.split_once(':')) {
        let (name, numbers) = line;
        let numbers: Vec<_> = numbers.split_whitespace().collect();
        if name.trim() == "lo" {
            continue;
        }
        for at in [0, 8] {
            sum += numbers
                .get(at)
                .context("too short a line of /proc/net/dev")?
                .parse::<u64>()?;
        }
    }
    Ok(sum)
}

fn resident(machine: &Machine, pid: &str) -> anyhow::Result<u64> {
    let status = read(machine, &format!("/proc/{pid}/status"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = kib
        .and_then(|value| value.split_whitespace().next())
        .context("the agent has gone")?;
    let kib: u64 = kib.parse()?;
    ensure!(kib > 0, "the agent has no memory");
    Ok(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_the_line_count_and_the_loopback_does_not() {
        let devices = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes\n    \
                       lo: 7777 1 0 0 0 0 0 0 7777 1 0 0 0 0 0 0\n host0: 1000 9 0 0 0 0 0 0 234 5 0 0 0 0 0 0\n";
        assert_eq!(bytes(devices).unwrap(), 1234);
        assert!(bytes("host0: 1 2").is_err());
    }
}
