//! The rows: which fleet, which harm, which metrics, which goal. All metrics are judged as one of twelve that share an alpha
//! of 1 %, looked at every minute of an hour.

use std::{num::NonZero, thread, time::Instant};

use clap::ValueEnum as _;
use echelon_judge::{
    Budget, Direction, Label, METRICS_MAX, Outcome, Verdict,
    case::Points,
    count::{self, Counts},
    forecast, gauge, kayenta, latency,
    ratio::{self, Ratios},
};

use super::{
    blame,
    chance::{Chance, each},
    figures::{Figure, Figures, Goal, Seen},
    world::{self, DAY, Fleet, Kin, Latencies, Levels, MINUTES},
};
use crate::screen;

const BUDGET: Budget = Budget {
    alpha: 0.01,
    beta: 0.05,
    metrics: METRICS_MAX,
};
/// The arms of most rows.
const WIDE: Fleet = Fleet {
    control: 200,
    canary: 20,
    rho: 0.8,
};
/// As many control as canary hosts.
const EVEN: Fleet = Fleet {
    control: 20,
    canary: 20,
    rho: 0.8,
};
/// So few canaries that their choices are counted.
const FEW: Fleet = Fleet {
    control: 40,
    canary: 8,
    rho: 0.8,
};
/// Events of hosts that differ are never quite the same in both arms; with 20 hosts that differ by 20 % the arms differ by
/// 4.5 % or so.
const COUNT_TOLERANCE: f64 = 0.1;
/// So far apart distributions are by what hosts differ by, as a rule.
const HEAP_TOLERANCE: f64 = 0.05;
const MIXED: [&str; 5] = [
    "gauges",
    "counts",
    "ratios",
    "latencies",
    "latencies again, as one heap, with a tolerance of 0.05",
];
/// Samples of an arm.
const SAMPLES: usize = 18_000;
pub(super) const FALSE_MOST: Goal = Goal {
    failed_most: Some(0.01),
    failed_least: None,
    median_most: None,
    p90_most: None,
    seconds_most: None,
};
pub(super) const NO_GOAL: Goal = Goal {
    failed_most: None,
    ..FALSE_MOST
};

/// Rows of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Rows {
    /// Releases that do nothing, by every kind of metric but forecasts
    Harmless,
    /// Releases that harm
    Harmful,
    /// Both, against a forecast
    Forecasts,
    /// How long it takes
    Speed,
    /// Which of several rollouts it was
    Blame,
}

impl Rows {
    fn measure(self, seed: u64, canaries: u64, row: &mut impl FnMut(Figure)) {
        match self {
            Self::Harmless => harmlesses(seed, canaries, row),
            Self::Harmful => harmfuls(seed, canaries, row),
            Self::Forecasts => forecasts(seed, (canaries / 20).max(10)).into_iter().for_each(row),
            Self::Speed => row(speed(seed)),
            Self::Blame => blame::rows(seed, canaries).into_iter().for_each(row),
        }
    }
}

/// These rows, or all of them, one after the other.
#[must_use]
pub fn measure(seed: u64, canaries: u64, only: &[Rows]) -> Figures {
    let mut rows = Vec::new();
    let mut row = |figure: Figure| {
        screen::note(format_args!("{}", figure.name));
        rows.push(figure);
    };
    for wanted in Rows::value_variants() {
        if only.is_empty() || only.contains(wanted) {
            wanted.measure(seed, canaries, &mut row);
        }
    }
    Figures {
        seed,
        cores: thread::available_parallelism().map_or(1, NonZero::get),
        profile: if cfg!(debug_assertions) { "debug" } else { "release" },
        rows,
    }
}

fn harmlesses(seed: u64, canaries: u64, row: &mut impl FnMut(Figure)) {
    for rho in [0.0, 0.5, 0.8] {
        row(harmless(seed, canaries, Fleet { rho, ..WIDE }, FALSE_MOST));
    }
    mixed(seed, canaries).into_iter().for_each(&mut *row);
    hotter(seed, (canaries / 4).max(10)).into_iter().for_each(&mut *row);
    row(harmless(seed, (canaries / 4).max(10), EVEN, FALSE_MOST));
    row(harmless(seed, (canaries / 20).max(10), FEW, FALSE_MOST));
}

