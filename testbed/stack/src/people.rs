//! The people of a seed: real clients over mTLS, each with a certificate. On the first day they let the hosts join and make
//! releases and playbooks known; then they wish whatever can be wished, twice, and two at once; healed, they answer what they
//! are asked. Whoever hears nothing asks again, with the same id. A refusal is as good an answer as any.

mod answer;
mod person;

use std::time::Duration;

use echelon_coordinator::pki::{Authority, Role};
use echelon_proto::wire::control::{
    ActRequest, CreateJoinTokenRequest, CreatePlanRequest, CreateReleaseRequest, CreateRolloutRequest,
    GetRolloutRequest, PushPlaybookRequest,
};
use echelon_sim::{Held, Violation};
use tokio::time::sleep;

use self::person::Answer;
pub(crate) use self::person::{Person, Verb};
use crate::{
    fault::Fault,
    host::name,
    playbook,
    promise::read,
    run::Error,
    world::{Shared, Stage, World, now},
};

/// As turmoil knows the machine on which they sit.
pub(crate) const NODE: &str = "people";

const APPS: [&str; 2] = ["web", "api"];
const RELEASES: [&str; 3] = ["1.0", "1.1", "1.2"];
const PLAYBOOKS: usize = 2;
const VERBS: [(u32, Verb); 9] = [
    (10, Verb::Approve),
    (1, Verb::Reject),
    (4, Verb::Pause),
    (6, Verb::Resume),
    (3, Verb::Promote),
    (4, Verb::Retry),
    (2, Verb::Skip),
    (2, Verb::Abort),
    (3, Verb::Rollback),
];
/// Between two tries of what must be done before anything else.
const AGAIN: Duration = Duration::from_millis(500);

/// All of them.
pub(crate) struct People {
    shared: Shared,
    root: Person,
    alice: Person,
    bob: Person,
    requests: u64,
    /// A start that nobody answered.
    unheard: Option<CreateRolloutRequest>,
}

/// From the first day to the end of the seed.
pub(crate) async fn live(shared: Shared, [root, alice, bob]: [Person; 3]) -> turmoil::Result {
    let mut people = People {
        shared,
        root,
        alice,
        bob,
        requests: 0,
        unheard: None,
    };
    people.first_day().await;
    let mut round = 0;
    loop {
        let (stage, pause) = {
            let mut world = people.shared.lock();
            let pause = match world.stage {
                Stage::Joining | Stage::Troubled => world.chance.between(100, 6000),
                Stage::Healed => 2000,
            };
            (world.stage, Duration::from_millis(pause))
        };
        sleep(pause).await;
        if stage == Stage::Healed {
            people.answer(round).await;
            round += 1;
        } else {
            people.wish().await;
        }
    }
}

impl People {
    /// One host after the other: a certificate is signed on a thread, and with nothing beside it that is no chance.
    async fn first_day(&mut self) {
        let hosts = self.shared.lock().hosts.len();
        for at in 0..hosts {
            let request = {
                let world = self.shared.lock();
                let host = &world.hosts[at];
                CreateJoinTokenRequest {
                    host: host.id.to_string(),
                    datacenter: host.datacenter.to_string(),
                    pool: host.pool.to_string(),
                    labels: host.labels.clone().into_iter().collect(),
                }
            };
            let token = loop {
                match self.root.token(request.clone()).await {
                    Answer::Done(token) => break token,
                    Answer::Refused(_) | Answer::Nobody => sleep(AGAIN).await,
                }
            };
            self.shared.lock().hosts[at].token = Some(token);
            while self.shared.lock().hosts[at].identity.is_none() {
                sleep(Duration::from_millis(50)).await;
            }
        }
        for app in APPS {
            for release in RELEASES {
                self.release(app, release).await;
            }
            for number in 0..PLAYBOOKS {
                self.push(app, &format!("{app}-{number}")).await;
            }
        }
        let mut world = self.shared.lock();
        world.stage = Stage::Troubled;
        world.happens(now(), || "all have joined".to_owned());
    }

    async fn release(&mut self, app: &str, release: &str) {
        let request = CreateReleaseRequest {
            app: app.into(),
            release: release.into(),
            url: format!("http://repo/{app}-{release}.tar.gz"),
            sha256: "0".repeat(64),
            request_id: format!("release-{app}-{release}"),
            ..CreateReleaseRequest::default()
        };
        while !matches!(self.root.release(request.clone()).await, Answer::Done(())) {
            sleep(AGAIN).await;
        }
        self.shared.lock().promises.release(name(app), name(release));
    }

    async fn push(&mut self, app: &str, called: &str) {
        let text = playbook::draw(&mut self.shared.lock().chance, called, app);
        let request = PushPlaybookRequest {
            text,
            validate_only: false,
        };
        while !matches!(self.root.push(request.clone()).await, Answer::Done(())) {
            sleep(AGAIN).await;
        }
        self.shared.lock().promises.playbook(name(called));
    }

    /// Somebody wishes something.
    async fn wish(&mut self) {
        if let Some(request) = self.unheard.take() {
            return self.ask_start(request).await;
        }
        let drawn = self.shared.lock().chance.below(10);
        match drawn {
            0..3 => self.start().await,
            3 => self.look().await,
            _ => self.act().await,
        }
    }

