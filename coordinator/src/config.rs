//! The coordinator's config file (TOML), and the flags that go over it. Every key has a default, so that a file is
//! needed only for what differs:
//!
//! ```toml
//! data = "/var/lib/echelon/coordinator"  # journal, certificates, output
//! listen_agents = "0.0.0.0:7443"
//! listen_people = "0.0.0.0:7444"
//! heartbeat_ms = 10000                   # each side says something in this time
//! unreachable_after = "30s"              # a host silent for so long is unreachable; at least two heartbeats
//! snapshot_every = 10000                 # journal entries between two snapshots
//! keep_entries = 100000                  # newest journal entries that stay readable as history
//! output_bytes_max = 4294967296          # output of phases; beyond it the oldest rollouts' goes
//!
//! [[webhooks]]
//! url = "https://chat.example/hook"
//! events = ["rollout_held", "rollout_ended"]  # also rollout_started, approval_needed, rollback_began; left out: all
//!
//! [[balancers]]
//! name = "edge"                          # as playbooks call it
//! haproxy = ["unix:/run/haproxy/admin.sock", "10.0.0.5:9999"]  # runtime APIs, `level admin`; each is told
//!
//! [[sources]]
//! name = "prometheus"                    # as canary gates call it; `agents` is what agents measure, and always there
//! kind = "prometheus"                    # or "graphite"
//! url = "http://10.0.0.7:9090"
//! ```

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use echelon_engine::notice::{Occasion, UnknownOccasion};
use echelon_proto::{SourceName, Span};
use reqwest::Url;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{balancer::Address, source::is_taken};

/// A config that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the config file {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("config file {}: {source}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Line, column, what is wrong and what would be right.
        source: Box<toml::de::Error>,
    },
    /// A value that makes no sense.
    #[error("config: {key} is {value}: {mend}")]
    Value {
        /// Which key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        mend: &'static str,
    },
}

/// Whom to tell of what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to post.
    #[serde(deserialize_with = "parsed")]
    pub url: Url,
    /// On what occasions; empty: all.
    #[serde(default)]
    pub events: Vec<Occasion>,
}

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalancerConfig {
    /// As playbooks call it.
    pub name: String,
    /// The runtime APIs of all processes that stand for it, at least one.
    pub haproxy: Vec<Address>,
}

/// A server of metrics.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// As canary gates call it.
    #[serde(deserialize_with = "parsed")]
    pub name: SourceName,
    /// What it speaks.
    pub kind: SourceKind,
    /// Where; below its path the API begins.
    #[serde(deserialize_with = "parsed")]
    pub url: Url,
}

/// What a server of metrics speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Range queries of Prometheus.
    Prometheus,
    /// Graphite's render API.
    Graphite,
}

/// The whole config.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of journal, certificates and output.
    pub data: PathBuf,
    /// Where agents connect.
    pub listen_agents: SocketAddr,
    /// Where people and CI connect.
    pub listen_people: SocketAddr,
    /// Whom to tell.
    pub webhooks: Vec<WebhookConfig>,
    /// Where hosts are taken out of service and put back.
    pub balancers: Vec<BalancerConfig>,
    /// Where canary gates get their samples.
    pub sources: Vec<SourceConfig>,
    /// Each side of a session says something at least this often.
    pub heartbeat_ms: u32,
    /// A host that was silent for so long is unreachable.
    #[serde(deserialize_with = "parsed")]
    pub unreachable_after: Span,
    /// Journal entries between two snapshots.
    pub snapshot_every: u64,
    /// Newest journal entries that a trim leaves, for history.
    pub keep_entries: u64,
    /// Bound of all output of phases.
    pub output_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: DATA.into(),
            listen_agents: SocketAddr::from(([0, 0, 0, 0], 7443)),
            listen_people: SocketAddr::from(([0, 0, 0, 0], 7444)),
            webhooks: Vec::new(),
            balancers: Vec::new(),
            sources: Vec::new(),
            heartbeat_ms: 10_000,
            unreachable_after: Span::secs(30),
            snapshot_every: 10_000,
            keep_entries: 100_000,
            output_bytes_max: 4 * 1024 * 1024 * 1024,
        }
    }
}

/// The default data folder.
pub const DATA: &str = "/var/lib/echelon/coordinator";

/// Flags of `serve`, one for each key; what is given goes over the file.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// Config file (TOML); without it the defaults and the other flags are all there is
    #[arg(long, value_name = "FILE", env = "ECHELON_COORDINATOR_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of journal, certificates and output
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Where agents connect
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen_agents: Option<SocketAddr>,
    /// Where people and CI connect
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen_people: Option<SocketAddr>,
    /// Whom to tell, instead of those in the file: URL, or EVENT,EVENT=URL
    #[arg(long = "webhook", value_name = "[EVENT,..=]URL")]
    pub webhooks: Vec<WebhookConfig>,
    /// Each side of a session says something at least this often
    #[arg(long, value_name = "MILLISECONDS")]
    pub heartbeat_ms: Option<u32>,
    /// A host that was silent for so long is unreachable: 30s, 1m
    #[arg(long, value_name = "TIME")]
    pub unreachable_after: Option<Span>,
    /// Journal entries between two snapshots
    #[arg(long, value_name = "ENTRIES")]
    pub snapshot_every: Option<u64>,
    /// Newest journal entries that stay readable as history
    #[arg(long, value_name = "ENTRIES")]
    pub keep_entries: Option<u64>,
    /// Bound of all output of phases
    #[arg(long, value_name = "BYTES")]
    pub output_bytes_max: Option<u64>,
}