fn harmfuls(seed: u64, canaries: u64, row: &mut impl FnMut(Figure)) {
    let soon = Goal {
        failed_least: Some(0.95),
        median_most: Some(3.0),
        p90_most: Some(20.0),
        ..NO_GOAL
    };
    for rho in [0.0, 0.5, 0.8] {
        row(shifted(seed, canaries, Fleet { rho, ..WIDE }, soon));
    }
    row(shifted(seed, canaries / 2, EVEN, NO_GOAL));
    for (fleet, is_asked) in [(WIDE, true), (EVEN, false)] {
        for (rate, times, goal) in errors() {
            let goal = if is_asked { goal } else { NO_GOAL };
            row(erring(seed, canaries, fleet, (rate, times), goal));
        }
    }
    row(failing(seed, canaries));
    row(slower(seed, canaries / 4));
    row(slower_as_one_heap(seed, canaries / 4));
}

fn errors() -> [(f64, f64, Goal); 3] {
    let at_least = |failed: f64| Goal {
        failed_least: Some(failed),
        ..NO_GOAL
    };
    let at_once = Goal {
        median_most: Some(1.0),
        ..NO_GOAL
    };
    [
        (60.0, 2.0, at_once),
        (1.0, 2.0, at_least(0.85)),
        (0.2, 5.0, at_least(0.99)),
    ]
}

fn of(fleet: Fleet) -> String {
    format!(
        "{} v {} hosts, autocorrelation {}",
        fleet.canary, fleet.control, fleet.rho
    )
}

/// Twelve gauges that the release does nothing to.
fn harmless(seed: u64, canaries: u64, fleet: Fleet, goal: Goal) -> Figure {
    let name = format!("harmless, 12 gauges, {}", of(fleet));
    let seen = each(canaries, |canary| {
        let mut chance = Chance::new(seed, &name, canary);
        let judged: Vec<_> = (0..METRICS_MAX).map(|_| level(fleet, 0.0, &mut chance)).collect();
        together(&judged)
    });
    Figure::new(name, &seen, goal)
}

/// Three of each kind that the release does nothing to: all together, and what each kind has in it.
fn mixed(seed: u64, canaries: u64) -> Vec<Figure> {
    let name = format!("harmless, 3 each of gauge, count, ratio, latency, {}", of(WIDE));
    let judged = each(canaries, |canary| {
        let mut chance = Chance::new(seed, &name, canary);
        [60.0, 1.0, 0.2].map(|rate| {
            let levels = level(WIDE, 0.0, &mut chance);
            let events = events(WIDE, rate, 1.0, &mut chance);
            let requests = requests(WIDE, 100.0 * rate, 1.0, &mut chance);
            let drawn = Latencies::draw(WIDE, SAMPLES, 0.0, &mut chance);
            [levels, events, requests, by_host(&drawn), as_one_heap(&drawn)]
        })
    });
    let all = |rates: &[[Judged; 5]; 3]| {
        let by_host = rates.iter().flat_map(|kinds| &kinds[..4]).cloned();
        together(&by_host.collect::<Vec<_>>())
    };
    let mut figures = vec![Figure::new(
        name,
        &judged.iter().map(all).collect::<Vec<_>>(),
        FALSE_MOST,
    )];
    for (at, kind) in MIXED.into_iter().enumerate() {
        let of_kind = |rates: &[[Judged; 5]; 3]| together(&rates.each_ref().map(|kinds| kinds[at].clone()));
        let seen: Vec<_> = judged.iter().map(of_kind).collect();
        figures.push(Figure::new(format!("of these, the 3 {kind}"), &seen, NO_GOAL));
    }
    figures
}

/// Gauges of canaries that were hotter than the others all along, with control hosts left out that are at no such level,
/// or with all of them.
fn hotter(seed: u64, canaries: u64) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (kin, what) in [
        (Kin::Hotter(1.0), "hotter by what hosts differ by"),
        (Kin::Queueing(0.0), "queues under more load"),
        (
            Kin::Queueing(1.0),
            "queues under more load, hotter by what hosts differ by",
        ),
        (Kin::Queueing(2.0), "queues under more load, hotter by twice that"),
    ] {
        for is_matched in [true, false] {
            let settings = gauge::Settings {
                is_matched,
                ..gauge_settings()
            };
            let seen = each(canaries, |canary| {
                let mut chance = Chance::new(seed, what, canary);
                let gauge = |_| {
                    let levels = Levels::draw(WIDE, 0.0, kin, &mut chance);
                    (gauge::judge(&levels.gauge(), &settings), is_high(&levels.averaged()))
                };
                together(&(0..METRICS_MAX).map(gauge).collect::<Vec<_>>())
            });
            let how = if is_matched { "near ones" } else { "all" };
            figures.push(Figure::new(
                format!("harmless, {what}, against {how}, {}", of(WIDE)),
                &seen,
                NO_GOAL,
            ));
        }
    }
    figures
}

