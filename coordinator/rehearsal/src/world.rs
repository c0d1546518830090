//! The world around the engine, as it would be on the day: hosts that run what is owed to them, probes that answer, people
//! who approve. It moves from one thing that happens to the next, in virtual time. Deliberately no policy: what is owed
//! and what follows are the engine's to say, as they are in the coordinator's driver.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use echelon_engine::{
    Config, Engine, Event, Record, Reply, State,
    command::{Act, Artifact, Command, IfRunning, PlanRequest, Start, Verb, What},
    effect::{Effect, Key, Order, Watch},
    event::{PhaseResult, Report},
    gate::canary::{Look, Says},
    rollout::{Rollout, Status},
    view,
};
use echelon_playbooks::model::{Action, ArtifactVerb, GateKind};
use echelon_proto::{Datacenter, Digest, Fence, GateName, Person, ReleaseName, RolloutId, Span, Time};

use crate::{
    Approval, End, Error, Rehearsal, Script, VIRTUAL_TIME_MAX,
    fleet::{self, Host},
    forecast::Gauges,
    pace,
    trouble::Troubles,
};

/// A probe that was just begun answers for the first time.
const FIRST_ANSWER: Span = Span::secs(1);

/// As the judge: it passes nothing earlier.
const LOOKS_TO_PASS: u64 = 5;

/// Something that will happen.
#[derive(Debug)]
enum Happening {
    /// A phase ends.
    Ends { order: Arc<Effect>, result: PhaseResult },
    /// A probe answers.
    Answers { watch: Arc<Effect>, healthy: bool },
    /// The judge has looked.
    Judges { comparison: Arc<Effect>, says: Says },
    /// People approve.
    Approve { datacenter: Datacenter, approvers: u32 },
}

pub(crate) struct World<'a> {
    script: &'a Script,
    troubles: Troubles<'a>,
    engine: Engine,
    now: Time,
    rollout: RolloutId,
    /// By time, then in the order in which they were foreseen.
    agenda: BTreeMap<(Time, u64), Happening>,
    foreseen: u64,
    /// Attempts begun, so that an order that is owed still is not begun again.
    begun: BTreeSet<Fence>,
    gauges: Gauges,
    events: Vec<view::EventView>,
    approvals: Vec<Approval>,
    taken_as_idle: u32,
}

impl<'a> World<'a> {
    /// With its rollout about to begin.
    pub(crate) fn new(script: &'a Script, hosts: &[Host]) -> Result<Self, Error> {
        let state = fleet::seat(hosts, &script.playbook.machine, &script.app, script.begin);
        let mut engine = Engine::new(Config::default(), state);
        let mut releases = fleet::releases(hosts, &script.app);
        releases.insert(script.release.clone());
        for release in releases {
            wish(
                &mut engine,
                script.begin,
                Command::CreateRelease(artifact(script, release)),
            )?;
        }
        let push = Command::PushPlaybook {
            playbook: Box::new(script.playbook.clone()),
            text: script.text.clone(),
            base: script.base.clone(),
        };
        wish(&mut engine, script.begin, push)?;
        let plan = wish(&mut engine, script.begin, Command::CreatePlan(request(script)))?;
        let Reply::Plan(plan) = plan.1 else {
            unreachable!("a plan was asked for: {:?}", plan.1);
        };
        let (records, reply) = wish(
            &mut engine,
            script.begin,
            Command::StartRollout(start(What::Plan(plan))),
        )?;
        let Reply::Rollout(rollout) = reply else {
            unreachable!("a rollout was asked for: {reply:?}");
        };
        let gauges = Gauges::open(engine.state(), known(engine.state(), &rollout), script.begin);
        let mut world = Self {
            script,
            troubles: Troubles::new(script),
            engine,
            now: script.begin,
            rollout,
            agenda: BTreeMap::new(),
            foreseen: 0,
            begun: BTreeSet::new(),
            gauges,
            events: Vec::new(),
            approvals: Vec::new(),
            taken_as_idle: u32::try_from(hosts.iter().filter(|host| host.busy).count()).unwrap_or(u32::MAX),
        };
        world.follow(records);
        Ok(world)
    }

    /// To the end.
    pub(crate) fn run(mut self) -> Result<Rehearsal, Error> {
        let end = loop {
            if let Status::Ended(outcome) = self.known().status {
                break End::Outcome(outcome);
            }
            let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = agenda.into_iter().chain(self.engine.wake_at()).min() else {
                let seen = view::rollout(self.engine.state(), &self.rollout, self.now);
                break End::Waits(seen.map(|seen| seen.waiting).unwrap_or_default());
            };
            if next.since(self.script.begin) > VIRTUAL_TIME_MAX {
                break End::Late;
            }
            self.now = next;
            self.turn()?;
        };
        let forecast = self
            .gauges
            .close(known(self.engine.state(), &self.rollout), self.script.begin, self.now);
        Ok(Rehearsal {
            state: self.engine.state().clone(),
            rollout: self.rollout,
            begin: self.script.begin,
            now: self.now,
            end,
            events: self.events,
            approvals: self.approvals,
            taken_as_idle: self.taken_as_idle,
            forecast,
        })
    }

