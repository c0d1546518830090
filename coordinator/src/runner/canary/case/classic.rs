//! What the classic judge is given, and when it looks: at the end of the window, and again at the end of each that it is
//! prolonged by. It counts points as witnesses, so each look more is one more chance to cry wolf; between two ends its last
//! word stands.

use echelon_engine::effect::Comparison;
use echelon_playbooks::model::Classic;
use serde_json::{Value, json};

use super::number;

/// How many of so many intervals are in windows that are over; `None`: none is.
pub(super) fn upto(comparison: &Comparison, count: usize) -> Option<usize> {
    let canary = &comparison.canary;
    let every = canary.every.0.max(1);
    let looks = |window: u64| usize::try_from(window.div_ceil(every)).unwrap_or(usize::MAX);
    let (window, longest) = (looks(canary.hold_for.0).max(1), looks(canary.longest().0));
    let whole = if count >= longest {
        longest
    } else {
        count / window * window
    };
    (whole > 0).then_some(whole)
}

/// Beside both arms.
pub(super) fn put(classic: &Classic, put: &mut impl FnMut(&str, Value)) {
    put("confidence", (f64::from(classic.confidence) / 100.0).into());
    put("nan", classic.nan.name().into());
    put("outliers", classic.outliers.name().into());
    put("effect", classic.effect.name().into());
    put("critical", classic.critical.into());
    put("data_required", classic.data_required.into());
    put("groups", json!(classic.groups));
    for (key, text) in [
        ("outlier_factor", &classic.outlier_factor),
        ("allowed_increase", &classic.allowed_increase),
        ("allowed_decrease", &classic.allowed_decrease),
        ("critical_increase", &classic.critical_increase),
        ("critical_decrease", &classic.critical_decrease),
    ] {
        if let Some(text) = text {
            put(key, number(text));
        }
    }
}
