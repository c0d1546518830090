//! A playbook written out as it is read: the same language, every default filled in, nothing left to be known by heart.
//! What is written is read as the same playbook. Deliberately no comments and no order of the author's: those are in the
//! text, and only there.

mod action;
mod canary;
pub(crate) mod item;
mod machine;
mod params;
mod stages;

use crate::model::{
    Action, Ask, Coupling, HostRule, Invariant, Lanes, OnFailure, OnLaneFailure, Playbook, Rollback, Rule, Selection,
    Unreachable,
};
use item::Item;
pub(crate) use params::declared;

/// The playbook as YAML text, with line breaks.
#[must_use]
pub fn render(playbook: &Playbook) -> String {
    written(playbook).yaml()
}

/// What an action does, as YAML on one line.
pub(crate) fn action_line(action: &Action) -> String {
    let entries = action::entries(action);
    let entries: Vec<String> = entries
        .iter()
        .map(|(key, value)| format!("{key}: {}", value.line()))
        .collect();
    entries.join(", ")
}

/// The playbook as a tree. Every field of the model is taken apart by name, so that one that is added to the language and
/// not written here does not compile.
pub(crate) fn written(playbook: &Playbook) -> Item {
    let Playbook {
        name,
        version,
        // Of the text, which this is not.
        digest: _,
        // What is extended and what was given for parameters has been filled in.
        base: _,
        params: _,
        hosts,
        machine,
        lanes,
        stages,
        gates,
        on_failure,
        rollback,
        invariants,
    } = playbook;
    let invariants = invariants.iter().map(invariant).collect();
    let stages = stages.iter().map(stages::stage);
    Item::map()
        .with("name", Item::text(name))
        .with("version", Item::bare(version))
        .with("hosts", selection(hosts))
        .with("machine", machine::machine(machine))
        .with_some("invariants", Item::List(invariants).filled())
        .with_some("gates", stages::gates(gates))
        .with("lanes", lanes_of(lanes))
        .with("stages", Item::List(stages.collect()))
        .with("on_failure", failure(on_failure))
        .with("rollback", rollback_of(rollback))
}

fn selection(selection: &Selection) -> Item {
    let Selection {
        selector,
        exclude,
        expect_min,
        expect_max,
        unreachable,
    } = selection;
    let unreachable = match unreachable {
        Unreachable::Debt => "debt",
        Unreachable::Wait => "wait",
        Unreachable::Fail => "fail",
    };
    let mut expect = Item::map();
    expect = expect.with_some("min", expect_min.map(Item::bare));
    expect = expect.with_some("max", expect_max.map(Item::bare));
    Item::map()
        .with("selector", Item::text(selector))
        .with_some("exclude", exclude.as_ref().map(Item::text))
        .with_some("expect", expect.filled())
        .with("unreachable", Item::bare(unreachable))
}

fn invariant(invariant: &Invariant) -> Item {
    let Invariant { name, ask } = invariant;
    let map = Item::map().with("name", Item::text(name));
    match ask {
        Ask::Expr(condition) => map.with("expr", Item::text(condition)),
        Ask::Host(asked) => action::entries(asked)
            .into_iter()
            .fold(map, |map, (key, value)| map.with(key, value)),
    }
}

fn lanes_of(lanes: &Lanes) -> Item {
    let Lanes {
        datacenters,
        on_lane_failure,
        coupling,
    } = lanes;
    let coupling = match coupling {
        Coupling::Free => Item::bare("free"),
        Coupling::Lockstep => Item::bare("lockstep"),
        Coupling::Lead { datacenter, lag } => Item::map()
            .with("lead", Item::text(datacenter))
            .with("lag", Item::text(lag)),
    };
    let datacenters = match datacenters {
        Some(named) => Item::List(named.iter().map(Item::text).collect()),
        None => Item::bare("all"),
    };
    let on_lane_failure = match on_lane_failure {
        OnLaneFailure::StopLane => "stop_lane",
        OnLaneFailure::StopAll => "stop_all",
        OnLaneFailure::RollbackAll => "rollback_all",
    };
    Item::map()
        .with("datacenters", datacenters)
        .with("on_lane_failure", Item::bare(on_lane_failure))
        .with("coupling", coupling)
}

