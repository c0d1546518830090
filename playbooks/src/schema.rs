//! The JSON Schema (draft-07) of the language, derived from plain types that mirror what people may write; their comments
//! become the help of editors. Deliberately not what reads a playbook: the reader tells more, and better, than a schema can
//! say. That both know the same keys is held by a test.

#![expect(dead_code, reason = "the types are there for their schema, and nobody makes one")]

mod action;
mod canary;
mod extending;
mod gates;
mod machine;
mod params;
mod stages;
mod value;

use std::collections::BTreeMap;

use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform as _},
};
use serde_json::Value;

use action::{Http, Run, Tcp};
use gates::Gates;
use machine::Machine;
use params::{BaseName, Param, Scalar};
use stages::Stage;
use value::{Condition, Datacenters, HostNumber, Name, OwnName, Selector, Version};

/// By which the schema is known, wherever its file lies.
const ID: &str = "urn:echelon:playbook";

/// The schema as JSON text, with line breaks.
#[must_use]
pub fn text() -> String {
    let mut schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<Playbook>();
    RecursiveTransform(without_null).transform(&mut schema);
    params::let_in(&mut schema);
    schema.insert("$id".to_owned(), ID.into());
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text + "\n"
}

/// A key may be left out; what is there and says nothing is a fault.
fn without_null(schema: &mut Schema) {
    let null = Value::from("null");
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|of| *of != null);
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else {
        return;
    };
    choices.retain(|choice| choice.get("type") != Some(&null));
    if choices.len() == 1
        && let Some(only) = schema.remove("anyOf")
    {
        // In draft-07 nothing beside a reference is read, so that it needs a place of its own.
        schema.insert("allOf".to_owned(), only);
    }
}

/// How one kind of software is rolled out over a fleet, and how it is taken back.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(transform = extending::whole_or_extending)]
struct Playbook {
    /// A playbook is known as name@version.
    name: OwnName,
    /// A number from 1; the text of a version never changes.
    version: Version,
    /// The playbook that it is laid over: its machine, and all that is not said here. library/NAME@VERSION comes with
    /// Echelon, NAME@VERSION was pushed.
    extends: Option<BaseName>,
    /// Values for the parameters of what it extends, by name.
    #[schemars(extend("propertyNames" = value::named()))]
    with: Option<BTreeMap<String, Scalar>>,
    /// What can be set when it is used, by name: ${{ params.port }}.
    #[schemars(extend("propertyNames" = value::named()))]
    params: Option<BTreeMap<String, Param>>,
    hosts: Option<Hosts>,
    machine: Option<Machine>,
    /// By name, for waves to use.
    gates: Option<Gates>,
    lanes: Option<Lanes>,
    /// In what order hosts go: one stage.
    #[schemars(length(min = 1, max = 1))]
    stages: Option<Vec<Stage>>,
    on_failure: Option<OnFailure>,
    rollback: Option<Rollback>,
    /// What must hold before a host may leave service. False or unknown holds the host back.
    #[schemars(length(max = 32))]
    invariants: Option<Vec<Invariant>>,
}

/// What must hold before a host may leave service.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(transform = action::one_of_asked)]
struct Invariant {
    /// For people.
    name: Name,
    /// A condition over what the coordinator knows of the host, its pool and its lane.
    expr: Option<Condition>,
    run: Option<Run>,
    http: Option<Http>,
    tcp: Option<Tcp>,
}

/// Which hosts.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Hosts {
    /// Terms joined by commas, all of which must hold: key=value, key!=value, key, !key. Besides labels there are host, dc,
    /// pool.
    selector: Option<Selector>,
    /// But not these.
    exclude: Option<Selector>,
    expect: Option<Expect>,
    /// What becomes of a host that cannot be reached when its turn comes. Default: debt.
    unreachable: Option<Unreachable>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Unreachable {
    /// The rollout goes on without it; somebody owes it a visit.
    Debt,
    /// Its wave waits for it.
    Wait,
    /// It has failed, and counts against the failure budget.
    Fail,
}

/// A plan that finds fewer or more hosts is refused.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Expect {
    /// At the least.
    #[schemars(range(min = 0, max = 100_000))]
    min: Option<u32>,
    /// At the most.
    max: Option<HostNumber>,
}

/// One lane a datacenter; lanes run at once.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Lanes {
    /// `all`, or a list of them.
    datacenters: Option<Datacenters>,
    /// What the other lanes do when one fails.
    on_lane_failure: Option<OnLaneFailure>,
    /// Whether lanes wait for one another. Default: free.
    coupling: Option<Coupling>,
}

/// `free`, `lockstep`, or which datacenter goes first.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Coupling {
    Plain(PlainCoupling),
    Lead(Lead),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum PlainCoupling {
    /// Each goes at its own pace.
    Free,
    /// A wave opens in a lane when every lane has passed the waves before it.
    Lockstep,
}

/// One datacenter goes first.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Lead {
    /// Which.
    lead: Name,
    /// The wave that it must have passed before the others open anything.
    lag: Name,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum OnLaneFailure {
    /// They go on.
    StopLane,
    /// They finish what is in flight.
    StopAll,
    /// They go back too.
    RollbackAll,
}

/// What a failure leads to, where nothing nearer says otherwise.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct OnFailure {
    host: Option<HostFailure>,
    /// Where a gate has no `on_fail`. Default: hold.
    gate: Option<Rule>,
    /// When too many hosts have failed. Default: rollback.
    budget: Option<BudgetRule>,
}

/// When a host has failed.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HostFailure {
    /// New tries of the host, after a phase has used up its own.
    #[schemars(range(min = 0, max = 100))]
    retry: Option<u32>,
    /// Then. Default: quarantine.
    then: Option<HostRule>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum HostRule {
    /// The host stays out of traffic; the wave goes on.
    Quarantine,
    /// The rollout holds for a person.
    Hold,
    /// The lane goes back.
    Rollback,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Rule {
    /// The next wave opens all the same.
    Proceed,
    /// The rollout holds for a person.
    Hold,
    /// The lane goes back.
    Rollback,
    /// The lane stops where it is.
    Abort,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum BudgetRule {
    /// The rollout holds for a person.
    Hold,
    /// The lane goes back.
    Rollback,
    /// The lane stops where it is.
    Abort,
}

/// How a rollout goes back.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Rollback {
    pace: Option<Pace>,
    /// Newest host first.
    order: Option<Order>,
    /// Whether `max_unavailable` holds on the way back too. Default: true.
    keep_max_unavailable: Option<bool>,
}

/// Default: as forward.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Pace {
    /// Hosts at once in a lane on the way back.
    max_parallel: HostNumber,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Order {
    Reverse,
}

#[cfg(test)]
mod tests;
