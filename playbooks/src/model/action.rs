//! What a phase, a verify or a probe does: exactly one of these.

use std::collections::BTreeMap;

use echelon_proto::Span;
use serde::{Deserialize, Serialize};

use crate::template::{Missing, Scope, Template};

/// What a phase, a verify or a probe does: in a playbook with templates, in an order with the text they stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action<T = Template> {
    /// A program of the user's own.
    Run(Run<T>),
    /// A request and what must come back.
    Http(HttpCheck<T>),
    /// A connection that must open.
    Tcp(TcpCheck<T>),
    /// A unit of the host's systemd.
    Systemd {
        /// `app.service`
        unit: T,
        /// What to do with it.
        verb: SystemdVerb,
    },
    /// The release's files on the host.
    Artifact {
        /// What to do with them.
        verb: ArtifactVerb,
        /// Of which release.
        release: WhichRelease,
        /// Releases kept besides the running and the previous one; `None`: the agent's default.
        keep: Option<u32>,
    },
}

/// A program: argv, never a shell string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run<T = Template> {
    /// Program and arguments, at least one.
    pub argv: Vec<T>,
    /// Beside the `ECHELON_...` variables that the agent sets.
    pub env: BTreeMap<String, T>,
    /// `None`: the app's folder on the host.
    pub cwd: Option<T>,
    /// `None`: the agent's own.
    pub user: Option<String>,
}

/// An HTTP request and what must come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCheck<T = Template> {
    /// http or https.
    pub url: T,
    /// The status that must come.
    pub status: u16,
    /// A text that must be in the body.
    pub contains: Option<T>,
    /// How often.
    pub repeat: Repeat,
    /// Of one request.
    pub request_timeout: Span,
}

/// A TCP connection that must open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpCheck<T = Template> {
    /// host:port
    pub address: T,
    /// How often.
    pub repeat: Repeat,
}

/// How often a check must hold, and how long between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// This many times in a row, at least 1.
    pub consecutive: u32,
    /// Between two.
    pub interval: Span,
}

/// What to do with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemdVerb {
    /// `systemctl start`
    Start,
    /// `systemctl stop`
    Stop,
    /// `systemctl restart`
    Restart,
    /// `systemctl reload`
    Reload,
    /// `systemctl enable`
    Enable,
    /// `systemctl disable`
    Disable,
    /// `systemctl is-active`: for verify.
    IsActive,
}

/// What to do with a release's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactVerb {
    /// Into the store, checked.
    Fetch,
    /// Fetch where needed, unpack, swap `current`.
    Install,
    /// Swap `current` to a release that is on the disk.
    Activate,
    /// Take all of the app away.
    Remove,
    /// Remove old releases.
    Prune,
}

/// Of which release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhichRelease {
    /// The one that the path leads to.
    Target,
    /// The one that stood on the host before the rollout.
    Previous,
}

impl Action {
    /// The action for one host.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Action<String>, Missing> {
        Ok(match self {
            Self::Run(run) => Action::Run(run.render(scope)?),
            Self::Http(check) => Action::Http(HttpCheck {
                url: check.url.render(scope)?,
                status: check.status,
                contains: check.contains.as_ref().map(|text| text.render(scope)).transpose()?,
                repeat: check.repeat,
                request_timeout: check.request_timeout,
            }),
            Self::Tcp(check) => Action::Tcp(TcpCheck {
                address: check.address.render(scope)?,
                repeat: check.repeat,
            }),
            Self::Systemd { unit, verb } => Action::Systemd {
                unit: unit.render(scope)?,
                verb: *verb,
            },
            Self::Artifact { verb, release, keep } => Action::Artifact {
                verb: *verb,
                release: *release,
                keep: *keep,
            },
        })
    }
}

impl Run {
    fn render(&self, scope: &Scope<'_>) -> Result<Run<String>, Missing> {
        let env = self
            .env
            .iter()
            .map(|(key, value)| Ok((key.clone(), value.render(scope)?)));
        Ok(Run {
            argv: self
                .argv
                .iter()
                .map(|word| word.render(scope))
                .collect::<Result<_, _>>()?,
            env: env.collect::<Result<_, _>>()?,
            cwd: self.cwd.as_ref().map(|path| path.render(scope)).transpose()?,
            user: self.user.clone(),
        })
    }
}
