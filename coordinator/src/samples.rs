//! What agents measured of their hosts: a window of the newest, in memory and nowhere else. After a restart of the coordinator
//! it fills again, and who judges by it must say when there is too little. What cannot be true is dropped here, so that
//! nobody behind has to ask: no numbers that are none, nothing from the future, nothing twice. Deliberately no judgement.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use echelon_proto::{HostId, Span, Time, limits::NAME_CHARS_MAX};

/// How far back it reaches, and how many there are of a series in that time: agents measure each 15 s.
const WINDOW: Span = Span::secs(1800);
const POINTS_MAX: usize = 120;
/// Series of one host: four of the host itself, and one a watch. With 16 bytes a point a host takes at most 46 KiB, usually
/// 10; 2,000 hosts 20 MiB, and not 100 though every agent lies.
const SERIES_MAX: usize = 24;
/// `probe_ms/` and a watch, which is a rollout and a gate.
const NAME_MAX: usize = 2 * NAME_CHARS_MAX + 16;
/// A host's clock may be so far ahead of ours.
const AHEAD_MAX: Span = Span::secs(30);
/// Two of one host are at least so far apart.
const APART_MIN: Span = Span(500);

/// The windows of all hosts.
#[derive(Debug, Default)]
pub struct Samples {
    /// Nothing is known of the time before.
    began: Time,
    hosts: Mutex<HashMap<HostId, Window>>,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// By the host's clock.
    pub at: Time,
    /// Finite.
    pub value: f64,
}

#[derive(Debug, Default)]
struct Window {
    newest: Time,
    series: BTreeMap<String, VecDeque<Point>>,
}

