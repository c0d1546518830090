//! Two rollouts at once on hosts that overlap, one of them bad: people are told which.

use echelon_coordinator::pki::Role;
use echelon_proto::wire::{
    control::{self, Blame, RolloutState, control_client::ControlClient},
    link::PhaseResult,
};
use tonic::transport::Channel;

use crate::{
    agent::Agent,
    house::House,
    rollouts::{PLAYBOOK, push, release, start, until},
};

const HOSTS: usize = 14;

/// The first wave of so many hosts, then people are asked: so both are at work until the end of the test.
fn playbook(version: &str, size: &str) -> String {
    PLAYBOOK
        .replace("version: 1\n", &format!("version: {version}\n"))
        .replace(
            "size: 1, gates: [health, signoff]",
            &format!("size: {size}, gates: [signoff]"),
        )
        .replace(
            "      max_parallel: 10\n",
            "      max_parallel: 10\n      failure_budget: { hosts: 14 }\n",
        )
}

async fn blamed(client: &mut ControlClient<Channel>, rollout: &control::Rollout) -> control::Explanation {
    let request = control::ExplainRolloutRequest {
        name: rollout.name.clone(),
    };
    let answer = client.explain_rollout(request).await.unwrap().into_inner();
    let mut of_it = answer.explanations.into_iter().filter(|said| !said.suspects.is_empty());
    let said = of_it.next().expect("it is said who is to blame");
    assert_eq!(of_it.next(), None);
    said
}

#[tokio::test]
async fn of_two_rollouts_at_once_the_one_whose_hosts_fail_is_named_to_both() {
    let house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    for app in ["web", "cache"] {
        let release = control::CreateReleaseRequest {
            app: app.into(),
            ..release("1.0.0")
        };
        dora.create_release(release).await.unwrap();
    }
    dora.push_playbook(push(&playbook("1", "5"))).await.unwrap();
    for at in 0..HOSTS {
        let host = house.join(&format!("h{at:02}"), "dc1").await;
        let agent = Agent::attach(&house, &host).await.unwrap();
        agent.obey(
            |order| match (order.app.as_str(), order.fence.as_ref().unwrap().phase.as_str()) {
                ("web", "start") => PhaseResult::Failed,
                _ => PhaseResult::Done,
            },
        );
    }
    let mut good = start("1.0.0", "");
    if let Some(what) = &mut good.what {
        what.app = "cache".into();
        what.playbook = "web@2".into();
    }
    dora.push_playbook(push(&playbook("2", "12"))).await.unwrap();
    let good = dora.create_rollout(good).await.unwrap().into_inner();
    until(&mut dora, &good.name, RolloutState::AwaitingApproval).await;
    let mut bad = start("1.0.0", "");
    if let Some(what) = &mut bad.what {
        what.playbook = "web@1".into();
    }
    let bad = dora.create_rollout(bad).await.unwrap().into_inner();
    until(&mut dora, &bad.name, RolloutState::AwaitingApproval).await;

    let said = blamed(&mut dora, &bad).await;
    assert!(said.text.starts_with("r2 is to blame"), "{}", said.text);
    assert_eq!(
        (said.who.as_str(), said.command.as_str()),
        ("a deployer", "echelon rollback r2 --reason TEXT")
    );
    let first = &said.suspects[0];
    assert_eq!(
        (first.rollout.as_str(), first.blame()),
        ("apps/web/rollouts/r2", Blame::Blamed)
    );
    assert_eq!((first.hosts_touched, first.hosts_touched_hit), (5, 5));
    assert_eq!(
        (first.hosts_others, first.hosts_others_hit),
        (7, 0),
        "those on which something stands"
    );
    let said = blamed(&mut dora, &good).await;
    assert!(
        said.text.starts_with("what hosts show points to r2, not to r1"),
        "{}",
        said.text
    );
    assert!(said.who.is_empty() && said.command.is_empty());
}
