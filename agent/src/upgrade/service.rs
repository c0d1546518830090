//! What systemd is asked for an upgrade: a restart of the agent's unit, and a unit for the guard of a trial. Each bounded
//! in time. Deliberately no units written to the disk: what is asked for here is over with the trial.

use std::{
    io::Read,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::Error;

/// Of one question.
const ASK_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PIPE_BYTES: usize = 64 * 1024;
/// A guard that is just ending holds the name of its unit for a moment.
const GUARD_TRIES: u32 = 20;
const GUARD_AGAIN: Duration = Duration::from_millis(100);

const UNIT: &str = "echelon-agent.service";
const GUARD: &str = "echelon-agent-guard.service";

/// The agent's unit: the one that the package brings.
#[derive(Debug, Clone)]
pub(super) struct Service {
    config: PathBuf,
}

impl Service {
    pub(super) const fn new(config: PathBuf) -> Self {
        Self { config }
    }

    /// Has it restarted; does not wait for it.
    pub(super) fn restart(&self) -> Result<(), Error> {
        let mut command = Command::new("systemctl");
        command.args(["--no-ask-password", "--no-block", "restart", "--", UNIT]);
        let asked = said(&mut command, ASK_WITHIN);
        asked
            .map(drop)
            .map_err(|why| Error::Service(format!("{UNIT} cannot be restarted: {why}")))
    }

    /// Sees to it that there is a guard, of this binary.
    pub(super) fn guard(&self, agent: &Path) -> Result<(), String> {
        let mut tries = 0;
        loop {
            let Err(why) = self.start_guard(agent) else {
                return Ok(());
            };
            let mut command = Command::new("systemctl");
            command.args(["--quiet", "is-active", "--", GUARD]);
            if said(&mut command, ASK_WITHIN).is_ok() {
                return Ok(());
            }
            tries += 1;
            if tries == GUARD_TRIES {
                return Err(why);
            }
            thread::sleep(GUARD_AGAIN);
        }
    }

    fn start_guard(&self, agent: &Path) -> Result<(), String> {
        let mut command = Command::new("systemd-run");
        command.args(["--quiet", "--collect", "--no-ask-password", "--unit", GUARD]);
        let properties = [
            "Description=Guard of an agent of Echelon on trial",
            "Restart=on-failure",
            "RestartSec=2",
        ];
        for property in properties {
            command.args(["--property", property]);
        }
        command
            .arg("--")
            .arg(agent)
            .args(["upgrade", "--config"])
            .arg(&self.config)
            .arg("guard");
        said(&mut command, ASK_WITHIN).map(drop)
    }
}

/// What a command says on its standard output; an error is what went wrong.
pub(super) fn said(command: &mut Command, within: Duration) -> Result<String, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    let until = Instant::now() + within;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => thread::sleep(LOOK_EVERY),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it does not answer within {} s", within.as_secs()));
            }
            Err(error) => return Err(format!("it cannot be waited for: {error}")),
        }
    };
    let (out, err) = (text(child.stdout.take()), text(child.stderr.take()));
    if status.success() {
        Ok(out)
    } else {
        Err(format!("{status}: {}", err.trim()))
    }
}

/// What is in the pipe, and at most what fits into one: who writes more does not end in time. One that the command left
/// running may hold the pipe open, and is not waited for.
fn text(pipe: Option<impl Read + AsFd>) -> String {
    let mut bytes = vec![0; PIPE_BYTES];
    let mut read = 0;
    if let Some(mut pipe) = pipe
        && fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).is_ok()
    {
        read = pipe.read(&mut bytes).unwrap_or(0);
    }
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}
