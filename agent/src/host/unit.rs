//! A supervisor as a transient unit of the host's systemd, with the limits of its program as the unit's own: whatever
//! becomes of the agent's unit is nothing to it, and nothing that is taken from the agent's unit is taken from the program.
//! Asked for by `systemd-run`, which is wherever systemd is. Deliberately no looking after it: the folder says how it is.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use echelon_proto::Digest;
use tokio::{process::Command, time};

use super::program::Spec;

/// Until the supervisor has written that it begins. systemd itself gives up a little earlier.
const START_WITHIN: Duration = Duration::from_secs(40);
const START_SECONDS: &str = "TimeoutStartSec=30";
/// Begin of the names of units of phases, and of nothing else on a host.
pub(super) const PREFIX: &str = "echelon-phase-";
/// Of each part of a unit's name; systemd allows 255 in all.
const PART_CHARS: usize = 40;

/// One that is to be started.
#[derive(Debug)]
pub(super) struct Unit<'a> {
    systemd_run: &'a Path,
    pub(super) name: String,
}

impl<'a> Unit<'a> {
    /// The unit of the program in this folder: no other program on this host has one of the same name.
    pub(super) fn of(systemd_run: &'a Path, dir: &Path, spec: &Spec) -> Self {
        let parts = match &spec.fence {
            Some(fence) => vec![
                fence.rollout.to_string(),
                fence.host.to_string(),
                fence.phase.to_string(),
                fence.attempt.to_string(),
            ],
            None => vec!["question".to_owned()],
        };
        let allowed = |c: char| {
            if c.is_ascii_alphanumeric() || ":_.".contains(c) {
                c
            } else {
                '_'
            }
        };
        let parts = parts
            .iter()
            .map(|part| part.chars().take(PART_CHARS).map(allowed).collect::<String>());
        let parts: Vec<_> = parts.collect();
        let folder = Digest::of(dir.as_os_str().as_encoded_bytes());
        let name = format!("{PREFIX}{}-{}.service", parts.join("-"), folder.short());
        Self { systemd_run, name }
    }

    /// Comes back when its supervisor has begun. An error holds what systemd said; then another agent may have started it.
    pub(super) async fn start(&self, agent: &Path, dir: &Path, spec: &Spec) -> Result<(), String> {
        let mut command = Command::new(self.systemd_run);
        command.args(["--quiet", "--collect", "--no-ask-password", "--unit", &self.name]);
        for property in self.properties(dir, spec) {
            command.arg("--property").arg(property);
        }
        command
            .arg("--")
            .arg(seen_by_systemd(agent))
            .args(["supervise", "--unit"])
            .arg(dir);
        command.stdin(Stdio::null()).kill_on_drop(true);
        match time::timeout(START_WITHIN, command.output()).await {
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => Err(format!(
                "{} cannot be started: {}",
                self.name,
                String::from_utf8_lossy(&output.stderr).trim()
            )),
            Ok(Err(error)) => Err(format!("{} cannot be run: {error}", self.systemd_run.display())),
            Err(_) => Err(format!("{} was not started in time", self.name)),
        }
    }

    fn properties(&self, dir: &Path, spec: &Spec) -> Vec<String> {
        let words = dir.join("supervisor.log");
        let mut properties = vec![
            format!("Description=Program of Echelon in {}", dir.display()),
            "Type=notify".to_owned(),
            START_SECONDS.to_owned(),
            // What the program leaves running is left alone; it stays in the unit, and within its limits.
            "KillMode=process".to_owned(),
            // A program that the kernel ends for want of memory has failed; its supervisor is there to say so.
            "OOMPolicy=continue".to_owned(),
            "StandardOutput=null".to_owned(),
            format!("StandardError=append:{}", words.display()),
        ];
        if let Some(percent) = spec.limits.cpu_percent {
            properties.push(format!("CPUQuota={percent}%"));
        }
        if let Some(bytes) = spec.limits.memory_bytes {
            properties.push(format!("MemoryMax={bytes}"));
            // Else the rest would go to the disk, and everybody's programs with it.
            properties.push("MemorySwapMax=0".to_owned());
        }
        properties
    }
}

/// The agent's own binary by a name that means the same to another process.
fn seen_by_systemd(agent: &Path) -> PathBuf {
    if agent == Path::new("/proc/self/exe") {
        format!("/proc/{}/exe", std::process::id()).into()
    } else {
        agent.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

    use echelon_proto::{Fence, HostId, PhaseName, RolloutId};

    use super::*;
    use crate::order::{Leftovers, Limits};

    fn spec(rollout: &str) -> Spec {
        let fence = Fence {
            term: 1,
            rollout: RolloutId::new(rollout).unwrap(),
            host: HostId::new("web-17").unwrap(),
            phase: PhaseName::new("warm").unwrap(),
            attempt: 2,
        };
        Spec {
            argv: vec!["true".to_owned()],
            env: BTreeMap::new(),
            cwd: "/".into(),
            user: None,
            timeout_ms: 1000,
            fence: Some(fence),
            limits: Limits {
                cpu_percent: Some(150),
                memory_bytes: Some(1 << 20),
                open_files: None,
            },
            secrets: None,
            leftovers: Leftovers::Leave,
        }
    }

    #[test]
    fn a_unit_is_named_after_its_attempt_and_is_no_others() {
        let name = |rollout: &str, dir: &str| Unit::of(Path::new("x"), Path::new(dir), &spec(rollout)).name;
        let one = name("r7", "/state/runs/a/main");
        assert!(
            one.starts_with("echelon-phase-r7-web_17-warm-2-") && one.ends_with(".service"),
            "{one}"
        );
        assert_ne!(one, name("r7", "/other/runs/a/main"), "of another agent on this host");
        assert!(name(&"r".repeat(128), "/state").len() < 255);
    }

    #[tokio::test]
    async fn systemd_is_told_the_limits_and_its_words_are_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let (systemd_run, told) = (folder.path().join("systemd-run"), folder.path().join("told"));
        let script = format!("#!/bin/sh\necho \"$@\" >{}\necho no room >&2\nexit 1\n", told.display());
        fs::write(&systemd_run, script).unwrap();
        fs::set_permissions(&systemd_run, fs::Permissions::from_mode(0o755)).unwrap();
        let (dir, spec) = (Path::new("/state/runs/a/main"), spec("r7"));
        let unit = Unit::of(&systemd_run, dir, &spec);
        let error = unit.start(Path::new("/proc/self/exe"), dir, &spec).await.unwrap_err();
        assert!(error.ends_with("cannot be started: no room"), "{error}");
        let told = fs::read_to_string(told).unwrap();
        for word in ["CPUQuota=150%", "MemoryMax=1048576", "KillMode=process", &unit.name] {
            assert!(told.contains(word), "{word} in {told}");
        }
        let own = format!(
            "-- /proc/{}/exe supervise --unit /state/runs/a/main\n",
            std::process::id()
        );
        assert!(told.ends_with(&own), "{told}");
    }
}
