//! What holds of capacity whatever the limit: no rollout takes a host out of service where its limit is reached, counted
//! over all that is out for any reason. Two apps are rolled over the same hosts at once, hosts come and go, phases fail,
//! lanes go back. Each record is looked at just before it is applied, in an engine that only replays; who is in service
//! is told here from what the state shows, by the words of the rule, and not by the engine's own account.

use std::collections::{BTreeMap, BTreeSet};

use echelon_engine::{
    Config, Engine, Record, State,
    command::{Command, What},
    event::PhaseResult,
    host::{Host, Serving},
    outcome::Outcome,
    rollout::{Settled, Status},
};
use echelon_playbooks::{
    Playbook,
    model::{Amount, Wave, Waves},
};
use echelon_proto::{HostId, RolloutId, Span};
use proptest::prelude::*;

use crate::world::{World, name};

const PLAYBOOK: &str = include_str!("../scenarios/rolling.yaml");
const APPS: [&str; 2] = ["web", "api"];
const ALL: Amount = Amount::Percent(100);

/// How an app is rolled.
#[derive(Debug, Clone)]
struct Way {
    max_unavailable: Amount,
    max_parallel: u32,
    first_wave: Amount,
    may_fail: u32,
    stagger: u64,
}

/// What happens; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Happening {
    Report(usize, bool),
    Obey(usize),
    Detach(usize),
    Attach(usize),
    Pass(u64),
    Restart,
}

fn limit() -> impl Strategy<Value = Amount> {
    prop_oneof![
        1 => Just(Amount::Hosts(0)),
        1 => Just(Amount::Percent(0)),
        2 => Just(Amount::Hosts(1)),
        3 => (0..8_u32).prop_map(Amount::Hosts),
        4 => (0..=100_u8).prop_map(Amount::Percent),
    ]
}

fn way() -> impl Strategy<Value = Way> {
    let first = prop_oneof![
        (1..4_u32).prop_map(Amount::Hosts),
        (1..=100_u8).prop_map(Amount::Percent)
    ];
    (limit(), 1..8_u32, first, 0..4_u32, 0..3_u64).prop_map(
        |(max_unavailable, max_parallel, first_wave, may_fail, stagger)| Way {
            max_unavailable,
            max_parallel,
            first_wave,
            may_fail,
            stagger,
        },
    )
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (any::<usize>(), prop::bool::weighted(0.9)).prop_map(|(which, good)| Happening::Report(which, good)),
        2 => (1..12_usize).prop_map(Happening::Obey),
        2 => any::<usize>().prop_map(Happening::Detach),
        3 => any::<usize>().prop_map(Happening::Attach),
        2 => (1..50_u64).prop_map(Happening::Pass),
        1 => Just(Happening::Restart),
    ]
}

/// Hosts of each pool of each datacenter.
fn pools() -> impl Strategy<Value = Vec<(&'static str, &'static str, usize)>> {
    let sizes = prop::collection::vec(prop_oneof![3 => 1..6_usize, 1 => 6..15_usize], 1..5);
    let places = [("dc1", "front"), ("dc2", "front"), ("dc1", "back"), ("dc2", "back")];
    sizes.prop_map(move |sizes| {
        places
            .into_iter()
            .zip(sizes)
            .map(|((dc, pool), size)| (dc, pool, size))
            .collect()
    })
}

fn playbook(of: &str, way: &Way) -> Playbook {
    let mut playbook = echelon_playbooks::read(PLAYBOOK).unwrap().playbook;
    playbook.name = name(of);
    let deploy = &mut playbook.stages[0].deploy;
    let wave = |(title, size)| Wave {
        name: name(title),
        size,
        bake: Span::secs(0),
        gates: Vec::new(),
    };
    deploy.waves = Waves::Listed([("first", way.first_wave), ("rest", ALL)].map(wave).to_vec());
    deploy.max_unavailable = way.max_unavailable;
    deploy.max_parallel = way.max_parallel;
    deploy.stagger = Span::secs(way.stagger);
    deploy.failure_budget.hosts = Some(way.may_fail);
    playbook
}