fn failure(on_failure: &OnFailure) -> Item {
    let OnFailure {
        host_retry,
        host_then,
        gate,
        budget,
    } = on_failure;
    let then = match host_then {
        HostRule::Quarantine => "quarantine",
        HostRule::Hold => "hold",
        HostRule::Rollback => "rollback",
    };
    let host = Item::map()
        .with("retry", Item::bare(host_retry))
        .with("then", Item::bare(then));
    Item::map()
        .with("host", host)
        .with("gate", rule(*gate))
        .with("budget", rule(*budget))
}

fn rule(rule: Rule) -> Item {
    Item::bare(match rule {
        Rule::Proceed => "proceed",
        Rule::Hold => "hold",
        Rule::Rollback => "rollback",
        Rule::Abort => "abort",
    })
}

fn rollback_of(rollback: &Rollback) -> Item {
    let Rollback {
        max_parallel,
        keep_max_unavailable,
    } = rollback;
    let pace = max_parallel.map(|hosts| Item::map().with("max_parallel", Item::bare(hosts)));
    Item::map()
        .with_some("pace", pace)
        .with("order", Item::bare("reverse"))
        .with("keep_max_unavailable", Item::bare(keep_max_unavailable))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{Given, LIBRARY, flatten, read, read_with};

    const SMALLEST: &str = include_str!("../tests/good/smallest.yaml");

    /// All that are shipped, and all of the tests.
    fn good() -> Vec<(String, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let yaml = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
        let texts = yaml.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()));
        let library = LIBRARY.map(|(name, text)| (name.to_owned(), text.to_owned()));
        texts.chain(library).collect()
    }

    #[test]
    fn what_is_written_is_read_as_the_same_playbook() {
        for (name, text) in good() {
            let unset = read(&text).unwrap().playbook;
            let given = Given {
                params: unset
                    .unset()
                    .map(|(param, _)| (param.clone(), "uptime".to_owned()))
                    .collect(),
                bases: None,
            };
            let read_first = read_with(&text, &given).unwrap().playbook;
            let flat = read(&flatten(&text, &given).unwrap()).unwrap().playbook;
            let written = render(&flat);
            let again = read(&written)
                .unwrap_or_else(|faults| panic!("{name}: {faults}\n{written}"))
                .playbook;
            assert_eq!((&again.base, again.params.len()), (&None, 0), "{name}");
            let again = Playbook {
                digest: read_first.digest,
                // What is written out has neither.
                base: read_first.base.clone(),
                params: read_first.params.clone(),
                ..again
            };
            assert_eq!(again, read_first, "{name}: {written}");
            assert_eq!(render(&again), written, "{name}");
        }
    }

    #[test]
    fn defaults_are_written_out() {
        let text = render(&read(SMALLEST).unwrap().playbook);
        for line in [
            "  datacenters: all",
            "      failure_budget:",
            "        scope: datacenter",
            "        max: 0",
            "    gate: hold",
        ] {
            assert!(text.contains(line.trim_start()), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn texts_that_yaml_would_read_otherwise_are_in_quotes() {
        let shown = |text: &str| Item::text(text).yaml();
        for text in [
            "1.10",
            "true",
            "",
            "a: b",
            "a,b",
            "- a",
            "#a",
            "${{ host.name }}",
            "*",
            "a\n\u{1}\"\\",
            "~",
            "on",
        ] {
            let yaml = shown(text);
            assert!(yaml.starts_with('"') && yaml.ends_with("\"\n"), "{text:?} is {yaml}");
        }
        assert_eq!(shown("a\n\u{1}\"\\\u{7f}ä"), "\"a\\n\\x01\\\"\\\\\\x7Fä\"\n");
        for text in ["storefront", "app=web", "./current/bin/start", "artifact/install@1"] {
            assert_eq!(shown(text), format!("{text}\n"));
        }
    }
}
