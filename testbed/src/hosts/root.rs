//! The root of every host: a small Debian with systemd, made once by debootstrap and kept in cargo's target folder. Hosts
//! see it through an overlay and never write it. Deliberately nothing of Echelon in it: that comes as a package.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use echelon_proto::Digest;

use super::tool;
use crate::{binaries::target, screen};

const SUITE: &str = "bookworm";
/// systemd and its bus, the network's tools, and a web server as what is to be deployed.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,nginx-light";
/// Units of Debian's that a host does not need to be one, and that would only use this machine's processors.
const MASKED: [&str; 8] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
    "console-getty.service",
    "systemd-logind.service",
];
/// It fetches some 100 packages.
const WITHIN: Duration = Duration::from_secs(900);

/// The folder; made when it is not there yet, which takes two minutes.
pub(super) async fn get() -> anyhow::Result<PathBuf> {
    let recipe = format!("{SUITE} {PACKAGES} {MASKED:?}");
    let cache = target()?.join("testbed");
    fs::create_dir_all(&cache).with_context(|| format!("{} cannot be made", cache.display()))?;
    let root = cache.join(format!("root-{}", Digest::of(recipe.as_bytes()).short()));
    let lock = cache.join("root.lock");
    let lock = File::create(&lock).with_context(|| format!("{} cannot be made", lock.display()))?;
    // Of two runs one makes it and the other waits.
    tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    if !root.is_dir() {
        screen::note("a root for the hosts is made by debootstrap, once; this takes a few minutes ...");
        make(&root).await?;
    }
    Ok(root)
}

async fn make(root: &Path) -> anyhow::Result<()> {
    let part = root.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("{} cannot be removed", part.display()))?;
    }
    let words = format!(
        "debootstrap --variant=minbase --include={PACKAGES} {SUITE} {}",
        part.display()
    );
    tool::must(tool::line(&words), "", WITHIN)
        .await
        .context("no root for hosts")?;
    for unit in MASKED {
        let mask = part.join("etc/systemd/system").join(unit);
        symlink("/dev/null", &mask).with_context(|| format!("{} cannot be made", mask.display()))?;
    }
    // The web server's own unit: ours comes with the release.
    let _ = fs::remove_file(part.join("etc/systemd/system/multi-user.target.wants/nginx.service"));
    let _ = fs::remove_dir_all(part.join("var/cache/apt/archives"));
    fs::rename(&part, root).with_context(|| format!("{} cannot be made", root.display()))
}
