//! What a phase, a verify or a probe does.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::value::{Condition, Span, Template, Words};

/// The agent's own variables are not the playbook's to set.
const VARIABLE: &str = "^(?!ECHELON_)[A-Za-z_][A-Za-z0-9_]{0,127}$";

/// Of a secret.
const FILE_NAME: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$";

/// A program of the user's own; no shell.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Run {
    /// Program and arguments.
    #[schemars(length(min = 1, max = 256))]
    argv: Vec<Template>,
    /// Variables, besides those that the agent sets, which begin with ECHELON_.
    #[schemars(extend("maxProperties" = 256, "propertyNames" = json!({ "pattern": VARIABLE })))]
    env: Option<BTreeMap<String, Template>>,
    /// Where, from the app's folder, in which `current` is the release that stands. Default: that folder.
    cwd: Option<Words>,
    /// As whom. Default: the agent's user.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$"))]
    user: Option<String>,
    limits: Option<Limits>,
    /// Secrets of the host, by the names of the files in which the program finds them in $CREDENTIALS_DIRECTORY.
    #[schemars(extend("maxProperties" = 32, "propertyNames" = json!({ "pattern": FILE_NAME })))]
    secrets: Option<BTreeMap<String, Secret>>,
}

/// Where the host keeps it: names joined by /, below the agent's folder of secrets.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Secret(
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}){0,7}$"))]
    String,
);

/// What the program may use. Default: as the agent may.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Limits {
    /// In percent of one core: 150%.
    #[schemars(regex(pattern = r"^[0-9]+%$"))]
    cpu: Option<String>,
    /// 512MiB
    #[schemars(regex(pattern = r"^[0-9]+ *(KiB|MiB|GiB|TiB)$"))]
    memory: Option<String>,
    /// Files and sockets open at once.
    #[schemars(range(min = 16, max = 1_048_576))]
    open_files: Option<u32>,
}

/// Asked over and over until a condition over the answer holds.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(transform = one_of_asked)]
pub(super) struct Poll {
    run: Option<Run>,
    http: Option<PollHttp>,
    tcp: Option<PollTcp>,
    /// Between two. Default: 2s.
    every: Option<Span>,
    /// Over the answer: status, body, json, exit_code, output, error.
    until: Condition,
}

/// A request; what must come back is said by `until`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PollHttp {
    /// http or https.
    url: Words,
    /// Of one request. Default: 5s.
    request_timeout: Option<Span>,
}

/// A connection.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PollTcp {
    /// host:port
    address: Words,
}

/// A file of the host, written whole or not at all.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(transform = one_content)]
pub(super) struct File {
    /// Where: absolute, or from the app's folder.
    path: Words,
    /// The text that is in it.
    content: Option<String>,
    /// The file of the host that it is made from, its variables replaced: absolute, or from the app's folder.
    template: Option<Words>,
    /// Octal, as chmod reads it. Default: "0644".
    #[schemars(regex(pattern = r"^0?[0-7]{3}$"))]
    mode: Option<String>,
    /// Default: the agent's user.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$"))]
    owner: Option<String>,
    /// Default: the owner's.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$"))]
    group: Option<String>,
}

/// A request, and what must come back.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Http {
    /// http or https.
    url: Words,
    /// The status that must come. Default: 200.
    #[schemars(range(min = 100, max = 599))]
    status: Option<u16>,
    /// A text that must be in the body.
    contains: Option<Words>,
    /// So often in a row. Default: 1.
    #[schemars(range(min = 1, max = 1000))]
    consecutive: Option<u32>,
    /// Between two. Default: 1s.
    interval: Option<Span>,
    /// Of one request. Default: 5s.
    request_timeout: Option<Span>,
}

/// A connection that must open.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Tcp {
    /// host:port
    address: Words,
    /// So often in a row. Default: 1.
    #[schemars(range(min = 1, max = 1000))]
    consecutive: Option<u32>,
    /// Between two. Default: 1s.
    interval: Option<Span>,
}

/// A unit of the host's systemd.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Systemd {
    /// app.service
    unit: Words,
    verb: Verb,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
    Enable,
    Disable,
    /// For `verify`.
    IsActive,
}

/// A unit of the host's systemd, asked whether it runs.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SystemdQuestion {
    /// app.service
    unit: Words,
    verb: Question,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Question {
    IsActive,
}

