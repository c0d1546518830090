//! One look of a canary gate: asks the source for every metric, lets the judge say what it says, and puts together what is
//! kept. A metric whose samples cannot be had has no data, with the reason; the others are judged all the same.

use std::{sync::Arc, time::Duration};

use echelon_engine::{
    effect::Comparison,
    gate::canary::{Look, Says},
};
use echelon_judge::{
    Case, Outcome, Verdict,
    kayenta::Judged as Judgement,
    kept::{self, Kept},
    score as scores,
};
use echelon_playbooks::model::{Metric, MetricKind};
use echelon_proto::{MetricName, Span, Time};
use futures::{StreamExt as _, stream};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use super::{
    case::{self, Had, case},
    score,
};
use crate::source::{Error, Fold, Question, Samples, Sources, Window};

/// Of all questions of a look, tries included: the next one waits for it.
const ASKED_WITHIN: Duration = Duration::from_secs(120);
/// Questions of a look at once; the source bounds those of all looks.
const AT_ONCE: usize = 4;
/// What stands in the journal of a look, in characters.
const EVIDENCE_CHARS_MAX: usize = 1000;
/// One case that is kept. A larger one is judged, and not kept.
const CASE_BYTES_MAX: usize = 16 << 20;

/// What a look came to.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) look: Look,
    pub(super) kept: Kept,
}

struct Asked {
    since: Arc<Samples>,
    before: Option<Arc<Samples>>,
    of: Option<Arc<Samples>>,
}

/// Looks at the samples of the first `count` intervals.
pub(super) async fn look(sources: &Sources, comparison: &Arc<Comparison>, count: usize) -> Looked {
    let window = since(comparison, count);
    let metrics: Vec<_> = comparison.canary.metrics.clone().into_iter().collect();
    let until = Instant::now() + ASKED_WITHIN;
    let asked = stream::iter(metrics).map(|(name, metric)| async move {
        let asked = timeout_at(until, ask(sources, comparison, &metric, window)).await;
        let late = || format!("the source did not answer within {} s", ASKED_WITHIN.as_secs());
        let asked = asked
            .map_err(|_| late())
            .and_then(|asked| asked.map_err(|error| error.to_string()));
        (name, metric, asked)
    });
    let asked: Vec<_> = asked.buffered(AT_ONCE).collect().await;
    let judging = comparison.clone();
    let judged = tokio::task::spawn_blocking(move || judge(&judging, asked, count)).await;
    let judged = judged.unwrap_or_else(|error| vec![panicked(&error.to_string())]);
    looked(comparison, judged, window.last())
}

fn since(comparison: &Comparison, count: usize) -> Window {
    let step = comparison.canary.every;
    Window {
        first: comparison.since + step,
        step,
        count,
    }
}

/// A window of this length, up to when the first host of the wave could go.
fn before(comparison: &Comparison, before: Span) -> Option<Window> {
    let step = comparison.canary.every;
    let count = usize::try_from(before.0 / step.0.max(1))
        .ok()
        .filter(|count| *count > 0)?;
    let back = step.0.saturating_mul(count as u64 - 1);
    let first = Time(comparison.opened.0.saturating_sub(back));
    Some(Window { first, step, count })
}

async fn ask(sources: &Sources, of: &Comparison, metric: &Metric, window: Window) -> Result<Asked, Error> {
    let question = |query: &str, window: Window| Question {
        source: of.canary.source.clone(),
        query: query.to_owned(),
        label: of.canary.label.clone(),
        window,
        fold: fold(&metric.kind),
        is_of_all: matches!(metric.kind, MetricKind::Forecast { .. }),
    };
    let since = sources.ask(&question(&metric.query, window)).await?;
    let (mut past, mut all) = (None, None);
    match &metric.kind {
        MetricKind::Gauge | MetricKind::Latency => {
            if let Some(window) = before(of, of.canary.before) {
                past = Some(sources.ask(&question(&metric.query, window)).await?);
            }
        }
        MetricKind::Forecast { past: span, .. } => {
            if let Some(window) = before(of, *span) {
                past = Some(sources.ask(&question(&metric.query, window)).await?);
            }
        }
        MetricKind::Ratio { of, .. } => all = Some(sources.ask(&question(of, window)).await?),
        MetricKind::Count | MetricKind::Guard { .. } | MetricKind::Kayenta(_) => {}
    }
    Ok(Asked {
        since,
        before: past,
        of: all,
    })
}

/// What several values within an interval come to.
fn fold(kind: &MetricKind) -> Fold {
    match kind {
        MetricKind::Gauge | MetricKind::Guard { .. } | MetricKind::Forecast { .. } | MetricKind::Kayenta(_) => {
            Fold::Mean
        }
        MetricKind::Count | MetricKind::Ratio { .. } => Fold::Sum,
        MetricKind::Latency => Fold::Newest,
    }
}

struct Judged {
    kept: kept::Metric,
    verdict: Verdict,
    /// What the classic judge says, where it is asked: alone it decides nothing.
    scored: Option<scores::Metric>,
}

type Answered = (MetricName, Metric, Result<Asked, String>);

