//! What the classic judge says of its metrics, put together as it does that. Of its metrics none decides alone; of all others
//! each does, so a gate that has both kinds passes when its score does and they do.

use echelon_engine::effect::Comparison;
use echelon_judge::{
    Label, Verdict,
    kayenta::Judged,
    kept::Scored,
    score::{self, Settings},
};
use echelon_playbooks::model::{Classic, Metric, MetricKind};
use echelon_proto::MetricName;

/// Why nothing is said before.
pub(super) const NOT_YET: &str = "the classic judge looks when the window is over";

/// One that could not be asked for, or was not told.
pub(super) fn without_data(verdict: Verdict, kind: &MetricKind) -> Judged {
    let classic = classic(kind);
    let is_critical = classic.is_some_and(|classic| classic.critical);
    let is_required = classic.is_some_and(|classic| classic.data_required && !classic.critical);
    Judged {
        verdict,
        label: if is_required { Label::NoDataFail } else { Label::NoData },
        critical: is_critical,
    }
}

/// What is scored of a metric; `None`: it is not one of the classic judge's.
pub(super) fn scored(name: &MetricName, kind: &MetricKind, judged: &Judged) -> Option<score::Metric> {
    let classic = classic(kind)?;
    Some(score::Metric {
        name: name.to_string(),
        groups: classic.groups.iter().map(ToString::to_string).collect(),
        label: judged.label,
        critical: judged.critical,
    })
}

/// Of all of them; `None`: there are none.
pub(super) fn put_together(comparison: &Comparison, metrics: Vec<score::Metric>) -> Option<Scored> {
    let is_classic = |metric: &Metric| classic(&metric.kind).is_some();
    if !comparison.canary.metrics.values().any(is_classic) {
        return None;
    }
    let said = &comparison.canary.score;
    let weights = said.weights.iter();
    let settings = Settings {
        weights: weights
            .map(|(group, weight)| (group.to_string(), f64::from(*weight)))
            .collect(),
        pass: f64::from(said.pass),
        marginal: f64::from(said.marginal),
    };
    Some(Scored::new(settings, metrics, NOT_YET))
}

fn classic(kind: &MetricKind) -> Option<&Classic> {
    match kind {
        MetricKind::Kayenta(classic) => Some(classic),
        MetricKind::Gauge
        | MetricKind::Count
        | MetricKind::Ratio { .. }
        | MetricKind::Latency
        | MetricKind::Guard { .. }
        | MetricKind::Forecast { .. } => None,
    }
}
