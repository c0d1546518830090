//! What belongs into which room: the engine's purity as its source shows it, the wire's types, the store's name.

use super::{offence::Offence, source::Source};

/// The engine, what drives it in virtual time, and the judge: the same input must give the same output.
const PURE: [&str; 3] = [
    "coordinator/engine/src/",
    "coordinator/judge/src/",
    "coordinator/rehearsal/src/",
];
const STORE: &str = "coordinator/src/journal/sled.rs";

/// Where the wire's types may be named in what is shipped. The command line is the wire's face: it shows what it is told.
const WIRE: [&str; 9] = [
    "agent/src/link.rs",
    "agent/src/link/",
    "coordinator/cli/src/",
    "coordinator/src/api.rs",
    "coordinator/src/api/",
    "coordinator/src/link.rs",
    "coordinator/src/link/",
    "coordinator/src/serve/face.rs",
    "coordinator/shape/src/",
];

/// Clocks, chance, IO and what has no order of its own, in the engine.
pub(crate) fn engine(source: &Source) -> Vec<Offence> {
    if !PURE.iter().any(|room| source.path.starts_with(room)) {
        return Vec::new();
    }
    let mut rows: Vec<(Vec<&str>, &str)> = vec![
        (vec!["HashMap"], "BTreeMap: a replay must go in the same order"),
        (vec!["HashSet"], "BTreeSet: a replay must go in the same order"),
        (vec!["SystemTime"], "take the time as `now: Time`"),
        (vec!["Instant"], "take the time as `now: Time`"),
        (vec!["now", "(", ")"], "take the time as `now: Time`"),
        (vec!["async"], "the engine waits for nothing; the shell does"),
        (vec!["thread_local", "!"], "state belongs into State"),
        (vec!["static", "mut"], "state belongs into State"),
    ];
    for module in ["fs", "net", "thread", "env", "process", "io", "time"] {
        rows.push((vec!["std", ":", ":", module], "IO and clocks belong to the shell"));
    }
    for number in ["f32", "f64"] {
        if !source.path.ends_with("/judge.rs") && !source.path.contains("/judge/") {
            rows.push((vec![number], "count in whole numbers: a replay must come to the same"));
        }
    }
    let tell =
        |row: &[&str], line, mend| Offence::new(&source.path, line, format!("`{}` in the engine", row.concat()), mend);
    let found = rows
        .iter()
        .flat_map(|(row, mend)| source.find(row).into_iter().map(|line| tell(row, line, mend)));
    found.collect()
}

/// The wire's types outside of their rooms.
pub(crate) fn wire(source: &Source) -> Vec<Offence> {
    let home = WIRE.iter().any(|room| source.path.starts_with(room));
    let beyond = ["testbed/", "proto/"].iter().any(|room| source.path.starts_with(room));
    if home || beyond || !source.is_shipped() {
        return Vec::new();
    }
    let lines = source
        .at(&["echelon_proto", ":", ":"])
        .filter_map(|at| names_wire(source, at + 3));
    let mend = "take a type of your own; api, link and face translate";
    lines
        .map(|line| Offence::new(&source.path, line, "a type of the wire outside of its rooms", mend))
        .collect()
}

/// After `echelon_proto::`, alone or in a list.
fn names_wire(source: &Source, from: usize) -> Option<usize> {
    let rest = source.tokens.get(from..)?;
    if rest.first()?.text != "{" {
        return rest
            .first()
            .filter(|token| token.text == "wire")
            .map(|token| token.line);
    }
    let mut depth = 0;
    for (at, token) in rest.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "wire" if depth == 1 && matches!(rest[at - 1].text.as_str(), "{" | ",") => return Some(token.line),
            _ => {}
        }
        if depth == 0 {
            return None;
        }
    }
    None
}

