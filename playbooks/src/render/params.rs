//! Parameters as they are declared. A playbook that is written out has none left; they are compared.

use std::collections::BTreeMap;

use echelon_proto::ParamName;

use super::item::Item;
use crate::model::{Param, ParamKind};

pub(crate) fn declared(params: &BTreeMap<ParamName, Param>) -> Item {
    params
        .iter()
        .fold(Item::map(), |map, (name, of)| map.with(name.as_str(), param(of)))
}

fn param(param: &Param) -> Item {
    let Param {
        kind,
        default,
        // Of one reading, and not of the playbook.
        value: _,
        about,
    } = param;
    let bounds = |min: i64, max: i64| {
        let min = (min > i64::MIN).then(|| Item::bare(min));
        let max = (max < i64::MAX).then(|| Item::bare(max));
        Item::map().with_some("min", min).with_some("max", max)
    };
    let (kind, more) = match kind {
        ParamKind::Text => ("text", Item::map()),
        ParamKind::Choice(words) => {
            let words = Item::List(words.iter().map(Item::text).collect());
            ("choice", Item::map().with("of", words))
        }
        ParamKind::Number { min, max } => ("number", bounds(*min, *max)),
        ParamKind::Truth => ("truth", Item::map()),
        ParamKind::Span => ("span", Item::map()),
        ParamKind::Amount => ("amount", Item::map()),
    };
    let about = (!about.is_empty()).then(|| Item::text(about));
    more.with("type", Item::bare(kind))
        .with_some("default", default.as_ref().map(Item::bare))
        .with_some("about", about)
}
