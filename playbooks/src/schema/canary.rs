//! Canary gates.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::{
    Rule,
    value::{self, HostKey, Name, Percent, Span, Template, Words},
};

/// Hosts of the wave against hosts that the release has not reached.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct CanaryGate {
    kind: Canary,
    /// A name in the coordinator's configuration.
    source: Name,
    /// The label of a series that says of which host it is: instance.
    label: Name,
    /// What stands there for a host: "${{ host.name }}:9100".
    host: Template,
    /// Between two samples, and between two looks. Default: 1m.
    every: Option<Span>,
    /// The window before the deploy. Default: 30m.
    before: Option<Span>,
    /// Not looked at, from the wave's last host on. Default: 0s.
    warm_up: Option<Span>,
    /// The window after it.
    #[schemars(rename = "for")]
    hold_for: Span,
    /// How often the rule `extend` may prolong it. Default: 1.
    #[schemars(range(max = 10))]
    extend: Option<u32>,
    /// Control hosts, at most. Default: 200.
    #[schemars(range(min = 5, max = 2000))]
    control: Option<u32>,
    /// Beside the pool: what hosts that are compared have in common.
    #[schemars(rename = "match", length(max = 8))]
    alike: Option<Vec<HostKey>>,
    /// Of harmless canaries, the part that may be called harmful, over all looks and metrics together. Default: 0.01.
    #[schemars(range(min = 0.0001, max = 0.2))]
    alpha: Option<f64>,
    metrics: Metrics,
    score: Option<Score>,
    /// Default: `on_failure.gate`.
    on_fail: Option<Rule>,
    /// Default: hold.
    on_inconclusive: Option<Doubt>,
    /// Default: hold.
    on_no_data: Option<Doubt>,
    /// Default: hold.
    on_expire: Option<Rule>,
}

/// By name.
#[derive(JsonSchema)]
#[schemars(transparent, extend("minProperties" = 1, "maxProperties" = 12, "propertyNames" = value::named()))]
struct Metrics(BTreeMap<String, Metric>);

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Metric {
    Gauge(GaugeMetric),
    Count(CountMetric),
    Ratio(RatioMetric),
    Latency(LatencyMetric),
    Guard(GuardMetric),
    Forecast(ForecastMetric),
    Kayenta(Box<KayentaMetric>),
}

/// Each host's level.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct GaugeMetric {
    kind: Gauge,
    /// One series a host, in the source's own language.
    query: Words,
    /// Which way is harm. Default: increase.
    direction: Option<Harm>,
    /// Relative harm that is tolerated. Default: none.
    tolerance: Option<Percent>,
    /// Relative harm that must be ruled out for a pass. Default: 10% of a gauge or a latency, 100% of a count or a ratio.
    margin: Option<Percent>,
}

/// Events of each interval.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct CountMetric {
    kind: Count,
    /// One series a host, in the source's own language.
    query: Words,
    /// Which way is harm. Default: increase.
    direction: Option<Harm>,
    /// Relative harm that is tolerated. Default: none.
    tolerance: Option<Percent>,
    /// Relative harm that must be ruled out for a pass. Default: 10% of a gauge or a latency, 100% of a count or a ratio.
    margin: Option<Percent>,
}

/// The bad among all.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RatioMetric {
    kind: Ratio,
    /// One series a host, in the source's own language.
    query: Words,
    /// The query for all.
    of: Words,
    /// Which way is harm. Default: increase.
    direction: Option<Harm>,
    /// Relative harm that is tolerated. Default: none.
    tolerance: Option<Percent>,
    /// Relative harm that must be ruled out for a pass. Default: 10% of a gauge or a latency, 100% of a count or a ratio.
    margin: Option<Percent>,
    /// It passes too when the canary's own rate is shown to be below.
    pass_below_rate: Option<Percent>,
}

