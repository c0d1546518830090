//! The host itself as an `Executor`: programs under supervisors, checks, systemd, artifacts. An attempt is its verify, its
//! action, its verify again, each in a folder that says how far it is:
//!
//! ```text
//! STATE/runs/KEY/{before,main,after}   one supervised program each (see `program`)
//! STATE/store/SHA256                   artifacts
//! APPS/APP/{releases/NAME,current}     what is installed
//! ```
//!
//! Programs go on without the agent; everything else an attempt does can be done again from its begin, and is, by the
//! agent that takes it up. Deliberately no knowledge of the coordinator.

mod account;
mod artifact;
mod attempt;
mod check;
mod fetch;
mod process;
mod program;
mod release;
mod runs;
mod supervisor;
mod systemd;
mod unpack;

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use echelon_proto::{App, HostId, Label, limits::TAIL_BYTES_MAX};

pub use self::supervisor::supervise;
use self::{
    attempt::{Attempt, ended, outcome_of},
    check::Check,
    fetch::Store,
    program::{End, Program, Spec},
    release::Releases,
    runs::Runs,
};
use crate::{
    executor::{Executor, Work},
    order::{Action, Order, Outcome, PhaseResult, Probe, Run},
    output::{self, Outputs},
};

/// A probe of a watch that runs a program.
const PROBE_WITHIN: Duration = Duration::from_secs(30);
/// Of the agent's own environment, what a program may see.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME"];

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
    /// The binary whose `supervise` runs programs: the agent's own.
    pub agent: PathBuf,
    /// Longest artifact taken when the release does not say its size.
    pub artifact_bytes_max: u64,
    /// `systemctl`, or something that speaks like it.
    pub systemctl: PathBuf,
    /// There when systemd runs the host.
    pub systemd_mark: PathBuf,
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
            agent,
            artifact_bytes_max: 8 * 1024 * 1024 * 1024,
            systemctl: "systemctl".into(),
            systemd_mark: "/run/systemd/system".into(),
        }
    }
}

