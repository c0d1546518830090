//! What the classic judge of a canary gate is told, by its own words and with its own defaults, for those who move over.
//! Deliberately numbers in text: a playbook holds no floating point.

use std::collections::BTreeMap;

use echelon_proto::GroupName;
use serde::{Deserialize, Serialize};

/// A metric as the classic judge has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classic {
    /// Of its interval, in percent.
    pub confidence: u8,
    /// Values that are none.
    pub nan: Nan,
    /// Values far from the others.
    pub outliers: Outliers,
    /// How far these are, in distances of the quartiles.
    pub outlier_factor: Option<String>,
    /// How large a difference is.
    pub effect: Effect,
    /// High only from this effect on.
    pub allowed_increase: Option<String>,
    /// Low only up to this effect.
    pub allowed_decrease: Option<String>,
    /// One that is critical and high fails all only from this effect on.
    pub critical_increase: Option<String>,
    /// One that is critical and low fails all only up to this effect.
    pub critical_decrease: Option<String>,
    /// A failure of it is a failure of all.
    pub critical: bool,
    /// No data is a failure of the metric.
    pub data_required: bool,
    /// Which it is scored in; none: the ungrouped.
    pub groups: Vec<GroupName>,
}

/// What becomes of a value that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nan {
    /// It is left out.
    Remove,
    /// It counts as 0.
    Replace,
}

/// What becomes of outliers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outliers {
    /// They stay.
    Keep,
    /// They are left out.
    Remove,
}

/// How large a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Mean of the canary over mean of the control.
    MeanRatio,
    /// Part of the pairs in which the canary is higher.
    Cles,
}

/// How verdicts are put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// From this score on it passes, of 100.
    pub pass: u8,
    /// From this one on it is in doubt; below, it fails.
    pub marginal: u8,
    /// In percent; groups without one share what is left.
    pub weights: BTreeMap<GroupName, u8>,
}

impl Default for Score {
    fn default() -> Self {
        Self {
            pass: 95,
            marginal: 75,
            weights: BTreeMap::new(),
        }
    }
}

impl Nan {
    /// Each with its word.
    pub const ALL: [(&'static str, Self); 2] = [("remove", Self::Remove), ("replace", Self::Replace)];

    /// `remove`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Replace => "replace",
        }
    }
}

impl Outliers {
    /// Each with its word.
    pub const ALL: [(&'static str, Self); 2] = [("keep", Self::Keep), ("remove", Self::Remove)];

    /// `keep`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Remove => "remove",
        }
    }
}

impl Effect {
    /// Each with its word.
    pub const ALL: [(&'static str, Self); 2] = [("meanRatio", Self::MeanRatio), ("cles", Self::Cles)];

    /// `meanRatio`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MeanRatio => "meanRatio",
            Self::Cles => "cles",
        }
    }
}
