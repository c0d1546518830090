//! The engine's plain values in the words of the wire, where more than one noun needs them.

use std::fmt::Display;

use echelon_proto::Time;
use prost_types::Timestamp;

pub(super) fn stamp(time: Time) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(time.0 / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.0 % 1000 * 1_000_000).unwrap_or(0),
    }
}

/// Empty where there is none.
pub(super) fn text(name: Option<&impl Display>) -> String {
    name.map(ToString::to_string).unwrap_or_default()
}

/// How many, as the wire counts.
pub(super) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
