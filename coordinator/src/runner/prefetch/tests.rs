//! Who is asked at once, and who then.

use echelon_engine::{
    Engine, Event,
    command::{Command, Grant, IfRunning, PlanRequest, Start, What},
    event::Hello,
};
use echelon_proto::Person;

use super::*;
use crate::{driver::Inbox, sessions::Guard};

const PLAYBOOK: &str = r#"
name: web
version: 1
hosts: { selector: "app=web" }
machine:
  initial: absent
  states: { absent: { traffic: none }, serving: { traffic: full } }
  phases:
    - { name: stop, from: serving, to: absent, run: { argv: ["./stop"] }, timeout: 1m, undo: reinstate }
    - { name: install, from: absent, to: serving, sets: release, uses: artifact/install@1, timeout: 1m, undo: reinstate }
  compensations:
    - { name: reinstate, uses: artifact/activate@1, with: { release: previous }, timeout: 1m }
  operations:
    deploy: { to: serving, release: target }
stages:
  - name: roll
    deploy: { operation: deploy, waves: [{ name: all, size: 100% }], max_unavailable: 100%, max_parallel: 10 }
"#;

const NOW: Time = Time(1_000_000);

struct Fleet {
    engine: Engine,
    prefetch: Arc<Prefetch>,
    guards: Vec<Guard>,
}

impl Fleet {
    /// 12 hosts in dc1 and 3 in dc2, all here, and a rollout that starts in half an hour.
    fn new() -> Self {
        let (inbox, _letters) = Inbox::new();
        let sessions = Sessions::new(inbox, Duration::from_secs(5));
        let mut fleet = Self {
            engine: Engine::new(echelon_engine::Config::default(), State::default()),
            prefetch: Prefetch::new(sessions.clone()),
            guards: Vec::new(),
        };
        fleet.step(Event::TermBegan { term: 1 });
        for n in 0..15 {
            let datacenter = if n < 12 { "dc1" } else { "dc2" };
            let host = fleet.join(&format!("h{n:02}"), datacenter);
            let guard = sessions.begin(host);
            assert!(sessions.enter(guard.session()));
            fleet.guards.push(guard);
        }
        fleet.catalogue();
        let start = Start {
            what: What::Request(request()),
            at: Some(NOW + Span::secs(1800)),
            request_id: None,
            if_running: IfRunning::Queue,
            reason: String::new(),
        };
        fleet.wish(Command::StartRollout(start));
        fleet
    }

    fn step(&mut self, event: Event) {
        self.engine.step(NOW, &event).unwrap();
        self.engine.advance(NOW);
    }

    fn wish(&mut self, command: Command) {
        let by = Person::new("root").unwrap();
        self.step(Event::Commanded { by, command });
    }

    fn join(&mut self, host: &str, datacenter: &str) -> HostId {
        let (token, host) = (Digest::of(host.as_bytes()), HostId::new(host).unwrap());
        let grant = Grant {
            host: host.clone(),
            datacenter: datacenter.parse().unwrap(),
            pool: "web".parse().unwrap(),
            labels: BTreeMap::from([("app".parse().unwrap(), "web".to_owned())]),
            expires: Time::default(),
        };
        self.wish(Command::CreateToken { token, grant });
        let name = host.clone();
        self.step(Event::HostJoining { host: name, token });
        let hello = Hello {
            version: "1".into(),
            labels: BTreeMap::new(),
            facts: BTreeMap::new(),
            standings: BTreeMap::new(),
        };
        let name = host.clone();
        self.step(Event::HostAttached {
            host: name,
            session: 1,
            hello,
        });
        host
    }

    fn catalogue(&mut self) {
        let artifact = Artifact {
            app: "web".parse().unwrap(),
            release: "1.0.0".parse().unwrap(),
            url: "https://builds.example/web.tar.gz".into(),
            sha256: Some(Digest::of(b"web")),
            size_bytes: 3,
        };
        self.wish(Command::CreateRelease(artifact));
        let playbook = echelon_playbooks::read(PLAYBOOK).unwrap().playbook;
        self.wish(Command::PushPlaybook {
            playbook: Box::new(playbook),
            text: PLAYBOOK.into(),
            base: None,
        });
    }

    /// Hosts that are asked by one look.
    fn look(&self) -> Vec<&str> {
        self.prefetch.look(self.engine.state(), NOW);
        let asked = self.guards.iter().filter(|guard| {
            let said = std::iter::from_fn(|| guard.session().poll().unwrap());
            said.filter(|item| matches!(item, Item::Prefetch(_))).count() == 1
        });
        asked.map(|guard| guard.session().host().as_str()).collect()
    }

    fn answered(&self, host: usize, answer: Result<(), String>) {
        let session = self.guards[host].session();
        let (app, release) = ("web".parse().unwrap(), "1.0.0".parse().unwrap());
        self.prefetch
            .answered(session.host(), session.number(), app, release, answer);
    }

    fn tally(&self) -> Tally {
        let rollout = RolloutId::new("r1").unwrap();
        self.prefetch.tally(self.engine.state(), &rollout, NOW).unwrap()
    }
}

fn request() -> PlanRequest {
    PlanRequest {
        app: "web".parse().unwrap(),
        release: "1.0.0".parse().unwrap(),
        playbook: "web".parse().unwrap(),
        version: None,
        operation: None,
        datacenters: Vec::new(),
        hosts: Vec::new(),
        params: BTreeMap::new(),
    }
}

#[tokio::test]
async fn so_many_of_a_datacenter_at_once_and_each_once() {
    let fleet = Fleet::new();
    let first = fleet.look();
    assert_eq!(first.len(), AT_ONCE + 3, "ten of dc1 and all three of dc2: {first:?}");
    assert_eq!(fleet.look(), [""; 0], "all places are taken");
    fleet.answered(0, Ok(()));
    fleet.answered(1, Err("no room".into()));
    assert_eq!(
        fleet.look(),
        ["h10", "h11"],
        "one that could not gives its place away too"
    );
    assert_eq!(fleet.look(), [""; 0]);
    let tally = fleet.tally();
    assert_eq!((tally.hosts, tally.ready, tally.fetching, tally.failed), (15, 1, 13, 1));
}

#[tokio::test]
async fn an_answer_of_an_older_session_counts_for_nothing() {
    let mut fleet = Fleet::new();
    fleet.look();
    let old = fleet.guards.remove(0);
    let sessions = fleet.prefetch.sessions.clone();
    let new = sessions.begin(old.session().host().clone());
    assert!(sessions.enter(new.session()));
    let (app, release) = ("web".parse().unwrap(), "1.0.0".parse().unwrap());
    fleet
        .prefetch
        .answered(old.session().host(), old.session().number(), app, release, Ok(()));
    assert_eq!(fleet.tally().ready, 0);
    fleet.guards.insert(0, new);
    assert_eq!(fleet.look(), ["h00"], "it is asked again, in the place that it had");
    fleet.answered(0, Ok(()));
    assert_eq!(fleet.tally().ready, 1);
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_gives_its_place_away_and_who_failed_is_asked_again() {
    let fleet = Fleet::new();
    fleet.look();
    fleet.answered(0, Err("no room".into()));
    tokio::time::advance(AGAIN_AFTER + Duration::from_secs(1)).await;
    assert_eq!(fleet.look(), ["h00"]);
    tokio::time::advance(ANSWER_WITHIN + Duration::from_secs(1)).await;
    assert_eq!(fleet.look(), ["h10", "h11"]);
    assert!(fleet.tally().why.unwrap().1.contains("no answer within 30 min"));
}
