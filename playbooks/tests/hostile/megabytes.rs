//! Texts of a megabyte, each made to be dear for some part of a reader that is not careful: what is quadratic in keys,
//! faults, depth or the length of a line is seen here and nowhere else.

use echelon_playbooks::LIBRARY;
use echelon_proto::limits::PLAYBOOK_BYTES_MAX;

/// Each with its name.
pub(crate) fn all() -> Vec<(String, String)> {
    let repeated = PIECES
        .iter()
        .map(|piece| (format!("{piece:?} repeated"), filled(|_| (*piece).to_owned())));
    let built: [(&str, String); 30] = [
        ("one mapping of many keys", filled(|at| format!("key{at}: 1\n"))),
        (
            "one mapping of many keys in one line",
            wrapped("{", filled(|at| format!("k{at}: 1, ")), "}"),
        ),
        ("one key again and again", filled(|_| "name: a\n".to_owned())),
        (
            "long keys that are alike",
            filled(|at| format!("{}{at}: 1\n", "k".repeat(120))),
        ),
        (
            "one key of a megabyte",
            wrapped("", filled(|_| "key".to_owned()), ": 1\n"),
        ),
        (
            "many faults in one line",
            wrapped("stages: [", filled(|_| "!!str a, &b c, *d, ".to_owned()), "]"),
        ),
        (
            "many unknown keys in one line",
            wrapped("{", filled(|at| format!("nam{at}: *a, ")), "}"),
        ),
        (
            "a fault at the end of a long line",
            wrapped("name: \"", filled(|_| "ä".to_owned()), "\"\nname: *a\n"),
        ),
        (
            "many faults behind a long comment",
            wrapped("#", "x".repeat(900_000), &format!("\n{}", "a: *b\n".repeat(20_000))),
        ),
        (
            "flow as deep as it may be",
            filled(|_| format!("- {}{}\n", "[".repeat(30), "]".repeat(30))),
        ),
        ("flow that is never closed", filled(|_| "[{a: [{b: ".to_owned())),
        ("blocks that go deeper and deeper", stairs(" ")),
        ("a list in a list in one line", filled(|_| "- ".to_owned())),
        ("many comments", filled(|at| format!("# {at}\n"))),
        ("a comment behind each key", filled(|at| format!("k{at}: 1 # why\n"))),
        ("lines that end as on Windows", filled(|at| format!("k{at}: 1\r\n"))),
        ("lines that end as on an old Mac", filled(|at| format!("k{at}: 1\r"))),
        ("a tab in each line", filled(|_| "a:\t1\n".to_owned())),
        (
            "a huge text in quotes",
            wrapped("name: \"", filled(|_| "a\\n\\u00e4".to_owned()), "\""),
        ),
        (
            "a huge text in single quotes",
            wrapped("name: '", filled(|_| "it''s ".to_owned()), "'"),
        ),
        (
            "a huge block of text",
            wrapped("name: |\n", filled(|_| "  a line\n".to_owned()), ""),
        ),
        (
            "a huge folded text of empty lines",
            wrapped("name: >\n", filled(|at| "  a\n\n\n".repeat(1 + at % 2)), ""),
        ),
        (
            "a plain text over many lines",
            wrapped("name: a\n", filled(|_| "  b\n".to_owned()), ""),
        ),
        ("aliases that would double", doubling()),
        (
            "a selector",
            set(
                "selector: \"app=storefront\"",
                "selector: \"",
                &filled(|at| format!("k{at}=v,")),
                "\"",
            ),
        ),
        (
            "a selector of one term",
            set(
                "selector: \"app=storefront\"",
                "selector: \"app=",
                &filled(|_| "v".to_owned()),
                "\"",
            ),
        ),
        (
            "templates",
            set(
                "argv: [\"./current/bin/stop\"]",
                "argv: [\"",
                &filled(|_| "${{ host.name }}".to_owned()),
                "\"]",
            ),
        ),
        (
            "templates that are never closed",
            set(
                "argv: [\"./current/bin/stop\"]",
                "argv: [\"",
                &filled(|_| "${{ ".to_owned()),
                "\"]",
            ),
        ),
        (
            "many short templates",
            set(
                "argv: [\"./current/bin/stop\"]",
                "argv: [",
                &filled(|_| "\"${{ host.nam }}\", ".to_owned()),
                "x]",
            ),
        ),
        (
            "phases from many states",
            set(
                "from: [serving, running]",
                "from: [",
                &filled(|at| format!("s{at}, ")),
                "serving]",
            ),
        ),
    ];
    let more: [(&str, String); 6] = [
        (
            "many states",
            set(
                "    absent: { traffic: none }\n",
                "    absent: { traffic: none }\n",
                &filled(|at| format!("    s{at}: {{ traffic: none }}\n")),
                "",
            ),
        ),
        (
            "many phases",
            set(
                "  phases:\n",
                "  phases:\n",
                &filled(|at| format!("    - {{ name: p{at}, from: absent, to: absent }}\n")),
                "",
            ),
        ),
        (
            "many gates",
            set(
                "gates:\n",
                "gates:\n",
                &filled(|at| format!("  g{at}: {{ kind: soak, for: 1s }}\n")),
                "",
            ),
        ),
        (
            "many waves",
            set(
                "      waves:\n",
                "      waves:\n",
                &filled(|at| format!("        - {{ name: w{at}, size: {at} }}\n")),
                "",
            ),
        ),
        (
            "many datacenters",
            set(
                "datacenters: all",
                "datacenters: [",
                &filled(|at| format!("d{at}, ")),
                "x]",
            ),
        ),
        (
            "a way over many states",
            set(
                "via: [stopped]",
                "via: [",
                &filled(|_| "stopped, running, ".to_owned()),
                "stopped]",
            ),
        ),
    ];
    let named = built
        .into_iter()
        .chain(more)
        .map(|(name, text)| (name.to_owned(), text));
    repeated.chain(named).collect()
}

