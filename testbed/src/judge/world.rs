//! Made-up arms. Hosts differ by 20 %; a host's minute differs from its level by 10 %, and depends on the minute before by
//! rho; what all hosts do at once moves both arms by 6 %, as much upon itself. Levels are logarithms, so nothing is
//! negative. Deliberately plain: who doubts it changes a number here and sees what becomes of the figures.

use std::{collections::BTreeMap, f64::consts::TAU};

use echelon_judge::{
    case::Points,
    gauge::{Gauge, Series},
    ratio::Tally,
};

use super::chance::Chance;

/// Minutes since the deploy.
pub(super) const MINUTES: usize = 60;
/// Minutes before it.
pub(super) const BEFORE: usize = 30;
/// By how much hosts differ.
const HOSTS: f64 = 0.2;
/// By how much a host's minute differs from its level.
const MINUTE: f64 = 0.1;
/// By how much all hosts move at once.
const TOGETHER: f64 = 0.06;
/// By how much one request differs from another.
const REQUEST: f64 = 0.5;

/// The part of the time that the host of the mean is busy, where hosts queue.
const BUSY: f64 = 0.5;
/// No host is busier for ever.
const BUSY_MOST: f64 = 0.8;
/// By how much all hosts have more to do from the deploy on, where hosts queue.
const MORE: f64 = 0.1;

/// Minutes of a season.
pub(super) const DAY: usize = 24 * 60;
/// Of the past of what has no control arm.
const PAST: usize = 6 * DAY;
/// By how much a day rises and falls.
const SWING: f64 = 0.4;

/// How the canary hosts differ from the others before anything is done to them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kin {
    /// As hosts differ.
    Alike,
    /// Their levels are higher by so many of what hosts differ by.
    Hotter(f64),
    /// Those too, and what is measured is a time in a queue, with more load from the deploy on: busier hosts suffer more.
    Queueing(f64),
}

impl Kin {
    fn hotter(self) -> f64 {
        match self {
            Self::Alike => 0.0,
            Self::Hotter(by) | Self::Queueing(by) => by,
        }
    }

    /// Of a host, before and since.
    fn levels(self, level: f64) -> (f64, f64) {
        let waits = |busy: f64| -(1.0 - busy).ln();
        match self {
            Self::Alike | Self::Hotter(_) => (level, level),
            Self::Queueing(_) => {
                let busy = (BUSY * level.exp()).min(BUSY_MOST);
                (waits(busy), waits(busy * (1.0 + MORE)))
            }
        }
    }
}

/// How many hosts, and how much a minute depends on the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fleet {
    pub(super) control: usize,
    pub(super) canary: usize,
    pub(super) rho: f64,
}

impl Fleet {
    /// The canary's part of all hosts.
    pub(super) fn share(self) -> f64 {
        self.canary as f64 / (self.canary + self.control) as f64
    }
}

/// Levels of hosts.
pub(super) struct Levels {
    control: Series,
    canary: Series,
    control_before: Series,
    canary_before: Series,
}

impl Levels {
    /// Where the release changes the canary by `change`.
    pub(super) fn draw(fleet: Fleet, change: f64, kin: Kin, chance: &mut Chance) -> Self {
        let minutes = BEFORE + MINUTES;
        let together = chance.series(minutes, fleet.rho, TOGETHER);
        let mut arm = |count: usize, hotter: f64, change: f64| {
            let (mut before, mut since) = (Series::new(), Series::new());
            for host in 0..count {
                let (then, now) = kin.levels(HOSTS * (chance.normal() + hotter));
                let own = chance.series(minutes, fleet.rho, MINUTE);
                let value = |at: usize, level: f64| Some(100.0 * (level + own[at] + together[at]).exp());
                let name = format!("{host:04}");
                before.insert(name.clone(), (0..BEFORE).map(|at| value(at, then)).collect());
                since.insert(name, (BEFORE..minutes).map(|at| value(at, now + change)).collect());
            }
            (before, since)
        };
        let ((control_before, control), (canary_before, canary)) = (
            arm(fleet.control, 0.0, 0.0),
            arm(fleet.canary, kin.hotter(), change.ln_1p()),
        );
        Self {
            control,
            canary,
            control_before,
            canary_before,
        }
    }

    pub(super) fn gauge(&self) -> Gauge<'_> {
        Gauge {
            control: &self.control,
            canary: &self.canary,
            control_before: Some(&self.control_before),
            canary_before: Some(&self.canary_before),
        }
    }

    /// As peers see them: each arm the mean of its hosts.
    pub(super) fn averaged(&self) -> (Points, Points) {
        let mean = |series: &BTreeMap<String, Points>, at: usize| {
            let values = series.values().filter_map(|points| points[at]);
            Some(values.sum::<f64>() / series.len() as f64)
        };
        let arm = |series| (0..MINUTES).map(|at| mean(series, at)).collect();
        (arm(&self.control), arm(&self.canary))
    }
}

/// What the hosts of an arm are to one host of the mean, and what all do at once.
struct Pace {
    control: f64,
    canary: f64,
    together: Vec<f64>,
}

