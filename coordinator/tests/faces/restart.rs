//! The coordinator is killed in the middle, or told to stop, and goes on where it was.

use std::time::Duration;

use echelon_coordinator::pki::Role;
use echelon_proto::wire::{
    control::{self, RolloutState},
    link::PhaseResult,
};
use tokio::time::timeout;
use tonic::Code;

use crate::{
    agent::Agent,
    house::{House, LONG, program, refusal},
    rollouts::{Begun, PLAYBOOK, begun, push, release, start, until},
};

#[tokio::test]
async fn a_coordinator_killed_in_the_middle_orders_the_same_attempt_again_and_goes_on() {
    let mut house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    dora.create_release(release("1.0.0")).await.unwrap();
    let playbook = PLAYBOOK.replace(", gates: [health, signoff]", "");
    dora.push_playbook(push(&playbook)).await.unwrap();
    let host = house.join("h1", "dc1").await;
    let mut agent = Agent::attach(&house, &host).await.unwrap();
    let rollout = dora.create_rollout(start("1.0.0", "tag-1")).await.unwrap().into_inner();
    let first = agent.order().await.fence.unwrap();
    let term = agent.term;

    house.kill_and_start_again();
    let mut agent = Agent::attach(&house, &host).await.unwrap();
    let order = agent.order().await;
    let fence = order.fence.clone().unwrap();
    assert!(
        agent.term > term && fence.term == agent.term,
        "{term} {} {fence:?}",
        agent.term
    );
    assert_eq!(
        (&fence.rollout, &fence.phase, fence.attempt),
        (&first.rollout, &first.phase, first.attempt)
    );
    agent.report_and_wait(&order, PhaseResult::Done).await;

    // What was acknowledged is there after one more kill, and is not ordered again.
    house.kill_and_start_again();
    let mut dora = house.person("dora", Role::Deployer).await;
    let same = dora.create_rollout(start("1.0.0", "tag-1")).await.unwrap().into_inner();
    assert_eq!(same.name, rollout.name);
    let mut agent = Agent::attach(&house, &host).await.unwrap();
    let second = agent.order().await;
    assert_eq!(second.fence.as_ref().unwrap().phase, "start");
    // The agent's word on what is done already is late, acknowledged, and changes nothing.
    agent.report_and_wait(&order, PhaseResult::Failed).await;
    agent.report_and_wait(&second, PhaseResult::Done).await;
    let (ended, _) = until(&mut dora, &rollout.name, RolloutState::Unspecified).await;
    assert_eq!(ended.state(), RolloutState::Succeeded, "{ended:?}");

    assert!(house.terminate().await.success());
    look_into_the_journal(&house);
}

/// With the program's own commands.
fn look_into_the_journal(house: &House) {
    let look = |arguments: &[&str]| {
        let mut command = program();
        command.arg("journal").args(arguments).arg("--data").arg(house.data());
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let checked = look(&["check"]);
    assert!(checked.contains("the same as snapshot and tail"), "{checked}");
    let replayed = look(&["replay"]);
    assert!(
        replayed.contains("term        3") && replayed.contains("r1"),
        "{replayed}"
    );
    assert_eq!(look(&["replay"]), replayed, "looking changes nothing");
    let dumped = look(&["dump", "--output", "json"]);
    let entries: Vec<serde_json::Value> = dumped.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        entries.iter().zip(1..).all(|(entry, n)| entry["sequence"] == n),
        "{dumped}"
    );
    assert!(
        look(&["dump", "--from", "3"])
            .lines()
            .all(|line| !line.trim_start().starts_with("1 "))
    );
}

#[tokio::test]
async fn told_to_stop_it_ends_every_stream_and_itself_with_success() {
    let mut house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    let Begun { mut agent, rollout, .. } = begun(&house, &mut dora).await;
    let request = control::WatchRolloutRequest {
        name: rollout.name,
        from_sequence: 0,
    };
    let mut watch = dora.watch_rollout(request).await.unwrap().into_inner();

    let status = house.terminate().await;
    assert!(status.success(), "{status}");
    let end = async { while let Ok(Some(_)) = watch.message().await {} };
    timeout(LONG, end).await.unwrap();
    timeout(LONG, agent.hear()).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_second_coordinator_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let mut house = House::new();
    let serve = [
        "serve",
        "--listen-agents",
        "127.0.0.1:0",
        "--listen-people",
        "127.0.0.1:0",
        "--data",
    ];
    let second = program().args(serve).arg(house.data()).output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("in use by process"), "{said}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(house.is_running());
}

#[tokio::test]
async fn on_a_full_disk_it_says_so_and_ends_and_nothing_that_it_acknowledged_is_lost() {
    let mut house = House::with_blocks(3000);
    let mut dora = house.person("dora", Role::Deployer).await;
    let mut acknowledged = 0;
    let refused = loop {
        let bulky = control::CreateReleaseRequest {
            url: format!("http://origin/{}", "x".repeat(2000)),
            sha256: "a".repeat(64),
            ..release(&format!("1.{acknowledged}.0"))
        };
        match timeout(LONG, dora.create_release(bulky)).await.unwrap() {
            Ok(_) => acknowledged += 1,
            Err(status) => break status,
        }
        assert!(acknowledged < 10_000, "the disk is never full");
    };
    assert!(acknowledged > 10, "it was full at once: {refused}");
    assert_eq!(
        refusal::<()>(Err(refused)),
        (Code::Unavailable, "JOURNAL_BROKEN".to_owned())
    );
    assert!(
        !house.wait().await.success(),
        "it must not look as if it had been stopped"
    );

    house.kill_and_start_again();
    let mut dora = house.person("dora", Role::Deployer).await;
    for number in 0..acknowledged {
        let name = format!("apps/web/releases/1.{number}.0");
        let found = dora.get_release(control::GetReleaseRequest { name }).await;
        assert!(found.is_ok(), "1.{number}.0 is lost");
    }
}
