//! Arguments of `judge`.

mod live;

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};
use echelon_judge::{Budget, score};

pub(crate) use self::live::{Arms, Live, Own};
use crate::console::Format;

const CASES: &str = "\
--cases reads one object of JSON a line from the standard input, and prints one verdict a line:

  {\"name\": \"cpu\", \"kind\": \"gauge\", \"direction\": \"increase\", \"control\": {\"web-1\": [0.5, null]}, \"canary\": {\"web-9\": [0.7, 0.6]},
   \"control_before\": {\"web-1\": [0.4]}, \"canary_before\": {\"web-9\": [0.5]}}
  {\"name\": \"errors\", \"kind\": \"count\", \"control\": [60, 58], \"canary\": [6, 7], \"share\": 0.09}
  {\"name\": \"5xx\", \"kind\": \"ratio\", \"control\": [[5, 900], [4, 870]], \"canary\": [[1, 90], [0, 88]]}
  {\"name\": \"answer\", \"kind\": \"latency\", \"control\": [0.1, 0.3], \"canary\": [0.2, 0.2]}
  {\"name\": \"classic\", \"kind\": \"kayenta\", \"control\": [1, 2, 3], \"canary\": [2, 3, null], \"tolerance\": 0.25}

  control, canary    gauge: each host's points. count: events of each interval. ratio: [bad, all] of each interval.
                     latency, kayenta: samples. null is a value that is not known
  direction          increase, decrease, either: which way is harm [increase; kayenta: either]
  all but kayenta    tolerance: relative harm that is tolerated [0]; margin: pass when more is ruled out [gauge, latency:
                     0.1, count, ratio: 1, forecast: 0.25]; alpha [0.01]; beta [0.05]; metrics that share alpha [1]
  gauge              control_before, canary_before; intervals of the whole window; matched: leave out control hosts at
                     levels that no canary host was near [true]
  count              share: the canary's part of all hosts [0.5]; at_least: values by host, hosts with so many are counted
  ratio              pass_below_rate: pass too when the canary's rate is below it
  latency            or each host's samples, with control_before, canary_before and intervals as of a gauge;
                     buckets: true when the lists are counts by bucket; above: judge the ratio above a bound
  guard              canary alone; above, below; in_a_row [3]; intervals
  forecast           history, canary; season: its points [0]; intervals
  kayenta            tolerance [0.25], confidence [0.98], nan: remove|replace, outliers: keep|remove, outlier_factor [3],
                     effect: meanRatio|cles, allowed_increase, allowed_decrease, critical_increase, critical_decrease,
                     data_required
  critical, group, groups, muted: for `judge score`

out comes, in the same order:

  {\"name\", \"verdict\": \"pass\"|\"high\"|\"low\"|\"no_data\"|\"inconclusive\"|\"fail\", \"statistic\", \"low\", \"high\", \"estimate\",
   \"deviation\", \"reason\", \"looks\"}

A line that is no case gets one error with its number, the others are judged, and the exit code is 2.

FILE is a table with a header: time (seconds, or RFC 3339), host, arm (control or canary), and a column a metric. What is
before --deployed is the window before. --metric says how a column is judged, with the fields from above; a latency is judged
by host, but with `above` or `buckets`:

  echelon judge try samples.csv --deployed 2026-11-21T14:00:00Z --metric cpu=gauge,tolerance=0.05 \\
      --metric errors=ratio,of=requests

With --canary and --control the coordinator asks a source as it is now, as a gate of a rollout would, and shows what that says;
nothing is started or kept. The gate is one of a playbook, or is said here with metrics as they stand in a playbook:

  echelon judge try --playbook web.yaml --gate compare --deployed 2026-11-21T14:00:00Z --canary web-1,web-2 --control web-3,web-4
  echelon judge try --source prometheus --label instance --host '${{ host.name }}:9100' --deployed 2026-11-21T14:00:00Z \\
      --ask 'latency: { kind: gauge, query: \"rate(busy_seconds_total[5m])\" }' --canary web-1,web-2 --control web-3,web-4";

/// `judge ...`
#[derive(Debug, Subcommand)]
pub(crate) enum JudgeVerb {
    /// Judge data of your own: a table, or cases of JSON, without a coordinator; or hosts, by what a source says of them now
    #[command(after_help = CASES)]
    Try(Box<Try>),
    /// The score of the compatible judge over cases from the standard input; needs no coordinator
    #[command(
        after_help = "It reads what `judge try --cases` reads, with `group`, `critical`, `data_required` and `muted`, and prints \
                            one object: {\"score\", \"verdict\": \"pass\"|\"marginal\"|\"fail\", \"reason\", \"groups\"}. A line that is no \
                            case is an error, and there is no score then."
    )]
    Score(Score),
}

/// `judge try`
#[derive(Debug, Args)]
pub(crate) struct Try {
    /// The table
    #[arg(required_unless_present_any = ["cases", "canary"], conflicts_with_all = ["cases", "canary"], value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Cases from the standard input, one a line
    #[arg(long, conflicts_with = "canary")]
    pub cases: bool,
    /// A column, and how it is judged. May be given again
    #[arg(
        long = "metric",
        value_name = "COLUMN=KIND[,FIELD=VALUE]",
        conflicts_with_all = ["cases", "canary"],
        required_unless_present_any = ["cases", "canary"]
    )]
    pub metrics: Vec<Column>,
    /// When the release came: what is before it is the window before
    #[arg(long, value_name = "TIME", conflicts_with = "cases")]
    pub deployed: Option<String>,
    /// False alarms of all metrics together
    #[arg(long, value_name = "PART", default_value_t = Budget::default().alpha, conflicts_with_all = ["cases", "canary"])]
    pub alpha: f64,
    /// By a source
    #[command(flatten)]
    pub live: Live,
    /// How to show it
    #[arg(
        long,
        short,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        conflicts_with = "cases"
    )]
    pub output: Format,
}

