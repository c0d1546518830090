//! The end of a seed: the world heals, people answer what they are asked, and then every rollout must reach an outcome and
//! every host must stand where the coordinator believes it to stand. Deliberately generous in time: what is looked for is
//! what never ends.

use echelon_engine::{
    command::{Act, Command, Verb},
    rollout::Status,
};
use echelon_proto::{RolloutId, Span};

use crate::{
    size::Size,
    story::{Held, must},
    world::{Happening, World},
};

/// Minutes after which people give up what does not move: the longest deadline of the playbooks is half an hour.
const PATIENCE: u32 = 60;
/// A big fleet takes longer, one host after the other: a minute more for each so many.
const HOSTS_A_MINUTE: u32 = 5;
/// A rollout may wait behind a few others: so many times the patience everything must have ended in.
const QUEUE: u32 = 12;
/// Minutes after which the longest program has been ended by its agent, also one that nobody waits for any more.
const PROGRAM: u32 = 4;

/// To the end.
pub(crate) fn heal(world: &mut World, until: Option<u64>) -> Held {
    mend(world)?;
    take_back(world)?;
    let patience = PATIENCE + u32::try_from(world.hosts.len()).unwrap_or(u32::MAX) / HOSTS_A_MINUTE;
    for minute in 0..patience * QUEUE {
        if world.center.process.is_some() && world.watch.state().active.is_empty() {
            return agree(world, until);
        }
        answer(world, minute, patience)?;
        if !pass(world, Span::secs(60), until)? {
            return Ok(());
        }
    }
    let stands: Vec<_> = world
        .watch
        .state()
        .active()
        .map(|rollout| format!("{} {:?}", rollout.id, rollout.status))
        .collect();
    must(stands.is_empty(), "13 liveness", || {
        let first = world.watch.state().active().next().map(|rollout| rollout.id.clone());
        let why = first.map(|id| {
            let process = world.center.process.as_ref();
            process.map(|p| echelon_engine::view::explain(p.driver.state(), &Default::default(), &id, p.driver.now()))
        });
        format!(
            "no outcome after {} healed minutes: {stands:?}: {why:?}",
            patience * QUEUE
        )
    })
}

/// All that is broken works, and nothing breaks any more.
fn mend(world: &mut World) -> Held {
    world.trouble.end();
    world.center.disk.fail_after(None);
    world.cut = Default::default();
    world.people.quiet();
    if world.center.process.is_none() {
        world.center_starts()?;
    }
    for host in 0..world.hosts.len() {
        world.hosts[host].disk_full = false;
        world.hosts[host].dies_at_save = None;
        world.foresee(Span(1), Happening::AgentStarts { host });
    }
    Ok(())
}

/// People take back what has not begun, but for so many of the oldest.
fn take_back(world: &mut World) -> Held {
    let state = world.watch.state();
    let waits = state.active().filter(|rollout| !rollout.status.has_begun());
    let kept = Size::of(world.hosts.len()).queued;
    let others: Vec<_> = waits.skip(kept).map(|rollout| rollout.id.clone()).collect();
    others
        .iter()
        .try_for_each(|rollout| say(world, Verb::Abort, rollout, "bob"))
}

fn pass(world: &mut World, span: Span, until: Option<u64>) -> Result<bool, crate::Violation> {
    let end = world.now + span;
    while world.now < end {
        if !world.happens(end, until)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// People answer.
fn answer(world: &mut World, minute: u32, patience: u32) -> Held {
    let active: Vec<(RolloutId, bool)> = world
        .watch
        .state()
        .active()
        .map(|rollout| (rollout.id.clone(), rollout.hold.is_some()))
        .collect();
    for (rollout, held) in active {
        if held {
            let back = minute > patience / 2 || world.chance.permille(500);
            say(world, if back { Verb::Rollback } else { Verb::Resume }, &rollout, "bob")?;
            // What cannot go back can only be left.
            if minute > patience {
                say(world, Verb::Abort, &rollout, "bob")?;
            }
        }
        if asks_people(world, &rollout) {
            say(world, Verb::Approve, &rollout, "bob")?;
            say(world, Verb::Approve, &rollout, "carol")?;
        }
        if minute % 10 == 9 && stands_still(world, &rollout) {
            say(
                world,
                if minute < patience { Verb::Retry } else { Verb::Abort },
                &rollout,
                "bob",
            )?;
        }
    }
    Ok(())
}

fn say(world: &mut World, verb: Verb, rollout: &RolloutId, by: &str) -> Held {
    let act = Act {
        verb,
        rollout: rollout.clone(),
        datacenter: None,
        host: None,
        reason: "healed".into(),
        etag: None,
        request_id: None,
    };
    // A refusal is an answer: most of what is said here is not asked for.
    world.ask(by, Command::Act(act)).map(drop)
}

/// A gate waits for them.
fn asks_people(world: &World, rollout: &RolloutId) -> bool {
    let lanes = world.watch.state().rollouts.get(rollout).map(|rollout| &rollout.lanes);
    let mut gates = lanes
        .into_iter()
        .flatten()
        .flat_map(|lane| lane.waves.get(lane.wave))
        .flat_map(|wave| wave.gates.values());
    gates.any(|gate| gate.asked.is_some() && gate.verdict.is_none())
}

fn stands_still(world: &World, rollout: &RolloutId) -> bool {
    let rollout = world.watch.state().rollouts.get(rollout);
    rollout.is_some_and(|rollout| {
        rollout.status == Status::Running && rollout.runs.values().all(|run| run.current.is_none())
    })
}

/// What the coordinator believes of each host is what its agent's ledger says.
fn agree(world: &mut World, until: Option<u64>) -> Held {
    let mut agreed = Ok(());
    for _ in 0..PROGRAM {
        if !pass(world, Span::secs(60), until)? {
            return Ok(());
        }
        let mut joined = world.hosts.iter().filter(|host| host.joined);
        agreed = joined.try_for_each(|host| world.watch.agrees(&host.id, &host.ledger));
        if agreed.is_ok() {
            break;
        }
    }
    agreed
}
