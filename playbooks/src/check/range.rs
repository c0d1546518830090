//! Queries of events that count some of them not at all or some of them twice: a range of Prometheus that does not go with
//! the time between two samples of the gate.
//!
//! `increase(x[1m])`, asked each minute of a server that scrapes each 15 s, takes the first and the last scrape within the
//! minute, which are 45 s apart, and makes a minute of them: what came in the other 15 s is in no range at all. A range
//! longer by one scrape sees everything; one of two minutes and more sees most of it twice, and the judge takes each time
//! for an event of its own. How often a server scrapes is not known here, so only what is wrong in any case is told. Of a
//! level (a gauge, a guard) a part is as good as the whole, and nothing is told.

use echelon_proto::Span;

use super::{Lint, value::cut};
use crate::{
    fault::code,
    text::tree::{Node, Value},
};

/// What is computed from the scrapes within a range alone.
const FUNCTIONS: [&str; 7] = ["increase", "rate", "delta", "irate", "idelta", "changes", "resets"];

/// Of all metrics of a gate with so much between two samples.
pub(super) fn report(lint: &mut Lint<'_>, metrics: &Node, every: Span) {
    let Value::Map(entries) = &metrics.value else { return };
    for (_, metric) in entries {
        let is_of_events = metric.get("kind").is_some_and(
            |kind| matches!(&kind.value, Value::Scalar(scalar) if ["count", "ratio"].contains(&scalar.text.as_str())),
        );
        let queries = ["query", "of"].into_iter().filter_map(|key| metric.get(key));
        for query in queries.filter(|_| is_of_events) {
            one(lint, query, every);
        }
    }
}

fn one(lint: &mut Lint<'_>, query: &Node, every: Span) {
    let Value::Scalar(scalar) = &query.value else { return };
    let all = ranges(&scalar.text);
    if let Some((function, range)) = all.iter().find(|(_, range)| *range <= every) {
        let function = cut(function);
        let message =
            format!("{function} over {range}, asked each {every}: what comes between two ranges is in neither");
        let help = format!(
            "take the difference, clamp_min(x - x offset {every}, 0), or let the range be longer by what is between two scrapes"
        );
        lint.fault(code::RANGE, query.at, message, help);
    } else if let Some((function, range)) = all.iter().find(|(_, range)| range.0 > every.0.saturating_mul(2)) {
        let function = cut(function);
        let message = format!("{function} over {range}, asked each {every}, counts each event more than once");
        let help = format!("take the difference, clamp_min(x - x offset {every}, 0), or write a shorter range");
        lint.fault(code::RANGE, query.at, message, help);
    }
}

/// Each of the functions with the range that stands in it.
fn ranges(query: &str) -> Vec<(&str, Span)> {
    let mut found = Vec::new();
    for (at, _) in query.match_indices('(') {
        let before = query[..at].trim_end();
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
        let name = &before[before.trim_end_matches(is_of_name).len()..];
        if FUNCTIONS.contains(&name)
            && let Some(range) = first_range(&query[at + 1..])
        {
            found.push((name, range));
        }
    }
    found
}

/// What stands in the first pair of brackets, up to where the function's parenthesis closes. Of a subquery, nothing.
fn first_range(rest: &str) -> Option<Span> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in rest.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.checked_sub(1)?,
            (None, '[') => return duration(rest[at + 1..].split_once(']')?.0.trim()),
            (None, _) => {}
        }
    }
    None
}

/// As Prometheus writes it: `90s`, `1m30s`, `1d`.
fn duration(text: &str) -> Option<Span> {
    const UNITS: [(&str, u64); 7] = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
        ("y", 31_536_000_000),
    ];
    let (mut rest, mut millis) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let (_, worth) = UNITS.iter().find(|(name, _)| *name == unit)?;
        millis = number.parse::<u64>().ok()?.checked_mul(*worth)?.checked_add(millis)?;
        rest = after;
    }
    (millis > 0).then_some(Span(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_each_function_is_found_and_nothing_else() {
        for (query, wanted) in [
            ("increase(errors[1m])", vec![("increase", 60_000)]),
            (
                "sum by (instance) (rate (a{b=\"[9s] (\"}[90s])) / irate(c[1m30s] offset 5m)",
                vec![("rate", 90_000), ("irate", 90_000)],
            ),
            ("changes(up[1d])", vec![("changes", 86_400_000)]),
            ("clamp_min(x - x offset 1m, 0)", vec![]),
            ("avg_over_time(x[5m]) + job:increase(x)[5m]", vec![]),
            ("increase(x[5m:1m]) + myincrease(x[1s]) + increase(x) + y[1s]", vec![]),
            ("increase(x[", vec![]),
            ("rate(x[99999999999999999999y])", vec![]),
            ("aliasByNode(app.*.errors, 1)", vec![]),
        ] {
            let wanted: Vec<_> = wanted.into_iter().map(|(name, millis)| (name, Span(millis))).collect();
            assert_eq!(ranges(query), wanted, "{query}");
        }
    }
}
