//! A real coordinator process with its own data folder and certificates, and the ways to it. It can be killed and started
//! again over the same folder, as after a crash. Deliberately no look inside: only what its faces show.

mod look;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use echelon_cli::client::{self, Settings};
use echelon_proto::wire::control::{ListRolloutsRequest, control_client::ControlClient};
use tokio::{process::Command, time};
use tonic::transport::Channel;

use crate::{binaries::Binaries, cli::Cli, ports, process::Process};

/// From the start of the process to its first answer.
const UP_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Of `init` and `certificate issue`.
const SHORT: Duration = Duration::from_secs(30);

/// People with certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Person {
    /// The admin that `init` makes.
    Admin,
    /// A deployer: releases, starts.
    Alice,
    /// An approver.
    Bob,
    /// A viewer.
    Carol,
}

impl Person {
    /// As the certificate has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Carol => "carol",
        }
    }

    const fn role(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Alice => "deployer",
            Self::Bob => "approver",
            Self::Carol => "viewer",
        }
    }
}

/// A coordinator.
#[derive(Debug)]
pub struct Coordinator {
    binaries: Binaries,
    data: PathBuf,
    people_folder: PathBuf,
    words: PathBuf,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    /// Where agents connect.
    pub agents: SocketAddr,
    /// Where people connect.
    pub people: SocketAddr,
    process: Option<Process>,
}

impl Coordinator {
    /// `init`, certificates for everybody, two free ports; nothing runs yet. `flags` go to `serve`.
    ///
    /// # Errors
    /// One of the commands fails.
    pub async fn new(binaries: &Binaries, folder: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let data = folder.join("coordinator");
        let people_folder = folder.join("people");
        std::fs::create_dir_all(folder)?;
        let [agents, people] = ports::claim()?.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let coordinator = Self {
            binaries: binaries.clone(),
            words: folder.join("coordinator.log"),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            environment: Vec::new(),
            data,
            people_folder,
            agents,
            people,
            process: None,
        };
        coordinator.run(&["init"]).await?;
        for person in [Person::Alice, Person::Bob, Person::Carol] {
            let folder = coordinator.people_folder.display().to_string();
            let (name, role) = (person.name(), person.role());
            let issue = ["certificate", "issue", "--name", name, "--role", role, "--out", &folder];
            coordinator.run(&issue).await?;
        }
        Ok(coordinator)
    }

    /// Where its data is.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// `serve` is started with these variables, too.
    #[must_use]
    pub fn with_environment(mut self, environment: &[(String, String)]) -> Self {
        self.environment.extend_from_slice(environment);
        self
    }

    /// Starts it and waits until it answers people.
    ///
    /// # Errors
    /// It ends or does not answer within a minute.
    pub async fn serve(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.binaries.coordinator);
        command.arg("serve").arg("--data").arg(&self.data).args(&self.flags);
        command.envs(self.environment.iter().cloned());
        command.arg("--listen-agents").arg(self.agents.to_string());
        command.arg("--listen-people").arg(self.people.to_string());
        self.process = Some(Process::start("the coordinator", command, &self.words)?);
        let deadline = Instant::now() + UP_WITHIN;
        loop {
            if let Some(process) = &mut self.process {
                process.must_live()?;
            }
            if self.answers().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the coordinator does not answer; see {}", self.words.display());
            }
            time::sleep(LOOK_EVERY).await;
        }
    }

    async fn answers(&self) -> bool {
        let Ok(mut client) = self.client(Person::Admin).await else {
            return false;
        };
        client
            .list_rollouts(client::ask(ListRolloutsRequest::default()))
            .await
            .is_ok()
    }

    /// Whether it was started and has ended by itself.
    ///
    /// # Errors
    /// It cannot be asked for.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        self.process.as_mut().map_or(Ok(false), Process::has_ended)
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It does not run.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process
            .take()
            .context("the coordinator does not run")?
            .kill()
            .await
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// It does not end, or not with success.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        let status = process.stop().await?;
        if !status.success() {
            bail!("the coordinator ended with {status}; see {}", self.words.display());
        }
        Ok(())
    }

    /// Its number.
    ///
    /// # Errors
    /// It does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.process.as_ref().context("the coordinator does not run")?.pid()
    }

    /// Runs one of its other subcommands to the end, over its data folder.
    ///
    /// # Errors
    /// It fails; the error holds what it said.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.binaries.coordinator);
        command.args(arguments).arg("--data").arg(&self.data).kill_on_drop(true);
        let output = time::timeout(SHORT, command.output()).await;
        let output =
            output.with_context(|| format!("`echelon-coordinator {}` takes too long", arguments.join(" ")))??;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "`echelon-coordinator {}` ended with {}: {said}",
                arguments.join(" "),
                output.status
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The CA's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.data.join("pki/ca.pem")
    }

    /// Where a person's certificate and key are.
    #[must_use]
    pub fn settings(&self, person: Person) -> Settings {
        let folder = match person {
            Person::Admin => self.data.join("pki"),
            Person::Alice | Person::Bob | Person::Carol => self.people_folder.clone(),
        };
        Settings {
            coordinator: format!("https://{}", self.people),
            server_name: client::SERVER_NAME.to_owned(),
            ca: self.ca(),
            certificate: folder.join(format!("{}.pem", person.name())),
            key: folder.join(format!("{}.key", person.name())),
        }
    }

    /// A connection as this person.
    ///
    /// # Errors
    /// There is none.
    pub async fn client(&self, person: Person) -> anyhow::Result<ControlClient<Channel>> {
        Ok(client::connect(&self.settings(person)).await?)
    }

    /// What the command line takes from the environment, as this person.
    #[must_use]
    pub fn environment(&self, person: Person) -> Vec<(String, String)> {
        let settings = self.settings(person);
        let path = |path: &Path| path.display().to_string();
        [
            ("ECHELON_COORDINATOR", settings.coordinator.clone()),
            ("ECHELON_CA", path(&settings.ca)),
            ("ECHELON_CERT", path(&settings.certificate)),
            ("ECHELON_KEY", path(&settings.key)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The command line as this person.
    #[must_use]
    pub fn cli(&self, person: Person) -> Cli {
        Cli {
            binary: self.binaries.cli.clone(),
            environment: self.environment(person),
            person,
        }
    }
}
