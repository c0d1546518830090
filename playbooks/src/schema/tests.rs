//! The schema and the reader hold each other: the same keys, the same playbooks. The validator is not ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use jsonschema::Validator;
use serde_json::{Map, Number, Value};

use super::extending;
use crate::{
    LIBRARY, check,
    text::{
        Source,
        scalar::{Plain, resolve},
        tree::{self, Node},
    },
};

/// Which definition mirrors which shape of the reader.
const MIRRORS: [(&str, &str); 58] = [
    ("a playbook", "Playbook"),
    ("`hosts`", "Hosts"),
    ("`expect`", "Expect"),
    ("`lanes`", "Lanes"),
    ("`on_failure`", "OnFailure"),
    ("`on_failure.host`", "HostFailure"),
    ("`rollback`", "Rollback"),
    ("`pace`", "Pace"),
    ("`machine`", "Machine"),
    ("a state", "State"),
    ("an operation", "Operation"),
    ("a phase", "Phase"),
    ("a compensation", "Compensation"),
    ("`retry`", "Retry"),
    ("`verify`", "Verify"),
    ("`probe`", "Probe"),
    ("`run`", "Run"),
    ("`http`", "Http"),
    ("`tcp`", "Tcp"),
    ("`systemd`", "Systemd"),
    ("`with` of artifact/fetch", "WithFetch"),
    ("`with` of artifact/install", "WithInstall"),
    ("`with` of artifact/activate", "WithActivate"),
    ("`with` of artifact/prune", "WithPrune"),
    ("`with` of artifact/remove", "WithRemove"),
    ("a health gate", "HealthGate"),
    ("an approval gate", "ApprovalGate"),
    ("a soak gate", "SoakGate"),
    ("a window gate", "WindowGate"),
    ("a canary gate", "CanaryGate"),
    ("a gauge of a canary gate", "GaugeMetric"),
    ("a count of a canary gate", "CountMetric"),
    ("a ratio of a canary gate", "RatioMetric"),
    ("a latency of a canary gate", "LatencyMetric"),
    ("a guard of a canary gate", "GuardMetric"),
    ("a forecast of a canary gate", "ForecastMetric"),
    ("a kayenta of a canary gate", "KayentaMetric"),
    ("`score`", "Score"),
    ("hours of a window", "Hours"),
    ("a stage", "Stage"),
    ("`deploy`", "Deploy"),
    ("`failure_budget`", "FailureBudget"),
    ("`waves`", "LadderWaves"),
    ("`ladder`", "Ladder"),
    ("a wave", "Wave"),
    ("a parameter", "Declared"),
    ("`monitor`", "Monitor"),
    ("`coupling`", "Lead"),
    ("an override", "Override"),
    ("an invariant", "Invariant"),
    ("`limits`", "Limits"),
    ("`poll`", "Poll"),
    ("`http` of a poll", "PollHttp"),
    ("`tcp` of a poll", "PollTcp"),
    ("`file`", "File"),
    ("`with` of haproxy/drain", "WithDrain"),
    ("`with` of haproxy/await-sessions", "WithAwaitSessions"),
    ("`with` of haproxy/admit", "WithAdmit"),
];

/// Faults that a schema can see: of keys, of kinds of values, of words that can stand somewhere.
const OF_SHAPE: [&str; 13] = [
    "E010", "E011", "E012", "E013", "E014", "E015", "E020", "E022", "E023", "E026", "E027", "E035", "E040",
];

/// What no playbook of the tests has a use for.
const RARE: &str = "machine: { phases: [
  { name: a, uses: artifact/fetch@1, with: {} }, { name: b, uses: artifact/prune@1, with: {} },
  { name: c, uses: artifact/remove@1, with: {} } ] }";

fn schema() -> Value {
    serde_json::from_str(&super::text()).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft7::new(&schema()).unwrap()
}

/// A text as every YAML reader would give it to a validator; `None` where it is none.
fn value(text: &str) -> Option<Value> {
    let source = Source::new(text);
    let (root, faults) = tree::parse(&source);
    root.filter(|_| faults.is_empty()).map(|root| of_node(&root))
}

