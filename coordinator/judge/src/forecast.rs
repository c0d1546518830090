//! Forecasts, for metrics without a control arm: is what the canary does inside what the past foretells? A seasonal band:
//! level, season by the phase (the minute of the week, at most), and a spread that outliers do not move.
//!
//! The season of a phase is the median over its times and those of its neighbours; what is left has a level, the median of
//! its last season. So a point's forecast is level + season, and the mean of what k points miss it by is held against the
//! means of all runs of k points that the past has: z = (mean - their median) / (1.4826 median distance), on the tail of
//! Student's t with as many degrees of freedom as runs fit side by side, less one. Runs, not points: what depends on its own
//! past depends on it there too. What the past misses is told by the other seasons alone, as the present is: a season that had
//! its own part in the medians would miss them by less. Looks as in `spending`, by time.
//!
//! More orders vary more: where all values are positive, their roots or logarithms are foretold instead (`scale`).
//!
//! Deliberately our own and simple: MSTL with ETS (crate `augurs` 0.10) was tried; it brings chance and tracing (rand,
//! getrandom, nalgebra; 47 crates, 50 s of one core) below a crate that must be pure.

mod scale;

use self::scale::Scale;
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
    let band = Band::fitting(past, points, settings.season);
    let miss = |(at, value): (usize, &Option<f64>)| {
        let value = value.filter(|value| value.is_finite())?;
        Some(band.scale.of(value) - band.foretold(past.len() + at))
    };
    let misses: Vec<Option<f64>> = points.iter().enumerate().map(miss).collect();
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

/// What the past foretells, in its scale.
#[derive(Debug)]
struct Band {
    scale: Scale,
    season: Vec<f64>,
    level: f64,
    /// What the other seasons would have missed of the past.
    left: Vec<Option<f64>>,
}

impl Band {
    /// In the scale in which what is missed depends least on the season.
    fn fitting(past: &[Option<f64>], points: &[Option<f64>], season: usize) -> Self {
        let values = || past.iter().chain(points).flatten().copied();
        let bands = Scale::fit_for(values().filter(|value| value.is_finite()))
            .iter()
            .map(|scale| Self::of(past, season, *scale));
        let mut bands: Vec<_> = bands.map(|band| (band.dependence(), band)).collect();
        bands.sort_by(|one, other| one.0.total_cmp(&other.0));
        bands.swap_remove(0).1
    }

    fn of(past: &[Option<f64>], season: usize, scale: Scale) -> Self {
        let known = |value: &Option<f64>| value.filter(|value| value.is_finite()).map(|value| scale.of(value));
        let past: Vec<Option<f64>> = past.iter().map(known).collect();
        let period = if season > 1 && past.len() >= SEASONS_MIN * season {
            season
        } else {
            1
        };
        let seasonal: Vec<f64> = (0..period)
            .map(|phase| phase_median(&past, period, phase, None))
            .collect();
        let left = |at: usize, value: Option<f64>| {
            let others = match period {
                1 => seasonal[0],
                _ => phase_median(&past, period, at % period, Some(at / period)),
            };
            Some(value? - others)
        };
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
            scale,
            season: seasonal,
            level,
            left: flat,
        }
    }

    fn foretold(&self, at: usize) -> f64 {
        self.level + self.season[at % self.season.len()]
    }

    /// How much the size of what is missed goes with the season's level: the correlation, whatever its sign.
    fn dependence(&self) -> f64 {
        let season = |at: usize| self.season[at % self.season.len()];
        let sizes = self.left.iter().enumerate();
        let pairs: Vec<(f64, f64)> = sizes
            .filter_map(|(at, missed)| Some((season(at), (*missed)?.abs())))
            .collect();
        moments::correlation(&pairs).abs()
    }
}

