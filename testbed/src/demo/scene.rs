//! What the demo stands on: coordinator, hosts, the server of artifacts, the folder of them all. Also used by `verify`
//! for the clients that need something real to talk to. Deliberately no story.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use echelon_proto::wire::control::Rollout;

use super::ledger::Ledger;
use crate::{
    binaries::Binaries,
    bundle::{self, Entry},
    coordinator::{Coordinator, Person},
    host::Host,
    origin::{Artifact, Origin},
    place::Place,
    ports, screen,
    visit::get,
};

/// The app of the demo, but for a machine that is made for another.
pub const APP: &str = "storefront";
/// The datacenters of the demo.
pub(super) const DATACENTERS: [&str; 4] = ["dc1", "dc2", "dc3", "dc4"];
const HOSTS_EACH: usize = 2;
/// From the start of the agents until all are attached.
const ATTACH_WITHIN: Duration = Duration::from_secs(30);

/// All that runs.
#[derive(Debug)]
pub struct Scene {
    /// Killed and started again by the story.
    pub coordinator: Coordinator,
    /// By datacenter, then number.
    pub hosts: Vec<Host>,
    /// Serves the releases.
    pub origin: Origin,
    /// The app that the hosts are labelled with.
    pub app: &'static str,
    binaries: Binaries,
    // Last, so that its folder goes after those who write in it.
    place: Place,
}

impl Scene {
    /// Builds the programs and makes the folder; nothing runs yet but the server of artifacts.
    ///
    /// # Errors
    /// Something does not build, or no port is free.
    pub async fn build(app: &'static str, keep: bool) -> anyhow::Result<Self> {
        Self::configured(app, keep, "").await
    }

    /// The same with this text as the coordinator's config file.
    ///
    /// # Errors
    /// As above.
    pub async fn configured(app: &'static str, keep: bool, config: &str) -> anyhow::Result<Self> {
        let binaries = Binaries::build().await?;
        let place = Place::new("demo", keep)?;
        let file = place.path().join("coordinator.toml");
        std::fs::write(&file, config).with_context(|| format!("{} cannot be written", file.display()))?;
        let file = file.display().to_string();
        // A coordinator that notices within seconds that a host is away; the defaults are for networks, not for a demo.
        let flags = [
            "--heartbeat-ms",
            "1000",
            "--unreachable-after",
            "10s",
            "--config",
            &file,
        ];
        let coordinator = Coordinator::new(&binaries, place.path(), &flags).await?;
        let origin = Origin::start().await?;
        Ok(Self {
            coordinator,
            hosts: Vec::new(),
            origin,
            app,
            binaries,
            place,
        })
    }

    /// Starts the coordinator and two hosts in each of these datacenters, joined and attached.
    ///
    /// # Errors
    /// One of them fails.
    pub async fn populate(&mut self, datacenters: &[&str]) -> anyhow::Result<()> {
        self.coordinator.serve().await?;
        let names = datacenters
            .iter()
            .flat_map(|dc| (1..=HOSTS_EACH).map(move |number| (*dc, format!("{dc}-web-{number}"))));
        self.add(&names.collect::<Vec<_>>()).await
    }

    /// Starts these hosts too, by datacenter and name, joined and attached.
    ///
    /// # Errors
    /// One of them fails.
    pub async fn add(&mut self, hosts: &[(&str, String)]) -> anyhow::Result<()> {
        let folder = self.place.folder("hosts")?;
        for ((dc, name), port) in hosts.iter().zip(ports::claim_all(hosts.len())?) {
            let mut host = Host::new(&self.binaries, &self.coordinator, &folder, (name, dc), port)?;
            let labels = BTreeMap::from([("app", self.app.to_owned()), ("port", port.to_string())]);
            host.join(&self.coordinator, &labels).await?;
            host.run()?;
            self.hosts.push(host);
        }
        self.coordinator.attached(self.hosts.len(), ATTACH_WITHIN).await
    }

