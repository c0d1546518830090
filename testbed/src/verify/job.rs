//! One command of a step: bounded in time, its words in a file, a sign of life each minute. Deliberately not streamed:
//! whoever reads a log of CI wants to see what failed and nothing else.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{
    process::{Child, Command},
    time,
};

use super::room::Room;
use crate::{binaries::target, screen};

const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(60);
/// Of what a failed command said, on the screen; the file has all.
const SHOWN_LINES_MAX: usize = 400;

/// A command that is to be run.
#[derive(Debug)]
pub(super) struct Job {
    name: String,
    command: Command,
    within: Duration,
}

/// A command that has ended by itself.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Both standard output and standard error, as they came.
    pub(super) said: String,
}

/// This program again: the file by its name, which holds after it was built anew too.
pub(super) fn testbed() -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("this program's own path is not known")?;
    let folder = own.parent().context("this program has no folder")?;
    Ok(Command::new(folder.join("echelon-testbed")))
}

impl Job {
    /// `name` is that of its log.
    pub(super) fn new(name: &str, command: Command, within: Duration) -> Self {
        Self {
            name: name.to_owned(),
            command,
            within,
        }
    }

    /// Runs it to its end, however it ends.
    ///
    /// # Errors
    /// It cannot be started, or does not end in time; what it said by then is shown.
    pub(super) async fn run(mut self, room: &Room) -> anyhow::Result<Ended> {
        screen::command(self.typed());
        let path = room.logs().join(format!("{}.log", self.name));
        let log = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        self.command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.command
            .env("TMPDIR", room.temporary())
            .env("CARGO_TARGET_DIR", target()?);
        // In a group of its own: Ctrl-C reaches only us, and we end it with all that it started.
        self.command.process_group(0).kill_on_drop(true);
        let mut child = self
            .command
            .spawn()
            .with_context(|| format!("`{}` cannot be started", self.typed()))?;
        let status = time::timeout(self.within, self.wait(&mut child, &path)).await;
        let said = || String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
        match status {
            Ok(status) => Ok(Ended {
                status: status?,
                said: said(),
            }),
            Err(_) => {
                child.kill().await?;
                show(&said());
                bail!("`{}` did not end within {} s", self.typed(), self.within.as_secs())
            }
        }
    }

    /// The same, but it must succeed.
    ///
    /// # Errors
    /// It does not; what it said is shown.
    pub(super) async fn must(self, room: &Room) -> anyhow::Result<Ended> {
        let typed = self.typed();
        let ended = self.run(room).await?;
        if !ended.status.success() {
            ended.show();
            bail!("`{typed}`: {}", ended.status);
        }
        Ok(ended)
    }

    /// Waits for its end, with a sign of life each minute.
    async fn wait(&self, child: &mut Child, path: &PathBuf) -> std::io::Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Ok(status) = time::timeout(SIGN_OF_LIFE_EVERY, child.wait()).await {
                return status;
            }
            let said = fs::read(path).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let time = began.elapsed().as_secs_f64();
            screen::note(format_args!("{}, {time:.0} s: {}", self.name, last_line(&said)));
        }
    }

    fn typed(&self) -> String {
        let command = self.command.as_std();
        let program = PathBuf::from(command.get_program());
        let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        [name].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }
}

impl Ended {
    /// The last line that is not empty.
    pub(super) fn last_line(&self) -> &str {
        last_line(&self.said)
    }

    /// What matters of what it said.
    pub(super) fn show(&self) {
        show(&self.said);
    }
}

fn last_line(said: &str) -> &str {
    said.lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}

fn show(said: &str) {
    let mut lines: Vec<_> = said.lines().filter(|line| tells(line)).collect();
    lines.dedup_by(|one, before| one.is_empty() && before.is_empty());
    let cut = lines.len().saturating_sub(SHOWN_LINES_MAX);
    if cut > 0 {
        screen::note(format_args!("... {cut} lines before these"));
    }
    for line in &lines[cut..] {
        screen::plain(format_args!("   | {line}"));
    }
}

/// Not what was built, and not what is well: cargo names a suite once more when it has failed.
fn tells(line: &str) -> bool {
    let is_well = line.starts_with("test ") && line.ends_with(" ... ok") || line.starts_with("test result: ok. ");
    let first = line.split_whitespace().next().unwrap_or_default();
    let is_begun = match first {
        "running" => line.ends_with(" test") || line.ends_with(" tests"),
        "Running" | "Doc-tests" | "Compiling" | "Checking" | "Downloaded" | "Downloading" => line.starts_with("  "),
        _ => false,
    };
    !is_well && !is_begun
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn of_a_failed_run_only_what_is_not_well_is_shown() {
        let calm = [
            "test that::it_is ... ok",
            "   Compiling echelon-agent v0.1.0",
            "     Running tests/it.rs (target/debug/deps/it-1)",
            "running 12 tests",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        for line in calm {
            assert!(!tells(line), "{line}");
        }
        for line in [
            "test that::it_is ... FAILED",
            "thread 'x' panicked at src/lib.rs:3",
            "error: could not compile",
            "",
        ] {
            assert!(tells(line), "{line}");
        }
    }

    #[test]
    fn the_last_line_is_one_with_words() {
        assert_eq!(last_line("first\n  second \n\n \n"), "second");
        assert_eq!(last_line(""), "");
    }

    #[tokio::test]
    async fn a_job_has_its_code_and_both_its_voices_and_its_own_folder_for_temporary_files() {
        let logs = tempfile::tempdir().unwrap();
        let room = Room::new(logs.path().to_owned()).unwrap();
        let script = "echo out; echo err >&2; echo \"$TMPDIR\"; exit 7";
        let ended = Job::new("test-voices", shell(script), Duration::from_secs(60))
            .run(&room)
            .await
            .unwrap();
        assert_eq!(ended.status.code(), Some(7));
        assert_eq!(ended.said, format!("out\nerr\n{}\n", room.temporary().display()));
        let error = Job::new("test-voices", shell("exit 3"), Duration::from_secs(60))
            .must(&room)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[tokio::test]
    async fn a_job_that_does_not_end_is_ended() {
        let logs = tempfile::tempdir().unwrap();
        let room = Room::new(logs.path().to_owned()).unwrap();
        let job = Job::new(
            "test-hangs",
            shell("echo $$; exec sleep 600"),
            Duration::from_millis(300),
        );
        let error = job.run(&room).await.unwrap_err().to_string();
        assert!(error.contains("did not end"), "{error}");
        let pid = fs::read_to_string(room.logs().join("test-hangs.log")).unwrap();
        assert!(
            pid.trim()
                .parse::<u32>()
                .is_ok_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists()),
            "{pid}"
        );
    }
}
