//! Word that comes too late: of a phase that was called lost, when a clock was put forward or the host was slow.

use echelon_engine::{
    Event,
    command::{Command, Verb, What},
    effect::Order,
    event::{PhaseResult, Report},
    host::Serving,
};
use echelon_proto::{RolloutId, Span};

use crate::world::{World, name};

const PLAYBOOK: &str = include_str!("../scenarios/holding.yaml");

fn stands(world: &World) -> (String, Option<String>) {
    let host = world
        .engine
        .state()
        .hosts
        .get(&name::<echelon_proto::HostId>("a1"))
        .unwrap();
    let standing = &host.standings[&name::<echelon_proto::App>("web")];
    (
        standing.state.to_string(),
        standing.release.as_ref().map(ToString::to_string),
    )
}

/// A world in which the first order of a host was called lost, and that order.
fn lost() -> (World, Order) {
    let mut world = World::new();
    world.host("dc1", "a1");
    world.release("1.0");
    world.playbook(PLAYBOOK, &[]);
    let start = world.start("1.0", "holding");
    world.command("alice", Command::StartRollout(start)).unwrap();
    let order = world.orders().first().cloned().unwrap();
    assert_eq!(order.fence.phase.as_str(), "install");
    world.pass(Span::secs(300));
    assert!(
        world.orders().iter().all(|other| other.fence != order.fence),
        "it is not called lost"
    );
    (world, order)
}

/// Seed 561 of the real stack at 8 hosts: the host counted as out of service by the agent's word, and what else stood there
/// was taken out in earnest while another host was.
#[test]
fn a_first_installation_that_failed_takes_nothing_from_its_host_when_the_agent_tells_of_it() {
    let mut world = World::new();
    world.host("dc1", "a1");
    world.release("1.0");
    world.playbook(PLAYBOOK, &[]);
    let start = world.start("1.0", "holding");
    world.command("alice", Command::StartRollout(start)).unwrap();
    let order = world.orders().first().cloned().unwrap();
    world.report(&order, PhaseResult::Failed, Some(1));
    let traffic = |world: &World| {
        let host = world.engine.state().hosts.get(&order.fence.host).unwrap();
        host.standings[&order.app].traffic
    };
    assert_eq!(traffic(&world), Serving::Absent);
    for _ in 0..2 {
        world.detach("a1");
        world.attach("a1");
        assert_eq!(traffic(&world), Serving::Absent);
    }
}

/// Seeds 48517 and 68387 at 8 hosts: twice the clock was put forward, and the host was never asked again.
#[test]
fn it_is_believed_though_the_attempt_after_it_was_called_lost_too() {
    let (mut world, order) = lost();
    let retry = world.act(Verb::Retry, "r1");
    world.command("alice", Command::Act(retry)).unwrap();
    let next = world.orders().first().cloned().unwrap();
    assert_eq!((next.fence.phase.as_str(), next.fence.attempt), ("install", 2));
    world.pass(Span::secs(300));
    world.report(&order, PhaseResult::Done, Some(0));
    assert_eq!(stands(&world), ("installed".to_owned(), Some("1.0".to_owned())));
    world.check_replay();
}

/// Seed 349454 at 8 hosts: the rollout was forgotten meanwhile.
#[test]
fn it_is_believed_though_many_rollouts_have_ended_since() {
    let (mut world, order) = lost();
    let abort = world.act(Verb::Abort, "r1");
    world.command("alice", Command::Act(abort)).unwrap();
    world.host("dc1", "a2");
    for number in 2..12 {
        let mut start = world.start("1.0", "holding");
        if let What::Request(request) = &mut start.what {
            request.hosts = vec![name("a2")];
            request.operation = Some(name(if number == 2 { "deploy" } else { "restart" }));
        }
        world.command("alice", Command::StartRollout(start)).unwrap();
        world.obey();
        world.probe(None, true);
        world.pass(Span::secs(600));
    }
    let known = |world: &World, id| world.engine.state().rollouts.get(&name::<RolloutId>(id)).is_some();
    assert!(known(&world, "r1") && !known(&world, "r2"));
    world.report(&order, PhaseResult::Done, Some(0));
    assert_eq!(stands(&world), ("installed".to_owned(), Some("1.0".to_owned())));
    world.check_replay();
}

