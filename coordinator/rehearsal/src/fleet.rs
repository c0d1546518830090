//! The hosts of a rehearsal: made up so that they fit the playbook, or given. Both become hosts of the engine by the same
//! way. What stands on a given host is believed as it is told.

use std::collections::{BTreeMap, BTreeSet};

use echelon_engine::{
    State,
    host::{self, Serving},
    rollback::serving,
};
use echelon_playbooks::{
    Playbook,
    model::{Ask, GateKind, HostKey, Machine, Traffic},
    selector::Subject,
    template::{Missing, Scope},
};
use echelon_proto::{App, Datacenter, HostId, Label, Pool, ReleaseName, StateName, Time, WaveName};

use crate::Error;

/// Datacenters, and hosts in each, where nobody says how many.
const DATACENTERS: u32 = 2;
const HOSTS: u32 = 20;
/// Hosts in all: some ten times what a coordinator is built for.
const HOSTS_MAX: u64 = 20_000;
/// Values that a made-up label has, one host after the other: groups by label then have several members each.
const LABEL_VALUES: u32 = 4;

/// On which hosts.
#[derive(Debug, Clone)]
pub enum Fleet {
    /// That nobody has.
    MadeUp(MadeUp),
    /// That somebody has.
    Given(Vec<Host>),
}

/// How many hosts to make up, and what stands on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MadeUp {
    /// `None`: 2, or as many as the playbook names.
    pub datacenters: Option<u32>,
    /// In each datacenter; `None`: 20, or as many as the playbook expects.
    pub hosts: Option<u32>,
    /// In each datacenter; `None`: 1.
    pub pools: Option<u32>,
    /// Nothing stands on them. Otherwise they serve an older release.
    pub fresh: bool,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Which.
    pub host: HostId,
    /// Where.
    pub datacenter: Datacenter,
    /// What it stands in for.
    pub pool: Pool,
    /// For selectors and templates.
    pub labels: BTreeMap<Label, String>,
    /// Whether it is reachable.
    pub attached: bool,
    /// Whether it serves, where somebody knows; otherwise its standings say.
    pub in_service: Option<bool>,
    /// Whether a phase of another rollout runs on it.
    pub busy: bool,
    /// Apps on it.
    pub standings: BTreeMap<App, Standing>,
}

/// One app on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Of a playbook's machine.
    pub state: StateName,
    /// What is installed.
    pub release: Option<ReleaseName>,
    /// What was installed before.
    pub previous: Option<ReleaseName>,
    /// Why its last phase failed.
    pub error: Option<String>,
}

impl Fleet {
    /// The hosts, in the order of their names.
    pub(crate) fn hosts(&self, playbook: &Playbook, app: &App, release: &ReleaseName) -> Result<Vec<Host>, Error> {
        match self {
            Self::MadeUp(made_up) => made_up.hosts(playbook, app, release),
            Self::Given(hosts) => {
                let mut hosts = hosts.clone();
                hosts.sort_by(|a, b| a.host.cmp(&b.host));
                if let Some(twice) = hosts.windows(2).find(|pair| pair[0].host == pair[1].host) {
                    return Err(Error::Fleet(format!("host {} is there twice", twice[0].host)));
                }
                Ok(hosts)
            }
        }
    }
}

impl MadeUp {
    fn hosts(&self, playbook: &Playbook, app: &App, release: &ReleaseName) -> Result<Vec<Host>, Error> {
        let datacenters = self.datacenters(playbook, app)?;
        let each = self.each(playbook, datacenters.len())?;
        let pinned = playbook.hosts.selector.value("host");
        if pinned.is_some() && (each != 1 || datacenters.len() != 1) {
            return Err(Error::Fleet(
                "the playbook's selector names one host: rehearse it with --datacenters 1 --hosts 1".into(),
            ));
        }
        let labels = labels(playbook, app);
        let stands = (!self.fresh).then(|| older(playbook, release));
        let digits = each.to_string().len();
        let mut hosts = Vec::new();
        for datacenter in &datacenters {
            for number in 1..=each {
                let made = || format!("{datacenter}-{number:0digits$}");
                let host = named::<HostId>(&pinned.map_or_else(made, ToOwned::to_owned))?;
                hosts.push(Host {
                    host,
                    datacenter: datacenter.clone(),
                    pool: self.pool(playbook, number)?,
                    labels: valued(&labels, number),
                    attached: true,
                    in_service: None,
                    busy: false,
                    standings: stands.iter().map(|stands| (app.clone(), stands.clone())).collect(),
                });
            }
        }
        hosts.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(hosts)
    }

