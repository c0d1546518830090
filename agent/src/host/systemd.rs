//! What systemctl is asked and how its answers are read. It runs under the same supervisor as any program, so a restart
//! of the agent in the middle of `systemctl restart` does not restart the unit twice. Deliberately no D-Bus.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time};

use crate::order::{Systemd, SystemdVerb};

/// Of one question about a unit.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// Lines of the unit's own log that go with a report.
const STATUS_LINES: &str = "--lines=20";

/// The argv for this action, or why it makes no sense here.
pub(super) fn argv(systemctl: &Path, action: &Systemd) -> Result<Vec<String>, String> {
    let unit = &action.unit;
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if unit.is_empty() || unit.starts_with('-') || !unit.chars().all(allowed) {
        return Err(format!("{unit:?} is not the name of a unit"));
    }
    let systemctl = systemctl.display().to_string();
    let words = ["--no-ask-password", action.verb.word(), "--", unit];
    Ok(std::iter::once(systemctl).chain(words.map(str::to_owned)).collect())
}

/// Why no unit can be acted on at all.
pub(super) fn missing(booted: &Path) -> Option<String> {
    (!booted.exists()).then(|| {
        let mark = booted.display();
        format!("this host was not started by systemd ({mark} is not there), so it has no units to act on")
    })
}

/// Whether the unit is up after it was started; the error is what systemd says of it.
pub(super) async fn is_up(systemctl: &Path, action: &Systemd) -> Result<(), String> {
    if !matches!(action.verb, SystemdVerb::Start | SystemdVerb::Restart) {
        return Ok(());
    }
    let question = [
        "show",
        "--property=ActiveState,SubState,Result,Type",
        "--",
        &action.unit,
    ];
    let answer = ask(systemctl, &question).await?;
    let value = |key: &str| {
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or("unknown").to_owned()
    };
    let (state, sub, result, kind) = (value("ActiveState"), value("SubState"), value("Result"), value("Type"));
    // A oneshot that is through has done what it is for.
    let finished = kind == "oneshot" && state == "inactive" && result == "success";
    if finished || matches!(state.as_str(), "active" | "activating" | "reloading") {
        return Ok(());
    }
    let (unit, verb) = (&action.unit, action.verb.word());
    Err(format!("{unit} is {state} ({sub}, result {result}) after {verb}"))
}

/// The unit's status with its last lines, for a report.
pub(super) async fn status(systemctl: &Path, unit: &str) -> String {
    ask(systemctl, &["status", "--no-pager", STATUS_LINES, "--", unit])
        .await
        .unwrap_or_else(|error| error)
}

/// The answer, whatever the exit code: `status` of a failed unit is an answer too.
async fn ask(systemctl: &Path, words: &[&str]) -> Result<String, String> {
    let mut command = Command::new(systemctl);
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    match time::timeout(ASK_WITHIN, command.output()).await {
        Ok(Ok(output)) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Err(error)) => Err(format!("{} cannot be run: {error}", systemctl.display())),
        Err(_) => Err(format!("systemctl {} did not answer", words[0])),
    }
}
