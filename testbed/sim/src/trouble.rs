//! What goes wrong in a seed, and how often: each seed draws which kinds of trouble it has at all, because troubles hide
//! one another. Deliberately no checks: whatever strikes here, what must hold must hold.

use echelon_coordinator::link;
use echelon_engine::{
    Config, Event,
    event::{self, Report},
};
use echelon_proto::{Fence, Span, wire::link as wire};

use crate::{
    center::To,
    chance::Chance,
    fault::Fault,
    size::Size,
    story::{Held, must},
    world::{DATACENTERS, Happening, World},
};

/// Faults that strike the whole ring now and then, and how heavy each is.
const MISCHIEF: [(u32, Fault); 15] = [
    (3, Fault::CoordinatorCrash),
    (3, Fault::CoordinatorPowerCut),
    (3, Fault::JournalWriteFails),
    (1, Fault::CoordinatorUpgrade),
    (12, Fault::AgentCrash),
    (12, Fault::AgentCrashAtSave),
    (6, Fault::HostReboot),
    (3, Fault::HostVanishes),
    (4, Fault::LedgerDiskFull),
    (2, Fault::Partition),
    (10, Fault::ConnectionBreaks),
    (2, Fault::ClockForward),
    (2, Fault::ClockBack),
    (8, Fault::HostLies),
    (2, Fault::HostSpeaksOfAnother),
];

/// Faults that strike where something is done, in so many of a thousand cases.
const SMALL: [(Fault, u32); 9] = [
    (Fault::Delay, 8),
    (Fault::Duplicate, 50),
    (Fault::LastWord, 10),
    (Fault::PhaseFails, 25),
    (Fault::PhaseHangs, 10),
    (Fault::GuardFails, 200),
    (Fault::ProbeFails, 20),
    (Fault::LateLook, 100),
    (Fault::LateOrder, 100),
];

/// The troubles of a seed.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) lasts: Span,
    mischief: Vec<(u32, Fault)>,
    small: Vec<(Fault, u32)>,
    /// Between two of the large ones, at the most.
    every: Span,
}

impl Trouble {
    /// Half of all kinds, and of the small ones some more often than others.
    pub(crate) fn draw(chance: &mut Chance, hosts: usize) -> Self {
        let mischief = MISCHIEF.into_iter().filter(|_| chance.permille(500)).collect();
        let mut small = Vec::new();
        let lasts = Size::of(hosts).lasts(chance);
        for (fault, share) in SMALL {
            // What strikes one host in forty stops a fleet of thousands before it has begun.
            let share = if hosts > 200 { share.div_ceil(10) } else { share };
            match chance.below(4) {
                0 => {}
                1 => small.push((fault, share * 3)),
                _ => small.push((fault, share)),
            }
        }
        Self {
            lasts,
            mischief,
            small,
            every: Span(chance.between(3_000, 40_000)),
        }
    }

    /// Whether it strikes here.
    pub(crate) fn strikes(&self, fault: Fault, chance: &mut Chance) -> bool {
        let share = self.small.iter().find(|(known, _)| *known == fault);
        share.is_some_and(|(_, share)| chance.permille(*share))
    }

    /// Whether it is one of those of this seed, and its time is not over.
    pub(crate) fn may_strike(&self, fault: Fault) -> bool {
        self.small.iter().any(|(known, _)| *known == fault)
    }

    /// Nothing strikes any more.
    pub(crate) fn end(&mut self) {
        self.mischief.clear();
        self.small.clear();
    }
}

impl World {
    /// Something large goes wrong, and the next is foreseen.
    pub(crate) fn mischief(&mut self) -> Held {
        let Some(fault) = self.chance.weighted(&self.trouble.mischief) else {
            return Ok(());
        };
        let next = Span(self.chance.between(200, self.trouble.every.0));
        self.foresee(next, Happening::Mischief);
        let host = self.chance.below(self.hosts.len());
        match fault {
            Fault::CoordinatorCrash | Fault::CoordinatorPowerCut | Fault::CoordinatorUpgrade => self.center_dies(fault),
            Fault::JournalWriteFails => {
                self.story.fault(self.now, fault, "");
                let after = self.chance.below(4) as u64;
                self.center.disk.fail_after(Some(after));
            }
            Fault::Partition => self.cuts(),
            Fault::ClockForward => {
                self.center.off += i64::try_from(self.chance.between(1000, 7_200_000)).unwrap_or(0);
                self.story.fault(self.now, fault, self.center.off);
                self.wake();
            }
            Fault::ClockBack => {
                self.center.off -= i64::try_from(self.chance.between(1000, 7_200_000)).unwrap_or(0);
                self.story.fault(self.now, fault, self.center.off);
            }
            Fault::HostLies => return self.lies(host),
            Fault::HostSpeaksOfAnother => return self.speaks_of_another(host),
            _ => self.strikes_host(fault, host),
        }
        Ok(())
    }

