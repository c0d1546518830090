//! A host: its agent's disk, the record of the programs that really ran there, and the agent itself as turmoil starts it:
//! it joins over the wire with its token, then runs until it is killed. Deliberately no trouble of its own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use echelon_agent::{
    identity::{self, Identity},
    ledger::{Disk, Store},
    link::{self, Coordinator, SAMPLE_EVERY, Settings},
    order::{Order, Outcome},
};
use echelon_proto::{App, Datacenter, Fence, HostId, Pool, RolloutId};
use echelon_sim::Chance;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    center::{AGENTS, NAME},
    net::Wires,
    program::Programs,
    world::Shared,
};

const DATACENTERS: [&str; 3] = ["dc1", "dc2", "dc3"];
/// Between two looks whether it may join.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// An attempt of a rollout on this host.
pub(crate) type Key = (RolloutId, u32);

/// A program that began.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) order: Arc<Order>,
    pub(crate) progress: Progress,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It will end then, so.
    Runs(Duration, Outcome),
    /// It has.
    Ended(Outcome),
    /// The host went down under it.
    Lost,
}

/// A host, whether its agent runs or not.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) id: HostId,
    pub(crate) datacenter: Datacenter,
    pub(crate) pool: Pool,
    pub(crate) labels: BTreeMap<String, String>,
    /// Its own, so that what is drawn on one host does not depend on when another drew.
    pub(crate) chance: Chance,
    pub(crate) token: Option<String>,
    /// Key and certificate, once it has joined.
    pub(crate) identity: Option<String>,
    pub(crate) disk: Disk,
    pub(crate) programs: BTreeMap<Key, Program>,
    /// Apps that are there, and whether they serve: by what ran, not by what anybody believes.
    pub(crate) serves: BTreeMap<App, bool>,
}

impl Host {
    pub(crate) fn draw(at: usize, seed: u64, chance: &mut Chance) -> Self {
        let datacenter = DATACENTERS[at % DATACENTERS.len()];
        let number = at / DATACENTERS.len();
        let mut labels = BTreeMap::from([("web".to_owned(), "yes".to_owned())]);
        if chance.permille(500) {
            labels.insert("api".into(), "yes".into());
        }
        Self {
            id: name(&format!("{datacenter}-{number}")),
            datacenter: name(datacenter),
            pool: name("front"),
            labels,
            chance: Chance::new(seed.wrapping_mul(1_000_003).wrapping_add(at as u64)),
            token: None,
            identity: None,
            disk: Disk::default(),
            programs: BTreeMap::new(),
            serves: BTreeMap::new(),
        }
    }

    /// As turmoil knows it.
    pub(crate) fn node(&self) -> String {
        self.id.to_string()
    }

    /// Something on it does not serve: one app that does not takes its whole host out of service.
    pub(crate) fn is_out(&self) -> bool {
        self.serves.values().any(|serves| !serves)
    }

    /// The program of this app that runs, if one does.
    pub(crate) fn running(&self, app: &App) -> Option<&Fence> {
        let runs = |program: &&Program| matches!(program.progress, Progress::Runs(..)) && program.order.app == *app;
        self.programs.values().find(runs).map(|program| &program.order.fence)
    }
}

/// A name of this crate's own making.
///
/// # Panics
/// It is none.
pub(crate) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("names made up here are names")
}

/// The agent's process, from its start to where it is killed.
pub(crate) async fn live(shared: Shared, at: usize, ca: Arc<str>) -> turmoil::Result {
    let (host, disk) = {
        let world = shared.lock();
        (world.hosts[at].id.clone(), world.hosts[at].disk.clone())
    };
    let coordinator = Coordinator::new(&format!("https://{NAME}:{AGENTS}"), "localhost")?.over(Arc::new(Wires));
    let pem = joined(&shared, at, &coordinator, &ca).await?;
    let tls = identity::tls(identity::trust(ca.as_bytes())?, Some(&Identity::from_pem(&pem)?))?;
    let settings = Settings {
        host,
        version: env!("CARGO_PKG_VERSION").into(),
        coordinator,
        tls: link::fixed(tls),
        labels: BTreeMap::new(),
        facts: Arc::default(),
        sample_every: SAMPLE_EVERY,
    };
    let programs = Arc::new(Programs::new(shared, at));
    link::run(settings, Store::Disk(disk), programs, CancellationToken::new()).await;
    Ok(())
}

/// Its key and certificate: those of before, or by a token as soon as there is one.
async fn joined(shared: &Shared, at: usize, coordinator: &Coordinator, ca: &str) -> Result<String, identity::Error> {
    loop {
        let (host, token, identity) = {
            let world = shared.lock();
            let host = &world.hosts[at];
            (host.id.clone(), host.token.clone(), host.identity.clone())
        };
        match (identity, token) {
            (Some(identity), _) => return Ok(identity),
            (None, Some(token)) => {
                let pem = identity::enrol(coordinator, identity::trust(ca.as_bytes())?, &host, &token).await?;
                shared.lock().hosts[at].identity = Some(pem);
            }
            _ => sleep(LOOK_EVERY).await,
        }
    }
}
