//! What a rehearsal lets expect: when each datacenter is through, how much of each pool serves meanwhile, how many hosts
//! fetch from one place at once. Taken from the records and the state as they come. Deliberately no judgement.

use std::collections::BTreeMap;

use echelon_engine::{Record, State, command::Artifact, rollout::Rollout};
use echelon_proto::{Datacenter, HostId, Pool, Span, Time};
use serde::Serialize;

/// Points of a series: one for each column of a narrow terminal beside its table.
pub const SERIES_POINTS_MAX: usize = 40;

/// What is to be expected. Lengths of time are in milliseconds and count from the rollout's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// How long it took, or how long it went on until it waited.
    pub total_ms: Span,
    /// In the order of the plan.
    pub lanes: Vec<LaneForecast>,
    /// By datacenter, then pool.
    pub pools: Vec<PoolForecast>,
    /// Between two points of each pool's series.
    pub point_ms: Span,
    /// Where hosts fetch artifacts.
    pub sources: Vec<SourceForecast>,
}

/// One datacenter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneForecast {
    /// Which.
    pub datacenter: Datacenter,
    /// done, stopped, rolled back; `None`: it has not ended.
    pub end: Option<&'static str>,
    /// When it ended.
    pub finish_ms: Option<Span>,
}

/// One pool in one datacenter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolForecast {
    /// Where.
    pub datacenter: Datacenter,
    /// Which.
    pub pool: Pool,
    /// Of the playbook's hosts.
    pub hosts: u32,
    /// That served at the start.
    pub at_start: u32,
    /// The fewest that served at any time.
    pub lowest: u32,
    /// When that was for the first time.
    pub lowest_ms: Span,
    /// The fewest that served within each point's time.
    pub series: Vec<u32>,
}

/// One place that artifacts are fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceForecast {
    /// `https://releases.example.net`
    pub origin: String,
    /// The most that fetched or installed from there at one time.
    pub hosts_at_once: u32,
    /// When that was for the first time.
    pub at_ms: Span,
}

/// The most at one time.
#[derive(Debug, Default)]
struct Peak {
    now: u32,
    most: u32,
    at: Time,
}

/// One pool as it goes.
#[derive(Debug)]
struct Level {
    hosts: u32,
    serving: u32,
    /// Each change, the start first.
    changes: Vec<(Time, u32)>,
}

/// What is measured while it goes.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    /// In which pool a host is, and whether it serves.
    members: BTreeMap<HostId, (usize, bool)>,
    /// In the order of the plan.
    pools: Vec<(Datacenter, Pool, Level)>,
    ends: BTreeMap<Datacenter, (Time, &'static str)>,
    sources: BTreeMap<String, Peak>,
}

impl Gauges {
    /// Before the first phase.
    pub(crate) fn open(state: &State, rollout: &Rollout, now: Time) -> Self {
        let mut gauges = Self::default();
        for lane in &rollout.plan.lanes {
            for pool in &lane.capacity {
                let index = gauges.pools.len();
                let mut serving = 0;
                for host in &pool.hosts {
                    let serves = state.hosts.get(host).is_some_and(|host| host.in_service());
                    serving += u32::from(serves);
                    gauges.members.insert(host.clone(), (index, serves));
                }
                let level = Level {
                    hosts: u32::try_from(pool.hosts.len()).unwrap_or(u32::MAX),
                    serving,
                    changes: vec![(now, serving)],
                };
                gauges.pools.push((lane.datacenter.clone(), pool.pool.clone(), level));
            }
        }
        gauges
    }

    /// What a turn has changed; `state` is the one after it.
    pub(crate) fn note(&mut self, state: &State, records: &[Record], now: Time) {
        for record in records {
            match record {
                Record::PhaseStarted { host, .. } | Record::PhaseEnded { host, .. } => self.look(state, host),
                Record::LaneEnded { datacenter, end, .. } => {
                    self.ends.insert(datacenter.clone(), (now, end.name()));
                }
                Record::RollbackBegan { lanes, .. } => self.ends.retain(|lane, _| !lanes.contains(lane)),
                _ => {}
            }
        }
        for (_, _, level) in &mut self.pools {
            if level.changes.last().is_none_or(|(_, last)| *last != level.serving) {
                level.changes.push((now, level.serving));
            }
        }
    }

