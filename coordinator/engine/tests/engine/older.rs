//! What an older coordinator wrote, before it was kept what should stand where, is still read.

use echelon_engine::{Record, State, drift, plan::Plan};
use echelon_proto::Span;
use serde_json::Value;

use crate::world::World;

fn rolled() -> World {
    let mut world = World::new();
    world.host("dc1", "a1");
    world.release("1.0");
    let text = include_str!("../scenarios/rolling.yaml");
    world.playbook(text, &[]);
    let start = world.start("1.0", "rolling");
    world
        .command("root", echelon_engine::command::Command::StartRollout(start))
        .unwrap();
    for _ in 0..5 {
        world.obey();
        world.probe(None, true);
        world.pass(Span::secs(60));
    }
    world
}

fn verdicts(state: &State) -> Vec<&'static str> {
    let rows = drift::rows(state, &drift::Filter::default());
    rows.iter().map(|row| row.verdict.name()).collect()
}

#[test]
fn a_snapshot_from_before_desire_was_kept_desires_nothing() {
    let world = rolled();
    assert_eq!(verdicts(world.engine.state()), ["in_line"]);
    let mut snapshot = serde_json::to_value(world.engine.state()).unwrap();
    assert!(snapshot.as_object_mut().unwrap().remove("desired").is_some());
    let older: State = serde_json::from_value(snapshot).unwrap();
    assert_eq!(verdicts(&older), ["unexpected"]);
}

#[test]
fn a_journal_from_before_hosts_could_be_named_replays_to_the_same_plans() {
    let world = rolled();
    let mut plans = 0;
    for (_, record) in &world.journal {
        let mut text = serde_json::to_value(record).unwrap();
        if let Some(replan) = text
            .pointer_mut("/rollout_created/replan")
            .and_then(Value::as_object_mut)
        {
            assert!(replan.remove("hosts").is_some());
        }
        let older: Record = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(older, *record);
        if let Some(body) = text.pointer("/plan_made/plan/body") {
            assert_eq!(
                body.get("hosts"),
                None,
                "the fingerprint of a plan over all hosts is what it was"
            );
            let plan: Plan = serde_json::from_value(text.pointer("/plan_made/plan").unwrap().clone()).unwrap();
            assert_eq!(plan.request().hosts, []);
            plans += 1;
        }
    }
    assert_eq!(plans, 1);
}