fn shifted(seed: u64, canaries: u64, fleet: Fleet, goal: Goal) -> Figure {
    let name = format!("+10 % of a gauge, {}", of(fleet));
    let seen = each(canaries, |canary| {
        together(&[level(fleet, 0.1, &mut Chance::new(seed, &name, canary))])
    });
    Figure::new(name, &seen, goal)
}

fn erring(seed: u64, canaries: u64, fleet: Fleet, (rate, times): (f64, f64), goal: Goal) -> Figure {
    let name = format!("errors x{times} at {rate}/min, {}", of(fleet));
    let seen = each(canaries, |canary| {
        together(&[events(fleet, rate, times, &mut Chance::new(seed, &name, canary))])
    });
    Figure::new(name, &seen, goal)
}

fn failing(seed: u64, canaries: u64) -> Figure {
    let name = format!("0.2 % bad x2 at 6000/min, {}", of(WIDE));
    let seen = each(canaries, |canary| {
        together(&[requests(WIDE, 6000.0, 2.0, &mut Chance::new(seed, &name, canary))])
    });
    Figure::new(name, &seen, NO_GOAL)
}

fn slower(seed: u64, canaries: u64) -> Figure {
    let name = format!("latencies +20 %, {SAMPLES} samples an arm, {}", of(WIDE));
    let seen = each(canaries.max(10), |canary| {
        together(&[latencies(WIDE, 0.2, &mut Chance::new(seed, &name, canary))])
    });
    Figure::new(name, &seen, NO_GOAL)
}

fn slower_as_one_heap(seed: u64, canaries: u64) -> Figure {
    let name = "the same as one heap, with a tolerance of 0.05";
    let seen = each(canaries.max(10), |canary| {
        let mut chance = Chance::new(seed, name, canary);
        together(&[as_one_heap(&Latencies::draw(WIDE, SAMPLES, 0.2, &mut chance))])
    });
    Figure::new(name, &seen, NO_GOAL)
}

/// Of what has no control arm; the classic judge is given the same hour of the day before.
fn forecasts(seed: u64, canaries: u64) -> [Figure; 2] {
    let harmless = format!("harmless, 12 forecasts from six days, autocorrelation {}", WIDE.rho);
    let harmful = format!("+30 % of what is forecast from six days, autocorrelation {}", WIDE.rho);
    [(harmless, METRICS_MAX, 0.0, FALSE_MOST), (harmful, 1, 0.3, NO_GOAL)].map(|(name, metrics, change, goal)| {
        let seen = each(canaries, |canary| {
            let mut chance = Chance::new(seed, &name, canary);
            let judged: Vec<_> = (0..metrics).map(|_| foretold(change, &mut chance)).collect();
            together(&judged)
        });
        Figure::new(name, &seen, goal)
    })
}

/// 2,000 hosts, twelve gauges, an hour: all looks.
fn speed(seed: u64) -> Figure {
    let fleet = Fleet {
        control: 1800,
        canary: 200,
        rho: 0.8,
    };
    let name = "12 metrics of 2,000 hosts x 60 points judged";
    let levels = each(u64::from(METRICS_MAX), |metric| {
        Levels::draw(fleet, 0.0, Kin::Alike, &mut Chance::new(seed, name, metric))
    });
    let began = Instant::now();
    let judged = each(levels.len() as u64, |metric| {
        gauge::judge(&levels[metric as usize].gauge(), &gauge_settings())
    });
    let seconds = began.elapsed().as_secs_f64();
    assert!(
        judged.iter().all(|verdict| verdict.hosts.canary == 200),
        "not all hosts were judged"
    );
    let goal = Goal {
        seconds_most: Some(1.0),
        ..NO_GOAL
    };
    Figure::of_time(name, seconds, goal)
}

/// One metric, by us and by the classic judge.
type Judged = (Verdict, bool);

fn level(fleet: Fleet, change: f64, chance: &mut Chance) -> Judged {
    let levels = Levels::draw(fleet, change, Kin::Alike, chance);
    (
        gauge::judge(&levels.gauge(), &gauge_settings()),
        is_high(&levels.averaged()),
    )
}

