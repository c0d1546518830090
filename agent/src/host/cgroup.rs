//! A cgroup (v2) of one program. The agent may make some where it was given a part of the tree: it then runs in a group
//! called `agent` (`DelegateSubgroup=agent` of its unit), and what is beside that group is its own to divide. Nothing
//! outside of such a part is touched, also not by root: the rest of the tree is systemd's. Deliberately no killing.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::order::Limits;

const MOUNT: &str = "/sys/fs/cgroup";
/// The group that the agent and its supervisors are in.
const OWN: &str = "agent";
/// Begin of the names of groups for programs.
const PHASE: &str = "phase-";
/// A younger one may be that of a program that is only about to enter it.
const SWEPT_AFTER: Duration = Duration::from_secs(60);
/// Microseconds over which processor time is counted: the kernel's own default.
const PERIOD_US: u64 = 100_000;

/// A group; taken away when dropped, unless the program left something running in it.
#[derive(Debug)]
pub(super) struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// One for the program of this folder, with these limits. An error says why there can be none.
    pub(super) fn of_this_host(dir: &Path, limits: Limits) -> Result<Self, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
        Self::make(&delegated(&own, Path::new(MOUNT))?, dir, limits)
    }

    fn make(part: &Path, dir: &Path, limits: Limits) -> Result<Self, String> {
        let part_name = part.display();
        let wanted = [
            ("cpu", limits.cpu_percent.is_some()),
            ("memory", limits.memory_bytes.is_some()),
        ];
        let controllers = fs::read_to_string(part.join("cgroup.controllers"))
            .map_err(|error| format!("{part_name}/cgroup.controllers: {error}"))?;
        for (controller, _) in wanted.iter().filter(|(_, is_wanted)| *is_wanted) {
            if !controllers.split_whitespace().any(|has| has == *controller) {
                return Err(format!("the cgroup {part_name} has no controller {controller}"));
            }
            fs::write(part.join("cgroup.subtree_control"), format!("+{controller}"))
                .map_err(|error| format!("{part_name}/cgroup.subtree_control: {error}"))?;
        }
        sweep(part);
        let words = [dir.parent().and_then(Path::file_name), dir.file_name()];
        let words: Vec<_> = words.into_iter().flatten().map(|word| word.to_string_lossy()).collect();
        let folder = part.join(format!("{PHASE}{}", words.join("-")));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(format!("the cgroup {} cannot be made: {error}", folder.display()));
            }
            _ => {}
        }
        let group = Self { folder };
        group.set(limits)?;
        Ok(group)
    }

    fn set(&self, limits: Limits) -> Result<(), String> {
        let set = |file: &str, value: String| {
            let path = self.folder.join(file);
            fs::write(&path, value).map_err(|error| format!("{}: {error}", path.display()))
        };
        if let Some(percent) = limits.cpu_percent {
            let quota = u64::from(percent) * PERIOD_US / 100;
            set("cpu.max", format!("{quota} {PERIOD_US}"))?;
        }
        if let Some(bytes) = limits.memory_bytes {
            set("memory.max", bytes.to_string())?;
            // Else the rest would go to the disk, and everybody's programs with it. Not there where there is no swap.
            let _ = set("memory.swap.max", "0".to_owned());
        }
        Ok(())
    }

    /// Who writes its number here is in the group.
    pub(super) fn procs(&self) -> io::Result<File> {
        File::options().write(true).open(self.folder.join("cgroup.procs"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Refused while there is somebody in it: then it is swept when that has ended.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Whether the group that this process is in holds these limits, as its unit was told to. An error says which it does not.
pub(super) fn holds(limits: Limits) -> Result<(), String> {
    let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
    let path = unified(&own)?;
    are_held(&Path::new(MOUNT).join(path.trim_start_matches('/')), limits)
}

fn are_held(group: &Path, limits: Limits) -> Result<(), String> {
    for (file, is_wanted) in [
        ("cpu.max", limits.cpu_percent.is_some()),
        ("memory.max", limits.memory_bytes.is_some()),
    ] {
        let path = group.join(file);
        let held = fs::read_to_string(&path).is_ok_and(|value| !value.starts_with("max"));
        if is_wanted && !held {
            return Err(format!("systemd has not set {}", path.display()));
        }
    }
    Ok(())
}

/// The group that a process is in, as /proc names it; where cgroups are of the older kind, systemd's own. None: it is in
/// none that says anything.
pub(super) fn of(pid: i32) -> Option<String> {
    named(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

fn named(groups: &str) -> Option<String> {
    let older = groups.lines().find_map(|line| line.split_once(":name=systemd:"));
    let found = unified(groups).ok().into_iter().chain(older.map(|(_, path)| path));
    found.filter(|path| *path != "/").map(str::to_owned).next()
}

fn unified(own: &str) -> Result<&str, String> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"));
    path.ok_or_else(|| "this host has no cgroup v2".to_owned())
}

/// The part of the tree that is the agent's, from what /proc says of the agent.
fn delegated(own: &str, mount: &Path) -> Result<PathBuf, String> {
    let path = unified(own)?;
    let part = path
        .strip_suffix(OWN)
        .and_then(|part| part.strip_suffix('/'))
        .filter(|part| !part.is_empty())
        .ok_or_else(|| format!("the agent's cgroup {path} is not one that it was given to divide"))?;
    Ok(mount.join(part.trim_start_matches('/')))
}

/// Takes away the groups of programs whose left-over processes have ended since.
fn sweep(part: &Path) {
    for entry in fs::read_dir(part).into_iter().flatten().flatten() {
        let is_phase = entry.file_name().as_encoded_bytes().starts_with(PHASE.as_bytes());
        let age = entry.metadata().and_then(|meta| meta.modified());
        let age = age.ok().and_then(|made| made.elapsed().ok());
        if is_phase && age.is_some_and(|age| age > SWEPT_AFTER) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_group_called_agent_says_that_the_tree_beside_it_is_ours() {
        let mount = Path::new("/sys/fs/cgroup");
        let own = "4:memory:/x\n0::/system.slice/echelon-agent.service/agent\n";
        let part = delegated(own, mount).unwrap();
        assert_eq!(part, Path::new("/sys/fs/cgroup/system.slice/echelon-agent.service"));
        for own in [
            "0::/system.slice/echelon-agent.service\n",
            "0::/agent\n",
            "0::/\n",
            "0::/x/my-agent\n",
            "1:cpu:/a/agent\n",
        ] {
            assert!(delegated(own, mount).is_err(), "{own}");
        }
    }

    #[test]
    fn a_process_is_in_the_group_of_either_kind_of_tree_or_in_none() {
        let group = |text: &str| named(text);
        assert_eq!(group("0::/a/b.service\n").as_deref(), Some("/a/b.service"));
        let older = "5:cpu:/\n1:name=systemd:/a/b.service\n0::/\n";
        assert_eq!(group(older).as_deref(), Some("/a/b.service"));
        assert_eq!(group("0::/\n"), None);
    }

    #[test]
    fn a_limit_is_held_only_when_the_kernel_says_so() {
        let group = tempfile::tempdir().unwrap();
        let limits = Limits {
            cpu_percent: Some(150),
            memory_bytes: None,
            open_files: None,
        };
        assert!(are_held(group.path(), limits).is_err(), "no controller");
        fs::write(group.path().join("cpu.max"), "max 100000\n").unwrap();
        let error = are_held(group.path(), limits).unwrap_err();
        assert!(error.ends_with("cpu.max"), "{error}");
        fs::write(group.path().join("cpu.max"), "150000 100000\n").unwrap();
        are_held(group.path(), limits).unwrap();
    }

    /// Files in the place of the kernel's: what is written is what the kernel would be told.
    #[test]
    fn a_group_is_told_its_limits_and_needs_their_controllers() {
        let part = tempfile::tempdir().unwrap();
        let limits = Limits {
            cpu_percent: Some(150),
            memory_bytes: Some(1 << 20),
            open_files: None,
        };
        fs::write(part.path().join("cgroup.controllers"), "cpu pids\n").unwrap();
        let error = Cgroup::make(part.path(), Path::new("runs/r1/main"), limits).unwrap_err();
        assert!(error.ends_with("has no controller memory"), "{error}");
        fs::write(part.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        let group = Cgroup::make(part.path(), Path::new("runs/r1/main"), limits).unwrap();
        let says = |file: &str| fs::read_to_string(part.path().join("phase-r1-main").join(file)).unwrap();
        assert_eq!(
            (says("cpu.max").as_str(), says("memory.max").as_str()),
            ("150000 100000", "1048576")
        );
        assert_eq!(says("memory.swap.max"), "0");
        drop(group);
    }
}
