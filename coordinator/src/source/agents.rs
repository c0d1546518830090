//! What agents measured of their own hosts, as a source that needs no server: the query is the name of a series, such as
//! `cpu_used_percent` or `probe_ms/r7/health`, the label is `host`, and what stands there is the host's name.
//!
//! The coordinator keeps half an hour of it, in memory. A window that began before the coordinator did is no data: what
//! happened before it was there nobody can tell, and a part of a window is not the whole.

use echelon_proto::{SourceName, Time};

use super::{Error, Question, Samples, bounds::cut, interval::Intervals};
use crate::samples;

/// The name of this source.
pub const AGENTS: &str = "agents";
/// Its only label.
const HOST: &str = "host";
/// Names of series that are told where another one was asked for.
const NAMES_MAX: usize = 12;

pub(super) fn ask(kept: &samples::Samples, question: &Question) -> Result<Samples, Error> {
    let wrong = |why: String| {
        Err(Error::Answer {
            name: question.source.clone(),
            why,
        })
    };
    if question.label.as_str() != HOST {
        let why = format!(
            "its series have no label `{}`: write label: {HOST}, and host: \"${{{{ host.name }}}}\"",
            question.label
        );
        return wrong(why);
    }
    let window = question.window;
    let opens = Time(window.first.0.saturating_sub(window.step.0));
    let began = kept.began();
    if opens < began {
        let (lacks, whole) = (began.since(opens), window.last().since(opens));
        return wrong(format!(
            "the coordinator was started {lacks} after the beginning of a window of {whole}, and knows nothing of the time before"
        ));
    }
    let by_host = kept.series(&question.query, opens);
    if by_host.is_empty() {
        return wrong(unknown(kept, question));
    }
    let told = by_host.into_iter().map(|(host, points)| {
        let mut intervals = Intervals::new(window, question.fold);
        for point in points {
            intervals.put(point.at, point.at, point.value);
        }
        (host.to_string(), intervals.told())
    });
    Ok(told.collect())
}

fn unknown(kept: &samples::Samples, question: &Question) -> String {
    let names = kept.names(NAMES_MAX);
    let there = match names.as_slice() {
        [] => "no agent has told anything".to_owned(),
        names => format!("they tell of {}", names.join(", ")),
    };
    cut(&format!("no agent tells of `{}` in this time; {there}", question.query))
}

/// Whether a source of the configuration may have this name.
#[must_use]
pub fn is_taken(name: &SourceName) -> bool {
    name.as_str() == AGENTS
}