    /// Those that the playbook names, or `dc1`, `dc2` ..., as far as its selector takes them.
    fn datacenters(&self, playbook: &Playbook, app: &App) -> Result<Vec<Datacenter>, Error> {
        let wanted = self.datacenters.unwrap_or(DATACENTERS);
        let named_ones = playbook.lanes.datacenters.clone().or_else(|| {
            let one = Datacenter::new(playbook.hosts.selector.value("dc")?).ok()?;
            Some(vec![one])
        });
        let candidates = match &named_ones {
            Some(named_ones) => named_ones.clone(),
            // Twice as many as are wanted: a selector may leave some out.
            None => (1..=wanted.saturating_mul(2).min(2000))
                .map(|number| named(&format!("dc{number}")))
                .collect::<Result<_, _>>()?,
        };
        let labels = valued(&labels(playbook, app), 1);
        let pool = self.pool(playbook, 1)?;
        let fits = |datacenter: &Datacenter| {
            let host = playbook
                .hosts
                .selector
                .value("host")
                .and_then(|host| HostId::new(host).ok());
            let subject = Subject {
                host: &host.unwrap_or_else(|| HostId::new("h1").expect("a name")),
                datacenter,
                pool: &pool,
                labels: &labels,
            };
            let excluded = playbook.hosts.exclude.as_ref().is_some_and(|out| out.matches(&subject));
            playbook.hosts.selector.matches(&subject) && !excluded
        };
        let mut fitting: Vec<_> = candidates.into_iter().filter(fits).collect();
        let wanted = match (self.datacenters, &named_ones) {
            (None, Some(_)) => fitting.len(),
            (Some(_), _) | (None, None) => wanted as usize,
        };
        if wanted == 0 || fitting.len() < wanted {
            let names: Vec<_> = fitting.iter().map(ToString::to_string).collect();
            return Err(Error::Fleet(format!(
                "hosts cannot be made up in {} datacenters: the playbook, whose selector is {:?}, takes them in {}",
                wanted.max(1),
                playbook.hosts.selector.to_string(),
                if names.is_empty() {
                    "none".into()
                } else {
                    names.join(", ")
                }
            )));
        }
        fitting.truncate(wanted);
        Ok(fitting)
    }

    fn each(&self, playbook: &Playbook, datacenters: usize) -> Result<u32, Error> {
        let count = u32::try_from(datacenters).unwrap_or(u32::MAX).max(1);
        let usual = || {
            if playbook.hosts.selector.value("host").is_some() {
                return 1;
            }
            let least = playbook.hosts.expect_min.unwrap_or(1).div_ceil(count);
            let most = playbook.hosts.expect_max.unwrap_or(u32::MAX) / count;
            HOSTS.min(most).max(least).max(1)
        };
        let each = self.hosts.unwrap_or_else(usual);
        if each == 0 || u64::from(each) * u64::from(count) > HOSTS_MAX {
            return Err(Error::Fleet(format!(
                "{each} hosts in each of {count} datacenters cannot be made up: from 1 to {HOSTS_MAX} in all"
            )));
        }
        Ok(each)
    }

    fn pool(&self, playbook: &Playbook, number: u32) -> Result<Pool, Error> {
        match playbook.hosts.selector.value("pool") {
            Some(pool) => named(pool),
            None => named(&format!("pool{}", (number - 1) % self.pools.unwrap_or(1).max(1) + 1)),
        }
    }
}

fn named<T: std::str::FromStr<Err = echelon_proto::Invalid>>(text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|error: echelon_proto::Invalid| Error::Fleet(error.to_string()))
}

/// Labels that a host needs, with the value that the selector wants, if it wants one.
fn labels(playbook: &Playbook, app: &App) -> BTreeMap<Label, Option<String>> {
    let mut labels: BTreeMap<_, _> = grouped_by(playbook).map(|label| (label, None)).collect();
    labels.extend(playbook.hosts.selector.labels());
    while let Err(Missing(label)) = renders(playbook, app, &valued(&labels, 1)) {
        labels.insert(label, None);
    }
    labels
}

/// Labels by which hosts are grouped or spread.
fn grouped_by(playbook: &Playbook) -> impl Iterator<Item = Label> {
    let deploys = playbook.stages.iter().map(|stage| &stage.deploy);
    let keys = deploys.flat_map(|deploy| {
        deploy
            .spread_by
            .iter()
            .chain(deploy.group.iter().map(|group| &group.by))
    });
    keys.filter_map(|key| match key {
        HostKey::Pool => None,
        HostKey::Label(label) => Some(label.clone()),
    })
}

fn valued(labels: &BTreeMap<Label, Option<String>>, number: u32) -> BTreeMap<Label, String> {
    let made_up = || ((number - 1) % LABEL_VALUES + 1).to_string();
    let value = |(label, value): (&Label, &Option<String>)| (label.clone(), value.clone().unwrap_or_else(made_up));
    labels.iter().map(value).collect()
}

