//! What can go wrong with the world, by name. A run counts how often each happened; a set of runs in which one never
//! happened has not shown what it claims. Deliberately no behaviour: what a fault does is done where it strikes.

use std::fmt;

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The coordinator's process dies; all that it wrote is on its disk.
    CoordinatorCrash,
    /// Its machine loses power: what it wrote and did not sync is gone.
    CoordinatorPowerCut,
    /// A write of its journal fails.
    JournalWriteFails,
    /// It comes back with other settings, as after an upgrade.
    CoordinatorUpgrade,
    /// The whole ring was left by an older version, in the middle of rollouts.
    OlderRing,
    /// An agent dies; the programs it began run on.
    AgentCrash,
    /// An agent dies between the save of its ledger and what follows from it.
    AgentCrashAtSave,
    /// A host reboots; what ran on it is lost.
    HostReboot,
    /// A host is away for long.
    HostVanishes,
    /// A host joins while rollouts run.
    HostJoinsLate,
    /// The disk of an agent's ledger is full for a while.
    LedgerDiskFull,
    /// A datacenter is cut off.
    Partition,
    /// One connection breaks, and each side notices in its own time.
    ConnectionBreaks,
    /// A message takes long.
    Delay,
    /// An agent's word comes twice.
    Duplicate,
    /// Word of a connection that is over still comes.
    LateWord,
    /// A connection breaks right behind a report: the coordinator may hear of the break before it hears the report.
    LastWord,
    /// The coordinator's clock is put forward.
    ClockForward,
    /// The coordinator's clock is put back.
    ClockBack,
    /// A program fails.
    PhaseFails,
    /// A program does not end in time.
    PhaseHangs,
    /// What must hold on a host before a phase does not.
    GuardFails,
    /// A probe says that a host is unwell.
    ProbeFails,
    /// The monitor of a state says that a host is unwell.
    MonitorFails,
    /// A look of a canary's judge comes for a window that is over.
    LateLook,
    /// An order of a coordinator that another has taken over from.
    LateOrder,
    /// A host reports what nobody ordered.
    HostLies,
    /// A host speaks of another.
    HostSpeaksOfAnother,
    /// A person says a thing twice.
    SaidTwice,
    /// Two people say different things at once.
    TwoPeople,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::CoordinatorCrash,
        Self::CoordinatorPowerCut,
        Self::JournalWriteFails,
        Self::CoordinatorUpgrade,
        Self::OlderRing,
        Self::AgentCrash,
        Self::AgentCrashAtSave,
        Self::HostReboot,
        Self::HostVanishes,
        Self::HostJoinsLate,
        Self::LedgerDiskFull,
        Self::Partition,
        Self::ConnectionBreaks,
        Self::Delay,
        Self::Duplicate,
        Self::LateWord,
        Self::LastWord,
        Self::ClockForward,
        Self::ClockBack,
        Self::PhaseFails,
        Self::PhaseHangs,
        Self::GuardFails,
        Self::ProbeFails,
        Self::MonitorFails,
        Self::LateLook,
        Self::LateOrder,
        Self::HostLies,
        Self::HostSpeaksOfAnother,
        Self::SaidTwice,
        Self::TwoPeople,
    ];

    /// `coordinator_crash`
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CoordinatorCrash => "coordinator_crash",
            Self::CoordinatorPowerCut => "coordinator_power_cut",
            Self::JournalWriteFails => "journal_write_fails",
            Self::CoordinatorUpgrade => "coordinator_upgrade",
            Self::OlderRing => "older_ring",
            Self::AgentCrash => "agent_crash",
            Self::AgentCrashAtSave => "agent_crash_at_save",
            Self::HostReboot => "host_reboot",
            Self::HostVanishes => "host_vanishes",
            Self::HostJoinsLate => "host_joins_late",
            Self::LedgerDiskFull => "ledger_disk_full",
            Self::Partition => "partition",
            Self::ConnectionBreaks => "connection_breaks",
            Self::Delay => "delay",
            Self::Duplicate => "duplicate",
            Self::LateWord => "late_word",
            Self::LastWord => "last_word",
            Self::ClockForward => "clock_forward",
            Self::ClockBack => "clock_back",
            Self::PhaseFails => "phase_fails",
            Self::PhaseHangs => "phase_hangs",
            Self::GuardFails => "guard_does_not_hold",
            Self::ProbeFails => "probe_fails",
            Self::MonitorFails => "monitor_fails",
            Self::LateLook => "late_look",
            Self::LateOrder => "late_order",
            Self::HostLies => "host_lies",
            Self::HostSpeaksOfAnother => "host_speaks_of_another",
            Self::SaidTwice => "said_twice",
            Self::TwoPeople => "two_people",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
