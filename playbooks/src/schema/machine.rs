//! The machine: states, phases, compensations, operations.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde_json::json;

use super::{
    action::{File, Http, Poll, Run, Systemd, Tcp, Uses, Verify, With},
    value::{self, Condition, FromStates, Name, Span},
};

/// Where a host can stand (states), and what moves it (phases).
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Machine {
    /// Where a host stands that never heard of the app. It has no traffic.
    initial: Name,
    /// By name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64, "propertyNames" = value::named()))]
    states: BTreeMap<String, State>,
    /// Of two equally short ways the one written first is taken.
    #[schemars(length(min = 1, max = 256))]
    phases: Vec<Phase>,
    /// What an `undo` may name besides a phase.
    #[schemars(length(max = 256))]
    compensations: Option<Vec<Compensation>>,
    /// By name: what a rollout can be asked to do.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 32, "propertyNames" = value::named()))]
    operations: BTreeMap<String, Operation>,
}

/// Where a host can stand.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct State {
    traffic: Traffic,
    /// Nothing goes back by itself from there. Default: false.
    point_of_no_return: Option<bool>,
    monitor: Option<Monitor>,
}

/// Asked of every host as long as it stands in the state.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(transform = super::action::one_of_asked)]
struct Monitor {
    run: Option<Run>,
    http: Option<Http>,
    tcp: Option<Tcp>,
    /// Between two. Default: 15s.
    every: Option<Span>,
    /// Failures in a row before the host's state counts as an error. Default: 3.
    #[schemars(range(min = 1, max = 1000))]
    unhealthy_after: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Traffic {
    /// Out of service.
    None,
    /// Being drained: out of service for capacity.
    Leaving,
    /// In service.
    Full,
}

/// What moves a host from one state to another. It does exactly one thing.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(transform = super::action::one_of_all, transform = undo_or_read_only)]
struct Phase {
    name: Name,
    /// The states that it starts from.
    from: FromStates,
    /// The state that it leads to.
    to: Name,
    run: Option<Run>,
    http: Option<Http>,
    tcp: Option<Tcp>,
    systemd: Option<Systemd>,
    poll: Option<Poll>,
    file: Option<File>,
    uses: Option<Uses>,
    with: Option<With>,
    /// Of one attempt, verify included. Up to 7 days.
    timeout: Span,
    /// After this phase the host has the rollout's release.
    sets: Option<Sets>,
    retry: Option<Retry>,
    verify: Option<Verify>,
    /// The phase or compensation that takes it back.
    undo: Option<Name>,
    /// It changes nothing, so there is nothing to take back. Default: false.
    read_only: Option<bool>,
    /// Who does it. Default: host.
    on: Option<On>,
    /// Where this is false the host is moved on without anything being done.
    when: Option<Condition>,
    /// What a timeout leads to. Default: fail.
    on_timeout: Option<OnTimeout>,
    /// What becomes of processes that its `run` left running. Default: leave.
    leftovers: Option<Leftovers>,
}

/// What an `undo` may name besides a phase. It puts a host back where the undone phase came from.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(transform = super::action::one_of_all)]
struct Compensation {
    name: Name,
    run: Option<Run>,
    http: Option<Http>,
    tcp: Option<Tcp>,
    systemd: Option<Systemd>,
    poll: Option<Poll>,
    file: Option<File>,
    uses: Option<Uses>,
    with: Option<With>,
    /// Of one attempt, verify included. Up to 7 days.
    timeout: Span,
    retry: Option<Retry>,
    verify: Option<Verify>,
    /// Who does it. Default: host.
    on: Option<On>,
    /// Where this is false the host is moved on without anything being done.
    when: Option<Condition>,
    /// What a timeout leads to. Default: fail.
    on_timeout: Option<OnTimeout>,
    /// What becomes of processes that its `run` left running. Default: leave.
    leftovers: Option<Leftovers>,
}

/// What changes nothing has nothing to take back.
fn undo_or_read_only(schema: &mut Schema) {
    let both = json!({ "properties": { "read_only": { "const": true } }, "required": ["undo", "read_only"] });
    schema.insert("not".to_owned(), both);
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Sets {
    Release,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum On {
    /// The host's agent.
    Host,
    /// The coordinator, which speaks to load balancers.
    Coordinator,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum OnTimeout {
    /// The phase has failed.
    Fail,
    /// The phase counts as done.
    Continue,
    /// The rollout holds for a person.
    Hold,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Leftovers {
    /// They go on; the report names them.
    Leave,
    /// They are ended, and the report names them.
    End,
    /// They are ended, and the phase has failed.
    Fail,
}

/// Tries again after a failure.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Retry {
    /// How many besides the first.
    #[schemars(range(min = 0, max = 100))]
    max: u32,
    /// Wait before each. Default: 1s.
    backoff: Option<Span>,
}

/// Where to arrive, and how.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Operation {
    /// The state to arrive in.
    to: Name,
    /// With which release. Default: same.
    release: Option<ReleaseGoal>,
    /// States to pass on the way, in order.
    #[schemars(length(max = 64))]
    via: Option<Vec<Name>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum ReleaseGoal {
    /// The rollout's.
    Target,
    /// The one it has.
    Same,
}
