//! What stands between a wave and the next.

use echelon_proto::Span;
use serde::{Deserialize, Serialize};

use super::{Action, Canary, Window};

/// What stands between a wave and the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// What it asks.
    pub kind: GateKind,
    /// Counted from the end of the bake; when it has passed without a verdict, `on_expire` applies.
    pub deadline: Option<Span>,
    /// What a failed verdict leads to.
    pub on_fail: Rule,
    /// What a deadline passed without a verdict leads to.
    pub on_expire: Rule,
}

/// What a gate asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// A probe, asked by the agents of the wave's hosts from the wave's last host on. It passes when enough hosts have
    /// held it for long enough (and the bake is over), and fails as soon as so many hosts fail it that it cannot hold.
    /// A host that is not reachable, or of which nothing is known yet, is not healthy.
    Health {
        /// Http, tcp or run.
        probe: Action,
        /// Between two probes.
        every: Span,
        /// Of the wave's hosts, in percent, that must hold. 1 to 100.
        share: u8,
        /// How long they must hold it.
        hold_for: Span,
        /// Failures in a row before a host counts as unhealthy, at least 1.
        unhealthy_after: u32,
    },
    /// People: approvers, none of them the one who started the rollout. Asked when the bake is over and every health and
    /// soak gate has passed, so that they decide on what was seen.
    Approval {
        /// How many different ones, at least 1.
        count: u32,
    },
    /// Time, counted from the end of the bake.
    Soak {
        /// How long.
        hold_for: Span,
    },
    /// Hosts of the wave against hosts that the release has not reached, by what a source of metrics says of them. Looked at
    /// over and over from the wave's last host on; harm that is shown fails it at once, and harm that is ruled out passes it.
    Canary(Box<Canary>),
    /// A good time to go on. Asked when everything else of the wave has passed, so that the next wave opens at such a time.
    Window(Window),
}

/// What a verdict leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The next wave opens all the same.
    Proceed,
    /// The rollout holds for a person.
    Hold,
    /// The lane goes back.
    Rollback,
    /// The lane stops where it is.
    Abort,
}
