//! The exact text of trees.

use std::collections::HashMap;

use super::*;

fn at(secs: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp {
        seconds: 1_795_262_400 + secs,
        nanos: 0,
    })
}

fn now() -> Timestamp {
    Timestamp::from_second(1_795_262_400 + 252).unwrap()
}

fn wave(name: &str, state: &str, hosts: u32, done: u32) -> Wave {
    Wave {
        wave: name.into(),
        state: state.into(),
        hosts,
        done,
        ..Wave::default()
    }
}

fn gate(name: &str, kind: &str, state: &str, detail: &str) -> Gate {
    Gate {
        gate: name.into(),
        kind: kind.into(),
        state: state.into(),
        detail: detail.into(),
    }
}

fn lane(datacenter: &str, state: &str, waves: Vec<Wave>) -> Lane {
    Lane {
        datacenter: datacenter.into(),
        state: state.into(),
        waves,
    }
}

fn rollout(state: RolloutState, lanes: Vec<Lane>) -> Rollout {
    Rollout {
        name: "apps/checkout/rollouts/r7".into(),
        app: "checkout".into(),
        release: "1.1.0".into(),
        playbook: "web@3".into(),
        state: state.into(),
        start_time: at(0),
        lanes,
        ..Rollout::default()
    }
}

fn shown(lines: &[Line]) -> String {
    lines
        .iter()
        .map(|line| line.text().trim_end().to_owned() + "\n")
        .collect()
}

fn busy() -> Rollout {
    let canary = Wave {
        open_time: at(2),
        gates: vec![gate("health", "health", "passed", "")],
        ..wave("canary", "passed", 1, 1)
    };
    let early = Wave {
        open_time: at(60),
        running: 3,
        failed: 1,
        phases: HashMap::from([("verify".into(), 1), ("install".into(), 2), ("drain".into(), 0)]),
        gates: vec![gate("health", "health", "waiting", "not yet")],
        ..wave("early", "rolling", 8, 4)
    };
    let baking = Wave {
        bake_end_time: at(300),
        gates: vec![
            gate("health", "health", "passed", ""),
            gate("go", "approval", "waiting", "1 of 2 approvals"),
        ],
        ..wave("canary", "baking", 1, 1)
    };
    let lanes = vec![
        lane("dc1", "rolling", vec![canary, early, wave("rest", "pending", 11, 0)]),
        lane("frankfurt", "baking", vec![baking, wave("rest", "pending", 19, 0)]),
        lane(
            "dc3",
            "done",
            vec![wave("canary", "passed", 1, 1), wave("rest", "passed", 19, 19)],
        ),
        lane("dc4", "pending", vec![wave("canary", "pending", 1, 0)]),
    ];
    Rollout {
        waiting: vec!["approve: go in frankfurt (1 of 2)".into()],
        failures: vec![HostFailure {
            host: "web-3".into(),
            datacenter: "dc1".into(),
            phase: "install".into(),
            attempt: 2,
            result: "failed".into(),
            exit_code: Some(1),
            message: "unpack failed".into(),
            tail: "one\n\ntwo\nthree\nfour\nfive\n\x1b[31msix\n".into(),
            ..HostFailure::default()
        }],
        ..rollout(RolloutState::Running, lanes)
    }
}

#[test]
fn a_rollout_in_full_motion() {
    insta::assert_snapshot!(shown(&tree(&busy(), 100, now())));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [20, 40, 60, 80] {
        for line in tree(&busy(), width, now()) {
            assert!(line.columns() <= width, "{width}: {}", line.text());
        }
    }
}

#[test]
fn a_rollout_that_went_back() {
    let canary = Wave {
        rolled_back: 1,
        debt: 1,
        gates: vec![gate("health", "health", "failed", "1 of 2 hosts answer 500")],
        ..wave("canary", "rolled back", 2, 0)
    };
    let lost = HostFailure {
        host: "web-9".into(),
        datacenter: "dc1".into(),
        phase: "start".into(),
        attempt: 1,
        result: "timed_out".into(),
        signal: Some(9),
        ..HostFailure::default()
    };
    let rollout = Rollout {
        state_reason: "gate health failed in dc1/canary".into(),
        end_time: at(3_725),
        failures: vec![lost],
        ..rollout(
            RolloutState::RolledBack,
            vec![lane("dc1", "rolled back", vec![canary, wave("rest", "pending", 8, 0)])],
        )
    };
    insta::assert_snapshot!(shown(&tree(&rollout, 100, now())));
}

#[test]
fn a_rollout_that_has_not_begun_says_when_it_will() {
    let scheduled = Rollout {
        start_time: None,
        schedule_time: at(852),
        ..rollout(RolloutState::Scheduled, vec![])
    };
    insta::assert_snapshot!(shown(&tree(&scheduled, 100, now())), @"• r7  checkout 1.1.0  SCHEDULED  web@3  0/0 hosts  starts in 10m00s");
}
