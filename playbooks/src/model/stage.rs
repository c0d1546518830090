//! In what order hosts go: stages, waves, and how many at once.

use std::collections::BTreeMap;

use echelon_proto::{Datacenter, GateName, Label, OperationName, Span, WaveName};
use serde::{Deserialize, Serialize};

use crate::selector::Selector;

/// One stage: an operation over all selected hosts, wave by wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// What it does.
    pub deploy: Deploy,
}

/// An operation over all selected hosts, wave by wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// Where nothing else is asked for.
    pub operation: OperationName,
    /// In each lane.
    pub waves: Waves,
    /// Hosts that may be out of service, for any reason, per pool and datacenter.
    pub max_unavailable: Amount,
    /// Hosts at once in a lane, at least 1.
    pub max_parallel: u32,
    /// At least this long between two hosts' first phases in a lane.
    pub stagger: Span,
    /// How many hosts may fail.
    pub failure_budget: Budget,
    /// Hosts next to one another differ in these where they can, the first first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spread_by: Vec<HostKey>,
    /// Hosts go group by group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Grouping>,
    /// What is otherwise in one datacenter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<Datacenter, Override>,
}

/// Something that hosts have or differ in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostKey {
    /// `pool`
    Pool,
    /// `labels.rack`; a host without it has the empty one.
    Label(Label),
}

/// Hosts go group by group: a store's shards. A wave holds whole groups only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grouping {
    /// Hosts with the same value are a group.
    pub by: HostKey,
    /// Groups at once in a lane, at least 1.
    pub parallel: u32,
    /// Within a group: hosts that match the first go first, those that match none last; the next rank begins when the one
    /// before has settled. Empty: all are of one rank.
    pub order: Vec<Selector>,
}

/// What is otherwise in one datacenter. `None`: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Override {
    /// As in [`Deploy`].
    pub max_unavailable: Option<Amount>,
    /// As in [`Deploy`].
    pub max_parallel: Option<u32>,
    /// As in [`Deploy`].
    pub stagger: Option<Span>,
    /// As in [`Deploy`].
    pub failure_budget: Option<Budget>,
}

/// The waves of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waves {
    /// As written; sizes are cumulative and the last is all hosts.
    Listed(Vec<Wave>),
    /// By the lane's size: 1 host `100 %`; from 2 `50, 100`; from 4 `25, 50, 100`; from 8 `10, 25, 50, 100`.
    /// The waves are named `w1`, `w2`, ...
    Ladder {
        /// Of each wave.
        bake: Span,
        /// Of each wave.
        gates: Vec<GateName>,
    },
}

/// One wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// Its name.
    pub name: WaveName,
    /// Cumulative: how far the lane is when this wave is done.
    pub size: Amount,
    /// Wait after its last host.
    pub bake: Span,
    /// What must pass before the next wave opens; the last wave's must pass before the lane is done.
    pub gates: Vec<GateName>,
}

/// So many hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// So many.
    Hosts(u32),
    /// 0 to 100, of the hosts pinned at plan time.
    Percent(u8),
}

/// How many hosts may fail. The first limit that is passed counts; with neither, one failure spends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// So many may fail; one more spends the budget.
    pub hosts: Option<u32>,
    /// Percent of the hosts pinned in the scope.
    pub percent: Option<u8>,
    /// Counted over what.
    pub scope: BudgetScope,
}

/// What a failure budget is counted over, never a single wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetScope {
    /// Each lane by itself.
    Datacenter,
    /// All lanes together.
    Rollout,
}

impl Amount {
    /// Of so many hosts: a percentage is rounded down but is at least 1 where it is not 0 % of nothing; never more than
    /// there are.
    #[must_use]
    pub fn of(self, hosts: u32) -> u32 {
        match self {
            Self::Hosts(n) => n.min(hosts),
            Self::Percent(0) => 0,
            Self::Percent(percent) => {
                let floor = u64::from(hosts) * u64::from(percent.min(100)) / 100;
                u32::try_from(floor).map_or(hosts, |n| n.max(1).min(hosts))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_rounded_down_but_moves_at_least_one_host() {
        assert_eq!(Amount::Percent(10).of(8), 1);
        assert_eq!(Amount::Percent(10).of(19), 1);
        assert_eq!(Amount::Percent(10).of(500), 50);
        assert_eq!(Amount::Percent(100).of(7), 7);
        assert_eq!(Amount::Percent(50).of(0), 0);
        assert_eq!(Amount::Percent(0).of(100), 0);
        assert_eq!(Amount::Hosts(3).of(2), 2);
    }
}
