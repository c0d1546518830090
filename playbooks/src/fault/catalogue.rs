//! What each code means, an example that gives it, and how to mend it: read from `FAULTS.md`, which is written for people
//! and is the one source of it. Deliberately no list of its own: `code` says which codes there are.

use std::sync::LazyLock;

use super::Severity;

const TEXT: &str = include_str!("../../FAULTS.md");

static CATALOGUE: LazyLock<Vec<Explained>> =
    LazyLock::new(|| TEXT.split("\n## ").skip(1).filter_map(Explained::read).collect());

/// A code, explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained {
    /// `E041`
    pub code: &'static str,
    /// In one line.
    pub title: &'static str,
    /// Why it is a fault; empty where the title says it all.
    pub why: &'static str,
    /// A piece of a playbook that gives it; what else such a piece lacks does not matter here.
    pub example: Option<&'static str>,
    /// How to mend it.
    pub mend: &'static str,
}

/// All codes, in their order.
#[must_use]
pub fn catalogue() -> &'static [Explained] {
    &CATALOGUE
}

/// One of them, however its letter is written; `None` if there is no such code.
#[must_use]
pub fn explain(code: &str) -> Option<&'static Explained> {
    CATALOGUE
        .iter()
        .find(|explained| explained.code.eq_ignore_ascii_case(code))
}

impl Explained {
    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        Severity::of(self.code)
    }

    /// One section, without the marks of its heading.
    fn read(section: &'static str) -> Option<Self> {
        let (heading, body) = section.split_once('\n')?;
        let (code, title) = heading.split_once(' ')?;
        let (body, mend) = body.rsplit_once("Mend: ")?;
        let (why, example) = match body.split_once("```yaml\n") {
            Some((why, rest)) => (why, rest.split_once("```").map(|(example, _)| example)),
            None => (body, None),
        };
        Some(Self {
            code,
            title,
            why: why.trim(),
            example,
            mend: mend.trim(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    /// As `code` lists them.
    fn codes() -> Vec<&'static str> {
        include_str!("code.rs").split('"').skip(1).step_by(2).collect()
    }

    #[test]
    fn every_code_is_explained_once_and_nothing_else_is() {
        let explained: Vec<&str> = catalogue().iter().map(|explained| explained.code).collect();
        assert_eq!(
            explained,
            codes(),
            "the sections of FAULTS.md are not the codes of code.rs"
        );
        assert_eq!(
            TEXT.matches("\n## ").count(),
            explained.len(),
            "a section of FAULTS.md cannot be read"
        );
        for Explained { code, title, mend, .. } in catalogue() {
            assert!(
                title.ends_with('.') && !title.contains('\n') && !mend.is_empty(),
                "{code}"
            );
        }
    }

    #[test]
    fn every_example_gives_its_fault() {
        for Explained { code, example, .. } in catalogue() {
            let Some(example) = example else {
                // The one takes more faults than a person would read, the other a base: `tests/hostile.rs` and
                // `tests/params.rs` have them.
                assert!(["E008", "E065"].contains(code), "{code} has no example");
                continue;
            };
            let faults = read(example).expect_err("a piece is no playbook").0;
            assert!(faults.iter().any(|fault| fault.code == *code), "{code}: {faults:#?}");
        }
    }

    #[test]
    fn the_readme_says_of_each_code_what_the_catalogue_says() {
        let readme = include_str!("../../README.md");
        for Explained { code, title, .. } in catalogue() {
            let row = format!("| {code} | {}", title.trim_end_matches('.'));
            assert!(readme.contains(&row), "README.md has no row {row:?}");
        }
    }

    #[test]
    fn a_code_is_found_however_it_is_typed() {
        assert_eq!(explain("e041").unwrap().title, "An operation that no host can do.");
        assert_eq!(explain("W101").unwrap().severity(), Severity::Warning);
        assert_eq!(explain("E999"), None);
    }
}
