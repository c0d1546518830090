//! Load balancers by the names that playbooks use. One name may stand for several HAProxy processes that serve the same
//! hosts (a pair, one a site): each is told, and a step is done when all of them agree. Deliberately no order of phases
//! and no retries: that is the runner's.

mod haproxy;

use std::{collections::BTreeMap, fmt, time::Duration};

use echelon_playbooks::model::{Balance, BalancerVerb};
use tokio::time;

use crate::config::BalancerConfig;

pub use haproxy::{Address, Haproxy, Server, Trouble};

/// Between two looks at how a server stands.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// All that the coordinator's config names.
#[derive(Debug, Clone, Default)]
pub struct Balancers(BTreeMap<String, Vec<Haproxy>>);

/// A step that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name is not in the coordinator's config.
    #[error("no load balancer {name} is known here: there {known}; add [[balancers]] to the coordinator's config")]
    Unknown {
        /// The name.
        name: String,
        /// `are edge, inner`
        known: String,
    },
    /// One of its processes refuses, or cannot be reached.
    #[error("load balancer {name} at {address}: {trouble}")]
    Haproxy {
        /// The balancer's name.
        name: String,
        /// Which of its processes.
        address: Address,
        /// What it said.
        trouble: Trouble,
    },
}

impl Error {
    /// Whether it may go better another time.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unknown { .. } => false,
            Self::Haproxy { trouble, .. } => trouble.is_passing(),
        }
    }
}

/// What is still waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting(String);

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Balancers {
    /// Those of the config. Nothing is connected yet.
    #[must_use]
    pub fn new(configs: &[BalancerConfig]) -> Self {
        let all = configs.iter().map(|config| {
            let processes = config.haproxy.iter().cloned().map(Haproxy::new);
            (config.name.clone(), processes.collect())
        });
        Self(all.collect())
    }

    /// Does a step to its end. What it waits for meanwhile is told to `heard`, which is kept by whoever ends it for
    /// taking too long.
    ///
    /// # Errors
    /// The name is not known, or one of the balancer's processes refuses or cannot be reached. All of it can be done again.
    pub async fn carry_out(&self, step: &Balance<String>, heard: impl Fn(Waiting)) -> Result<(), Error> {
        let processes = self.0.get(&step.balancer).ok_or_else(|| self.unknown(&step.balancer))?;
        for process in processes {
            let told = match step.verb {
                BalancerVerb::Drain => process.drain(&step.backend, &step.server).await,
                BalancerVerb::Admit => process.ready(&step.backend, &step.server).await,
                BalancerVerb::AwaitSessions { .. } => Ok(()),
            };
            told.map_err(|trouble| haproxy_error(step, process, trouble))?;
        }
        for process in processes {
            while let Some(waiting) = self.look(step, process).await? {
                heard(waiting);
                time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// What this process keeps the step waiting for.
    async fn look(&self, step: &Balance<String>, process: &Haproxy) -> Result<Option<Waiting>, Error> {
        let server = process
            .server(&step.backend, &step.server)
            .await
            .map_err(|trouble| haproxy_error(step, process, trouble))?;
        let name = format!("{}/{} at {}", step.backend, step.server, process.address());
        Ok(match step.verb {
            BalancerVerb::Drain => None,
            BalancerVerb::AwaitSessions { max } if server.sessions > u64::from(max) => Some(Waiting(format!(
                "{name} has {} sessions, awaited are {max}",
                server.sessions
            ))),
            BalancerVerb::AwaitSessions { .. } => None,
            BalancerVerb::Admit if server.is_up() => None,
            BalancerVerb::Admit => Some(Waiting(format!("{name} is {}, awaited is UP", server.status))),
        })
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<_> = self.0.keys().map(String::as_str).collect();
        Error::Unknown {
            name: name.to_owned(),
            known: match known.is_empty() {
                true => "is none".to_owned(),
                false => format!("are {}", known.join(", ")),
            },
        }
    }
}

fn haproxy_error(step: &Balance<String>, process: &Haproxy, trouble: Trouble) -> Error {
    Error::Haproxy {
        name: step.balancer.clone(),
        address: process.address().clone(),
        trouble,
    }
}
