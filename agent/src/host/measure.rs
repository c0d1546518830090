//! How much of the host is used: processors, memory, the disks of the agent's folders. As Linux counts it; what cannot be
//! read is left out, never guessed. Deliberately nothing of any app: its own probes say how it is.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use crate::facts::Disk;

/// Reads it again and again.
#[derive(Debug)]
pub(super) struct Meter {
    folders: Vec<(&'static str, PathBuf)>,
    /// Of the last reading: processors are only known over a time.
    before: Mutex<Option<Ticks>>,
}

/// Since the host was started, of all processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    idle: u64,
    all: u64,
}

impl Meter {
    pub(super) fn new(folders: impl IntoIterator<Item = (&'static str, PathBuf)>) -> Self {
        Self {
            folders: folders.into_iter().collect(),
            before: Mutex::new(ticks(&text("/proc/stat"))),
        }
    }

    /// In per cent: of all processors since the last reading, of the memory and of each disk now.
    pub(super) fn read(&self) -> BTreeMap<String, f64> {
        let mut values = BTreeMap::new();
        let mut put = |name: String, part: Option<f64>| {
            if let Some(part) = part {
                values.insert(format!("{name}_used_percent"), part);
            }
        };
        let now = ticks(&text("/proc/stat"));
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        put(
            "cpu".to_owned(),
            before.zip(now).and_then(|(before, now)| busy(before, now)),
        );
        *before = now;
        put("memory".to_owned(), memory(&text("/proc/meminfo")));
        for (folder, path) in &self.folders {
            let disk = Disk::of(path);
            let used = disk.and_then(|disk| percent(disk.total.saturating_sub(disk.free), disk.total));
            put(format!("{folder}_disk"), used);
        }
        values
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a part of a hundred needs no more than 53 bits"
)]
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// user nice system idle iowait irq softirq steal; what follows is in user and nice already.
fn ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    let idle = fields.get(3)? + fields.get(4)?;
    Some(Ticks {
        idle,
        all: fields.iter().sum(),
    })
}

/// Counters that went back (a host that was moved, a container's) say nothing.
fn busy(before: Ticks, now: Ticks) -> Option<f64> {
    let all = now.all.checked_sub(before.all)?;
    let idle = now.idle.checked_sub(before.idle)?;
    percent(all.checked_sub(idle)?, all)
}

fn memory(meminfo: &str) -> Option<f64> {
    let of = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':')
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    };
    let total = of("MemTotal")?;
    percent(total.saturating_sub(of("MemAvailable")?), total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_writes_is_read_in_per_cent() {
        let before = ticks("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2").unwrap();
        let now = ticks("cpu  130 0 120 740 110 0 0 0 70 0\n").unwrap();
        assert_eq!(busy(before, now), Some(50.0));
        assert_eq!(busy(now, before), None, "counters that went back");
        assert_eq!(busy(now, now), None, "no time has passed");
        assert_eq!(memory("MemTotal: 2000 kB\nMemAvailable:  500 kB\n"), Some(75.0));
        assert_eq!((ticks("junk"), memory("junk")), (None, None));
    }

    #[test]
    fn a_host_is_measured_and_a_folder_that_is_not_there_is_left_out() {
        let meter = Meter::new([("apps", PathBuf::from("/")), ("state", PathBuf::from("/proc/none"))]);
        let values = meter.read();
        assert!(values.values().all(|value| (0.0..=100.0).contains(value)), "{values:?}");
        assert!(values.contains_key("apps_disk_used_percent") && values.contains_key("memory_used_percent"));
        assert!(!values.contains_key("state_disk_used_percent"));
    }
}
