//! Names of things, one type each, so that a host can never stand where a rollout is meant. A name is 1 to
//! [`NAME_CHARS_MAX`] characters of `A-Z a-z 0-9 . _ - +`, the first a letter or digit: safe in a path, a URL, a
//! label and a shell.

use std::{borrow::Borrow, fmt, marker::PhantomData, str::FromStr, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

use crate::limits::NAME_CHARS_MAX;

/// A text that is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not a name: 1 to 128 characters of A-Z a-z 0-9 . _ - +, the first a letter or digit")]
pub struct Invalid {
    /// Which kind of name was meant.
    pub what: &'static str,
    /// What was given, cut to 64 characters.
    pub text: String,
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+'))
}

/// Reads a name where it stands: journals are full of them, and none needs a text of its own on the way.
struct Reader<T>(PhantomData<T>);

impl<T: FromStr<Err = Invalid>> Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name, if the text is one.
            pub fn new(text: impl AsRef<str>) -> Result<Self, Invalid> {
                let text = text.as_ref();
                if is_name(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(Invalid { what: $what, text: text.chars().take(64).collect() })
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_str(Reader(PhantomData))
            }
        }
        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().into()
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// A piece of software that is rolled out.
    App = "app";
    /// One version of an app.
    ReleaseName = "release";
    /// One machine with an agent.
    HostId = "host";
    /// Where hosts stand; a rollout has one lane in each.
    Datacenter = "datacenter";
    /// Hosts that stand in for one another: capacity is counted per pool and datacenter.
    Pool = "pool";
    /// A label's key.
    Label = "label";
    /// A playbook, without its version.
    PlaybookName = "playbook";
    /// A state of a playbook's machine.
    StateName = "state";
    /// A phase or compensation of a playbook's machine.
    PhaseName = "phase";
    /// An operation of a playbook.
    OperationName = "operation";
    /// A wave of a playbook.
    WaveName = "wave";
    /// A parameter of a playbook.
    ParamName = "parameter";
    /// A gate of a playbook.
    GateName = "gate";
    /// What a canary gate compares.
    MetricName = "metric";
    /// Metrics of the classic judge that are weighed together.
    GroupName = "group";
    /// Where samples come from.
    SourceName = "source";
    /// A plan: its fingerprint, shortened.
    PlanId = "plan";
    /// A rollout: `r1`, `r2`, ...
    RolloutId = "rollout";
    /// What a client gives so that a create said twice is done once.
    RequestId = "request id";
    /// Who acts: the common name of a client certificate.
    Person = "person";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_bounds_and_a_safe_alphabet() {
        for good in ["a", "web-17.dc1", "1.10.0+build.7", "r7", &"x".repeat(128)] {
            assert_eq!(HostId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", ".hidden", "../up", "a/b", "a b", "ä", "a\n", &"x".repeat(129)] {
            assert!(HostId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_name_does_not_come_in_through_serde() {
        assert!(serde_json::from_str::<HostId>("\"../up\"").is_err());
        assert_eq!(serde_json::to_string(&HostId::new("h1").unwrap()).unwrap(), "\"h1\"");
    }
}
