//! How long to wait before dialling again. The first try after a loss is quick, then the waits grow with full jitter to a
//! cap low enough that a whole fleet is back within ten seconds of a coordinator's return, and high enough that two
//! thousand agents dial it less than a thousand times a second meanwhile.

use std::time::Duration;

use echelon_proto::HostId;

use super::{dial, session::Ended};

const MIN_MS: u64 = 50;
const FIRST_MAX_MS: u64 = 250;
const CAP_MS: u64 = 4_000;

/// Tries in a row that led to no session.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
    pause: Duration,
}

impl Backoff {
    /// No connection came about.
    pub(super) fn failed(&mut self, host: &HostId, error: &dial::Error) {
        // Once is news; a coordinator that is away for an hour is one line, not a thousand.
        if self.tries == 0 {
            tracing::warn!(%host, %error, "no connection to the coordinator; trying on");
        } else {
            tracing::debug!(%host, %error, tries = self.tries, "no connection to the coordinator");
        }
        self.grow();
    }

    /// A connection came about and ended.
    pub(super) fn ended(&mut self, host: &HostId, ended: &Ended) {
        match ended {
            Ended::Stopped => {}
            Ended::Renewed => {
                self.tries = 0;
                self.pause = Duration::ZERO;
            }
            Ended::Lost { welcomed, why } => {
                if *welcomed {
                    self.tries = 0;
                }
                if self.tries == 0 {
                    tracing::warn!(%host, why, "the session is over; attaching again");
                } else {
                    tracing::debug!(%host, why, tries = self.tries, "no session");
                }
                self.grow();
            }
        }
    }

    /// How long to wait now.
    pub(super) const fn pause(&self) -> Duration {
        self.pause
    }

    fn grow(&mut self) {
        let max = FIRST_MAX_MS.saturating_mul(1 << self.tries.min(16)).min(CAP_MS);
        self.pause = Duration::from_millis(rand::random_range(MIN_MS..=max));
        self.tries = self.tries.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_quick_to_a_cap_and_begin_anew_after_a_session() {
        let host = HostId::new("h1").unwrap();
        let mut backoff = Backoff::default();
        let lost = |welcomed| Ended::Lost {
            welcomed,
            why: "cut".to_owned(),
        };
        backoff.ended(&host, &lost(true));
        assert!(backoff.pause() <= Duration::from_millis(FIRST_MAX_MS));
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            backoff.ended(&host, &lost(false));
            longest = longest.max(backoff.pause());
            assert!(backoff.pause() <= Duration::from_millis(CAP_MS));
        }
        assert!(longest > Duration::from_millis(CAP_MS / 2), "{longest:?}");
        backoff.ended(&host, &lost(true));
        assert!(backoff.pause() <= Duration::from_millis(FIRST_MAX_MS));
        backoff.ended(&host, &Ended::Renewed);
        assert_eq!(backoff.pause(), Duration::ZERO);
    }
}
