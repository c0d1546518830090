//! Texts of a megabyte, each made to be dear for some part of a reader that is not careful: what is quadratic in keys,
//! faults, depth or the length of a line is seen here and nowhere else.

use echelon_playbooks::LIBRARY;
use echelon_proto::limits::PLAYBOOK_BYTES_MAX;

/// Taken by what stands around the pieces.
const ROOM: usize = 64 * 1024;

/// Each with its name.
pub(crate) fn all() -> Vec<(String, String)> {
    let repeated = PIECES
        .iter()
        .map(|piece| (format!("{piece:?} repeated"), filled(piece)));
    let around = AROUND.iter().map(|(name, before, piece, after)| {
        let text = format!("{before}{}{after}", filled(piece));
        ((*name).to_owned(), text)
    });
    let within = WITHIN
        .iter()
        .map(|(name, old, before, piece, after)| ((*name).to_owned(), within(old, before, piece, after)));
    let built = [
        ("faults behind a long comment", behind_a_comment()),
        (
            "long keys that are alike",
            filled(&format!("{}{{at}}: 1\n", "k".repeat(120))),
        ),
        (
            "flow as deep as it may be",
            filled(&format!("- {}{}\n", "[".repeat(30), "]".repeat(30))),
        ),
        ("blocks that go deeper and deeper", stairs()),
        ("aliases that would double", doubling()),
    ];
    let built = built.into_iter().map(|(name, text)| (name.to_owned(), text));
    repeated.chain(around).chain(within).chain(built).collect()
}

/// What a whole text consists of.
#[rustfmt::skip]
const PIECES: [&str; 38] = [
    "[", "{", "- ", "a: ", "? ", "&a ", "*a ", "!", "'", "\"", "\n", " ", "\t", "#", "a: 1\n", "- a\n", "{a: b}, ", "a: [",
    "|\n", "---\n", ",", "x", "ä", "- {a: {b: [c, d]}}\n", "%", "\0", "\r", "\r\n", "? a\n", ": a\n", "- - - ", "a:\n ",
    "[]", "{}", "<<: *a\n", "\u{feff}", "\u{2028}", "\\",
];

/// Name, what stands before the pieces, the piece (`{at}` is its number), what stands after.
#[rustfmt::skip]
const AROUND: [(&str, &str, &str, &str); 23] = [
    ("unknown keys far longer than known ones", "", "NNNNNNNNNNNNN---NNNNEachNNNNNNNNNNNNNNNNNNNN{at}: web\n", ""),
    ("unknown keys as long as known ones", "", "compens{at}: web\n", ""),
    ("one mapping of many keys", "", "key{at}: 1\n", ""),
    ("one mapping of many keys in one line", "{", "k{at}: 1, ", "}"),
    ("one key again and again", "", "name: a\n", ""),
    ("one key of a megabyte", "", "key", ": 1\n"),
    ("many faults in one line", "stages: [", "!!str a, &b c, *d, ", "]"),
    ("many unknown keys in one line", "{", "nam{at}: *a, ", "}"),
    ("a fault at the end of a long line", "name: \"", "ä", "\"\nname: *a\n"),
    ("flow that is never closed", "", "[{a: [{b: ", ""),
    ("a list in a list in one line", "", "- ", "a"),
    ("many comments", "", "# {at}\n", ""),
    ("a comment behind each key", "", "k{at}: 1 # why\n", ""),
    ("lines that end as on Windows", "", "k{at}: 1\r\n", ""),
    ("lines that end as on an old Mac", "", "k{at}: 1\r", ""),
    ("a tab in each line", "", "a:\t1\n", ""),
    ("a huge text in quotes", "name: \"", "a\\n\\u00e4", "\""),
    ("a huge text in single quotes", "name: '", "it''s ", "'"),
    ("a huge text over many lines in quotes", "name: \"", "a\n\n  b\n ", "\""),
    ("a huge block of text", "name: |\n", "  a line\n", ""),
    ("a huge folded text of empty lines", "name: >\n", "  a\n\n\n", ""),
    ("a plain text over many lines", "name: a\n", "  b\n", ""),
    ("numbers that are too large", "version: ", "9", "\n"),
];

/// Name, what of the library's playbook is exchanged, and for what: before, piece, after.
#[rustfmt::skip]
const WITHIN: [(&str, &str, &str, &str, &str); 12] = [
    ("a selector", "selector: \"app=storefront\"", "selector: \"", "k{at}=v,", "\""),
    ("a selector of one term", "selector: \"app=storefront\"", "selector: \"app=", "v", "\""),
    ("templates", "argv: [\"./current/bin/stop\"]", "argv: [\"", "${{ host.name }}", "\"]"),
    ("templates never closed", "argv: [\"./current/bin/stop\"]", "argv: [\"", "${{ ", "\"]"),
    ("many short templates", "argv: [\"./current/bin/stop\"]", "argv: [", "\"${{ host.nam }}\", ", "x]"),
    ("a phase from many states", "from: [serving, running]", "from: [", "s{at}, ", "serving]"),
    ("many states", "    absent: { traffic: none }\n", "    absent: { traffic: none }\n", "    s{at}: { traffic: none }\n", ""),
    ("many phases", "  phases:\n", "  phases:\n", "    - { name: p{at}, from: absent, to: absent }\n", ""),
    ("many gates", "gates:\n", "gates:\n", "  g{at}: { kind: soak, for: 1s }\n", ""),
    ("many waves", "      waves:\n", "      waves:\n", "        - { name: w{at}, size: {at} }\n", ""),
    ("many datacenters", "datacenters: all", "datacenters: [", "d{at}, ", "x]"),
    ("a way over many states", "via: [stopped]", "via: [", "stopped, running, ", "stopped]"),
];

/// A megabyte of pieces, less what is put around them.
fn filled(piece: &str) -> String {
    let mut text = String::new();
    for at in 0.. {
        let piece = piece.replace("{at}", &at.to_string());
        if text.len() + piece.len() > PLAYBOOK_BYTES_MAX - ROOM {
            break;
        }
        text.push_str(&piece);
    }
    text
}

fn within(old: &str, before: &str, piece: &str, after: &str) -> String {
    let shipped = LIBRARY.into_iter().find(|(name, _)| *name == "process-rolling");
    let (_, whole) = shipped.expect("it is shipped");
    assert!(whole.contains(old), "the library has no {old:?}");
    whole.replacen(old, &format!("{before}{}{after}", filled(piece)), 1)
}

/// Most of the text is one line before the first fault.
fn behind_a_comment() -> String {
    format!("#{}\n{}", "x".repeat(900_000), "a: *b\n".repeat(20_000))
}

/// Each line one deeper than the one before.
fn stairs() -> String {
    (0..1_400).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect()
}

/// Each anchor is twice the one before: a reader that follows aliases would make 2^28,000 of them.
fn doubling() -> String {
    let lines = (1..28_000).map(|at| format!("a{at}: &a{at} [*a{}, *a{}]\n", at - 1, at - 1));
    std::iter::once("a0: &a0 lol\n".to_owned()).chain(lines).collect()
}
