//! Single values: names, lengths of time, numbers of hosts, text with variables.

use schemars::JsonSchema;
use serde_json::{Value, json};

/// What the keys of a mapping are whose keys are names that the author chooses.
pub(super) fn named() -> Value {
    json!({ "$ref": "#/definitions/Name" })
}

/// 1 to 128 characters of A-Z a-z 0-9 . _ - +, the first a letter or digit.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct Name(#[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$"))] String);

/// 1 to 128 characters of A-Z a-z 0-9 . _ - +, the first a letter or digit.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct OwnName(#[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$"))] String);

/// From 1.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct Version(#[schemars(range(min = 1))] u32);

/// A length of time with its unit: 500ms, 30s, 10m, 1h30m.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct Span(
    #[schemars(regex(
        pattern = r"^ *([0-9]+ *(ns|nsec|us|usec|ms|msec|s|sec|second|seconds|m|min|minute|minutes|h|hr|hrs|hour|hours|d|day|days|w|wk|wks|week|weeks|M|month|months|y|yr|yrs|year|years) *)+$"
    ))]
    String,
);

/// Text in which variables like ${{ host.labels.port }} are replaced.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct Template(#[schemars(length(max = 4096))] String);

/// Text that says something, in which variables like ${{ host.labels.port }} are replaced.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct Words(#[schemars(length(max = 4096), regex(pattern = r"\S"))] String);

/// A condition in CEL, true or false: host.labels.tier == "gold".
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct Condition(#[schemars(length(max = 500), regex(pattern = r"\S"))] String);

/// `pool`, or a label: labels.rack.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct HostKey(#[schemars(regex(pattern = r"^(pool|labels\.[A-Za-z0-9][A-Za-z0-9._+-]{0,127})$"))] String);

/// Terms joined by commas, all of which must hold: key=value, key!=value, key, !key.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct Selector(#[schemars(length(max = 4096))] String);

/// A whole number of hosts, or a percentage of them: 3, 10%.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Amount {
    Hosts(#[schemars(range(min = 1))] u32),
    Percent(Percent),
}

/// From 1% to 100%.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct Percent(#[schemars(regex(pattern = r"^0*(100|[1-9][0-9]?)%$"))] String);

/// A whole number of hosts, from 1.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct HostNumber(#[schemars(range(min = 1, max = 100_000))] u32);

/// `all`, or a list of datacenters.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Datacenters {
    All(All),
    Listed(#[schemars(length(min = 1, max = 64))] Vec<Name>),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum All {
    /// Each datacenter that has a selected host.
    All,
}

/// A state, or a list of them.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum FromStates {
    One(Name),
    Listed(#[schemars(length(min = 1, max = 64))] Vec<Name>),
}
