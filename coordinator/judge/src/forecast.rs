//! Forecasts, for metrics without a control arm: is what the canary does inside what the past foretells? A seasonal band:
//! level, season by the phase (the minute of the week, at most), and a spread that outliers do not move.
//!
//! The season of a phase is the median over its times and those of its neighbours; what is left has a level, the median of
//! its last season. So a point's forecast is level + season, and the mean of what k points miss it by is held against the
//! means of all runs of k points that the past has: z = (mean - their median) / (1.4826 median distance), on the tail of
//! Student's t with as many degrees of freedom as runs fit side by side, less one. Runs, not points: what depends on its own
//! past depends on it there too. Looks as in `spending`, by time.
//!
//! Deliberately our own and simple: MSTL with ETS (crate `augurs` 0.10) was tried; it brings chance and tracing (rand,
//! getrandom, nalgebra; 47 crates, 50 s of one core) below a crate that must be pure.

use crate::{
    interval::PASS_INTERVALS_MIN,
    moments,
    quantile::{median, robust_deviation},
    spending::{Budget, Purse},
    verdict::{Direction, Outcome, Verdict, finite},
    welch,
};

/// Fewer seasons than this say nothing of a season.
const SEASONS_MIN: usize = 2;
/// Runs that must fit side by side into the past.
const RUNS_MIN: usize = 8;

/// How it is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Which way is harm.
    pub direction: Direction,
    /// Harm up to this part of the forecast is tolerated.
    pub tolerance: f64,
    /// Pass when harm beyond this part is ruled out.
    pub margin: f64,
    /// Points of a season; 0 or 1: there is none.
    pub season: usize,
    /// Intervals of the whole window; `None`: as many as there are points.
    pub intervals: Option<usize>,
    /// What may go wrong.
    pub budget: Budget,
}

/// The points that follow right after the past.
#[must_use]
pub fn judge(past: &[Option<f64>], points: &[Option<f64>], settings: &Settings) -> Verdict {
    let known = |points: &[Option<f64>]| points.iter().flatten().filter(|value| value.is_finite()).count();
    if known(points) == 0 || known(past) == 0 {
        return Verdict::no_data("there is no value, or no past");
    }
    let band = Band::of(past, settings.season);
    let misses: Vec<Option<f64>> = points
        .iter()
        .enumerate()
        .map(|(at, value)| Some(value.filter(|value| value.is_finite())? - band.foretold(past.len() + at)))
        .collect();
    let planned = settings.intervals.unwrap_or(points.len()).max(points.len());
    let mut purse = Purse::default();
    let mut last = None;
    for look in 1..=points.len() {
        let Some(run) = Run::of(&band, past.len(), &misses[..look]) else {
            continue;
        };
        let Some(share) = purse.take(look as f64 / planned as f64, 0.0) else {
            continue;
        };
        let shown = run.shown(share, look, settings);
        last = Some((run, share, shown, look));
        if shown.is_some() {
            break;
        }
    }
    let verdict = match last {
        Some((run, share, shown, look)) => run
            .verdict(share, shown, settings)
            .looked(shown.map_or(points.len(), |_| look)),
        None => Verdict::inconclusive("the past is too short or has no spread, or most points are missing")
            .looked(points.len()),
    };
    verdict.counted(known(past), known(points))
}

/// What the past foretells.
#[derive(Debug)]
struct Band {
    season: Vec<f64>,
    level: f64,
    /// What it would have missed in the past.
    left: Vec<Option<f64>>,
}

