//! What a person may do, as far as a role alone decides it. That an approver is not the one who started is the
//! engine's to know.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A person's role. Viewer is in all others; deployer and approver do not hold each other; admin holds all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads and plans.
    Viewer,
    /// Creates releases, starts and steers rollouts.
    Deployer,
    /// Approves and rejects.
    Approver,
    /// Everything, and lets hosts join.
    Admin,
}

/// A text that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role: viewer, deployer, approver or admin")]
pub struct UnknownRole(String);

impl Role {
    /// May one with this role do what needs `needed`?
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        self == needed || self == Self::Admin || needed == Self::Viewer
    }

    /// As it is written in certificates and flags.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::Viewer, Self::Deployer, Self::Approver, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| UnknownRole(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{Role::*, *};

    #[test]
    fn each_role_allows_itself_viewing_and_nothing_of_the_others() {
        let table = [
            (Viewer, [true, false, false, false]),
            (Deployer, [true, true, false, false]),
            (Approver, [true, false, true, false]),
            (Admin, [true, true, true, true]),
        ];
        for (role, allowed) in table {
            assert_eq!(
                [Viewer, Deployer, Approver, Admin].map(|needed| role.allows(needed)),
                allowed,
                "{role}"
            );
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
        assert!("Admin".parse::<Role>().is_err());
    }
}
