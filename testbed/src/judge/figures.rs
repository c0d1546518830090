//! What was measured, beside its goal and the classic judge. Deliberately no verdict on a figure without a goal.

use std::fmt::Write as _;

use serde::Serialize;

use super::world::MINUTES;

/// What became of one canary.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The minute at which a metric failed.
    pub(super) failed: Option<u32>,
    /// The minute at which the last metric had passed; none of them failed.
    pub(super) passed: Option<u32>,
    /// Metrics that the classic judge calls high at the end, of so many.
    pub(super) classic: (u32, u32),
}

/// What must hold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Goal {
    pub(super) failed_most: Option<f64>,
    pub(super) failed_least: Option<f64>,
    pub(super) median_most: Option<f64>,
    pub(super) p90_most: Option<f64>,
    pub(super) seconds_most: Option<f64>,
}

/// One row.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What was judged.
    pub name: String,
    /// Canaries of it.
    pub canaries: u64,
    /// Part of the canaries that failed: of harmless ones, false rollbacks; of harmful ones, power.
    pub failed: Option<f64>,
    /// Minutes from the deploy until half of all canaries had failed; `None`: fewer ever did.
    pub median_minutes: Option<f64>,
    /// Until nine of ten had.
    pub p90_minutes: Option<f64>,
    /// Part of the canaries that passed within the window.
    pub passed: Option<f64>,
    /// Part of the canaries of which the classic judge calls a metric high at the end of the window.
    pub classic_failed: Option<f64>,
    /// Part of the metrics that it calls high.
    pub classic_metrics: Option<f64>,
    /// For the one row that is of time.
    pub seconds: Option<f64>,
    /// What it should be.
    pub goal: String,
    /// Whether it is; `None` where nothing is asked.
    pub met: Option<bool>,
}

impl Figure {
    pub(super) fn new(name: impl Into<String>, seen: &[Seen], goal: Goal) -> Self {
        let count = seen.len() as f64;
        let part = |found: usize| found as f64 / count;
        let mut minutes: Vec<f64> = seen
            .iter()
            .map(|one| one.failed.map_or(f64::INFINITY, f64::from))
            .collect();
        minutes.sort_by(f64::total_cmp);
        // The minute by which this part of all had failed.
        let by = |part: f64| {
            let at = (part * count).ceil() as usize;
            minutes.get(at.max(1) - 1).copied().filter(|minute| minute.is_finite())
        };
        let metrics: u32 = seen.iter().map(|one| one.classic.1).sum();
        let high: u32 = seen.iter().map(|one| one.classic.0).sum();
        let mut figure = Self {
            name: name.into(),
            canaries: seen.len() as u64,
            failed: Some(part(seen.iter().filter(|one| one.failed.is_some()).count())),
            median_minutes: by(0.5),
            p90_minutes: by(0.9),
            passed: Some(part(seen.iter().filter(|one| one.passed.is_some()).count())),
            classic_failed: (metrics > 0).then(|| part(seen.iter().filter(|one| one.classic.0 > 0).count())),
            classic_metrics: (metrics > 0).then(|| f64::from(high) / f64::from(metrics)),
            seconds: None,
            goal: String::new(),
            met: None,
        };
        figure.hold(goal);
        figure
    }

    /// Of so many tries the part that came out so.
    pub(super) fn of_part(name: impl Into<String>, found: usize, of: usize, goal: Goal) -> Self {
        let mut figure = Self {
            canaries: of as u64,
            failed: Some(found as f64 / of as f64),
            seconds: None,
            ..Self::of_time(name, 0.0, Goal::default())
        };
        figure.hold(goal);
        figure
    }

    pub(super) fn of_time(name: impl Into<String>, seconds: f64, goal: Goal) -> Self {
        let mut figure = Self {
            name: name.into(),
            canaries: 1,
            failed: None,
            median_minutes: None,
            p90_minutes: None,
            passed: None,
            classic_failed: None,
            classic_metrics: None,
            seconds: Some(seconds),
            goal: String::new(),
            met: None,
        };
        figure.hold(goal);
        figure
    }

