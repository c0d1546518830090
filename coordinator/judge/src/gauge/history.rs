//! What is known of each host, brought to one scale: its level before, and its levels since. Deliberately no test.

use super::{Gauge, HOSTS_MIN, Series, Settings, WELCH_HOSTS_MIN};
use crate::{
    moments, spending,
    verdict::{Outcome, Verdict},
};

/// Fewer points before say nothing of how a series depends on its past.
const BEFORE_POINTS_MIN: usize = 8;
/// Beyond this a mean would be its first and last point alone, and one bad point all of it.
const RHO_MAX: f64 = 0.9;

/// So many standard deviations of the canary hosts' levels beyond these are near.
const MATCH_REACH: f64 = 0.1;

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    name: String,
    pub(super) is_canary: bool,
    /// Mean in the window before; zero where no host has one.
    pub(super) before: f64,
    /// Of the points up to each interval, first none.
    seen: Vec<Seen>,
}

/// The points of a series up to one of them.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    sum: f64,
    count: usize,
    first: f64,
    last: f64,
}

impl Seen {
    fn add(&mut self, value: f64) {
        if self.count == 0 {
            self.first = value;
        }
        self.last = value;
        self.sum += value;
        self.count += 1;
    }

    /// Weighted as in `spending::variance_of_mean`; not for no points.
    fn mean(&self, rho: f64) -> f64 {
        let within = (1.0 - rho).mul_add(self.sum, rho * (self.first + self.last));
        within / (1.0 - rho).mul_add(self.count as f64, 2.0 * rho)
    }
}

impl Host {
    /// Mean since the deploy, when it told at least half of the points.
    pub(super) fn level(&self, intervals: usize, rho: f64) -> Option<f64> {
        let seen = self.seen[intervals];
        (2 * seen.count >= intervals && seen.count > 0).then(|| seen.mean(rho))
    }
}

/// All hosts.
#[derive(Debug)]
pub(super) struct History {
    pub(super) hosts: Vec<Host>,
    pub(super) intervals: usize,
    /// Points of the window before; zero: there is none.
    pub(super) before: usize,
    /// How much a point depends on the one before it.
    pub(super) rho: f64,
    /// What values are brought to.
    pub(super) scale: Scale,
    /// Points that were told, of control and canary.
    pub(super) samples: (usize, usize),
    pub(super) left_out: Vec<(String, &'static str)>,
}

impl History {
    /// A verdict at once where there is nothing to compare. On this scale, or on the one that the values allow.
    pub(super) fn read(gauge: &Gauge<'_>, scale: Option<Scale>, is_matched: bool) -> Result<Self, Box<Verdict>> {
        let arms = [(gauge.control, false), (gauge.canary, true)];
        let told = |series: &Series| {
            series
                .values()
                .flatten()
                .flatten()
                .filter(|value| value.is_finite())
                .count()
        };
        let samples = (told(gauge.control), told(gauge.canary));
        if samples.0 == 0 || samples.1 == 0 {
            return Err(Box::new(Verdict::no_data("an arm has no value")));
        }
        // Parts of samples may well be all of them; that a source has died was seen on the samples then.
        if scale.is_none() && arms.iter().any(|(series, _)| is_constant(series)) {
            let reason = "an arm says one and the same number on all hosts at all times: does its source live?";
            let verdict = Verdict::inconclusive(reason).counted(samples.0, samples.1);
            return Err(Box::new(verdict));
        }
        let before = gauge.control_before.zip(gauge.canary_before);
        let befores = before.map(|(control, canary)| [control, canary]);
        let Some(scale) = scale.or_else(|| Scale::of(&[gauge.control, gauge.canary], befores.as_ref())) else {
            let reason = "values are not all positive, and the control's mean is not either: no change of it is a part";
            return Err(Box::new(Verdict::inconclusive(reason).counted(samples.0, samples.1)));
        };
        let intervals = arms.iter().flat_map(|(series, _)| series.values().map(Vec::len)).max();
        let mut history = Self {
            hosts: Vec::new(),
            intervals: intervals.unwrap_or(0),
            before: 0,
            rho: 0.0,
            scale,
            samples,
            left_out: Vec::new(),
        };
        if let Some(befores) = befores {
            history.learn(befores, &scale);
        }
        for (at, (series, is_canary)) in arms.into_iter().enumerate() {
            let before = (history.before > 0)
                .then_some(befores)
                .flatten()
                .map(|befores| befores[at]);
            history.take(series, is_canary, before, &scale);
        }
        if is_matched {
            history.match_levels();
        }
        Ok(history)
    }