/// Samples of one distribution.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct LatencyMetric {
    kind: Latency,
    /// One series a host, in the source's own language.
    query: Words,
    /// Which way is harm. Default: increase.
    direction: Option<Harm>,
    /// Relative harm that is tolerated. Default: none.
    tolerance: Option<Percent>,
    /// Relative harm that must be ruled out for a pass. Default: 10% of a gauge or a latency, 100% of a count or a ratio.
    margin: Option<Percent>,
}

/// A bound on the canary alone.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct GuardMetric {
    kind: Guard,
    /// One series a host, in the source's own language.
    query: Words,
    /// Beyond it is harm.
    above: Option<f64>,
    /// Below it is harm.
    below: Option<f64>,
}

/// What the canary's past foretells.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ForecastMetric {
    kind: Forecast,
    /// One series a host, in the source's own language.
    query: Words,
    /// How much of it is asked for: at least eight times `for`.
    past: Span,
    /// What comes again and again, such as 1d; at most half of `past`. Default: nothing does.
    season: Option<Span>,
    /// Which way is harm. Default: increase.
    direction: Option<Harm>,
    /// Relative harm that is tolerated. Default: none.
    tolerance: Option<Percent>,
    /// Relative harm that must be ruled out for a pass. Default: 25%.
    margin: Option<Percent>,
}

/// As the classic judge does it, looked at when the window is over.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct KayentaMetric {
    kind: Kayenta,
    /// One series a host, in the source's own language; each arm is the mean of its hosts.
    query: Words,
    /// Which way counts. Default: either.
    direction: Option<Harm>,
    /// Part of the estimate that its interval must be beyond. Default: 25%.
    tolerance: Option<Percent>,
    /// Of its interval, below 100%. Default: 98%.
    confidence: Option<Percent>,
    /// What becomes of a value that is none. Default: remove.
    nan: Option<Nan>,
    /// Default: keep.
    outliers: Option<Outliers>,
    /// How far outliers are, in distances of the quartiles. Default: 3.0.
    #[schemars(range(min = 0.000_000_001, max = 1_000_000_000.0))]
    outlier_factor: Option<f64>,
    /// How large a difference is. Default: meanRatio.
    effect: Option<Effect>,
    /// High only from this effect on. Default: that of no difference.
    allowed_increase: Option<f64>,
    /// Low only up to this effect. Default: that of no difference.
    allowed_decrease: Option<f64>,
    /// One that is critical and high fails all only from this effect on. Default: that of no difference.
    critical_increase: Option<f64>,
    /// One that is critical and low fails all only up to this effect. Default: that of no difference.
    critical_decrease: Option<f64>,
    /// A failure of it is a failure of all. Default: false.
    critical: Option<bool>,
    /// No data is a failure of the metric. Default: false.
    data_required: Option<bool>,
    /// Which it is scored in. Default: the ungrouped.
    #[schemars(length(max = 12))]
    groups: Option<Vec<Name>>,
}

/// How what the classic judge says of its metrics is put together.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Score {
    /// From this score on it passes. Default: 95.
    #[schemars(range(min = 1, max = 100))]
    pass: Option<u32>,
    /// From this one on it is in doubt; below, it fails. Default: 75.
    #[schemars(range(max = 100))]
    marginal: Option<u32>,
    weights: Option<Weights>,
}

/// Of groups, in percent. Those without one share what is left.
#[derive(JsonSchema)]
#[schemars(transparent, extend("maxProperties" = 12, "propertyNames" = value::named()))]
struct Weights(BTreeMap<String, Percent>);

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Nan {
    Remove,
    Replace,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Outliers {
    Keep,
    Remove,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
enum Effect {
    MeanRatio,
    Cles,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Harm {
    Increase,
    Decrease,
    Either,
}

/// What a verdict of doubt leads to at the end of the window.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Doubt {
    /// The window is prolonged; when it cannot be any more, `on_expire` applies.
    Extend,
    Proceed,
    Hold,
    Rollback,
    Abort,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Canary {
    Canary,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Gauge {
    Gauge,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Count {
    Count,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Ratio {
    Ratio,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Latency {
    Latency,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Guard {
    Guard,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Forecast {
    Forecast,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Kayenta {
    Kayenta,
}
