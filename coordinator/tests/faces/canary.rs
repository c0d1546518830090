//! A canary gate whose source cannot be asked: its rule for no data applies, and what it was decided by is served, also after
//! the coordinator was killed. Gates by what agents measured, and gates that are tried without a rollout. What a server of
//! metrics leads to, `echelon-testbed canary` shows.

use echelon_coordinator::pki::Role;
use echelon_judge::{Outcome, Verdict, kept::Kept};
use echelon_proto::wire::{
    control::{self, RolloutState, control_client::ControlClient},
    link::PhaseResult,
};
use tonic::{Code, Status, transport::Channel};

use crate::{
    agent::Agent,
    house::{House, Joined},
    rollouts::{PLAYBOOK, push, release, start, until},
};

const GATE: &str = "  compare: { kind: canary, source: nowhere, label: instance, host: \"${{ host.name }}\", every: 1s, before: 5s, \
                    for: 5s, metrics: { cpu: { kind: gauge, query: cpu } }, on_no_data: hold }\n";

/// By what the agent of the canary measures, over so many seconds.
fn guard(seconds: u32) -> String {
    format!(
        "  compare: {{ kind: canary, source: agents, label: host, host: \"${{{{ host.name }}}}\", every: 1s, before: 0s, for: \
         {seconds}s, extend: 0, metrics: {{ load: {{ kind: guard, query: load, above: 50 }} }}, on_fail: rollback, on_no_data: hold \
         }}\n"
    )
}

/// The playbook with this gate after its first wave.
fn gated(gate: &str) -> String {
    PLAYBOOK
        .replace("gates:\n", &format!("gates:\n{gate}"))
        .replace("[health, signoff]", "[compare]")
}

async fn explain(client: &mut ControlClient<Channel>, gate: &str, wave: &str) -> Result<Kept, Status> {
    let request = control::ExplainGateRequest {
        name: "apps/web/rollouts/r1".into(),
        gate: gate.into(),
        wave: wave.into(),
        ..Default::default()
    };
    let mut chunks = client.explain_gate(request).await?.into_inner();
    let mut text = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        text.extend(chunk.data);
    }
    Ok(serde_json::from_slice(&text).unwrap())
}

#[tokio::test]
async fn a_source_that_cannot_be_asked_is_no_data_and_the_gate_holds_and_says_why() {
    let mut house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    dora.create_release(release("1.0.0")).await.unwrap();
    dora.push_playbook(push(&gated(GATE))).await.unwrap();
    for name in ["h1", "h2"] {
        let host = house.join(name, "dc1").await;
        Agent::attach(&house, &host).await.unwrap().obey(|_| PhaseResult::Done);
    }
    let rollout = dora.create_rollout(start("1.0.0", "")).await.unwrap().into_inner();
    let (held, events) = until(&mut dora, &rollout.name, RolloutState::Held).await;
    let text = "no source `nowhere` in the coordinator's configuration";
    assert!(held.state_reason.contains(text), "{}", held.state_reason);
    let decided = events.iter().find(|event| event.kind == "gate_decided").unwrap();
    assert!(
        decided.text.starts_with("compare no_data (hold): cpu: no data"),
        "{}",
        decided.text
    );

    house.kill_and_start_again();
    let mut carol = house.person("carol", Role::Viewer).await;
    let kept = explain(&mut carol, "compare", "canary").await.unwrap();
    assert_eq!(
        (kept.canary.as_slice(), kept.control.as_slice()),
        (&["h1".to_owned()][..], &["h2".to_owned()][..])
    );
    let verdict: Verdict = serde_json::from_str(kept.metrics[0].verdict.get()).unwrap();
    assert_eq!(verdict.outcome, Outcome::NoData);
    assert!(verdict.reason.contains(text), "{}", verdict.reason);
    for (gate, wave) in [("other", ""), ("compare", "rest"), ("compare", "nowhere")] {
        let refused = explain(&mut carol, gate, wave).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{gate} {wave}: {refused}");
    }
}

/// Two hosts whose agents do what they are ordered and measure this load, and a rollout by that gate.
async fn rolling(house: &House, gate: &str, loads: [f64; 2]) -> (control::Rollout, Vec<Joined>) {
    let mut dora = house.person("dora", Role::Deployer).await;
    dora.create_release(release("1.0.0")).await.unwrap();
    dora.push_playbook(push(&gated(gate))).await.unwrap();
    let mut hosts = Vec::new();
    for (name, load) in ["h1", "h2"].into_iter().zip(loads) {
        let host = house.join(name, "dc1").await;
        let agent = Agent::attach(house, &host).await.unwrap();
        agent.measure("load", load);
        agent.obey(|_| PhaseResult::Done);
        hosts.push(host);
    }
    let rollout = dora.create_rollout(start("1.0.0", "")).await.unwrap().into_inner();
    (rollout, hosts)
}

#[tokio::test]
async fn what_the_agent_of_the_canary_measures_takes_the_release_back() {
    let house = House::new();
    let (rollout, _) = rolling(&house, &guard(30), [99.0, 1.0]).await;
    let mut carol = house.person("carol", Role::Viewer).await;
    let (_, events) = until(&mut carol, &rollout.name, RolloutState::RolledBack).await;
    let decided = events.iter().find(|event| event.kind == "gate_decided").unwrap();
    assert!(
        decided.text.starts_with("compare fail (rollback): load: fail"),
        "{}",
        decided.text
    );
    let kept = explain(&mut carol, "compare", "canary").await.unwrap();
    assert_eq!(kept.source, "agents");
    assert!(kept.metrics[0].again().unwrap().unwrap().is_same);
}

