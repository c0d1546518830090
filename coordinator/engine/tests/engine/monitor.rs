//! Which monitors are owed while a rollout by another playbook comes nearer: what is kept of it must be what the state gives,
//! which `world.rs` asks after every event.

use echelon_engine::{command::Command, effect::Key, rollout::Status};
use echelon_proto::Span;

use crate::world::World;

const MONITORED: &str = include_str!("../scenarios/monitored.yaml");
const PLAIN: &str = include_str!("../scenarios/rolling.yaml");

fn monitors(world: &World) -> usize {
    let keys = world.engine.owed().keys();
    keys.filter(|key| matches!(key, Key::Monitor(..))).count()
}

#[test]
fn a_wave_that_opens_changes_which_monitors_are_owed_of_hosts_that_it_has_yet_to_touch() {
    let mut world = World::new();
    for host in ["a1", "a2", "a3", "a4"] {
        world.host("dc1", host);
    }
    world.release("1.0");
    world.release("1.1");
    world.playbook(MONITORED, &[]);
    world.playbook(PLAIN, &[]);
    for (release, playbook) in [("1.0", "monitored"), ("1.1", "rolling")] {
        let start = world.start(release, playbook);
        world.command("alice", Command::StartRollout(start)).unwrap();
        if playbook == "rolling" {
            // The canary has a phase on it; the others stand as they stood, and so do their monitors.
            assert_eq!(monitors(&world), 3);
        }
        for _ in 0..6 {
            world.obey();
            world.probe(None, true);
            world.pass(Span::secs(70));
        }
        let over = world
            .engine
            .state()
            .rollouts
            .values()
            .all(|rollout| matches!(rollout.status, Status::Ended(_)));
        assert!(over, "{playbook} does not come to its end");
    }
    assert_eq!(monitors(&world), 0, "the playbook of the second has none");
}
