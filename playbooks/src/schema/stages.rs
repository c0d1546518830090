//! Stages and waves: in what order hosts go, and how many at once.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::value::{self, Amount, HostKey, HostNumber, Name, Percent, Selector, Span};

/// An operation over all selected hosts, wave by wave.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Stage {
    name: Name,
    deploy: Deploy,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Deploy {
    /// The one that is done where nothing else is asked for.
    operation: Option<Name>,
    waves: Option<Waves>,
    /// Hosts that may be out of service for any reason, per pool and datacenter.
    max_unavailable: Option<Amount>,
    /// Hosts at once in a lane.
    max_parallel: Option<HostNumber>,
    /// At least so long between two hosts. Default: 0s.
    stagger: Option<Span>,
    failure_budget: Option<FailureBudget>,
    /// Hosts next to one another differ in these where they can, the first first: labels.rack, pool.
    #[schemars(length(min = 1, max = 8))]
    spread_by: Option<Vec<HostKey>>,
    /// Hosts go group by group: those with the same value are one.
    group_by: Option<HostKey>,
    /// Groups at once in a lane. Default: 1.
    groups_parallel: Option<HostNumber>,
    /// Hosts that match the first go first, those that match none last.
    #[schemars(length(max = 16))]
    order_within_group: Option<Vec<Selector>>,
    /// What is otherwise in one datacenter, by its name.
    #[schemars(extend("maxProperties" = 64, "propertyNames" = value::named()))]
    overrides: Option<BTreeMap<String, Override>>,
}

/// What is otherwise in one datacenter.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Override {
    /// Hosts that may be out of service for any reason, per pool.
    max_unavailable: Option<Amount>,
    /// Hosts at once in the lane.
    max_parallel: Option<HostNumber>,
    /// At least so long between two hosts.
    stagger: Option<Span>,
    failure_budget: Option<FailureBudget>,
}

/// How many hosts may fail, whichever is passed first. Default: none.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct FailureBudget {
    /// So many may fail; one more spends the budget.
    #[schemars(range(min = 0, max = 100_000))]
    hosts: Option<u32>,
    /// Of the hosts pinned in the scope.
    percent: Option<Percent>,
    /// Counted over what. Default: datacenter.
    scope: Option<Scope>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Scope {
    /// Each lane by itself.
    Datacenter,
    /// All lanes together.
    Rollout,
}

/// A ladder, which goes by the hosts of the lane, or a list of waves.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Waves {
    Plain(PlainLadder),
    Ladder(LadderWaves),
    Listed(#[schemars(length(min = 1, max = 64))] Vec<Wave>),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum PlainLadder {
    /// From 1 host 100%; 2: 50%, 100%; 4: 25%, 50%, 100%; 8: 10%, 25%, 50%, 100%.
    Ladder,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct LadderWaves {
    ladder: Ladder,
}

/// Of each wave of the ladder.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Ladder {
    /// Wait after its last host. Default: 0s.
    bake: Option<Span>,
    /// What must pass before the next wave opens.
    #[schemars(length(max = 16))]
    gates: Option<Vec<Name>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Wave {
    name: Name,
    /// Cumulative: how far the lane is when this wave is done. The last is 100%.
    size: Amount,
    /// Wait after its last host. Default: 0s.
    bake: Option<Span>,
    /// What must pass before the next wave opens.
    #[schemars(length(max = 16))]
    gates: Option<Vec<Name>>,
}
