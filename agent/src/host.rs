//! The host itself as an `Executor`: programs under supervisors, checks, systemd, artifacts. An attempt is its verify, its
//! guards, its action, its verify again, each in a folder that says how far it is:
//!
//! ```text
//! STATE/runs/KEY/{before,guard-N,main,after}   one supervised program each (see `program`)
//! STATE/runs/KEY/let-in                        its guards held: they are not asked again
//! STATE/store/SHA256                           artifacts
//! APPS/APP/{releases/NAME,current}             what is installed
//! ```
//!
//! Programs go on without the agent; everything else an attempt does can be done again from its begin, and is, by the
//! agent that takes it up. Deliberately no knowledge of the coordinator.

mod account;
mod artifact;
mod ask;
mod attempt;
mod cgroup;
mod check;
mod credentials;
mod diagnose;
mod family;
mod fetch;
mod file;
mod guard;
mod limits;
mod measure;
mod poll;
mod process;
mod program;
mod pump;
mod redact;
mod release;
mod runs;
mod secrets;
mod spec;
mod supervisor;
mod systemd;
mod template;
mod unit;
mod unpack;

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use echelon_proto::{App, HostId, Label, limits::TAIL_BYTES_MAX};
use glob::Pattern;
use tokio::sync::mpsc;

use self::{
    attempt::{Attempt, outcome_of},
    check::Check,
    credentials::Credentials,
    fetch::Store,
    file::Files,
    measure::Meter,
    program::{End, Program, Spec},
    release::Releases,
    runs::Runs,
};
pub use self::{
    fetch::{S3, Settings as Fetching},
    supervisor::supervise,
};
use crate::{
    executor::{Executor, Work},
    order::{Action, Answer, Ask, Limits, Order, Outcome, PhaseResult, Prefetch, Probe, Run},
    output::{self, Outputs},
    upgrade,
};

/// Where and as whom the host's work is done.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This host.
    pub host: HostId,
    /// Told to programs.
    pub labels: BTreeMap<Label, String>,
    /// Under it each app has its folder.
    pub apps_dir: PathBuf,
    /// Runs and store.
    pub state_dir: PathBuf,
    /// Under it are the secrets that programs may be given.
    pub secrets_dir: PathBuf,
    /// In memory: where programs find their secrets. Made when it is first needed.
    pub runtime_dir: PathBuf,
    /// The binary whose `supervise` runs programs: the agent's own.
    pub agent: PathBuf,
    /// How artifacts are fetched.
    pub artifacts: Fetching,
    /// Files that people may look at from afar. None: what apps keep in `logs` of their folders.
    pub shown: Option<Vec<Pattern>>,
    /// `systemctl`, or something that speaks like it.
    pub systemctl: PathBuf,
    /// There when systemd runs the host.
    pub systemd_mark: PathBuf,
    /// `systemd-run`, with which phases get units of their own. None: they are in process groups below the agent.
    pub systemd_run: Option<PathBuf>,
}

impl Settings {
    /// The usual ones.
    #[must_use]
    pub fn new(host: HostId, apps_dir: PathBuf, state_dir: PathBuf, agent: PathBuf) -> Self {
        Self {
            host,
            labels: BTreeMap::new(),
            apps_dir,
            state_dir,
            secrets_dir: "/etc/echelon/secrets".into(),
            runtime_dir: "/run/echelon-agent".into(),
            agent,
            artifacts: Fetching::default(),
            shown: None,
            systemctl: "systemctl".into(),
            systemd_mark: "/run/systemd/system".into(),
            systemd_run: None,
        }
    }
}

/// The host.
#[derive(Debug)]
pub struct Host {
    settings: Settings,
    runs: Arc<Runs>,
    store: Store,
    credentials: Credentials,
    files: Arc<Files>,
    /// For checks: follows nothing, goes through no proxy.
    client: reqwest::Client,
    probes: AtomicU64,
    meter: Arc<Meter>,
}

