//! `judge try`, `judge score`: the judge over data that somebody brings, which needs no coordinator, and by a source.

mod live;

use std::fs::File;

use echelon_judge::{Case, Outcome as Came, Verdict, kayenta::Judged, score};
use serde::Serialize;

use super::Outcome;
use crate::{
    args::{Global, JudgeVerb, Score, Try},
    console::{Console, Format},
    error::Error,
    exit::Exit,
    line::{Line, Style},
    samples::Samples,
};

/// A case is some thousand hosts with some hundred points each at the most.
const LINE_BYTES_MAX: usize = 64 << 20;

pub(super) async fn run(verb: JudgeVerb, global: &Global, console: &mut Console) -> Outcome {
    match verb {
        JudgeVerb::Try(args) if !args.live.arms.canary.is_empty() => live::run(&args, global, console).await,
        JudgeVerb::Try(args) => match &args.file {
            Some(file) => table(file, &args, console),
            None => cases(console),
        },
        JudgeVerb::Score(args) => scored(args, console),
    }
}

/// What stands on a line of output: these fields and no others.
#[derive(Debug, Serialize)]
struct Told<'a> {
    name: &'a str,
    verdict: Came,
    statistic: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    estimate: Option<f64>,
    deviation: Option<f64>,
    reason: &'a str,
    looks: u32,
}

impl<'a> Told<'a> {
    fn new(name: &'a str, verdict: &'a Verdict) -> Self {
        Self {
            name,
            verdict: verdict.outcome,
            statistic: verdict.statistic,
            low: verdict.low,
            high: verdict.high,
            estimate: verdict.estimate,
            deviation: verdict.deviation,
            reason: &verdict.reason,
            looks: verdict.looks,
        }
    }

    fn json(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|error| Error::new(Exit::Error, error.to_string()))
    }
}

/// One verdict a line, as the lines come.
fn cases(console: &mut Console) -> Outcome {
    each_case(console, |case, console| {
        let judged = case.judge();
        let line = Told::new(&case.name, &judged.verdict).json()?;
        Ok(console.text(&(line + "\n"))?)
    })
}

/// Nothing is scored when a metric cannot be read: the rest of them is another score.
fn scored(args: Score, console: &mut Console) -> Outcome {
    let mut metrics = Vec::new();
    let exit = each_case(console, |case, _| {
        if !case.muted {
            metrics.push(case.scored(&case.judge()));
        }
        Ok(())
    })?;
    if exit != Exit::Done {
        return Ok(exit);
    }
    if metrics.is_empty() {
        return Err(Error::usage("there is no case on the standard input").next("echelon judge score < cases.jsonl"));
    }
    let weights: Vec<_> = args
        .weights
        .into_iter()
        .map(|weight| (weight.group, weight.percent))
        .collect();
    let sum: f64 = weights.iter().map(|(_, percent)| percent).sum();
    if sum > 100.0 {
        return Err(Error::usage(format!("the weights are {sum} together; there are 100")));
    }
    let settings = score::Settings {
        weights: weights.into_iter().collect(),
        pass: args.pass,
        marginal: args.marginal,
    };
    let scored = score::score(&metrics, &settings);
    let line = serde_json::to_string(&scored).map_err(|error| Error::new(Exit::Error, error.to_string()))?;
    console.text(&(line + "\n"))?;
    Ok(Exit::Done)
}

/// Each line of the standard input that is not empty. One that is no case is told with its number.
fn each_case(console: &mut Console, mut then: impl FnMut(Case, &mut Console) -> Result<(), Error>) -> Outcome {
    let mut exit = Exit::Done;
    for number in 1.. {
        let read = match console.read_line(LINE_BYTES_MAX) {
            Ok(None) => break,
            Ok(Some(Ok(line))) if line.trim().is_empty() => continue,
            Ok(Some(Ok(line))) => Case::read(&line).map_err(|error| error.to_string()),
            Ok(Some(Err(why))) => Err(why),
            Err(error) => {
                return Err(Error::new(
                    Exit::Error,
                    format!("cannot read the standard input: {error}"),
                ));
            }
        };
        match read {
            Ok(case) => then(case, console)?,
            Err(why) => {
                console.notes(&Error::usage(format!("line {number}: {why}")).lines())?;
                exit = Exit::Usage;
            }
        }
    }
    Ok(exit)
}

