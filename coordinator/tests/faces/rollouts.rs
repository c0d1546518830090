//! A release goes out from end to end, and a bad one comes back.

use echelon_coordinator::pki::Role;
use echelon_proto::wire::{
    control::{self, RolloutState, control_client::ControlClient},
    link::{Order, OutputChunk, PhaseResult},
};
use tokio::time::timeout;
use tonic::{Code, transport::Channel};

use crate::{
    agent::Agent,
    house::{House, Joined, LONG, refusal},
};

pub(crate) const PLAYBOOK: &str = r#"
name: web
version: 1
hosts: { selector: "app=web" }
machine:
  initial: absent
  states:
    absent: { traffic: none }
    stopped: { traffic: none }
    serving: { traffic: full }
  phases:
    - { name: stop, from: serving, to: stopped, run: { argv: ["./stop"] }, timeout: 1m, undo: start }
    - name: install
      from: [absent, stopped]
      to: stopped
      sets: release
      uses: artifact/install@1
      timeout: 1m
      undo: reinstate
    - { name: start, from: stopped, to: serving, run: { argv: ["./start"] }, timeout: 1m, undo: stop }
  compensations:
    - { name: reinstate, uses: artifact/activate@1, with: { release: previous }, timeout: 1m }
  operations:
    deploy: { to: serving, release: target }
gates:
  health: { kind: health, probe: { tcp: { address: "127.0.0.1:1" } }, every: 1s, share: 100%, for: 100ms, on_fail: rollback }
  signoff: { kind: approval, count: 1, on_fail: rollback }
stages:
  - name: roll
    deploy:
      operation: deploy
      waves:
        - { name: canary, size: 1, gates: [health, signoff] }
        - { name: rest, size: 100% }
      max_unavailable: 100%
      max_parallel: 10
on_failure: { host: { retry: 0, then: quarantine }, gate: rollback, budget: rollback }
"#;

pub(crate) fn release(name: &str) -> control::CreateReleaseRequest {
    control::CreateReleaseRequest {
        app: "web".into(),
        release: name.into(),
        ..Default::default()
    }
}

pub(crate) fn push(text: &str) -> control::PushPlaybookRequest {
    control::PushPlaybookRequest {
        text: text.into(),
        validate_only: false,
    }
}

pub(crate) fn start(release: &str, request_id: &str) -> control::CreateRolloutRequest {
    control::CreateRolloutRequest {
        what: Some(what(release)),
        request_id: request_id.into(),
        reason: "release day".into(),
        ..Default::default()
    }
}

fn what(release: &str) -> control::CreatePlanRequest {
    control::CreatePlanRequest {
        app: "web".into(),
        release: release.into(),
        playbook: "web".into(),
        ..Default::default()
    }
}

pub(crate) fn act(rollout: &control::Rollout, reason: &str) -> control::ActRequest {
    control::ActRequest {
        name: rollout.name.clone(),
        reason: reason.into(),
        ..Default::default()
    }
}

/// Catalogue and two hosts in one datacenter, whose agents end each phase as `result` says.
async fn fleet(
    house: &House,
    client: &mut ControlClient<Channel>,
    result: impl Fn(&str, &str) -> PhaseResult + Clone + Send + 'static,
) {
    client.create_release(release("1.0.0")).await.unwrap();
    client.create_release(release("1.1.0")).await.unwrap();
    client.push_playbook(push(PLAYBOOK)).await.unwrap();
    for name in ["h1", "h2"] {
        let host = house.join(name, "dc1").await;
        let result = result.clone();
        Agent::attach(house, &host).await.unwrap().obey(move |order| {
            let release = order
                .release
                .as_ref()
                .map(|release| release.name.as_str())
                .unwrap_or_default();
            result(&order.fence.as_ref().unwrap().phase, release)
        });
    }
}

/// A rollout to the one host there is, whose first order has come.
pub(crate) struct Begun {
    pub(crate) host: Joined,
    pub(crate) agent: Agent,
    pub(crate) rollout: control::Rollout,
    pub(crate) order: Order,
}

pub(crate) async fn begun(house: &House, dora: &mut ControlClient<Channel>) -> Begun {
    dora.create_release(release("1.0.0")).await.unwrap();
    dora.push_playbook(push(PLAYBOOK)).await.unwrap();
    let host = house.join("h1", "dc1").await;
    let mut agent = Agent::attach(house, &host).await.unwrap();
    let rollout = dora.create_rollout(start("1.0.0", "")).await.unwrap().into_inner();
    let order = agent.order().await;
    Begun {
        host,
        agent,
        rollout,
        order,
    }
}