impl Band {
    fn of(past: &[Option<f64>], season: usize) -> Self {
        let past: Vec<Option<f64>> = past
            .iter()
            .map(|value| value.filter(|value| value.is_finite()))
            .collect();
        let period = if season > 1 && past.len() >= SEASONS_MIN * season {
            season
        } else {
            1
        };
        // Neighbours lend their values to a phase that has been seen a few times only: about an hour of a week of minutes.
        let reach = period / 288;
        let seasonal: Vec<f64> = (0..period)
            .map(|phase| phase_median(&past, period, phase, reach))
            .collect();
        let left = |at: usize, value: Option<f64>| Some(value? - seasonal[at % period]);
        let flat: Vec<Option<f64>> = past.iter().enumerate().map(|(at, value)| left(at, *value)).collect();
        // The newest that are known: between the past and the deploy there may be a gap of any length.
        let recent: Vec<f64> = flat
            .iter()
            .rev()
            .flatten()
            .take(period.max(RUNS_MIN))
            .copied()
            .collect();
        let level = if recent.is_empty() { 0.0 } else { median(&recent) };
        Self {
            season: seasonal,
            level,
            left: flat,
        }
    }

    fn foretold(&self, at: usize) -> f64 {
        self.level + self.season[at % self.season.len()]
    }
}

fn phase_median(past: &[Option<f64>], period: usize, phase: usize, reach: usize) -> f64 {
    let near = (0..=2 * reach).map(|offset| (phase + period + offset - reach) % period);
    let values: Vec<f64> = near
        .flat_map(|phase| past.iter().skip(phase).step_by(period))
        .flatten()
        .copied()
        .collect();
    if values.is_empty() { 0.0 } else { median(&values) }
}

/// The mean of some misses, against such means in the past.
#[derive(Debug, Clone, Copy)]
struct Run {
    mean: f64,
    middle: f64,
    spread: f64,
    freedom: f64,
    foretold: f64,
}

impl Run {
    fn of(band: &Band, from: usize, misses: &[Option<f64>]) -> Option<Self> {
        let foretold: Vec<f64> = (0..misses.len()).map(|at| band.foretold(from + at)).collect();
        let foretold = moments::mean(&foretold);
        let known: Vec<f64> = misses.iter().flatten().copied().collect();
        let runs = band.left.len() / misses.len();
        if 2 * known.len() < misses.len() || runs < RUNS_MIN {
            return None;
        }
        let means: Vec<f64> = band
            .left
            .windows(misses.len())
            .filter_map(|run| {
                let known: Vec<f64> = run.iter().flatten().copied().collect();
                (2 * known.len() >= run.len()).then(|| moments::mean(&known))
            })
            .collect();
        let spread = robust_deviation(&means);
        // Rounding is no spread.
        (spread > 1e-12 * foretold.abs()).then(|| Self {
            mean: moments::mean(&known),
            middle: median(&means) - band.level,
            spread,
            freedom: (runs - 1) as f64,
            foretold,
        })
    }

    fn z(&self, shift: f64) -> f64 {
        (self.mean - self.middle - shift) / self.spread
    }

    fn shown(&self, share: f64, look: usize, settings: &Settings) -> Option<Outcome> {
        let (alpha, beta) = self.levels(share, settings);
        let unit = self.foretold.abs();
        let (harm, margin) = (
            settings.tolerance * unit,
            settings.margin.max(settings.tolerance) * unit,
        );
        let is_more = |shift: f64, level: f64| welch::tail(self.z(shift), self.freedom) <= level;
        let is_less = |shift: f64, level: f64| welch::tail(-self.z(shift), self.freedom) <= level;
        let up = settings.direction != Direction::Decrease;
        let down = settings.direction != Direction::Increase;
        if up && is_more(harm, alpha) || down && is_less(-harm, alpha) {
            return Some(Outcome::Fail);
        }
        let is_clear = (!up || is_less(margin, beta)) && (!down || is_more(-margin, beta));
        (is_clear && unit > 0.0 && look >= PASS_INTERVALS_MIN).then_some(Outcome::Pass)
    }

    fn levels(&self, share: f64, settings: &Settings) -> (f64, f64) {
        let sides = if settings.direction == Direction::Either {
            2.0
        } else {
            1.0
        };
        (
            settings.budget.alpha_of_metric() * share / sides,
            settings.budget.beta * share,
        )
    }

