//! What /proc says of processes: who is in a group or session, whose child it is, when it began. Numbers of processes are used again,
//! so a process is a number and its begin. Deliberately only reading and signals.

use std::{
    fs::{self, File},
    io::Read as _,
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// Between a polite signal and a deadly one.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// Between two looks at who is still there.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Of a process's arguments: more than is ever shown of them.
const WORDS_BYTES: u64 = 4096;

/// One line of /proc/PID/stat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// In clock ticks since boot.
    pub(super) began: u64,
    /// Ended with all its threads, but not yet waited for. While one of them is still on its way out, so are the sockets and
    /// files that they share.
    pub(super) is_zombie: bool,
}

/// One process, if it is there.
pub(super) fn look(pid: i32) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(stat: &str) -> Option<Process> {
    let pid = stat.split(' ').next()?.parse().ok()?;
    // The name is in parentheses and may hold anything, also parentheses.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        began: fields.get(19)?.parse().ok()?,
        is_zombie: matches!(*fields.first()?, "Z" | "X") && fields.get(17)?.parse::<u32>().ok()? <= 1,
    })
}

/// Its arguments, a blank between them; for one without any its name.
pub(super) fn words(pid: i32) -> Vec<u8> {
    let mut words = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/cmdline")) {
        let _ = file.take(WORDS_BYTES).read_to_end(&mut words);
    }
    if words.is_empty() {
        words = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    }
    for byte in &mut words {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    words
}

/// Everybody who runs.
pub(super) fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(look).filter(|process| !process.is_zombie).collect()
}

/// Process groups of a session whose first process still runs.
pub(super) fn groups_led_in(session: i32) -> Vec<i32> {
    let led = all()
        .into_iter()
        .filter(|p| p.session == session && p.pid == p.group && p.pid != session);
    led.map(|process| process.group).collect()
}

/// This boot of the kernel; a process number of another boot says nothing.
pub(super) fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Ends a whole process group: SIGTERM, and SIGKILL for who is still there after the grace. Blocks until they are gone.
/// The caller must know that the number still stands for the group (its first process runs or is not yet waited for).
pub(super) fn end_group(group: i32) {
    let pgid = Pid::from_raw(group);
    if killpg(pgid, Signal::SIGTERM) == Err(Errno::ESRCH) {
        return;
    }
    if empties_within(group, GRACE) {
        return;
    }
    let _ = killpg(pgid, Signal::SIGKILL);
    // Not even SIGKILL ends a process that hangs in the kernel; waiting for ever would help nobody.
    empties_within(group, GRACE);
}

fn empties_within(group: i32, within: Duration) -> bool {
    let mut left = within;
    loop {
        if !all().iter().any(|process| process.group == group) {
            return true;
        }
        if left.is_zero() {
            return false;
        }
        thread::sleep(LOOK_EVERY);
        left = left.saturating_sub(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_is_read_past() {
        let stat = "42 (a) b (c)) S 1 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 20";
        let process = parse(stat).unwrap();
        assert_eq!(
            (
                process.pid,
                process.parent,
                process.group,
                process.session,
                process.began
            ),
            (42, 1, 40, 39, 98765)
        );
        assert!(!process.is_zombie);
        assert_eq!(parse("42 (sh)"), None);
    }

    #[test]
    fn a_process_has_ended_when_the_last_of_its_threads_has() {
        let stat = |state: &str, threads: u32| {
            let stat = format!("42 (app) {state} 1 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 {threads} 0 98765 0 0");
            parse(&stat).unwrap()
        };
        assert!(!stat("S", 1).is_zombie);
        assert!(
            !stat("Z", 3).is_zombie,
            "the first thread is gone, the others hold its port"
        );
        assert!(stat("Z", 1).is_zombie && stat("X", 0).is_zombie);
    }

    #[test]
    fn this_process_is_found_with_the_begin_it_keeps() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(look(pid).unwrap(), look(pid).unwrap());
        assert_eq!(look(i32::MAX), None);
        assert!(!boot().is_empty());
    }
}
