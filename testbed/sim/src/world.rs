//! The world: an agenda of what will happen, taken one thing at a time, each followed by the checks. Here is what moves
//! between the coordinator and its hosts; what goes wrong is `trouble`'s, what people wish `people`'s. Deliberately one
//! thread and no clock: the same seed gives the same run.

mod agents;
mod judge;
mod ring;

use std::collections::BTreeMap;

use echelon_coordinator::driver::Snapshot;
use echelon_engine::Config;
use echelon_proto::{Datacenter, Label, Span, Time};

use crate::{
    center::{Center, Item},
    chance::Chance,
    fault::Fault,
    heal,
    host::{Host, Key},
    net::{Net, Word},
    older::Older,
    people::People,
    story::{Held, Story, Violation},
    trouble::Trouble,
    watch::Watch,
};

/// Datacenters.
pub(crate) const DATACENTERS: [&str; 4] = ["dc1", "dc2", "dc3", "dc4"];
/// When the first thing happens: 22:13:20 in UTC, some minutes before the playbooks' window closes for the first time.
const BEGIN: Time = Time(1_700_000_000_000);
/// A world that does this much in one seed does not come to rest.
const EVENTS_MAX: u64 = 20_000_000;

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// What chance is drawn from.
    pub seed: u64,
    /// Hosts of the fleet, over four datacenters.
    pub hosts: usize,
    /// Whether its story is told, line by line.
    pub told: bool,
    /// Stop after so many events; `None`: at the end.
    pub until: Option<u64>,
}

/// How it went.
#[derive(Debug)]
pub struct Ran {
    /// Things that happened.
    pub events: u64,
    /// Troubles that struck.
    pub faults: BTreeMap<Fault, u64>,
    /// What of [`crate::TRANSITIONS`] was reached.
    pub reached: std::collections::BTreeSet<&'static str>,
    /// Of everything that happened in its order.
    pub hash: u64,
    /// Rollouts there were.
    pub rollouts: u64,
    /// What did not hold, if something did not.
    pub violation: Option<Violation>,
    /// The story, if it was to be told: event, time, what.
    pub lines: Vec<String>,
}

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// An agent's word arrives.
    Up {
        link: u64,
        word: Word,
    },
    /// The coordinator's word arrives: of its term, or what is owed.
    Down {
        link: u64,
        said: Said,
    },
    /// The coordinator takes what waits.
    Turn {
        generation: u64,
    },
    /// It starts.
    CenterStarts,
    /// A snapshot has been encoded.
    Encoded {
        generation: u64,
        snapshot: Box<Snapshot>,
    },
    /// Word to the outside has arrived there, or not.
    Notified {
        generation: u64,
        number: u64,
    },
    /// The coordinator notices that a connection is gone.
    Gone {
        link: u64,
    },
    /// The agent does.
    Lost {
        host: usize,
        link: u64,
    },
    AgentStarts {
        host: usize,
    },
    Connects {
        host: usize,
    },
    ProgramEnds {
        host: usize,
        key: Key,
    },
    Answers {
        host: usize,
        link: u64,
        watch: String,
    },
    /// The judge looks at what a canary gate compares.
    Looks {
        generation: u64,
        of: echelon_engine::effect::Key,
    },
    SaveAgain {
        host: usize,
    },
    DiskHasRoom {
        host: usize,
    },
    Joins {
        host: usize,
    },
    Rejoined {
        datacenter: usize,
    },
    Mischief,
    Wish,
}

/// What the coordinator says.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Welcome { term: u64 },
    Item(Item),
    Ack(u64),
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) now: Time,
    agenda: BTreeMap<(Time, u64), Happening>,
    foreseen: u64,
    pub(crate) center: Center,
    pub(crate) hosts: Vec<Host>,
    pub(crate) net: Net,
    pub(crate) cut: [bool; DATACENTERS.len()],
    pub(crate) people: People,
    pub(crate) trouble: Trouble,
    pub(crate) watch: Watch,
    pub(crate) story: Story,
}

/// Runs one seed to its end.
#[must_use]
pub fn run(setup: Setup) -> Ran {
    let mut world = World::new(setup);
    let held = world.live(setup.until);
    let rollouts = world.watch.state().rollouts_made;
    Ran {
        events: world.story.events,
        faults: world.story.faults.clone(),
        reached: world.story.reached.clone(),
        hash: world.story.hash(),
        rollouts,
        violation: held.err(),
        lines: world.story.into_lines(),
    }
}

/// How the ring lies on its disks after so many events of this seed, and how many hosts are worked on just then.
///
/// # Panics
/// Something did not hold before.
#[must_use]
pub fn leave(seed: u64, events: u64) -> (Older, usize) {
    let mut world = World::new(Setup {
        seed,
        hosts: Older::HOSTS,
        told: false,
        until: Some(events),
    });
    world.center.keep_all();
    world.live(Some(events)).expect("a seed in which everything holds");
    let hosts = world.watch.state().hosts.values();
    let working = hosts.filter(|host| host.busy.is_some()).count();
    (Older::on(world.now, &world.center.disk, &world.hosts), working)
}