/// The world, and an engine that follows it record by record.
struct Watched {
    world: World,
    shadow: Engine,
    seen: usize,
    /// By rollout: its limit.
    limits: BTreeMap<RolloutId, Amount>,
    /// Taken out of service by us and not yet back.
    taken: BTreeSet<HostId>,
    takes: usize,
}

impl Watched {
    /// All hosts serve both apps in their first release.
    fn new(pools: &[(&'static str, &'static str, usize)]) -> Self {
        let mut world = World::new();
        for (datacenter, pool, size) in pools {
            for at in 0..*size {
                let host = format!("{datacenter}-{pool}-{at}");
                world.join(datacenter, pool, &host, &[]);
                world.attach(&host);
            }
        }
        let at_once = Way {
            max_unavailable: ALL,
            max_parallel: 1000,
            first_wave: ALL,
            may_fail: 0,
            stagger: 0,
        };
        world.push(playbook("at-once", &at_once), PLAYBOOK);
        let mut watched = Self {
            world,
            shadow: Engine::new(Config::default(), State::default()),
            seen: 0,
            limits: BTreeMap::new(),
            taken: BTreeSet::new(),
            takes: 0,
        };
        for app in APPS {
            watched.world.release_of(app, "1.0");
            watched.start(app, "1.0", "at-once", ALL);
            watched.world.obey();
            watched.look();
        }
        let mut hosts = watched.world.engine.state().hosts.values();
        assert!(hosts.all(in_service), "the fleet does not serve before the test begins");
        watched.takes = 0;
        watched
    }

    fn start(&mut self, app: &str, release: &str, playbook: &str, limit: Amount) -> RolloutId {
        let mut request = self.world.request(release, playbook);
        request.app = name(app);
        let mut start = self.world.start(release, playbook);
        start.what = What::Request(request);
        // Known before the first host goes: numbers are given in turn.
        let id: RolloutId = name(&format!("r{}", self.world.engine.state().rollouts_made + 1));
        self.limits.insert(id.clone(), limit);
        self.world.command("alice", Command::StartRollout(start)).unwrap();
        assert!(
            self.world.engine.state().rollouts.contains_key(&id),
            "{id} is not what it is called"
        );
        self.look();
        id
    }

    fn hosts(&self) -> Vec<HostId> {
        self.world.engine.state().hosts.keys().cloned().collect()
    }

    fn happens(&mut self, happening: &Happening) {
        match *happening {
            Happening::Report(which, good) => self.report(which, good),
            Happening::Obey(times) => (0..times).for_each(|at| self.report(at * 7, true)),
            Happening::Detach(which) => {
                let hosts = self.hosts();
                self.world.detach(hosts[which % hosts.len()].as_str());
            }
            Happening::Attach(which) => {
                let hosts = self.hosts();
                self.world.attach(hosts[which % hosts.len()].as_str());
            }
            Happening::Pass(seconds) => self.world.pass(Span::secs(seconds)),
            Happening::Restart => {
                self.world.restart();
                let hosts = self.hosts();
                hosts.iter().for_each(|host| self.world.attach(host.as_str()));
            }
        }
        self.look();
    }

    fn report(&mut self, which: usize, good: bool) {
        let orders = self.world.orders();
        let Some(order) = orders.get(which % orders.len().max(1)) else {
            return;
        };
        let result = if good { PhaseResult::Done } else { PhaseResult::Failed };
        self.world.report(order, result, Some(i32::from(!good)));
    }

    /// Follows what was written since the last look.
    fn look(&mut self) {
        for at in self.seen..self.world.journal.len() {
            let (now, record) = self.world.journal[at].clone();
            if let Record::PhaseStarted {
                rollout,
                host,
                from,
                after,
                ..
            } = &record
            {
                let known = self.shadow.state().hosts.get(host).unwrap();
                if in_service(known) && after.leaves_service(from) {
                    self.takes(rollout, &known.clone());
                }
            }
            self.shadow.apply(now, &record);
            let state = self.shadow.state();
            self.taken.retain(|host| !state.hosts.get(host).is_some_and(in_service));
        }
        self.seen = self.world.journal.len();
        assert_eq!(
            self.shadow.state(),
            self.world.engine.state(),
            "the journal does not tell all"
        );
    }