fn table(file: &std::path::Path, args: &Try, console: &mut Console) -> Outcome {
    let fault = |why: String| Error::usage(format!("{}: {why}", file.display())).next("echelon judge try --help");
    let opened = File::open(file)
        .map_err(|error| Error::new(Exit::Error, format!("cannot read {}: {error}", file.display())))?;
    let samples = Samples::read(opened, args.deployed.as_deref()).map_err(fault)?;
    let mut judged = Vec::new();
    for column in &args.metrics {
        let text = samples.case(column, args.alpha, args.metrics.len()).map_err(fault)?;
        let case = Case::read(&text).map_err(|error| fault(format!("{}: {error}", column.name)))?;
        judged.push((column.name.as_str(), case.judge()));
    }
    show(&judged, args.output, console)?;
    Ok(Exit::Done)
}

fn show(judged: &[(&str, Judged)], format: Format, console: &mut Console) -> Result<(), Error> {
    let told: Vec<Told<'_>> = judged
        .iter()
        .map(|(name, judged)| Told::new(name, &judged.verdict))
        .collect();
    match format {
        Format::Table | Format::Wide => {
            let lines: Vec<_> = judged
                .iter()
                .flat_map(|(name, judged)| lines(name, &judged.verdict))
                .collect();
            console.lines(&lines)?;
        }
        Format::Json => {
            let text = serde_json::to_string(&told).map_err(|error| Error::new(Exit::Error, error.to_string()))?;
            console.text(&(text + "\n"))?;
        }
        Format::Ndjson => {
            for one in &told {
                console.text(&(one.json()? + "\n"))?;
            }
        }
    }
    Ok(())
}

pub(super) fn lines(name: &str, verdict: &Verdict) -> Vec<Line> {
    let (style, glyph, word) = match verdict.outcome {
        Came::Pass => (Style::Good, "✔ ", "pass"),
        Came::Fail => (Style::Bad, "✖ ", "fail"),
        Came::High => (Style::Bad, "✖ ", "high"),
        Came::Low => (Style::Bad, "✖ ", "low"),
        Came::Inconclusive => (Style::Warn, "⚠ ", "inconclusive"),
        Came::NoData => (Style::Warn, "⚠ ", "no data"),
    };
    let mut lines = vec![
        Line::new()
            .push(style, glyph)
            .plain(format!("{name}  "))
            .push(style, word)
            .plain(format!("  at look {}", verdict.looks)),
        Line::new().plain("    ").plain(&verdict.reason),
    ];
    let figure = |figure: Option<f64>| figure.map_or_else(|| "unbounded".to_owned(), |figure| format!("{figure:.4}"));
    if let Some(estimate) = verdict.estimate {
        let (low, high) = (figure(verdict.low), figure(verdict.high));
        lines.push(Line::new().plain(format!("    estimate {estimate:.4}, from {low} to {high}")));
    }
    if let Some(needed) = verdict.needed {
        let samples = needed
            .samples
            .map(|samples| format!("{samples} more intervals or samples"));
        let hosts = needed.hosts.map(|hosts| format!("{hosts} canary hosts"));
        if let Some(needed) = samples.or(hosts) {
            lines.push(Line::new().plain(format!("    as it goes, it takes {needed}")));
        }
    }
    let left = verdict.left_out.iter();
    lines.extend(left.map(|left| Line::new().plain(format!("    left out: {}: {}", left.host, left.why))));
    lines
}
