//! The past of a canary and its present, as one series each: that of all hosts at once, where the query gives one; else the
//! mean of the canary hosts that told both then and now, so that who joined or left in between moves nothing. Between the end of the past and the first point lie the rolling of the
//! wave and its warm-up: so many points are not known, or the season would be told at the wrong time of the day.

use std::collections::BTreeSet;

use echelon_engine::effect::Comparison;
use echelon_proto::Span;
use serde_json::{Value, json};

use super::{Had, TELLING, planned, point};
use crate::source::{ALL, Samples};

pub(super) fn put(comparison: &Comparison, season: Span, had: Had<'_>, put: &mut impl FnMut(&str, Value)) {
    let nothing = Samples::new();
    let past = had.before.unwrap_or(&nothing);
    let tells = |samples: &Samples, host: &str| {
        let points = samples.get(host);
        points.is_some_and(|points| points.iter().any(Option::is_some))
    };
    let is_of_all = past.contains_key(ALL) || had.since.contains_key(ALL);
    let hosts: BTreeSet<&str> = match is_of_all {
        true => BTreeSet::from([ALL]),
        false => comparison.treated.keys().map(String::as_str).collect(),
    };
    let hosts = hosts
        .into_iter()
        .filter(|host| tells(past, host) && tells(had.since, host))
        .collect();
    let every = comparison.canary.every.0.max(1);
    let season = usize::try_from(season.0 / every).unwrap_or(usize::MAX);
    let mut history = means(past, &hosts);
    history.resize(history.len() + between(comparison, season), None);
    put("history", json!(history));
    put("canary", json!(means(had.since, &hosts)));
    put("season", season.into());
    put("intervals", planned(comparison).into());
}

/// Points that are in neither window. Only their place in the season matters.
fn between(comparison: &Comparison, season: usize) -> usize {
    let every = comparison.canary.every.0.max(1);
    let apart = comparison.since.since(comparison.opened).0;
    let points = usize::try_from((apart + every / 2) / every).unwrap_or(usize::MAX);
    points.checked_rem(season).unwrap_or(0)
}

/// Where nearly all of them told.
fn means(samples: &Samples, hosts: &BTreeSet<&str>) -> Vec<Option<f64>> {
    let points = hosts.iter().filter_map(|host| samples.get(*host));
    let count = points.map(Vec::len).max().unwrap_or(0);
    let mean = |at: usize| {
        let told: Vec<f64> = hosts.iter().filter_map(|host| point(samples, host, at)).collect();
        let enough = !told.is_empty() && told.len() as f64 >= TELLING * hosts.len() as f64;
        enough.then(|| told.iter().sum::<f64>() / told.len() as f64)
    };
    (0..count).map(mean).collect()
}