impl World {
    fn new(setup: Setup) -> Self {
        let mut chance = Chance::new(setup.seed);
        let mut hosts: Vec<_> = (0..setup.hosts).map(|at| host(at, &mut chance)).collect();
        let config = Config {
            notify: chance.permille(300),
            rollouts_kept: 3,
            ..Config::default()
        };
        let center = Center::new(config, setup.hosts);
        let (mut watch, mut story) = (Watch::default(), Story::new(setup.told));
        let older = Older::of(setup.seed, setup.hosts);
        let now = older.as_ref().map_or(BEGIN, |older| older.at);
        if let Some(older) = &older {
            story.fault(now, Fault::OlderRing, older.last());
            older.write(&center.disk);
            older.furnish(&mut hosts);
            watch.comes_late(older);
        }
        Self {
            now,
            agenda: BTreeMap::new(),
            foreseen: 0,
            center,
            net: Net::default(),
            cut: [false; DATACENTERS.len()],
            people: People::default(),
            trouble: Trouble::draw(&mut chance, setup.hosts),
            watch,
            story,
            hosts,
            chance,
        }
    }

    fn live(&mut self, until: Option<u64>) -> Held {
        self.begin()?;
        let end = self.now + self.trouble.lasts;
        while self.now < end {
            if !self.happens(end, until)? {
                return Ok(());
            }
        }
        heal::heal(self, until)
    }

    /// The next thing happens, or time passes until `end`. `false`: enough events have happened.
    pub(crate) fn happens(&mut self, end: Time, until: Option<u64>) -> Result<bool, Violation> {
        let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= end) else {
            self.now = end;
            return Ok(true);
        };
        self.now = self.now.max(entry.key().0);
        let happening = entry.remove();
        self.story.event(self.now);
        if self.story.events >= until.unwrap_or(EVENTS_MAX) {
            if until.is_none() {
                return Err(Violation {
                    invariant: "13 liveness",
                    text: format!("{EVENTS_MAX} events and no end"),
                });
            }
            return Ok(false);
        }
        self.take(happening)?;
        Ok(true)
    }

    fn take(&mut self, happening: Happening) -> Held {
        match happening {
            Happening::Up { link, word } => self.heard(link, word),
            Happening::Down { link, said } => self.told(link, said),
            Happening::Turn { generation } => self.turn_due(generation),
            Happening::CenterStarts => self.center_starts(),
            Happening::Encoded { generation, snapshot } => self.encoded(generation, *snapshot),
            Happening::Notified { generation, number } => self.notified(generation, number),
            Happening::Gone { link } => self.gone(link),
            Happening::Lost { host, link } => self.lost(host, link),
            Happening::AgentStarts { host } => self.agent_starts(host),
            Happening::Connects { host } => self.connects(host),
            Happening::ProgramEnds { host, key } => self.program_ends(host, &key),
            Happening::Answers { host, link, watch } => self.answers(host, link, &watch),
            Happening::Looks { generation, of } => self.looks(generation, of),
            Happening::SaveAgain { host } => self.save_again(host),
            Happening::DiskHasRoom { host } => {
                self.hosts[host].disk_full = false;
                Ok(())
            }
            Happening::Joins { host } => self.joins(host),
            Happening::Rejoined { datacenter } => {
                self.cut[datacenter] = false;
                Ok(())
            }
            Happening::Mischief => self.mischief(),
            Happening::Wish => self.wish(),
        }
    }

    /// It will happen after so long.
    pub(crate) fn foresee(&mut self, after: Span, happening: Happening) {
        self.foresee_at(self.now + after, happening);
    }

    pub(crate) fn foresee_at(&mut self, at: Time, happening: Happening) {
        self.foreseen += 1;
        self.agenda.insert((at, self.foreseen), happening);
    }

    /// Some time from `from` to `to` milliseconds.
    pub(crate) fn span(&mut self, from: u64, to: u64) -> Span {
        Span(self.chance.between(from, to))
    }

    /// Whether the host's datacenter is cut off.
    pub(crate) fn is_cut(&self, host: usize) -> bool {
        self.cut[host % DATACENTERS.len()]
    }
}

fn host(at: usize, chance: &mut Chance) -> Host {
    let datacenter = DATACENTERS[at % DATACENTERS.len()];
    let number = at / DATACENTERS.len();
    let mut labels = vec![
        ("web", "yes"),
        ("role", if number.is_multiple_of(2) { "follower" } else { "leader" }),
    ];
    labels.push(("shard", ["s1", "s2", "s3"][number / 2 % 3]));
    if chance.permille(400) {
        labels.push(("api", "yes"));
    }
    let label = |(key, value): (&str, &str)| (name::<Label>(key), value.to_owned());
    Host {
        id: name(&format!("{datacenter}-{number:04}")),
        datacenter: name::<Datacenter>(datacenter),
        pool: name(if number % 3 == 2 { "back" } else { "front" }),
        labels: labels.into_iter().map(label).collect(),
        joined: false,
        agent: None,
        ledger: Default::default(),
        disk_full: false,
        link: None,
        programs: BTreeMap::new(),
        watches: BTreeMap::new(),
        ordered: Default::default(),
        dies_at_save: None,
    }
}

/// A name of this crate's own making.
pub(crate) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("names made up here are names")
}