fn judge(comparison: &Comparison, asked: Vec<Answered>, count: usize) -> Vec<Judged> {
    let one = |(name, metric, asked): Answered| {
        let (text, verdict, scored) = match case::judged_upto(comparison, &metric, count) {
            Some(count) => {
                let (text, judged) = judge_one(comparison, &name, &metric, asked, count);
                let scored = score::scored(&name, &metric.kind, &judged);
                (text, judged.verdict, scored)
            }
            None => (None, Verdict::new(Outcome::Inconclusive, score::NOT_YET), None),
        };
        let of = match &metric.kind {
            MetricKind::Ratio { of, .. } => Some(of.clone()),
            MetricKind::Gauge
            | MetricKind::Count
            | MetricKind::Latency
            | MetricKind::Guard { .. }
            | MetricKind::Forecast { .. }
            | MetricKind::Kayenta(_) => None,
        };
        let text = text.filter(|text| text.len() <= CASE_BYTES_MAX);
        let kept = kept::Metric {
            name: name.to_string(),
            query: metric.query,
            of,
            case: text.and_then(|text| RawValue::from_string(text).ok()),
            verdict: raw(&verdict),
        };
        Judged { kept, verdict, scored }
    };
    asked.into_iter().map(one).collect()
}

/// With its case, where there is one.
fn judge_one(
    comparison: &Comparison,
    name: &MetricName,
    metric: &Metric,
    asked: Result<Asked, String>,
    count: usize,
) -> (Option<String>, Judgement) {
    let no_data = |why: String| {
        (
            None,
            score::without_data(Verdict::new(Outcome::NoData, why), &metric.kind),
        )
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(why) => return no_data(why),
    };
    if matches!(metric.kind, MetricKind::Kayenta(_)) && case::is_silent(comparison, &asked.since) {
        return no_data("an arm has no value".to_owned());
    }
    let had = Had {
        since: &asked.since,
        before: asked.before.as_deref(),
        of: asked.of.as_deref(),
    };
    let text = case(comparison, name.as_str(), metric, had, count);
    let judged = match Case::read(&text) {
        Ok(case) => case.judge(),
        Err(error) => return no_data(format!("its samples cannot be judged: {error}")),
    };
    (Some(text), judged)
}

fn raw(verdict: &Verdict) -> Box<RawValue> {
    serde_json::value::to_raw_value(verdict).unwrap_or_default()
}

/// A judge that panics has said nothing; the coordinator goes on.
fn panicked(why: &str) -> Judged {
    let verdict = Verdict::new(Outcome::NoData, format!("the judge ended early: {why}"));
    let kept = kept::Metric {
        name: "all".to_owned(),
        query: String::new(),
        of: None,
        case: None,
        verdict: raw(&verdict),
    };
    Judged {
        kept,
        verdict,
        scored: None,
    }
}

fn says(outcome: Outcome) -> Says {
    match outcome {
        Outcome::Pass => Says::Pass,
        Outcome::Fail | Outcome::High | Outcome::Low => Says::Fail,
        Outcome::Inconclusive => Says::Inconclusive,
        Outcome::NoData => Says::NoData,
    }
}

/// Which of two is said of both: harm before anything, then what was not seen, then doubt.
fn weight(says: Says) -> u8 {
    match says {
        Says::Pass => 0,
        Says::Inconclusive => 1,
        Says::NoData => 2,
        Says::Fail => 3,
    }
}

fn looked(comparison: &Comparison, mut judged: Vec<Judged>, upto: Time) -> Looked {
    let scored = score::put_together(
        comparison,
        judged.iter_mut().filter_map(|one| one.scored.take()).collect(),
    );
    let decides = |one: &&Judged| {
        let metric = comparison
            .canary
            .metrics
            .iter()
            .find(|(name, _)| name.as_str() == one.kept.name);
        metric.is_none_or(|(_, metric)| !matches!(metric.kind, MetricKind::Kayenta(_)))
    };
    let of_each = judged.iter().filter(decides);
    let of_each = of_each.map(|one| {
        (
            says(one.verdict.outcome),
            one.kept.name.as_str(),
            one.verdict.reason.as_str(),
        )
    });
    let of_all = scored.iter().map(|scored| &scored.verdict);
    let of_all = of_all.map(|verdict| (says(verdict.outcome), "score", verdict.reason.as_str()));
    let mut lines: Vec<_> = of_each.chain(of_all).collect();
    lines.sort_by_key(|(says, ..)| std::cmp::Reverse(weight(*says)));
    let said = lines.first().map_or(Says::NoData, |(says, ..)| *says);
    // Why is said of what decides; of the rest, what came out.
    let lines: Vec<_> = lines
        .iter()
        .map(|(says, name, reason)| match *says == said {
            true => format!("{name}: {}, {reason}", says.name()),
            false => format!("{name}: {}", says.name()),
        })
        .collect();
    let mut evidence = lines.join("; ");
    if let Some((at, _)) = evidence.char_indices().nth(EVIDENCE_CHARS_MAX) {
        evidence.truncate(at);
        evidence.push_str("...");
    }
    let kept = Kept {
        rollout: comparison.rollout.to_string(),
        datacenter: comparison.datacenter.to_string(),
        gate: comparison.gate.to_string(),
        source: comparison.canary.source.to_string(),
        since: comparison.since.0,
        upto: upto.0,
        every: comparison.canary.every.0,
        canary: comparison.treated.keys().cloned().collect(),
        control: comparison.control.keys().cloned().collect(),
        metrics: judged.drain(..).map(|one| one.kept).collect(),
        score: scored,
    };
    let look = Look {
        upto,
        says: said,
        evidence,
    };
    Looked { look, kept }
}

/// How long after an interval's end its samples are asked for: a source scrapes, and writes, a little later.
pub(crate) fn settle(every: Span) -> Span {
    Span(every.0 / 2).min(Span::secs(15))
}
