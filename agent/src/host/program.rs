//! The agent's side of one supervised program: begin it in its folder, or take it up where an agent before left it. What
//! is in the folder decides, so that a program is started once whoever is killed when:
//!
//! ```text
//! lock held                      a supervisor lives: wait
//! lock free, exit                ended: that is the answer
//! lock free, begun, no exit      the host or the supervisor died: lost; a program that still runs is ended
//! lock free, nothing begun       nothing was run: begin
//! ```

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use echelon_failpoint as failpoint;
use echelon_proto::Fence;
use serde::{Deserialize, Serialize};
use tokio::{
    process::{Child, Command},
    time,
};

use super::{cgroup, family::Family, process, secrets::Secrets, unit::Unit};
use crate::{
    ledger::replace,
    order::{Leftovers, Limits},
    output::written,
};

/// How soon an end is seen at first, and at most.
const LOOK_MIN: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_millis(100);
/// Looks at a lock that somebody holds without having begun.
const LOCK_TRIES: u32 = 20;

/// What a supervisor runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) argv: Vec<String>,
    /// All of it: nothing is inherited.
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: PathBuf,
    pub(super) user: Option<String>,
    pub(super) timeout_ms: u64,
    /// Whose output it is. None: a verify's or a probe's, which is not sent.
    pub(super) fence: Option<Fence>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) secrets: Option<Secrets>,
    /// What becomes of what it leaves running.
    #[serde(default)]
    pub(super) leftovers: Leftovers,
}

/// A supervisor that is about to start its program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    pid: i32,
    began: u64,
    boot: String,
    /// It is in.
    #[serde(default)]
    cgroup: Option<String>,
}

impl Begun {
    /// The process that calls.
    pub(super) fn this_process() -> io::Result<Self> {
        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        let process = process::look(pid).ok_or_else(|| io::Error::other("/proc does not show this process"))?;
        Ok(Self {
            pid,
            began: process.began,
            boot: process::boot(),
            cgroup: cgroup::of(pid),
        })
    }

    /// Ends what the program of this dead supervisor still runs. What it left behind after its own end is left alone, as
    /// after any end. Blocks.
    fn end_leftovers(&self) {
        // After a reboot, or when the number was given to another session, there is nothing of ours.
        if self.boot != process::boot() || process::look(self.pid).is_some() {
            return;
        }
        let groups = process::groups_led_in(self.pid);
        for group in &groups {
            process::end_group(*group);
        }
        if let (Some(cgroup), false) = (&self.cgroup, groups.is_empty()) {
            Family::of_unit(cgroup.clone()).end(|| ());
        }
    }
}

/// What a supervisor writes at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exit {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) timed_out: bool,
    pub(super) output_bytes: u64,
    /// It could not be started.
    pub(super) error: Option<String>,
    /// What it left running, by number and first words.
    #[serde(default)]
    pub(super) leftovers: Vec<String>,
}

/// How a supervised program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, by a signal, by its time, or never begun: as its supervisor says.
    Known(Exit),
    /// Its supervisor is gone without a word.
    Lost { output_bytes: u64 },
    /// Nothing was run, and why.
    NotBegun(String),
}

/// A program's folder.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) dir: PathBuf,
}

impl Program {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn output(&self) -> PathBuf {
        self.dir.join("output")
    }

    /// Whether a supervisor ever began here, or may yet.
    pub(super) fn is_begun(&self) -> bool {
        self.dir.join("begun").exists() || self.is_supervised()
    }

