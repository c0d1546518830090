//! The world is healed: people answer what they are asked, so that every rollout can reach an outcome. Deliberately from
//! what the journal says: whom to ask is what `explain` would tell them.

use echelon_engine::rollout::Status;
use echelon_proto::RolloutId;

use super::{People, Verb, act_on};
use crate::world::{World, now};

/// Rounds after which they take back what does not move, and after which they leave it.
const PATIENCE: u32 = 60;

impl People {
    /// One round.
    pub(super) async fn answer(&mut self, round: u32) {
        for (rollout, verb) in self.wanted(round) {
            let request = act_on(&format!("apps/-/rollouts/{rollout}"), String::new());
            let answer = self.bob.act(verb, request.clone()).await;
            self.shared
                .lock()
                .happens(now(), || format!("bob answers {rollout} with {verb:?}: {answer:?}"));
            if verb == Verb::Approve {
                // Two persons: one of them has not started it.
                let answer = self.root.act(verb, request).await;
                self.shared
                    .lock()
                    .happens(now(), || format!("root answers {rollout}: {answer:?}"));
            }
        }
    }

    fn wanted(&self, round: u32) -> Vec<(RolloutId, Verb)> {
        let mut world = self.shared.lock();
        let coin = world.chance.permille(500);
        let mut wanted = Vec::new();
        for rollout in world.watch.state().active() {
            if rollout.hold.is_some() {
                let back = round > PATIENCE / 2 || coin;
                let verb = match (round > PATIENCE, back) {
                    (true, _) if coin => Verb::Abort,
                    (_, true) => Verb::Rollback,
                    (_, false) => Verb::Resume,
                };
                wanted.push((rollout.id.clone(), verb));
            }
            if asks_people(&world, &rollout.id) {
                wanted.push((rollout.id.clone(), Verb::Approve));
            }
            if round % 10 == 9 && stands_still(&world, &rollout.id) {
                let verb = if round < PATIENCE { Verb::Retry } else { Verb::Abort };
                wanted.push((rollout.id.clone(), verb));
            }
        }
        wanted
    }
}

/// A gate waits for them.
fn asks_people(world: &World, rollout: &RolloutId) -> bool {
    let lanes = world.watch.state().rollouts.get(rollout).map(|rollout| &rollout.lanes);
    let open = lanes.into_iter().flatten().flat_map(|lane| lane.waves.get(lane.wave));
    let mut gates = open.flat_map(|wave| wave.gates.values());
    gates.any(|gate| gate.asked.is_some() && gate.verdict.is_none())
}

fn stands_still(world: &World, rollout: &RolloutId) -> bool {
    let rollout = world.watch.state().rollouts.get(rollout);
    rollout.is_some_and(|rollout| {
        rollout.status == Status::Running && rollout.runs.values().all(|run| run.current.is_none())
    })
}
