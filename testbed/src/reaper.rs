//! Nothing is left behind: this process takes the place of init for all that it starts, however deep, so that what a
//! phase put into the background can be found and ended too. Deliberately no list of our own that could be wrong: /proc
//! says what there is.

use std::{fs, thread, time::Duration};

use anyhow::Context as _;
use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// Between asking to end and making it end.
const GRACE: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Looks until what does not die is given up: about five seconds.
const LOOKS_MAX: u32 = 250;

/// A process that descends from this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descendant {
    /// Its number.
    pub pid: i32,
    /// Its command line, cut.
    pub command: String,
}

/// Ends every descendant when dropped.
#[derive(Debug)]
pub struct Reaper(());

impl Reaper {
    /// From now on orphans of what this process starts become its own children.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn new() -> anyhow::Result<Self> {
        prctl::set_child_subreaper(true).context("this process cannot become the parent of its orphans")?;
        Ok(Self(()))
    }

    /// Ends every descendant, politely at first, and gives how many there were. Blocks.
    pub fn sweep() -> usize {
        let found = descendants();
        for process in &found {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGTERM);
        }
        let polite = u32::try_from(GRACE.as_millis() / LOOK_EVERY.as_millis()).unwrap_or(1);
        for look in 0..LOOKS_MAX {
            reap();
            let left = descendants();
            if left.is_empty() {
                break;
            }
            if look >= polite {
                for process in &left {
                    let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
                }
            }
            thread::sleep(LOOK_EVERY);
        }
        found.len()
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        Self::sweep();
    }
}

/// Takes the ends of children that nobody else waits for.
fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}

/// Everything alive that this process started, or that was started by what it started.
#[must_use]
pub fn descendants() -> Vec<Descendant> {
    let table = processes();
    let mut family = vec![i32::try_from(std::process::id()).unwrap_or_default()];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(table.iter().filter(|row| row.parent == parent).map(|row| row.pid));
        next += 1;
    }
    let alive = |pid: &i32| table.iter().any(|row| row.pid == *pid && !row.zombie);
    let command = |pid: i32| {
        let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&raw).replace('\0', " ");
        text.trim().chars().take(160).collect()
    };
    let pids = family.into_iter().skip(1).filter(alive);
    pids.map(|pid| Descendant {
        pid,
        command: command(pid),
    })
    .collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    pid: i32,
    parent: i32,
    zombie: bool,
}

fn processes() -> Vec<Row> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = entries.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter_map(|stat| row(&stat)).collect()
}

/// `PID (NAME) STATE PARENT ...`, where the name may hold anything, brackets and blanks too.
fn row(stat: &str) -> Option<Row> {
    let (pid, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let ended = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let threads: u32 = fields.nth(15)?.parse().ok()?;
    Some(Row {
        pid: pid.parse().ok()?,
        parent,
        // Its first thread may have ended before the others, which still hold its sockets.
        zombie: ended && threads <= 1,
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_hide_the_parent() {
        let wanted = Row {
            pid: 7,
            parent: 3,
            zombie: false,
        };
        assert_eq!(row("7 (a) b) S 3 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0 9"), Some(wanted));
        let ended = |threads| row(&format!("8 (x) Z 3 8 8 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 9"));
        assert!(ended(1).unwrap().zombie);
        assert!(!ended(2).unwrap().zombie, "a thread is still there");
        assert_eq!(row("nonsense"), None);
    }

    #[test]
    fn a_child_and_its_child_are_found_and_the_dead_are_not() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 61 & echo up; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        let shell = i32::try_from(child.id()).unwrap();
        let found = descendants();
        let sleeper = found.iter().find(|process| process.command == "sleep 61").cloned();
        for pid in [Some(shell), sleeper.as_ref().map(|process| process.pid)]
            .into_iter()
            .flatten()
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        child.wait().unwrap();
        assert!(sleeper.is_some(), "{found:?}");
        assert!(found.iter().any(|process| process.pid == shell), "{found:?}");
        assert!(!descendants().iter().any(|process| process.pid == shell));
    }
}
