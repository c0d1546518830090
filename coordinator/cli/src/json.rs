//! Messages as JSON: the fields of the .proto file under their own names, all of them whether set or not (only an unset
//! time or optional is left out), times in RFC 3339, numbers as numbers, a rollout's state as `RUNNING`. It works from
//! the compiled message files, so a new field needs nothing here.

use std::{io, sync::LazyLock};

use echelon_proto::wire::{DESCRIPTORS, control};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

const STATE: &str = "ROLLOUT_STATE_";

static POOL: LazyLock<Result<DescriptorPool, String>> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).map_err(|error| error.to_string()));

/// A message that this command shows as JSON.
pub trait Shown: Message {
    /// Its name in the .proto file.
    const NAME: &'static str;
}

macro_rules! shown {
    ($($name:ident)*) => {$(
        impl Shown for control::$name {
            const NAME: &'static str = concat!("echelon.control.v1.", stringify!($name));
        }
    )*};
}

shown!(Release Playbook Plan Rollout WatchRolloutResponse Event Explanation Report Host JoinToken Drift);
shown!(HostFinding HostProcess HostRelease);

/// The message as a JSON value.
pub(crate) fn value<M: Shown>(message: &M) -> io::Result<Value> {
    let pool = POOL.as_ref().map_err(|error| io::Error::other(error.as_str()))?;
    let descriptor = pool
        .get_message_by_name(M::NAME)
        .ok_or_else(|| io::Error::other(format!("no message {}", M::NAME)))?;
    let bytes = message.encode_to_vec();
    let message = DynamicMessage::decode(descriptor, bytes.as_slice()).map_err(io::Error::other)?;
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false)
        .skip_default_fields(false);
    let mut value = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(io::Error::other)?;
    shorten_states(&mut value);
    Ok(value)
}

fn shorten_states(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(shorten_states),
        Value::Array(items) => items.iter_mut().for_each(shorten_states),
        Value::String(text) => {
            if let Some(short) = text.strip_prefix(STATE) {
                *text = short.to_owned();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use control::{Rollout, RolloutState, WatchRolloutResponse};

    use super::*;

    #[test]
    fn json_has_proto_names_plain_numbers_and_rfc_3339_times() {
        let message = WatchRolloutResponse {
            rollout: Some(Rollout {
                name: "apps/web/rollouts/r7".into(),
                state: RolloutState::RollingBack.into(),
                create_time: Some(prost_types::Timestamp {
                    seconds: 1_795_262_400,
                    nanos: 0,
                }),
                ..Rollout::default()
            }),
            events: vec![control::Event {
                sequence: u64::MAX,
                ..control::Event::default()
            }],
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&value(&message).unwrap()).unwrap());
    }

    #[test]
    fn every_shown_message_is_in_the_message_files() {
        assert!(value(&control::Plan::default()).is_ok());
        assert!(value(&control::Release::default()).is_ok());
        assert!(value(&control::Playbook::default()).is_ok());
        assert!(value(&control::Explanation::default()).is_ok());
        assert!(value(&control::Report::default()).is_ok());
        assert!(value(&control::Host::default()).is_ok());
        assert!(value(&control::JoinToken::default()).is_ok());
        assert!(value(&control::Drift::default()).is_ok());
        assert!(value(&control::HostFinding::default()).is_ok());
        assert!(value(&control::HostProcess::default()).is_ok());
        assert!(value(&control::HostRelease::default()).is_ok());
    }
}