impl Config {
    /// The defaults, the file over them where one is named, the flags over both; checked.
    ///
    /// # Errors
    /// Any [`Error`], with what to mend.
    pub fn load(flags: &Flags) -> Result<Self, Error> {
        let mut config = match &flags.config {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        config.lay_over(flags);
        config.check()?;
        Ok(config)
    }

    /// Folder of the journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.data.join("journal")
    }

    /// Folder of the certificate authority.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        pki(&self.data)
    }

    /// Folder of the phases' output.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.data.join("output")
    }

    /// Folder of what canary gates were decided by.
    #[must_use]
    pub fn decisions(&self) -> PathBuf {
        self.data.join("decisions")
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text).map_err(|source| Error::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    fn lay_over(&mut self, flags: &Flags) {
        fn over<T: Clone>(value: &mut T, flag: Option<&T>) {
            if let Some(flag) = flag {
                value.clone_from(flag);
            }
        }
        over(&mut self.data, flags.data.as_ref());
        over(&mut self.listen_agents, flags.listen_agents.as_ref());
        over(&mut self.listen_people, flags.listen_people.as_ref());
        over(
            &mut self.webhooks,
            Some(&flags.webhooks).filter(|given| !given.is_empty()),
        );
        over(&mut self.heartbeat_ms, flags.heartbeat_ms.as_ref());
        over(&mut self.unreachable_after, flags.unreachable_after.as_ref());
        over(&mut self.snapshot_every, flags.snapshot_every.as_ref());
        over(&mut self.keep_entries, flags.keep_entries.as_ref());
        over(&mut self.output_bytes_max, flags.output_bytes_max.as_ref());
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |key, value: &dyn ToString, mend| {
            Err(Error::Value {
                key,
                value: value.to_string(),
                mend,
            })
        };
        if !(100..=600_000).contains(&self.heartbeat_ms) {
            return wrong("heartbeat_ms", &self.heartbeat_ms, "make it 100 to 600000");
        }
        if self.unreachable_after.0 < 2 * u64::from(self.heartbeat_ms) {
            let mend = "make it at least two heartbeats, or one late heartbeat is an unreachable host";
            return wrong("unreachable_after", &self.unreachable_after, mend);
        }
        if self.snapshot_every == 0 {
            return wrong("snapshot_every", &0, "make it 1 or more");
        }
        if self.output_bytes_max < 1 << 20 {
            return wrong("output_bytes_max", &self.output_bytes_max, "make it at least 1048576");
        }
        if self.listen_agents == self.listen_people && self.listen_agents.port() != 0 {
            return wrong(
                "listen_people",
                &self.listen_people,
                "agents are there already; take another port",
            );
        }
        for (at, balancer) in self.balancers.iter().enumerate() {
            if self.balancers[..at].iter().any(|other| other.name == balancer.name) {
                return wrong(
                    "balancers.name",
                    &balancer.name,
                    "it is there twice; list all its addresses in one",
                );
            }
            if balancer.haproxy.is_empty() {
                return wrong("balancers.haproxy", &"empty", "name at least one runtime API");
            }
        }
        for (at, source) in self.sources.iter().enumerate() {
            if self.sources[..at].iter().any(|other| other.name == source.name) {
                return wrong(
                    "sources.name",
                    &source.name,
                    "it is there twice; call one of them otherwise",
                );
            }
            if is_taken(&source.name) {
                let mend = "that is what agents measure, which is always there; call it otherwise";
                return wrong("sources.name", &source.name, mend);
            }
            if !matches!(source.url.scheme(), "http" | "https") {
                return wrong("sources.url", &source.url.scheme(), "make it an http or https URL");
            }
        }
        for webhook in &self.webhooks {
            if !matches!(webhook.url.scheme(), "http" | "https") {
                return wrong("webhooks.url", &webhook.url, "make it an http or https URL");
            }
        }
        Ok(())
    }
}

/// Folder of the certificate authority in this data folder.
#[must_use]
pub fn pki(data: &Path) -> PathBuf {
    data.join("pki")
}

impl FromStr for WebhookConfig {
    type Err = String;

    /// `URL`, or `EVENT,EVENT=URL`. Kinds of events hold no colon and a URL does, so the first `=` is told apart.
    fn from_str(text: &str) -> Result<Self, String> {
        let (events, url) = match text.split_once('=') {
            Some((events, url)) if !events.contains(':') => (events, url),
            _ => ("", text),
        };
        Ok(Self {
            url: url.parse().map_err(|error| format!("{url:?} is no URL ({error})"))?,
            events: events
                .split(',')
                .filter(|event| !event.is_empty())
                .map(|event| event.parse().map_err(|error: UnknownOccasion| error.to_string()))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests;
