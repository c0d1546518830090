//! A coordinator and two hosts of which any process may die at any moment: whoever ends is started again over what lies on
//! its disk, as systemd does. Deliberately no other mending.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use echelon_cli::client::Settings;
use tokio::{sync::Mutex, task::JoinHandle, time};

use crate::{
    binaries::Binaries,
    bundle::{Entry, pack},
    coordinator::{Coordinator, Person},
    host::Host,
    origin::{Artifact, Origin},
};

/// The app that is rolled out.
pub(super) const APP: &str = "shop";
const HOSTS: [&str; 2] = ["web-1", "web-2"];
const STEP: &str = include_str!("../../crash/step.sh");
/// Small numbers: snapshots within a run, a host that is away noticed at once.
const CONFIG: &str = "heartbeat_ms = 300\nunreachable_after = \"5s\"\nsnapshot_every = 8\nkeep_entries = 100000\n";
const LOOK_EVERY: Duration = Duration::from_millis(20);
const JOIN_TRIES: usize = 5;

/// Who may be made to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// The coordinator.
    Coordinator,
    /// One of the agents, or what it starts.
    Agent,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) settings: BTreeMap<Person, Settings>,
    pub(super) folder: PathBuf,
    pub(super) coordinator: Arc<Mutex<Coordinator>>,
    pub(super) hosts: Arc<Mutex<Vec<Host>>>,
    origin: Origin,
    keepers: Vec<JoinHandle<()>>,
}

/// Where a ring's disks are.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    /// Of the run: what the phases' programs write down is here, and lasts.
    pub(super) folder: PathBuf,
    /// The coordinator's.
    pub(super) coordinator: PathBuf,
}

impl Ring {
    /// Starts everything; `environment` goes to one of them.
    pub(super) async fn start(
        binaries: &Binaries,
        ground: &Ground,
        environment: &[(Who, Vec<(String, String)>)],
    ) -> anyhow::Result<Self> {
        let of = |who: Who| -> Vec<(String, String)> {
            let own = environment.iter().filter(|(of, _)| *of == who);
            own.flat_map(|(_, variables)| variables.clone()).collect()
        };
        let origin = Origin::start().await?;
        let config = ground.folder.join("coordinator.toml");
        let hook = format!("[[webhooks]]\nurl = \"{}\"\n", origin.put("notices", Vec::new()).url);
        std::fs::write(&config, format!("{CONFIG}{hook}"))?;
        let config = config.display().to_string();
        let coordinator = Coordinator::new(binaries, &ground.coordinator, &["--config", &config]).await?;
        let mut coordinator = coordinator.with_environment(&of(Who::Coordinator));
        while coordinator.serve().await.is_err() && coordinator.has_ended()? {}
        let people = [Person::Admin, Person::Alice, Person::Bob, Person::Carol];
        let mut ring = Self {
            settings: people.map(|person| (person, coordinator.settings(person))).into(),
            folder: ground.folder.clone(),
            coordinator: Arc::new(Mutex::new(coordinator)),
            hosts: Arc::default(),
            origin,
            keepers: Vec::new(),
        };
        ring.keepers
            .push(tokio::spawn(keep_coordinator(ring.coordinator.clone())));
        for name in HOSTS {
            let host = ring.join(binaries, name, &of(Who::Agent)).await;
            ring.hosts.lock().await.push(host?);
        }
        ring.keepers.push(tokio::spawn(keep_hosts(ring.hosts.clone())));
        Ok(ring)
    }

    /// A token that was used by somebody who then died is no good any more, so a new one is made for each try.
    async fn join(&self, binaries: &Binaries, name: &str, environment: &[(String, String)]) -> anyhow::Result<Host> {
        let mut tries = 1;
        loop {
            let joined = async {
                let coordinator = self.coordinator.lock().await;
                let folder = self.folder.join("hosts");
                let host = Host::new(binaries, &coordinator, &folder, (name, "dc1"), self.origin.port())?;
                let host = host.with_environment(environment);
                let labels = BTreeMap::from([
                    ("app", APP.to_owned()),
                    ("port", self.origin.port().to_string()),
                    ("folder", folder.join(name).display().to_string()),
                ]);
                host.join(&coordinator, &labels).await?;
                anyhow::Ok(host)
            };
            match joined.await {
                Ok(mut host) => {
                    host.run()?;
                    return Ok(host);
                }
                Err(error) if tries == JOIN_TRIES => return Err(error),
                Err(_) => tries += 1,
            }
            time::sleep(LOOK_EVERY).await;
        }
    }

    /// Packs a release whose programs know this word, and serves it.
    pub(super) fn offer(&self, release: &str, word: &str) -> anyhow::Result<Artifact> {
        let entries = [
            Entry::file("VERSION", format!("{word}\n")),
            Entry::program("bin/step", STEP),
        ];
        Ok(self.origin.put(&format!("{APP}-{release}.tar.gz"), pack(&entries)?))
    }

    /// What the programs of phases wrote: host, rollout, phase, attempt.
    pub(super) fn begun(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("hosts/phases.log"));
        text.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The folder of a release that stands on each host.
    pub(super) async fn current(&self) -> Vec<PathBuf> {
        let hosts = self.hosts.lock().await;
        let current = hosts.iter().map(|host| host.app(APP).join("current"));
        current
            .map(|link| std::fs::read_link(link).unwrap_or_default())
            .collect()
    }

    /// Ends all in order, and gives the coordinator, whose journal can then be read.
    pub(super) async fn end(self) -> anyhow::Result<Coordinator> {
        let Self {
            coordinator,
            hosts,
            keepers,
            ..
        } = self;
        for keeper in keepers {
            keeper.abort();
            // What it holds is free only then.
            let _aborted = keeper.await;
        }
        for host in hosts.lock().await.iter_mut() {
            host.stop().await?;
        }
        let coordinator = Arc::try_unwrap(coordinator).ok();
        let mut coordinator = coordinator.context("somebody still has the coordinator")?.into_inner();
        coordinator.stop().await?;
        Ok(coordinator)
    }
}

async fn keep_coordinator(coordinator: Arc<Mutex<Coordinator>>) {
    loop {
        let mut kept = coordinator.lock().await;
        if kept.has_ended().is_ok_and(|ended| ended) {
            // It may die again while it starts.
            let _again = kept.serve().await;
        }
        drop(kept);
        time::sleep(LOOK_EVERY).await;
    }
}

async fn keep_hosts(hosts: Arc<Mutex<Vec<Host>>>) {
    loop {
        for host in hosts.lock().await.iter_mut() {
            if host.has_ended().is_ok_and(|ended| ended) {
                let _again = host.run();
            }
        }
        time::sleep(LOOK_EVERY).await;
    }
}
