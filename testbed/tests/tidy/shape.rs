//! How big things may be, and what they are called.

use std::collections::BTreeSet;

use syn::{
    Arm, Block, ExprForLoop, ExprIf, ExprLoop, ExprMatch, ExprWhile, Ident, ImplItemFn, ItemEnum, ItemFn, Pat,
    TraitItemFn,
    spanned::Spanned as _,
    visit::{self, Visit},
};

use super::{offence::Offence, source::Source};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
/// Of `if`, `match` and loops in one another.
const NESTING_MAX: usize = 4;
const NAMES_OF_NOTHING: [&str; 9] = [
    "util", "utils", "common", "helper", "helpers", "misc", "manager", "managers", "shared",
];

pub(crate) fn opens_with_what_it_is(source: &Source) -> Option<Offence> {
    let first = source.text.lines().next().unwrap_or_default();
    let rule = "a file opens with `//!`: what it is, and what it deliberately is not";
    (!first.starts_with("//! ")).then(|| Offence::new(&source.path, 1, rule, "write that line above everything else"))
}

pub(crate) fn file_length(path: &str, text: &str) -> Option<Offence> {
    let lines = text.lines().count();
    let rule = format!("{lines} lines; a Rust file has at most {FILE_LINES_MAX}");
    (lines > FILE_LINES_MAX).then(|| Offence::new(path, lines, rule, "take a noun out of it into a file of its own"))
}

pub(crate) fn name(path: &str) -> Option<Offence> {
    let (folders, file) = path.rsplit_once('/').unwrap_or_default();
    if file == "mod.rs" {
        return Some(Offence::new(
            path,
            1,
            "mod.rs",
            "name it like its folder: foo.rs beside foo/",
        ));
    }
    let mut parts = folders.split('/').chain(file.strip_suffix(".rs"));
    let part = parts.find(|part| NAMES_OF_NOTHING.contains(part))?;
    let mend = "name it after the one noun that it holds";
    Some(Offence::new(
        path,
        1,
        format!("`{part}` says nothing of what is in it"),
        mend,
    ))
}

/// Functions that are too long or too deep, and tests whose names are no sentences.
pub(crate) fn functions(source: &Source) -> Vec<Offence> {
    let mut looking = Functions {
        path: &source.path,
        depth: 0,
        deepest: 0,
        found: Vec::new(),
    };
    looking.visit_file(&source.parsed());
    looking.found
}

struct Functions<'a> {
    path: &'a str,
    depth: usize,
    deepest: usize,
    found: Vec<Offence>,
}

