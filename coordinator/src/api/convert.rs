//! The engine's plain values in the words of the wire, where more than one noun needs them.

pub(super) use echelon_shape::{stamp, text};

/// How many, as the wire counts.
pub(super) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