impl Host {
    /// Opens the folders, sweeping what a killed agent left. An error names the folder.
    pub fn open(settings: Settings) -> io::Result<Self> {
        let named = |path: &std::path::Path| {
            let path = path.display().to_string();
            move |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"))
        };
        fs::create_dir_all(&settings.apps_dir).map_err(named(&settings.apps_dir))?;
        for entry in fs::read_dir(&settings.apps_dir)
            .map_err(named(&settings.apps_dir))?
            .flatten()
        {
            Releases::of(entry.path()).sweep();
        }
        let runs = settings.state_dir.join("runs");
        let store = settings.state_dir.join("store");
        let opened = Arc::new(Runs::open(runs.clone()).map_err(named(&runs))?);
        let credentials = Credentials::new(&settings, runs);
        credentials.sweep();
        Ok(Self {
            runs: opened,
            credentials,
            files: Arc::default(),
            store: Store::open(store.clone(), settings.artifacts.clone()).map_err(named(&store))?,
            client: client()?,
            meter: Arc::new(Meter::new([
                ("state", settings.state_dir.clone()),
                ("apps", settings.apps_dir.clone()),
            ])),
            settings,
            probes: AtomicU64::new(0),
        })
    }

    fn app_dir(&self, app: &App) -> PathBuf {
        self.settings.apps_dir.join(app.as_str())
    }

    async fn attempt(&self, order: &Order, attempt: &Attempt) -> Outcome {
        let main = Program::new(attempt.dir.join("main"));
        if !main.is_begun() {
            if let Some(verify) = &order.verify
                && self.verify(order, verify, attempt, "before").await.healthy
            {
                return Outcome::of(PhaseResult::AlreadyDone, String::new());
            }
            if let Some(outcome) = self.held_back(order, attempt).await {
                return outcome;
            }
        }
        let outcome = self.act(order, &main, attempt).await;
        let Some(verify) = &order.verify else {
            return outcome;
        };
        match outcome.result {
            PhaseResult::Done => {
                let after = self.verify(order, verify, attempt, "after").await;
                if after.healthy {
                    return outcome;
                }
                let message = format!("it ran, but its verify does not hold: {}", after.message);
                Outcome {
                    result: PhaseResult::Failed,
                    message,
                    ..outcome
                }
            }
            // Nobody knows how it ended, but what it was for can be asked.
            PhaseResult::Lost if self.verify(order, verify, attempt, "after").await.healthy => Outcome {
                result: PhaseResult::Done,
                message: String::new(),
                ..outcome
            },
            _ => outcome,
        }
    }

    async fn act(&self, order: &Order, main: &Program, attempt: &Attempt) -> Outcome {
        if attempt.left().is_zero() && !main.is_begun() {
            return attempt.timed_out("its time was over before it could begin".to_owned());
        }
        match &order.action {
            Action::Run(run) => self.run(order, run, main, attempt).await,
            Action::Http(check) => self.until(Check::Http(check), attempt).await,
            Action::Tcp(check) => self.until(Check::Tcp(check), attempt).await,
            Action::Systemd(action) => self.systemd(order, action, main, attempt).await,
            Action::Artifact(action) => {
                artifact::carry_out(&self.store, self.app_dir(&order.app), order, action, attempt.until).await
            }
            Action::Poll(poll) => self.poll(order, poll, attempt).await,
            Action::File(file) => self.write(order, file, attempt).await,
            Action::Note => Outcome::done(),
        }
    }

    async fn until(&self, check: Check<'_>, attempt: &Attempt) -> Outcome {
        match check::until_it_holds(&self.client, check, attempt.until).await {
            Ok(()) => Outcome::done(),
            Err(last) => attempt.timed_out(last),
        }
    }

