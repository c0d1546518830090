//! Stand-ins for values that nobody has given.

use std::collections::{BTreeMap, BTreeSet};

use super::Owner;
use crate::model::ParamKind;

/// Readings of one text that look for stand-ins which fit their places.
pub(in crate::check) const READINGS_MAX: usize = 8;

/// Which stand-ins are tried.
#[derive(Debug, Default)]
pub(in crate::check) struct Stands {
    tried: BTreeMap<(Owner, String), usize>,
    pub(super) refused: bool,
}

impl Stands {
    /// None at all: a parameter without a value is a fault.
    pub(in crate::check) fn refused() -> Self {
        Self {
            refused: true,
            ..Self::default()
        }
    }

    /// The next stand-in for each parameter whose stand-in did not fit; whether there is one for any of them.
    pub(in crate::check) fn next(&mut self, blamed: &BTreeSet<(Owner, String)>) -> bool {
        for one in blamed {
            *self.tried.entry(one.clone()).or_default() += 1;
        }
        !blamed.is_empty()
    }

    /// What stands for a parameter of this kind.
    pub(super) fn of(&self, owner: Owner, name: &str, kind: &ParamKind) -> String {
        let tried = self.tried.get(&(owner, name.to_owned())).copied();
        stand_in(kind, tried.unwrap_or_default())
    }
}

/// What stands for a value that nobody has given. The places of a text want different ones, and only its author knows
/// which: several are tried.
fn stand_in(kind: &ParamKind, at: usize) -> String {
    let texts = |texts: &[&str]| texts[at % texts.len()].to_owned();
    match kind {
        ParamKind::Text => texts(&[
            "a",
            "http://a.invalid/",
            "a.invalid:1",
            "/a",
            "labels.a",
            "true",
            "0644",
        ]),
        ParamKind::Choice(words) => words[at % words.len()].clone(),
        ParamKind::Number { min, max } => {
            let all = [1, 100, 1000, *min, *max];
            let fit: Vec<i64> = all.into_iter().filter(|n| (*min..=*max).contains(n)).collect();
            fit[at % fit.len()].to_string()
        }
        ParamKind::Truth => texts(&["false", "true"]),
        ParamKind::Span => texts(&["1m", "1s", "10m", "1h"]),
        ParamKind::Amount => texts(&["1", "100%", "50%", "1%"]),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::worth::takes, *};

    #[test]
    fn every_stand_in_is_a_value_that_its_parameter_takes() {
        let number = |min, max| ParamKind::Number { min, max };
        let kinds = [
            ParamKind::Text,
            ParamKind::Choice(vec!["gold".into(), "silver".into()]),
            number(i64::MIN, i64::MAX),
            number(5000, 6000),
            number(-3, -3),
            ParamKind::Truth,
            ParamKind::Span,
            ParamKind::Amount,
        ];
        for kind in kinds {
            for at in 0..READINGS_MAX {
                let text = stand_in(&kind, at);
                assert!(takes(&kind, &text), "{kind} takes {text}");
            }
        }
    }
}