    /// Where its files are.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The folder of them all.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.place.path()
    }

    /// Packs the sample service in this version and serves it.
    ///
    /// # Errors
    /// It cannot be packed.
    pub fn offer(&self, version: &str) -> anyhow::Result<Artifact> {
        self.pack(version, &bundle::sample(version, &self.binaries.testbed))
    }

    /// The same, but its phase `warm` fails on every host.
    ///
    /// # Errors
    /// It cannot be packed.
    pub fn offer_broken(&self, version: &str) -> anyhow::Result<Artifact> {
        self.pack(version, &bundle::broken(version, &self.binaries.testbed))
    }

    fn pack(&self, version: &str, entries: &[Entry]) -> anyhow::Result<Artifact> {
        Ok(self
            .origin
            .put(&format!("{}-{version}.tar.gz", self.app), bundle::pack(entries)?))
    }

    /// Makes a release of it known, by the command line as a deployer.
    ///
    /// # Errors
    /// It is refused.
    pub async fn release(&self, version: &str) -> anyhow::Result<()> {
        self.announce(version, self.offer(version)?).await
    }

    /// The same of the sample service with a program for each step that a shipped playbook asks for.
    ///
    /// # Errors
    /// It is refused.
    pub async fn release_complete(&self, version: &str) -> anyhow::Result<()> {
        let entries = bundle::complete(version, &self.binaries.testbed);
        self.announce(version, self.pack(version, &entries)?).await
    }

    async fn announce(&self, version: &str, artifact: Artifact) -> anyhow::Result<()> {
        let (digest, size) = (artifact.sha256.to_string(), artifact.size.to_string());
        let words = [
            "release",
            "create",
            self.app,
            version,
            "--url",
            &artifact.url,
            "--sha256",
            &digest,
            "--size",
            &size,
        ];
        self.coordinator.cli(Person::Alice).must(&words).await.map(drop)
    }

    /// The newest rollout of its app.
    ///
    /// # Errors
    /// There is none, or no answer.
    pub async fn newest(&self) -> anyhow::Result<Rollout> {
        self.coordinator.newest(self.app).await
    }

    /// Looks at a rollout until it is as wanted.
    ///
    /// # Errors
    /// It is not within this time; answers that fail meanwhile are asked again.
    pub async fn until<F>(&self, name: &str, within: Duration, what: &str, wanted: F) -> anyhow::Result<Rollout>
    where
        F: Fn(&Rollout) -> bool,
    {
        self.coordinator.until(name, within, what, wanted).await
    }

    /// Asks each service what it is and how it is.
    ///
    /// # Errors
    /// One is not this version, or not well.
    pub async fn must_serve(&self, version: &str) -> anyhow::Result<()> {
        for host in &self.hosts {
            let (_, found) = get(host.port, "/version")
                .await
                .with_context(|| format!("{} does not answer", host.name))?;
            let (health, said) = get(host.port, "/health").await?;
            if found != version || health != 200 {
                bail!(
                    "{} serves {found} (health {health}: {}), not {version}",
                    host.name,
                    said.trim()
                );
            }
        }
        screen::good(format_args!(
            "all {} services answer with {version} and are well (asked over HTTP)",
            self.hosts.len()
        ));
        Ok(())
    }

    /// What the phases' programs have written so far.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn ledger(&self) -> anyhow::Result<Ledger> {
        Ledger::read(&self.place.path().join("hosts/phases.log"))
    }

    /// The last words of the coordinator, for when something went wrong.
    pub fn confess(&self) {
        for line in std::fs::read_to_string(self.place.path().join("coordinator.log"))
            .unwrap_or_default()
            .lines()
            .rev()
            .take(8)
        {
            screen::note(line);
        }
    }

    /// Commands to try while it runs.
    pub fn invite(&self) {
        screen::gap();
        screen::head("It stays. In another terminal:");
        screen::gap();
        for (name, value) in self.coordinator.environment(Person::Alice) {
            screen::plain(format_args!("export {name}={value}"));
        }
        let folder = self
            .binaries
            .cli
            .parent()
            .map(|folder| folder.display().to_string())
            .unwrap_or_default();
        screen::plain(format_args!("export PATH={folder}:$PATH"));
        screen::gap();
        for command in [
            "echelon status",
            "echelon host list",
            "echelon rollout list",
            "echelon rollout events r3",
            "echelon rollout logs r2 --phase start",
            "echelon report r3",
            "echelon start storefront --release 1.1.0 --playbook storefront@1 --watch",
        ] {
            screen::plain(command);
        }
        screen::gap();
        screen::note("Ctrl-C here ends everything");
    }

    /// Ends agents and coordinator in order; gives what must be gone then: the folder (or is kept), the ports.
    ///
    /// # Errors
    /// One of them does not end as it should.
    pub async fn end(mut self) -> anyhow::Result<(PathBuf, Vec<u16>, bool)> {
        for host in &mut self.hosts {
            host.stop().await?;
        }
        self.coordinator.stop().await?;
        let mut ports: Vec<u16> = self.hosts.iter().map(|host| host.port).collect();
        ports.extend([self.coordinator.agents.port(), self.coordinator.people.port()]);
        let folder = self.place.path().to_owned();
        drop(self);
        let kept = folder.exists();
        Ok((folder, ports, kept))
    }
}