    /// Leaves control hosts out whose level before no canary host was near: what they say of such a canary, a straight line
    /// has to say for them. Before, so nothing that is judged has a part in it. Not below what the t test takes: among few
    /// hosts every choice of them is counted, and who the canaries are must make no difference.
    fn match_levels(&mut self) {
        let levels = |is_canary: bool| -> Vec<f64> {
            let hosts = self.hosts.iter().filter(|host| host.is_canary == is_canary);
            let told = hosts.filter(|host| host.level(self.intervals, self.rho).is_some());
            told.map(|host| host.before).collect()
        };
        let (canary, control) = (levels(true), levels(false));
        if self.before == 0 || canary.len().min(control.len()) < WELCH_HOSTS_MIN {
            return;
        }
        let reach = MATCH_REACH * moments::variance(&canary).sqrt();
        let low = canary.iter().copied().fold(f64::INFINITY, f64::min) - reach;
        let high = canary.iter().copied().fold(f64::NEG_INFINITY, f64::max) + reach;
        let is_near = |level: f64| (low..=high).contains(&level);
        if control.iter().filter(|level| is_near(**level)).count() < WELCH_HOSTS_MIN {
            return;
        }
        let why = "before, it was at a level that no canary host was near";
        let hosts = std::mem::take(&mut self.hosts);
        for host in hosts {
            let is_told = host.level(self.intervals, self.rho).is_some();
            if is_told && !host.is_canary && !is_near(host.before) {
                self.left_out.push((host.name, why));
            } else {
                self.hosts.push(host);
            }
        }
    }

    /// What the window before says of all hosts: how long it is, and how much a point depends on the one before it.
    fn learn(&mut self, befores: [&Series; 2], scale: &Scale) {
        let hosts = |series: &Series| {
            series
                .values()
                .filter(|points| points.iter().any(Option::is_some))
                .count()
        };
        if befores.iter().any(|series| hosts(series) < HOSTS_MIN) {
            return;
        }
        let all: Vec<Vec<Option<f64>>> = befores
            .iter()
            .flat_map(|series| series.values())
            .map(|points| points.iter().map(|point| scale.bring(*point)).collect())
            .collect();
        self.before = all.iter().map(Vec::len).max().unwrap_or(0);
        self.rho = dependence(&all, self.before);
    }

    fn take(&mut self, series: &Series, is_canary: bool, before: Option<&Series>, scale: &Scale) {
        for (name, points) in series {
            let before = match before {
                None => 0.0,
                Some(before) => match before.get(name).and_then(|points| mean(points, scale, self.rho)) {
                    Some(level) => level,
                    None => {
                        self.left_out
                            .push((name.clone(), "it told nothing in the window before"));
                        continue;
                    }
                },
            };
            let host = Host::read((name, points), self.intervals, is_canary, before, scale);
            if host.level(self.intervals, self.rho).is_none() {
                self.left_out
                    .push((name.clone(), "it told fewer than half of the points"));
            }
            self.hosts.push(host);
        }
    }

    /// The part of all information that there is after so many intervals.
    pub(super) fn information(&self, intervals: usize, planned: usize) -> f64 {
        if self.before < BEFORE_POINTS_MIN {
            return intervals as f64 / planned as f64;
        }
        spending::information(intervals, planned, self.before, self.rho)
    }