/// An action that is built in.
#[derive(JsonSchema)]
pub(super) enum Uses {
    /// Into the store.
    #[schemars(rename = "artifact/fetch@1")]
    Fetch,
    /// Fetch, unpack, switch to it.
    #[schemars(rename = "artifact/install@1")]
    Install,
    /// Switch to one that is on the disk.
    #[schemars(rename = "artifact/activate@1")]
    Activate,
    /// All of the app.
    #[schemars(rename = "artifact/remove@1")]
    Remove,
    /// Old releases.
    #[schemars(rename = "artifact/prune@1")]
    Prune,
    /// No new sessions. By the coordinator.
    #[schemars(rename = "haproxy/drain@1")]
    Drain,
    /// Wait until few sessions are left. By the coordinator.
    #[schemars(rename = "haproxy/await-sessions@1")]
    AwaitSessions,
    /// New sessions again. By the coordinator.
    #[schemars(rename = "haproxy/admit@1")]
    Admit,
}

/// What each action takes its `with` from; which one it is `uses` says.
const WITHS: [(&str, &str); 8] = [
    ("artifact/fetch@1", "WithFetch"),
    ("artifact/install@1", "WithInstall"),
    ("artifact/activate@1", "WithActivate"),
    ("artifact/remove@1", "WithRemove"),
    ("artifact/prune@1", "WithPrune"),
    ("haproxy/drain@1", "WithDrain"),
    ("haproxy/await-sessions@1", "WithAwaitSessions"),
    ("haproxy/admit@1", "WithAdmit"),
];

/// Of `uses`.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum With {
    Fetch(WithFetch),
    Install(WithInstall),
    Activate(WithActivate),
    Remove(WithRemove),
    Prune(WithPrune),
    Drain(WithDrain),
    AwaitSessions(WithAwaitSessions),
    Admit(WithAdmit),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct WithFetch {
    /// Default: target.
    release: Option<WhichRelease>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct WithInstall {
    /// Default: target.
    release: Option<WhichRelease>,
    /// Releases kept besides the running and the previous one.
    #[schemars(range(min = 0, max = 1000))]
    keep: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct WithActivate {
    /// Default: target.
    release: Option<WhichRelease>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct WithRemove {}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct WithPrune {
    /// Releases kept besides the running and the previous one.
    #[schemars(range(min = 0, max = 1000))]
    keep: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct WithDrain {
    /// By its name in the coordinator's configuration.
    balancer: Words,
    backend: Words,
    /// Default: the host's name.
    server: Option<Words>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct WithAwaitSessions {
    /// By its name in the coordinator's configuration.
    balancer: Words,
    backend: Words,
    /// Default: the host's name.
    server: Option<Words>,
    /// At most so many may be left. Default: 0.
    #[schemars(range(min = 0, max = 1_000_000))]
    sessions: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct WithAdmit {
    /// By its name in the coordinator's configuration.
    balancer: Words,
    backend: Words,
    /// Default: the host's name.
    server: Option<Words>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum WhichRelease {
    /// The rollout's.
    Target,
    /// The one that stood on the host before.
    Previous,
}

/// An action that only asks. Asked before the phase: true means it is done already. Asked after: false means it failed.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(transform = one_of_asked)]
pub(super) struct Verify {
    run: Option<Run>,
    http: Option<Http>,
    tcp: Option<Tcp>,
    systemd: Option<SystemdQuestion>,
}

/// What the agents of a wave's hosts ask.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(transform = one_of_asked)]
pub(super) struct Probe {
    run: Option<Run>,
    http: Option<Http>,
    tcp: Option<Tcp>,
}

/// Exactly one of the keys that can ask something.
pub(super) fn one_of_asked(schema: &mut Schema) {
    let there = |key: &&str| schema.pointer(&format!("/properties/{key}")).is_some();
    let asks: Vec<&str> = ["expr", "run", "http", "tcp", "systemd"]
        .into_iter()
        .filter(there)
        .collect();
    exactly_one(schema, &asks);
}

fn one_content(schema: &mut Schema) {
    exactly_one(schema, &["content", "template"]);
}

/// Exactly one of the actions, and a `with` that is of its `uses`.
pub(super) fn one_of_all(schema: &mut Schema) {
    exactly_one(schema, &["run", "http", "tcp", "systemd", "poll", "file", "uses"]);
    schema.insert("dependencies".to_owned(), json!({ "with": ["uses"] }));
    let each = WITHS.map(|(uses, with)| {
        let reference = format!("#/definitions/{with}");
        json!({
            "if": { "properties": { "uses": { "const": uses } }, "required": ["uses"] },
            "then": { "properties": { "with": { "$ref": reference } } },
        })
    });
    schema.insert("allOf".to_owned(), json!(each));
}

fn exactly_one(schema: &mut Schema, keys: &[&str]) {
    let each: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
    schema.insert("oneOf".to_owned(), each.into());
}
