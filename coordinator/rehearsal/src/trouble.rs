//! What goes wrong on purpose: `--fail HOST:PHASE` and `--slow PHASE=DURATION`. Read from text, held against what there
//! is, and asked phase by phase. Deliberately no chance: trouble comes where it was wished for and nowhere else.

use std::{cell::RefCell, collections::BTreeMap, fmt, str::FromStr};

use echelon_playbooks::model::{GateKind, Machine};
use echelon_proto::{HostId, PhaseName, Span};

use crate::{Error, Script, fleet::Host};

/// Hosts, phases and gates that an error names.
const NAMED_MAX: usize = 8;

/// The word for a host's health gate where a phase is expected.
const GATE: &str = "gate";

/// A text that is no trouble.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct Invalid {
    text: String,
    what: &'static str,
}

/// One host, or every one: `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Where {
    Host(HostId),
    All,
}

/// `web-3:install`, `*:check`, `web-3:install:2` (twice, then it goes), `web-3:gate` (does not hold its health probe).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fail {
    at: Where,
    /// A phase, a compensation, a health gate or `gate`.
    what: String,
    /// `None`: always.
    times: Option<u32>,
}

/// `install=5m`, `web-3:install=5m`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow {
    at: Where,
    phase: PhaseName,
    takes: Span,
}

impl Where {
    fn is(&self, host: &HostId) -> bool {
        match self {
            Self::Host(named) => named == host,
            Self::All => true,
        }
    }
}

impl FromStr for Where {
    type Err = echelon_proto::Invalid;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::All);
        }
        HostId::new(text).map(Self::Host)
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::All => f.write_str("*"),
        }
    }
}

impl FromStr for Fail {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid {
            text: text.chars().take(80).collect(),
            what: "a failure: write HOST:PHASE, HOST:PHASE:TIMES or HOST:gate, with * for every host",
        };
        let (host, rest) = text.split_once(':').ok_or_else(invalid)?;
        let (what, times) = match rest.split_once(':') {
            Some((what, times)) => (what, Some(times.parse().map_err(|_| invalid())?)),
            None => (rest, None),
        };
        if times == Some(0) {
            return Err(invalid());
        }
        Ok(Self {
            at: host.parse().map_err(|_| invalid())?,
            what: PhaseName::new(what).map_err(|_| invalid())?.to_string(),
            times,
        })
    }
}

impl FromStr for Slow {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid {
            text: text.chars().take(80).collect(),
            what: "a length of a phase: write PHASE=DURATION or HOST:PHASE=DURATION, as in install=90s",
        };
        let (place, takes) = text.split_once('=').ok_or_else(invalid)?;
        let (host, phase) = place.split_once(':').unwrap_or(("*", place));
        let takes: Span = takes.parse().map_err(|_| invalid())?;
        if takes == Span::ZERO {
            return Err(invalid());
        }
        Ok(Self {
            at: host.parse().map_err(|_| invalid())?,
            phase: PhaseName::new(phase).map_err(|_| invalid())?,
            takes,
        })
    }
}

/// Every host, phase and gate that trouble names must be there: a typing mistake would rehearse a fair day.
pub(crate) fn check(script: &Script, hosts: &[Host]) -> Result<(), Error> {
    let gates = health_gates(script);
    for fail in &script.fails {
        known_host(&fail.at, "fail", hosts)?;
        if fail.what == GATE && !has_phase(&script.playbook.machine, GATE) && gates.is_empty() {
            return Err(unknown("health gate", GATE, "fail", &[]));
        }
        if fail.what != GATE && !gates.contains(&fail.what) {
            known_phase(script, &fail.what, "fail", &gates)?;
        }
    }
    for slow in &script.slows {
        known_host(&slow.at, "slow down", hosts)?;
        known_phase(script, slow.phase.as_str(), "slow down", &[])?;
    }
    Ok(())
}

fn health_gates(script: &Script) -> Vec<String> {
    let gates = script.playbook.gates.iter();
    let asking = gates.filter(|(_, gate)| matches!(gate.kind, GateKind::Health { .. } | GateKind::Canary(_)));
    asking.map(|(name, _)| name.to_string()).collect()
}

fn has_phase(machine: &Machine, name: &str) -> bool {
    PhaseName::new(name).is_ok_and(|name| machine.phase(&name).is_some())
}

