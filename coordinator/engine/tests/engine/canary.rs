//! Canary gates from the outside: who is compared, when a look is the last word, and what it leads to.

use std::collections::BTreeSet;

use echelon_engine::{
    Event,
    effect::{Comparison, Effect},
    gate::canary::{Look, Says},
    outcome::Outcome,
    record::Verdict,
    rollout::{HoldKind, Rollout, Status},
};
use echelon_proto::{GateName, HostId, RolloutId, Span, Time};

use crate::world::{World, name};

const PLAYBOOK: &str = include_str!("../scenarios/rolling.yaml");

fn playbook(rules: &str, waves: &str) -> String {
    let gate = format!(
        "gates:\n  compare: {{ kind: canary, source: prom, label: instance, host: \"${{{{ host.name }}}}:9\", every: 1m, before: \
         10m, warm_up: 1m, for: 10m, match: [labels.size], metrics: {{ cpu: {{ kind: gauge, query: cpu }} }}{rules} }}\n"
    );
    let (before, rest) = PLAYBOOK.split_once("gates:\n").unwrap();
    let (_, after) = rest.split_once("lanes:").unwrap();
    let (head, tail) = after.split_once("      waves:\n").unwrap();
    let (_, tail) = tail
        .split_once("      max_unavailable: 1\n      max_parallel: 2\n")
        .unwrap();
    format!("{before}{gate}lanes:{head}      waves: {waves}\n      max_unavailable: 50\n      max_parallel: 50\n{tail}")
}

const WAVES: &str = "[{ name: few, size: 6, gates: [compare] }, { name: all, size: 100% }]";

/// Twenty hosts on 1.0, and a rollout of 1.1 whose first wave has rolled.
fn world(rules: &str) -> World {
    let mut world = World::new();
    for host in 0..20 {
        let size = if host % 2 == 0 { "large" } else { "small" };
        world.host_with("dc1", &format!("h{host:02}"), "front", &[("size", size)]);
    }
    for release in ["1.0", "1.1"] {
        world.release(release);
    }
    world.playbook(&playbook("", "[{ name: all, size: 100% }]"), &[]);
    world
        .command(
            "root",
            echelon_engine::command::Command::StartRollout(world.start("1.0", "rolling")),
        )
        .unwrap();
    world.obey();
    world.playbook(&playbook(rules, WAVES).replace("version: 1\n", "version: 2\n"), &[]);
    world
        .command(
            "root",
            echelon_engine::command::Command::StartRollout(world.start("1.1", "rolling")),
        )
        .unwrap();
    world.obey();
    world
}

fn rollout(world: &World) -> Rollout {
    world
        .engine
        .state()
        .rollouts
        .get(&name::<RolloutId>("r2"))
        .unwrap()
        .clone()
}

fn owed(world: &World) -> Option<Comparison> {
    world.engine.owed().values().find_map(|effect| match effect.as_ref() {
        Effect::Canary(owed) => Some(owed.clone()),
        Effect::Order(_) | Effect::Watch(_) | Effect::Notify(_) => None,
    })
}

/// The judge looks at the end of this minute of its window.
fn look(world: &mut World, minute: u64, says: Says) {
    let owed = owed(world).expect("it is asked");
    let upto = owed.since + Span::secs(60 * minute);
    world.pass(upto.since(world.now));
    looked(world, &owed, owed.since, upto, says);
}

fn looked(world: &mut World, owed: &Comparison, since: Time, upto: Time, says: Says) {
    world
        .event(Event::CanaryLooked {
            rollout: owed.rollout.clone(),
            datacenter: owed.datacenter.clone(),
            gate: owed.gate.clone(),
            since,
            look: Look {
                upto,
                says,
                evidence: "cpu: as it was made".into(),
            },
        })
        .unwrap();
}

fn verdict(world: &World) -> Option<Verdict> {
    rollout(world).decisions.last().map(|decision| decision.verdict)
}

