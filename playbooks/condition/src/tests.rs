//! What conditions are let through, what they come to, and that none can hurt whoever reads it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::place::Type;

fn site() -> Site<'static> {
    Site {
        host: Host {
            name: "web-1",
            datacenter: "dc1",
            pool: "front",
            labels: BTreeMap::from([("rack", "r7"), ("tier", "gold")]),
        },
        lane: Lane { datacenter: "dc1" },
        wave: Wave { name: "canary" },
        release: Release {
            app: "web",
            name: "1.10.0",
        },
        operation: "deploy",
        pool: Some(Pool {
            name: "front",
            hosts: 20,
            in_service: 18,
            out_of_service: 2,
            max_unavailable: 3,
        }),
        rollout: Some(Rollout {
            hosts: 40,
            done: 10,
            failed: 1,
            in_progress: 2,
        }),
    }
}

fn answer() -> Answer {
    Answer {
        status: 200,
        body: "{\"state\": \"ready\", \"lag\": 3, \"load\": 0.5}".into(),
        json: json!({"state": "ready", "lag": 3, "load": 0.5, "shards": [{"ok": true}]}),
        ..Answer::default()
    }
}

#[test]
fn a_condition_holds_as_its_values_say() {
    for (text, holds) in [
        ("host.labels.tier == 'gold'", true),
        ("host.labels[\"tier\"] != 'gold'", false),
        ("has(host.labels.maintenance)", false),
        ("'rack' in host.labels && host.pool in ['front', 'back']", true),
        ("pool.in_service - 1 >= pool.hosts / 2", true),
        ("rollout.failed * 100 < rollout.hosts * 2", false),
        ("wave.name.startsWith('can') || operation == 'restart'", true),
        ("lane.datacenter == 'dc1' ? release.name.contains('.10') : false", true),
        ("size(host.name) == 5", true),
        ("pool.in_service > 17.5", true),
    ] {
        let condition = Condition::new(text, Place::Invariant).unwrap_or_else(|invalid| panic!("{text}: {invalid:?}"));
        assert_eq!(condition.holds(&site()), Ok(holds), "{text}");
    }
    for (text, holds) in [
        ("status == 200 && json.state == 'ready'", true),
        ("json.lag < 3", false),
        ("json.lag + 1 == 4", true),
        ("json.load <= 0.5", true),
        ("json.shards[0].ok", true),
        ("body.contains('ready') && error == ''", true),
        ("exit_code == 0", true),
        ("int(json.lag) % 2 == 1", true),
    ] {
        let condition = Condition::new(text, Place::Until).unwrap_or_else(|invalid| panic!("{text}: {invalid:?}"));
        assert_eq!(condition.holds(&answer()), Ok(holds), "{text}");
    }
}

#[test]
fn what_cannot_be_told_is_unknown_and_says_why() {
    for (text, why) in [
        ("json.missing == 1", "missing"),
        ("json.state > 3", "json.state"),
        ("json.state", "neither true nor false"),
        ("1 % json.zero == 1", "zero"),
    ] {
        let condition = Condition::new(text, Place::Until).unwrap();
        let unknown = condition.holds(&answer()).unwrap_err().to_string();
        assert!(unknown.contains(why), "{text}: {unknown}");
    }
    let condition = Condition::new("host.labels.shard == '1'", Place::When).unwrap();
    assert!(condition.holds(&site()).unwrap_err().to_string().contains("shard"));
}

