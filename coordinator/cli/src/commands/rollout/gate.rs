//! `rollout explain --gate`: what a canary gate was decided by, and its verdicts computed again here from the samples that
//! were kept. With `-o json` it is shown as it was kept: `jq -c '.metrics[].case' | echelon judge try --cases` judges it too.

use echelon_judge::{
    Case, Verdict,
    case::{Metric as Values, Points, Tallies},
    kept::{Kept, Metric},
};
use echelon_proto::wire::control::{ExplainGateRequest, GateChunk};
use jiff::Timestamp;
use tonic::Streaming;

use super::{
    super::{Outcome, Session, judge},
    lost,
};
use crate::{
    client::ask,
    console::{Console, Format},
    error::Error,
    exit::Exit,
    line::{Line, Style},
};

/// Twelve metrics with a case of 16 MiB each, the most that is kept.
const KEPT_BYTES_MAX: usize = 12 * (16 << 20) + (8 << 20);
/// Points of a trend: a line of a screen.
const TREND_POINTS_MAX: usize = 60;
/// Hosts of an arm that are named.
const HOSTS_MAX: usize = 12;

pub(super) async fn run(request: ExplainGateRequest, format: Format, mut session: Session<'_>) -> Outcome {
    let gate = request.gate.clone();
    let chunks = session.client.explain_gate(ask(request)).await.map_err(lost)?;
    show(&gate, chunks.into_inner(), format, session.console).await
}

/// What comes in pieces, and the verdicts of it computed again here.
pub(in crate::commands) async fn show(
    gate: &str,
    mut chunks: Streaming<GateChunk>,
    format: Format,
    console: &mut Console,
) -> Outcome {
    let mut text = Vec::new();
    while let Some(chunk) = chunks.message().await.map_err(lost)? {
        if text.len() + chunk.data.len() > KEPT_BYTES_MAX {
            return Err(Error::new(
                Exit::Error,
                format!("what is kept of gate {gate} does not end"),
            ));
        }
        text.extend(chunk.data);
    }
    let unreadable = |why: String| {
        Error::new(
            Exit::Error,
            format!("what is kept of gate {gate} cannot be read: {why}"),
        )
    };
    let text = String::from_utf8(text).map_err(|error| unreadable(error.to_string()))?;
    if format.is_json() {
        console.text(&(text + "\n"))?;
        return Ok(Exit::Done);
    }
    let kept: Kept = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let mut lines = vec![head(&kept)];
    let mut exit = Exit::Done;
    for metric in &kept.metrics {
        let verdict: Verdict =
            serde_json::from_str(metric.verdict.get()).map_err(|error| unreadable(error.to_string()))?;
        lines.extend(judge::lines(&metric.name, &verdict));
        lines.push(counted(&verdict));
        let (shown, is_same) = again(metric);
        lines.extend(shown);
        if !is_same {
            exit = Exit::Error;
        }
    }
    if let Some(score) = &kept.score {
        lines.extend(judge::lines("score", &score.verdict));
    }
    match kept.is_score_same() {
        None => {}
        Some(true) => lines.push(
            Line::new()
                .plain("    ")
                .push(Style::Good, "put together again: the same"),
        ),
        Some(false) => {
            lines.push(
                Line::new()
                    .plain("    ")
                    .push(Style::Bad, "put together again it is otherwise"),
            );
            exit = Exit::Error;
        }
    }
    lines.push(hosts("canary", &kept.canary));
    lines.push(hosts("control", &kept.control));
    console.lines(&lines)?;
    Ok(exit)
}

fn head(kept: &Kept) -> Line {
    let time = |millis: u64| {
        let time = i64::try_from(millis)
            .ok()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok());
        time.map_or_else(|| format!("{millis} ms"), |time| time.to_string())
    };
    let rest = format!(
        " of {} in {}: {} canary and {} control hosts, each {} ms from {} to {}, by {}",
        kept.rollout,
        kept.datacenter,
        kept.canary.len(),
        kept.control.len(),
        kept.every,
        time(kept.since),
        time(kept.upto),
        kept.source,
    );
    Line::new().push(Style::Bold, &kept.gate).plain(rest)
}

fn counted(verdict: &Verdict) -> Line {
    let statistic = verdict
        .statistic
        .map_or_else(String::new, |statistic| format!("statistic {statistic:.4}; "));
    let (samples, hosts) = (verdict.samples, verdict.hosts);
    let of = if hosts.canary == 0 {
        String::new()
    } else {
        format!(" of {} canary and {} control hosts", hosts.canary, hosts.control)
    };
    Line::new().plain(format!(
        "    {statistic}n: {} of the canary and {} of the control{of}",
        samples.canary, samples.control
    ))
}

