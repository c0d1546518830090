//! The judge of canary gates, made up: it looks now and then at what is owed, and says what chance lets it say. Deliberately
//! no samples: what a look means is the engine's, and that is what is tried.

use std::sync::Arc;

use echelon_engine::{
    Event,
    effect::{Comparison, Effect, Key},
    gate::canary::{Look, Says},
};
use echelon_proto::{Span, Time};

use super::{Happening, World};
use crate::{center::To, fault::Fault, story::Held};

const SAYS: [(u32, Says); 4] = [
    (10, Says::Pass),
    (2, Says::Fail),
    (6, Says::Inconclusive),
    (3, Says::NoData),
];

impl World {
    /// A comparison is owed, or owed differently: it is looked at soon.
    pub(crate) fn compares(&mut self, of: Key, owed: &Comparison) {
        let wait = owed.since.since(self.now) + owed.canary.every;
        let wait = wait + self.span(0, 5000);
        let generation = self.center.generation;
        self.foresee(wait, Happening::Looks { generation, of });
    }

    pub(crate) fn looks(&mut self, generation: u64, of: Key) -> Held {
        let Some(process) = self
            .center
            .process
            .as_mut()
            .filter(|_| generation == self.center.generation)
        else {
            return Ok(());
        };
        let Some(Effect::Canary(owed)) = process.compared.get(&of).map(Arc::as_ref) else {
            return Ok(());
        };
        let (since, every, upto) = (owed.since, owed.canary.every, process.driver.now());
        let Key::Canary(rollout, datacenter, gate) = of.clone() else {
            return Ok(());
        };
        let late = self.trouble.strikes(Fault::LateLook, &mut self.chance);
        if late {
            self.story.fault(self.now, Fault::LateLook, &rollout);
        }
        let says = self.chance.weighted(&SAYS).unwrap_or(Says::NoData);
        let event = Event::CanaryLooked {
            rollout,
            datacenter,
            gate,
            // One that was made for another window counts for nothing, whatever it says.
            since: if late { Time(since.0.saturating_sub(1)) } else { since },
            look: Look {
                upto,
                says,
                evidence: String::new(),
            },
        };
        if let Some(process) = &mut self.center.process {
            process.inbox.push((event, To::Nobody));
        }
        self.turn_soon(Span(0));
        let again = every + self.span(0, 5000);
        self.foresee(again, Happening::Looks { generation, of });
        Ok(())
    }
}
