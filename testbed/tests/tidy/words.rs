//! Words that must not stand in the repository: left-over work, dead code, this or that machine.

use syn::{Expr, Stmt};

use super::{offence::Offence, source::Source};

/// Written so that this file does not name them itself.
const LEFT_OVER: [&str; 4] = [
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("TO", "DO"),
    concat!("HA", "CK:"),
];
const MACHINE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
const REGISTRIES: [&str; 8] = [
    concat!("crates", ".io"),
    concat!("docs", ".rs/"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npm", "js.org"),
    concat!("golang", ".org"),
    concat!("deb.", "debian.org"),
    concat!("arti", "factory"),
];

/// In files of every kind.
pub(crate) fn anywhere(path: &str, text: &str) -> Vec<Offence> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut tell = |rule: String, mend| found.push(Offence::new(path, at + 1, rule, mend));
        if let Some(word) = LEFT_OVER.iter().find(|word| holds_word(line, word)) {
            tell(
                format!("`{word}`"),
                "do it now, or open an issue; the text says only what is",
            );
        }
        if let Some(word) = MACHINE.iter().find(|word| line.contains(*word)) {
            tell(
                format!("a path of a machine: {word}"),
                "take it from a flag, a variable, or a folder for temporary files",
            );
        }
        if let Some(word) = REGISTRIES.iter().find(|word| line.contains(*word)) {
            tell(
                format!("the name of a registry's host: {word}"),
                "leave the registry to cargo's and pip's own settings",
            );
        }
    }
    found
}

fn holds_word(line: &str, word: &str) -> bool {
    let apart = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        apart(line[..at].chars().next_back()) && (word.ends_with(':') || apart(line[at + word.len()..].chars().next()))
    })
}

/// Macros and attributes that say "not yet", and queues without a bound.
pub(crate) fn tokens(source: &Source) -> Vec<Offence> {
    let rows: [(&[&str], &str); 10] = [
        (&["todo", "!"], "write it"),
        (&["unimplemented", "!"], "write it"),
        (&["dbg", "!"], "take it out, or use tracing"),
        (
            &["#", "[", "ignore"],
            "make the test bounded and run it, or take it out",
        ),
        (
            &["unbounded_channel"],
            "give the queue a bound and the bound its reason",
        ),
        (&["UnboundedSender"], "give the queue a bound and the bound its reason"),
        (
            &["UnboundedReceiver"],
            "give the queue a bound and the bound its reason",
        ),
        (
            &["mpsc", ":", ":", "unbounded"],
            "give the queue a bound and the bound its reason",
        ),
        (
            &["std", ":", ":", "sync", ":", ":", "mpsc"],
            "use a queue with a bound: tokio's, or sync_channel of a bound",
        ),
        (&["include", "!"], "make it a module"),
    ];
    let offence = |row: &[&str], line, mend| Offence::new(&source.path, line, format!("`{}`", row.concat()), mend);
    let found = rows
        .iter()
        .flat_map(|(row, mend)| source.find(row).into_iter().map(|line| offence(row, line, mend)));
    found.collect()
}

/// `unsafe`, but in these files and there only under its reason.
pub(crate) fn unsafety(source: &Source, allowed: &[&str]) -> Vec<Offence> {
    let reasoned = |line: usize| {
        let above = (line.saturating_sub(4)..=line).filter_map(|line| source.comments.get(&line));
        above.into_iter().any(|comment| comment.starts_with("SAFETY:"))
    };
    let mut found = Vec::new();
    for line in source.find(&["unsafe"]) {
        if !allowed.contains(&source.path.as_str()) {
            let mend = "use nix or std; where that is not possible, add the file to the list in tidy.rs";
            found.push(Offence::new(&source.path, line, "`unsafe`", mend));
        } else if !reasoned(line) {
            found.push(Offence::new(
                &source.path,
                line,
                "`unsafe` without its reason",
                "say it above: // SAFETY: ...",
            ));
        }
    }
    found
}

/// Comments that are code.
pub(crate) fn dead_code(source: &Source) -> Vec<Offence> {
    let mut found = Vec::new();
    let mut group: Vec<&str> = Vec::new();
    let mut begin = 0;
    let mut tell = |line| {
        found.push(Offence::new(
            &source.path,
            line,
            "code in a comment",
            "take it out: git keeps it",
        ));
    };
    for (&line, comment) in &source.comments {
        if is_code(comment) {
            tell(line);
            group.clear();
            continue;
        }
        if begin + group.len() != line {
            (begin, group) = (line, Vec::new());
        }
        group.push(comment);
        if group.len() > 1 && is_code(&group.join("\n")) {
            tell(begin);
            group.clear();
        }
    }
    found
}

/// Whether it reads as Rust that does something. A word alone, or a formula, does not.
fn is_code(text: &str) -> bool {
    let text = text.trim();
    let closes = !text.is_empty() && text.chars().all(|c| "})];,".contains(c)) && text.contains('}');
    let opened = text.ends_with('{').then(|| format!("{text} }}"));
    let whole = opened.as_deref().unwrap_or(text);
    let arm = (whole.contains("=>") && whole.ends_with([',', '}'])).then(|| format!("match x {{ {whole} }}"));
    let does = |text: &str| {
        let statements = syn::parse_str::<syn::Block>(&format!("{{ {text}\n}}"));
        statements.is_ok_and(|block| block.stmts.iter().any(does_something))
    };
    closes || does(text) || does(whole) || arm.is_some_and(|text| does(&text))
}

