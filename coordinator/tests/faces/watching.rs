//! Who watches and does not read holds nobody up.

use echelon_coordinator::pki::Role;
use echelon_proto::wire::{
    control::{self, RolloutState},
    link::PhaseResult,
};
use tokio::time::timeout;

use crate::{
    house::{House, LONG},
    rollouts::{Begun, act, begun},
};

#[tokio::test]
async fn a_watcher_that_does_not_read_misses_what_lies_between_and_gets_the_end() {
    let house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    let Begun {
        mut agent,
        rollout,
        order,
        ..
    } = begun(&house, &mut dora).await;
    let obeying = {
        agent.report_and_wait(&order, PhaseResult::Done).await;
        agent.obey(|_| PhaseResult::Done)
    };

    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut watcher = house.person("vera", Role::Viewer).await;
        let request = control::WatchRolloutRequest {
            name: rollout.name.clone(),
            from_sequence: 0,
        };
        slow.push(watcher.watch_rollout(request).await.unwrap().into_inner());
    }
    // 200 changes, each with a reason as long as may be: far more than a stream's window holds.
    let reason = "x".repeat(500);
    for _ in 0..100 {
        timeout(LONG, dora.pause_rollout(act(&rollout, &reason)))
            .await
            .unwrap()
            .unwrap();
        timeout(LONG, dora.resume_rollout(act(&rollout, &reason)))
            .await
            .unwrap()
            .unwrap();
    }
    timeout(LONG, dora.abort_rollout(act(&rollout, "enough")))
        .await
        .unwrap()
        .unwrap();
    for mut watch in slow {
        let mut last = None;
        let mut sequences = Vec::new();
        while let Some(message) = timeout(LONG, watch.message()).await.unwrap().unwrap() {
            sequences.extend(message.events.iter().map(|event| event.sequence));
            last = message.rollout;
        }
        assert_eq!(last.unwrap().state(), RolloutState::Aborted);
        assert!(sequences.len() >= 200 && sequences.windows(2).all(|pair| pair[0] < pair[1]));
    }
    obeying.abort();
}
