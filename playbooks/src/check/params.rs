//! Parameters: what a playbook declares under `params`, and with which values it is read. A value is always one scalar,
//! written as it would stand in the playbook. Where there is none, a stand-in of its kind is put in its place, so that
//! everything else can be checked; such a playbook can be looked at and not be used. Where values go is in `bind`.

mod declare;
mod stand;
mod worth;

use std::collections::{BTreeMap, BTreeSet};

use echelon_proto::ParamName;

use super::{Lint, fields::nearest, value::cut};
use crate::{
    fault::code,
    model::{Param, ParamKind},
    text::{Mark, tree::Node},
};
pub(super) use stand::{READINGS_MAX, Stands};
use worth::fits;
pub(super) use worth::written;

/// Of one playbook: more than a person would set.
pub(super) const PARAMS_MAX: usize = 64;
/// In a help.
const NAMES_SHOWN_MAX: usize = 12;

/// Whose parameter it is: of the playbook that is read, or of the one that it extends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Own,
    Base,
}

/// One declaration.
pub(super) struct Declared {
    pub(super) at: Mark,
    /// `None`: it has been found wrong.
    pub(super) param: Option<Param>,
}

/// The parameters of one playbook.
pub(super) struct Section {
    owner: Owner,
    /// Of the key `params`, or where the playbook begins.
    at: Mark,
    pub(super) all: BTreeMap<String, Declared>,
}

/// A value from outside of the text, or from `with`.
pub(super) struct Offer {
    /// Where a fault of it is shown; `None`: where the parameter is declared.
    pub(super) at: Option<Mark>,
    /// `None`: it has been found wrong.
    pub(super) text: Option<String>,
    /// It is a stand-in itself, so that it is as good as none.
    pub(super) stands_in: bool,
}

/// What is put where the parameter is used.
pub(super) struct Bound {
    pub(super) text: String,
    /// It may be read as a number, or true or false.
    pub(super) plain: bool,
    pub(super) stands_in: bool,
}

/// By the parameter's name; `None`: it has been found wrong, and nothing is said of where it is used.
pub(super) type Values = BTreeMap<String, Option<Bound>>;

impl Offer {
    /// From outside of the text.
    pub(super) fn given(text: &str) -> Self {
        Self {
            at: None,
            text: Some(text.to_owned()),
            stands_in: false,
        }
    }
}

/// The parameters that a playbook declares.
pub(super) fn declared(lint: &mut Lint<'_>, root: &Node, owner: Owner) -> Section {
    let mut section = Section {
        owner,
        at: root.at,
        all: BTreeMap::new(),
    };
    let Some(node) = root.get("params") else { return section };
    section.at = node.at;
    let Some(entries) = lint.entries(node, "`params`", PARAMS_MAX) else {
        return section;
    };
    for (key, node) in entries {
        let name = lint.key_name::<ParamName>(key, "a parameter");
        let param = declare::param(lint, key, node).filter(|_| name.is_some());
        section.all.insert(key.text.clone(), Declared { at: key.at, param });
    }
    section
}

impl Section {
    /// The value of each parameter: the one that is offered, else the default, else a stand-in. Offers of what is not
    /// declared are reported.
    pub(super) fn values(
        &mut self,
        lint: &mut Lint<'_>,
        mut offers: BTreeMap<String, Offer>,
        stands: &Stands,
    ) -> Values {
        let mut values = Values::new();
        let owner = self.owner;
        for (name, declared) in &mut self.all {
            let bound = declared.bind(lint, (owner, name), offers.remove(name), stands);
            values.insert(name.clone(), bound);
        }
        for (name, offer) in offers {
            unknown(lint, &name, offer.at.unwrap_or(self.at), owner, self.names());
        }
        values
    }

    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.all.keys().map(String::as_str)
    }

    /// What the playbook keeps of them: those that have been found wrong are left out.
    pub(super) fn kept(self) -> BTreeMap<ParamName, Param> {
        let kept = |(name, declared): (String, Declared)| Some((ParamName::new(&name).ok()?, declared.param?));
        self.all.into_iter().filter_map(kept).collect()
    }

    pub(super) fn report_unused(&self, lint: &mut Lint<'_>, used: &BTreeSet<String>) {
        for (name, declared) in self.all.iter().filter(|(name, _)| !used.contains(*name)) {
            if declared.param.is_some() {
                let message = format!("parameter `{name}` is not used");
                let help = format!("write `${{{{ params.{name} }}}}` where its value belongs, or take it away");
                lint.fault(code::UNUSED_PARAM, declared.at, message, help);
            }
        }
    }
}

impl Declared {
    fn bind(
        &mut self,
        lint: &mut Lint<'_>,
        (owner, name): (Owner, &str),
        offer: Option<Offer>,
        stands: &Stands,
    ) -> Option<Bound> {
        let at = self.at;
        let param = self.param.as_mut()?;
        let (text, stands_in) = match offer {
            Some(offer) if !offer.stands_in => {
                let text = offer.text?;
                fits(lint, name, &param.kind, &text, offer.at.unwrap_or(at))?;
                (text, false)
            }
            Some(_) => (stands.of(owner, name, &param.kind), true),
            None => match (&param.default, owner) {
                (Some(default), _) => (default.clone(), false),
                (None, Owner::Own) if stands.refused => {
                    let help = format!("give it with `--param {name}=...`: {}", param.wanted());
                    lint.fault(code::PARAM_NEEDED, at, format!("parameter `{name}` has no value"), help);
                    return None;
                }
                (None, Owner::Own) => (stands.of(owner, name, &param.kind), true),
                // `with` lacks it, which is reported there.
                (None, Owner::Base) => return None,
            },
        };
        param.value = (!stands_in).then(|| text.clone());
        let plain = match param.kind {
            ParamKind::Text | ParamKind::Choice(_) => false,
            ParamKind::Number { .. } | ParamKind::Truth | ParamKind::Span | ParamKind::Amount => true,
        };
        Some(Bound { text, plain, stands_in })
    }
}

/// Reports a name that is no parameter of its owner.
pub(super) fn unknown<'k>(
    lint: &mut Lint<'_>,
    name: &str,
    at: Mark,
    owner: Owner,
    known: impl Iterator<Item = &'k str> + Clone,
) {
    let base = lint.source.base().filter(|_| owner == Owner::Base);
    let (whose, none) = match base {
        Some((base, _)) => (format!("{base} has no"), "it has none at all"),
        None => ("there is no".to_owned(), "there is none: define it under `params`"),
    };
    let help = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.clone().next().is_none() => none.to_owned(),
        None => {
            let names: Vec<&str> = known.take(NAMES_SHOWN_MAX).collect();
            // Perhaps somebody has written more than a name.
            let more = ParamName::new(name).map_or("; no functions, no nesting", |_| "");
            format!("there are {}{more}", names.join(", "))
        }
    };
    let message = format!("{whose} parameter `{}`", cut(name));
    lint.fault(code::UNKNOWN_PARAM, at, message, help);
}