impl Functions<'_> {
    fn function(&mut self, name: &Ident, block: &Block, is_test: bool, walk: impl FnOnce(&mut Self)) {
        let outer = (std::mem::take(&mut self.depth), std::mem::take(&mut self.deepest));
        walk(self);
        let line = name.span().start().line;
        let lines = block.span().end().line - block.span().start().line + 1;
        if lines > FUNCTION_LINES_MAX {
            let rule = format!("`{name}` has {lines} lines; a function has at most {FUNCTION_LINES_MAX}");
            self.found.push(Offence::new(
                self.path,
                line,
                rule,
                "give a part of it a name and a function of its own",
            ));
        }
        if self.deepest > NESTING_MAX {
            let rule = format!("`{name}` nests {} deep; at most {NESTING_MAX}", self.deepest);
            let mend = "return early, or give the inner part a function of its own";
            self.found.push(Offence::new(self.path, line, rule, mend));
        }
        if is_test && name.to_string().split('_').count() < 3 {
            let rule = format!("the test `{name}` is no sentence");
            self.found.push(Offence::new(
                self.path,
                line,
                rule,
                "say in its name what holds: a_killed_agent_comes_back",
            ));
        }
        (self.depth, self.deepest) = outer;
    }

    fn nested(&mut self, walk: impl FnOnce(&mut Self)) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        walk(self);
        self.depth -= 1;
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let is_test = item
            .attrs
            .iter()
            .any(|attribute| attribute.path().segments.last().unwrap().ident == "test");
        self.function(&item.sig.ident, &item.block, is_test, |this| {
            visit::visit_item_fn(this, item);
        });
    }
    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig.ident, &item.block, false, |this| {
            visit::visit_impl_item_fn(this, item);
        });
    }
    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig.ident, block, false, |this| {
                visit::visit_trait_item_fn(this, item);
            });
        }
    }
    fn visit_expr_if(&mut self, item: &'ast ExprIf) {
        // `else if` is no deeper than its `if`.
        self.visit_expr(&item.cond);
        self.nested(|this| this.visit_block(&item.then_branch));
        match item.else_branch.as_ref().map(|(_, branch)| branch.as_ref()) {
            Some(syn::Expr::If(next)) => self.visit_expr_if(next),
            Some(other) => self.nested(|this| this.visit_expr(other)),
            None => {}
        }
    }
    fn visit_expr_match(&mut self, item: &'ast ExprMatch) {
        self.nested(|this| visit::visit_expr_match(this, item));
    }
    fn visit_expr_for_loop(&mut self, item: &'ast ExprForLoop) {
        self.nested(|this| visit::visit_expr_for_loop(this, item));
    }
    fn visit_expr_while(&mut self, item: &'ast ExprWhile) {
        self.nested(|this| visit::visit_expr_while(this, item));
    }
    fn visit_expr_loop(&mut self, item: &'ast ExprLoop) {
        self.nested(|this| visit::visit_expr_loop(this, item));
    }
}

/// The enums that a file defines.
pub(crate) fn enums(source: &Source) -> BTreeSet<String> {
    struct Enums(BTreeSet<String>);
    impl<'ast> Visit<'ast> for Enums {
        fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
            self.0.insert(item.ident.to_string());
        }
    }
    let mut looking = Enums(BTreeSet::new());
    looking.visit_file(&source.parsed());
    looking.0
}

/// Matches over one of these enums with an arm for whatever else there may be. Each with the enum's name.
pub(crate) fn wildcards(source: &Source, enums: &BTreeSet<String>) -> Vec<(String, Offence)> {
    let mut looking = Wildcards {
        path: &source.path,
        enums,
        found: Vec::new(),
    };
    looking.visit_file(&source.parsed());
    looking.found
}

struct Wildcards<'a> {
    path: &'a str,
    enums: &'a BTreeSet<String>,
    found: Vec<(String, Offence)>,
}

impl<'ast> Visit<'ast> for Wildcards<'_> {
    fn visit_expr_match(&mut self, item: &'ast ExprMatch) {
        visit::visit_expr_match(self, item);
        let takes_all = |arm: &&Arm| match &arm.pat {
            Pat::Wild(_) => true,
            // A name for all the rest; with a capital it is a constant or a variant, `None`.
            Pat::Ident(name) => name.subpat.is_none() && name.ident.to_string().starts_with(char::is_lowercase),
            _ => false,
        };
        let Some(wild) = item.arms.iter().find(takes_all) else {
            return;
        };
        let mut named = Named {
            enums: self.enums,
            found: BTreeSet::new(),
        };
        for arm in &item.arms {
            named.visit_pat(&arm.pat);
        }
        if let Some(name) = named.found.pop_first() {
            let rule = format!("an arm for all other `{name}`: a new one would pass unseen");
            let line = wild.pat.span().start().line;
            let offence = Offence::new(
                self.path,
                line,
                rule,
                "name the others, so that the compiler asks about a new one",
            );
            self.found.push((name, offence));
        }
    }
}

