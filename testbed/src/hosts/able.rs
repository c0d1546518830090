//! Whether this machine can boot the hosts: everything that it lacks for that is said at once, before anything is made.
//! Deliberately nothing is installed here: `verify` does that.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::bail;
use tokio::process::Command;

use super::{slot, tool};

/// What a run of hosts calls, and what it is for.
const TOOLS: [(&str, &str); 8] = [
    ("debootstrap", "makes their root"),
    ("systemd-nspawn", "boots them"),
    ("nft", "is the firewall between their datacenters"),
    ("ip", "makes their networks"),
    ("sysctl", "lets their routers route"),
    ("unshare", "keeps their mounts apart"),
    ("nsenter", "looks into them"),
    ("strip", "makes a second agent small"),
];

/// Whether this process may boot hosts at all.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Looks at everything.
///
/// # Errors
/// All that is missing, in one line.
pub(super) async fn must_be() -> anyhow::Result<()> {
    if !is_root() {
        bail!("hosts are booted in namespaces and cgroups of their own, which takes root: run it as root");
    }
    let tools = TOOLS.iter().filter(|(tool, _)| !is_installed(tool));
    let mut missing: Vec<String> = tools
        .map(|(tool, why)| format!("the program {tool}, which {why}"))
        .collect();
    if !fs::read_to_string("/proc/filesystems").is_ok_and(|known| known.contains("\toverlay\n")) {
        missing.push("the file system overlay, on which their disks lie".to_owned());
    }
    missing.extend(cgroups().err());
    let words = [
        "unshare --mount --propagation private true",
        "unshare --net true",
        "unshare --pid --fork true",
    ];
    for words in words {
        if is_installed("unshare") && tool::must(tool::line(words), "", tool::SHORT).await.is_err() {
            missing.push(format!("a namespace: `{words}` is refused"));
        }
    }
    if is_installed("nft") {
        let mut nft = Command::new("unshare");
        nft.args(["--net", "nft", "list", "ruleset"]);
        if tool::must(nft, "", tool::SHORT).await.is_err() {
            missing.push("a firewall: `nft list ruleset` is refused".to_owned());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("this machine cannot boot hosts; it lacks {}", missing.join("; "))
}

/// Root's own programs are not in everybody's PATH.
fn is_installed(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(tool)).any(|file| file.is_file())
}

/// A group can be made in each tree.
fn cgroups() -> Result<(), String> {
    for tree in slot::cgroup_trees() {
        let group = tree.join(format!("echelon-able-{}", std::process::id()));
        may_be_made(&group)
            .map_err(|error| format!("a cgroup of their own: {} cannot be made: {error}", group.display()))?;
    }
    Ok(())
}

fn may_be_made(group: &Path) -> std::io::Result<()> {
    fs::create_dir(group)?;
    let has_processes = group.join("cgroup.procs").exists();
    fs::remove_dir(group)?;
    if has_processes {
        Ok(())
    } else {
        Err(std::io::Error::other("no cgroups are mounted there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_where_roots_are_and_a_folder_is_no_cgroup() {
        assert!(is_installed("sh") && !is_installed("no-such-program-of-echelon"));
        let folder = tempfile::tempdir().unwrap();
        let group = folder.path().join("group");
        let error = may_be_made(&group).unwrap_err().to_string();
        assert!(error.contains("no cgroups are mounted") && !group.exists(), "{error}");
    }
}
