//! What can go wrong, by name. Each is counted where it strikes; a seed draws which of them it has at all, for troubles hide
//! one another. Deliberately no behaviour.

use std::{collections::BTreeMap, fmt};

use echelon_sim::Chance;

macro_rules! faults {
    ($($name:ident = $text:literal, $share:literal),+ $(,)?) => {
        /// Kinds of trouble.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $(#[doc = $text] $name),+
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// As it is counted.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }

            /// How often it strikes in a seed that has it: of a thousand troubles its weight, or of a thousand times that
            /// it could.
            const fn share(self) -> u32 {
                match self {
                    $(Self::$name => $share),+
                }
            }
        }
    };
}

faults! {
    CoordinatorKilled = "coordinator_killed", 100,
    CoordinatorPowerCut = "coordinator_power_cut", 80,
    JournalWriteFails = "journal_write_fails", 60,
    AgentKilled = "agent_killed", 150,
    HostReboots = "host_reboots", 70,
    LedgerDiskFull = "ledger_disk_full", 60,
    LedgerDiskSlow = "ledger_disk_slow", 60,
    Partition = "partition", 120,
    PartitionOneWay = "partition_one_way", 80,
    Hold = "hold", 80,
    Delay = "delay", 60,
    HostVanishes = "host_vanishes", 40,
    ProgramFails = "program_fails", 60,
    ProgramHangs = "program_hangs", 15,
    ProgramSlow = "program_slow", 60,
    ProbeFails = "probe_fails", 20,
    SaidTwice = "said_twice", 400,
    TwoPeople = "two_people", 250,
}

/// What strikes the world as a whole, from time to time.
pub(crate) const MISCHIEF: [Fault; 12] = [
    Fault::CoordinatorKilled,
    Fault::CoordinatorPowerCut,
    Fault::JournalWriteFails,
    Fault::AgentKilled,
    Fault::HostReboots,
    Fault::LedgerDiskFull,
    Fault::LedgerDiskSlow,
    Fault::Partition,
    Fault::PartitionOneWay,
    Fault::Hold,
    Fault::Delay,
    Fault::HostVanishes,
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of them a seed has.
#[derive(Debug, Default)]
pub(crate) struct Faults(BTreeMap<Fault, u32>);

impl Faults {
    /// Two of three, each in its own measure.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let mut drawn = BTreeMap::new();
        for fault in Fault::ALL {
            if chance.permille(650) {
                let times = *chance.one(&[1, 1, 2, 3]);
                drawn.insert(*fault, fault.share() * times / 2);
            }
        }
        Self(drawn)
    }

    /// No more.
    pub(crate) fn end(&mut self) {
        self.0.clear();
    }

    /// Whether it strikes, where it could.
    pub(crate) fn strikes(&self, fault: Fault, chance: &mut Chance) -> bool {
        self.0.get(&fault).is_some_and(|share| chance.permille(*share))
    }

    /// One that strikes the world now.
    pub(crate) fn mischief(&self, chance: &mut Chance) -> Option<Fault> {
        let weights = MISCHIEF.map(|fault| (self.0.get(&fault).copied().unwrap_or(0), fault));
        chance.weighted(&weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_seed_does_not_have_never_strikes() {
        let mut chance = Chance::new(1);
        let mut faults = Faults::draw(&mut chance);
        assert!((0..200).any(|_| faults.mischief(&mut chance).is_some()));
        faults.end();
        assert!((0..200).all(|_| faults.mischief(&mut chance).is_none()));
        assert!(!faults.strikes(Fault::SaidTwice, &mut chance));
    }
}
