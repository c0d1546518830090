//! Which of this machine's runs this one is: a number that nobody else has, from which follow the names and addresses of
//! all it makes outside of its own folder. Whoever takes a number first clears away what a killed run left under it.
//! Deliberately no list of what was made: names say whose it is.

use std::{
    fs::{self, File, TryLockError},
    io::{Seek as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context as _;

/// Runs at once on one machine: each has a sixteenth of the addresses 10.200.0.0 to 10.215.255.255.
const SLOTS: u8 = 16;
const LOCKS: &str = "/run/lock/echelon-testbed";
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Looks until what was killed is gone: ten seconds.
const LOOKS_MAX: u32 = 500;

/// A number that is held until it is dropped; what goes by it is then cleared away.
#[derive(Debug)]
pub(super) struct Slot {
    number: u8,
    /// Locked, and says which folder is the run's.
    _lock: File,
}

impl Slot {
    /// Takes the first that is free; `folder` is what this run writes in.
    pub(super) fn take(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(LOCKS).with_context(|| format!("{LOCKS} cannot be made"))?;
        let mut taken = None;
        for number in 0..SLOTS {
            let path = Path::new(LOCKS).join(number.to_string());
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path);
            let mut file = file.with_context(|| format!("{} cannot be opened", path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error).context("no number can be taken"),
            }
            // Of every number that nobody holds, so that what a killed run left does not stay until its number comes up.
            clear(number);
            remove_folder(&fs::read_to_string(&path).unwrap_or_default());
            file.set_len(0)?;
            file.rewind()?;
            if taken.is_none() {
                write!(file, "{}", folder.display())?;
                taken = Some(Self { number, _lock: file });
            }
        }
        taken.with_context(|| format!("{SLOTS} runs are going on at once"))
    }

    /// Begin of the names of interfaces, namespaces and cgroups.
    pub(super) fn prefix(&self) -> String {
        prefix(self.number)
    }

    /// Makes a process one of those that end with the slot, also when this one is killed.
    pub(super) fn own(&self, name: &str, pid: u32) -> anyhow::Result<()> {
        let tree = cgroup_trees().into_iter().next().context("there are no cgroups")?;
        let group = tree.join(format!("{}{name}", self.prefix()));
        fs::create_dir_all(&group).with_context(|| format!("{} cannot be made", group.display()))?;
        let procs = group.join("cgroup.procs");
        fs::write(&procs, pid.to_string()).with_context(|| format!("{} cannot be written", procs.display()))
    }

    /// Of the run's 65,536 addresses, this one.
    pub(super) fn address(&self, third: u8, fourth: u8) -> std::net::Ipv4Addr {
        [10, 200 + self.number, third, fourth].into()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        clear(self.number);
    }
}

/// With an end, so that 1 is not the begin of 12. Short: names of interfaces have 15 characters.
fn prefix(number: u8) -> String {
    format!("ech{number}-")
}

/// Where the kernel's cgroups are that have names: one tree, or on older hosts two.
pub(super) fn cgroup_trees() -> Vec<PathBuf> {
    let both = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"].map(PathBuf::from);
    if both.iter().all(|tree| tree.is_dir()) {
        both.into()
    } else {
        vec!["/sys/fs/cgroup".into()]
    }
}

/// Ends and takes away everything under this number.
fn clear(number: u8) {
    let prefix = prefix(number);
    for tree in cgroup_trees() {
        for cgroup in named(&tree, &prefix) {
            end(&cgroup);
        }
    }
    for namespace in named(Path::new("/run/netns"), &prefix) {
        let name = namespace.file_name().unwrap_or_default().to_owned();
        quiet(Command::new("ip").args(["netns", "delete"]).arg(name));
    }
    for interface in named(Path::new("/sys/class/net"), &prefix) {
        let name = interface.file_name().unwrap_or_default().to_owned();
        quiet(Command::new("ip").args(["link", "delete"]).arg(name));
    }
}

/// What is left of this run or of a dead one: nothing, or the names.
pub(super) fn left(prefix: &str) -> Vec<String> {
    let places = cgroup_trees()
        .into_iter()
        .chain(["/run/netns".into(), "/sys/class/net".into()]);
    let found = places.flat_map(|place| named(&place, prefix));
    found.map(|path| path.display().to_string()).collect()
}

fn named(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    ours.map(|entry| entry.path()).collect()
}

/// Kills everything in a cgroup and takes the group away, with those in it.
pub(super) fn end(cgroup: &Path) {
    for _ in 0..LOOKS_MAX {
        // Not in the older of two trees, but there the same processes are in both.
        let _ = fs::write(cgroup.join("cgroup.kill"), "1");
        remove(cgroup);
        if !cgroup.exists() {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn remove(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(cgroup);
}

fn quiet(command: &mut Command) {
    let _ = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// Of a run that was killed. Only a folder that is called as ours are.
fn remove_folder(path: &str) {
    let path = Path::new(path.trim());
    let is_ours = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("echelon-hosts-"));
    if path.is_absolute() && is_ours {
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_of_a_run_is_removed() {
        let outside = tempfile::tempdir().unwrap();
        let (ours, other) = (outside.path().join("echelon-hosts-x"), outside.path().join("precious"));
        for folder in [&ours, &other] {
            fs::create_dir(folder).unwrap();
            remove_folder(&folder.display().to_string());
        }
        remove_folder("");
        assert!(!ours.exists() && other.exists());
    }

    #[test]
    fn a_number_is_not_the_begin_of_another() {
        assert!(!prefix(12).starts_with(&prefix(1)));
        assert!(format!("{}dc200", prefix(15)).len() < 15);
    }
}
