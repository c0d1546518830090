//! Points of time: as people type them for `--at`, and as they are shown. The clock and the zone are handed in.

use echelon_proto::Span;
use jiff::{Timestamp, Zoned, civil::DateTime};

use crate::error::Error;

/// RFC 3339, `+10m` from now, or `2026-11-21 14:00` in the zone of `now`.
pub(crate) fn parse(text: &str, now: &Zoned) -> Result<Timestamp, Error> {
    let text = text.trim();
    if let Some(span) = text.strip_prefix('+') {
        let span: Span = span.parse().map_err(|error| Error::usage(format!("--at: {error}")))?;
        let ahead = now.timestamp().checked_add(span.duration());
        return ahead.map_err(|_| Error::usage(format!("--at {text:?} lies too far ahead")));
    }
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Ok(stamp);
    }
    let local = text
        .parse::<DateTime>()
        .ok()
        .and_then(|civil| now.time_zone().to_ambiguous_zoned(civil).unambiguous().ok());
    match local {
        Some(zoned) => Ok(zoned.timestamp()),
        None => Err(Error::usage(format!(
            "--at {text:?} is no point of time here: write 2026-11-21T14:00:00Z, \"2026-11-21 14:00\" (local, a time that \
             the clocks show exactly once) or +10m"
        ))),
    }
}

/// From the wire; `None` when it is unset or no time at all.
#[must_use]
pub(crate) fn stamp(wire: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    wire.and_then(|wire| Timestamp::new(wire.seconds, wire.nanos).ok())
}

/// For the wire.
#[must_use]
pub(crate) fn wire(stamp: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: stamp.as_second(),
        nanos: stamp.subsec_nanosecond(),
    }
}

/// RFC 3339 in UTC to the second; empty when unset.
#[must_use]
pub(crate) fn shown(wire: Option<&prost_types::Timestamp>) -> String {
    stamp(wire).map(|stamp| format!("{stamp:.0}")).unwrap_or_default()
}

/// How long, for the eye: `45s`, `4m12s`, `3h05m`, `2d04h`. Never negative: a clock may have jumped.
#[must_use]
pub(crate) fn took(from: Timestamp, to: Timestamp) -> String {
    let secs = to.as_second().saturating_sub(from.as_second()).max(0);
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3600..86400 => format!("{}h{:02}m", secs / 3600, secs % 3600 / 60),
        _ => format!("{}d{:02}h", secs / 86400, secs % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-11-21T13:00:00+01:00[Europe/Berlin]".parse().unwrap()
    }

    #[test]
    fn a_start_is_given_absolute_relative_or_local() {
        for (text, stamp) in [
            ("2026-11-21T14:00:00Z", "2026-11-21T14:00:00Z"),
            ("2026-11-21T14:00:00+02:00", "2026-11-21T12:00:00Z"),
            ("+10m", "2026-11-21T12:10:00Z"),
            ("+1h30m", "2026-11-21T13:30:00Z"),
            ("2026-11-21 14:00", "2026-11-21T13:00:00Z"),
            ("2026-07-01 14:00:30", "2026-07-01T12:00:30Z"),
        ] {
            assert_eq!(parse(text, &now()).unwrap(), stamp.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn a_time_that_the_clocks_skip_or_show_twice_is_refused() {
        for bad in ["2026-03-29 02:30", "2026-10-25 02:30", "tomorrow", "+10", "", "14:00"] {
            let error = parse(bad, &now()).unwrap_err();
            assert_eq!(error.exit, crate::exit::Exit::Usage, "{bad:?}");
        }
    }

    #[test]
    fn lengths_are_short_and_never_negative() {
        let at = |secs| Timestamp::from_second(secs).unwrap();
        let shown = [5, 252, 11_100, 187_200].map(|secs| took(at(0), at(secs)));
        assert_eq!(shown, ["5s", "4m12s", "3h05m", "2d04h"]);
        assert_eq!(took(at(9), at(5)), "0s");
    }
}
