//! Resource names as people type them: `r7` for `apps/-/rollouts/r7`. Whether there is such a thing only the coordinator
//! knows.

use std::str::FromStr;

use echelon_proto::RolloutId;

/// A rollout: `r7`, or its whole name `apps/checkout/rollouts/r7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RolloutName(String);

/// A text that names no rollout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no rollout: write r7 or apps/checkout/rollouts/r7; `echelon rollout list` shows them")]
pub(crate) struct Invalid(String);

impl RolloutName {
    /// The resource name.
    #[must_use]
    pub(crate) fn resource(&self) -> String {
        self.0.clone()
    }

    /// The short one, as in commands to type.
    #[must_use]
    pub(crate) fn id(&self) -> &str {
        id(&self.0)
    }
}

impl FromStr for RolloutName {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid(text.chars().take(80).collect());
        let parts: Vec<_> = text.split('/').collect();
        let (app, rollout) = match *parts {
            [rollout] => ("-", rollout),
            ["apps", app, "rollouts", rollout] => (app, rollout),
            _ => return Err(invalid()),
        };
        if app != "-" {
            app.parse::<echelon_proto::App>().map_err(|_| invalid())?;
        }
        RolloutId::new(rollout).map_err(|_| invalid())?;
        Ok(Self(format!("apps/{app}/rollouts/{rollout}")))
    }
}

/// The last part of a resource name.
#[must_use]
pub(crate) fn id(resource: &str) -> &str {
    resource.rsplit('/').next().unwrap_or(resource)
}

/// The resource name of a plan or playbook, given short or whole.
#[must_use]
pub(crate) fn within(collection: &str, text: &str) -> String {
    if text.contains('/') {
        text.into()
    } else {
        format!("{collection}/{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_is_named_short_or_whole() {
        let name: RolloutName = "r7".parse().unwrap();
        assert_eq!((name.resource().as_str(), name.id()), ("apps/-/rollouts/r7", "r7"));
        let name: RolloutName = "apps/web/rollouts/r7".parse().unwrap();
        assert_eq!(name.resource(), "apps/web/rollouts/r7");
        for bad in [
            "",
            "r 7",
            "rollouts/r7",
            "apps//rollouts/r7",
            "apps/web/releases/1",
            "r7/",
        ] {
            assert!(bad.parse::<RolloutName>().is_err(), "{bad:?}");
        }
    }
}
