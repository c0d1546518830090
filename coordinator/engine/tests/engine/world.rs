//! An engine with a made-up fleet around it: hosts that do as they are told, a clock that is moved by hand, a journal in
//! memory. After every step the invariants that hold at any time are checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
};

use crate::{rules, tuning::tune};
use echelon_engine::{
    Decision, Engine, Event, Record, Refusal, State,
    command::{Act, Artifact, Command, Grant, PlanRequest, Start, Verb, What},
    effect::{Effect, Key, Order},
    event::{Hello, PhaseResult, Report},
    host::{Serving, Standing},
    rollout::{LaneStage, Settled},
    view,
};
use echelon_playbooks::{BaseName, Given, Playbook, read_with};
use echelon_proto::{App, Digest, HostId, Label, Person, RolloutId, Span, Time};

pub(crate) const APP: &str = "web";

/// Orders obeyed in one go: nine hosts of a few rollouts with some six phases each, there and back, are some hundred. What is
/// beyond it never ends.
const ORDERS_MAX: u32 = 2000;

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) now: Time,
    pub(crate) journal: Vec<(Time, Record)>,
    /// What each host's agent holds: its truth outlives the coordinator.
    pub(crate) ledgers: BTreeMap<HostId, BTreeMap<App, Standing>>,
    /// Attempts that were reported good: none may be ordered again.
    pub(crate) done: BTreeSet<(RolloutId, HostId, u32)>,
    /// Takes every record in turn, so that the rules can be asked at the very moment.
    mirror: Engine,
    sessions: u64,
    config: echelon_engine::Config,
}

