//! One attempt's folder and time, and what the end of its program means. Deliberately runs nothing.

use std::{path::PathBuf, time::Duration};

use echelon_proto::Span;
use tokio::time::Instant;

use super::program::{End, Exit};
use crate::{
    executor::Work,
    link::now,
    order::{Leftovers, Order, Outcome, PhaseResult},
};

/// One attempt's folder and time.
pub(super) struct Attempt {
    pub(super) dir: PathBuf,
    pub(super) until: Instant,
    timeout: Span,
}

impl Attempt {
    pub(super) fn new(dir: PathBuf, work: &Work) -> Self {
        // By the wall clock, because a restart or a reboot may lie between; a clock that jumped can only shorten the
        // rest or give the whole again.
        let timeout = work.order.timeout;
        let left = timeout - now().since(work.started);
        Self {
            dir,
            until: Instant::now() + left.duration(),
            timeout,
        }
    }

    /// The same, over by then at the latest.
    pub(super) fn ending_by(&self, until: Instant) -> Self {
        Self {
            dir: self.dir.clone(),
            until: self.until.min(until),
            timeout: self.timeout,
        }
    }

    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    pub(super) fn timed_out(&self, last: String) -> Outcome {
        Outcome::of(
            PhaseResult::TimedOut,
            format!("not done within {}: {last}", self.timeout),
        )
    }
}

/// What the end of its program means for an attempt.
pub(super) fn outcome_of(name: &str, order: &Order, end: End) -> Outcome {
    let exit = match end {
        End::NotBegun(why) => return Outcome::failed(why),
        End::Lost { .. } => {
            let message = format!("{name} was begun and its end is not known: the host or its supervisor was ended");
            return Outcome::of(PhaseResult::Lost, message);
        }
        End::Known(exit) => exit,
    };
    let (result, message) = match &exit {
        Exit { error: Some(error), .. } => (PhaseResult::Failed, error.clone()),
        Exit { timed_out: true, .. } => {
            let message = format!(
                "{name} did not end within {}: it was ended, with all that it had started",
                order.timeout
            );
            (PhaseResult::TimedOut, message)
        }
        Exit {
            code: Some(0),
            leftovers,
            ..
        } if order.leftovers == Leftovers::Fail && !leftovers.is_empty() => {
            let message = format!(
                "{name} ended, but left running, and that was ended: {}",
                leftovers.join(", ")
            );
            (PhaseResult::Failed, message)
        }
        Exit { code: Some(0), .. } => (PhaseResult::Done, String::new()),
        exit => (PhaseResult::Failed, ended(name, exit)),
    };
    Outcome {
        exit_code: exit.code,
        signal: exit.signal,
        leftovers: exit.leftovers,
        ..Outcome::of(result, message)
    }
}

/// The end in words.
pub(super) fn ended(name: &str, exit: &Exit) -> String {
    match exit {
        Exit { error: Some(error), .. } => error.clone(),
        Exit { timed_out: true, .. } => format!("{name} did not end in time"),
        Exit { code: Some(code), .. } => format!("{name} ended with exit code {code}"),
        Exit {
            signal: Some(signal), ..
        } => format!("{name} was ended by signal {signal}"),
        Exit { .. } => format!("{name} ended in an unknown way"),
    }
}