fn of_node(node: &Node) -> Value {
    match &node.value {
        tree::Value::Map(entries) => {
            let entries = entries.iter().map(|(key, node)| (key.text.clone(), of_node(node)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        tree::Value::List(items) => items.iter().map(of_node).collect(),
        tree::Value::Scalar(scalar) if scalar.plain => match resolve(&scalar.text) {
            Plain::Nothing => Value::Null,
            Plain::Truth(truth) => truth.into(),
            Plain::Number | Plain::Fraction => number(&scalar.text),
            Plain::Text => scalar.text.as_str().into(),
        },
        tree::Value::Scalar(scalar) => scalar.text.as_str().into(),
        tree::Value::Broken => Value::Null,
    }
}

fn number(text: &str) -> Value {
    let whole = text.parse::<i64>().ok().map(Number::from);
    let number = whole.or_else(|| text.parse().ok().and_then(Number::from_f64));
    number.map_or(Value::Null, Value::Number)
}

fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let yaml = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    yaml.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect()
}

#[test]
fn every_good_playbook_is_valid() {
    let validator = validator();
    let readme = include_str!("../../README.md");
    let examples = readme.split("```yaml\n").skip(1);
    let examples = examples.map(|rest| ("README.md".to_owned(), rest.split("```").next().unwrap().to_owned()));
    let library = LIBRARY.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let mut looked = 0;
    for (name, text) in files("good").into_iter().chain(library).chain(examples) {
        let value = value(&text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {}", errors.join("\n"));
        looked += 1;
    }
    let alone = readme.matches("```yaml\n").count();
    assert_eq!(looked, files("good").len() + LIBRARY.len() + alone);
    assert!(files("good").len() > 3 && alone > 2, "{looked}");
}

#[test]
fn a_playbook_with_every_default_written_out_is_valid() {
    let validator = validator();
    for (name, text) in LIBRARY
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into_iter()
        .chain(files("good"))
    {
        let written = crate::render(&crate::read(&text).unwrap().playbook);
        assert!(validator.is_valid(&value(&written).unwrap()), "{name}: {written}");
    }
}

#[test]
fn every_fault_of_shape_is_seen() {
    let validator = validator();
    let mut seen = BTreeSet::new();
    for (name, text) in files("faults") {
        let Err(faults) = crate::read(&text) else {
            panic!("{name}")
        };
        let codes: BTreeSet<_> = faults.0.iter().map(|fault| fault.code).collect();
        let codes: Vec<_> = codes.into_iter().filter(|code| OF_SHAPE.contains(code)).collect();
        // Whether the value of a parameter fits where it stands, or a base has what is missing, no schema can say.
        if text.contains("params.") || text.contains("extends:") {
            continue;
        }
        // What is no YAML never comes to a validator.
        if let (false, Some(value)) = (codes.is_empty(), value(&text)) {
            assert!(!validator.is_valid(&value), "{name} has {codes:?} and is valid");
            seen.extend(codes);
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), OF_SHAPE);
}

#[test]
fn the_schema_has_the_keys_of_the_reader() {
    // Between them these playbooks have every kind of mapping, right or wrong.
    let texts = [files("good"), files("faults")].concat();
    for text in texts.iter().map(|(_, text)| text.as_str()).chain([RARE]) {
        let _ = crate::read(text);
    }
    let (schema, mirrors) = (schema(), BTreeMap::from(MIRRORS));
    let met = check::met::shapes();
    for (what, (required, keys)) in &met {
        // Where the kind of a gate is not known there is nothing to mirror.
        if *what == "a gate" {
            continue;
        }
        let name = mirrors
            .get(what)
            .unwrap_or_else(|| panic!("no type of the schema mirrors {what}"));
        let definition = match *name {
            "Playbook" => &schema,
            name => &schema["definitions"][name],
        };
        let properties = definition["properties"].as_object().into_iter().flat_map(Map::keys);
        let said = definition["required"].as_array().into_iter().flatten();
        // What a playbook that extends another need not say is asked of the others only.
        let whole: &[&str] = match *name {
            "Playbook" => &extending::OF_WHOLE,
            "Hosts" => &extending::OF_HOSTS,
            "Deploy" => &extending::OF_DEPLOY,
            _ => &[],
        };
        let said = said.filter_map(Value::as_str).chain(whole.iter().copied());
        assert_eq!(
            set(properties.map(String::as_str)),
            set(keys.iter().copied()),
            "keys of {what}"
        );
        assert_eq!(set(said), set(required.iter().copied()), "required keys of {what}");
        assert_eq!(definition["additionalProperties"], false, "{what}");
    }
    let gone: Vec<_> = mirrors.keys().filter(|what| !met.contains_key(*what)).collect();
    assert!(
        gone.is_empty(),
        "the reader knows no {gone:?}, or no playbook of the tests has one"
    );
}

fn set<'k>(keys: impl Iterator<Item = &'k str>) -> BTreeSet<&'k str> {
    keys.collect()
}