    fn known(&self) -> &Rollout {
        known(self.engine.state(), &self.rollout)
    }

    /// Everything that happens at this time, then what follows: a turn of the driver.
    fn turn(&mut self) -> Result<(), Error> {
        let mut records = Vec::new();
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let happening = entry.remove();
            if let Some(event) = self.event_of(&happening) {
                records.extend(self.engine.step(self.now, &event)?.records);
            }
            if let Happening::Approve { datacenter, approvers } = happening {
                records.extend(self.approve(&datacenter, approvers));
            }
        }
        self.follow(records);
        Ok(())
    }

    fn event_of(&mut self, happening: &Happening) -> Option<Event> {
        match happening {
            Happening::Ends { order, result } => {
                let Effect::Order(order) = order.as_ref() else {
                    return None;
                };
                if let Some(artifact) = fetches(order) {
                    self.gauges.fetched(artifact);
                }
                Some(Event::HostReported(report(order, *result)))
            }
            Happening::Answers { watch, healthy } => {
                let Effect::Watch(watch) = watch.as_ref() else {
                    return None;
                };
                Some(Event::HealthReported {
                    host: watch.host.clone(),
                    watch: watch.id.clone(),
                    healthy: *healthy,
                    message: if *healthy { "holds" } else { "was made to fail" }.into(),
                })
            }
            Happening::Judges { comparison, says } => {
                let Effect::Canary(comparison) = comparison.as_ref() else {
                    return None;
                };
                Some(Event::CanaryLooked {
                    rollout: comparison.rollout.clone(),
                    datacenter: comparison.datacenter.clone(),
                    gate: comparison.gate.clone(),
                    since: comparison.since,
                    look: Look {
                        upto: self.now,
                        says: *says,
                        evidence: match says {
                            Says::Fail => "was made to fail",
                            Says::Pass | Says::Inconclusive | Says::NoData => "assumed by the rehearsal",
                        }
                        .into(),
                    },
                })
            }
            Happening::Approve { .. } => None,
        }
    }

    /// Each of them once. One who comes too late is refused, as on the day.
    fn approve(&mut self, datacenter: &Datacenter, approvers: u32) -> Vec<Record> {
        let mut records = Vec::new();
        for number in 1..=approvers {
            let act = Act {
                verb: Verb::Approve,
                rollout: self.rollout.clone(),
                datacenter: Some(datacenter.clone()),
                host: None,
                reason: "assumed by the rehearsal".into(),
                etag: None,
                request_id: None,
            };
            let by = person(&format!("approver-{number}"));
            let command = Command::Act(act);
            if let Ok(done) = self.engine.step(self.now, &Event::Commanded { by, command }) {
                records.extend(done.records);
            }
        }
        records
    }

    /// What follows by itself, what of it is told and measured, and what the world does about it.
    fn follow(&mut self, mut records: Vec<Record>) {
        records.extend(self.engine.advance(self.now));
        let state = self.engine.state();
        let told = records.iter().filter_map(|record| view::event(state, self.now, record));
        self.events.extend(told);
        self.gauges.note(state, &records, self.now);
        for record in &records {
            if let Record::ApprovalAsked {
                datacenter, wave, gate, ..
            } = record
            {
                self.asked(datacenter, *wave, gate);
            }
        }
        for (key, owed) in self.engine.take_changes() {
            match (key, owed) {
                (Key::Order(..), Some(order)) => self.begin(order),
                (Key::Watch(..), Some(watch)) => self.watch(watch),
                (Key::Canary(..), Some(comparison)) => self.compare(comparison),
                // A monitor that has said nothing lets its host count as well, which here it always is.
                (Key::Order(..) | Key::Watch(..) | Key::Monitor(..) | Key::Canary(..) | Key::Notify(_), _) => {}
            }
        }
    }

    fn foresee(&mut self, after: Span, happening: Happening) {
        self.foreseen += 1;
        self.agenda.insert((self.now + after, self.foreseen), happening);
    }

    fn begin(&mut self, effect: Arc<Effect>) {
        let Effect::Order(order) = effect.as_ref() else { return };
        if !self.begun.insert(order.fence.clone()) {
            return;
        }
        if let Some(artifact) = fetches(order) {
            self.gauges.fetch(artifact, self.now);
        }
        let (host, phase) = (&order.fence.host, &order.fence.phase);
        let (took, result) = pace::of(order, self.troubles.slow(host, phase), self.script.seed);
        let fails = order.action.is_some() && result.is_good() && self.troubles.phase_fails(host, phase);
        let result = if fails { PhaseResult::Failed } else { result };
        self.foresee(took, Happening::Ends { order: effect, result });
    }

    fn watch(&mut self, effect: Arc<Effect>) {
        let Effect::Watch(watch) = effect.as_ref() else { return };
        let Watch {
            id,
            host,
            every,
            unhealthy_after,
            ..
        } = watch;
        let gate = id.rsplit('/').next().unwrap_or(id);
        let healthy = !self.troubles.probe_fails(host, gate);
        let after = if healthy {
            FIRST_ANSWER
        } else {
            FIRST_ANSWER + Span(every.0.saturating_mul(u64::from(unhealthy_after.saturating_sub(1))))
        };
        self.foresee(after, Happening::Answers { watch: effect, healthy });
    }

    /// The judge passes nothing before its fifth look; harm it may see at once.
    fn compare(&mut self, effect: Arc<Effect>) {
        let Effect::Canary(comparison) = effect.as_ref() else {
            return;
        };
        let gate = comparison.gate.as_str();
        let mut hosts = comparison.treated.values();
        let (says, looks) = if hosts.any(|host| self.troubles.probe_fails(host, gate)) {
            (Says::Fail, 1)
        } else {
            (Says::Pass, LOOKS_TO_PASS)
        };
        let after = comparison.since.since(self.now) + Span(comparison.canary.every.0.saturating_mul(looks));
        self.foresee(
            after,
            Happening::Judges {
                comparison: effect,
                says,
            },
        );
    }

    fn asked(&mut self, datacenter: &Datacenter, wave: usize, gate: &GateName) {
        let rollout = self.known();
        let kind = rollout.playbook.gates.get(gate).map(|gate| &gate.kind);
        let Some(GateKind::Approval { count }) = kind else {
            return;
        };
        let lane = rollout.plan.lanes.iter().find(|lane| lane.datacenter == *datacenter);
        let Some(planned) = lane.and_then(|lane| lane.waves.get(wave)) else {
            return;
        };
        let asked = self.now.since(self.script.begin);
        let (approvers, wave) = (*count, planned.name.clone());
        self.approvals.push(Approval {
            datacenter: datacenter.clone(),
            wave,
            gate: gate.clone(),
            approvers,
            asked_ms: asked,
            given_ms: asked + self.script.think,
        });
        let datacenter = datacenter.clone();
        self.foresee(self.script.think, Happening::Approve { datacenter, approvers });
    }
}