/// Whether a host with these labels can be given every phase and every probe.
fn renders(playbook: &Playbook, app: &App, labels: &BTreeMap<Label, String>) -> Result<(), Missing> {
    let (host, datacenter, pool) = (HostId::new("h1"), Datacenter::new("dc1"), Pool::new("pool1"));
    let (wave, name) = (WaveName::new("wave"), "a name");
    let scope = Scope {
        host: Subject {
            host: &host.expect(name),
            datacenter: &datacenter.expect(name),
            pool: &pool.expect(name),
            labels,
        },
        wave: &wave.expect(name),
        app,
        release: None,
        sha256: None,
    };
    for phase in playbook.machine.phases.iter().chain(&playbook.machine.compensations) {
        phase.action.render(&scope)?;
        phase.verify.as_ref().map(|verify| verify.render(&scope)).transpose()?;
    }
    for monitor in playbook
        .machine
        .states
        .values()
        .filter_map(|state| state.monitor.as_ref())
    {
        monitor.probe.render(&scope)?;
    }
    for invariant in &playbook.invariants {
        match &invariant.ask {
            Ask::Host(question) => question.render(&scope).map(drop)?,
            Ask::Expr(_) => {}
        }
    }
    for gate in playbook.gates.values() {
        match &gate.kind {
            GateKind::Health { probe, .. } => probe.render(&scope).map(drop)?,
            GateKind::Canary(canary) => canary.host.render(&scope).map(drop)?,
            GateKind::Approval { .. } | GateKind::Soak { .. } | GateKind::Window(_) => {}
        }
    }
    Ok(())
}

/// An older release, standing where the playbook's own operation leads, if that is in service, or where hosts serve.
fn older(playbook: &Playbook, release: &ReleaseName) -> Standing {
    let machine = &playbook.machine;
    let serves = |state: &&StateName| machine.traffic(state) == Traffic::Full;
    let stage = playbook.stages.first().map(|stage| &stage.deploy.operation);
    let goal = stage.and_then(|name| Some(&machine.operations.get(name)?.to));
    let leads = || machine.phases.iter().filter_map(|phase| phase.to.as_ref());
    let state = goal.filter(serves).or_else(|| leads().find(serves)).or(goal);
    let name = if release.as_str() == "old" { "older" } else { "old" };
    Standing {
        state: state.unwrap_or(&machine.initial).clone(),
        release: ReleaseName::new(name).ok(),
        previous: None,
        error: None,
    }
}

/// Every release of the app that stands on a host, or stood there before.
pub(crate) fn releases(hosts: &[Host], app: &App) -> BTreeSet<ReleaseName> {
    let standings = hosts.iter().filter_map(|host| host.standings.get(app));
    let named = standings.flat_map(|standing| [&standing.release, &standing.previous]);
    named.flatten().cloned().collect()
}

/// A state in which these hosts have joined, and said what stands on them.
pub(crate) fn seat(hosts: &[Host], machine: &Machine, app: &App, now: Time) -> State {
    let mut state = State {
        term: 1,
        ..State::default()
    };
    for (session, host) in (1..).zip(hosts) {
        let standings = host.standings.iter();
        let standings = standings.map(|(of, stands)| (of.clone(), standing(host, machine, app, of, stands)));
        let seated = host::Host {
            id: host.host.clone(),
            datacenter: host.datacenter.clone(),
            pool: host.pool.clone(),
            labels: host.labels.clone(),
            granted: host.labels.clone(),
            assigned: BTreeMap::new(),
            told: BTreeMap::new(),
            version: String::new(),
            facts: BTreeMap::new(),
            session: host.attached.then_some(session),
            since: now,
            standings: standings.collect(),
            busy: None,
            taken_by: BTreeSet::new(),
            unwell: BTreeMap::new(),
        };
        state.hosts.insert_mut(host.host.clone(), seated);
    }
    state
}

fn standing(host: &Host, machine: &Machine, app: &App, of: &App, stands: &Standing) -> host::Standing {
    let own = |stands: &Standing| match &stands.error {
        Some(_) => Serving::Out,
        None => serving(machine, &stands.state),
    };
    // Of another app the machine is not known. It is blamed for a host out of service only if nothing else explains that.
    let explained = !host.attached
        || host.busy
        || host
            .standings
            .get(app)
            .is_some_and(|stands| own(stands) != Serving::Full);
    let traffic = match (of == app, host.in_service) {
        (true, _) => own(stands),
        (false, Some(false)) if !explained => Serving::Out,
        (false, _) => Serving::Full,
    };
    host::Standing {
        state: stands.state.clone(),
        release: stands.release.clone(),
        previous: stands.previous.clone(),
        error: stands.error.clone(),
        traffic,
    }
}
