//! The answer of Prometheus to a range query, read without trust: so many series and no more, each of a host of its own, and
//! numbers that are numbers. Deliberately no other kinds of answers.

use std::{collections::BTreeMap, fmt};

use echelon_proto::{Label, Time};
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use super::super::{
    ALL, Question, Samples,
    bounds::{self, cut},
};

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    #[serde(deserialize_with = "bounds::series")]
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Sample>,
}

/// Seconds, and the value as text.
#[derive(Deserialize)]
struct Sample(f64, #[serde(deserialize_with = "number")] f64);

/// What the body says of each host.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn read(body: &[u8], question: &Question) -> Result<Samples, String> {
    let (label, window) = (&question.label, question.window);
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| format!("its answer is not that of a range query: {error}"))?;
    let Some(data) = answer.data.filter(|_| answer.status == "success") else {
        let why = if answer.error.is_empty() {
            &answer.status
        } else {
            &answer.error
        };
        return Err(format!("it refuses the query: {}", cut(why)));
    };
    if data.kind != "matrix" {
        return Err(format!("its answer is a {}, not series over time", cut(&data.kind)));
    }
    let mut samples = Samples::new();
    for mut series in data.result {
        let host = match series.metric.remove(label.as_str()) {
            Some(host) => host,
            None if question.is_of_all => ALL.to_owned(),
            None => return Err(unlabelled(series, label)),
        };
        let mut points = vec![None; window.count];
        for Sample(seconds, value) in series.values {
            let at = Time((seconds * 1000.0).round().max(0.0) as u64);
            if let Some(place) = window.place(at) {
                points[place] = Some(value).filter(|value| value.is_finite());
            }
        }
        if samples.insert(host.clone(), points).is_some() {
            return Err(format!(
                "more than one series has {label}={:?}: put them together, as sum by ({label}) (...) does, or sum(...) over all hosts",
                cut(&host)
            ));
        }
    }
    Ok(samples)
}

fn unlabelled(series: Series, label: &Label) -> String {
    let labels: Vec<_> = series.metric.into_keys().take(5).collect();
    let there = if labels.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has {}", labels.join(", "))
    };
    format!(
        "a series has no label `{label}` ({}): let the query keep it, as sum by ({label}) (...) does",
        cut(&there)
    )
}

/// What an error's body says, where it is one of Prometheus.
pub(super) fn refusal(body: &[u8]) -> Option<String> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    (!answer.error.is_empty()).then(|| cut(&answer.error))
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    struct Number;
    impl Visitor<'_> for Number {
        type Value = f64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number as text")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
            text.parse()
                .map_err(|_| E::custom(format!("{:?} is no number", cut(text))))
        }
    }
    deserializer.deserialize_str(Number)
}
