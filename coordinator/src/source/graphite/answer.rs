//! The answer of Graphite to a render request, read without trust: so many series and no more, each of a host of its own, times
//! that go forward, and numbers that are numbers. Deliberately no other format than `json`.
//!
//! A time there is the beginning of the stretch that its value is of; it ends where the next one begins. Of a series with one
//! value only it is not known how long that is, so it says nothing.

use std::collections::BTreeMap;

use echelon_proto::Time;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::{
    ALL, Question, Samples,
    bounds::{self, cut},
    interval::Intervals,
};

/// The label that is no tag: what the series is called.
const TARGET: &str = "target";

#[derive(Deserialize)]
struct Answer<'a>(#[serde(borrow, deserialize_with = "bounds::series")] Vec<Series<'a>>);

#[derive(Deserialize)]
struct Series<'a> {
    target: String,
    /// Graphite before 1.1 has none.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(borrow)]
    datapoints: Vec<Point<'a>>,
}

/// The value as it is written, for Graphite writes 1e9999 where it means infinity; and seconds.
#[derive(Deserialize)]
struct Point<'a>(#[serde(borrow)] &'a RawValue, u64);

/// What the body says of each host.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn read(body: &[u8], question: &Question) -> Result<Samples, String> {
    let Answer(all): Answer<'_> =
        serde_json::from_slice(body).map_err(|error| format!("its answer is not that of a render request: {error}"))?;
    let mut samples = Samples::new();
    for series in all {
        let points = points(&series, question)?;
        let host = host(series, question)?;
        if samples.insert(host.clone(), points).is_some() {
            return Err(format!(
                "more than one series has {}={:?}: put them together, as groupByNode(..., 1, \"sum\") does",
                question.label,
                cut(&host)
            ));
        }
    }
    Ok(samples)
}

fn host(mut series: Series<'_>, question: &Question) -> Result<String, String> {
    let label = question.label.as_str();
    if label == TARGET {
        return Ok(series.target);
    }
    if question.is_of_all && !series.tags.contains_key(label) {
        return Ok(ALL.to_owned());
    }
    series.tags.remove(label).ok_or_else(|| {
        let tags: Vec<_> = series.tags.keys().take(5).map(String::as_str).collect();
        let there = match tags.as_slice() {
            [] => "none".to_owned(),
            tags => tags.join(", "),
        };
        cut(&format!(
            "the series {:?} has no tag `{label}` (it has {there}): ask by tags, as seriesByTag(...) does, or write label: \
             {TARGET} and let aliasByNode(..., 1) call each series as its host",
            series.target
        ))
    })
}

fn points(series: &Series<'_>, question: &Question) -> Result<Vec<Option<f64>>, String> {
    let mut intervals = Intervals::new(question.window, question.fold);
    let times: Vec<u64> = series.datapoints.iter().map(|point| point.1).collect();
    let Some(mut stretch) = times
        .get(1)
        .zip(times.first())
        .and_then(|(next, first)| next.checked_sub(*first))
    else {
        return match times.len() {
            0 | 1 => Ok(intervals.told()),
            _ => Err(backward(series)),
        };
    };
    for (at, Point(value, began)) in series.datapoints.iter().enumerate() {
        if let Some(next) = times.get(at + 1) {
            stretch = next.checked_sub(*began).unwrap_or(0);
        }
        if stretch == 0 {
            return Err(backward(series));
        }
        if let Some(value) = number(value.get())? {
            let millis = |seconds: u64| Time(seconds.saturating_mul(1000));
            intervals.put(millis(*began), millis(began.saturating_add(stretch)), value);
        }
    }
    Ok(intervals.told())
}

fn backward(series: &Series<'_>) -> String {
    format!("the times of the series {:?} do not go forward", cut(&series.target))
}

fn number(text: &str) -> Result<Option<f64>, String> {
    if text == "null" {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("a value is {}, which is no number", cut(text)))
}

/// What an error's body says: Graphite writes one line of text, and a page where it has failed itself.
pub(super) fn refusal(body: &[u8]) -> Option<String> {
    let text = str::from_utf8(body).ok()?.trim();
    let line = text.lines().next().filter(|line| !line.starts_with('<'))?;
    Some(cut(line))
}