/// Seed 60 at 8 hosts: the coordinator never asked again, for nothing of this app was owed.
#[test]
fn it_is_believed_though_another_apps_phase_runs_on_the_host_by_now() {
    let (mut world, order) = lost();
    world.release_of("api", "1.0");
    let mut start = world.start("1.0", "holding");
    if let What::Request(request) = &mut start.what {
        request.app = name("api");
    }
    world.command("alice", Command::StartRollout(start)).unwrap();
    let other = world.orders().first().cloned().unwrap();
    assert_eq!(other.app.as_str(), "api");
    world.report(&order, PhaseResult::Done, Some(0));
    assert_eq!(stands(&world), ("installed".to_owned(), Some("1.0".to_owned())));
    assert_eq!(
        world.orders().first().map(|order| &order.fence),
        Some(&other.fence),
        "that goes on"
    );
    world.obey();
    world.check_replay();
}

/// Seeds 18905 and 24850 at 8 hosts.
#[test]
fn it_is_believed_though_the_agent_has_attached_since_and_knew_nothing_of_it_yet() {
    let (mut world, order) = lost();
    world.detach("a1");
    world.attach("a1");
    world.report(&order, PhaseResult::Done, Some(0));
    assert_eq!(stands(&world), ("installed".to_owned(), Some("1.0".to_owned())));
    world.check_replay();
}

/// Seed 2681 at 8 hosts: of a phase that was called lost nobody heard again.
#[test]
fn a_host_that_refuses_its_first_order_goes_back_to_where_it_stood_in_truth() {
    let (mut world, order) = lost();
    world.ledgers.insert(
        order.fence.host.clone(),
        [(order.app.clone(), order.after.clone())].into(),
    );
    world.release("1.1");
    let abort = world.act(Verb::Abort, "r1");
    world.command("alice", Command::Act(abort)).unwrap();
    let start = world.start("1.1", "holding");
    world.command("alice", Command::StartRollout(start)).unwrap();
    let next = world.orders().first().cloned().unwrap();
    assert_eq!((next.fence.rollout.as_str(), next.from.as_str()), ("r2", "absent"));
    let refused = Report {
        fence: next.fence.clone(),
        result: PhaseResult::Refused,
        exit_code: None,
        signal: None,
        message: "web stands in state installed on this host".into(),
        tail: String::new(),
        leftovers: Vec::new(),
        standing: Some(order.after.clone()),
    };
    world.event(Event::HostReported(refused)).unwrap();
    let rollout = &world.engine.state().rollouts[&next.fence.rollout];
    let origin = &rollout
        .runs
        .get(&next.fence.host)
        .unwrap()
        .touched
        .as_ref()
        .unwrap()
        .origin;
    assert_eq!(
        (&origin.state, &origin.release),
        (&order.after.state, &order.after.release)
    );
    world.check_replay();
}

#[test]
fn a_host_is_believed_where_it_stands_when_what_was_called_lost_is_heard_of_after_all() {
    let (mut world, order) = lost();
    assert_eq!(stands(&world), ("absent".to_owned(), None));
    world.report(&order, PhaseResult::Done, Some(0));
    assert_eq!(stands(&world), ("installed".to_owned(), Some("1.0".to_owned())));
    let host = world.engine.state().hosts.get(&order.fence.host);
    let standing = host.and_then(|host| host.standings.get(&order.app)).cloned();
    let again = Report {
        fence: order.fence,
        result: PhaseResult::Done,
        exit_code: None,
        signal: None,
        message: String::new(),
        tail: String::new(),
        leftovers: Vec::new(),
        standing,
    };
    let decision = world.event(Event::HostReported(again)).unwrap();
    assert!(decision.records.is_empty(), "the same word again counted");
    world.check_replay();
}
