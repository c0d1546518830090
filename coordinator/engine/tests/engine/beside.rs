//! Rollouts beside each other: what one of them is done with is there for the others, and stays known long enough.

use echelon_engine::{
    command::{Command, PlanRequest, Start, Verb, What},
    event::PhaseResult,
};
use echelon_proto::{RolloutId, Span};

use crate::world::{World, name};

const ROLLING: &str = include_str!("../scenarios/rolling.yaml");

/// Two hosts of one pool, of which so many may be out, and two apps.
fn world(max_unavailable: &str) -> World {
    let mut world = World::new();
    world.host("dc1", "a1");
    world.host("dc1", "a2");
    world.release("1.0");
    world.release_of("api", "1.0");
    let limit = format!("max_unavailable: {max_unavailable}");
    let text = ROLLING.replace("gates: [health]", "gates: []");
    world.playbook(&text.replace("max_unavailable: 1", &limit), &[]);
    world
}

fn start(world: &mut World, app: &str, host: &str, operation: Option<&str>) {
    let request = PlanRequest {
        app: name(app),
        operation: operation.map(name),
        hosts: vec![name(host)],
        ..world.request("1.0", "rolling")
    };
    let start = Start {
        what: What::Request(request),
        ..world.start("1.0", "rolling")
    };
    world.command("alice", Command::StartRollout(start)).unwrap();
}

fn act(world: &mut World, verb: Verb, rollout: &str) {
    let act = world.act(verb, rollout);
    world.command("alice", Command::Act(act)).unwrap();
}

/// The rollout and phase that are owed to a host.
fn owed(world: &World, host: &str) -> Option<(String, String)> {
    let orders = world.orders();
    let order = orders.iter().find(|order| order.fence.host.as_str() == host)?;
    Some((order.fence.rollout.to_string(), order.fence.phase.to_string()))
}

fn report(world: &mut World, host: &str) {
    let orders = world.orders();
    let order = orders.iter().find(|order| order.fence.host.as_str() == host).unwrap();
    world.report(order, PhaseResult::Done, Some(0));
}

/// Seeds 18294 and 20506 at 8 hosts: nobody looked until something else happened.
#[test]
fn a_host_that_is_emptied_gives_its_place_to_a_rollout_that_waits() {
    let mut world = world("1");
    start(&mut world, "api", "a1", None);
    start(&mut world, "web", "a2", None);
    world.obey();
    world.pass(Span::secs(600));
    start(&mut world, "api", "a1", Some("remove"));
    act(&mut world, Verb::Abort, "r3");
    report(&mut world, "a1");
    assert_eq!(owed(&world, "a1"), None, "it was aborted");
    start(&mut world, "web", "a2", Some("restart"));
    assert_eq!(owed(&world, "a2"), None, "a1 is out of service, and one may be");
    start(&mut world, "api", "a1", Some("remove"));
    while owed(&world, "a1").is_some() {
        report(&mut world, "a1");
    }
    let next = Some(("r4".to_owned(), "stop".to_owned()));
    assert_eq!(owed(&world, "a2"), next);
}

/// Seeds 14365 and 19966 at 8 hosts: the lowest number was forgotten, however long it had run.
#[test]
fn a_long_rollout_is_still_known_when_it_has_just_ended() {
    let mut world = world("100%");
    start(&mut world, "web", "a2", None);
    act(&mut world, Verb::Pause, "r1");
    for number in 2..12 {
        let operation = if number == 2 { "deploy" } else { "restart" };
        start(&mut world, "api", "a1", Some(operation));
        world.obey();
        world.pass(Span::secs(600));
    }
    act(&mut world, Verb::Abort, "r1");
    if owed(&world, "a2").is_some() {
        report(&mut world, "a2");
    }
    let rollouts = &world.engine.state().rollouts;
    assert!(
        rollouts
            .get(&name::<RolloutId>("r1"))
            .is_some_and(|r1| r1.status.is_over())
    );
    assert!(rollouts.get(&name::<RolloutId>("r2")).is_none(), "it ended longest ago");
}