pub(crate) async fn until(
    client: &mut ControlClient<Channel>,
    name: &str,
    state: RolloutState,
) -> (control::Rollout, Vec<control::Event>) {
    let request = control::WatchRolloutRequest {
        name: name.into(),
        from_sequence: 0,
    };
    let mut stream = client.watch_rollout(request).await.unwrap().into_inner();
    let mut events = Vec::new();
    let mut newest = None;
    while let Some(message) = timeout(LONG, stream.message())
        .await
        .expect("something happens")
        .unwrap()
    {
        events.extend(message.events);
        let rollout = message.rollout.unwrap();
        let is_there = rollout.state() == state && rollout.end_time.is_none();
        newest = Some(rollout);
        if is_there {
            break;
        }
    }
    (newest.unwrap(), events)
}

#[tokio::test]
async fn a_release_goes_out_and_is_accounted_for() {
    let house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    fleet(&house, &mut dora, |_, _| PhaseResult::Done).await;

    let plan = dora.create_plan(what("1.0.0")).await.unwrap().into_inner();
    let waves: Vec<_> = plan.lanes[0]
        .waves
        .iter()
        .map(|wave| (wave.wave.as_str(), wave.hosts.len()))
        .collect();
    assert_eq!(waves, [("canary", 1), ("rest", 1)]);
    assert_eq!(plan.lanes[0].waves[0].hosts[0].phases, ["install", "start"]);

    let by_plan = control::CreateRolloutRequest {
        plan: plan.name,
        what: None,
        ..start("", "jenkins-7")
    };
    let rollout = dora.create_rollout(by_plan.clone()).await.unwrap().into_inner();
    let again = dora.create_rollout(by_plan).await.unwrap().into_inner();
    assert_eq!(again.name, rollout.name, "the same request is the same rollout");

    let (waiting, _) = until(&mut dora, &rollout.name, RolloutState::AwaitingApproval).await;
    assert_eq!(waiting.waiting.len(), 1, "{waiting:?}");
    let mut both = house.person("dora", Role::Admin).await;
    let answer = both.approve_rollout(act(&rollout, "mine is fine")).await;
    assert_eq!(refusal(answer), (Code::PermissionDenied, "TWO_PERSONS".to_owned()));
    let mut anna = house.person("anna", Role::Approver).await;
    let stale = control::ActRequest {
        etag: "1".into(),
        ..act(&rollout, "looks good")
    };
    assert_eq!(
        refusal(anna.approve_rollout(stale).await),
        (Code::Aborted, "ETAG_MISMATCH".to_owned())
    );
    let explained = anna
        .explain_rollout(control::ExplainRolloutRequest {
            name: rollout.name.clone(),
        })
        .await
        .unwrap();
    assert!(!explained.into_inner().explanations.is_empty());
    let dry = control::ActRequest {
        validate_only: true,
        ..act(&rollout, "looks good")
    };
    anna.approve_rollout(dry).await.unwrap();
    anna.approve_rollout(act(&rollout, "looks good")).await.unwrap();

    let (ended, events) = until(&mut dora, &rollout.name, RolloutState::Unspecified).await;
    assert_eq!(ended.state(), RolloutState::Succeeded, "{ended:?}");
    assert!(events.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    account(&mut dora, &ended, &events).await;
}

/// Events in pages, the report, the hosts.
async fn account(client: &mut ControlClient<Channel>, ended: &control::Rollout, events: &[control::Event]) {
    let mut paged = Vec::new();
    let mut from_sequence = 0;
    loop {
        let request = control::ListRolloutEventsRequest {
            name: ended.name.clone(),
            from_sequence,
            page_size: 3,
        };
        let page = client.list_rollout_events(request).await.unwrap().into_inner();
        paged.extend(page.events);
        from_sequence = page.next_sequence;
        if from_sequence == 0 {
            break;
        }
    }
    assert_eq!(paged, events);
    let report = client
        .get_report(control::GetReportRequest {
            name: ended.name.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(report.outcomes["done"], 2, "{report:?}");
    let human: Vec<_> = report.human_actions.iter().map(|event| event.actor.as_str()).collect();
    assert!(human.contains(&"dora") && human.contains(&"anna"), "{human:?}");
    assert!(
        report
            .decisions
            .iter()
            .any(|decision| decision.gate == "signoff" && decision.verdict == "pass")
    );
    let hosts = client
        .list_hosts(control::ListHostsRequest::default())
        .await
        .unwrap()
        .into_inner()
        .hosts;
    assert!(
        hosts
            .iter()
            .all(|host| host.in_service && host.standings[0].release == "1.0.0"),
        "{hosts:?}"
    );
}

#[tokio::test]
async fn a_failed_canary_is_taken_back_and_its_last_words_are_told() {
    let house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    let result = |phase: &str, release: &str| match (phase, release) {
        ("start", "1.1.0") => PhaseResult::Failed,
        _ => PhaseResult::Done,
    };
    fleet(&house, &mut dora, result).await;
    let mut anna = house.person("anna", Role::Approver).await;
    let first = dora.create_rollout(start("1.0.0", "")).await.unwrap().into_inner();
    until(&mut dora, &first.name, RolloutState::AwaitingApproval).await;
    anna.approve_rollout(act(&first, "go")).await.unwrap();
    until(&mut dora, &first.name, RolloutState::Unspecified).await;

    let second = dora.create_rollout(start("1.1.0", "")).await.unwrap().into_inner();
    let (ended, _) = until(&mut dora, &second.name, RolloutState::Unspecified).await;
    assert_eq!(ended.state(), RolloutState::RolledBack, "{ended:?}");
    let failure = &ended.failures[0];
    assert_eq!((failure.phase.as_str(), failure.exit_code), ("start", Some(7)));
    assert_eq!(
        (failure.message.as_str(), failure.tail.as_str()),
        ("it went wrong", "last words")
    );
    let hosts = dora
        .list_hosts(control::ListHostsRequest::default())
        .await
        .unwrap()
        .into_inner()
        .hosts;
    assert!(
        hosts.iter().all(|host| host.standings[0].release == "1.0.0"),
        "{hosts:?}"
    );
}

#[tokio::test]
async fn what_is_asked_for_twice_by_one_id_is_done_once() {
    let house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    let Begun {
        rollout, agent: _agent, ..
    } = begun(&house, &mut dora).await;
    let by_id = |id: &str| {
        let mut request = act(&rollout, "wait");
        request.request_id = id.into();
        request
    };
    let paused = dora.pause_rollout(by_id("build-7")).await.unwrap().into_inner();
    let again = dora.pause_rollout(by_id("build-7")).await.unwrap().into_inner();
    assert_eq!(again.etag, paused.etag, "nothing was done");
    let other = dora.pause_rollout(by_id("build-8")).await.unwrap_err();
    assert_eq!(other.code(), Code::FailedPrecondition, "{other}");
    let other = dora.resume_rollout(by_id("build-7")).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists, "{other}");
}

#[tokio::test]
async fn output_is_kept_of_what_was_ordered_and_read_back_in_order() {
    let house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    let Begun {
        host,
        mut agent,
        rollout,
        order,
    } = begun(&house, &mut dora).await;

    let request = control::ReadLogsRequest {
        name: rollout.name.clone(),
        follow: true,
        ..Default::default()
    };
    let mut logs = dora.read_logs(request).await.unwrap().into_inner();
    let chunk = |offset, data: &'static str, last| OutputChunk {
        fence: order.fence.clone(),
        offset,
        data: data.into(),
        last,
    };
    let mut never_ordered = chunk(0, "lies", true);
    never_ordered.fence.as_mut().unwrap().attempt = 99;
    let chunks = vec![chunk(0, "hello ", false), chunk(6, "world", true), never_ordered];
    let mut acks = house
        .link(&host)
        .await
        .send_output(tokio_stream::iter(chunks))
        .await
        .unwrap()
        .into_inner();
    let mut offsets = Vec::new();
    while let Some(ack) = timeout(LONG, acks.message()).await.unwrap().unwrap() {
        offsets.push(ack.offset);
    }
    assert_eq!(offsets, [6, 11, 4]);

    let mut text = Vec::new();
    while text.len() < 11 {
        let chunk = timeout(LONG, logs.message()).await.unwrap().unwrap().unwrap();
        assert_eq!(
            (chunk.host.as_str(), chunk.phase.as_str(), chunk.attempt),
            ("h1", "install", 1)
        );
        assert_eq!(chunk.offset, text.len() as u64);
        text.extend(chunk.data);
    }
    assert_eq!(text, b"hello world");
    // Followed until the rollout is over.
    dora.abort_rollout(act(&rollout, "enough")).await.unwrap();
    agent.report(&order, PhaseResult::Done).await;
    assert!(timeout(LONG, logs.message()).await.unwrap().unwrap().is_none());
}