fn known_host(at: &Where, verb: &'static str, hosts: &[Host]) -> Result<(), Error> {
    match at {
        Where::Host(host) if hosts.iter().all(|known| known.host != *host) => {
            let known: Vec<_> = hosts.iter().map(|known| known.host.to_string()).collect();
            Err(unknown("host", host.as_str(), verb, &known))
        }
        Where::Host(_) | Where::All => Ok(()),
    }
}

fn known_phase(script: &Script, name: &str, verb: &'static str, gates: &[String]) -> Result<(), Error> {
    let machine = &script.playbook.machine;
    if has_phase(machine, name) {
        return Ok(());
    }
    let phases = machine.phases.iter().chain(&machine.compensations);
    let known: Vec<_> = phases
        .map(|phase| phase.name.to_string())
        .chain(gates.iter().cloned())
        .collect();
    Err(unknown("phase", name, verb, &known))
}

fn unknown(what: &'static str, given: &str, verb: &'static str, known: &[String]) -> Error {
    let mut named: Vec<_> = known.iter().take(NAMED_MAX).cloned().collect();
    if let Some(more) = known.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        named.push(format!("{more} more"));
    }
    Error::Unknown {
        what,
        given: given.into(),
        verb,
        known: named,
    }
}

/// The trouble of one rehearsal: knows what has struck already.
#[derive(Debug)]
pub(crate) struct Troubles<'a> {
    script: &'a Script,
    /// By failure and host.
    struck: RefCell<BTreeMap<(usize, HostId), u32>>,
}

impl<'a> Troubles<'a> {
    pub(crate) fn new(script: &'a Script) -> Self {
        Self {
            script,
            struck: RefCell::default(),
        }
    }

    /// Whether the phase fails on this host this time.
    pub(crate) fn phase_fails(&self, host: &HostId, phase: &PhaseName) -> bool {
        self.fails(host, |what| what == phase.as_str())
    }

    /// Whether the host does not hold the probe of this health gate this time.
    pub(crate) fn probe_fails(&self, host: &HostId, gate: &str) -> bool {
        let is_phase = has_phase(&self.script.playbook.machine, GATE);
        self.fails(host, |what| what == gate || (what == GATE && !is_phase))
    }

    fn fails(&self, host: &HostId, is_meant: impl Fn(&str) -> bool) -> bool {
        let mut fails = false;
        for (index, fail) in self.script.fails.iter().enumerate() {
            if !fail.at.is(host) || !is_meant(&fail.what) {
                continue;
            }
            let mut struck = self.struck.borrow_mut();
            let times = struck.entry((index, host.clone())).or_default();
            if fail.times.is_none_or(|most| *times < most) {
                *times += 1;
                fails = true;
            }
        }
        fails
    }

    /// How long the phase takes on this host, where that was said: of the host itself before of all, the last word counts.
    pub(crate) fn slow(&self, host: &HostId, phase: &PhaseName) -> Option<Span> {
        let meant = || {
            let slows = self.script.slows.iter().rev();
            slows.filter(|slow| slow.phase == *phase && slow.at.is(host))
        };
        let own = meant().find(|slow| slow.at != Where::All);
        own.or_else(|| meant().next()).map(|slow| slow.takes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_read_as_people_write_it() {
        let fail: Fail = "web-3:install:2".parse().unwrap();
        assert_eq!(
            (fail.at.to_string().as_str(), fail.what.as_str(), fail.times),
            ("web-3", "install", Some(2))
        );
        let fail: Fail = "*:gate".parse().unwrap();
        assert_eq!((fail.at, fail.what.as_str(), fail.times), (Where::All, "gate", None));
        let slow: Slow = "install=5m".parse().unwrap();
        assert_eq!((slow.at, slow.takes), (Where::All, Span::secs(300)));
        let slow: Slow = "web-3:install=90s".parse().unwrap();
        assert_eq!((slow.at.to_string().as_str(), slow.takes), ("web-3", Span::secs(90)));
    }

    #[test]
    fn what_is_no_trouble_is_refused() {
        for bad in [
            "web-3",
            "web-3:",
            ":install",
            "web-3:install:0",
            "web-3:install:x",
            "a:b:1:2",
            "**:x",
        ] {
            assert!(bad.parse::<Fail>().is_err(), "{bad}");
        }
        for bad in ["install", "install=", "install=soon", "=5m", "install=0s", "a:b:c=5m"] {
            assert!(bad.parse::<Slow>().is_err(), "{bad}");
        }
    }
}