/// What the whole text consists of.
const PIECES: [&str; 38] = [
    "[",
    "{",
    "- ",
    "a: ",
    "? ",
    "&a ",
    "*a ",
    "!",
    "'",
    "\"",
    "\n",
    " ",
    "\t",
    "#",
    "a: 1\n",
    "- a\n",
    "{a: b}, ",
    "a: [",
    "|\n",
    "---\n",
    ",",
    "x",
    "ä",
    "- {a: {b: [c, d]}}\n",
    "%",
    "\0",
    "\r",
    "\r\n",
    "? a\n",
    ": a\n",
    "- - - ",
    "a:\n ",
    "[]",
    "{}",
    "<<: *a\n",
    "\u{feff}",
    "\u{2028}",
    "\\",
];

/// A megabyte of pieces, less what is put around them.
fn filled(piece: impl Fn(usize) -> String) -> String {
    const ROOM: usize = 64 * 1024;
    let mut text = String::new();
    for at in 0.. {
        let piece = piece(at);
        if text.len() + piece.len() > PLAYBOOK_BYTES_MAX - ROOM {
            break;
        }
        text.push_str(&piece);
    }
    text
}

fn wrapped(before: &str, text: String, after: &str) -> String {
    format!("{before}{text}{after}")
}

/// A playbook of the library, in which one piece is exchanged.
fn set(old: &str, before: &str, text: &str, after: &str) -> String {
    let (_, whole) = LIBRARY
        .into_iter()
        .find(|(name, _)| *name == "process-rolling")
        .expect("it is shipped");
    assert!(whole.contains(old), "the library has no {old:?}");
    whole.replacen(old, &format!("{before}{text}{after}"), 1)
}

/// Each line one deeper than the one before.
fn stairs(step: &str) -> String {
    let lines = (0..1_400).map(|depth| format!("{}a:\n", step.repeat(depth)));
    lines.collect()
}

/// Each anchor is twice the one before: a reader that follows aliases would make 2^28,000 of them.
fn doubling() -> String {
    let lines = (1..28_000).map(|at| format!("a{at}: &a{at} [*a{}, *a{}]\n", at - 1, at - 1));
    std::iter::once("a0: &a0 lol\n".to_owned()).chain(lines).collect()
}
