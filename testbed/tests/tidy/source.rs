//! A Rust file taken apart: its tokens with their places, and its comments. Deliberately no types and no names resolved:
//! the rules that need these are kept by the compiler.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

/// A token; brackets are tokens too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
}

/// A Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the top of the repository.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    /// Comments that are no documentation, without their slashes, by line.
    pub(crate) comments: BTreeMap<usize, String>,
}

impl Source {
    /// Takes it apart.
    ///
    /// # Panics
    /// When it is not Rust.
    pub(crate) fn read(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut tokens = Vec::new();
        let mut covered = Covered::default();
        flatten(stream, &mut tokens, &mut covered);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            comments: covered.comments(text),
        }
    }

    /// Its syntax tree.
    ///
    /// # Panics
    /// When it is not Rust.
    pub(crate) fn parsed(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }

    /// Lines on which these tokens stand in a row.
    pub(crate) fn find(&self, row: &[&str]) -> Vec<usize> {
        self.at(row).map(|at| self.tokens[at].line).collect()
    }

    /// Where in the tokens this row begins.
    pub(crate) fn at<'a>(&'a self, row: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        let fits = move |window: &[Token]| window.iter().zip(row).all(|(token, wanted)| token.text == *wanted);
        let windows = self.tokens.windows(row.len()).enumerate();
        windows.filter(move |(_, window)| fits(window)).map(|(at, _)| at)
    }

    /// Whether it is part of a program or library, and not of its tests.
    pub(crate) fn is_shipped(&self) -> bool {
        self.path.contains("src/") && !self.path.ends_with("tests.rs") && !self.path.contains("/tests/")
    }
}

/// Where on each line the last token ends.
#[derive(Default)]
struct Covered(BTreeMap<usize, usize>);

impl Covered {
    fn add(&mut self, span: Span) {
        let (start, end) = (span.start(), span.end());
        for line in start.line..end.line {
            self.0.insert(line, usize::MAX);
        }
        let last = self.0.entry(end.line).or_default();
        *last = end.column.max(*last);
    }

    fn comments(&self, text: &str) -> BTreeMap<usize, String> {
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
        let rest = |(number, line): (usize, &str)| {
            let from = self.0.get(&number).copied().unwrap_or_default();
            let rest: String = line.chars().skip(from).collect();
            let comment = rest.trim_start().strip_prefix("//")?.trim().to_owned();
            Some((number, comment))
        };
        lines.filter_map(rest).collect()
    }
}

/// Brackets become tokens.
fn flatten(stream: TokenStream, tokens: &mut Vec<Token>, covered: &mut Covered) {
    for tree in stream {
        let (text, span) = match &tree {
            TokenTree::Group(group) => (brackets(group.delimiter()).0.to_owned(), group.span_open()),
            other => (other.to_string(), other.span()),
        };
        covered.add(span);
        tokens.push(Token {
            text,
            line: span.start().line,
        });
        if let TokenTree::Group(group) = tree {
            flatten(group.stream(), tokens, covered);
            covered.add(group.span_close());
            let (text, line) = (brackets(group.delimiter()).1.to_owned(), group.span_close().end().line);
            tokens.push(Token { text, line });
        }
    }
}

const fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

#[test]
fn comments_are_told_from_documentation_and_from_text_that_looks_like_them() {
    let text = "//! What it is.\n\n/// A doc.\nfn f() {\n    let url = \"http://x\"; // why\n    // alone\n    let t = \"\n    // none\n\";\n}\n";
    let source = Source::read("f.rs", text);
    let found: Vec<_> = source
        .comments
        .iter()
        .map(|(line, text)| (*line, text.as_str()))
        .collect();
    assert_eq!(found, [(5, "why"), (6, "alone")]);
}

#[test]
fn tokens_are_found_in_a_row_inside_of_macros_too() {
    let source = Source::read("f.rs", "fn f() {\n    select! { x = y => {\n        dbg!(x) } }\n}\n");
    assert_eq!(source.find(&["dbg", "!"]), [3]);
    assert!(source.find(&["dbg", "("]).is_empty());
}
