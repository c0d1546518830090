//! The house's rules, each as a test: what the repository is made of, how big its parts may be, who may see whom. Every
//! offence is told with its place and how to mend it. Deliberately nothing that the compiler, clippy or rustfmt can say.

mod tidy {
    pub(crate) mod manifests;
    pub(crate) mod offence;
    pub(crate) mod rooms;
    pub(crate) mod shape;
    pub(crate) mod source;
    pub(crate) mod tree;
    pub(crate) mod words;
}

use std::collections::BTreeSet;

use tidy::{
    manifests::{self, Manifest},
    offence::{Offence, none},
    rooms, shape, tree, words,
};

/// At the top, besides dot-files.
const TOP: [&str; 9] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "agent",
    "coordinator",
    "playbooks",
    "proto",
    "testbed",
];

/// A `pre_exec` and nothing else.
const UNSAFE: [&str; 2] = ["agent/src/host/account.rs", "agent/src/host/limits.rs"];

/// Records are applied and told by families, each in a file of its own, whose `match` leaves the other families alone.
const BY_FAMILY: [(&str, &str); 6] = [
    ("coordinator/engine/src/apply.rs", "Record"),
    ("coordinator/engine/src/apply/fleet.rs", "Record"),
    ("coordinator/engine/src/apply/rollout.rs", "Record"),
    ("coordinator/engine/src/apply/rollout/", "Record"),
    ("coordinator/engine/src/notice.rs", "Record"),
    ("coordinator/engine/src/view/event.rs", "Record"),
];

#[test]
fn the_top_level_holds_only_what_the_house_names() {
    let files = tree::tracked();
    let tops: BTreeSet<_> = files.iter().filter_map(|file| file.path.split('/').next()).collect();
    let strange = tops
        .into_iter()
        .filter(|name| !name.starts_with('.') && !TOP.contains(name));
    let mend = "put it into one of the crates";
    none(strange.map(|name| Offence::new(name, 1, "the house names no such thing at its top", mend)));
}

#[test]
fn nothing_that_ships_can_be_built_with_planted_mistakes() {
    let files = tree::tracked();
    let may = ["proto/Cargo.toml", "testbed/sim/Cargo.toml", "testbed/stack/Cargo.toml"];
    let manifests = files
        .iter()
        .filter(|file| file.path.ends_with(".toml") || file.path.starts_with(".github/"));
    let named: BTreeSet<_> = manifests
        .filter(|file| file.text.contains("planted"))
        .map(|file| file.path.as_str())
        .collect();
    assert!(
        may.iter().all(|path| named.contains(path)),
        "the feature is not where it is looked for: {named:?}"
    );
    let mend = "only the simulation may ask for them: see proto/src/planted.rs";
    let strange = named.into_iter().filter(|path| !may.contains(path));
    none(strange.map(|path| Offence::new(path, 1, "names the feature `planted`", mend)));
}

#[test]
fn every_file_opens_with_what_it_is() {
    none(tree::sources().iter().filter_map(shape::opens_with_what_it_is));
}

#[test]
fn no_file_is_too_long() {
    none(
        tree::sources()
            .iter()
            .filter_map(|source| shape::file_length(&source.path, &source.text)),
    );
}

#[test]
fn no_function_is_too_long_or_too_deep_and_every_test_is_a_sentence() {
    none(tree::sources().iter().flat_map(shape::functions));
}

#[test]
fn every_file_is_named_after_what_is_in_it() {
    none(tree::sources().iter().filter_map(|source| shape::name(&source.path)));
}

#[test]
fn nothing_is_left_over_and_no_machine_is_named() {
    let texts = tree::tracked()
        .into_iter()
        .filter(|file| !file.is_binary && file.path != "Cargo.lock");
    none(texts.flat_map(|file| words::anywhere(&file.path, &file.text)));
}

#[test]
fn no_test_is_ignored_nothing_is_unwritten_and_every_queue_has_a_bound() {
    none(tree::sources().iter().flat_map(words::tokens));
}

#[test]
fn no_code_stands_in_comments() {
    let manifests = tree::tracked().into_iter().filter(|file| file.path.ends_with(".toml"));
    let keys = manifests.flat_map(|file| words::dead_keys(&file.path, &file.text));
    none(keys.chain(tree::sources().iter().flat_map(words::dead_code)));
}

#[test]
fn unsafe_stands_where_it_must_and_says_why_it_is_sound() {
    none(
        tree::sources()
            .iter()
            .flat_map(|source| words::unsafety(source, &UNSAFE)),
    );
}

