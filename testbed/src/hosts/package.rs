//! The agent's .deb, made of the binary that cargo builds, and put on a host as an administrator would. Deliberately no
//! short cut: what runs on the hosts is what the package brought.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::process::Command;

use super::{machine::Machine, tool};
use crate::{
    binaries::{Binaries, target},
    screen,
};

/// Of a build of the agent for size, from nothing, on a machine that is busy.
const WITHIN: Duration = Duration::from_secs(1800);
/// The crate and program that makes packages.
pub(super) const MAKER: &str = "echelon-packages";
const ON_HOST: &str = "/var/tmp/echelon.deb";

/// Makes it in this folder. The binary is that of the profile, which is built when it is not the testbed's own.
pub(super) async fn make(binaries: &Binaries, profile: Option<&str>, out: &Path) -> anyhow::Result<PathBuf> {
    screen::note("the agent's package is made ...");
    let profile = profile.filter(|profile| *profile != own(binaries));
    let made = pack(binaries, profile, &["--only", "agent"], out).await?;
    made.into_iter().next().context("`cargo packages` makes no package")
}

/// Those of coordinator and command, of the testbed's own profile.
pub(super) async fn make_others(binaries: &Binaries, out: &Path) -> anyhow::Result<Vec<PathBuf>> {
    screen::note("the packages of coordinator and command are made ...");
    pack(binaries, None, &["--only", "coordinator", "--only", "cli"], out).await
}

/// As cargo takes it.
fn own(binaries: &Binaries) -> &str {
    if binaries.profile == "debug" {
        "dev"
    } else {
        &binaries.profile
    }
}

/// Another profile than the testbed's own is built first.
async fn pack(binaries: &Binaries, other: Option<&str>, products: &[&str], out: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = binaries.testbed.parent().unwrap_or(Path::new("."));
    let mut packages = Command::new(folder.join(MAKER));
    packages.args(products).args(["--format", "deb", "--out"]).arg(out);
    packages.args(["--profile", other.unwrap_or(own(binaries))]);
    if other.is_none() {
        packages.arg("--no-build");
    }
    packages.env("CARGO_TARGET_DIR", target()?);
    let said = tool::must(packages, "", WITHIN).await.context("no package")?;
    let files: Vec<_> = said.lines().map(PathBuf::from).filter(|file| file.is_file()).collect();
    if files.is_empty() {
        bail!("`cargo packages` says {said:?}, which is no file");
    }
    Ok(files)
}

/// Puts it on a host, also over an earlier one.
pub(super) async fn install(package: &Path, machine: &Machine) -> anyhow::Result<()> {
    let copy = machine.file(ON_HOST)?;
    fs::copy(package, &copy).with_context(|| format!("{} cannot be written", copy.display()))?;
    // The disk of such a host need not survive this machine's power cut.
    machine
        .must(&format!("dpkg --force-unsafe-io --install {ON_HOST}"))
        .await
        .map(drop)
}

/// Without a config and an identity the agent does not start, also when told to, and nothing fails.
pub(super) async fn must_wait(machine: &Machine) -> anyhow::Result<()> {
    machine.must("systemctl start echelon-agent").await?;
    let state = machine.ask("systemctl is-active echelon-agent").await?;
    match state.out.trim() {
        "inactive" => Ok(()),
        other => bail!(
            "on {} the agent is {other} although nobody has configured it",
            machine.name
        ),
    }
}

/// Takes it away with all that is its own. What was rolled out stays: that is not the agent's.
pub(super) async fn purge(machine: &Machine) -> anyhow::Result<()> {
    machine.must("dpkg --purge echelon-agent").await?;
    for path in ["/var/lib/echelon", "/usr/bin/echelon-agent", "/run/echelon-agent"] {
        let path = machine.file(path)?;
        if path.exists() {
            bail!("on {} {} is still there", machine.name, path.display());
        }
    }
    let state = machine.ask("systemctl is-active echelon-agent").await?;
    if state.out.trim() != "inactive" {
        bail!(
            "on {} the agent is {} although it was taken away",
            machine.name,
            state.out.trim()
        );
    }
    Ok(())
}
