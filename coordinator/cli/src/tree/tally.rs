//! Hosts counted over waves, lanes and rollouts, and the estimate of how long a lane still takes.

use echelon_proto::wire::control::{Lane, Rollout, Wave};
use jiff::Timestamp;

use crate::when;

/// Hosts by where they have got to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// All.
    pub hosts: u64,
    /// At the goal.
    pub done: u64,
    /// Failed for good.
    pub failed: u64,
    /// Left out by a person.
    pub skipped: u64,
    /// Back on their previous release.
    pub rolled_back: u64,
    /// Named as debt.
    pub debt: u64,
}

impl Tally {
    /// Of one wave.
    #[must_use]
    pub(crate) fn of_wave(wave: &Wave) -> Self {
        Self {
            hosts: wave.hosts.into(),
            done: wave.done.into(),
            failed: wave.failed.into(),
            skipped: wave.skipped.into(),
            rolled_back: wave.rolled_back.into(),
            debt: wave.debt.into(),
        }
    }

    /// Of all waves of a lane.
    #[must_use]
    pub(crate) fn of_lane(lane: &Lane) -> Self {
        lane.waves.iter().map(Self::of_wave).fold(Self::default(), Self::plus)
    }

    /// Of all lanes.
    #[must_use]
    pub(crate) fn of_rollout(rollout: &Rollout) -> Self {
        rollout
            .lanes
            .iter()
            .map(Self::of_lane)
            .fold(Self::default(), Self::plus)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            hosts: self.hosts + other.hosts,
            done: self.done + other.done,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
            rolled_back: self.rolled_back + other.rolled_back,
            debt: self.debt + other.debt,
        }
    }

    /// `12/20`
    #[must_use]
    pub(crate) fn fraction(self) -> String {
        format!("{}/{}", self.done, self.hosts)
    }

    /// `12/20 hosts`
    #[must_use]
    pub(crate) fn hosts_word(self) -> String {
        let hosts = if self.hosts == 1 { "host" } else { "hosts" };
        format!("{} {hosts}", self.fraction())
    }

    /// Columns of a bar that are filled. It is full only when every host is done.
    #[must_use]
    pub(crate) fn filled(self, columns: usize) -> usize {
        let filled = self.done.min(self.hosts) * columns as u64 / self.hosts.max(1);
        usize::try_from(filled).unwrap_or(columns)
    }
}

/// How long a rolling lane still takes if the hosts to come take as long as those that are through did; `None` before
/// the first is through, and while it stands still. Bakes and people to come are not known, so it is a lower bound.
#[must_use]
pub(super) fn estimate(lane: &Lane, now: Timestamp) -> Option<String> {
    if lane.state != "rolling" {
        return None;
    }
    let tally = Tally::of_lane(lane);
    let settled = tally.done + tally.failed + tally.skipped;
    let opened = lane
        .waves
        .iter()
        .filter_map(|wave| when::stamp(wave.open_time.as_ref()));
    let opened = opened.min()?;
    let left = i64::try_from(tally.hosts.saturating_sub(settled)).ok()?;
    let settled = i64::try_from(settled).ok().filter(|settled| *settled > 0)?;
    let so_far = now.as_second().saturating_sub(opened.as_second()).max(0);
    let secs = so_far.saturating_mul(left) / settled;
    let end = Timestamp::from_second(now.as_second().saturating_add(secs)).ok()?;
    (left > 0).then(|| when::took(now, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(waves: &[(u32, u32)]) -> Lane {
        let waves = waves.iter().enumerate().map(|(at, &(hosts, done))| Wave {
            hosts,
            done,
            open_time: (done > 0).then(|| prost_types::Timestamp {
                seconds: 1000 + 50 * at as i64,
                nanos: 0,
            }),
            ..Wave::default()
        });
        Lane {
            state: "rolling".into(),
            waves: waves.collect(),
            ..Lane::default()
        }
    }

    #[test]
    fn the_estimate_takes_the_hosts_to_come_for_as_slow_as_those_before() {
        let now = Timestamp::from_second(1100).unwrap();
        assert_eq!(estimate(&lane(&[(2, 2), (8, 3)]), now).as_deref(), Some("1m40s"));
        assert_eq!(estimate(&lane(&[(2, 0), (8, 0)]), now), None);
        assert_eq!(estimate(&lane(&[(2, 2)]), now), None);
        let held = Lane {
            state: "held".into(),
            ..lane(&[(2, 2), (8, 3)])
        };
        assert_eq!(estimate(&held, now), None);
    }

    #[test]
    fn a_bar_is_full_only_when_every_host_is_done() {
        let tally = |done| Tally {
            hosts: 1000,
            done,
            ..Tally::default()
        };
        assert_eq!([0, 500, 999, 1000].map(|done| tally(done).filled(20)), [0, 10, 19, 20]);
        assert_eq!(Tally::default().filled(20), 0);
    }
}
