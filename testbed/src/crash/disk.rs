//! A disk whose power can be cut: ext4 in an image, on a btrfs in an image of its own. What a program has written and not
//! made durable is in the memory of the ext4 only, so a copy of its image by reference, which takes no time, is what a cut
//! at that moment leaves. Takes root, and a mount namespace of the run's own, with which all of it goes.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::{process::Command, time};

const TOOL_WITHIN: Duration = Duration::from_secs(30);
const CELLAR_BYTES: &str = "8G";
/// Of which an agent leaves 64 MiB free.
const DISK_BYTES: &str = "256M";

/// Where the images of disks are.
#[derive(Debug)]
pub(super) struct Cellar {
    folder: PathBuf,
}

/// One disk.
#[derive(Debug)]
pub(super) struct Disk {
    image: PathBuf,
    /// Where it is mounted.
    pub(super) at: PathBuf,
    cuts: u32,
}

impl Cellar {
    /// In this folder, which takes only what is written.
    pub(super) async fn dig(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let image = folder.join("cellar.img");
        run("truncate", &["--size", CELLAR_BYTES, &name(&image)]).await?;
        run("mkfs.btrfs", &["--quiet", &name(&image)]).await?;
        let inside = folder.join("cellar");
        std::fs::create_dir_all(&inside)?;
        run("mount", &["-o", "loop", &name(&image), &name(&inside)]).await?;
        Ok(Self { folder: inside })
    }

    /// A new disk, mounted there.
    pub(super) async fn disk(&self, number: usize, at: &Path) -> anyhow::Result<Disk> {
        let image = self.folder.join(format!("{number}.img"));
        run("truncate", &["--size", DISK_BYTES, &name(&image)]).await?;
        run("mkfs.ext4", &["-q", &name(&image)]).await?;
        std::fs::create_dir_all(at)?;
        run("mount", &["-o", "loop", &name(&image), &name(at)]).await?;
        Ok(Disk {
            image,
            at: at.to_owned(),
            cuts: 0,
        })
    }
}

impl Disk {
    /// The power goes: what is on the disk now is all that will ever be.
    pub(super) async fn cut(&mut self) -> anyhow::Result<()> {
        self.cuts += 1;
        let left = self.image.with_extension(format!("{}.img", self.cuts));
        run("cp", &["--reflink=always", &name(&self.image), &name(&left)]).await?;
        self.image = left;
        Ok(())
    }

    /// The power comes back. Nobody may use the disk meanwhile.
    pub(super) async fn come_back(&self) -> anyhow::Result<()> {
        run("umount", &["--lazy", &name(&self.at)]).await?;
        run("mount", &["-o", "loop", &name(&self.image), &name(&self.at)]).await
    }

    /// Unmounts it and gives its room back.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        run("umount", &["--lazy", &name(&self.at)]).await?;
        Ok(std::fs::remove_file(&self.image)?)
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

async fn run(tool: &str, words: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(tool);
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    let output = time::timeout(TOOL_WITHIN, command.output()).await;
    let output = output
        .with_context(|| format!("{tool} takes too long"))?
        .with_context(|| format!("{tool} cannot be started"))?;
    ensure!(
        output.status.success(),
        "`{tool} {}` ended with {}: {}",
        words.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
