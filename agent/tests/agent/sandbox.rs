//! One agent with folders of its own: the real binary as a real process, and its end with everything it started.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use echelon_proto::wire::link::{Action, Fence, Order, Run, Standing, action::Kind};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::coordinator::{Coordinator, SOON};

pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_echelon-agent");

pub(crate) struct Sandbox {
    folder: TempDir,
    child: Option<Child>,
}

impl Sandbox {
    /// With a config for this coordinator; neither joined nor running.
    pub(crate) fn new(coordinator: &Coordinator) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), coordinator.ca_pem()).unwrap();
        let config = format!(
            "host = \"h1\"\ncoordinator = \"https://{}\"\nca = \"ca.pem\"\nstate_dir = \"state\"\napps_dir = \"apps\"\n\
             secrets_dir = \"secrets\"\nruntime_dir = \"run\"\n[labels]\nrack-row = \"r7\"\n",
            coordinator.address
        );
        fs::write(folder.path().join("agent.toml"), config).unwrap();
        Self { folder, child: None }
    }

    /// Joined and running.
    pub(crate) async fn joined(coordinator: &Coordinator) -> Self {
        let mut sandbox = Self::new(coordinator);
        coordinator.token("t1");
        let joined = sandbox.command(&["join", "--token", "t1"]).await;
        assert!(joined.status.success(), "{joined:?}");
        sandbox.start();
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(AGENT);
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("agent.toml"))
            .env("RUST_LOG", "echelon_agent=debug");
        // What stands in for the host's own programs, where a test has put something there.
        let tools = self.path("tools");
        if tools.is_dir() {
            let usual = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{usual}", tools.display()));
        }
        command
    }

    /// Runs one command of the agent to its end.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Output {
        self.command_with(arguments, &[]).await
    }

    /// With these variables, too.
    pub(crate) async fn command_with(&self, arguments: &[&str], variables: &[(&str, String)]) -> Output {
        let mut command = self.agent(arguments);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    pub(crate) fn start(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let child = self
            .agent(&["run"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
    }

    /// Of the agent that runs.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Kill -9, as the kernel does when memory is short.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            #[allow(clippy::print_stderr)]
            {
                eprintln!("the agent said:\n{}", self.read("log"));
            }
        }
        end_runs(&self.path("state/runs"));
    }
}

/// Waits until it holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

/// Kills the supervisors of attempts that run, and nothing else.
pub(crate) fn kill_supervisors(sandbox: &Sandbox) {
    for run in fs::read_dir(sandbox.path("state/runs")).unwrap().flatten() {
        let main = run.path().join("main");
        let begun: serde_json::Value = serde_json::from_slice(&fs::read(main.join("begun")).unwrap()).unwrap();
        let pid = i32::try_from(begun["pid"].as_i64().unwrap()).unwrap();
        if !main.join("exit").exists() && is_alive(&pid.to_string()) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
    }
}

/// Ends every supervisor and program whose folder is under this one.
pub(crate) fn end_runs(runs: &Path) {
    for run in fs::read_dir(runs).into_iter().flatten().flatten() {
        for step in fs::read_dir(run.path()).into_iter().flatten().flatten() {
            let begun = fs::read(step.path().join("begun")).unwrap_or_default();
            let begun: serde_json::Value = serde_json::from_slice(&begun).unwrap_or_default();
            if let Some(pid) = begun["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()) {
                end_session(pid);
            }
        }
    }
}

/// Kills every process of a session: (pid, session) as /proc has them.
fn end_session(session: i32) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let of = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(3)?.parse::<i32>().ok());
        if of == Some(session) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Whether a process is there and not only waited for.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(crate) fn fence(attempt: u32) -> Fence {
    Fence {
        term: 1,
        rollout: "r1".to_owned(),
        host: "h1".to_owned(),
        phase: "start".to_owned(),
        attempt,
    }
}

pub(crate) fn standing(state: &str) -> Standing {
    Standing {
        app: "web".to_owned(),
        state: state.to_owned(),
        ..Standing::default()
    }
}

pub(crate) fn sh(script: &str) -> Action {
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    Action {
        kind: Some(Kind::Run(Run { argv, ..Run::default() })),
    }
}

/// The same, as the change makes it.
pub(crate) fn sh_with(script: &str, change: impl FnOnce(&mut Run)) -> Action {
    let mut action = sh(script);
    if let Some(Kind::Run(run)) = &mut action.kind {
        change(run);
    }
    action
}

/// Does this as the app `web`, from `stopped` to `running`.
pub(crate) fn doing(attempt: u32, kind: Kind) -> Order {
    Order {
        action: Some(Action { kind: Some(kind) }),
        // So that one test can order many.
        from_state: String::new(),
        ..order(attempt, "")
    }
}

/// Runs a shell script as the app `web`, from `stopped` to `running`.
pub(crate) fn order(attempt: u32, script: &str) -> Order {
    Order {
        fence: Some(fence(attempt)),
        app: "web".to_owned(),
        release: None,
        action: Some(sh(script)),
        timeout_ms: 30_000,
        verify: None,
        after: Some(standing("running")),
        from_state: "stopped".to_owned(),
        guards: Vec::new(),
        variables: Default::default(),
        leftovers: 0,
    }
}
