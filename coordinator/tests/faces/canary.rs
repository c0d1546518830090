//! A canary gate whose source cannot be asked: its rule for no data applies, and what it was decided by is served, also after
//! the coordinator was killed. What a source that answers leads to, `echelon-testbed canary` shows.

use echelon_coordinator::pki::Role;
use echelon_judge::{Outcome, Verdict, kept::Kept};
use echelon_proto::wire::{
    control::{self, RolloutState, control_client::ControlClient},
    link::PhaseResult,
};
use tonic::{Code, Status, transport::Channel};

use crate::{
    agent::Agent,
    house::House,
    rollouts::{PLAYBOOK, push, release, start, until},
};

const GATE: &str = "  compare: { kind: canary, source: nowhere, label: instance, host: \"${{ host.name }}\", every: 1s, before: 5s, \
                    for: 5s, metrics: { cpu: { kind: gauge, query: cpu } }, on_no_data: hold }\n";

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
    let playbook = PLAYBOOK
        .replace("gates:\n", &format!("gates:\n{GATE}"))
        .replace("[health, signoff]", "[compare]");
    dora.push_playbook(push(&playbook)).await.unwrap();
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