    fn look(&mut self, state: &State, host: &HostId) {
        let Some((pool, was)) = self.members.get_mut(host) else {
            return;
        };
        let serves = state.hosts.get(host).is_some_and(|host| host.in_service());
        if serves != *was {
            let serving = &mut self.pools[*pool].2.serving;
            *serving = if serves {
                *serving + 1
            } else {
                serving.saturating_sub(1)
            };
            *was = serves;
        }
    }

    /// A host begins to fetch.
    pub(crate) fn fetch(&mut self, artifact: &Artifact, now: Time) {
        let peak = self.sources.entry(origin(&artifact.url)).or_default();
        peak.now += 1;
        if peak.now > peak.most {
            (peak.most, peak.at) = (peak.now, now);
        }
    }

    /// It has ended.
    pub(crate) fn fetched(&mut self, artifact: &Artifact) {
        if let Some(peak) = self.sources.get_mut(&origin(&artifact.url)) {
            peak.now = peak.now.saturating_sub(1);
        }
    }

    /// All of it, from the rollout's start to now.
    pub(crate) fn close(self, rollout: &Rollout, start: Time, now: Time) -> Forecast {
        let total = now.since(start);
        let point = Span(total.0.div_ceil(SERIES_POINTS_MAX as u64).max(1));
        let lane = |datacenter: &Datacenter| LaneForecast {
            datacenter: datacenter.clone(),
            end: self.ends.get(datacenter).map(|(_, end)| *end),
            finish_ms: self.ends.get(datacenter).map(|(at, _)| at.since(start)),
        };
        let lanes = rollout
            .plan
            .lanes
            .iter()
            .map(|planned| lane(&planned.datacenter))
            .collect();
        let source = |(origin, peak): (String, Peak)| SourceForecast {
            origin,
            hosts_at_once: peak.most,
            at_ms: peak.at.since(start),
        };
        Forecast {
            total_ms: total,
            lanes,
            pools: self
                .pools
                .into_iter()
                .map(|(datacenter, pool, level)| level.forecast(datacenter, pool, start, (point, now)))
                .collect(),
            point_ms: point,
            sources: self.sources.into_iter().map(source).collect(),
        }
    }
}

impl Level {
    fn forecast(self, datacenter: Datacenter, pool: Pool, start: Time, (point, now): (Span, Time)) -> PoolForecast {
        let at_start = self.changes.first().map_or(0, |(_, serving)| *serving);
        let lowest = self.changes.iter().min_by_key(|(at, serving)| (*serving, *at));
        let (lowest_at, lowest) = lowest.copied().unwrap_or((start, 0));
        PoolForecast {
            datacenter,
            pool,
            hosts: self.hosts,
            at_start,
            lowest,
            lowest_ms: lowest_at.since(start),
            series: series(&self.changes, start, point, now),
        }
    }
}

/// The lowest value within each point's time, so that no dip is lost however short.
fn series(changes: &[(Time, u32)], start: Time, point: Span, now: Time) -> Vec<u32> {
    let mut points = Vec::new();
    let mut changes = changes.iter().peekable();
    let mut current = 0;
    let mut from = start;
    while points.is_empty() || (from < now && points.len() < SERIES_POINTS_MAX) {
        let to = from + point;
        while let Some((_, value)) = changes.next_if(|(at, _)| *at <= from) {
            current = *value;
        }
        let mut lowest = current;
        while let Some((_, value)) = changes.next_if(|(at, _)| *at < to) {
            current = *value;
            lowest = lowest.min(current);
        }
        points.push(lowest);
        from = to;
    }
    points
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // What stands before an `@` is a name and a password, which are nobody's business here.
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_each_dip_and_starts_with_the_start() {
        let changes = [(Time(0), 9), (Time(15), 3), (Time(16), 9), (Time(30), 7)];
        assert_eq!(series(&changes, Time(0), Span(10), Time(40)), [9, 3, 9, 7]);
        assert_eq!(series(&changes[..1], Time(0), Span(1), Time(0)), [9]);
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("https://repo:8443/a/b.tar.gz?x"), "https://repo:8443");
        assert_eq!(origin("http://ann:secret@repo/a"), "http://repo");
    }
}
