//! What people do with a host: the labels they give it (whose word goes over whose), and what they ask of it.

use std::collections::BTreeMap;

use echelon_engine::{Decision, Reason, Record, Refusal, command::Command, event::PhaseResult};
use echelon_proto::{HostId, Label};

use crate::world::{World, name};

fn label(world: &mut World, host: &str, labels: &[(&str, Option<&str>)]) -> Result<Decision, Refusal> {
    let labels = labels
        .iter()
        .map(|(key, value)| (name::<Label>(key), value.map(str::to_owned)));
    let command = Command::LabelHost {
        host: name(host),
        labels: labels.collect(),
    };
    world.command("root", command)
}

fn of<'a>(world: &'a World, host: &str, key: &str) -> Option<&'a str> {
    let host = &world.engine.state().hosts[&name::<HostId>(host)];
    host.labels.get(&name::<Label>(key)).map(String::as_str)
}

#[test]
fn a_label_goes_over_the_tokens_and_stays_when_the_host_comes_again() {
    let mut world = World::new();
    world.host("dc1", "h1");
    label(
        &mut world,
        "h1",
        &[("rack", Some("r7")), ("port", Some("81")), ("app", None)],
    )
    .unwrap();
    world.detach("h1");
    world.attach("h1");
    assert_eq!(
        (of(&world, "h1", "rack"), of(&world, "h1", "port")),
        (Some("r7"), Some("81"))
    );
    assert_eq!(
        of(&world, "h1", "app"),
        None,
        "what was taken away of the token's does not come back"
    );
    let again = label(&mut world, "h1", &[("rack", Some("r7")), ("none", None)]).unwrap();
    assert_eq!(again.records, [], "what changes nothing writes nothing");
}

#[test]
fn the_agents_config_goes_over_it_and_says_so() {
    let mut world = World::new();
    world.host("dc1", "h1");
    label(&mut world, "h1", &[("rack", Some("r7"))]).unwrap();
    world.attach_with("h1", BTreeMap::from([(name::<Label>("rack"), "own".to_owned())]));
    assert_eq!(of(&world, "h1", "rack"), Some("own"));
    let refused = label(&mut world, "h1", &[("rack", Some("r8"))]).unwrap_err();
    assert_eq!(refused.reason, Reason::WrongState);
    assert!(refused.text.contains("in its agent's config"), "{refused}");
    world.attach("h1");
    assert_eq!(of(&world, "h1", "rack"), Some("r7"), "the agent has it no longer");
}

#[test]
fn a_host_that_nobody_knows_and_too_many_labels_are_refused() {
    let mut world = World::new();
    world.host("dc1", "h1");
    let refused = label(&mut world, "h9", &[("rack", None)]).unwrap_err();
    assert_eq!(refused.reason, Reason::NotFound);
    let many: Vec<String> = (0..64).map(|n| format!("l{n}")).collect();
    let many: Vec<_> = many.iter().map(|key| (key.as_str(), Some("x"))).collect();
    let refused = label(&mut world, "h1", &many).unwrap_err();
    assert!(refused.text.contains("more than 64 labels"), "{refused}");
}

#[test]
fn nobody_is_labelled_in_the_middle_of_a_phase() {
    let mut world = World::new();
    world.host("dc1", "h1");
    world.release("1.0.0");
    world.playbook(include_str!("../scenarios/rolling.yaml"), &[]);
    let start = Command::StartRollout(world.start("1.0.0", "rolling"));
    world.command("root", start).unwrap();
    let order = world.orders().remove(0);
    let refused = label(&mut world, "h1", &[("port", Some("81"))]).unwrap_err();
    assert!(refused.text.contains("r1 works on host h1"), "{refused}");
    world.report(&order, PhaseResult::Done, Some(0));
    while let Some(order) = world.orders().first().cloned() {
        world.report(&order, PhaseResult::Done, Some(0));
    }
    label(&mut world, "h1", &[("port", Some("81"))]).unwrap();
    assert_eq!(of(&world, "h1", "port"), Some("81"));
    world.check_replay();
}

#[test]
fn a_host_that_comes_again_with_another_label_is_told_so_in_the_middle_of_a_phase() {
    let mut world = World::new();
    world.host("dc1", "h1");
    world.release("1.0.0");
    world.playbook(include_str!("../scenarios/rolling.yaml"), &[]);
    let start = Command::StartRollout(world.start("1.0.0", "rolling"));
    world.command("root", start).unwrap();
    let install = world.orders().remove(0);
    world.report(&install, PhaseResult::Done, Some(0));
    let before = world.orders().remove(0);
    world.attach_with("h1", BTreeMap::from([(name::<Label>("port"), "81".to_owned())]));
    let now = world.orders().remove(0);
    assert_eq!(before.fence, now.fence, "it is the same attempt");
    assert_ne!(before, now);
    world.check_replay();
}

#[test]
fn what_is_asked_of_a_host_is_written_down_and_one_that_is_away_is_not_asked() {
    let mut world = World::new();
    world.host("dc1", "h1");
    let ask = |host: &str| Command::AskHost {
        host: name(host),
        what: "tail /var/log/web.log -n 10".into(),
    };
    let asked = world.command("dora", ask("h1")).unwrap();
    let expected = Record::HostAsked {
        host: name("h1"),
        what: "tail /var/log/web.log -n 10".into(),
        by: name("dora"),
    };
    assert_eq!(asked.records, [expected]);
    world.detach("h1");
    let away = world.command("dora", ask("h1")).unwrap_err();
    assert_eq!(away.reason, Reason::WrongState);
    assert!(away.text.contains("host h1 is not reachable since"), "{away}");
    assert_eq!(world.command("dora", ask("h9")).unwrap_err().reason, Reason::NotFound);
    world.check_replay();
}
