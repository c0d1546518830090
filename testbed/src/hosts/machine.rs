//! One real host: Debian under its own systemd, booted by systemd-nspawn over an overlay of the common root, in a network
//! namespace and cgroups of its own. It reboots as any host does, over the same disk. Deliberately nothing of Echelon.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use echelon_proto::Digest;
use tokio::{process::Command, time};

use super::{
    network::Line,
    slot::{self, Slot},
    tool::{self, Said},
};
use crate::process::Process;

const BOOT: &str = include_str!("../../hosts/boot.sh");
/// From power to systemd's word that all is up, on a machine that is busy.
const UP_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A host.
#[derive(Debug)]
pub(super) struct Machine {
    /// As it calls itself.
    pub(super) name: String,
    /// From 1.
    pub(super) datacenter: u8,
    /// In its datacenter's network.
    pub(super) address: Ipv4Addr,
    cgroups: Vec<PathBuf>,
    keeper: Process,
}

impl Machine {
    /// Switches it on.
    pub(super) fn start(
        slot: &Slot,
        (name, datacenter): (&str, u8),
        line: &Line,
        (root, folder): (&Path, &Path),
    ) -> anyhow::Result<Self> {
        for part in ["upper/etc", "work", "root"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).with_context(|| format!("{} cannot be made", part.display()))?;
        }
        fs::write(folder.join("upper/etc/hostname"), format!("{name}\n"))?;
        // Its own, and known before the first boot: nothing on it is then set up as on a disk that was just made.
        let identity: String = Digest::of(format!("{}{name}", slot.prefix()).as_bytes()).to_string();
        let identity: String = identity.chars().filter(char::is_ascii_hexdigit).take(32).collect();
        fs::write(folder.join("upper/etc/machine-id"), format!("{identity}\n"))?;
        let cgroups: Vec<_> = slot::cgroup_trees()
            .into_iter()
            .map(|tree| tree.join(format!("{}{name}", slot.prefix())))
            .collect();
        let mut command = Command::new("sh");
        command
            .args(["-c", BOOT, "boot"])
            .arg(folder)
            .arg(root)
            .arg(name)
            .arg(&line.namespace)
            .args(&cgroups);
        Ok(Self {
            keeper: Process::start(&format!("the host {name}"), command, &folder.join("console.log"))?,
            name: name.to_owned(),
            datacenter,
            address: line.address,
            cgroups,
        })
    }

    /// Waits until its systemd says that all is up.
    pub(super) async fn up(&mut self) -> anyhow::Result<()> {
        let up = async {
            loop {
                self.keeper.must_live()?;
                if let Ok(said) = self.ask("systemctl is-system-running --wait").await {
                    match said.out.trim() {
                        "running" => return Ok(()),
                        "degraded" => {
                            let failed = self.must("systemctl --failed --no-legend --plain").await?;
                            bail!("{} is up, but not all of it: {failed}", self.name);
                        }
                        _ => {}
                    }
                }
                time::sleep(LOOK_EVERY).await;
            }
        };
        let up = time::timeout(UP_WITHIN, up).await;
        up.with_context(|| format!("{} does not come up: {}", self.name, self.keeper.last_words()))?
    }

    /// Its first process, as this machine numbers it; another one after each boot.
    fn first(&self) -> anyhow::Result<u32> {
        let file = self
            .cgroups
            .first()
            .map(|cgroup| cgroup.join("payload/init.scope/cgroup.procs"));
        let pids = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let first = pids.lines().next().and_then(|pid| pid.parse().ok());
        first.with_context(|| format!("{} is not up", self.name))
    }

    /// A file of its disk, as this machine sees it.
    pub(super) fn file(&self, path: &str) -> anyhow::Result<PathBuf> {
        Ok(PathBuf::from(format!("/proc/{}/root{path}", self.first()?)))
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.first()?.to_string());
        // Not its cgroups: what a person runs is not the host's own.
        command.args([
            "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wdns=/", "env", "-i", PATH,
        ]);
        Ok(command)
    }

    /// How a person gets a shell on it.
    pub(super) fn shell(&self) -> String {
        let first = self.first().unwrap_or_default();
        format!("nsenter --target {first} --all bash")
    }

    /// Runs a line on it, however it ends.
    pub(super) async fn ask(&self, words: &str) -> anyhow::Result<Said> {
        self.ask_with(&words.split_whitespace().collect::<Vec<_>>()).await
    }

    /// The same with words that may have blanks in them.
    pub(super) async fn ask_with(&self, words: &[&str]) -> anyhow::Result<Said> {
        let mut command = self.command()?;
        command.args(words);
        tool::ask(command, "", UP_WITHIN).await
    }

    /// The same, but it must succeed; gives its standard output.
    pub(super) async fn must(&self, words: &str) -> anyhow::Result<String> {
        let said = self.ask(words).await.with_context(|| format!("on {}", self.name))?;
        if said.code != 0 {
            bail!(
                "on {} `{words}` ended with {}: {}{}",
                self.name,
                said.code,
                said.out,
                said.err
            );
        }
        Ok(said.out)
    }

    /// A script of shell on it, which must succeed, with something in its environment.
    pub(super) async fn script(&self, environment: &str, script: &str) -> anyhow::Result<String> {
        let mut command = self.command()?;
        command.args([environment, "sh", "-ec", script]);
        tool::must(command, "", UP_WITHIN)
            .await
            .with_context(|| format!("on {}", self.name))
    }

    /// Reboots it, and waits until it is up again.
    pub(super) async fn reboot(&mut self) -> anyhow::Result<()> {
        let before = self.first()?;
        self.must("systemctl --no-block reboot").await?;
        let down = async {
            while self.first().is_ok_and(|first| first == before) {
                time::sleep(LOOK_EVERY).await;
            }
        };
        let down = time::timeout(UP_WITHIN, down).await;
        down.with_context(|| format!("{} does not go down", self.name))?;
        self.up().await
    }

    /// What it said on its console, for when something went wrong.
    pub(super) fn last_words(&self) -> String {
        self.keeper.last_words()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for cgroup in &self.cgroups {
            slot::end(cgroup);
        }
    }
}
