//! One clear error for a field beyond its bound: which field, how big, and the bound.

use std::str::FromStr;

use echelon_proto::id::Invalid;
use tonic::Status;

pub(super) fn chars(field: &str, text: &str, max: usize) -> Result<(), Status> {
    count(field, text.chars().count(), max, "characters")
}

pub(super) fn bytes(field: &str, data: &[u8], max: usize) -> Result<(), Status> {
    count(field, data.len(), max, "bytes")
}

pub(super) fn count(field: &str, found: usize, max: usize, unit: &str) -> Result<(), Status> {
    if found > max {
        return Err(Status::invalid_argument(format!(
            "{field} has {found} {unit}; at most {max} are taken"
        )));
    }
    Ok(())
}

pub(super) fn name<T>(field: &str, name: Result<T, Invalid>) -> Result<T, Status> {
    name.map_err(|error| Status::invalid_argument(format!("{field}: {error}")))
}

pub(super) fn optional<T: FromStr<Err = Invalid>>(field: &str, text: &str) -> Result<Option<T>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    name(field, text.parse()).map(Some)
}