    async fn start(&mut self) {
        let request = {
            let mut world = self.shared.lock();
            let app = *world.chance.one(&APPS);
            self.requests += 1;
            let what = CreatePlanRequest {
                app: app.into(),
                release: (*world.chance.one(&RELEASES)).into(),
                playbook: format!("{app}-{}", world.chance.below(PLAYBOOKS)),
                ..CreatePlanRequest::default()
            };
            CreateRolloutRequest {
                what: Some(what),
                request_id: format!("q{}", self.requests),
                if_running: *world.chance.one(&[1, 2, 3, 4]),
                reason: "made up".into(),
                ..CreateRolloutRequest::default()
            }
        };
        self.ask_start(request.clone()).await;
        if self.shared.lock().strikes(Fault::SaidTwice) {
            self.shared.lock().struck(now(), Fault::SaidTwice, &request.request_id);
            self.ask_start(request).await;
        }
    }

    async fn ask_start(&mut self, request: CreateRolloutRequest) {
        let answer = self.alice.start(request.clone()).await;
        let mut world = self.shared.lock();
        world.happens(now(), || format!("alice starts {}: {answer:?}", request.request_id));
        match answer {
            Answer::Done((rollout, etag)) => {
                let held = promise_start(&mut world, &request.request_id, &rollout, &etag);
                world.hold(now(), held);
                world.follow(now());
                let held = kept(&world);
                world.hold(now(), held);
            }
            Answer::Refused(_) => {}
            Answer::Nobody => self.unheard = Some(request),
        }
    }

    /// A rollout is looked at: it is there, and as far as somebody was told.
    async fn look(&mut self) {
        let Some(rollout) = self.any_rollout(false) else { return };
        let answer = self.bob.look(GetRolloutRequest { name: rollout.clone() }).await;
        self.heard("bob looks", &rollout, &answer);
        if let Answer::Refused(why) = answer {
            let held = Err(Violation {
                invariant: "12 acknowledged",
                text: format!("{rollout} was told of and cannot be looked at: {why}"),
            });
            self.shared.lock().hold(now(), held);
        }
    }

    async fn act(&mut self) {
        let Some(rollout) = self.any_rollout(true) else {
            return self.start().await;
        };
        let (first, second) = {
            let mut world = self.shared.lock();
            let verbs = [world.chance.weighted(&VERBS), world.chance.weighted(&VERBS)];
            let second = if world.strikes(Fault::TwoPeople) {
                verbs[1]
            } else {
                None
            };
            (verbs[0].unwrap_or(Verb::Approve), second)
        };
        self.requests += 1;
        let request = act_on(&rollout, format!("q{}", self.requests));
        let Some(second) = second else {
            let answer = self.bob.act(first, request.clone()).await;
            self.heard(first.name(), &rollout, &answer);
            let again = matches!(answer, Answer::Nobody) || self.shared.lock().strikes(Fault::SaidTwice);
            if again {
                self.shared.lock().struck(now(), Fault::SaidTwice, &request.request_id);
                let answer = self.bob.act(first, request).await;
                self.heard(first.name(), &rollout, &answer);
            }
            return;
        };
        self.shared.lock().struck(now(), Fault::TwoPeople, &rollout);
        let other = act_on(&rollout, String::new());
        let (one, two) = tokio::join!(self.bob.act(first, request), self.alice.act(second, other));
        self.heard(first.name(), &rollout, &one);
        self.heard(second.name(), &rollout, &two);
    }

    /// What somebody was told of a rollout.
    fn heard(&self, what: &str, rollout: &str, answer: &Answer<(String, String)>) {
        let mut world = self.shared.lock();
        world.happens(now(), || format!("{what} {rollout}: {answer:?}"));
        if let Answer::Done((rollout, etag)) = answer {
            let held = promise(&mut world, rollout, etag);
            world.hold(now(), held);
            world.follow(now());
            let held = kept(&world);
            world.hold(now(), held);
        }
    }

    /// One that somebody was told of.
    fn any_rollout(&self, active: bool) -> Option<String> {
        let mut world = self.shared.lock();
        let mut known = world.promises.rollouts();
        if active {
            let state = world.watch.state();
            known.retain(|id| state.active().any(|rollout| rollout.id == *id));
        }
        let at = world.chance.below(known.len());
        known.get(at).map(|id| format!("apps/-/rollouts/{id}"))
    }
}

fn act_on(rollout: &str, request_id: String) -> ActRequest {
    ActRequest {
        name: rollout.to_owned(),
        reason: "made up".into(),
        request_id,
        ..ActRequest::default()
    }
}

fn promise(world: &mut World, rollout: &str, etag: &str) -> Held {
    let (id, etag) = (read(rollout.rsplit('/').next().unwrap_or_default())?, read(etag)?);
    world.promises.rollout(id, etag);
    Ok(())
}

fn promise_start(world: &mut World, request: &str, rollout: &str, etag: &str) -> Held {
    promise(world, rollout, etag)?;
    let id: echelon_proto::RolloutId = read(rollout.rsplit('/').next().unwrap_or_default())?;
    // One that was there already is answered with itself, and keeps the id that it was started with.
    let by = world.reader.as_ref().and_then(|reader| {
        let published = reader.latest();
        published
            .state
            .rollouts
            .get(&id)
            .map(|rollout| rollout.request_id.clone())
    });
    match by {
        Some(Some(by)) if by.as_str() == request => world.promises.started(by, id),
        _ => Ok(()),
    }
}

/// What was told of is durable by now.
fn kept(world: &World) -> Held {
    world.promises.kept(world.watch.state())
}

/// All of them, with their certificates.
pub(crate) fn all(pki: &Authority) -> Result<[Person; 3], Error> {
    Ok([
        Person::new(pki, "root", Role::Admin)?,
        Person::new(pki, "alice", Role::Admin)?,
        Person::new(pki, "bob", Role::Admin)?,
    ])
}