#[test]
fn hosts_are_compared_with_hosts_of_their_kind_that_the_release_has_not_reached() {
    let world = world("");
    let owed = owed(&world).expect("the first wave has rolled");
    let rollout = rollout(&world);
    let planned = &rollout.plan.lanes[0].waves;
    let wave: BTreeSet<&HostId> = planned[0].hosts.iter().map(|host| &host.host).collect();
    assert_eq!(owed.treated.values().collect::<BTreeSet<_>>(), wave);
    assert_eq!((owed.treated.len(), owed.control.len()), (6, 14));
    assert!(owed.control.values().all(|host| !wave.contains(host)), "untouched");
    assert!(owed.control.contains_key("h19:9"), "as the source calls it: {owed:?}");
    assert_eq!(owed.since, rollout.lanes[0].waves[0].rolled.unwrap() + Span::secs(60));
    assert_eq!(owed.metrics, 1);
    assert!(planned[1].arms.is_empty());
    world.check_replay();
}

#[test]
fn a_kind_weighs_the_same_in_both_arms_and_one_that_is_all_gone_is_in_none() {
    let mut world = World::new();
    // Of the first six, four are large; then two large ones are left, and ten small ones. No other is blue.
    let sizes = ["large", "large", "large", "large", "small", "blue", "large", "large"];
    for host in 0..18 {
        let size = sizes.get(host).copied().unwrap_or("small");
        world.host_with("dc1", &format!("h{host:02}"), "front", &[("size", size)]);
    }
    world.release("1.0");
    world.playbook(&playbook("", WAVES), &[]);
    let request = world.request("1.0", "rolling");
    let plan = echelon_engine::plan::make(world.engine.state(), &request, &name("root"), Time(5_000_000)).unwrap();
    let arms = plan.lanes[0].waves[0].arms.values().next().unwrap();
    let names = |hosts: &[HostId]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&arms.canary), ["h00", "h01", "h02", "h03", "h04"], "no blue one");
    // Two large ones to four: half as many, and of the one small one at least one.
    assert_eq!(names(&arms.control), ["h06", "h07", "h08"]);
}

#[test]
fn harm_fails_it_at_once_and_only_the_wave_goes_back() {
    let mut world = world(", on_fail: rollback");
    look(&mut world, 1, Says::Fail);
    assert_eq!(verdict(&world), Some(Verdict::Fail));
    assert!(owed(&world).is_none(), "it is decided");
    world.obey();
    let rollout = rollout(&world);
    assert_eq!(rollout.status, Status::Ended(Outcome::RolledBack), "{}", rollout.ending);
    assert_eq!(rollout.touched, 6);
    world.check_replay();
}

#[test]
fn a_pass_opens_the_next_wave_before_the_window_is_over() {
    let mut world = world("");
    look(&mut world, 5, Says::Inconclusive);
    assert_eq!(verdict(&world), None, "doubt waits for the end");
    look(&mut world, 6, Says::Pass);
    assert_eq!(verdict(&world), Some(Verdict::Pass));
    world.obey();
    assert_eq!(rollout(&world).touched, 20);
}

#[test]
fn each_doubt_has_its_rule_at_the_end_of_the_window() {
    for (says, verdict_is, rules) in [
        (Says::Inconclusive, Verdict::Inconclusive, ", on_inconclusive: rollback"),
        (Says::NoData, Verdict::NoData, ", on_no_data: rollback"),
    ] {
        let mut world = world(rules);
        look(&mut world, 9, says);
        assert_eq!(verdict(&world), None);
        look(&mut world, 10, says);
        assert_eq!(verdict(&world), Some(verdict_is));
        world.obey();
        assert_eq!(rollout(&world).status, Status::Ended(Outcome::RolledBack));
    }
    let mut world = world("");
    look(&mut world, 10, Says::NoData);
    assert_eq!(
        rollout(&world).hold.map(|hold| hold.kind),
        Some(HoldKind::Gate),
        "no data is never good"
    );
}