/// Enums whose variants a pattern names: `Status::Running`.
struct Named<'a> {
    enums: &'a BTreeSet<String>,
    found: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Named<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let [.., name, _] = parts.as_slice()
            && self.enums.contains(name)
        {
            self.found.insert(name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::read("a.rs", text)
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_offends() {
        assert!(opens_with_what_it_is(&source("use std::fs;\n")).is_some());
        assert!(opens_with_what_it_is(&source("\n//! Late.\n")).is_some());
        assert!(opens_with_what_it_is(&source("//! The journal.\n")).is_none());
    }

    #[test]
    fn long_files_and_empty_names_offend() {
        assert!(file_length("a.rs", &"x\n".repeat(FILE_LINES_MAX)).is_none());
        assert!(file_length("a.rs", &"x\n".repeat(FILE_LINES_MAX + 1)).is_some());
        for bad in ["a/src/mod.rs", "a/src/util.rs", "a/helpers/x.rs", "src/x/manager.rs"] {
            assert!(name(bad).is_some(), "{bad}");
        }
        assert!(name("agent/src/ledger.rs").is_none() && name("agent/src/utilisation.rs").is_none());
    }

    #[test]
    fn a_long_function_offends_wherever_it_stands() {
        let body = "    let _ = 1;\n".repeat(FUNCTION_LINES_MAX);
        for text in [
            format!("fn f() {{\n{body}}}\n"),
            format!("impl X {{\nfn f() {{\n{body}}}\n}}\n"),
            format!("trait X {{\nfn f() {{\n{body}}}\n}}\n"),
            format!("fn g() {{ fn f() {{\n{body}}} }}\n"),
        ] {
            assert!(
                functions(&source(&text))
                    .iter()
                    .any(|offence| offence.rule.contains("`f` has 72 lines")),
                "{text}"
            );
        }
        let body = "    let _ = 1;\n".repeat(FUNCTION_LINES_MAX - 2);
        assert!(functions(&source(&format!("fn f() {{\n{body}}}\n"))).is_empty());
    }

    #[test]
    fn a_deep_function_offends_and_a_row_of_else_does_not() {
        let deep = "fn f() { for a in b { while c { if d { match e { _ => loop {} } } } } }";
        assert!(functions(&source(deep))[0].rule.contains("5 deep"));
        let flat = "fn f() { if a {} else if b {} else if c {} else if d {} else if e {} else if g {} }";
        assert!(functions(&source(flat)).is_empty());
        let split = "fn f() { if a { if b { let g = || 1; fn h() { if c { if d { if e {} } } } } } }";
        assert!(functions(&source(split)).is_empty());
    }

    #[test]
    fn a_test_that_is_no_sentence_offends() {
        assert_eq!(functions(&source("#[test]\nfn works() {}")).len(), 1);
        assert_eq!(functions(&source("#[tokio::test]\nasync fn it_works() {}")).len(), 1);
        assert!(functions(&source("#[test]\nfn a_host_comes_back() {}\nfn works() {}")).is_empty());
    }

    #[test]
    fn a_wildcard_over_an_own_enum_offends_and_over_others_does_not() {
        let own = enums(&source("enum Status { Running, Over }\nmod x { pub enum Gate { A } }"));
        assert_eq!(own, ["Gate", "Status"].map(str::to_owned).into());
        let bad = [
            "fn f() { match s { Status::Running => 1, _ => 2 } }",
            "fn f() { match s { Some(model::Gate::A) => 1, other => 2 } }",
            "fn f() { match (s, t) { (Status::Over, 1) => 1, _ => 2 } }",
        ];
        for text in bad {
            assert_eq!(wildcards(&source(text), &own).len(), 1, "{text}");
        }
        let good = [
            "fn f() { match s { Status::Running => 1, Status::Over => 2 } }",
            "fn f() { match s { Other::Running => 1, _ => 2 } }",
            "fn f() { match n { 1 => Status::Running, _ => Status::Over } }",
            "fn f() { match s { Status::Running => 1, _ if x => 2, Status::Over => 3 } }",
            "fn f() { match s { Some(Status::Running | Status::Over) => 1, None => 2 } }",
        ];
        for text in good {
            assert!(wildcards(&source(text), &own).is_empty(), "{text}");
        }
    }
}
