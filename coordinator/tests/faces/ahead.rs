//! Artifacts that hosts fetch while their rollout waits: who is asked, who is not, and what people see of it.

use std::time::Duration;

use echelon_coordinator::{driver::wall, pki::Role};
use echelon_proto::wire::{
    control::{self, RolloutState, control_client::ControlClient},
    link::{PhaseResult, Prefetch, Prefetched, agent_message::Body, coordinator_message::Body as Said},
};
use tonic::transport::Channel;

use crate::{
    agent::Agent,
    house::{House, LONG},
    rollouts::{PLAYBOOK, act, push, release, start, until},
};

/// The catalogue, with an artifact.
async fn catalogue(client: &mut ControlClient<Channel>) {
    let artifact = control::CreateReleaseRequest {
        url: "https://builds.example/web-1.0.0.tar.gz".into(),
        sha256: "ab".repeat(32),
        size_bytes: 7,
        ..release("1.0.0")
    };
    client.create_release(artifact).await.unwrap();
    client.push_playbook(push(PLAYBOOK)).await.unwrap();
}

async fn scheduled(client: &mut ControlClient<Channel>, in_secs: u64) -> control::Rollout {
    let seconds = i64::try_from(wall().0 / 1000 + in_secs).unwrap();
    let request = control::CreateRolloutRequest {
        start_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        ..start("1.0.0", "")
    };
    client.create_rollout(request).await.unwrap().into_inner()
}

async fn asked(agent: &mut Agent) -> Prefetch {
    match agent.hear().await.unwrap() {
        Said::Prefetch(asked) => asked,
        other => panic!("{other:?} where a prefetch was awaited"),
    }
}

async fn answer(agent: &Agent, why: &str) {
    let answer = Prefetched {
        app: "web".into(),
        release: "1.0.0".into(),
        sha256: "ab".repeat(32),
        ready: why.is_empty(),
        message: why.into(),
    };
    agent.say(Body::Prefetched(answer)).await;
}

/// Waits until it is seen so.
async fn seen(client: &mut ControlClient<Channel>, rollout: &control::Rollout, wanted: Option<control::Ahead>) {
    let mut last = None;
    let looking = async {
        loop {
            let request = control::GetRolloutRequest {
                name: rollout.name.clone(),
            };
            last = client.get_rollout(request).await.unwrap().into_inner().ahead;
            if last == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let done = tokio::time::timeout(LONG, looking).await;
    assert!(done.is_ok(), "{last:?} where {wanted:?} was awaited");
}

#[tokio::test]
async fn hosts_of_a_rollout_that_is_soon_fetch_ahead_and_people_see_how_far_they_are() {
    let house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    catalogue(&mut dora).await;
    let (h1, h2) = (house.join("h1", "dc1").await, house.join("h2", "dc1").await);
    house.join("h3", "dc1").await;
    let mut one = Agent::attach(&house, &h1).await.unwrap();
    let mut two = Agent::attach(&house, &h2).await.unwrap();
    let rollout = scheduled(&mut dora, 1800).await;

    let wanted = asked(&mut one).await;
    let release = wanted.release.clone().unwrap();
    assert_eq!(
        (wanted.app.as_str(), release.name.as_str(), release.size_bytes),
        ("web", "1.0.0", 7)
    );
    assert_eq!(release.sha256, "ab".repeat(32));
    assert_eq!(asked(&mut two).await, wanted);
    answer(&one, "").await;
    answer(&two, "no room").await;
    let ahead = control::Ahead {
        hosts: 3,
        ready: 1,
        fetching: 0,
        failed: 1,
        unreachable: 1,
    };
    seen(&mut dora, &rollout, Some(ahead)).await;
    let explain = control::ExplainRolloutRequest {
        name: rollout.name.clone(),
    };
    let said = dora.explain_rollout(explain).await.unwrap().into_inner().explanations;
    assert_eq!(
        said.last().unwrap().text,
        "its artifact is on 1 of 3 hosts that wait, 1 could not (h2: no room), 1 cannot be reached"
    );

    // Only it knows what its disk still has.
    let mut again = Agent::attach(&house, &h1).await.unwrap();
    assert_eq!(asked(&mut again).await, wanted);
    answer(&again, "").await;
    seen(&mut dora, &rollout, Some(ahead)).await;

    dora.abort_rollout(act(&rollout, "not today")).await.unwrap();
    seen(&mut dora, &rollout, None).await;
}

#[tokio::test]
async fn nobody_fetches_for_a_time_that_is_far_or_a_release_without_files() {
    let house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    catalogue(&mut dora).await;
    let host = house.join("h1", "dc1").await;
    let mut agent = Agent::attach(&house, &host).await.unwrap();
    let rollout = scheduled(&mut dora, 7200).await;
    seen(&mut dora, &rollout, None).await;
    dora.abort_rollout(act(&rollout, "another")).await.unwrap();
    dora.create_release(release("1.1.0")).await.unwrap();
    let seconds = i64::try_from(wall().0 / 1000 + 60).unwrap();
    let bare = control::CreateRolloutRequest {
        start_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        ..start("1.1.0", "")
    };
    let bare = dora.create_rollout(bare).await.unwrap().into_inner();
    seen(&mut dora, &bare, None).await;
    assert!(agent.hears_nothing().await);
}

#[tokio::test]
async fn what_waits_for_an_approval_is_fetched_by_those_who_have_not_begun_and_not_when_it_is_paused() {
    let house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    catalogue(&mut dora).await;
    let (h1, h2) = (house.join("h1", "dc1").await, house.join("h2", "dc1").await);
    let canary = Agent::attach(&house, &h1).await.unwrap();
    let mut rest = Agent::attach(&house, &h2).await.unwrap();
    canary.obey(|_| PhaseResult::Done);
    let rollout = dora.create_rollout(start("1.0.0", "")).await.unwrap().into_inner();
    until(&mut dora, &rollout.name, RolloutState::AwaitingApproval).await;
    asked(&mut rest).await;
    answer(&rest, "").await;
    let ahead = control::Ahead {
        hosts: 1,
        ready: 1,
        ..control::Ahead::default()
    };
    seen(&mut dora, &rollout, Some(ahead)).await;
    dora.pause_rollout(act(&rollout, "wait")).await.unwrap();
    seen(&mut dora, &rollout, None).await;
}
