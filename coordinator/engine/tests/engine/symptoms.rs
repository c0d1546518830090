//! What hosts show while rollouts are at work, and who touched them: for whoever says which rollout is to blame.

use echelon_engine::{
    command::{Command, PlanRequest, Start, What},
    event::PhaseResult,
    view::{Symptoms, symptoms},
};
use echelon_proto::{HostId, RolloutId, Span, Time};

use crate::world::{World, name};

const MONITORED: &str = include_str!("../scenarios/monitored.yaml");
const ROLLING: &str = include_str!("../scenarios/rolling.yaml");

/// Four hosts on which `web` 1.0 stands, with a monitor.
fn world() -> World {
    let mut world = World::new();
    for host in ["h1", "h2", "h3", "h4"] {
        world.host("dc1", host);
    }
    world.host_with("dc1", "idle", "front", &[("app", "other")]);
    for release in ["1.0", "1.1"] {
        world.release(release);
    }
    world.release_of("cache", "7");
    let alone = ROLLING
        .replace("gates: [health]", "gates: []")
        .replace("then: quarantine", "then: hold");
    world.playbook(&MONITORED.replace("gates: [health]", "gates: []"), &[]);
    world.playbook(&alone, &[]);
    start(&mut world, "web", "1.0", "monitored");
    finish(&mut world);
    world.pass(Span::secs(7 * 3600));
    world
}

fn start(world: &mut World, app: &str, release: &str, playbook: &str) {
    let request = PlanRequest {
        app: name(app),
        ..world.request(release, playbook)
    };
    let start = Start {
        what: What::Request(request),
        ..world.start(release, playbook)
    };
    world.command("root", Command::StartRollout(start)).unwrap();
}

fn finish(world: &mut World) {
    for _ in 0..8 {
        world.obey();
        world.pass(Span::secs(70));
    }
    assert_eq!(world.engine.state().active().count(), 0, "it is over");
}

fn seen(world: &World) -> Symptoms {
    symptoms(world.engine.state(), world.now)
}

fn touched(seen: &Symptoms, rollout: &str) -> Vec<(String, Time)> {
    let hosts = seen.touched.get(&name::<RolloutId>(rollout)).into_iter().flatten();
    hosts.map(|(host, at)| (host.to_string(), *at)).collect()
}

#[test]
fn a_host_that_failed_is_a_fault_of_that_time_and_only_rollouts_of_late_are_asked_about() {
    let mut world = world();
    assert_eq!(
        seen(&world).touched.len(),
        0,
        "what ended seven hours ago is not asked about"
    );
    let began = world.now;
    start(&mut world, "cache", "7", "rolling");
    let order = world.orders().first().unwrap().clone();
    let first = order.fence.host.to_string();
    let before = seen(&world);
    assert_eq!(touched(&before, "r2"), [(first.clone(), began)]);
    assert_eq!(before.faults.len(), 0);
    let names: Vec<_> = before.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["h1", "h2", "h3", "h4"], "the idle one has nothing to show");
    world.pass(Span::secs(5));
    world.report(&order, PhaseResult::Failed, Some(1));
    let failed = world.now;
    // Its budget is passed: it goes back, and what had failed there stays known.
    world.obey();
    let faults: Vec<(HostId, Time)> = seen(&world).faults.into_iter().collect();
    assert_eq!(faults, [(name(&first), failed)]);
    world.check_replay();
}

#[test]
fn a_monitor_that_does_not_hold_is_a_fault_from_when_it_began_until_it_holds_again() {
    let mut world = world();
    start(&mut world, "web", "1.1", "monitored");
    world.obey();
    let began = touched(&seen(&world), "r2");
    let others = ["h1", "h2", "h3", "h4"].map(name::<HostId>);
    let ill = others
        .into_iter()
        .find(|host| began.iter().all(|(touched, _)| *touched != host.to_string()));
    let ill = ill.expect("the later wave has not begun");
    let since = world.now;
    world.probe(Some(ill.as_str()), false);
    world.pass(Span::secs(3));
    let times: Vec<_> = seen(&world).faults.into_iter().collect();
    assert!(times.contains(&(ill.clone(), since)), "{times:?}");
    assert!(times.iter().all(|(host, _)| *host == ill), "{times:?}");
    world.probe(Some(ill.as_str()), true);
    assert_eq!(seen(&world).faults.len(), 0);
}
