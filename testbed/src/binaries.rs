//! The programs under test: built by cargo with the profile and into the folder of the testbed itself, so that what is
//! shown and measured is what was just compiled. Deliberately no search of PATH.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use tokio::process::Command;

use crate::screen;

/// Where they are.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// `echelon-agent`
    pub agent: PathBuf,
    /// `echelon`
    pub cli: PathBuf,
    /// `echelon-coordinator`
    pub coordinator: PathBuf,
    /// `echelon-testbed`: this program.
    pub testbed: PathBuf,
    /// The profile they were built with: `debug`, `release`.
    pub profile: String,
}

/// The repository's top folder.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Cargo: the one that runs us, else the one that built us.
#[must_use]
pub fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut command = Command::new(program);
    command.current_dir(repository()).kill_on_drop(true);
    command
}

/// The folder that this program was built into, and its profile's name. Tests run from a folder below it.
fn built_into() -> anyhow::Result<(PathBuf, String)> {
    let own = env::current_exe().context("this program's own path is not known")?;
    let mut folder = own.parent().context("this program has no folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().unwrap_or(folder);
    }
    let profile = folder.file_name().and_then(|name| name.to_str());
    let profile = profile.context("this program is not in one of cargo's folders: run it by cargo")?;
    Ok((folder.to_owned(), profile.to_owned()))
}

/// The folder in which cargo builds.
///
/// # Errors
/// This program was not built by cargo.
pub fn target() -> anyhow::Result<PathBuf> {
    let (folder, _) = built_into()?;
    Ok(folder.parent().unwrap_or(&folder).to_owned())
}

/// Builds the real-stack simulation if it is not up to date, and gives its program. With the features that all crates
/// together ask for, as their tests are built: nothing is built twice then.
///
/// # Errors
/// It does not compile (cargo has said why), or there is no cargo.
pub async fn build_stack() -> anyhow::Result<PathBuf> {
    const PROGRAM: &str = "echelon-stack";
    let (folder, profile) = built_into()?;
    let mut build = cargo();
    build.args(["build", "--quiet", "--workspace", "--bin", PROGRAM]);
    build.args(["--profile", if profile == "debug" { "dev" } else { &profile }]);
    build.arg("--target-dir").arg(target()?);
    let status = build.status().await.context("cargo cannot be started")?;
    if !status.success() {
        bail!("the real-stack simulation does not build; cargo has said why");
    }
    Ok(folder.join(PROGRAM))
}

impl Binaries {
    /// Builds what is not up to date.
    ///
    /// # Errors
    /// It does not compile (cargo has said why), or there is no cargo.
    pub async fn build() -> anyhow::Result<Self> {
        Self::build_with(&[]).await
    }

    /// The same, and of these crates too.
    ///
    /// # Errors
    /// As above.
    pub async fn build_with(others: &[&str]) -> anyhow::Result<Self> {
        Self::build_as(None, others).await
    }

    /// The same, with agents that say that they are of this version. They stand in the place of the others until those are
    /// built again.
    ///
    /// # Errors
    /// As above.
    pub async fn build_as(version: Option<&str>, others: &[&str]) -> anyhow::Result<Self> {
        let (folder, profile) = built_into()?;
        let mut build = cargo();
        build.args(["build", "--quiet", "--bins"]);
        match version {
            Some(version) => build.env("ECHELON_VERSION", version),
            None => build.env_remove("ECHELON_VERSION"),
        };
        // The testbed too: the same features as when cargo ran us, so nothing is built twice.
        let all = ["echelon-agent", "echelon-cli", "echelon-coordinator", "echelon-testbed"];
        for package in all.iter().chain(others) {
            build.args(["--package", package]);
        }
        build.args(["--profile", if profile == "debug" { "dev" } else { &profile }]);
        build.arg("--target-dir").arg(target()?);
        screen::note("building what is not up to date ...");
        let status = build.status().await.context("cargo cannot be started")?;
        if !status.success() {
            bail!("the programs do not build; cargo has said why");
        }
        let binary = |name: &str| folder.join(name);
        Ok(Self {
            agent: binary("echelon-agent"),
            cli: binary("echelon"),
            coordinator: binary("echelon-coordinator"),
            testbed: binary("echelon-testbed"),
            profile,
        })
    }
}