    /// Whether a supervisor lives.
    pub(super) fn is_supervised(&self) -> bool {
        let lock = File::open(self.dir.join("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// How it ended, once it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        serde_json::from_slice(&fs::read(self.dir.join("exit")).ok()?).ok()
    }

    /// How it ended, when something was begun here and no supervisor lives.
    pub(super) async fn ended(&self) -> Option<End> {
        if !self.is_begun() || self.is_supervised() {
            return None;
        }
        match self.exit() {
            Some(exit) => Some(End::Known(exit)),
            None => Some(self.orphaned().await),
        }
    }

    /// Whose it is.
    pub(super) fn fence(&self) -> Option<Fence> {
        let spec: Spec = serde_json::from_slice(&fs::read(self.dir.join("spec.json")).ok()?).ok()?;
        spec.fence
    }

    /// Runs it to its end, or takes it up. `agent` is the binary that supervises, in a unit of its own if there is one.
    pub(super) async fn run(&self, agent: &Path, unit: Option<&Unit<'_>>, spec: &Spec) -> End {
        let mut tries = 0;
        loop {
            let begun = match unit {
                None => self.begin(agent, spec),
                Some(unit) => self.begin_in(unit, agent, spec).await,
            };
            match begun {
                // Who holds the lock without having begun is a supervisor at its very start, or another program of this
                // agent between fork and exec, with a copy of a lock that was only being looked at.
                Ok(None) if tries < LOCK_TRIES && !self.dir.join("begun").exists() => tries += 1,
                Ok(child) => return self.wait(child).await,
                // An agent before this one may have asked for the same unit.
                Err(_) if unit.is_some() && self.is_begun() => return self.wait(None).await,
                Err(_) if unit.is_some() && tries < LOCK_TRIES => tries += 1,
                Err(error) => return End::NotBegun(format!("{}: {error}", self.dir.display())),
            }
            time::sleep(LOOK_MAX).await;
        }
    }

    /// The lock, when nothing was ever begun and nobody is about to, with the spec written.
    fn prepare(&self, spec: &Spec) -> io::Result<Option<File>> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(self.dir.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if self.dir.join("begun").exists() {
            return Ok(None);
        }
        replace(&self.dir.join("spec.json"), &serde_json::to_vec(spec)?, 0o600)?;
        Ok(Some(lock))
    }

    /// The supervisor takes the lock by itself: between this agent's letting go and its taking, who else might start one
    /// asks systemd for a unit that is there already.
    async fn begin_in(&self, unit: &Unit<'_>, agent: &Path, spec: &Spec) -> io::Result<Option<Child>> {
        if let Some(lock) = self.prepare(spec)? {
            drop(lock);
            unit.start(agent, &self.dir, spec).await.map_err(io::Error::other)?;
        }
        Ok(None)
    }

    fn begin(&self, agent: &Path, spec: &Spec) -> io::Result<Option<Child>> {
        let Some(lock) = self.prepare(spec)? else {
            return Ok(None);
        };
        let words = File::create(self.dir.join("supervisor.log"))?;
        let mut command = Command::new(agent);
        command.arg0("echelon-agent");
        command
            .arg("supervise")
            .arg(&self.dir)
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null())
            .stderr(words);
        failpoint::pass("supervisor", "due");
        // The lock now lives with the supervisor; this side's copy of it goes with the command.
        let supervisor = command.spawn()?;
        failpoint::pass("supervisor", "started");
        Ok(Some(supervisor))
    }

    async fn wait(&self, mut child: Option<Child>) -> End {
        let mut look = LOOK_MIN;
        loop {
            let supervised = self.is_supervised();
            // Looked at after the lock: a supervisor writes its exit before it lets go.
            if let Some(exit) = self.exit() {
                return End::Known(exit);
            }
            if !supervised {
                return self.orphaned().await;
            }
            match &mut child {
                Some(running) => {
                    let ended = time::timeout(LOOK_MAX, running.wait()).await;
                    if ended.is_ok() {
                        child = None;
                    }
                }
                None => {
                    time::sleep(look).await;
                    look = (look * 2).min(LOOK_MAX);
                }
            }
        }
    }

    /// No supervisor and no exit.
    async fn orphaned(&self) -> End {
        let Ok(begun) = fs::read(self.dir.join("begun")) else {
            let words = fs::read_to_string(self.dir.join("supervisor.log")).unwrap_or_default();
            return End::NotBegun(format!("its supervisor could not begin: {}", words.trim()));
        };
        if let Ok(begun) = serde_json::from_slice::<Begun>(&begun) {
            let _ = tokio::task::spawn_blocking(move || begun.end_leftovers()).await;
        }
        End::Lost {
            output_bytes: written(&self.output()),
        }
    }
}