/// The database under the journal, outside of its one file. The journal itself names the module and its type only.
pub(crate) fn store(source: &Source) -> Vec<Offence> {
    if source.path.starts_with(STORE) || source.path.starts_with("coordinator/src/journal/sled/") {
        return Vec::new();
    }
    let module = source.path == "coordinator/src/journal.rs";
    let named = source.at(&["sled", ":", ":"]).filter(|at| {
        let next = source.tokens.get(at + 3).map(|token| token.text.as_str());
        !(module && next == Some("SledStore"))
    });
    let mut lines: Vec<_> = named.map(|at| source.tokens[at].line).collect();
    lines.extend(source.find(&["use", "sled"]));
    lines.extend(source.find(&["crate", "sled"]));
    lines.dedup();
    let mend = "go through journal::Store: the next store is no sled";
    lines
        .into_iter()
        .map(|line| Offence::new(&source.path, line, "sled is named", mend))
        .collect()
}

/// `anyhow` outside of a `main.rs` or an example, which is one: a library's errors are types.
pub(crate) fn anyhow(source: &Source) -> Vec<Offence> {
    let is_main = source.path.ends_with("/main.rs") || source.path.contains("/examples/");
    if source.path.starts_with("testbed/") || is_main {
        return Vec::new();
    }
    let mend = "make it a variant of module::Error";
    let found = source.find(&["anyhow"]).into_iter();
    found
        .map(|line| Offence::new(&source.path, line, "`anyhow` outside of a main.rs", mend))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, text: &str) -> Source {
        Source::read(path, text)
    }

    #[test]
    fn clocks_chance_and_io_in_the_engine_offend() {
        let bad = [
            "use std::collections::HashMap;",
            "fn f() { SystemTime::now(); }",
            "fn f() { Timestamp::now(); }",
            "fn f(x: f64) {}",
            "async fn f() {}",
            "fn f() { std::fs::read(p); }",
        ];
        for text in bad {
            assert!(!engine(&at("coordinator/engine/src/x.rs", text)).is_empty(), "{text}");
            assert!(engine(&at("coordinator/src/x.rs", text)).is_empty(), "{text}");
        }
        assert!(engine(&at("coordinator/engine/src/judge/mann.rs", "fn f(x: f64) {}")).is_empty());
        assert!(
            engine(&at(
                "coordinator/engine/src/x.rs",
                "fn f(now: Time) -> BTreeMap<u8, u8> {}"
            ))
            .is_empty()
        );
    }

    #[test]
    fn the_wire_offends_outside_of_its_rooms() {
        let bad = [
            "use echelon_proto::wire::link::Order;",
            "use echelon_proto::{HostId, wire::link::Order};",
            "fn f(x: echelon_proto::wire::control::Host) {}",
            "use echelon_proto::{wire, HostId};",
        ];
        for text in bad {
            assert_eq!(wire(&at("coordinator/src/driver.rs", text)).len(), 1, "{text}");
            assert!(wire(&at("coordinator/src/api/hosts.rs", text)).is_empty(), "{text}");
            assert!(wire(&at("agent/tests/agent/library.rs", text)).is_empty(), "{text}");
        }
        let good = "use echelon_proto::{HostId, limits::{wire}}; use self::wire; use other::{wire};";
        assert!(wire(&at("coordinator/src/driver.rs", good)).is_empty());
    }

    #[test]
    fn the_store_offends_outside_of_its_file() {
        for text in [
            "use sled::Db;",
            "fn f() { ::sled::open(p); }",
            "extern crate sled;",
            "use sled as db;",
        ] {
            assert_eq!(store(&at("coordinator/src/driver.rs", text)).len(), 1, "{text}");
            assert!(store(&at(STORE, text)).is_empty(), "{text}");
        }
        assert!(
            store(&at(
                "coordinator/src/journal.rs",
                "mod sled; pub use self::sled::SledStore;"
            ))
            .is_empty()
        );
        assert_eq!(store(&at("coordinator/src/journal.rs", "use self::sled::Db;")).len(), 1);
    }

    #[test]
    fn anyhow_offends_outside_of_a_main() {
        assert_eq!(
            anyhow(&at("agent/src/link.rs", "fn f() -> anyhow::Result<()> {}")).len(),
            1
        );
        assert!(anyhow(&at("agent/src/main.rs", "fn f() -> anyhow::Result<()> {}")).is_empty());
    }
}
