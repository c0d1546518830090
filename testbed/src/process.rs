//! A process that runs in the background with its words in a file: the coordinator, an agent. In a process group of its
//! own, so that Ctrl-C on the terminal reaches only the testbed, which then ends them in order. Dropped, it is killed.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time,
};

/// After SIGTERM, until SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Of the file, when a process ended that should not have.
const LAST_LINES: usize = 12;

/// A process in the background.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    words: PathBuf,
}

impl Process {
    /// Starts it; what it says is added to the file `words`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(name: &str, mut command: Command, words: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(words);
        let file = file.with_context(|| format!("{} cannot be written", words.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            words: words.to_owned(),
        })
    }

    /// Its number, while it has not been waited for.
    ///
    /// # Errors
    /// It has ended.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().with_context(|| format!("{} has ended", self.name))
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// It cannot be asked for.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Fails when it has ended, with its last words.
    ///
    /// # Errors
    /// It has ended.
    pub fn must_live(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself ({status}):\n{}", self.name, self.last_words()),
        }
    }

    /// The last lines of what it said.
    #[must_use]
    pub fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.words).unwrap_or_default();
        let lines: Vec<_> = said.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("{} cannot be killed", self.name))
    }

    /// SIGTERM, and waits until it is gone; SIGKILL after ten seconds.
    ///
    /// # Errors
    /// It cannot be waited for, or had to be killed.
    pub async fn stop(mut self) -> anyhow::Result<ExitStatus> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        match time::timeout(STOP_WITHIN, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => {
                self.child.kill().await?;
                bail!("{} did not end within {STOP_WITHIN:?} and was killed", self.name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_process_that_ended_by_itself_is_told_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut process =
            Process::start("it", shell("echo no room >&2; exit 3"), &folder.path().join("words")).unwrap();
        let error = loop {
            match process.must_live() {
                Ok(()) => time::sleep(Duration::from_millis(5)).await,
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("exit status: 3") && error.contains("no room"), "{error}");
    }

    #[tokio::test]
    async fn a_process_is_stopped_politely_and_dropped_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let words = folder.path().join("words");
        let process = Process::start(
            "it",
            shell("trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done"),
            &words,
        );
        let process = process.unwrap();
        while process.last_words() != "up" {
            time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(process.stop().await.unwrap().code(), Some(7));
        let process = Process::start("it", shell("exec sleep 60"), &words).unwrap();
        let stat = format!("/proc/{}/stat", process.pid().unwrap());
        drop(process);
        for _ in 0..500 {
            let gone = fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
            if gone {
                return;
            }
            time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it is still there");
    }
}
