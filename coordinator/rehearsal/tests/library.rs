//! The shipped playbooks, each rehearsed: fresh hosts, serving ones, every operation, and days on which its last phase
//! fails. What their phases really do on a host is tried in the testbed.

use std::collections::BTreeMap;

use echelon_playbooks::{
    Given, LIBRARY, Playbook,
    model::{ReleaseGoal, Traffic},
    read_with,
};
use echelon_proto::{OperationName, ParamName, Span};
use echelon_rehearsal::{BEGIN, End, Fleet, MadeUp, Rehearsal, Script, app, rehearse};

/// Values for parameters that have no default.
fn params(name: &str) -> BTreeMap<ParamName, String> {
    let given = (name == "command").then(|| (ParamName::new("command").unwrap(), "true".to_owned()));
    given.into_iter().collect()
}

fn script(name: &str, text: &str, fresh: bool, datacenters: u32) -> Script {
    let given = Given {
        params: params(name),
        ..Given::default()
    };
    let checked = read_with(text, &given).unwrap_or_else(|faults| panic!("{}", faults.in_file(name)));
    Script {
        app: app(&checked.playbook),
        playbook: checked.playbook,
        text: text.into(),
        base: checked.base,
        params: given.params,
        release: "new".parse().unwrap(),
        operation: None,
        fleet: Fleet::MadeUp(MadeUp {
            fresh,
            datacenters: Some(datacenters),
            hosts: Some(16),
            ..MadeUp::default()
        }),
        fails: Vec::new(),
        slows: Vec::new(),
        begin: BEGIN,
        seed: 1,
        think: Span::secs(300),
    }
}

fn outcome(rehearsal: &Rehearsal) -> &str {
    match &rehearsal.end {
        End::Outcome(outcome) => outcome.name(),
        End::Waits(_) => "waits",
        End::Late => "late",
    }
}

#[test]
fn every_shipped_playbook_succeeds_on_fresh_hosts_and_on_serving_ones() {
    for (name, text) in LIBRARY {
        for fresh in [false, true] {
            let rehearsal = rehearse(&script(name, text, fresh, 2)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(outcome(&rehearsal), "succeeded", "{name}, fresh {fresh}");
            let done = |end: Option<&str>| end == Some("done");
            assert!(rehearsal.forecast.lanes.iter().all(|lane| done(lane.end)), "{name}");
        }
    }
}

#[test]
fn every_operation_of_a_shipped_playbook_comes_to_its_goal() {
    for (name, text) in LIBRARY {
        let operations: Vec<OperationName> = playbook(name, text).machine.operations.keys().cloned().collect();
        for operation in operations {
            let machine = playbook(name, text).machine;
            let goal = &machine.operations[&operation];
            // To take all hosts out of service is more than the floor of a pool allows: it would stand still there.
            if goal.to != machine.initial && machine.traffic(&goal.to) != Traffic::Full {
                continue;
            }
            let mut script = script(name, text, false, 2);
            script.operation = Some(operation.clone());
            let rehearsal = rehearse(&script).unwrap_or_else(|error| panic!("{name} {operation}: {error}"));
            assert_eq!(outcome(&rehearsal), "succeeded", "{name} {operation}");
            for host in rehearsal.state.hosts.values() {
                let standing = &host.standings[&script.app];
                assert_eq!(standing.state, goal.to, "{name} {operation} on {}", host.id);
                if goal.to == machine.initial {
                    continue;
                }
                let is_new = standing
                    .release
                    .as_ref()
                    .is_some_and(|release| release.as_str() == "new");
                assert_eq!(
                    is_new,
                    goal.release == ReleaseGoal::Target,
                    "{name} {operation} on {}",
                    host.id
                );
            }
        }
    }
}

#[test]
fn blue_and_green_take_no_host_out_of_service() {
    let (name, text) = LIBRARY.into_iter().find(|(name, _)| *name == "blue-green").unwrap();
    let rehearsal = rehearse(&script(name, text, false, 2)).unwrap();
    for pool in &rehearsal.forecast.pools {
        assert_eq!(pool.lowest, pool.hosts, "{pool:?}");
    }
}

#[test]
fn blue_and_green_go_back_the_same_way() {
    let (name, text) = LIBRARY.into_iter().find(|(name, _)| *name == "blue-green").unwrap();
    let mut script = script(name, text, false, 1);
    script.fails = vec!["dc1-01:gate".parse().unwrap()];
    let rehearsal = rehearse(&script).unwrap();
    assert_eq!(outcome(&rehearsal), "rolled_back");
    let phases = rehearsal.state.rollouts[&rehearsal.rollout].runs.values();
    let phases: Vec<_> = phases
        .flat_map(|run| run.timings.iter().map(|(phase, _)| phase.as_str()))
        .collect();
    let way = ["fetch", "place", "start-beside", "check-beside", "switch", "retire"];
    assert_eq!(phases, [way, way].concat(), "there and back");
    for pool in &rehearsal.forecast.pools {
        assert_eq!(pool.lowest, pool.hosts, "{pool:?}");
    }
}

fn playbook(name: &str, text: &str) -> Playbook {
    script(name, text, false, 1).playbook
}

#[test]
fn a_shipped_playbook_whose_last_phase_fails_goes_back_or_waits_as_it_says() {
    for (name, last, wanted) in [
        ("systemd-rolling", "check", "rolled_back"),
        ("process-rolling", "check", "rolled_back"),
        ("glu-default", "start", "rolled_back"),
        ("edge-dc", "take_is", "rolled_back"),
        ("tomcat-haproxy", "admit", "rolled_back"),
        ("canary-then-all", "check", "rolled_back"),
        ("blue-green", "retire", "rolled_back"),
        ("agent-upgrade", "probation", "rolled_back"),
        ("stateful-shards", "rejoin", "waits"),
        ("command", "command", "waits"),
    ] {
        let text = LIBRARY.iter().find(|(known, _)| *known == name).unwrap().1;
        // In one datacenter: another that had not failed would stop where it is.
        let mut script = script(name, text, false, 1);
        // As often as it is tried forward on the canary; on the way back it works.
        script.fails = vec![format!("*:{last}:2").parse().unwrap()];
        let rehearsal = rehearse(&script).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(outcome(&rehearsal), wanted, "{name}: {:?}", rehearsal.end);
        if wanted == "rolled_back" {
            let back = |host: &echelon_engine::host::Host| {
                host.standings[&script.app]
                    .release
                    .as_ref()
                    .is_some_and(|release| release.as_str() != "new")
            };
            assert!(rehearsal.state.hosts.values().all(back), "{name}");
        }
    }
}