#[tokio::test]
async fn after_a_restart_in_the_middle_what_agents_measure_is_no_data_and_never_a_pass() {
    let mut house = House::new();
    let (rollout, hosts) = rolling(&house, &guard(8), [1.0, 1.0]).await;
    let mut carol = house.person("carol", Role::Viewer).await;
    let gating = async {
        let request = control::GetRolloutRequest {
            name: rollout.name.clone(),
        };
        loop {
            let seen = carol.get_rollout(request.clone()).await.unwrap().into_inner();
            if seen.lanes[0].waves[0].state == "gating" {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::house::LONG, gating)
        .await
        .expect("it comes to its gate");
    house.kill_and_start_again();
    for host in &hosts {
        let agent = Agent::attach(&house, host).await.unwrap();
        agent.measure("load", 1.0);
        agent.obey(|_| PhaseResult::Done);
    }
    let mut carol = house.person("carol", Role::Viewer).await;
    let (held, events) = until(&mut carol, &rollout.name, RolloutState::Held).await;
    assert!(
        held.state_reason.contains("knows nothing of the time before"),
        "{}",
        held.state_reason
    );
    let decided = events.iter().find(|event| event.kind == "gate_decided").unwrap();
    assert!(decided.text.starts_with("compare no_data (hold)"), "{}", decided.text);
}

async fn tried(client: &mut ControlClient<Channel>, request: control::TryGateRequest) -> Result<Kept, Status> {
    let mut chunks = client.try_gate(request).await?.into_inner();
    let mut text = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        text.extend(chunk.data);
    }
    Ok(serde_json::from_slice(&text).unwrap())
}

/// Two hosts that measure: one too much, one not.
async fn measuring() -> House {
    let house = House::new();
    for (name, load) in [("h1", 99.0), ("h2", 1.0)] {
        let host = house.join(name, "dc1").await;
        let agent = Agent::attach(&house, &host).await.unwrap();
        agent.measure("load", load);
        agent.obey(|_| PhaseResult::Done);
    }
    house
}

fn stamp(seconds: u64) -> Option<prost_types::Timestamp> {
    let seconds = i64::try_from(seconds).unwrap();
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

/// That gate, tried on these; the release came at this second.
fn attempt(gate: &str, canary: &[&str], control: &[&str], came: u64) -> control::TryGateRequest {
    let names = |hosts: &[&str]| hosts.iter().map(|host| format!("hosts/{host}")).collect();
    control::TryGateRequest {
        text: gated(gate),
        gate: "compare".into(),
        canary: names(canary),
        control: names(control),
        deploy_time: stamp(came),
        end_time: None,
    }
}

fn soon() -> u64 {
    echelon_coordinator::driver::wall().0 / 1000 + 1
}

#[tokio::test]
async fn a_gate_is_tried_on_hosts_that_are_there_and_starts_nothing() {
    let house = measuring().await;
    let came = soon();
    let mut dora = house.person("dora", Role::Deployer).await;
    for (canary, control, wanted) in [("h1", "h2", Outcome::Fail), ("h2", "h1", Outcome::Pass)] {
        let seen = async {
            loop {
                // Until an interval is over it is refused.
                if let Ok(kept) = tried(&mut dora, attempt(&guard(30), &[canary], &[control], came)).await {
                    let verdict: Verdict = serde_json::from_str(kept.metrics[0].verdict.get()).unwrap();
                    assert_eq!(
                        (kept.canary.as_slice(), kept.gate.as_str()),
                        (&[canary.to_owned()][..], "compare")
                    );
                    if verdict.outcome == wanted {
                        return;
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(crate::house::LONG, seen)
            .await
            .expect("it is seen");
    }
    let rollouts = dora
        .list_rollouts(control::ListRolloutsRequest::default())
        .await
        .unwrap();
    assert!(rollouts.into_inner().rollouts.is_empty(), "a try starts nothing");
}

#[tokio::test]
async fn what_cannot_be_tried_is_refused_with_its_reason() {
    let house = measuring().await;
    let mut dora = house.person("dora", Role::Deployer).await;
    let of = |gate: &str, canary: &str, control: &[&str]| attempt(gate, &[canary], control, soon());
    let well = of(&guard(30), "h1", &["h2"]);
    let hosts = |canary: &str, control: &[&str]| of(&guard(30), canary, control);
    let called = |variable: &str| of(&guard(30).replace("host.name", variable), "h1", &["h2"]);
    let with = |change: &dyn Fn(&mut control::TryGateRequest)| {
        let mut request = well.clone();
        change(&mut request);
        request
    };
    for (request, why) in [
        (hosts("h1", &["h1"]), "h1 is named twice"),
        (hosts("h1", &[]), "control: is empty"),
        (called("wave.name"), "names a wave or a release"),
        (called("host.labels.rack"), "h1 has no label rack"),
        (
            with(&|request| request.gate = "health".into()),
            "health is no canary gate",
        ),
        (with(&|request| request.gate = "other".into()), "has no gate other"),
        (with(&|request| request.text = "name: web".into()), "the playbook has"),
        (with(&|request| request.deploy_time = None), "deploy_time: is not set"),
        (
            with(&|request| request.end_time = stamp(1)),
            "not one interval of 1s is over",
        ),
    ] {
        let refused = tried(&mut dora, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains(why), "{why}: {refused}");
    }
    let unknown = tried(&mut dora, hosts("h1", &["h9"])).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "{unknown}");
}