/// Of a phase and its neighbours, without those of a season.
fn phase_median(past: &[Option<f64>], period: usize, phase: usize, without: Option<usize>) -> f64 {
    // Neighbours lend their values to a phase that has been seen a few times only: about an hour of a week of minutes.
    let reach = period / 288;
    let near = (0..=2 * reach).map(|offset| (phase + period + offset - reach) % period);
    let values: Vec<f64> = near
        .flat_map(|phase| past.iter().skip(phase).step_by(period).enumerate())
        .filter(|(season, _)| Some(*season) != without)
        .filter_map(|(_, value)| *value)
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
    /// In its own unit.
    foretold: f64,
    scale: Scale,
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
        (spread > band.scale.rounding(foretold)).then(|| Self {
            mean: moments::mean(&known),
            middle: median(&means) - band.level,
            spread,
            freedom: (runs - 1) as f64,
            foretold: band.scale.back(foretold),
            scale: band.scale,
        })
    }

    fn z(&self, shift: f64) -> f64 {
        (self.mean - self.middle - shift) / self.spread
    }

    fn shown(&self, share: f64, look: usize, settings: &Settings) -> Option<Outcome> {
        let (alpha, beta) = self.levels(share, settings);
        let margin = settings.margin.max(settings.tolerance);
        let is_more = |by: f64, level: f64| welch::tail(self.z(self.change(by)), self.freedom) <= level;
        let is_less = |by: f64, level: f64| welch::tail(-self.z(self.change(by)), self.freedom) <= level;
        // Downwards: one over it.
        let less = |by: f64| (1.0 + by).recip() - 1.0;
        let up = settings.direction != Direction::Decrease;
        let down = settings.direction != Direction::Increase;
        if up && is_more(settings.tolerance, alpha) || down && is_less(less(settings.tolerance), alpha) {
            return Some(Outcome::Fail);
        }
        let is_clear = (!up || is_less(margin, beta)) && (!down || is_more(less(margin), beta));
        (is_clear && self.foretold != 0.0 && look >= PASS_INTERVALS_MIN).then_some(Outcome::Pass)
    }

    /// What a relative change of the forecast is in the scale.
    fn change(&self, by: f64) -> f64 {
        let changed = self.foretold + by * self.foretold.abs();
        self.scale.of(changed) - self.scale.of(self.foretold)
    }

    /// The relative change that so much in the scale is.
    fn part(&self, shift: f64) -> f64 {
        (self.scale.back(self.scale.of(self.foretold) + shift) - self.foretold) / self.foretold.abs()
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
        let reach = welch::critical(self.levels(share, settings).0, self.freedom) * self.spread;
        let miss = self.mean - self.middle;
        let estimate = self.part(miss);
        let reason = format!("{reason}: {:+.2} % of the forecast", 100.0 * estimate);
        let mut verdict = Verdict::new(shown.unwrap_or(Outcome::Inconclusive), reason).figures(
            self.z(0.0),
            self.part(miss - reach),
            estimate,
            self.part(miss + reach),
        );
        verdict.deviation = finite((self.foretold + estimate * self.foretold.abs()) / self.foretold);
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

    /// What varies by a part of itself varies more at noon than at night; so does what is counted.
    #[test]
    fn the_scale_is_the_one_in_which_day_and_night_vary_alike() {
        let levels = || day(0, 14 * DAY, 1.0).into_iter().flatten();
        let odd = |at: usize| ((at as f64 * 0.754_877_666_246_692_8).fract() - 0.5) * 2.0;
        let of = |size: fn(f64) -> f64| -> Scale {
            let value = |(at, level): (usize, f64)| Some(level + size(level) * odd(at));
            let past: Vec<_> = levels().enumerate().map(value).collect();
            Band::fitting(&past, &[Some(1.0)], DAY).scale
        };
        assert_eq!(of(|_| 30.0), Scale::Plain);
        assert_eq!(of(|level| 3.0 * level.sqrt()), Scale::Root);
        assert_eq!(of(|level| 0.3 * level), Scale::Logarithm);
        let negative = day(0, 14 * DAY, -1.0);
        assert_eq!(Band::fitting(&negative, &[], DAY).scale, Scale::Plain);
    }

    #[test]
    fn a_season_is_held_against_the_others_and_not_against_itself() {
        let mut past = day(0, 4 * DAY, 1.0);
        // A day of its own kind: had it a part in what it is held against, it would miss that by less.
        for value in past[DAY..2 * DAY].iter_mut().flatten() {
            *value += 100.0;
        }
        let band = Band::of(&past, DAY, Scale::Plain);
        let missed: Vec<f64> = band.left[DAY..2 * DAY].iter().flatten().copied().collect();
        assert!(
            (moments::mean(&missed) - 100.0).abs() < 1.0,
            "{}",
            moments::mean(&missed)
        );
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
