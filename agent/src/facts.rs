//! What this host is: read once at start, its disks anew for each Hello. Deliberately no inventory: labels say the rest.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use nix::sys::statvfs::statvfs;

/// What the operating system says of the host. Unknown texts are empty, unknown numbers 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// `PRETTY_NAME` of os-release.
    pub os: String,
    /// The kernel's release.
    pub kernel: String,
    /// Of the processor, as Rust names it.
    pub architecture: String,
    /// Those this process may use.
    pub cores: u32,
    /// All of it, in bytes.
    pub memory_bytes: u64,
    /// By what they are for (`state`, `apps`): folders whose disks are told of, as they are at each Hello.
    pub folders: BTreeMap<&'static str, PathBuf>,
}

/// The disk that a folder is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// In bytes.
    pub total: u64,
    /// To this user, in bytes.
    pub free: u64,
}

impl Disk {
    /// Of this folder. `None`: it cannot be looked at.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        let disk = statvfs(folder).ok()?;
        Some(Self {
            total: disk.blocks().saturating_mul(disk.fragment_size()),
            free: disk.blocks_available().saturating_mul(disk.fragment_size()),
        })
    }
}

impl Facts {
    /// The disks of its folders as they are now.
    pub fn disks(&self) -> impl Iterator<Item = (&'static str, Disk)> {
        let disks = self.folders.iter().map(|(folder, path)| (*folder, Disk::of(path)));
        disks.filter_map(|(folder, disk)| Some((folder, disk?)))
    }

    /// Of the host this runs on, with no folders.
    #[must_use]
    pub fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            os: os_name(&text("/etc/os-release")),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            cores: std::thread::available_parallelism().map_or(0, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            memory_bytes: memory_bytes(&text("/proc/meminfo")),
            folders: BTreeMap::new(),
        }
    }
}

fn os_name(os_release: &str) -> String {
    let line = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.unwrap_or_default().trim_matches('"').to_owned()
}

fn memory_bytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_read_from_what_linux_writes() {
        assert_eq!(os_name("ID=debian\nPRETTY_NAME=\"Debian 13\"\n"), "Debian 13");
        assert_eq!(memory_bytes("MemTotal:       2048 kB\nMemFree: 1 kB\n"), 2_097_152);
        assert_eq!((os_name(""), memory_bytes("junk")), (String::new(), 0));
    }

    #[test]
    fn a_disk_has_no_more_free_than_it_has_and_one_that_is_not_there_is_not_told_of() {
        let folders = [("apps", PathBuf::from("/")), ("state", PathBuf::from("/proc/none"))];
        let facts = Facts {
            folders: folders.into(),
            ..Facts::default()
        };
        let disks: Vec<_> = facts.disks().collect();
        let [("apps", disk)] = disks[..] else {
            panic!("{disks:?}")
        };
        assert!(disk.total > 0 && disk.free <= disk.total, "{disk:?}");
    }
}