/// What was asked, how both arms went, and whether the verdict is the same when it is computed again.
fn again(metric: &Metric) -> (Vec<Line>, bool) {
    let mut lines = vec![Line::new().push(Style::Dim, "    query: ").plain(&metric.query)];
    lines.extend(
        metric
            .of
            .as_ref()
            .map(|of| Line::new().push(Style::Dim, "    of: ").plain(of)),
    );
    let (text, style, is_same) = match metric.again() {
        None => (
            "no samples are kept, so it cannot be computed again".to_owned(),
            Style::Dim,
            true,
        ),
        Some(Err(error)) => (format!("what is kept is no case: {error}"), Style::Bad, false),
        Some(Ok(again)) => {
            lines.extend(trend(&again.case));
            if again.is_same {
                (
                    "computed again from what was kept: the same".to_owned(),
                    Style::Good,
                    true,
                )
            } else {
                let verdict = again.case.judge().verdict;
                let text = format!("computed again from what was kept it is otherwise: {}", verdict.reason);
                (text, Style::Bad, false)
            }
        }
    };
    lines.push(Line::new().plain("    ").push(style, text));
    (lines, is_same)
}

fn hosts(arm: &str, names: &[String]) -> Line {
    let shown: Vec<&str> = names.iter().take(HOSTS_MAX).map(String::as_str).collect();
    let more = match names.len().saturating_sub(HOSTS_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Line::new()
        .push(Style::Dim, format!("{arm}: "))
        .plain(shown.join(", "))
        .plain(more)
}

/// Both arms over time, on one scale; nothing where the samples have no times.
fn trend(case: &Case) -> Vec<Line> {
    let (canary, control) = match &case.metric {
        Values::Gauge { control, canary, .. } => (means(canary.values()), means(control.values())),
        Values::Count { control, canary, .. } => (canary.clone(), control.clone()),
        Values::Ratio { control, canary, .. } => (rates(canary), rates(control)),
        Values::Guard { canary, .. } => (canary.clone(), Points::new()),
        Values::GuardRatio { canary, .. } => (rates(canary), Points::new()),
        Values::LatencyOfHosts { control, canary, .. } => (means(canary.values()), means(control.values())),
        Values::Kayenta { control, canary, .. } => (canary.clone(), control.clone()),
        Values::Forecast { history, canary, .. } => return foretold(history, canary),
        Values::Latency { .. } => return Vec::new(),
    };
    both([("canary", &canary), ("control", &control)])
}

/// What stands beside the present is the newest of the past.
fn foretold(history: &Points, canary: &Points) -> Vec<Line> {
    let known = history.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let newest = history[known.saturating_sub(TREND_POINTS_MAX)..known].to_vec();
    both([("canary", canary), ("past", &newest)])
}

fn both(series: [(&str, &Points); 2]) -> Vec<Line> {
    let known = series.iter().flat_map(|(_, points)| points.iter()).flatten().copied();
    let (low, high) = known.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let line = |(arm, points): (&str, &Points)| {
        let latest = points.iter().rev().flatten().next()?;
        Some(
            Line::new()
                .push(Style::Dim, format!("    {arm:<8}"))
                .plain(spark(points, low, high))
                .plain(format!(" {latest:.4}")),
        )
    };
    series.into_iter().filter_map(line).collect()
}

fn means<'a>(hosts: impl Iterator<Item = &'a Points> + Clone) -> Points {
    let looks = hosts.clone().map(Vec::len).max().unwrap_or(0);
    let mean = |at: usize| {
        let values: Vec<f64> = hosts
            .clone()
            .filter_map(|points| points.get(at).copied().flatten())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    (0..looks).map(mean).collect()
}

fn rates(tallies: &Tallies) -> Points {
    let rate = |tally: &Option<echelon_judge::ratio::Tally>| {
        let tally = (*tally)?;
        (tally.total > 0.0).then(|| tally.bad / tally.total)
    };
    tallies.iter().map(rate).collect()
}

/// The newest points, from the lowest to the highest of both arms; a blank where nothing is known.
fn spark(points: &Points, low: f64, high: f64) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let newest = &points[points.len().saturating_sub(TREND_POINTS_MAX)..];
    let bar = |point: &Option<f64>| {
        let Some(value) = point else { return ' ' };
        let part = if high > low { (value - low) / (high - low) } else { 0.0 };
        BARS[((part * 8.0) as usize).min(7)]
    };
    newest.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn metric(case: &str) -> Metric {
        let judged = Case::read(case).unwrap().judge();
        Metric {
            name: "errors".to_owned(),
            query: "sum by (instance) (errors)".to_owned(),
            of: None,
            case: RawValue::from_string(case.to_owned()).ok(),
            verdict: serde_json::value::to_raw_value(&judged.verdict).unwrap(),
        }
    }

    #[test]
    fn a_verdict_is_computed_again_and_one_that_was_altered_is_told() {
        let kept = metric(r#"{"kind":"count","control":[1,2,null,8],"canary":[1,1,2,4],"share":0.5}"#);
        let (lines, is_same) = again(&kept);
        let text: Vec<_> = lines.iter().map(Line::text).collect();
        assert!(is_same, "{text:?}");
        assert_eq!(
            text,
            [
                "    query: sum by (instance) (errors)",
                "    canary  ▁▁▂▄ 4.0000",
                "    control ▁▂ █ 8.0000",
                "    computed again from what was kept: the same",
            ]
        );
        let altered = Metric {
            case: RawValue::from_string(
                r#"{"kind":"count","control":[1,2,null,8],"canary":[1000,1000,1000,1000],"share":0.5}"#.to_owned(),
            )
            .ok(),
            ..kept
        };
        let (lines, is_same) = again(&altered);
        assert!(
            !is_same && lines.last().unwrap().text().contains("otherwise"),
            "{lines:?}"
        );
    }
}