/// The host.
#[derive(Debug)]
pub struct Host {
    settings: Settings,
    runs: Arc<Runs>,
    store: Store,
    /// For checks: follows nothing, goes through no proxy.
    client: reqwest::Client,
    probes: AtomicU64,
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
        let checks = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0);
        let downloads = reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(5));
        Ok(Self {
            runs: Arc::new(Runs::open(runs.clone()).map_err(named(&runs))?),
            store: Store::open(store.clone(), client(downloads)?, settings.artifact_bytes_max)
                .map_err(named(&store))?,
            client: client(checks)?,
            settings,
            probes: AtomicU64::new(0),
        })
    }

    fn app_dir(&self, app: &App) -> PathBuf {
        self.settings.apps_dir.join(app.as_str())
    }

    async fn attempt(&self, order: &Order, attempt: &Attempt) -> Outcome {
        let main = Program::new(attempt.dir.join("main"));
        if let Some(verify) = &order.verify
            && !main.is_begun()
        {
            let before = self.verify(order, verify, attempt, "before").await;
            if before.healthy {
                return Outcome::of(PhaseResult::AlreadyDone, String::new());
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
        let spec = match self.spec(order, run, attempt.left()) {
            Ok(spec) => Spec {
                fence: Some(order.fence.clone()),
                ..spec
            },
            Err(why) => {
                outputs.end(&order.fence, 0);
                return Outcome::failed(why);
            }
        };
        let end = program.run(&self.settings.agent, &spec).await;
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

    /// Asks a verify once.
    async fn verify(&self, order: &Order, verify: &Action, attempt: &Attempt, step: &str) -> Probe {
        let asked = async {
            match verify {
                Action::Run(run) => self.program_holds(order, run, attempt, step).await,
                Action::Artifact(action) => {
                    let healthy = artifact::holds(self.app_dir(&order.app), order, action);
                    let message = "the release does not stand as wanted".to_owned();
                    Probe { healthy, message }
                }
                Action::Http(_) | Action::Tcp(_) | Action::Systemd(_) => self.question(verify).await,
            }
        };
        let unanswered = || Probe {
            healthy: false,
            message: "it did not answer in time".to_owned(),
        };
        // A program has its supervisor to end it in time; that needs the grace too.
        let within = attempt.left() + process::GRACE * 3;
        tokio::time::timeout(within, asked)
            .await
            .unwrap_or_else(|_| unanswered())
    }

    async fn program_holds(&self, order: &Order, run: &Run, attempt: &Attempt, step: &str) -> Probe {
        let spec = match self.spec(order, run, attempt.left()) {
            Ok(spec) => spec,
            Err(message) => {
                return Probe {
                    healthy: false,
                    message,
                };
            }
        };
        let program = Program::new(attempt.dir.join(step));
        self.program_answers(&run.argv[0], &program, &spec).await
    }

    async fn program_answers(&self, name: &str, program: &Program, spec: &Spec) -> Probe {
        let end = program.run(&self.settings.agent, spec).await;
        let healthy = matches!(&end, End::Known(exit) if exit.code == Some(0) && !exit.timed_out);
        let last = output::tail(&program.output(), output::written(&program.output()), 512);
        let last = last.lines().last().unwrap_or_default();
        let message = match end {
            End::Known(exit) => format!("{} {last}", ended(name, &exit)),
            End::Lost { .. } => format!("{name} ended in an unknown way"),
            End::NotBegun(why) => why,
        };
        Probe { healthy, message }
    }

    /// One question to a check or a unit.
    async fn question(&self, probe: &Action) -> Probe {
        match probe {
            Action::Http(check) => check::ask(&self.client, Check::Http(check)).await,
            Action::Tcp(check) => check::ask(&self.client, Check::Tcp(check)).await,
            Action::Systemd(action) => match systemd::missing(&self.settings.systemd_mark) {
                Some(message) => Probe {
                    healthy: false,
                    message,
                },
                None => match systemd::argv(&self.settings.systemctl, action) {
                    Ok(argv) => self.probe_program(&plain(argv)).await,
                    Err(message) => Probe {
                        healthy: false,
                        message,
                    },
                },
            },
            Action::Run(run) => self.probe_program(run).await,
            Action::Artifact(_) => Probe {
                healthy: false,
                message: "an artifact is nothing that can be watched".to_owned(),
            },
        }
    }

    /// A program that answers by its exit code, of no order.
    async fn probe_program(&self, run: &Run) -> Probe {
        let number = self.probes.fetch_add(1, Ordering::Relaxed);
        let scratch = self.runs.scratch(number);
        let cwd = self.settings.apps_dir.join(run.cwd.as_deref().unwrap_or_default());
        let spec = Spec {
            argv: run.argv.clone(),
            env: self.environment(&run.env),
            cwd,
            user: run.user.clone(),
            timeout_ms: u64::try_from(PROBE_WITHIN.as_millis()).unwrap_or(u64::MAX),
            fence: None,
        };
        let program = Program::new(scratch.path().to_owned());
        self.program_answers(&run.argv[0], &program, &spec).await
    }

    fn environment(&self, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let passed = PASSED_ON
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), std::env::var(key).ok()?)));
        let mut env: BTreeMap<String, String> = passed.collect();
        env.extend(own.clone());
        env.insert("ECHELON_HOST".to_owned(), self.settings.host.to_string());
        for (label, value) in &self.settings.labels {
            let key: String = label
                .as_str()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                .collect();
            env.insert(format!("ECHELON_LABEL_{}", key.to_ascii_uppercase()), value.clone());
        }
        env
    }

    /// What the supervisor is told; makes the app's folder.
    fn spec(&self, order: &Order, run: &Run, left: Duration) -> Result<Spec, String> {
        let app_dir = self.app_dir(&order.app);
        fs::create_dir_all(&app_dir).map_err(|error| format!("{}: {error}", app_dir.display()))?;
        let releases = Releases::of(app_dir.clone());
        let mut env = self.environment(&run.env);
        let mut set = |key: &str, value: String| env.insert(key.to_owned(), value);
        set("ECHELON_APP", order.app.to_string());
        set("ECHELON_APP_DIR", app_dir.display().to_string());
        set("ECHELON_CURRENT", releases.current().display().to_string());
        set("ECHELON_ROLLOUT", order.fence.rollout.to_string());
        set("ECHELON_PHASE", order.fence.phase.to_string());
        set("ECHELON_ATTEMPT", order.fence.attempt.to_string());
        let release = order.release.as_ref();
        set(
            "ECHELON_RELEASE",
            release.map(|release| release.name.to_string()).unwrap_or_default(),
        );
        let folder = release.map(|release| releases.folder(&release.name).display().to_string());
        set("ECHELON_RELEASE_DIR", folder.unwrap_or_default());
        Ok(Spec {
            argv: run.argv.clone(),
            env,
            cwd: app_dir.join(run.cwd.as_deref().unwrap_or_default()),
            user: run.user.clone(),
            timeout_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            fence: None,
        })
    }
}

impl Executor for Host {
    async fn execute(&self, work: Work) -> Outcome {
        let order = &work.order;
        let run = self.runs.begin(&order.fence, work.resumed);
        let attempt = Attempt::new(run.path().to_owned(), &work);
        self.attempt(order, &attempt).await
    }

    async fn probe(&self, probe: &Action) -> Probe {
        self.question(probe).await
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
    }
}

/// With the system's roots; a host without any can still do plain http.
fn client(builder: reqwest::ClientBuilder) -> io::Result<reqwest::Client> {
    let without_roots = || reqwest::Client::builder().tls_certs_only([]).no_proxy().build();
    builder.build().or_else(|_| without_roots()).map_err(io::Error::other)
}
