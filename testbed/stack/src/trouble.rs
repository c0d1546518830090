//! What goes wrong with the world as a whole, and how it comes right again: processes killed and started, links cut, held
//! and slow, disks that fail. Done between two ticks of turmoil, when no host runs. Deliberately nothing about programs:
//! those are `program`'s.

use std::{collections::BTreeMap, time::Duration};

use echelon_proto::Time;
use turmoil::Sim;

use crate::{
    center,
    fault::Fault,
    people,
    world::{Shared, World},
};

/// Longest that a message takes, when nothing is wrong.
pub(crate) const LATENCY: Duration = Duration::from_millis(40);

/// Something that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Mischief,
    CoordinatorStarts,
    AgentStarts(usize),
    LinkIsWhole(usize),
    DiskIsWell(usize),
}

/// What is wrong with a node's link to the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Whole,
    Cut,
    Held,
    Slow,
}

/// All that is wrong, and until when.
#[derive(Debug)]
pub(crate) struct Trouble {
    agenda: BTreeMap<(u64, u64), Due>,
    foreseen: u64,
    coordinator_down: bool,
    agents_down: Vec<bool>,
    /// Of each host, and last of the people's machine.
    links: Vec<Link>,
}

impl Trouble {
    pub(crate) fn new(hosts: usize) -> Self {
        Self {
            agenda: BTreeMap::new(),
            foreseen: 0,
            coordinator_down: false,
            agents_down: vec![false; hosts],
            links: vec![Link::Whole; hosts + 1],
        }
    }

    /// From now on things go wrong.
    pub(crate) fn begin(&mut self, world: &mut World, at: Time) {
        self.foresee(world, at, 500..8000, Due::Mischief);
    }

    fn foresee(&mut self, world: &mut World, at: Time, after: std::ops::Range<u64>, due: Due) {
        self.foreseen += 1;
        let at = at.0 + world.chance.between(after.start, after.end);
        self.agenda.insert((at, self.foreseen), due);
    }