fn known<'a>(state: &'a State, id: &RolloutId) -> &'a Rollout {
    state.rollouts.get(id).expect("the only rollout is not forgotten")
}

fn person(name: &str) -> Person {
    Person::new(name).expect("letters, digits and a dash are a name")
}

fn wish(engine: &mut Engine, now: Time, command: Command) -> Result<(Vec<Record>, Reply), Error> {
    let by = person("rehearsal");
    let done = engine.step(now, &Event::Commanded { by, command })?;
    Ok((done.records, done.reply))
}

fn request(script: &Script) -> PlanRequest {
    PlanRequest {
        app: script.app.clone(),
        release: script.release.clone(),
        playbook: script.playbook.name.clone(),
        version: Some(script.playbook.version),
        operation: script.operation.clone(),
        datacenters: Vec::new(),
        hosts: Vec::new(),
        params: script.params.clone(),
    }
}

fn start(what: What) -> Start {
    Start {
        what,
        at: None,
        request_id: None,
        if_running: IfRunning::Refuse,
        reason: String::new(),
    }
}

/// Where the release's files would be. `.invalid` is nobody's.
fn artifact(script: &Script, release: ReleaseName) -> Artifact {
    let app = &script.app;
    Artifact {
        app: app.clone(),
        url: format!("https://releases.invalid/{app}/{release}.tar.gz"),
        sha256: Some(Digest::of(release.as_str().as_bytes())),
        size_bytes: 0,
        release,
    }
}

/// What the phase fetches, if it does.
fn fetches(order: &Order) -> Option<&Artifact> {
    let Some(Action::Artifact { verb, .. }) = &order.action else {
        return None;
    };
    match verb {
        ArtifactVerb::Fetch | ArtifactVerb::Install => order.release.as_ref().filter(|release| !release.url.is_empty()),
        ArtifactVerb::Activate | ArtifactVerb::Remove | ArtifactVerb::Prune => None,
    }
}

fn report(order: &Order, result: PhaseResult) -> Report {
    let (exit_code, message) = match result {
        PhaseResult::Done | PhaseResult::AlreadyDone => (Some(0), String::new()),
        PhaseResult::TimedOut => (None, format!("did not end within {}", order.timeout)),
        PhaseResult::Failed | PhaseResult::Refused | PhaseResult::Lost | PhaseResult::HeldBack => {
            (Some(1), "was made to fail".into())
        }
    };
    Report {
        fence: order.fence.clone(),
        result,
        exit_code,
        signal: None,
        message,
        tail: String::new(),
        leftovers: Vec::new(),
        standing: None,
    }
}