    fn verdict(&self, share: f64, shown: Option<Outcome>, settings: &Settings) -> Verdict {
        let reason = match shown {
            Some(Outcome::Fail) => "outside of what the past foretells",
            Some(_) => "harm beyond the margin is ruled out",
            None => "neither harm nor its absence is shown",
        };
        let unit = self.foretold.abs();
        let reach = welch::critical(self.levels(share, settings).0, self.freedom) * self.spread;
        let miss = self.mean - self.middle;
        let reason = format!("{reason}: {:+.2} % of the forecast", 100.0 * miss / unit);
        let mut verdict = Verdict::new(shown.unwrap_or(Outcome::Inconclusive), reason).figures(
            self.z(0.0),
            (miss - reach) / unit,
            miss / unit,
            (miss + reach) / unit,
        );
        verdict.deviation = finite((self.foretold + miss) / self.foretold);
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: usize = 96;

    fn settings() -> Settings {
        Settings {
            direction: Direction::Increase,
            tolerance: 0.0,
            margin: 0.25,
            season: DAY,
            intervals: None,
            budget: Budget::default(),
        }
    }

    /// Days that rise and fall, with something that looks drawn.
    fn day(from: usize, count: usize, times: f64) -> Vec<Option<f64>> {
        let value = |at: usize| {
            let phase = (at % DAY) as f64 / DAY as f64 * std::f64::consts::TAU;
            let noise = (at as f64 * 0.618_033_988_749_894_9).fract() - 0.5;
            Some((100.0 + 40.0 * phase.sin() + 6.0 * noise) * times)
        };
        (from..from + count).map(value).collect()
    }

    #[test]
    fn what_rises_every_day_at_this_time_is_no_harm() {
        let past = day(0, 14 * DAY, 1.0);
        let verdict = judge(&past, &day(14 * DAY, 24, 1.0), &settings());
        assert_eq!(verdict.outcome, Outcome::Pass, "{verdict:?}");
        let flat = Settings {
            season: 0,
            ..settings()
        };
        let verdict = judge(&past, &day(14 * DAY, 24, 1.0), &flat);
        assert_eq!(
            verdict.outcome,
            Outcome::Inconclusive,
            "without a season the band is as wide as a day: {verdict:?}"
        );
    }

    #[test]
    fn what_is_above_every_day_before_fails() {
        let past = day(0, 14 * DAY, 1.0);
        let verdict = judge(&past, &day(14 * DAY, 24, 1.3), &settings());
        assert_eq!(verdict.outcome, Outcome::Fail, "{verdict:?}");
        assert!((verdict.deviation.unwrap() - 1.3).abs() < 0.05, "{verdict:?}");
        let down = Settings {
            direction: Direction::Decrease,
            ..settings()
        };
        assert_ne!(judge(&past, &day(14 * DAY, 24, 1.3), &down).outcome, Outcome::Fail);
    }

    #[test]
    fn outliers_of_the_past_do_not_widen_the_band() {
        let mut past = day(0, 14 * DAY, 1.0);
        for at in [100, 500, 700] {
            past[at] = Some(1e6);
            past[at + 1] = None;
        }
        assert_eq!(
            judge(&past, &day(14 * DAY, 24, 1.3), &settings()).outcome,
            Outcome::Fail
        );
    }

    #[test]
    fn a_short_or_a_constant_past_foretells_nothing() {
        let points = day(14 * DAY, 24, 1.0);
        assert_eq!(
            judge(&day(0, 30, 1.0), &points, &settings()).outcome,
            Outcome::Inconclusive
        );
        assert_eq!(
            judge(&[Some(5.0); 900], &[Some(5.0); 24], &settings()).outcome,
            Outcome::Inconclusive
        );
        assert_eq!(judge(&[], &points, &settings()).outcome, Outcome::NoData);
        assert_eq!(judge(&day(0, 900, 1.0), &[None], &settings()).outcome, Outcome::NoData);
    }
}