    /// What is due by now happens.
    pub(crate) fn pass(&mut self, sim: &mut Sim<'_>, shared: &Shared, at: Time) {
        self.look(sim, shared, at);
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > at.0 {
                return;
            }
            match entry.remove() {
                Due::Mischief => {
                    let drawn = {
                        let mut world = shared.lock();
                        self.foresee(&mut world, at, 300..9000, Due::Mischief);
                        let World { faults, chance, .. } = &mut *world;
                        faults.mischief(chance)
                    };
                    if let Some(fault) = drawn {
                        self.strike(sim, shared, at, fault);
                    }
                }
                Due::CoordinatorStarts => self.coordinator_starts(sim, shared, at),
                Due::AgentStarts(host) => self.agent_starts(sim, shared, host),
                Due::LinkIsWhole(link) => self.mend(sim, shared, link),
                Due::DiskIsWell(host) => well(&shared.lock(), host),
            }
        }
    }

    /// A coordinator that has ended by itself is started again, as systemd does. What it wrote and could not sync is there
    /// then, or not.
    fn look(&mut self, sim: &mut Sim<'_>, shared: &Shared, at: Time) {
        let ended = std::mem::take(&mut shared.lock().coordinator_ended);
        if !ended || self.coordinator_down {
            return;
        }
        sim.crash(center::NAME);
        self.coordinator_down = true;
        let mut world = shared.lock();
        world.disk.fail_after(None);
        if world.chance.permille(500) {
            world.disk.lose_unflushed();
        }
        self.foresee(&mut world, at, 200..4000, Due::CoordinatorStarts);
    }

    fn strike(&mut self, sim: &mut Sim<'_>, shared: &Shared, at: Time, fault: Fault) {
        match fault {
            Fault::CoordinatorKilled | Fault::CoordinatorPowerCut => self.coordinator_dies(sim, shared, at, fault),
            Fault::JournalWriteFails => {
                let mut world = shared.lock();
                if !self.coordinator_down {
                    let writes = world.chance.between(0, 8);
                    world.disk.fail_after(Some(writes));
                    world.struck(at, fault, writes);
                }
            }
            Fault::AgentKilled | Fault::HostReboots => self.agent_dies(sim, shared, at, fault),
            Fault::LedgerDiskFull | Fault::LedgerDiskSlow => {
                let mut world = shared.lock();
                let hosts = world.hosts.len();
                let host = world.chance.below(hosts);
                let slow = Duration::from_millis(world.chance.between(50, 3000));
                if fault == Fault::LedgerDiskFull {
                    world.hosts[host].disk.set_full(true);
                } else {
                    world.hosts[host].disk.set_takes(slow);
                }
                let whom = world.hosts[host].id.clone();
                world.struck(at, fault, whom);
                self.foresee(&mut world, at, 500..12_000, Due::DiskIsWell(host));
            }
            Fault::Partition | Fault::PartitionOneWay | Fault::Hold | Fault::Delay | Fault::HostVanishes => {
                self.link_breaks(sim, shared, at, fault);
            }
            Fault::ProgramFails
            | Fault::ProgramHangs
            | Fault::ProgramSlow
            | Fault::ProbeFails
            | Fault::SaidTwice
            | Fault::TwoPeople => {}
        }
    }

    /// Killed, its peers hear at once that it is gone; without power they hear nothing.
    fn coordinator_dies(&mut self, sim: &mut Sim<'_>, shared: &Shared, at: Time, fault: Fault) {
        if self.coordinator_down {
            return;
        }
        if fault == Fault::CoordinatorPowerCut {
            for node in nodes(shared) {
                sim.partition(node, center::NAME);
            }
        }
        sim.crash(center::NAME);
        self.coordinator_down = true;
        let mut world = shared.lock();
        world.reader = None;
        world.coordinator_ended = false;
        world.disk.fail_after(None);
        if fault == Fault::CoordinatorPowerCut {
            world.disk.lose_unflushed();
        }
        world.struck(at, fault, center::NAME);
        self.foresee(&mut world, at, 200..12_000, Due::CoordinatorStarts);
    }

    fn coordinator_starts(&mut self, sim: &mut Sim<'_>, shared: &Shared, at: Time) {
        if !self.coordinator_down {
            return;
        }
        self.coordinator_down = false;
        for (link, node) in nodes(shared).into_iter().enumerate() {
            if self.links[link] == Link::Whole || self.links[link] == Link::Slow {
                sim.repair(node, center::NAME);
            }
        }
        sim.bounce(center::NAME);
        shared.lock().happens(at, || "the coordinator starts".to_owned());
    }

    fn agent_dies(&mut self, sim: &mut Sim<'_>, shared: &Shared, at: Time, fault: Fault) {
        let (host, node) = {
            let mut world = shared.lock();
            let hosts = world.hosts.len();
            let host = world.chance.below(hosts);
            (host, world.hosts[host].node())
        };
        if self.agents_down[host] {
            return;
        }
        sim.crash(node.as_str());
        self.agents_down[host] = true;
        let mut world = shared.lock();
        if fault == Fault::HostReboots {
            world.programs_lost(host);
        }
        world.struck(at, fault, node);
        let away = if fault == Fault::HostReboots {
            2000..25_000
        } else {
            50..6000
        };
        self.foresee(&mut world, at, away, Due::AgentStarts(host));
    }

    fn agent_starts(&mut self, sim: &mut Sim<'_>, shared: &Shared, host: usize) {
        if std::mem::take(&mut self.agents_down[host]) {
            let node = shared.lock().hosts[host].node();
            sim.bounce(node);
        }
    }

    fn link_breaks(&mut self, sim: &mut Sim<'_>, shared: &Shared, at: Time, fault: Fault) {
        let nodes = nodes(shared);
        let mut world = shared.lock();
        let hosts = world.hosts.len();
        // A host vanishes, people do not.
        let link = world
            .chance
            .below(if fault == Fault::HostVanishes { hosts } else { hosts + 1 });
        if self.links[link] != Link::Whole || self.coordinator_down {
            return;
        }
        let (node, up) = (nodes[link].as_str(), world.chance.permille(500));
        let mut lasts = 300..15_000;
        self.links[link] = Link::Cut;
        match fault {
            Fault::PartitionOneWay if up => sim.partition_oneway(node, center::NAME),
            Fault::PartitionOneWay => sim.partition_oneway(center::NAME, node),
            Fault::Hold => {
                sim.hold(node, center::NAME);
                self.links[link] = Link::Held;
            }
            Fault::Delay => {
                let latency = Duration::from_millis(world.chance.between(500, 4000));
                sim.set_link_max_message_latency(node, center::NAME, latency);
                self.links[link] = Link::Slow;
            }
            Fault::HostVanishes => {
                sim.partition(node, center::NAME);
                lasts = 20_000..60_000;
            }
            _ => sim.partition(node, center::NAME),
        }
        world.struck(at, fault, node);
        self.foresee(&mut world, at, lasts, Due::LinkIsWhole(link));
    }

    fn mend(&mut self, sim: &mut Sim<'_>, shared: &Shared, link: usize) {
        let node = nodes(shared).swap_remove(link);
        match std::mem::replace(&mut self.links[link], Link::Whole) {
            Link::Whole => {}
            Link::Cut if self.coordinator_down => {}
            Link::Cut => sim.repair(node, center::NAME),
            Link::Held => sim.release(node, center::NAME),
            Link::Slow => sim.set_link_max_message_latency(node, center::NAME, LATENCY),
        }
    }

    /// Everything works again.
    pub(crate) fn heal(&mut self, sim: &mut Sim<'_>, shared: &Shared, at: Time) {
        self.agenda.clear();
        {
            let mut world = shared.lock();
            world.faults.end();
            world.disk.fail_after(None);
            for host in 0..world.hosts.len() {
                well(&world, host);
            }
            world.happens(at, || "all is healed".to_owned());
        }
        self.look(sim, shared, at);
        for link in 0..self.links.len() {
            self.mend(sim, shared, link);
        }
        self.coordinator_starts(sim, shared, at);
        for host in 0..self.agents_down.len() {
            self.agent_starts(sim, shared, host);
        }
    }

    pub(crate) fn is_coordinator_up(&self) -> bool {
        !self.coordinator_down
    }
}

/// Every machine but the coordinator's: the hosts', then the people's.
fn nodes(shared: &Shared) -> Vec<String> {
    let world = shared.lock();
    let hosts = world.hosts.iter().map(crate::host::Host::node);
    hosts.chain([people::NODE.to_owned()]).collect()
}

fn well(world: &World, host: usize) {
    world.hosts[host].disk.set_full(false);
    world.hosts[host].disk.set_takes(Duration::ZERO);
}
