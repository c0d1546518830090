//! The real `echelon` command, run as a person would: what is typed is shown, what it says is shown as it is. It stays in
//! the testbed's own process group, because a live tree wants the terminal.

use std::{ffi::OsStr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{process::Command, time};

use crate::{coordinator::Person, screen};

/// Of one command that does not watch.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// What a command said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// `echelon` as one person.
#[derive(Debug, Clone)]
pub struct Cli {
    pub(crate) binary: PathBuf,
    /// Which coordinator, and as whom.
    pub(crate) environment: Vec<(String, String)>,
    /// Shown before the command when it is not the usual person.
    pub(crate) person: Person,
}

impl Cli {
    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .kill_on_drop(true);
        // Whatever contexts this machine's user has are none of ours.
        command.env("ECHELON_CONFIG", "/dev/null").env_remove("ECHELON_CONTEXT");
        command
    }

    fn typed<S: AsRef<str>>(&self, arguments: &[S]) -> String {
        let words = arguments.iter().map(|word| match word.as_ref() {
            plain if !plain.is_empty() && !plain.contains([' ', '"', '*', '$', ';']) => plain.to_owned(),
            other => format!("\"{other}\""),
        });
        let words: Vec<_> = words.collect();
        let who = if self.person == Person::Alice {
            String::new()
        } else {
            format!("   (as {})", self.person.name())
        };
        format!("echelon {}{who}", words.join(" "))
    }

    /// Runs it and takes what it says.
    ///
    /// # Errors
    /// It cannot be started, or takes more than a minute.
    pub async fn ask<S: AsRef<str>>(&self, arguments: &[S]) -> anyhow::Result<Said> {
        let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let run = self.command(&words).stdin(Stdio::null()).output();
        let output = time::timeout(ANSWER_WITHIN, run).await;
        let output = output.with_context(|| format!("`{}` takes too long", self.typed(arguments)))??;
        Ok(Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The same, but anything than success is an error.
    ///
    /// # Errors
    /// It failed; the error holds what it said.
    pub async fn must<S: AsRef<str>>(&self, arguments: &[S]) -> anyhow::Result<String> {
        let said = self.ask(arguments).await?;
        if said.code != 0 {
            bail!(
                "`{}` ended with {}:\n{}{}",
                self.typed(arguments),
                said.code,
                said.out,
                said.err
            );
        }
        Ok(said.out)
    }

    /// Shows the command, lets it write to the screen, and gives its exit code.
    ///
    /// # Errors
    /// It cannot be started, or does not end in this time.
    pub async fn show<S: AsRef<str>>(&self, arguments: &[S], within: Duration) -> anyhow::Result<i32> {
        screen::command(self.typed(arguments));
        let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let mut child = self
            .command(&words)
            .stdin(Stdio::null())
            .spawn()
            .context("echelon cannot be started")?;
        let status = time::timeout(within, child.wait()).await;
        let status = status.with_context(|| format!("`{}` did not end within {within:?}", self.typed(arguments)))??;
        Ok(status.code().unwrap_or(-1))
    }

    /// Shows the command, which must end with this code.
    ///
    /// # Errors
    /// It ends with another.
    pub async fn show_ends<S: AsRef<str>>(&self, arguments: &[S], code: i32, within: Duration) -> anyhow::Result<()> {
        let ended = self.show(arguments, within).await?;
        if ended != code {
            bail!("`{}` ended with {ended} instead of {code}", self.typed(arguments));
        }
        Ok(())
    }
}