#[test]
fn what_can_never_be_right_is_found_when_it_is_written() {
    for (text, place, at, message) in [
        ("", Place::When, 0, "empty"),
        ("host.labels.tier = 'gold'", Place::When, 17, "no condition"),
        ("hosts.name == 'a'", Place::When, 0, "knows no `hosts`"),
        ("host.nam == 'a'", Place::When, 4, "`host` knows no `nam`"),
        ("pool.in_service > 3", Place::When, 0, "knows no `pool`"),
        ("pool.in_service > '3'", Place::Invariant, 18, "compared with text"),
        ("status", Place::Until, 0, "a condition is a whole number"),
        ("status && true", Place::Until, 0, "a side of `&&`"),
        (
            "status == 200 && body + 1 == 'x'",
            Place::Until,
            24,
            "no sum of text and a whole number",
        ),
        (
            "json.differ / json.compared < 0.01",
            Place::Until,
            18,
            "whole numbers divide",
        ),
        ("[1, 2].all(x, x > 0)", Place::Until, 10, "all, exists"),
        ("body.matches('x')", Place::Until, 12, "no `matches`"),
        ("{'a': 1}.a == 1", Place::Until, 0, "no maps"),
        ("host in host.name", Place::When, 12, "`in` asks in a list"),
        ("host < host", Place::When, 0, "neither more nor less"),
        ("status == 200u", Place::Until, 10, "kind of value"),
    ] {
        let invalid = Condition::new(text, place).unwrap_err();
        assert!(invalid.message.contains(message), "{text}: {invalid:?}");
        assert_eq!(invalid.at, at, "{text}: {invalid:?}");
        assert!(!invalid.help.is_empty());
    }
}

#[test]
fn every_place_has_the_values_that_it_names() {
    fn names(fields: crate::place::Fields) -> Vec<&'static str> {
        fields.iter().map(|(name, _)| *name).collect()
    }
    let of =
        |facts: &dyn Fn() -> Vec<(&'static str, Value)>| facts().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(of(&|| site().variables(&|_| true)), names(Place::Invariant.variables()));
    assert_eq!(of(&|| answer().variables(&|_| true)), names(Place::Until.variables()));
    for (name, kind) in Place::Invariant.variables() {
        let Type::Record(fields) = kind else { continue };
        for (field, _) in *fields {
            let text = format!("has({name}.{field})");
            assert_eq!(
                Condition::new(&text, Place::Invariant).unwrap().holds(&site()),
                Ok(true),
                "{text}"
            );
        }
    }
}

#[test]
fn nothing_that_is_written_can_bring_the_stack_to_its_end() {
    let bombs = [
        "(".repeat(400),
        format!("{}1{}", "(".repeat(200), ")".repeat(200)),
        "[".repeat(499),
        format!("{}true", "!".repeat(490)),
        format!("{}1 == 1", "-".repeat(490)),
        ["true"; 80].join("||"),
        ["1"; 240].join("+") + " == 240",
        ["1"; 249].join("<"),
        format!("{}{}{}", "(".repeat(12), ["1"; 235].join("+"), ")".repeat(12)),
        format!("size({}[{}]{})", "[".repeat(11), ["1"; 230].join("*"), "]".repeat(11)),
        ["true?true"; 12].join(":") + ":true",
        format!("json{}", ".a".repeat(240)),
        format!("json{} == 1", "[0]".repeat(160)),
        "\"".repeat(499),
        "x".repeat(2000),
    ];
    // Of the threads that read conditions the smallest stack is that of a runtime's worker.
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let reader = thread.spawn(move || {
        for bomb in bombs {
            if let Ok(condition) = Condition::new(&bomb, Place::Until) {
                let _told = condition.holds(&answer());
            }
        }
    });
    reader.unwrap().join().unwrap();
}

#[test]
fn a_condition_that_was_written_is_read_back_and_holds_the_same() {
    let condition = Condition::new("json.lag < 5", Place::Until).unwrap();
    let text = serde_json::to_string(&condition).unwrap();
    let read: Condition = serde_json::from_str(&text).unwrap();
    assert_eq!(read, condition);
    assert_eq!(read.holds(&answer()), Ok(true));
    assert!(serde_json::from_str::<Condition>("\"1 +\"").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9.()\\[\\]{}'\"!&|<>=+*/%?: ä-]{0,60}") {
        for place in [Place::When, Place::Invariant, Place::Until] {
            match Condition::new(&text, place) {
                Ok(condition) => {
                    let _told = condition.holds(&answer());
                    let _told = condition.holds(&site());
                }
                Err(invalid) => prop_assert!(invalid.at <= text.len() && !invalid.help.is_empty()),
            }
        }
    }
}