    async fn run(&self, order: &Order, run: &Run, program: &Program, attempt: &Attempt) -> Outcome {
        let outputs = self.runs.outputs();
        outputs.begin(order.fence.clone(), program.output());
        let spec = match self.spec(order, run, attempt.left(), program) {
            Ok(spec) => Spec {
                fence: Some(order.fence.clone()),
                leftovers: order.leftovers,
                ..spec
            },
            Err(why) => {
                outputs.end(&order.fence, 0);
                return Outcome::failed(why);
            }
        };
        let end = self.supervised(program, &spec).await;
        let bytes = match &end {
            End::Known(exit) => exit.output_bytes,
            End::Lost { output_bytes } => *output_bytes,
            End::NotBegun(_) => 0,
        };
        outputs.end(&order.fence, bytes);
        let tail = output::tail(&program.output(), bytes, TAIL_BYTES_MAX);
        outcome_of(&run.argv[0], order, end).with_tail(tail)
    }

    async fn systemd(
        &self,
        order: &Order,
        action: &crate::order::Systemd,
        main: &Program,
        attempt: &Attempt,
    ) -> Outcome {
        let systemctl = &self.settings.systemctl;
        let argv = match systemd::missing(&self.settings.systemd_mark) {
            Some(why) => Err(why),
            None => systemd::argv(systemctl, action),
        };
        let run = match argv {
            Ok(argv) => plain(argv),
            Err(why) => return Outcome::failed(why),
        };
        let outcome = self.run(order, &run, main, attempt).await;
        let up = match outcome.result {
            PhaseResult::Done => systemd::is_up(systemctl, action).await,
            PhaseResult::Failed => Err(format!(
                "{} of {}: {}",
                action.verb.word(),
                action.unit,
                outcome.message
            )),
            _ => return outcome,
        };
        let Err(message) = up else { return outcome };
        let status = systemd::status(systemctl, &action.unit).await;
        let result = PhaseResult::Failed;
        let tail = format!("{}\n{status}", outcome.tail);
        Outcome {
            result,
            message,
            tail,
            ..outcome
        }
    }
}

impl Executor for Host {
    async fn execute(&self, work: Work) -> Outcome {
        let order = &work.order;
        let run = self.runs.begin(&order.fence, work.resumed);
        let attempt = Attempt::new(run.path().to_owned(), &work);
        let outcome = self.attempt(order, &attempt).await;
        if outcome.result == PhaseResult::HeldBack {
            // Ordered again and again: these folders must not push out those of phases that ran.
            let _ = fs::remove_dir_all(&attempt.dir);
        }
        outcome
    }

    async fn probe(&self, probe: &Action) -> Probe {
        self.question(probe).await
    }

    async fn prefetch(&self, wanted: &Prefetch) -> Result<(), String> {
        let fetched = artifact::prefetch(&self.store, self.app_dir(&wanted.app), wanted).await;
        fetched.map_err(|error| error.to_string())
    }

    fn proven(&self) {
        if let Err(error) = upgrade::prove(&self.settings.state_dir) {
            tracing::error!(%error, "it cannot be written down that this agent is reached");
        }
    }

    async fn ask(&self, ask: Ask, answers: mpsc::Sender<Answer>) {
        self.tell(ask, answers).await;
    }

    async fn measure(&self) -> BTreeMap<String, f64> {
        let meter = self.meter.clone();
        // A disk that does not answer holds a thread of its own, not the session's.
        let measured = tokio::task::spawn_blocking(move || meter.read());
        measured.await.unwrap_or_default()
    }

    fn outputs(&self) -> Option<Arc<Outputs>> {
        Some(self.runs.outputs())
    }
}

fn plain(argv: Vec<String>) -> Run {
    Run {
        argv,
        env: BTreeMap::new(),
        cwd: None,
        user: None,
        limits: Limits::default(),
        secrets: BTreeMap::new(),
    }
}

/// For probes: with the system's roots; a host without any can still do plain http.
fn client() -> io::Result<reqwest::Client> {
    let builder = || {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
    };
    let with_roots = builder().build();
    with_roots
        .or_else(|_| builder().tls_certs_only([]).build())
        .map_err(io::Error::other)
}
