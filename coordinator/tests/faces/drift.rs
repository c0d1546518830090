//! A host that joins late misses what the others have; it is seen, planned for, and brought in line.

use echelon_coordinator::pki::Role;
use echelon_proto::wire::{
    control::{self, RolloutState, control_client::ControlClient},
    link::PhaseResult,
};
use tonic::{Code, transport::Channel};

use crate::{
    agent::Agent,
    house::{House, refusal},
    rollouts::{PLAYBOOK, push, release, start, until},
};

/// The rollouts of this test need nobody's approval.
fn playbook() -> String {
    PLAYBOOK.replace("[health, signoff]", "[health]")
}

async fn join(house: &House, name: &str, datacenter: &str) {
    let host = house.join(name, datacenter).await;
    Agent::attach(house, &host).await.unwrap().obey(|_| PhaseResult::Done);
}

/// Host and verdict of what differs, or of everything.
async fn drift(client: &mut ControlClient<Channel>, all: bool) -> Vec<(String, String)> {
    let request = control::ListDriftRequest {
        all,
        ..Default::default()
    };
    let answer = client.list_drift(request).await.unwrap().into_inner();
    answer
        .drifts
        .into_iter()
        .map(|drift| (drift.host, drift.verdict))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(host, verdict)| ((*host).to_owned(), (*verdict).to_owned()))
        .collect()
}

fn converge() -> control::CreatePlanRequest {
    control::CreatePlanRequest {
        app: "web".into(),
        converge: true,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_host_that_joins_late_is_missing_until_a_plan_brings_it_in_line() {
    let house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    dora.create_release(release("1.0.0")).await.unwrap();
    dora.push_playbook(push(&playbook())).await.unwrap();
    for name in ["h1", "h2"] {
        join(&house, name, "dc1").await;
    }
    assert_eq!(
        drift(&mut dora, true).await,
        [],
        "nothing is desired and nothing stands"
    );
    assert_eq!(
        refusal(dora.create_plan(converge()).await),
        (Code::NotFound, "NOT_FOUND".to_owned())
    );
    let first = dora.create_rollout(start("1.0.0", "")).await.unwrap().into_inner();
    let (ended, _) = until(&mut dora, &first.name, RolloutState::Unspecified).await;
    assert_eq!(ended.state(), RolloutState::Succeeded, "{ended:?}");
    assert_eq!(drift(&mut dora, false).await, []);
    assert_eq!(
        drift(&mut dora, true).await,
        pairs(&[("h1", "in_line"), ("h2", "in_line")])
    );
    assert_eq!(
        refusal(dora.create_plan(converge()).await),
        (Code::FailedPrecondition, "NOTHING_TO_DO".to_owned())
    );

    // One comes with its agent, one is let in and never comes.
    join(&house, "h3", "dc2").await;
    house.join("h4", "dc2").await;
    let late = pairs(&[("h3", "missing"), ("h4", "unreachable")]);
    assert_eq!(drift(&mut dora, false).await, late);
    paged(&mut dora).await;
    let plan = dora.create_plan(converge()).await.unwrap().into_inner();
    assert_eq!(
        (plan.playbook.as_str(), plan.release.as_str(), plan.operation.as_str()),
        ("web@1", "1.0.0", "deploy")
    );
    let planned: Vec<_> = plan
        .lanes
        .iter()
        .flat_map(|lane| &lane.waves)
        .flat_map(|wave| &wave.hosts)
        .collect();
    assert_eq!((planned.len(), planned[0].host.as_str()), (1, "h3"), "{plan:?}");
    assert_eq!(
        plan.lanes[0].capacity[0].hosts, 2,
        "the floor is counted over the whole pool"
    );
    assert_eq!(plan.left_out[0].host, "h4", "{plan:?}");

    let by_plan = control::CreateRolloutRequest {
        plan: plan.name,
        what: None,
        ..start("", "")
    };
    let second = dora.create_rollout(by_plan).await.unwrap().into_inner();
    let (ended, _) = until(&mut dora, &second.name, RolloutState::Unspecified).await;
    assert_eq!(ended.state(), RolloutState::Succeeded, "{ended:?}");
    assert_eq!(drift(&mut dora, false).await, pairs(&[("h4", "unreachable")]));
}

/// A page of one at a time, with the counts of the whole on each.
async fn paged(client: &mut ControlClient<Channel>) {
    let mut hosts = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = control::ListDriftRequest {
            app: "web".into(),
            all: true,
            page_size: 1,
            page_token,
            ..Default::default()
        };
        let page = client.list_drift(request).await.unwrap().into_inner();
        let counts: Vec<_> = page
            .summaries
            .iter()
            .map(|summary| (summary.datacenter.as_str(), summary.hosts, summary.drifted))
            .collect();
        assert_eq!(counts, [("dc1", 2, false), ("dc2", 2, true)]);
        hosts.extend(page.drifts.into_iter().map(|drift| drift.host));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(hosts, ["h1", "h2", "h3", "h4"]);
    let request = control::ListDriftRequest {
        datacenter: "dc2".into(),
        host: "h3".into(),
        ..Default::default()
    };
    let only = client.list_drift(request).await.unwrap().into_inner();
    let drift = &only.drifts[0];
    assert_eq!(
        (
            drift.desired_state.as_str(),
            drift.desired_release.as_str(),
            drift.desired_by.as_str()
        ),
        ("serving", "1.0.0", "r1")
    );
    assert_eq!((drift.live_state.as_str(), only.drifts.len()), ("", 1));
}

#[tokio::test]
async fn what_is_desired_outlives_the_coordinator_and_a_plan_is_looked_at_before_it_starts() {
    let mut house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    dora.create_release(release("1.0.0")).await.unwrap();
    dora.push_playbook(push(&playbook())).await.unwrap();
    join(&house, "h1", "dc1").await;
    let first = dora.create_rollout(start("1.0.0", "")).await.unwrap().into_inner();
    until(&mut dora, &first.name, RolloutState::Unspecified).await;
    house.kill_and_start_again();
    let mut dora = house.person("dora", Role::Deployer).await;
    assert_eq!(drift(&mut dora, false).await, pairs(&[("h1", "unreachable")]));
    let at_once = control::CreateRolloutRequest {
        what: Some(converge()),
        ..start("", "")
    };
    assert_eq!(
        refusal(dora.create_rollout(at_once).await),
        (Code::InvalidArgument, "INVALID".to_owned())
    );
}