    fn center_dies(&mut self, fault: Fault) {
        if self.center.process.is_none() {
            return;
        }
        self.story.fault(self.now, fault, "");
        if fault == Fault::CoordinatorPowerCut {
            self.center.disk.lose_unflushed();
        }
        if fault == Fault::CoordinatorUpgrade {
            self.center.config = Config {
                unreachable_after: Span::secs(self.chance.between(10, 60)),
                report_slack: Span::secs(self.chance.between(10, 60)),
                rollouts_kept: self.chance.below(5) + 1,
                ..self.center.config
            };
        }
        self.center_goes();
    }

    fn cuts(&mut self) {
        let datacenter = self.chance.below(DATACENTERS.len());
        if self.cut[datacenter] {
            return;
        }
        self.cut[datacenter] = true;
        self.story.fault(self.now, Fault::Partition, DATACENTERS[datacenter]);
        let lasts = self.span(2000, 180_000);
        self.foresee(lasts, Happening::Rejoined { datacenter });
        for host in 0..self.hosts.len() {
            if self.is_cut(host)
                && let Some(link) = self.hosts[host].link
            {
                self.breaks(link, 15_000);
            }
        }
    }

    fn strikes_host(&mut self, fault: Fault, at: usize) {
        let host = &mut self.hosts[at];
        if !host.joined || (host.agent.is_none() && fault != Fault::HostReboot) {
            return;
        }
        if fault == Fault::AgentCrashAtSave {
            // Told when it strikes.
            host.dies_at_save = Some(self.chance.permille(500));
            return;
        }
        let id = host.id.clone();
        self.story.fault(self.now, fault, id);
        match fault {
            Fault::ConnectionBreaks => {
                if let Some(link) = self.hosts[at].link {
                    self.breaks(link, 15_000);
                }
            }
            Fault::LedgerDiskFull => {
                self.hosts[at].disk_full = true;
                let lasts = self.span(1000, 60_000);
                self.foresee(lasts, Happening::DiskHasRoom { host: at });
            }
            Fault::HostReboot => {
                self.hosts[at].go_down();
                let away = self.span(2000, 40_000);
                self.agent_dies(at, away);
            }
            Fault::HostVanishes => {
                self.hosts[at].go_down();
                let away = self.span(60_000, 1_200_000);
                self.agent_dies(at, away);
            }
            _ => {
                let away = self.span(100, 20_000);
                self.agent_dies(at, away);
            }
        }
    }

    /// A host says that another's phase has ended. The door refuses it.
    fn speaks_of_another(&mut self, at: usize) -> Held {
        let other = &self.hosts[(at + 1) % self.hosts.len()].id;
        let me = self.hosts[at].id.clone();
        let report = wire::Report {
            fence: Some(wire::Fence {
                term: 1,
                rollout: "r1".to_owned(),
                host: other.to_string(),
                phase: "install".to_owned(),
                attempt: 1,
            }),
            result: wire::PhaseResult::Done.into(),
            ..wire::Report::default()
        };
        self.story.fault(self.now, Fault::HostSpeaksOfAnother, &me);
        must(link::report(&me, report).is_err() || *other == me, "6 attempt", || {
            format!("{me} speaks of {other}, and is heard")
        })
    }

    /// A host says the end of what nobody ordered, or of what is long over. It must count for nothing.
    fn lies(&mut self, at: usize) -> Held {
        let id = self.hosts[at].id.clone();
        let rollouts: Vec<_> = self.watch.state().rollouts.keys().cloned().collect();
        let Some(rollout) = self.chance.of(&rollouts).cloned() else {
            return Ok(());
        };
        let known = self
            .watch
            .state()
            .rollouts
            .get(&rollout)
            .and_then(|rollout| rollout.runs.get(&id));
        let newest = known.map_or(0, |run| run.attempts);
        let runs = known.and_then(|run| run.current.clone());
        let attempt = match self.chance.below(3) {
            0 => newest + 1,
            1 => newest.saturating_sub(1),
            _ => u32::MAX,
        };
        if runs.is_some_and(|current| current.attempt == attempt) {
            return Ok(());
        }
        let Some(process) = &mut self.center.process else {
            return Ok(());
        };
        self.story.fault(self.now, Fault::HostLies, &id);
        let report = Report {
            fence: Fence {
                term: process.driver.state().term,
                rollout,
                host: id,
                phase: crate::world::name("install"),
                attempt,
            },
            result: event::PhaseResult::Done,
            exit_code: Some(0),
            signal: None,
            message: String::new(),
            tail: String::new(),
            leftovers: Vec::new(),
            standing: None,
        };
        process.inbox.push((Event::HostReported(report), To::Nobody));
        self.turn()
    }
}
