//! Fields of requests: read, bounded, and one clear error where that is not possible.

use std::{fmt::Display, str::FromStr};

use echelon_proto::{RequestId, RolloutId, Time, limits};
use tonic::Status;

use super::status;

/// What a parse gave, or which field was wrong.
pub(super) fn parsed<T>(field: &str, result: Result<T, impl Display>) -> Result<T, Status> {
    result.map_err(|error| status::invalid(field, &error.to_string()))
}

/// `None` where the field is empty.
pub(super) fn optional<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<Option<T>, Status> {
    if text.is_empty() {
        Ok(None)
    } else {
        parsed(field, text.parse()).map(Some)
    }
}

/// At most so many characters.
pub(super) fn chars(field: &str, text: &str, max: usize) -> Result<(), Status> {
    at_most(field, text.chars().count(), max, "characters")
}

/// At most so many.
pub(super) fn at_most(field: &str, found: usize, max: usize, unit: &str) -> Result<(), Status> {
    if found <= max {
        return Ok(());
    }
    Err(status::invalid(
        field,
        &format!("has {found} {unit}; at most {max} are taken"),
    ))
}

/// Why somebody did something.
pub(super) fn reason(text: String) -> Result<String, Status> {
    chars("reason", &text, limits::REASON_CHARS_MAX)?;
    Ok(text)
}

pub(super) fn request_id(text: &str) -> Result<Option<RequestId>, Status> {
    optional("request_id", text)
}

pub(super) fn time(field: &str, stamp: Option<prost_types::Timestamp>) -> Result<Option<Time>, Status> {
    let Some(stamp) = stamp else { return Ok(None) };
    let wrong = || status::invalid(field, "must be a time after 1970");
    let seconds = u64::try_from(stamp.seconds).map_err(|_| wrong())?;
    let nanos = u64::try_from(stamp.nanos).map_err(|_| wrong())?;
    Ok(Some(Time(
        seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000),
    )))
}

/// The variable parts of a resource name, by its pattern: `apps/{app}/rollouts/{rollout}`.
pub(super) fn resource<'a, const N: usize>(pattern: &str, name: &'a str) -> Result<[&'a str; N], Status> {
    let wrong = || status::invalid("name", &format!("{:?} is not of the form {pattern}", clip(name)));
    let (wanted, given): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), name.split('/').collect());
    if wanted.len() != given.len() {
        return Err(wrong());
    }
    let mut parts = Vec::with_capacity(N);
    for (wanted, given) in wanted.into_iter().zip(given) {
        if wanted.starts_with('{') {
            parts.push(given);
        } else if wanted != given {
            return Err(wrong());
        }
    }
    parts.try_into().map_err(|_| wrong())
}

/// A rollout's id, and its app where one is named: `apps/-/rollouts/r7` finds it too.
pub(super) fn rollout(name: &str) -> Result<(Option<&str>, RolloutId), Status> {
    let [app, rollout] = resource("apps/{app}/rollouts/{rollout}", name)?;
    Ok((
        Some(app).filter(|app| *app != "-"),
        parsed("name", RolloutId::new(rollout))?,
    ))
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_names_are_taken_apart_by_their_pattern() {
        assert_eq!(resource("hosts/{host}", "hosts/web-1").unwrap(), ["web-1"]);
        let (app, id) = rollout("apps/-/rollouts/r7").unwrap();
        assert_eq!((app, id.as_str()), (None, "r7"));
        assert_eq!(rollout("apps/web/rollouts/r7").unwrap().0, Some("web"));
        for bad in [
            "",
            "r7",
            "apps/web/releases/r7",
            "apps/web/rollouts",
            "apps/web/rollouts/r7/x",
            "apps/-/rollouts/",
        ] {
            assert_eq!(
                rollout(bad).unwrap_err().code(),
                tonic::Code::InvalidArgument,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_time_before_the_epoch_is_refused() {
        let stamp = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
        assert_eq!(time("t", stamp(2, 5_000_000)).unwrap(), Some(Time(2005)));
        assert!(time("t", stamp(-1, 0)).is_err() && time("t", stamp(1, -1)).is_err());
    }
}
