//! The network between hosts and the coordinator: connections that keep the order of what is said in them, take their
//! time, and break. What was on its way when one breaks may still arrive at the coordinator, late, or be lost. Deliberately
//! no drops, repeats or changes of order within a connection: the real link runs over TCP.

use std::collections::BTreeMap;

use echelon_proto::{Span, Time};

use crate::chance::Chance;

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Whose, by its place among the hosts.
    pub(crate) host: usize,
    /// Nothing goes through any more.
    pub(crate) broken: bool,
    /// The process at its other end is gone: what is still on its way to it reaches nobody.
    pub(crate) orphaned: bool,
    /// The coordinator has taken the Hello.
    pub(crate) attached: bool,
    /// Which coordinator's process, and which of its sessions.
    pub(crate) session: Option<(u64, u64)>,
    /// What came before that.
    pub(crate) early: Vec<Word>,
    up: Time,
    down: Time,
}

/// What an agent says.
#[derive(Debug, Clone)]
pub(crate) enum Word {
    Hello(echelon_engine::event::Hello),
    Report(Box<echelon_proto::wire::link::AgentMessage>),
    Health { watch: String, healthy: bool },
}

/// All connections that somebody still holds.
#[derive(Debug, Default)]
pub(crate) struct Net {
    links: BTreeMap<u64, Link>,
    opened: u64,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

impl Net {
    pub(crate) fn open(&mut self, host: usize, now: Time) -> u64 {
        self.opened += 1;
        let link = Link {
            host,
            broken: false,
            orphaned: false,
            attached: false,
            session: None,
            early: Vec::new(),
            up: now,
            down: now,
        };
        self.links.insert(self.opened, link);
        self.opened
    }

    pub(crate) fn get(&self, link: u64) -> Option<&Link> {
        self.links.get(&link)
    }

    /// The coordinator's process is gone.
    pub(crate) fn orphan_all(&mut self) {
        self.links.values_mut().for_each(|link| link.orphaned = true);
    }

    pub(crate) fn get_mut(&mut self, link: u64) -> Option<&mut Link> {
        self.links.get_mut(&link)
    }

    pub(crate) fn close(&mut self, link: u64) {
        self.links.remove(&link);
    }

    /// When something said now arrives, after all that was said before it.
    pub(crate) fn arrival(&mut self, link: u64, way: Way, now: Time, extra: Span, chance: &mut Chance) -> Option<Time> {
        let link = self.links.get_mut(&link).filter(|link| !link.broken)?;
        let before = match way {
            Way::Up => &mut link.up,
            Way::Down => &mut link.down,
        };
        *before = (*before).max(now + Span(chance.between(1, 20)) + extra);
        Some(*before)
    }
}
