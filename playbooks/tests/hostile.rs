//! Texts that nobody means well: the reader neither panics nor hangs, and what it says of them can be shown.

mod hostile {
    pub(crate) mod hold;
    pub(crate) mod megabytes;
}

use echelon_playbooks::{LIBRARY, fault::FAULTS_MAX, read};
use hostile::{hold::hold, megabytes};
use proptest::prelude::*;

fn library() -> impl Strategy<Value = &'static str> {
    prop::sample::select(LIBRARY.map(|(_, text)| text).to_vec())
}

/// What is worth putting into a playbook to break it.
fn scrap() -> impl Strategy<Value = String> {
    let scraps = [
        "\t",
        "\r",
        "\0",
        "\u{feff}",
        "- ",
        "? ",
        ": ",
        "&a ",
        "*a",
        "!!str ",
        "<<: *a",
        "%",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        "\"",
        "|\n",
        ">-\n",
        "#",
        "---\n",
        "...\n",
        "${{ ",
        " }}",
        "${{ host.name }}",
        "on: coordinator\n",
        "yes: no\n",
        "~",
        "1.10",
        "-1",
        "100%",
        "999999999999999999999",
        "0s",
        "absent",
        "serving",
        "installed",
        "nowhere",
        "from: []",
        "undo: stop",
        "sets: release",
        "when: ",
        "host.pool == 'a' && ",
        "on_timeout: continue\n",
        "poll: { tcp: { address: x }, until: \"error == ''\" }",
        "file: { path: ../x, content: ",
        "monitor: { tcp: ",
        "limits: { memory: 5MiB",
        "secrets: { a: b/c }",
        "coupling: { lead: dc1, lag: ",
        "overrides: { dc1: ",
        "group_by: labels.",
        "order_within_group: [",
        "invariants: [{ name: x, expr: ",
        "haproxy/drain@1",
        "ä",
        "\u{2028}",
        "\u{1b}[31m",
    ];
    prop_oneof![
        prop::sample::select(scraps.to_vec()).prop_map(str::to_owned),
        "[ -~\n]{0,12}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,200}|[ -~\n\t]{0,400}") {
        let _ = hold(&text);
    }

    #[test]
    fn scraps_of_yaml_are_read_without_a_panic(scraps in prop::collection::vec(scrap(), 0..60)) {
        let _ = hold(&scraps.concat());
    }

    #[test]
    fn a_playbook_with_pieces_changed_is_read_without_a_panic(
        text in library(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..30_usize, scrap()), 1..5),
    ) {
        let mut text: Vec<char> = text.chars().collect();
        for (at, length, scrap) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, scrap.chars());
        }
        let _ = hold(&text.into_iter().collect::<String>());
    }

    #[test]
    fn a_playbook_with_lines_moved_about_is_read_without_a_panic(
        text in library(),
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 1..6),
    ) {
        let mut lines: Vec<&str> = text.lines().collect();
        for (from, to, copy) in moves {
            let line = lines[from.index(lines.len())];
            if !copy {
                let at = from.index(lines.len());
                lines.remove(at);
            }
            let at = to.index(lines.len() + 1);
            lines.insert(at, line);
        }
        let _ = hold(&lines.join("\n"));
    }

    #[test]
    fn a_playbook_with_words_exchanged_is_read_without_a_panic(
        text in library(),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let word = |at: &prop::sample::Index| {
            let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
            words[at.index(words.len())]
        };
        let changed = swaps.iter().fold(text.to_owned(), |text, (from, to)| text.replacen(word(from), word(to), 3));
        let _ = hold(&changed);
    }
}

#[test]
fn a_megabyte_made_to_be_dear_is_refused_within_its_second() {
    for (name, text) in megabytes::all() {
        assert!(hold(&text).is_err(), "{name} is a playbook");
    }
}

#[test]
fn what_is_larger_than_a_playbook_may_be_is_not_even_looked_at() {
    let fault = &hold(&" ".repeat(1024 * 1024 + 1)).unwrap_err().0[0];
    assert_eq!(fault.code, "E002");
}

#[test]
fn a_large_machine_is_checked_soon() {
    let (_, text) = LIBRARY[0];
    let states: String = (0..59).map(|at| format!("    s{at}: {{ traffic: none }}\n")).collect();
    let all: String = (0..59).map(|at| format!("s{at}, ")).collect();
    let phases: String = (0..240)
        .map(|at| format!("    - {{ name: p{at}, from: [{all}stopped], to: s{}, run: {{ argv: [x] }}, timeout: 1s, read_only: true }}\n", at % 59))
        .collect();
    let via = "serving, s1, s2, s3, stopped, ".repeat(12);
    let operations: String = (0..29)
        .map(|at| format!("    o{at}: {{ via: [{via}absent], to: serving, release: target }}\n"))
        .collect();
    let text = text.replace("    absent: {", &format!("{states}    absent: {{"));
    let text = text.replace("  compensations:\n", &format!("{phases}  compensations:\n"));
    let text = text.replace("  operations:\n", &format!("  operations:\n{operations}"));
    let faults = hold(&text).unwrap_err();
    assert!(faults.0.iter().any(|fault| fault.code == "E042"), "{faults}");
}

#[test]
fn beyond_a_bound_faults_are_counted_and_not_told() {
    let keys: String = (0..1000).map(|at| format!("key{at}: 1\n")).collect();
    let faults = hold(&keys).unwrap_err();
    assert_eq!(faults.0.len(), FAULTS_MAX + 1);
    let last = faults.0.last().unwrap();
    // 1,000 unknown keys and 5 missing ones.
    assert_eq!((last.code, last.message.as_str()), ("E008", "and 805 more"));
}

#[test]
fn a_playbook_says_the_digest_of_its_text() {
    let (_, text) = LIBRARY[0];
    let digest = read(text).unwrap().playbook.digest;
    assert_eq!(digest, echelon_proto::Digest::of(text.as_bytes()));
    assert_ne!(digest, read(&format!("{text}\n# changed\n")).unwrap().playbook.digest);
}