pub(crate) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        let config = echelon_engine::Config {
            rollouts_kept: 5,
            notify: true,
            ..echelon_engine::Config::default()
        };
        let mut world = Self {
            engine: Engine::new(config, State::default()),
            mirror: Engine::new(config, State::default()),
            now: Time(1_000_000),
            journal: Vec::new(),
            ledgers: BTreeMap::new(),
            done: BTreeSet::new(),
            sessions: 0,
            config,
        };
        world.event(Event::TermBegan { term: 1 }).unwrap();
        world
    }

    /// One event and all that follows from it.
    pub(crate) fn event(&mut self, event: Event) -> Result<Decision, Refusal> {
        let before = self.engine.state().clone();
        let decision = self.engine.step(self.now, &event);
        match &decision {
            Ok(decision) => self.write(&decision.records),
            Err(_) => assert_eq!(before, *self.engine.state(), "a refusal changed something"),
        }
        self.advance();
        decision
    }

    fn write(&mut self, records: &[Record]) {
        for record in records {
            rules::before(self.mirror.state(), record);
            self.mirror.apply(self.now, record);
            self.tell(record);
            rules::after(self.mirror.state(), record);
            self.journal.push((self.now, record.clone()));
        }
    }

    /// The story, where a single seed is replayed.
    fn tell(&self, record: &Record) {
        if std::env::var_os("ECHELON_SEED").is_none() {
            return;
        }
        if let Some(event) = view::event(self.mirror.state(), self.now, record) {
            let host = event.host.map(|host| host.to_string()).unwrap_or_default();
            let phase = event.phase.map(|phase| phase.to_string()).unwrap_or_default();
            let (at, rollout, kind, text) = (self.now.0, event.rollout, event.kind, event.text);
            // Past the harness, which would keep it until the test has ended.
            let line = format!("{at} {rollout} {kind} {host} {phase}: {text}\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
        }
    }

    fn advance(&mut self) {
        let records = self.engine.advance(self.now);
        self.write(&records);
        assert_eq!(
            self.engine.advance(self.now),
            Vec::new(),
            "advance has not come to rest"
        );
        self.check();
    }

    pub(crate) fn command(&mut self, by: &str, command: Command) -> Result<Decision, Refusal> {
        self.event(Event::Commanded { by: name(by), command })
    }

    pub(crate) fn host(&mut self, datacenter: &str, host: &str) {
        self.host_with(datacenter, host, "front", &[]);
    }

    /// A host of this pool with labels besides the usual ones.
    pub(crate) fn host_with(&mut self, datacenter: &str, host: &str, pool: &str, labels: &[(&str, &str)]) {
        self.join(datacenter, pool, host, labels);
        self.attach(host);
    }

    /// A host that is known and has never attached.
    pub(crate) fn join(&mut self, datacenter: &str, pool: &str, host: &str, labels: &[(&str, &str)]) {
        let token = Digest::of(host.as_bytes());
        let usual = [("app", APP), ("port", "80")];
        let labels = usual.iter().chain(labels);
        let labels = labels.map(|(key, value)| (name::<Label>(key), (*value).to_owned()));
        let expires = self.now + Span::secs(600);
        let grant = Grant {
            host: name(host),
            datacenter: name(datacenter),
            pool: name(pool),
            labels: labels.collect(),
            expires,
        };
        self.command("root", Command::CreateToken { token, grant }).unwrap();
        self.event(Event::HostJoining {
            host: name(host),
            token,
        })
        .unwrap();
    }

    pub(crate) fn attach(&mut self, host: &str) {
        self.attach_with(host, BTreeMap::new());
    }

    /// Attaches with labels of its own.
    pub(crate) fn attach_with(&mut self, host: &str, labels: BTreeMap<Label, String>) {
        self.sessions += 1;
        let host: HostId = name(host);
        let hello = Hello {
            version: "1".into(),
            labels,
            facts: BTreeMap::new(),
            standings: self.ledgers.get(&host).cloned().unwrap_or_default(),
        };
        self.event(Event::HostAttached {
            host,
            session: self.sessions,
            hello,
        })
        .unwrap();
    }

    pub(crate) fn detach(&mut self, host: &str) {
        let host: HostId = name(host);
        if let Some(session) = self.engine.state().hosts.get(&host).and_then(|host| host.session) {
            self.event(Event::HostDetached { host, session }).unwrap();
        }
    }

    pub(crate) fn release(&mut self, release: &str) {
        self.release_of(APP, release);
    }

    pub(crate) fn release_of(&mut self, app: &str, release: &str) {
        let artifact = Artifact {
            app: name(app),
            release: name(release),
            url: format!("http://repo/{release}.tar.gz"),
            sha256: Some(Digest::of(release.as_bytes())),
            size_bytes: 1,
        };
        self.command("root", Command::CreateRelease(artifact)).unwrap();
    }

    /// The playbook of this text, changed by these lines (`tuning.rs`).
    pub(crate) fn playbook(&mut self, text: &str, lines: &[String]) {
        let state = self.engine.state();
        let bases = |base: &BaseName| Some(state.playbook(&base.name, Some(base.version))?.text.clone());
        let given = Given {
            bases: Some(&bases),
            ..Given::default()
        };
        let checked = read_with(text, &given).unwrap_or_else(|faults| panic!("{faults}"));
        let mut playbook = checked.playbook;
        lines.iter().for_each(|line| tune(&mut playbook, line));
        self.push_with(playbook, text, checked.base);
    }

    /// A playbook that need not be one that the linter lets through.
    pub(crate) fn push(&mut self, playbook: Playbook, text: &str) {
        self.push_with(playbook, text, None);
    }

    fn push_with(&mut self, playbook: Playbook, text: &str, base: Option<String>) {
        let command = Command::PushPlaybook {
            playbook: Box::new(playbook),
            text: text.into(),
            base,
        };
        self.command("root", command).unwrap();
    }

    pub(crate) fn request(&self, release: &str, playbook: &str) -> PlanRequest {
        PlanRequest {
            app: name(APP),
            release: name(release),
            playbook: name(playbook),
            version: None,
            operation: None,
            datacenters: Vec::new(),
            hosts: Vec::new(),
            params: BTreeMap::new(),
        }
    }

    pub(crate) fn start(&self, release: &str, playbook: &str) -> Start {
        Start {
            what: What::Request(self.request(release, playbook)),
            at: None,
            request_id: None,
            if_running: Default::default(),
            reason: "test".into(),
        }
    }

    pub(crate) fn act(&self, verb: Verb, rollout: &str) -> Act {
        Act {
            verb,
            rollout: name(rollout),
            datacenter: None,
            host: None,
            reason: "test".into(),
            etag: None,
            request_id: None,
        }
    }

    /// Somebody lays hands on the host: its app is gone, or stands in this state on this release. The agent finds it when
    /// it starts again.
    pub(crate) fn tamper(&mut self, host: &str, stands: Option<(&str, &str)>) {
        let ledger = self.ledgers.entry(name(host)).or_default();
        match stands {
            Some((state, release)) => {
                let standing = Standing {
                    state: name(state),
                    release: (release != "-").then(|| name(release)),
                    previous: None,
                    error: None,
                    traffic: Default::default(),
                };
                ledger.insert(name(APP), standing);
            }
            None => drop(ledger.remove(&name::<App>(APP))),
        }
        self.attach(host);
    }

    /// Orders owed to hosts that are reachable.
    pub(crate) fn orders(&self) -> Vec<Order> {
        let state = self.engine.state();
        let reachable = |order: &&Order| {
            state
                .hosts
                .get(&order.fence.host)
                .is_some_and(|host| host.is_attached())
        };
        let owed = self.engine.owed().values().filter_map(|effect| match effect.as_ref() {
            Effect::Order(order) => Some(order),
            Effect::Watch(_) | Effect::Canary(_) | Effect::Notify(_) => None,
        });
        owed.filter(reachable).cloned().collect()
    }

    /// The host ends the phase it was ordered to run; its ledger first, as a real agent's.
    pub(crate) fn report(&mut self, order: &Order, result: PhaseResult, exit_code: Option<i32>) {
        let stands = self
            .ledgers
            .get(&order.fence.host)
            .and_then(|ledger| ledger.get(&order.app));
        let stands = stands.map_or("absent", |standing| standing.state.as_str());
        assert_eq!(stands, order.from.as_str(), "{} would refuse its order", order.fence);
        let ledger = self.ledgers.entry(order.fence.host.clone()).or_default();
        if result.is_good() {
            ledger.insert(order.app.clone(), order.after.clone());
            self.done.insert((
                order.fence.rollout.clone(),
                order.fence.host.clone(),
                order.fence.attempt,
            ));
        }
        let message = if result.is_good() { "" } else { "made to" }.to_owned();
        if !result.is_good() && !matches!(result, PhaseResult::Refused | PhaseResult::HeldBack) {
            let before = ledger.entry(order.app.clone()).or_insert_with(|| Standing {
                state: order.from.clone(),
                release: None,
                previous: None,
                error: None,
                traffic: Serving::default(),
            });
            before.error = Some(message.clone());
        }
        let standing = ledger.get(&order.app).cloned();
        let tail = String::new();
        let fence = order.fence.clone();
        let report = Report {
            fence,
            result,
            exit_code,
            signal: None,
            message,
            tail,
            leftovers: Vec::new(),
            standing,
        };
        self.event(Event::HostReported(report)).unwrap();
    }

    /// Hosts do what they are told until nothing is owed to any that is reachable.
    pub(crate) fn obey(&mut self) {
        for _ in 0..ORDERS_MAX {
            let Some(order) = self.orders().first().cloned() else {
                return;
            };
            self.report(&order, PhaseResult::Done, Some(0));
        }
        panic!(
            "{ORDERS_MAX} orders were obeyed and there is still another: {:?}",
            self.orders().first()
        );
    }

    pub(crate) fn probe(&mut self, only: Option<&str>, healthy: bool) {
        let watches = self.engine.owed().values().filter_map(|effect| match effect.as_ref() {
            Effect::Watch(watch) if only.is_none_or(|only| watch.host.as_str() == only) => Some(watch.clone()),
            Effect::Watch(_) | Effect::Order(_) | Effect::Canary(_) | Effect::Notify(_) => None,
        });
        for watch in watches.collect::<Vec<_>>() {
            let message = if healthy { "200" } else { "500" }.into();
            self.event(Event::HealthReported {
                host: watch.host,
                watch: watch.id,
                healthy,
                message,
            })
            .unwrap();
        }
    }

    /// Time passes; what is due on the way happens on the way.
    pub(crate) fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(at) = self.engine.wake_at().filter(|at| *at <= end) {
            assert!(at > self.now, "asked to wake in the past");
            self.now = at;
            self.advance();
        }
        self.now = end;
        self.advance();
    }

    /// The coordinator dies and comes back from its journal.
    pub(crate) fn restart(&mut self) {
        self.engine = self.replayed();
        let term = self.engine.state().term + 1;
        self.event(Event::TermBegan { term }).unwrap();
    }

    fn replayed(&self) -> Engine {
        let mut engine = Engine::new(self.config, State::default());
        for (at, record) in &self.journal {
            engine.apply(*at, record);
        }
        engine
    }

    /// Replay equals live state. (Costs a whole replay, so it is not part of [`World::check`].)
    pub(crate) fn check_replay(&self) {
        assert_eq!(
            self.replayed().state(),
            self.engine.state(),
            "replay differs from live state"
        );
        let through_json: State = serde_json::from_str(&serde_json::to_string(self.engine.state()).unwrap()).unwrap();
        assert_eq!(through_json, *self.engine.state(), "a snapshot differs from live state");
    }

    /// What holds after every step.
    fn check(&self) {
        let state = self.engine.state();
        assert_eq!(
            *self.engine.owed(),
            self.engine.owed_from_scratch(),
            "owed differs from scratch"
        );
        assert!(self.engine.is_consistent(), "the muster differs from scratch");
        for rollout in state.active() {
            for (host, run) in rollout.runs.iter() {
                let lane = &rollout.lanes[run.lane];
                let opened = lane.waves[run.wave].opened.is_some();
                assert!(
                    opened || run.touched.is_none(),
                    "{host} was touched in a wave that is not open"
                );
                if let Some(current) = &run.current {
                    let attempt = (rollout.id.clone(), host.clone(), current.attempt);
                    assert!(
                        !self.done.contains(&attempt),
                        "{host} is to run again what it reported done"
                    );
                }
                if run.settled == Some(Settled::RolledBack) {
                    let release = state
                        .hosts
                        .get(host)
                        .and_then(|h| h.standings.get(&rollout.app)?.release.clone());
                    let origin = run.touched.as_ref().and_then(|touch| touch.origin.release.clone());
                    assert_eq!(release, origin, "{host} is called rolled back");
                }
            }
            for lane in &rollout.lanes {
                for pair in lane.waves.windows(2) {
                    let beyond = pair[1].opened.is_some() && lane.stage != LaneStage::RollingBack;
                    assert!(
                        !beyond || pair[0].opened.is_some(),
                        "a wave is open and the one before it is not"
                    );
                }
            }
        }
        crate::desired::check(state);
        for host in state.hosts.values() {
            let running = self
                .engine
                .owed()
                .keys()
                .filter(|key| matches!(key, Key::Order(id, _) if *id == host.id));
            assert!(running.count() <= 1, "two phases at once on {}", host.id);
        }
    }
}

/// Who may be in a script.
pub(crate) fn person(text: &str) -> Person {
    name(text)
}