fn events(fleet: Fleet, rate: f64, times: f64, chance: &mut Chance) -> Judged {
    let arms = world::events(fleet, rate, times, chance);
    let settings = count::Settings {
        direction: Direction::Increase,
        share: fleet.share(),
        tolerance: COUNT_TOLERANCE,
        margin: 1.0,
        budget: BUDGET,
    };
    let counts = Counts {
        control: &arms.0,
        canary: &arms.1,
    };
    (count::judge(&counts, &settings), is_high(&world::a_host(fleet, &arms)))
}

fn requests(fleet: Fleet, a_minute: f64, times: f64, chance: &mut Chance) -> Judged {
    let (control, canary) = world::requests(fleet, a_minute, 0.002, times, chance);
    let settings = ratio::Settings {
        direction: Direction::Increase,
        tolerance: COUNT_TOLERANCE,
        margin: 1.0,
        pass_below_rate: None,
        budget: BUDGET,
    };
    let ratios = Ratios {
        control: &control,
        canary: &canary,
    };
    let rates = |arm: &[Option<ratio::Tally>]| -> Points {
        let rate = |tally: &ratio::Tally| (tally.total > 0.0).then(|| tally.bad / tally.total);
        arm.iter().map(|tally| tally.as_ref().and_then(rate)).collect()
    };
    (
        ratio::judge(&ratios, &settings),
        is_high(&(rates(&control), rates(&canary))),
    )
}

fn latencies(fleet: Fleet, change: f64, chance: &mut Chance) -> Judged {
    by_host(&Latencies::draw(fleet, SAMPLES, change, chance))
}

/// The classic judge gets the mean of each minute's samples.
fn by_host(drawn: &Latencies) -> Judged {
    let hosts = latency::Hosts {
        samples: gauge::Gauge {
            control: &drawn.control,
            canary: &drawn.canary,
            control_before: Some(&drawn.control_before),
            canary_before: Some(&drawn.canary_before),
        },
        intervals: None,
    };
    let verdict = latency::judge_hosts(&hosts, &latency_settings(0.0));
    (verdict, is_high(&drawn.averaged()))
}

/// As if nobody knew of which host a sample is.
fn as_one_heap(drawn: &Latencies) -> Judged {
    let heap = |series: &gauge::Series| -> Points { series.values().flatten().copied().collect() };
    let (control, canary) = (heap(&drawn.control), heap(&drawn.canary));
    let verdict = latency::judge(&control, &canary, &latency_settings(HEAP_TOLERANCE));
    (verdict, is_high(&drawn.averaged()))
}

fn latency_settings(tolerance: f64) -> latency::Settings {
    latency::Settings {
        direction: Direction::Increase,
        tolerance,
        margin: 0.1,
        budget: BUDGET,
    }
}

fn gauge_settings() -> gauge::Settings {
    gauge::Settings {
        direction: Direction::Increase,
        tolerance: 0.0,
        margin: 0.1,
        intervals: Some(MINUTES),
        is_matched: true,
        budget: BUDGET,
    }
}

fn foretold(change: f64, chance: &mut Chance) -> Judged {
    let (past, since) = world::of_all(WIDE.rho, change, chance);
    let settings = forecast::Settings {
        direction: Direction::Increase,
        tolerance: 0.0,
        margin: 0.25,
        season: DAY,
        intervals: Some(MINUTES),
        budget: BUDGET,
    };
    let a_day_ago = past.len() - DAY;
    let then = past[a_day_ago..a_day_ago + MINUTES].to_vec();
    let verdict = forecast::judge(&past, &since, &settings);
    (verdict, is_high(&(then, since)))
}

/// By the classic judge with the options that it has when nothing is said, but for the direction.
fn is_high((control, canary): &(Points, Points)) -> bool {
    let settings = kayenta::Settings {
        direction: Direction::Increase,
        ..kayenta::Settings::default()
    };
    kayenta::judge(control, canary, &settings).label == Label::High
}

fn together(judged: &[Judged]) -> Seen {
    let at = |outcome: Outcome| {
        let found = judged.iter().filter(move |(verdict, _)| verdict.outcome == outcome);
        found.map(|(verdict, _)| verdict.looks)
    };
    let passed = at(Outcome::Pass);
    Seen {
        failed: at(Outcome::Fail).min(),
        passed: (at(Outcome::Pass).count() == judged.len())
            .then(|| passed.max())
            .flatten(),
        classic: (
            judged.iter().filter(|(_, high)| *high).count() as u32,
            judged.len() as u32,
        ),
    }
}