fn does_something(statement: &Stmt) -> bool {
    match statement {
        Stmt::Local(_) | Stmt::Item(_) | Stmt::Macro(_) => true,
        Stmt::Expr(expression, semicolon) => match expression {
            Expr::Path(_) | Expr::Lit(_) | Expr::Tuple(_) | Expr::Range(_) => false,
            Expr::Binary(_) | Expr::Call(_) | Expr::Struct(_) | Expr::Break(_) | Expr::Return(_) | Expr::Unary(_) => {
                semicolon.is_some()
            }
            _ => true,
        },
    }
}

/// The same for manifests: a comment that reads as a key with its value.
pub(crate) fn dead_keys(path: &str, text: &str) -> Vec<Offence> {
    let is_key = |comment: &str| toml::from_str::<toml::Table>(comment).is_ok_and(|table| !table.is_empty());
    let lines = text
        .lines()
        .enumerate()
        .filter_map(|(at, line)| Some((at + 1, line.trim().strip_prefix('#')?)));
    let dead = lines.filter(|(_, comment)| is_key(comment));
    dead.map(|(line, _)| Offence::new(path, line, "a key in a comment", "take it out: git keeps it"))
        .collect()
}

/// Files that a program made.
pub(crate) fn generated(path: &str, text: &str, is_binary: bool) -> Option<Offence> {
    let mark = concat!("@gen", "erated");
    let ends = [
        ".pb.rs",
        "_pb2.py",
        "_pb2_grpc.py",
        ".snap.new",
        ".pyc",
        ".profraw",
        ".orig",
        ".rej",
        ".log",
        ".d",
    ];
    let by_name = ends.iter().any(|end| path.ends_with(end)) || path.starts_with("target/");
    let by_text = text.lines().take(5).any(|line| line.contains(mark));
    let made = (by_name || by_text || is_binary) && path != "Cargo.lock";
    made.then(|| {
        Offence::new(
            path,
            1,
            "a file that a program makes",
            "git rm --cached it; the build makes it anew",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::read("a.rs", text)
    }

    #[test]
    fn left_over_work_paths_and_registries_offend() {
        let words = LEFT_OVER.iter().map(|word| format!("see {word} here"));
        let machine = MACHINE.iter().map(|path| format!("cat {path}x"));
        let hosts = REGISTRIES.iter().map(|host| format!("https://x.{host}/y"));
        for line in words.chain(machine).chain(hosts) {
            assert_eq!(anywhere("a.md", &format!("good\n{line}\n")).len(), 1, "{line}");
        }
        assert!(anywhere("a.md", "the homework of TODOS; XXXL; a/worker/b; /rooting\n").is_empty());
    }

    #[test]
    fn not_yet_and_unbounded_queues_offend() {
        let bad = [
            "fn f() { todo!() }",
            "fn f() { a(unimplemented!(\"x\")) }",
            "fn f() { select! { a = b => dbg!(a) } }",
            "#[test]\n#[ignore = \"slow\"]\nfn a_b_c() {}",
            "fn f() { let (a, b) = tokio::sync::mpsc::unbounded_channel(); }",
            "use std::sync::mpsc;",
        ];
        for text in bad {
            assert_eq!(tokens(&source(text)).len(), 1, "{text}");
        }
        assert!(tokens(&source("fn ignore() { mpsc::channel(4); x.todo(\"todo!\"); }")).is_empty());
    }

    #[test]
    fn unsafe_offends_where_it_is_not_allowed_or_gives_no_reason() {
        let bare = source("fn f() {\n    unsafe { g() }\n}\n");
        let reasoned = source("fn f() {\n    // SAFETY: g only reads.\n    unsafe { g() }\n}\n");
        assert_eq!(unsafety(&reasoned, &[]).len(), 1);
        assert_eq!(unsafety(&bare, &["a.rs"]).len(), 1);
        assert!(unsafety(&reasoned, &["a.rs"]).is_empty());
    }

    #[test]
    fn code_in_comments_offends() {
        let bad = [
            "// let x = 1;",
            "// foo(x);",
            "// self.count += 1;",
            "// println!(\"{x}\");",
            "// if x > 1 {",
            "// }",
            "// Some(x) => y,",
            "// use std::fs;",
            "// #[test]\n// fn a() {\n//     b()\n// }",
            "// items\n//     .iter()\n//     .sum()",
            "fn f() {} // return Err(x);",
            "// Ok(a) => {",
        ];
        for text in bad {
            assert!(!dead_code(&source(text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn prose_in_comments_does_not() {
        let good = [
            "// Why.",
            "// bytes",
            "// a * b + c",
            "// An error says that the driver has ended; nothing is lost.",
            "// first, second,",
            "// foo(x)",
            "// (a, b)",
            "// if it is there, it stays {",
            "// SAFETY: the child only calls setgid.",
            "// What waits\n// is lost.",
            "let s = \"// let x = 1;\";",
            "// 1..5",
        ];
        for text in good {
            assert_eq!(dead_code(&source(text)), [], "{text}");
        }
    }

    #[test]
    fn keys_in_comments_offend_and_words_do_not() {
        assert_eq!(
            dead_keys("Cargo.toml", "[a]\n# sled = \"0.34\"\n#x = { y = 1 }\n").len(),
            2
        );
        assert!(dead_keys("Cargo.toml", "# The wire.\n# one = first among equals\n").is_empty());
    }

    #[test]
    fn what_a_program_made_offends() {
        assert!(generated("a/control.pb.rs", "", false).is_some());
        assert!(
            generated(
                "a/x.rs",
                &format!("// This file is {} by prost-build.\n", concat!("@gen", "erated")),
                false
            )
            .is_some()
        );
        assert!(generated("a/picture", "", true).is_some());
        assert!(generated("a/x.rs", "//! Real.\n", false).is_none());
    }
}
