//! One host of the testbed: a folder that stands for the whole machine, and a real agent process on it. Deliberately no
//! isolation but the folder: it is enough for software that keeps to its own folder and port.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{process::Command, time};

use crate::{
    binaries::Binaries,
    coordinator::{Coordinator, Person},
    process::Process,
};

const JOIN_WITHIN: Duration = Duration::from_secs(30);

/// A host.
#[derive(Debug)]
pub struct Host {
    /// As the coordinator knows it.
    pub name: String,
    /// Where it stands.
    pub datacenter: String,
    /// On which its service listens.
    pub port: u16,
    root: PathBuf,
    agent: PathBuf,
    environment: Vec<(String, String)>,
    process: Option<Process>,
}

impl Host {
    /// A folder with the agent's config; not joined yet.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn new(
        binaries: &Binaries,
        coordinator: &Coordinator,
        folder: &Path,
        (name, datacenter): (&str, &str),
        port: u16,
    ) -> anyhow::Result<Self> {
        let root = folder.join(name);
        std::fs::create_dir_all(&root).with_context(|| format!("{} cannot be made", root.display()))?;
        let config = format!(
            "host = {name:?}\ncoordinator = \"https://{}\"\nca = {:?}\nstate_dir = \"state\"\napps_dir = \"apps\"\n",
            coordinator.agents,
            coordinator.ca()
        );
        let mut file = File::create(root.join("agent.toml"))?;
        file.write_all(config.as_bytes())?;
        // An administrator's file was there long before anything happens to the host.
        file.sync_all()?;
        File::open(&root)?.sync_all()?;
        Ok(Self {
            name: name.to_owned(),
            datacenter: datacenter.to_owned(),
            port,
            root,
            agent: binaries.agent.clone(),
            environment: Vec::new(),
            process: None,
        })
    }

    /// The agent is started with these variables, too.
    #[must_use]
    pub fn with_environment(mut self, environment: &[(String, String)]) -> Self {
        self.environment.extend_from_slice(environment);
        self
    }

    /// Makes a one-time token with the real command line (as an admin) and joins with it. Gives the token.
    ///
    /// # Errors
    /// The token or the certificate is refused.
    pub async fn join(&self, coordinator: &Coordinator, labels: &BTreeMap<&str, String>) -> anyhow::Result<String> {
        let mut words: Vec<String> = ["host", "token", &self.name, "--dc", &self.datacenter, "--pool", "web"]
            .map(str::to_owned)
            .into();
        for (label, value) in labels {
            words.extend(["--label".to_owned(), format!("{label}={value}")]);
        }
        let token = coordinator.cli(Person::Admin).must(&words).await?.trim().to_owned();
        self.join_with(&token).await?;
        Ok(token)
    }

    /// Joins with this token.
    ///
    /// # Errors
    /// It is refused: the error holds what the agent said.
    pub async fn join_with(&self, token: &str) -> anyhow::Result<()> {
        let mut command = self.command("join");
        command.env("ECHELON_JOIN_TOKEN", token);
        let output = time::timeout(JOIN_WITHIN, command.output())
            .await
            .context("joining takes too long")??;
        if !output.status.success() {
            bail!(
                "{} cannot join: {}",
                self.name,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.agent);
        command
            .arg(verb)
            .arg("--config")
            .arg(self.root.join("agent.toml"))
            .envs(self.environment.iter().cloned())
            .kill_on_drop(true);
        command
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&mut self) -> anyhow::Result<()> {
        let words = self.root.join("agent.log");
        self.process = Some(Process::start(
            &format!("the agent of {}", self.name),
            self.command("run"),
            &words,
        )?);
        Ok(())
    }

    /// Whether the agent was started and has ended by itself.
    ///
    /// # Errors
    /// It cannot be asked for.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        self.process.as_mut().map_or(Ok(false), Process::has_ended)
    }

    /// `kill -9` of the agent; what it runs goes on.
    ///
    /// # Errors
    /// It does not run.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process
            .take()
            .with_context(|| format!("no agent runs on {}", self.name))?
            .kill()
            .await
    }

    /// SIGTERM to the agent, and waits for its end.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(process) = self.process.take() {
            process.stop().await?;
        }
        Ok(())
    }

    /// The folder of an app on this host.
    #[must_use]
    pub fn app(&self, app: &str) -> PathBuf {
        self.root.join("apps").join(app)
    }
}