impl Samples {
    /// Nothing yet: from now on.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self {
            began: now,
            hosts: Mutex::default(),
        }
    }

    /// Since when they are taken.
    #[must_use]
    pub fn began(&self) -> Time {
        self.began
    }

    /// Takes what an agent says. What cannot be true, and what is too much, is dropped.
    pub fn take(&self, host: &HostId, at: Time, values: impl IntoIterator<Item = (String, f64)>, now: Time) {
        if at > now + AHEAD_MAX || at + WINDOW < now {
            tracing::debug!(%host, %at, "samples of another time; look at the host's clock");
            return;
        }
        let mut hosts = self.lock();
        let window = hosts.entry(host.clone()).or_default();
        if window.newest > Time::default() && at < window.newest + APART_MIN {
            return;
        }
        window.newest = at;
        window.forget(now);
        for (name, value) in values {
            window.put(name, Point { at, value });
        }
    }

    /// The points of a host's series since then, oldest first, by name; of these series alone, where any is named.
    #[must_use]
    pub fn read(&self, host: &HostId, only: &[String], since: Time) -> BTreeMap<String, Vec<Point>> {
        let hosts = self.lock();
        let series = hosts.get(host).into_iter().flat_map(|window| &window.series);
        let wanted = series.filter(|(name, _)| only.is_empty() || only.contains(name));
        let points = wanted.map(|(name, points)| {
            let points: Vec<_> = points.iter().copied().filter(|point| point.at >= since).collect();
            (name.clone(), points)
        });
        points.filter(|(_, points)| !points.is_empty()).collect()
    }

    /// The points of one series of every host that has any since then, oldest first.
    #[must_use]
    pub fn series(&self, name: &str, since: Time) -> BTreeMap<HostId, Vec<Point>> {
        let hosts = self.lock();
        let points = hosts.iter().filter_map(|(host, window)| {
            let points: Vec<_> = window
                .series
                .get(name)?
                .iter()
                .copied()
                .filter(|point| point.at >= since)
                .collect();
            (!points.is_empty()).then(|| (host.clone(), points))
        });
        points.collect()
    }

    /// Names of series that any host has, at most so many, in their order.
    #[must_use]
    pub fn names(&self, max: usize) -> Vec<String> {
        let hosts = self.lock();
        let names: BTreeSet<&String> = hosts.values().flat_map(|window| window.series.keys()).collect();
        names.into_iter().take(max).cloned().collect()
    }

    /// The newest of each series that was measured lately, by name.
    #[must_use]
    pub fn newest(&self, host: &HostId, now: Time) -> Vec<(String, Point)> {
        let hosts = self.lock();
        let series = hosts.get(host).into_iter().flat_map(|window| &window.series);
        let newest = series.filter_map(|(name, points)| Some((name.clone(), *points.back()?)));
        newest.filter(|(_, point)| point.at + WINDOW >= now).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HostId, Window>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// Watches come and go with rollouts: their series go when the last point is too old.
    fn forget(&mut self, now: Time) {
        self.series.retain(|_, points| {
            while points.front().is_some_and(|point| point.at + WINDOW < now) {
                points.pop_front();
            }
            !points.is_empty()
        });
    }

    fn put(&mut self, name: String, point: Point) {
        let is_name = !name.is_empty() && name.chars().count() <= NAME_MAX && !name.chars().any(char::is_control);
        let has_room = self.series.len() < SERIES_MAX || self.series.contains_key(&name);
        if !point.value.is_finite() || !is_name || !has_room {
            return;
        }
        let points = self.series.entry(name).or_default();
        if points.len() >= POINTS_MAX {
            points.pop_front();
        }
        points.push_back(point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(10_000_000);

    fn host() -> HostId {
        HostId::new("h1").unwrap()
    }

    fn one(samples: &Samples, at: Time, value: f64) {
        samples.take(&host(), at, [("cpu".to_owned(), value)], NOW);
    }

    fn values(samples: &Samples) -> Vec<f64> {
        let mut all = samples.read(&host(), &[], Time::default());
        let points = all.remove("cpu").unwrap_or_default();
        points.iter().map(|point| point.value).collect()
    }

    #[test]
    fn what_cannot_be_true_is_dropped() {
        let samples = Samples::default();
        one(&samples, NOW, 1.0);
        one(&samples, NOW, 2.0);
        one(&samples, Time(NOW.0 - 1000), 3.0);
        one(&samples, NOW + Span::secs(31), 4.0);
        for (n, no_number) in (1..).zip([f64::NAN, f64::INFINITY, f64::NEG_INFINITY]) {
            one(&samples, NOW + Span::secs(n), no_number);
        }
        assert_eq!(values(&samples), [1.0], "twice, older, from the future, no number");
        one(&samples, NOW + Span::secs(15), 5.0);
        assert_eq!(values(&samples), [1.0, 5.0]);
        let other = Samples::default();
        one(&other, Time(NOW.0 - WINDOW.0 - 1), 1.0);
        assert_eq!(values(&other), [0.0; 0], "too old");
    }

    #[test]
    fn a_host_takes_no_more_than_its_window() {
        let samples = Samples::default();
        let many = |n: usize| (0..100).map(move |name| (format!("s{name:03}"), n as f64));
        for n in 0..200_u64 {
            let at = NOW + Span::secs(n);
            samples.take(&host(), at, many(usize::try_from(n).unwrap()), at);
        }
        let all = samples.read(&host(), &[], Time::default());
        assert_eq!(all.len(), SERIES_MAX);
        assert!(all.values().all(|points| points.len() == POINTS_MAX));
        let only = samples.read(&host(), &["s003".to_owned()], NOW + Span::secs(198));
        assert_eq!(only.len(), 1);
        assert_eq!(
            only["s003"].iter().map(|point| point.value).collect::<Vec<_>>(),
            [198.0, 199.0]
        );
        let long = ("x".repeat(NAME_MAX + 1), 1.0);
        let empty = Samples::default();
        empty.take(
            &host(),
            NOW,
            [long, (String::new(), 1.0), ("a\nb".to_owned(), 1.0)],
            NOW,
        );
        assert_eq!(empty.newest(&host(), NOW), []);
    }

    #[test]
    fn a_series_that_ended_makes_room_for_the_next() {
        let samples = Samples::default();
        one(&samples, NOW, 1.0);
        let later = NOW + WINDOW + Span::secs(1);
        samples.take(&host(), later, [("probe_ms/r1/health".to_owned(), 7.0)], later);
        let newest = samples.newest(&host(), later);
        assert_eq!(newest.len(), 1);
        assert_eq!((newest[0].0.as_str(), newest[0].1.value), ("probe_ms/r1/health", 7.0));
        assert_eq!(
            samples.newest(&host(), later + WINDOW + Span::secs(1)),
            [],
            "measured long ago"
        );
    }
}