#[test]
fn nothing_that_a_program_makes_is_committed() {
    none(
        tree::tracked()
            .iter()
            .filter_map(|file| words::generated(&file.path, &file.text, file.is_binary)),
    );
}

#[test]
fn the_lock_file_names_no_registry_but_the_usual_one() {
    let files = tree::tracked();
    let lock = files
        .iter()
        .find(|file| file.path == "Cargo.lock")
        .expect("Cargo.lock is tracked");
    let usual = concat!("source = \"registry+https://github.com/rust-lang/crates", ".io-index\"");
    let lines = lock.text.lines().enumerate();
    let strange = lines.filter(|(_, line)| line.starts_with("source = ") && *line != usual);
    let mend = "take released versions; a mirror belongs into the machine's own cargo settings";
    none(strange.map(|(at, line)| Offence::new("Cargo.lock", at + 1, line, mend)));
}

#[test]
fn every_dependency_is_declared_once_for_all_and_used() {
    let files = tree::manifests();
    let members: Vec<_> = files
        .iter()
        .map(|file| Manifest::read(&file.path, &file.text))
        .collect();
    let top = std::fs::read_to_string(tree::top().join("Cargo.toml")).unwrap();
    let unused = manifests::unused(&Manifest::read("Cargo.toml", &top), &members);
    none(members.iter().flat_map(Manifest::declared_here).chain(unused));
}

#[test]
fn every_crate_sees_only_the_crates_it_may() {
    let files = tree::manifests();
    assert_eq!(files.len(), 16, "a crate came or went: tidy/manifests.rs must know");
    let members: Vec<_> = files
        .iter()
        .map(|file| Manifest::read(&file.path, &file.text))
        .collect();
    let wired = members.iter().filter_map(Manifest::wired);
    none(
        members
            .iter()
            .flat_map(Manifest::sees)
            .chain(wired)
            .chain(members.iter().filter_map(Manifest::stores)),
    );
}

#[test]
fn every_crate_keeps_the_workspaces_lints() {
    let files = tree::manifests();
    none(
        files
            .iter()
            .filter_map(|file| Manifest::read(&file.path, &file.text).lints()),
    );
}

#[test]
fn what_must_be_pure_has_no_io_clock_or_chance_below_it() {
    // Without build dependencies: what compiles the .proto files never runs in the engine.
    let below = manifests::pure().map(|package| (package, manifests::below(&[package], "normal")));
    assert!(
        below.iter().all(|(_, below)| below.contains("serde")),
        "nothing was seen: {below:?}"
    );
    none(
        below
            .iter()
            .flat_map(|(package, below)| manifests::impure(package, below)),
    );
}

#[test]
fn one_provider_of_tls_is_built() {
    let shipped = ["echelon-agent", "echelon-cli", "echelon-coordinator", "echelon-testbed"];
    let below = manifests::below(&shipped, "normal,build,dev");
    assert!(below.contains("aws-lc-rs"), "nothing was seen: {below:?}");
    none(manifests::foreign_tls(&below));
}

#[test]
fn the_engine_reads_no_clock_does_no_io_and_keeps_an_order() {
    none(tree::sources().iter().flat_map(rooms::engine));
}

#[test]
fn the_engine_says_what_it_does_with_each_variant_of_our_own() {
    let sources = tree::sources();
    let own = ["coordinator/engine/src/", "playbooks/src/", "proto/src/"];
    let ours = || {
        sources
            .iter()
            .filter(|source| own.iter().any(|room| source.path.starts_with(room)))
    };
    let enums: BTreeSet<_> = ours().flat_map(shape::enums).collect();
    assert!(enums.contains("Record") && enums.contains("GateKind"), "{enums:?}");
    let engine = sources
        .iter()
        .filter(|source| source.path.starts_with("coordinator/engine/src/"));
    let found = engine.flat_map(|source| shape::wildcards(source, &enums));
    let by_family = |name: &str, offence: &Offence| {
        BY_FAMILY
            .iter()
            .any(|(file, family)| offence.file.starts_with(file) && name == *family)
    };
    none(
        found
            .filter(|(name, offence)| !by_family(name, offence))
            .map(|(_, offence)| offence),
    );
}

#[test]
fn the_wires_types_stay_in_their_rooms() {
    none(tree::sources().iter().flat_map(rooms::wire));
}

#[test]
fn the_store_is_named_in_one_file() {
    none(tree::sources().iter().flat_map(rooms::store));
}

#[test]
fn libraries_have_errors_of_their_own() {
    none(tree::sources().iter().flat_map(rooms::anyhow));
}
