//! The values that conditions are asked over. A test holds that they are those that each [`Place`](crate::Place) names.

use std::{collections::BTreeMap, sync::Arc};

use cel::{Value, objects::Key};

/// Values by the names of a place's variables.
pub trait Facts {
    /// Each variable of the place that is wanted, once. To make the others would cost more than to ask the condition.
    fn variables(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<(&'static str, Value)>;
}

/// Where a host stands in a rollout: for `when` and invariants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site<'a> {
    /// The host.
    pub host: Host<'a>,
    /// Its lane.
    pub lane: Lane<'a>,
    /// Its wave.
    pub wave: Wave<'a>,
    /// What is rolled out.
    pub release: Release<'a>,
    /// What is done.
    pub operation: &'a str,
    /// The host's pool in its datacenter: of invariants only.
    pub pool: Option<Pool<'a>>,
    /// The rollout: of invariants only.
    pub rollout: Option<Rollout>,
}

/// `host`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host<'a> {
    /// `host.name`
    pub name: &'a str,
    /// `host.datacenter`
    pub datacenter: &'a str,
    /// `host.pool`
    pub pool: &'a str,
    /// `host.labels.rack`
    pub labels: BTreeMap<&'a str, &'a str>,
}

/// `lane`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane<'a> {
    /// `lane.datacenter`
    pub datacenter: &'a str,
}

/// `wave`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wave<'a> {
    /// `wave.name`
    pub name: &'a str,
}

/// `release`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release<'a> {
    /// `release.app`
    pub app: &'a str,
    /// `release.name`
    pub name: &'a str,
}

/// `pool`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool<'a> {
    /// `pool.name`
    pub name: &'a str,
    /// `pool.hosts`
    pub hosts: u32,
    /// `pool.in_service`
    pub in_service: u32,
    /// `pool.out_of_service`
    pub out_of_service: u32,
    /// `pool.max_unavailable`
    pub max_unavailable: u32,
}

/// `rollout`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// `rollout.hosts`
    pub hosts: u32,
    /// `rollout.done`
    pub done: u32,
    /// `rollout.failed`
    pub failed: u32,
    /// `rollout.in_progress`
    pub in_progress: u32,
}

/// What came back: for `until`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Of HTTP; 0 when there was no answer.
    pub status: u16,
    /// Of HTTP.
    pub body: String,
    /// The body, where it is JSON; null where it is not.
    pub json: serde_json::Value,
    /// Of a program; 0 where none was run, -1 where a signal ended it.
    pub exit_code: i32,
    /// Of a program.
    pub output: String,
    /// Why there was no answer; empty when there was.
    pub error: String,
}

impl Facts for Site<'_> {
    fn variables(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<(&'static str, Value)> {
        let host = || {
            let labels = self.host.labels.iter().map(|(key, value)| (*key, text(value)));
            map([
                ("name", text(self.host.name)),
                ("datacenter", text(self.host.datacenter)),
                ("pool", text(self.host.pool)),
                ("labels", map(labels)),
            ])
        };
        let lane = || map([("datacenter", text(self.lane.datacenter))]);
        let wave = || map([("name", text(self.wave.name))]);
        let release = || map([("app", text(self.release.app)), ("name", text(self.release.name))]);
        let operation = || text(self.operation);
        let mut all: Vec<(&'static str, &dyn Fn() -> Value)> = vec![
            ("host", &host),
            ("lane", &lane),
            ("wave", &wave),
            ("release", &release),
            ("operation", &operation),
        ];
        let pool = self.pool.as_ref().map(|pool| || of_pool(pool));
        let rollout = self.rollout.as_ref().map(|rollout| || of_rollout(rollout));
        all.extend(pool.as_ref().map(|pool| ("pool", pool as &dyn Fn() -> Value)));
        all.extend(
            rollout
                .as_ref()
                .map(|rollout| ("rollout", rollout as &dyn Fn() -> Value)),
        );
        let wanted = all.into_iter().filter(|(name, _)| wanted(name));
        wanted.map(|(name, make)| (name, make())).collect()
    }
}

fn of_pool(pool: &Pool<'_>) -> Value {
    map([
        ("name", text(pool.name)),
        ("hosts", int(pool.hosts)),
        ("in_service", int(pool.in_service)),
        ("out_of_service", int(pool.out_of_service)),
        ("max_unavailable", int(pool.max_unavailable)),
    ])
}

fn of_rollout(rollout: &Rollout) -> Value {
    map([
        ("hosts", int(rollout.hosts)),
        ("done", int(rollout.done)),
        ("failed", int(rollout.failed)),
        ("in_progress", int(rollout.in_progress)),
    ])
}

impl Facts for Answer {
    fn variables(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<(&'static str, Value)> {
        let all = [
            ("status", int(self.status)),
            ("body", text(&self.body)),
            ("json", json(&self.json)),
            ("exit_code", int(self.exit_code)),
            ("output", text(&self.output)),
            ("error", text(&self.error)),
        ];
        all.into_iter().filter(|(name, _)| wanted(name)).collect()
    }
}

fn text(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

fn int(number: impl Into<i64>) -> Value {
    Value::Int(number.into())
}

fn map<'k>(entries: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    let entries = entries
        .into_iter()
        .map(|(key, value)| (Key::String(Arc::new(key.to_owned())), value));
    Value::Map(cel::objects::Map {
        map: Arc::new(entries.collect()),
    })
}

/// Whole numbers are CEL's `int`, so that they can be compared with what people write.
fn json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(fraction)) => Value::Float(fraction),
            (None, None) => Value::Null,
        },
        serde_json::Value::String(string) => text(string),
        serde_json::Value::Array(items) => Value::List(Arc::new(items.iter().map(json).collect())),
        serde_json::Value::Object(entries) => map(entries.iter().map(|(key, value)| (key.as_str(), json(value)))),
    }
}
