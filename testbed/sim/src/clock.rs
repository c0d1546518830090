//! The coordinator's clock as the process has it: the wall's time as long as that goes forward; put back, it goes on from
//! where it was. The world's own time never jumps. Deliberately a second telling of `driver::run`'s, over made-up time.

use echelon_proto::{Span, Time};

/// One process's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    base: Time,
    since: Time,
}

impl Clock {
    /// A process that begins now, and knows that it was `base` already.
    pub(crate) fn at(base: Time, now: Time) -> Self {
        Self { base, since: now }
    }

    /// What it says when the world's time is `now` and the wall's is `wall`.
    pub(crate) fn read(&mut self, now: Time, wall: Time) -> Time {
        let steady = self.base + now.since(self.since);
        if wall > steady {
            *self = Self::at(wall, now);
            return wall;
        }
        steady
    }
}

/// The wall's time where it is off by so many milliseconds.
pub(crate) fn wall(now: Time, off: i64) -> Time {
    Time(now.0.saturating_add_signed(off))
}

/// Until it is `due` on a clock that says `now`.
pub(crate) fn until(due: Time, now: Time) -> Span {
    due.since(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_that_is_put_back_does_not_take_time_back_and_one_put_forward_counts() {
        let mut clock = Clock::at(Time(1000), Time(0));
        assert_eq!(clock.read(Time(5), wall(Time(5), 0)), Time(1005));
        assert_eq!(clock.read(Time(6), wall(Time(6), 5000)), Time(5006));
        assert_eq!(clock.read(Time(9), wall(Time(9), 0)), Time(5009));
    }
}