/// `judge score`
#[derive(Debug, Args)]
pub(crate) struct Score {
    /// A group's weight in percent; groups without one share what is left. May be given again
    #[arg(long = "weight", value_name = "GROUP=PERCENT")]
    pub weights: Vec<Weight>,
    /// From this score on: pass
    #[arg(long, value_name = "SCORE", default_value_t = score::PASS)]
    pub pass: f64,
    /// From this score on: marginal
    #[arg(long, value_name = "SCORE", default_value_t = score::MARGINAL)]
    pub marginal: f64,
}

/// A group with its weight.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weight {
    /// Its name.
    pub group: String,
    /// In percent.
    pub percent: f64,
}

impl FromStr for Weight {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let write = "write it as GROUP=PERCENT, for example errors=60";
        let (group, percent) = text.rsplit_once('=').ok_or(write)?;
        let percent: f64 = percent.parse().map_err(|_| write)?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(format!("{percent} is not within 0 and 100"));
        }
        Ok(Self {
            group: group.to_owned(),
            percent,
        })
    }
}

/// A column of a table, and how it is judged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    /// Its name in the header.
    pub name: String,
    /// gauge, count ...
    pub kind: String,
    /// Of a ratio: the column that it is a part of.
    pub of: Option<String>,
    /// Further fields of a case.
    pub fields: Vec<(String, serde_json::Value)>,
}

impl FromStr for Column {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let write = "write it as COLUMN=KIND[,FIELD=VALUE], for example cpu=gauge,tolerance=0.05";
        let mut parts = text.split(',');
        let (name, kind) = parts.next().and_then(|part| part.split_once('=')).ok_or(write)?;
        let mut column = Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            of: None,
            fields: Vec::new(),
        };
        for part in parts {
            let (field, value) = part.split_once('=').ok_or(write)?;
            if field == "of" {
                column.of = Some(value.to_owned());
                continue;
            }
            // A word that is no number and no boolean is itself.
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            column.fields.push((field.to_owned(), value));
        }
        if (column.kind == "ratio") != column.of.is_some() {
            return Err(
                "a ratio, and nothing else, is a part `of` another column: errors=ratio,of=requests".to_owned(),
            );
        }
        Ok(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_says_how_it_is_judged() {
        let column: Column = "errors=ratio,of=requests,tolerance=0.1,direction=either"
            .parse()
            .unwrap();
        assert_eq!((column.name.as_str(), column.kind.as_str()), ("errors", "ratio"));
        assert_eq!(column.of.as_deref(), Some("requests"));
        assert_eq!(column.fields[0], ("tolerance".to_owned(), 0.1.into()));
        assert_eq!(column.fields[1], ("direction".to_owned(), "either".into()));
        for bad in ["cpu", "cpu=gauge,x", "errors=ratio", "cpu=gauge,of=x"] {
            assert!(bad.parse::<Column>().is_err(), "{bad}");
        }
        assert!("errors=60".parse::<Weight>().is_ok() && "errors=101".parse::<Weight>().is_err());
    }
}