impl Pace {
    fn draw(fleet: Fleet, chance: &mut Chance) -> Self {
        let mut arm = |count: usize| {
            let hosts = (0..count).map(|_| HOSTS.mul_add(chance.normal(), -HOSTS * HOSTS / 2.0).exp());
            hosts.sum::<f64>() / count as f64
        };
        let (control, canary) = (arm(fleet.control), arm(fleet.canary));
        let together = chance.series(MINUTES, fleet.rho, TOGETHER);
        Self {
            control,
            canary,
            together: together.into_iter().map(f64::exp).collect(),
        }
    }
}

/// Events a minute, where a harmless canary has `rate` of them and the control as many for each host; the release makes
/// `times` as many.
pub(super) fn events(fleet: Fleet, rate: f64, times: f64, chance: &mut Chance) -> (Points, Points) {
    let pace = Pace::draw(fleet, chance);
    let more = fleet.control as f64 / fleet.canary as f64;
    let mut arm = |expected: f64| -> Points {
        let minutes = pace.together.iter();
        minutes
            .map(|together| Some(chance.events(expected * together)))
            .collect()
    };
    (arm(rate * more * pace.control), arm(rate * times * pace.canary))
}

/// Requests a minute with those that were bad.
pub(super) fn requests(
    fleet: Fleet,
    a_minute: f64,
    bad: f64,
    times: f64,
    chance: &mut Chance,
) -> (Vec<Option<Tally>>, Vec<Option<Tally>>) {
    let pace = Pace::draw(fleet, chance);
    let more = fleet.control as f64 / fleet.canary as f64;
    let mut arm = |expected: f64, rate: f64| -> Vec<Option<Tally>> {
        let minutes = pace.together.iter();
        let tally = |together: &f64| {
            let total = chance.events(expected * together);
            let bad = chance.hits(total, rate);
            Some(Tally { bad, total })
        };
        minutes.map(tally).collect()
    };
    (
        arm(a_minute * more, bad * pace.control),
        arm(a_minute, bad * times * pace.canary),
    )
}

/// Latencies of requests, by host.
pub(super) struct Latencies {
    pub(super) control: Series,
    pub(super) canary: Series,
    pub(super) control_before: Series,
    pub(super) canary_before: Series,
}

impl Latencies {
    /// Of so many requests an arm since the deploy, and half as many before; the release makes them longer by `change`.
    pub(super) fn draw(fleet: Fleet, samples: usize, change: f64, chance: &mut Chance) -> Self {
        let mut arm = |hosts: usize, change: f64| {
            let (mut before, mut since) = (Series::new(), Series::new());
            for host in 0..hosts {
                let level = HOSTS * chance.normal();
                let mut told = |count: usize, change: f64| -> Points {
                    let sample = |_| Some((level + REQUEST * chance.normal() + change).exp());
                    (0..count).map(sample).collect()
                };
                let name = format!("{host:04}");
                before.insert(name.clone(), told(samples * BEFORE / MINUTES / hosts, 0.0));
                since.insert(name, told(samples / hosts, change));
            }
            (before, since)
        };
        let ((control_before, control), (canary_before, canary)) =
            (arm(fleet.control, 0.0), arm(fleet.canary, change.ln_1p()));
        Self {
            control,
            canary,
            control_before,
            canary_before,
        }
    }

    /// As peers see them: of each minute the mean of all that an arm has told.
    pub(super) fn averaged(&self) -> (Points, Points) {
        let minute = |series: &Series, minute: usize| {
            let told = series.values().flat_map(|points| {
                let part = |minute: usize| points.len() * minute / MINUTES;
                points[part(minute)..part(minute + 1)].iter().flatten()
            });
            let told: Vec<f64> = told.copied().collect();
            (!told.is_empty()).then(|| told.iter().sum::<f64>() / told.len() as f64)
        };
        let arm = |series| (0..MINUTES).map(|at| minute(series, at)).collect();
        (arm(&self.control), arm(&self.canary))
    }
}

/// A level of all hosts together that rises and falls each day, minute by minute: six days of it, and the hour from the
/// deploy on, at any time of the day, in which the release changes it by `change`.
pub(super) fn of_all(rho: f64, change: f64, chance: &mut Chance) -> (Points, Points) {
    let together = chance.series(PAST + MINUTES, rho, TOGETHER);
    let hour = chance.part();
    let level = |(at, moved): (usize, &f64)| {
        let phase = (at as f64 / DAY as f64 + hour) * TAU;
        let change = if at < PAST { 0.0 } else { change.ln_1p() };
        Some(1000.0 * (SWING * phase.sin() + moved + change).exp())
    };
    let mut past: Points = together.iter().enumerate().map(level).collect();
    let since = past.split_off(PAST);
    (past, since)
}

/// Events as an average a host, which is what the classic judge is given.
pub(super) fn a_host(fleet: Fleet, arms: &(Points, Points)) -> (Points, Points) {
    let part = |points: &Points, hosts: usize| points.iter().map(|value| Some((*value)? / hosts as f64)).collect();
    (part(&arms.0, fleet.control), part(&arms.1, fleet.canary))
}
