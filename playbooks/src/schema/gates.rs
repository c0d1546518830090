//! Gates: what is asked between two waves.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::{
    Rule,
    action::Probe,
    canary::CanaryGate,
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
    Canary(Box<CanaryGate>),
    Window(WindowGate),
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

/// A good time to go on, asked when everything else of the wave has passed.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct WindowGate {
    kind: Window,
    /// Any of these hours.
    #[schemars(length(min = 1, max = 32))]
    open: Vec<Hours>,
    /// Dates when it stays closed: "2026-12-24".
    #[schemars(length(max = 400))]
    except: Option<Vec<Date>>,
    /// A time zone of the IANA database: Europe/Berlin. Default: UTC.
    zone: Option<String>,
}

/// Hours of some days.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Hours {
    /// Default: all.
    #[schemars(length(min = 1, max = 7))]
    days: Option<Vec<Day>>,
    /// Inside: "09:00".
    from: Clock,
    /// Outside: "16:00", at most "24:00".
    to: Clock,
}

/// A date: 2026-12-24.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Date(#[schemars(regex(pattern = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))] String);

/// A time of day: 09:00.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Clock(#[schemars(regex(pattern = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))] String);

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Window {
    Window,
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