#[test]
fn doubt_prolongs_the_window_as_often_as_it_may_and_then_expires() {
    let mut world = world(", extend: 2, on_inconclusive: extend, on_expire: abort, on_no_data: rollback");
    for minute in [10, 20, 29] {
        look(&mut world, minute, Says::Inconclusive);
        assert_eq!(verdict(&world), None, "{minute}");
    }
    look(&mut world, 30, Says::Inconclusive);
    let rollout = rollout(&world);
    let decision = rollout.decisions.last().unwrap();
    assert_eq!(decision.verdict, Verdict::Inconclusive);
    assert_eq!(decision.rule, Some(echelon_playbooks::model::Rule::Abort), "on_expire");
}

#[test]
fn a_judge_that_says_nothing_leaves_the_gate_expired() {
    let mut world = world("");
    world.pass(Span::secs(60 * 60));
    assert_eq!(verdict(&world), Some(Verdict::Expired));
    assert!(rollout(&world).hold.is_some());
}

#[test]
fn a_look_for_another_window_or_after_the_end_changes_nothing() {
    let mut world = world("");
    let owed = owed(&world).unwrap();
    let etag = rollout(&world).etag;
    looked(
        &mut world,
        &owed,
        Time(owed.since.0 - 1),
        owed.since + Span::secs(60),
        Says::Pass,
    );
    assert_eq!(rollout(&world).etag, etag);
    look(&mut world, 2, Says::Pass);
    let etag = rollout(&world).etag;
    looked(&mut world, &owed, owed.since, owed.since + Span::secs(180), Says::Fail);
    assert_eq!(rollout(&world).etag, etag);
}

#[test]
fn a_restart_owes_the_same_comparison_again_and_keeps_the_look() {
    let mut world = world("");
    look(&mut world, 3, Says::Inconclusive);
    let before = owed(&world).unwrap();
    world.restart();
    assert_eq!(owed(&world), Some(before));
    let gate = &rollout(&world).lanes[0].waves[0].gates[&name::<GateName>("compare")];
    assert_eq!(gate.look.as_ref().map(|look| look.says), Some(Says::Inconclusive));
}

#[test]
fn a_wave_with_nobody_to_compare_with_has_no_data_at_once() {
    let mut world = World::new();
    for host in 0..4 {
        world.host("dc1", &format!("h{host}"));
    }
    world.release("1.0");
    world.playbook(&playbook("", WAVES), &[]);
    world
        .command(
            "root",
            echelon_engine::command::Command::StartRollout(world.start("1.0", "rolling")),
        )
        .unwrap();
    world.obey();
    let rollout = world.engine.state().rollouts.get(&name::<RolloutId>("r1")).unwrap();
    let decision = rollout.decisions.last().unwrap();
    assert_eq!(decision.verdict, Verdict::NoData);
    assert!(
        rollout.hold.is_some() && decision.evidence.contains("no host is left"),
        "{}",
        decision.evidence
    );
}

#[test]
fn a_gate_of_bounds_and_forecasts_alone_judges_the_last_wave_with_nobody_to_compare_with() {
    let own = |gate: &str| {
        let (before, after) = gate
            .split_once("metrics: { cpu: { kind: gauge, query: cpu } }")
            .unwrap();
        let metrics = "metrics: { cpu: { kind: guard, query: cpu, above: 1 }, orders: { kind: forecast, query: orders, past: 1d } }";
        format!("{before}{metrics}{after}")
    };
    let mut world = World::new();
    for host in 0..4 {
        world.host("dc1", &format!("h{host}"));
    }
    world.release("1.0");
    world.playbook(
        &own(&playbook("", "[{ name: all, size: 100%, gates: [compare] }]")),
        &[],
    );
    let start = world.start("1.0", "rolling");
    world
        .command("root", echelon_engine::command::Command::StartRollout(start))
        .unwrap();
    world.obey();
    let asked = owed(&world).expect("its wave has rolled");
    assert_eq!((asked.treated.len(), asked.control.len()), (4, 0));
    assert_eq!(
        asked.metrics, 1,
        "a bound takes no part of what may be falsely called harm"
    );
    look(&mut world, 6, Says::Pass);
    world.obey();
    let rollout = world.engine.state().rollouts.get(&name::<RolloutId>("r1")).unwrap();
    assert_eq!(rollout.status, Status::Ended(Outcome::Succeeded), "{}", rollout.ending);
    world.check_replay();
}
