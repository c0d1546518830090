//! What a phase, a verify or a probe does: exactly one of these.

use std::collections::BTreeMap;

use echelon_condition::Condition;
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
    /// Asked over and over until a condition over the answer holds.
    Poll(Poll<T>),
    /// A file of the host.
    File(FileSpec<T>),
    /// The host's place behind a load balancer: of phases that the coordinator runs.
    Balancer(Balance<T>),
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
    /// What it may use.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// Secrets of the host by the names of the files in which the program finds them, in `$CREDENTIALS_DIRECTORY`.
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

/// What a program may use. `None`: as the agent may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// In percent of one core: 150 is one and a half.
    pub cpu_percent: Option<u32>,
    /// In bytes.
    pub memory_bytes: Option<u64>,
    /// Files and sockets open at once.
    pub open_files: Option<u64>,
}

impl Limits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A question asked over and over until a condition over its answer holds, or the time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll<T = Template> {
    /// What is asked: http, tcp or run.
    pub ask: Box<Action<T>>,
    /// Between two.
    pub every: Span,
    /// Over the answer.
    pub until: Condition,
}

/// A file written whole, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSpec<T = Template> {
    /// Where: absolute, or from the app's folder.
    pub path: T,
    /// What is in it.
    pub content: Content<T>,
    /// Permission bits, 0o644 for example.
    pub mode: u32,
    /// `None`: the agent's own.
    pub owner: Option<String>,
    /// `None`: the owner's.
    pub group: Option<String>,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content<T = Template> {
    /// This text.
    Text(T),
    /// The text of another file of the host, its `${{ }}` replaced there: absolute, or from the app's folder.
    Template(T),
}

/// A server of a load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance<T = Template> {
    /// What to do with it.
    pub verb: BalancerVerb,
    /// Which load balancer, by its name in the coordinator's configuration.
    pub balancer: T,
    /// HAProxy's backend.
    pub backend: T,
    /// HAProxy's server in it.
    pub server: T,
}

/// What to do with a server of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BalancerVerb {
    /// No new sessions.
    Drain,
    /// Wait until so few sessions are left.
    AwaitSessions {
        /// At most so many.
        max: u32,
    },
    /// New sessions again, and wait until the balancer calls it up.
    Admit,
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
            Self::Poll(poll) => Action::Poll(Poll {
                ask: Box::new(poll.ask.render(scope)?),
                every: poll.every,
                until: poll.until.clone(),
            }),
            Self::File(file) => Action::File(file.render(scope)?),
            Self::Balancer(place) => Action::Balancer(Balance {
                verb: place.verb,
                balancer: place.balancer.render(scope)?,
                backend: place.backend.render(scope)?,
                server: place.server.render(scope)?,
            }),
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
            limits: self.limits,
            secrets: self.secrets.clone(),
        })
    }
}

impl FileSpec {
    fn render(&self, scope: &Scope<'_>) -> Result<FileSpec<String>, Missing> {
        Ok(FileSpec {
            path: self.path.render(scope)?,
            content: match &self.content {
                Content::Text(text) => Content::Text(text.render(scope)?),
                Content::Template(path) => Content::Template(path.render(scope)?),
            },
            mode: self.mode,
            owner: self.owner.clone(),
            group: self.group.clone(),
        })
    }
}
