//! All that one program has started and that still runs: its descendants, also those that have left its group and its
//! session (the supervisor is the one to whom the kernel gives orphans), and whoever is in a cgroup of the program's own.
//! Deliberately no opinion on what is to become of them.

use std::{thread, time::Duration};

use echelon_proto::limits::{LEFTOVER_CHARS_MAX, LEFTOVERS_MAX};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    cgroup,
    process::{self, GRACE, LOOK_EVERY, Process},
    secrets::HandedOver,
    unit,
};

/// A program's last children end a moment after it, and are not left running.
const SETTLES_WITHIN: Duration = Duration::from_millis(250);

/// Whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Family {
    /// Its descendants, and not itself. None: they are nobody's descendants any more.
    supervisor: Option<i32>,
    /// Everybody in it, as /proc names it.
    cgroup: Option<String>,
}

impl Family {
    /// Of the process that calls, which has started this program.
    pub(super) fn of_this_process(program: i32) -> Self {
        let supervisor = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
        let (own, programs) = (cgroup::of(supervisor), cgroup::of(program));
        Self {
            supervisor: Some(supervisor),
            cgroup: programs.filter(|group| is_of_one_program(group) || Some(group) != own.as_ref()),
        }
    }

    /// Of a unit whose supervisor is gone.
    pub(super) fn of_unit(cgroup: String) -> Self {
        Self {
            supervisor: None,
            cgroup: Some(cgroup).filter(|group| is_of_one_program(group)),
        }
    }

    /// Who runs. Not those that have ended and are only not waited for.
    pub(super) fn members(&self) -> Vec<Process> {
        let all = process::all();
        let mut found: Vec<i32> = self.supervisor.into_iter().collect();
        let mut seen = 0;
        while seen < found.len() {
            let parent = found[seen];
            seen += 1;
            let children = all.iter().filter(|process| process.parent == parent);
            let children: Vec<i32> = children.map(|child| child.pid).collect();
            found.extend(children.into_iter().filter(|pid| *pid != parent));
        }
        let is_member = |process: &Process| {
            Some(process.pid) != self.supervisor && (found.contains(&process.pid) || self.holds(process.pid))
        };
        all.into_iter().filter(is_member).collect()
    }

    /// Whether it is in the program's cgroup, or in one below.
    fn holds(&self, pid: i32) -> bool {
        let (Some(group), Some(of)) = (&self.cgroup, self.cgroup.as_ref().and_then(|_| cgroup::of(pid))) else {
            return false;
        };
        of.strip_prefix(group.as_str())
            .is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

    /// Who still runs when the program's end has come through to its last children.
    pub(super) fn settled(&self) -> Vec<Process> {
        let mut left = SETTLES_WITHIN;
        loop {
            let members = self.members();
            if members.is_empty() || left.is_zero() {
                return members;
            }
            thread::sleep(LOOK_EVERY);
            left = left.saturating_sub(LOOK_EVERY);
        }
    }

    /// Ends them all: SIGTERM, and SIGKILL for who is still there after the grace. Gives how many not even that has ended
    /// (a process that hangs in the kernel). Blocks until then, and does `meanwhile` at each look.
    pub(super) fn end(&self, mut meanwhile: impl FnMut()) -> usize {
        for process in self.members() {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGTERM);
        }
        let mut members = self.members();
        let mut spent = Duration::ZERO;
        while !members.is_empty() && spent < GRACE * 2 {
            thread::sleep(LOOK_EVERY);
            spent += LOOK_EVERY;
            meanwhile();
            members = self.members();
            if spent < GRACE {
                continue;
            }
            // Again at each look: one that forks faster than it is looked for is ended by and by.
            for process in &members {
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
        }
        members.len()
    }
}

/// Nobody else is in the cgroup of a phase's unit.
fn is_of_one_program(group: &str) -> bool {
    group
        .rsplit('/')
        .next()
        .is_some_and(|name| name.starts_with(unit::PREFIX))
}

/// Their numbers and first words, without the program's secrets; of many only the first, and how many more there are.
pub(super) fn names(members: &[Process], secrets: Option<&HandedOver>) -> Vec<String> {
    let shown = if members.len() > LEFTOVERS_MAX {
        LEFTOVERS_MAX - 1
    } else {
        members.len()
    };
    let mut names: Vec<String> = members[..shown].iter().map(|process| name(process, secrets)).collect();
    if shown < members.len() {
        names.push(format!("and {} more", members.len() - shown));
    }
    names
}

fn name(process: &Process, secrets: Option<&HandedOver>) -> String {
    let mut words = process::words(process.pid);
    if let Some(secrets) = secrets {
        let mut redactor = secrets.redactor();
        let mut shown = redactor.feed(&words);
        shown.extend(redactor.finish());
        words = shown;
    }
    let words = String::from_utf8_lossy(&words);
    let words = words.replace(|c: char| c.is_control(), " ");
    let name = format!("{} {}", process.pid, words.trim_end());
    name.chars().take(LEFTOVER_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cgroup_of_one_phase_is_ended_whole() {
        assert!(is_of_one_program(
            "/system.slice/echelon-phase-r1-h1-start-1-abc.service"
        ));
        for group in ["/", "/system.slice/echelon-agent.service", "/system.slice", ""] {
            assert!(!is_of_one_program(group), "{group:?}");
            assert_eq!(Family::of_unit(group.to_owned()).members(), [], "{group:?}");
        }
    }

    #[test]
    fn many_are_named_by_the_first_and_a_number() {
        let own = process::look(i32::try_from(std::process::id()).unwrap()).unwrap();
        let named = names(&vec![own; LEFTOVERS_MAX + 9], None);
        assert_eq!(named.len(), LEFTOVERS_MAX);
        assert!(named[0].starts_with(&format!("{} ", own.pid)), "{named:?}");
        assert_eq!(named[LEFTOVERS_MAX - 1], "and 10 more");
        assert!(named.iter().all(|name| name.chars().count() <= LEFTOVER_CHARS_MAX));
    }
}