    /// Why not one look was taken.
    pub(super) fn too_little(&self, settings: &Settings) -> Verdict {
        let count = |is_canary| {
            let hosts = self.hosts.iter().filter(|host| host.is_canary == is_canary);
            hosts
                .filter(|host| host.level(self.intervals, self.rho).is_some())
                .count()
        };
        let (control, canary) = (count(false), count(true));
        let reason = if control.min(canary) < HOSTS_MIN {
            format!("{canary} canary and {control} control hosts; it takes {HOSTS_MIN} of each")
        } else if settings.intervals.is_some_and(|planned| planned > self.intervals) {
            format!("{canary} canary and {control} control hosts are too few for a look by now")
        } else {
            let why = "are too few to show harm at this alpha, or there is no spread between them";
            format!("{canary} canary and {control} control hosts {why}")
        };
        let mut verdict = Verdict::new(Outcome::Inconclusive, reason).looked(self.intervals);
        verdict.hosts.control = control as u64;
        verdict.hosts.canary = canary as u64;
        if control.min(canary) < HOSTS_MIN {
            verdict.needed = Some(crate::Needed {
                samples: None,
                hosts: Some(HOSTS_MIN as u64),
            });
        }
        verdict
    }
}

impl Host {
    fn read(
        (name, points): (&str, &[Option<f64>]),
        intervals: usize,
        is_canary: bool,
        before: f64,
        scale: &Scale,
    ) -> Self {
        let mut so_far = Seen::default();
        let mut seen = vec![so_far];
        for at in 0..intervals {
            if let Some(value) = scale.bring(points.get(at).copied().flatten()) {
                so_far.add(value);
            }
            seen.push(so_far);
        }
        Self {
            name: name.to_owned(),
            is_canary,
            before,
            seen,
        }
    }
}

/// How values become comparable whatever their unit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scale {
    Logarithm,
    /// In units of this.
    Part(f64),
    /// Parts of all, as they are: a change is a difference of them.
    Share,
}

impl Scale {
    /// `None`: neither is possible.
    fn of(after: &[&Series; 2], before: Option<&[&Series; 2]>) -> Option<Self> {
        let every = after.iter().chain(before.into_iter().flatten());
        let mut values = every.flat_map(|series| series.values()).flatten().flatten();
        if values.all(|value| *value > 0.0 || !value.is_finite()) {
            return Some(Self::Logarithm);
        }
        let control: Vec<f64> = after[0]
            .values()
            .flatten()
            .flatten()
            .copied()
            .filter(|value| value.is_finite())
            .collect();
        let level = moments::mean(&control);
        (level > 0.0).then_some(Self::Part(level))
    }

    fn bring(&self, value: Option<f64>) -> Option<f64> {
        let value = value.filter(|value| value.is_finite())?;
        Some(match self {
            Self::Logarithm => value.ln(),
            Self::Part(level) => value / level,
            Self::Share => value,
        })
    }
}

fn mean(points: &[Option<f64>], scale: &Scale, rho: f64) -> Option<f64> {
    let mut seen = Seen::default();
    for value in points.iter().filter_map(|point| scale.bring(*point)) {
        seen.add(value);
    }
    (seen.count > 0).then(|| seen.mean(rho))
}

fn is_constant(series: &Series) -> bool {
    let mut values = series.values().flatten().flatten().filter(|value| value.is_finite());
    let Some(first) = values.next() else {
        return true;
    };
    values.all(|value| value == first)
}

/// Autocorrelation at one interval, of all hosts together: of what is left when each host's mean and what all hosts do at
/// once are taken out; with Kendall's (1954) correction, since the mean of a short series follows it.
fn dependence(hosts: &[Vec<Option<f64>>], points: usize) -> f64 {
    if points < BEFORE_POINTS_MIN {
        return 0.0;
    }
    let means: Vec<f64> = hosts.iter().map(|host| known_mean(host.iter().copied())).collect();
    let at = |host: usize, point: usize| Some(hosts[host].get(point).copied().flatten()? - means[host]);
    let together: Vec<f64> = (0..points)
        .map(|point| known_mean((0..hosts.len()).map(|host| at(host, point))))
        .collect();
    let left = |host: usize, point: usize| Some(at(host, point)? - together[point]);
    let (mut products, mut pairs, mut squares, mut singles) = (0.0, 0.0, 0.0, 0.0);
    for host in 0..hosts.len() {
        for point in 0..points {
            let Some(here) = left(host, point) else { continue };
            squares += here * here;
            singles += 1.0;
            if let Some(next) = (point + 1 < points).then(|| left(host, point + 1)).flatten() {
                products += here * next;
                pairs += 1.0;
            }
        }
    }
    if squares <= 0.0 || pairs == 0.0 {
        return 0.0;
    }
    let seen = (products / pairs) / (squares / singles);
    let count = points as f64;
    (seen.mul_add(count, 1.0) / (count - 4.0)).clamp(0.0, RHO_MAX)
}

fn known_mean(values: impl Iterator<Item = Option<f64>>) -> f64 {
    let known: Vec<f64> = values.flatten().collect();
    moments::mean(&known)
}