    /// A rollout is about to take a host out of service.
    fn takes(&mut self, rollout: &RolloutId, host: &Host) {
        let all = self.shadow.state().hosts.values();
        let pool: Vec<_> = all
            .filter(|other| other.datacenter == host.datacenter && other.pool == host.pool)
            .collect();
        let limit = share(self.limits[rollout], pool.len());
        let out = pool.iter().filter(|other| !in_service(other)).count();
        assert!(
            out < limit,
            "{rollout} takes {} where {out} of {} are out and {limit} may be",
            host.id,
            pool.len()
        );
        self.takes += 1;
        self.taken.insert(host.id.clone());
        let ours = pool.iter().filter(|other| self.taken.contains(&other.id)).count();
        assert!(
            ours <= limit,
            "{ours} of {} are out because of us, {limit} may be",
            pool.len()
        );
    }

    /// With one host allowed, nothing broken and nobody left behind all hosts arrive, and none does without having been
    /// taken. (A host that was left behind in the middle stays out, and holds a place for good.)
    fn arrives(&self, id: &RolloutId, way: &Way, pools: &[(&'static str, &'static str, usize)]) {
        let state = self.world.engine.state();
        let rollout = state.rollouts.get(id).unwrap();
        let may_go = pools.iter().all(|(_, _, size)| share(way.max_unavailable, *size) > 0);
        let fails = |(_, record): &(_, Record)| match record {
            Record::PhaseEnded { result, .. } => !result.is_good(),
            Record::HostSettled { settled, .. } => *settled == Settled::Debt,
            _ => false,
        };
        if may_go && !self.world.journal.iter().any(fails) {
            let well = rollout.status == Status::Ended(Outcome::Succeeded);
            assert!(well, "{id} is {:?}", rollout.status);
        }
        let arrived = rollout.runs.values().any(|run| run.settled == Some(Settled::Done));
        assert!(!arrived || self.takes > 0, "{id} moved hosts and took none");
    }

    /// All hosts are there and do as they are told, for long.
    fn heal(&mut self) {
        for _ in 0..200 {
            if self.world.engine.state().active().next().is_none() {
                return;
            }
            for host in self.hosts() {
                let known = self.world.engine.state().hosts.get(&host);
                if !known.is_some_and(Host::is_attached) {
                    self.world.attach(host.as_str());
                }
            }
            self.world.obey();
            self.world.pass(Span::secs(5));
            self.look();
        }
    }
}

/// Reachable, all that is installed on it serves, and nothing that runs on it keeps it from serving.
fn in_service(host: &Host) -> bool {
    let installed: Vec<_> = host
        .standings
        .values()
        .map(|standing| standing.traffic)
        .filter(|traffic| *traffic != Serving::Absent)
        .collect();
    let works = host.busy.as_ref().is_some_and(|busy| busy.out_of_service);
    host.session.is_some()
        && !works
        && !installed.is_empty()
        && installed.iter().all(|traffic| *traffic == Serving::Full)
}

/// So many of so many, as the language says it.
fn share(amount: Amount, of: usize) -> usize {
    match amount {
        Amount::Hosts(hosts) => (hosts as usize).min(of),
        Amount::Percent(0) => 0,
        Amount::Percent(percent) => (of * usize::from(percent) / 100).max(1).min(of),
    }
}

fn roll(pools: &[(&'static str, &'static str, usize)], ways: &[Way], happenings: &[Happening]) {
    let mut watched = Watched::new(pools);
    let mut rollouts = Vec::new();
    for (app, way) in APPS.into_iter().zip(ways) {
        watched.world.push(playbook(app, way), PLAYBOOK);
        watched.world.release_of(app, "2.0");
        rollouts.push(watched.start(app, "2.0", app, way.max_unavailable));
    }
    happenings.iter().for_each(|happening| watched.happens(happening));
    watched.heal();
    watched.world.check_replay();
    for (id, way) in rollouts.iter().zip(ways) {
        watched.arrives(id, way, pools);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_rollout_takes_a_host_where_its_limit_is_reached(
        pools in pools(),
        ways in [way(), way()],
        happenings in prop::collection::vec(happening(), 0..80),
    ) {
        roll(&pools, &ways, &happenings);
    }
}
