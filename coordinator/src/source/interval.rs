//! Values of a source put into the intervals of a window, for sources that keep values of their own times and resolution
//! instead of computing them for the times that are asked for.
//!
//! | the source has, of an interval | |
//! |---|---|
//! | one value | that |
//! | several, for it is finer | as [`Fold`] says |
//! | none, for it is coarser, late or has a gap | not known |
//! | one of a time that began before the window | nothing: part of it is of what was before |
//!
//! An interval is after its beginning, up to its end. A value that is of a stretch of time belongs where the stretch ends, for
//! only then it is whole. Nothing is put where nothing is known, and nothing is there twice.

use echelon_proto::Time;

use super::Window;

/// What stands for an interval of which there are several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Of levels.
    Mean,
    /// Of events.
    Sum,
    /// Of samples, of which one is as good as another.
    Newest,
}

/// The intervals of one series.
#[derive(Debug)]
pub(super) struct Intervals {
    window: Window,
    fold: Fold,
    /// What there is of each so far, and of how many values.
    values: Vec<(f64, u32)>,
}

impl Intervals {
    pub(super) fn new(window: Window, fold: Fold) -> Self {
        let values = vec![(0.0, 0); window.count];
        Self { window, fold, values }
    }

    /// A value of the time from `began` to `ended`, later than those before. What is no number is no value.
    pub(super) fn put(&mut self, began: Time, ended: Time, value: f64) {
        let Some(place) = self.place(began, ended).filter(|_| value.is_finite()) else {
            return;
        };
        let (so_far, count) = &mut self.values[place];
        *so_far = match self.fold {
            Fold::Mean | Fold::Sum => *so_far + value,
            Fold::Newest => value,
        };
        *count += 1;
    }

    pub(super) fn told(self) -> Vec<Option<f64>> {
        let told = |(value, count): (f64, u32)| {
            let value = match self.fold {
                Fold::Mean => value / f64::from(count.max(1)),
                Fold::Sum | Fold::Newest => value,
            };
            Some(value).filter(|value| count > 0 && value.is_finite())
        };
        self.values.into_iter().map(told).collect()
    }

    fn place(&self, began: Time, ended: Time) -> Option<usize> {
        let step = self.window.step.0.max(1);
        let opens = self.window.first.0.saturating_sub(step);
        if began.0 < opens {
            return None;
        }
        let after = ended.0.checked_sub(opens + 1)?;
        let place = usize::try_from(after / step).ok()?;
        (place < self.window.count).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use echelon_proto::Span;

    use super::*;

    /// Four intervals of ten seconds, from 1000 s on.
    const WINDOW: Window = Window {
        first: Time(1_010_000),
        step: Span::secs(10),
        count: 4,
    };

    /// Each value is of so many seconds.
    fn told(fold: Fold, resolution: u64, values: &[(u64, f64)]) -> Vec<Option<f64>> {
        let mut intervals = Intervals::new(WINDOW, fold);
        for (began, value) in values {
            intervals.put(Time(began * 1000), Time((began + resolution) * 1000), *value);
        }
        intervals.told()
    }

    #[test]
    fn a_value_stands_where_its_time_ends_and_nowhere_else() {
        let same = [(990, 9.0), (1000, 1.0), (1010, 2.0), (1030, 4.0), (1040, 9.0)];
        assert_eq!(told(Fold::Sum, 10, &same), [Some(1.0), Some(2.0), None, Some(4.0)]);
        // What began before the window is not of it, however much of it is.
        let shifted = [(995, 9.0), (1005, 1.0), (1015, 2.0), (1035, 9.0)];
        assert_eq!(told(Fold::Mean, 10, &shifted), [None, Some(1.0), Some(2.0), None]);
        let coarser = [(1000, 1.0), (1020, 3.0), (1040, 5.0)];
        assert_eq!(told(Fold::Newest, 20, &coarser), [None, Some(1.0), None, Some(3.0)]);
    }

    #[test]
    fn of_a_finer_source_levels_are_averaged_and_events_are_counted_once() {
        let finer: Vec<_> = (0..8).map(|at| (1000 + at * 5, f64::from(at as u32))).collect();
        assert_eq!(told(Fold::Sum, 5, &finer), [1.0, 5.0, 9.0, 13.0].map(Some));
        assert_eq!(told(Fold::Mean, 5, &finer), [0.5, 2.5, 4.5, 6.5].map(Some));
        assert_eq!(told(Fold::Newest, 5, &finer), [1.0, 3.0, 5.0, 7.0].map(Some));
        let gaps = [
            (1000, 1.0),
            (1005, f64::NAN),
            (1010, f64::INFINITY),
            (1020, 1e308),
            (1025, 1e308),
        ];
        assert_eq!(told(Fold::Mean, 5, &gaps), [Some(1.0), None, None, None]);
    }
}
