//! The score of the compatible judge: of each group the part that passed, groups weighted. Deliberately nothing that our
//! own gates use: a weighted mean of verdicts lets nine good metrics hide a bad one.
//!
//! Group = 100 pass / (pass + high + low + no-data-fail); a group without any of these counts as 100. Groups without a
//! weight share what is left of 100. Score = sum of group x weight / 100, to two decimals. It is 0 when a critical metric
//! does not pass, or half of the metrics or more have no data. Example: errors 100 at 60 %, latency 50 at 40 %: 80.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Label, Outcome, Verdict};

/// Where nothing was said: what Spinnaker suggests.
pub const PASS: f64 = 95.0;
/// The same.
pub const MARGINAL: f64 = 75.0;
/// Metrics that name no group are one.
pub const UNGROUPED: &str = "ungrouped";
/// From this part of metrics without data on, nothing is known.
const NO_DATA: f64 = 0.5;

/// A metric as the score sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// For the reason.
    pub name: String,
    /// None: the ungrouped.
    pub groups: Vec<String>,
    /// What came out.
    pub label: Label,
    /// Whether it fails all, unless it passes.
    pub critical: bool,
}

/// Weights in percent, and from which scores on it is good or half good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// By group.
    pub weights: BTreeMap<String, f64>,
    /// From this score on: pass.
    pub pass: f64,
    /// From this one on: marginal.
    pub marginal: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            weights: BTreeMap::new(),
            pass: PASS,
            marginal: MARGINAL,
        }
    }
}

/// Of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Good.
    Pass,
    /// Half good.
    Marginal,
    /// Bad.
    Fail,
}

/// Of one group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// 0 to 100; 0 too where nothing was told.
    pub score: f64,
    /// In percent.
    pub weight: f64,
    /// Nothing of it was told: it counts as 100.
    pub no_data: bool,
    /// Metrics in it.
    pub metrics: usize,
}

/// Of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// 0 to 100.
    pub score: f64,
    /// By the settings.
    pub verdict: Class,
    /// Why it is 0, where it is not the groups.
    pub reason: Option<String>,
    /// By name.
    pub groups: Vec<Group>,
}

/// Scores what was judged.
#[must_use]
pub fn score(metrics: &[Metric], settings: &Settings) -> Score {
    let groups = groups(metrics, settings);
    let critical = metrics
        .iter()
        .find(|metric| metric.critical && metric.label != Label::Pass);
    let without = metrics.iter().filter(|metric| metric.label == Label::NoData).count();
    let reason = if let Some(metric) = critical {
        Some(format!("the critical metric {} did not pass", metric.name))
    } else if without as f64 >= NO_DATA * metrics.len() as f64 {
        Some(format!("{without} of {} metrics have no data", metrics.len()))
    } else {
        None
    };
    let score = if reason.is_some() {
        0.0
    } else {
        let parts = groups.iter().map(|group| {
            if group.no_data {
                group.weight
            } else {
                group.score * group.weight / 100.0
            }
        });
        (parts.sum::<f64>() * 100.0).round() / 100.0
    };
    let verdict = if score >= settings.pass {
        Class::Pass
    } else if score >= settings.marginal {
        Class::Marginal
    } else {
        Class::Fail
    };
    Score {
        score,
        verdict,
        reason,
        groups,
    }
}

/// What a gate hears of the score: between both marks is doubt. Where nothing was judged, and where the score is 0 for want of
/// data, there is no data: that is neither a pass, as there of a group without any, nor harm that was shown.
#[must_use]
pub fn judge(metrics: &[Metric], settings: &Settings) -> Verdict {
    let scored = score(metrics, settings);
    let is_untold = |metric: &Metric| metric.label == Label::NoData || metric.label == Label::Error;
    let untold = metrics.iter().filter(|metric| is_untold(metric)).count();
    let is_half = untold as f64 >= NO_DATA * metrics.len() as f64;
    if is_half || metrics.iter().any(|metric| metric.critical && is_untold(metric)) {
        let reason = scored
            .reason
            .unwrap_or_else(|| format!("{untold} of {} metrics were not judged", metrics.len()));
        return Verdict::no_data(reason);
    }
    let outcome = match scored.verdict {
        Class::Pass => Outcome::Pass,
        Class::Marginal => Outcome::Inconclusive,
        Class::Fail => Outcome::Fail,
    };
    let groups = scored.groups.iter();
    let groups = groups.map(|group| format!("{} {:.2} at {:.2} %", group.name, group.score, group.weight));
    let groups: Vec<_> = groups.collect();
    let bad = metrics
        .iter()
        .filter(|metric| metric.label != Label::Pass && !is_untold(metric));
    let bad: Vec<_> = bad.map(|metric| metric.name.as_str()).collect();
    let mut reason = format!("{:.2} of 100: {}", scored.score, groups.join(", "));
    for part in scored
        .reason
        .into_iter()
        .chain((!bad.is_empty()).then(|| format!("not good: {}", bad.join(", "))))
    {
        reason = format!("{reason}; {part}");
    }
    let mut verdict = Verdict::new(outcome, reason);
    verdict.statistic = Some(scored.score);
    verdict
}

/// As the score sees a verdict of our own kinds.
#[must_use]
pub fn label(outcome: Outcome) -> Label {
    match outcome {
        Outcome::Pass => Label::Pass,
        Outcome::Fail | Outcome::High => Label::High,
        Outcome::Low => Label::Low,
        Outcome::Inconclusive | Outcome::NoData => Label::NoData,
    }
}