    fn hold(&mut self, goal: Goal) {
        let mut words = Vec::new();
        let mut met = true;
        let mut most = |name: &str, limit: Option<f64>, found: Option<f64>, times: f64, unit: &str| {
            if let Some(limit) = limit {
                words.push(format!("{name} <= {}{unit}", limit * times));
                met &= found.is_some_and(|found| found <= limit);
            }
        };
        most("failed", goal.failed_most, self.failed, 100.0, " %");
        most("median", goal.median_most, self.median_minutes, 1.0, " min");
        most("p90", goal.p90_most, self.p90_minutes, 1.0, " min");
        most("in", goal.seconds_most, self.seconds, 1.0, " s");
        if let Some(limit) = goal.failed_least {
            words.insert(0, format!("failed >= {} %", limit * 100.0));
            met &= self.failed.is_some_and(|found| found >= limit);
        }
        self.met = (!words.is_empty()).then_some(met);
        self.goal = words.join(", ");
    }

    fn line(&self) -> String {
        let per_cent = |part: Option<f64>| part.map_or_else(|| "-".to_owned(), |part| format!("{:.2} %", 100.0 * part));
        let minutes = |found: Option<f64>| found.map_or_else(|| "-".to_owned(), |minutes| format!("{minutes}"));
        let found = match self.seconds {
            Some(seconds) => format!("{seconds:.3} s"),
            None => per_cent(self.failed),
        };
        let glyph = match self.met {
            Some(true) => "✔",
            Some(false) => "✖",
            None => " ",
        };
        format!(
            "{glyph} {:<62} {:>6} {found:>9} {:>6} {:>5} {:>9} {:>9} {:>9}  {}",
            self.name,
            self.canaries,
            minutes(self.median_minutes),
            minutes(self.p90_minutes),
            per_cent(self.passed),
            per_cent(self.classic_failed),
            per_cent(self.classic_metrics),
            self.goal
        )
    }
}

/// All rows.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// From which all of it was drawn.
    pub seed: u64,
    /// Of the machine.
    pub cores: usize,
    /// `debug` or `release`.
    pub profile: &'static str,
    /// In this order.
    pub rows: Vec<Figure>,
}

impl Figures {
    /// As a table.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "  {:<62} {:>6} {:>9} {:>6} {:>5} {:>9} {:>9} {:>9}  goal\n",
            "", "n", "failed", "median", "p90", "passed", "classic", "a metric"
        );
        for row in &self.rows {
            let _ = writeln!(text, "{}", row.line());
        }
        let _ = write!(
            text,
            "seed {}, {} cores, {}; minutes of {MINUTES}; classic: Kayenta's judge at the end of the same data",
            self.seed, self.cores, self.profile
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(failed: &[Option<u32>]) -> Vec<Seen> {
        let one = |failed: &Option<u32>| Seen {
            failed: *failed,
            passed: None,
            classic: (u32::from(failed.is_some()), 2),
        };
        failed.iter().map(one).collect()
    }

    #[test]
    fn minutes_are_those_by_which_a_part_of_all_had_failed() {
        let goal = Goal {
            failed_least: Some(0.8),
            median_most: Some(3.0),
            ..Goal::default()
        };
        let figure = Figure::new("x", &seen(&[Some(9), Some(1), Some(3), None]), goal);
        assert_eq!(
            (figure.failed, figure.median_minutes, figure.p90_minutes),
            (Some(0.75), Some(3.0), None)
        );
        assert_eq!(
            (figure.classic_failed, figure.classic_metrics),
            (Some(0.75), Some(0.375))
        );
        assert_eq!(
            (figure.goal.as_str(), figure.met),
            ("failed >= 80 %, median <= 3 min", Some(false))
        );
        assert!(figure.line().starts_with('✖'));
    }

    #[test]
    fn nothing_asked_is_nothing_missed() {
        assert_eq!(Figure::new("x", &seen(&[None]), Goal::default()).met, None);
        let slow = Goal {
            seconds_most: Some(1.0),
            ..Goal::default()
        };
        assert_eq!(Figure::of_time("x", 2.0, slow).met, Some(false));
    }
}
