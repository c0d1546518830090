//! Scales in which something may vary alike at each level: as it is, by its root (what is counted, whose variance is its mean), by
//! its logarithm (what varies by a part of itself). Deliberately no others in between: the three are told apart by a past of some
//! days, finer ones are not.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Plain,
    Root,
    Logarithm,
}

/// Of the size of numbers: so little is rounding and no spread.
const ROUNDING: f64 = 1e-12;

impl Scale {
    /// Those that these values have, the plain one first.
    pub(super) fn fit_for(mut values: impl Iterator<Item = f64>) -> &'static [Self] {
        if values.all(|value| value > 0.0) {
            &[Self::Plain, Self::Root, Self::Logarithm]
        } else {
            &[Self::Plain]
        }
    }

    pub(super) fn of(self, value: f64) -> f64 {
        match self {
            Self::Plain => value,
            Self::Root => value.max(0.0).sqrt(),
            Self::Logarithm => value.ln(),
        }
    }

    pub(super) fn back(self, scaled: f64) -> f64 {
        match self {
            Self::Plain => scaled,
            Self::Root => scaled.max(0.0).powi(2),
            Self::Logarithm => scaled.exp(),
        }
    }

    /// What a spread must be above at a level of the scale.
    pub(super) fn rounding(self, level: f64) -> f64 {
        match self {
            Self::Plain | Self::Root => ROUNDING * level.abs(),
            Self::Logarithm => ROUNDING,
        }
    }
}