fn groups(metrics: &[Metric], settings: &Settings) -> Vec<Group> {
    let mut labels: BTreeMap<&str, Vec<Label>> = BTreeMap::new();
    for metric in metrics {
        if metric.groups.is_empty() {
            labels.entry(UNGROUPED).or_default().push(metric.label);
        }
        for group in &metric.groups {
            labels.entry(group).or_default().push(metric.label);
        }
    }
    let unweighted = labels
        .keys()
        .filter(|name| !settings.weights.contains_key(**name))
        .count();
    let left = (100.0 - settings.weights.values().sum::<f64>()) / unweighted.max(1) as f64;
    let group = |(name, labels): (&str, Vec<Label>)| {
        let counts = |wanted: Label| labels.iter().filter(|label| **label == wanted).count();
        let passed = counts(Label::Pass);
        let all = passed + counts(Label::High) + counts(Label::Low) + counts(Label::NoDataFail);
        Group {
            name: name.to_owned(),
            score: if all == 0 {
                0.0
            } else {
                passed as f64 / all as f64 * 100.0
            },
            weight: settings.weights.get(name).copied().unwrap_or(left),
            no_data: all == 0,
            metrics: labels.len(),
        }
    };
    labels.into_iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, group: &str, label: Label) -> Metric {
        Metric {
            name: name.to_owned(),
            groups: if group.is_empty() {
                Vec::new()
            } else {
                vec![group.to_owned()]
            },
            label,
            critical: false,
        }
    }

    fn weights(weights: &[(&str, f64)]) -> Settings {
        Settings {
            weights: weights
                .iter()
                .map(|(name, weight)| ((*name).to_owned(), *weight))
                .collect(),
            ..Settings::default()
        }
    }

    #[test]
    fn groups_are_weighted_and_the_unweighted_share_what_is_left() {
        let metrics = [
            metric("a", "errors", Label::Pass),
            metric("b", "latency", Label::Pass),
            metric("c", "latency", Label::High),
            metric("d", "system", Label::Low),
        ];
        let scored = score(&metrics, &weights(&[("errors", 60.0)]));
        assert_eq!(scored.score, 70.0, "{scored:?}");
        assert_eq!(scored.verdict, Class::Fail);
        assert_eq!(
            scored.groups.iter().map(|group| group.weight).collect::<Vec<_>>(),
            [60.0, 20.0, 20.0]
        );
        let marginal = Settings {
            marginal: 70.0,
            ..weights(&[("errors", 60.0)])
        };
        assert_eq!(score(&metrics, &marginal).verdict, Class::Marginal);
    }

    #[test]
    fn a_third_is_rounded_to_two_decimals() {
        let metrics = [Label::Pass, Label::High, Label::NoDataFail].map(|label| metric("a", "", label));
        let scored = score(&metrics, &Settings::default());
        assert_eq!((scored.score, scored.groups[0].name.as_str()), (33.33, UNGROUPED));
    }

    #[test]
    fn a_critical_metric_that_does_not_pass_is_the_end() {
        let mut metrics = vec![metric("a", "x", Label::Pass); 9];
        metrics.push(Metric {
            critical: true,
            ..metric("cpu", "x", Label::NoData)
        });
        let scored = score(&metrics, &Settings::default());
        assert_eq!((scored.score, scored.verdict), (0.0, Class::Fail));
        assert!(scored.reason.unwrap().contains("cpu"));
    }

    #[test]
    fn half_without_data_is_nothing_known_and_less_is_left_out() {
        let half = [metric("a", "x", Label::Pass), metric("b", "y", Label::NoData)];
        assert_eq!(score(&half, &Settings::default()).score, 0.0);
        let third = [&half[..], &[metric("c", "x", Label::Pass)]].concat();
        let scored = score(&third, &Settings::default());
        assert_eq!(scored.score, 100.0, "a group without data counts as good, as there");
        assert!(scored.groups[1].no_data);
    }

    #[test]
    fn a_gate_hears_a_pass_doubt_or_harm_and_where_nothing_was_told_no_data() {
        let judged = |labels: &[Label]| {
            let metrics: Vec<_> = labels.iter().map(|label| metric("a", "x", *label)).collect();
            judge(&metrics, &Settings::default()).outcome
        };
        let of = |bad: usize| [vec![Label::High; bad], vec![Label::Pass; 10 - bad]].concat();
        assert_eq!(judged(&of(0)), Outcome::Pass);
        assert_eq!(judged(&of(2)), Outcome::Inconclusive);
        assert_eq!(judged(&of(3)), Outcome::Fail);
        for nothing in [Label::NoData, Label::Error] {
            assert_eq!(judged(&[nothing]), Outcome::NoData, "there it would pass");
            assert_eq!(judged(&[nothing, Label::Pass]), Outcome::NoData);
            assert_eq!(judged(&[nothing, Label::Pass, Label::Pass]), Outcome::Pass);
        }
        assert_eq!(judged(&[Label::NoDataFail]), Outcome::Fail, "it was required");
        let critical = |label: Label| {
            let mut metrics = vec![metric("a", "x", Label::Pass); 9];
            metrics.push(Metric {
                critical: true,
                ..metric("cpu", "x", label)
            });
            judge(&metrics, &Settings::default())
        };
        assert_eq!(critical(Label::NoData).outcome, Outcome::NoData);
        let high = critical(Label::High);
        assert_eq!(high.outcome, Outcome::Fail);
        assert!(
            high.reason.contains("the critical metric cpu") && high.reason.contains("not good: cpu"),
            "{high:?}"
        );
    }
}
