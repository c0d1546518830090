//! `fuzz`: the reader of playbooks under libFuzzer for hours, and how it is built and begun, which `verify` does for a
//! while. The toolchain that builds everything else can do it: the flags are those of cargo-fuzz without a sanitizer, for
//! which it would take a nightly one. Deliberately no promise that the reader is held to: they are in
//! `playbooks/tests/hostile`.

mod dictionary;

use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::{
    binaries::{cargo, repository, target},
    screen,
};

/// Counts each branch, and looks into comparisons for what would make them true.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0";
/// Folders of texts to begin with. What lies beside the playbooks in them is text too.
pub(crate) const SEEDS: [&str; 3] = ["playbooks/tests/good", "playbooks/tests/faults", "playbooks/library"];
/// Of one text: ten times a large playbook. Longer ones say nothing new and slow the others down.
const TEXT_BYTES_MAX: u32 = 64 * 1024;
/// Of one text. Only what hangs takes so long; what is merely slow the target sees itself, by the processor's time.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// Twenty times what it takes.
const MEMORY_MIB_MAX: u32 = 1024;
const HOUR: f64 = 3600.0;

/// `fuzz`
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How long; a part of an hour is 0.1
    #[arg(long, value_name = "HOURS", default_value_t = 1.0, value_parser = hours)]
    hours: f64,
}

fn hours(text: &str) -> Result<f64, String> {
    let hours: f64 = text.parse().map_err(|error| format!("{error}"))?;
    let allowed = 0.001..=1000.0;
    allowed
        .contains(&hours)
        .then_some(hours)
        .ok_or_else(|| "from 0.001 to 1000".to_owned())
}

/// How far a run goes, and where it keeps things.
#[derive(Debug)]
pub(crate) struct Fuzz {
    /// So long at the most.
    pub(crate) time: Duration,
    /// So many texts at the most.
    pub(crate) texts: Option<u32>,
    /// The same seed over the same texts tries the same; `None`: chance.
    pub(crate) seed: Option<u32>,
    /// A folder: what reached a new branch is kept there, and begun with.
    pub(crate) found: PathBuf,
    /// The beginning of the path of a text that broke a promise.
    pub(crate) broken: PathBuf,
    /// A file that is written: words of the language.
    pub(crate) dictionary: PathBuf,
}

/// Builds the fuzzer.
pub(crate) fn build() -> Command {
    with_cargo("build")
}

impl Fuzz {
    /// Runs the fuzzer, which must have been built: words are written, folders are made.
    ///
    /// # Errors
    /// They cannot be.
    pub(crate) fn command(&self) -> anyhow::Result<Command> {
        fs::create_dir_all(&self.found).with_context(|| format!("{} cannot be made", self.found.display()))?;
        let seeds = SEEDS.map(|folder| repository().join(folder));
        dictionary::write(&seeds, &self.dictionary)?;
        let mut run = with_cargo("run");
        run.arg("--").arg(&self.found).args(&seeds);
        run.arg(flag("max_total_time", self.time.as_secs()))
            .arg(flag("timeout", HANGS_AFTER.as_secs()))
            .arg(flag("max_len", TEXT_BYTES_MAX))
            .arg(flag("rss_limit_mb", MEMORY_MIB_MAX))
            .arg(flag("dict", self.dictionary.display()))
            .arg(flag("artifact_prefix", self.broken.display()))
            .arg(flag("print_final_stats", 1));
        run.args(self.texts.map(|texts| flag("runs", texts)));
        run.args(self.seed.map(|seed| flag("seed", seed)));
        Ok(run)
    }
}

fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("-{name}={value}")
}

/// For this machine by its name: otherwise the flags would be for build scripts and macros too, which cannot be linked so.
fn with_cargo(verb: &str) -> Command {
    let mut command = cargo();
    command.args([verb, "--quiet", "--profile", "fuzz", "--target", "host-tuple"]);
    command.args(["--package", "echelon-fuzz", "--features", "libfuzzer", "--bin", "read"]);
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", FLAGS);
    command
}

/// Fuzzes until the time is over or a promise is broken.
///
/// # Errors
/// It does not build, or a folder cannot be made.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let target = target()?;
    let folder = target.join("fuzz");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    screen::note("building the fuzzer ...");
    let built = build().env("CARGO_TARGET_DIR", &target).status().await?;
    ensure!(built.success(), "the fuzzer does not build; cargo has said why");
    let fuzz = Fuzz {
        time: Duration::from_secs_f64((arguments.hours * HOUR).ceil()),
        texts: None,
        seed: None,
        found: folder.join("found"),
        broken: folder.join("broken-"),
        dictionary: folder.join("words"),
    };
    let ended = fuzz.command()?.env("CARGO_TARGET_DIR", &target).status().await?;
    if ended.success() {
        screen::good("no text broke a promise of the reader");
        return Ok(ExitCode::SUCCESS);
    }
    let texts = folder.join("broken-*");
    screen::bad(format_args!(
        "a text broke a promise of the reader: {}",
        texts.display()
    ));
    screen::note("keep it: playbooks/tests/faults for what a person may write, playbooks/tests/hostile for the rest");
    Ok(ExitCode::FAILURE)
}
