//! Gates: what is asked between two waves.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::{
    Rule,
    action::Probe,
    value::{self, Percent, Span},
};

/// By name.
#[derive(JsonSchema)]
#[schemars(transparent, extend("maxProperties" = 64, "propertyNames" = value::named()))]
pub(super) struct Gates(BTreeMap<String, Gate>);

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Gate {
    Health(Box<HealthGate>),
    Approval(ApprovalGate),
    Soak(SoakGate),
}

/// A probe, asked by the agents of the wave's hosts.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HealthGate {
    kind: Health,
    probe: Probe,
    /// Between two probes. Default: 2s.
    every: Option<Span>,
    /// Of the hosts that must hold it. Default: 100%.
    share: Option<Percent>,
    /// How long they must hold it. Default: 10s.
    #[schemars(rename = "for")]
    hold_for: Option<Span>,
    /// Failures in a row. Default: 3.
    #[schemars(range(min = 1, max = 1000))]
    unhealthy_after: Option<u32>,
    /// Counted from the end of the bake. Default: 10m.
    deadline: Option<Span>,
    /// Default: `on_failure.gate`.
    on_fail: Option<Rule>,
    /// Default: hold.
    on_expire: Option<Rule>,
}

/// People: approvers, none of them the one who started the rollout.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ApprovalGate {
    kind: Approval,
    /// How many different ones. Default: 1.
    #[schemars(range(min = 1, max = 100))]
    count: Option<u32>,
    /// Counted from the end of the bake. Default: it waits.
    deadline: Option<Span>,
    /// Default: `on_failure.gate`.
    on_fail: Option<Rule>,
    /// Default: hold.
    on_expire: Option<Rule>,
}

/// Time, counted from the end of the bake.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SoakGate {
    kind: Soak,
    /// How long.
    #[schemars(rename = "for")]
    hold_for: Span,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Health {
    Health,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Approval {
    Approval,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Soak {
    Soak,
}
