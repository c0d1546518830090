//! Where samples come from: servers of metrics by the names that playbooks use, and what agents measured. Asked for one series a host over a window;
//! what the samples mean is the judge's to say.
//!
//! An answer is asked for once for all who want the same at the same time, and everything about it is bounded: time, tries,
//! bytes, series. A source that is down, slow, wrong or endless is an [`Error`] that says so, and never a sample.

mod agents;
mod bounds;
mod client;
mod graphite;
mod interval;
mod prometheus;
#[cfg(test)]
pub(crate) mod standin;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use echelon_proto::{Label, SourceName, Span, Time};
use tokio::sync::{OnceCell, Semaphore};

use crate::{
    config::{SourceConfig, SourceKind},
    samples,
};
pub use agents::{AGENTS, is_taken};
pub use client::Patience;
use graphite::Graphite;
pub use interval::Fold;
use prometheus::Prometheus;

/// Questions under way to one source. Its answers may have tens of megabytes each, and it has other readers.
const UNDER_WAY_MAX: usize = 3;
/// Answers kept for others who ask the same: more than the gates of a wave have questions. The one that was wanted the
/// longest ago goes.
const KEPT_MAX: usize = 32;
/// Samples in them: 64 MiB.
const KEPT_SAMPLES_MAX: usize = 4 << 20;

/// Each host's samples, by what the source calls the host; `None` where it had none. [`ALL`] stands for all hosts at once.
pub type Samples = BTreeMap<String, Vec<Option<f64>>>;

/// What a series is called that says of no host; no host is called so.
pub const ALL: &str = "";

/// No samples were had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration has no such source.
    #[error("there is no source `{name}` in the coordinator's configuration; there is {known}")]
    Unknown {
        /// As the playbook calls it.
        name: SourceName,
        /// All that there are, in words.
        known: String,
    },
    /// The client could not be made: a fault of ours.
    #[error("source: {0}")]
    Setup(String),
    /// Every try failed.
    #[error("source `{name}`: {tries} tries failed, the last: {last}")]
    GaveUp {
        /// Which.
        name: SourceName,
        /// How many.
        tries: u32,
        /// What the last one met.
        last: String,
    },
    /// It answered, and would answer so again.
    #[error("source `{name}`: {why}")]
    Answer {
        /// Which.
        name: SourceName,
        /// What is wrong.
        why: String,
    },
}

/// Times at which samples are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first.
    pub first: Time,
    /// Between two.
    pub step: Span,
    /// How many, at least one.
    pub count: usize,
}

impl Window {
    /// The last time.
    #[must_use]
    pub fn last(&self) -> Time {
        self.first + Span(self.step.0.saturating_mul(self.count.saturating_sub(1) as u64))
    }

    /// The place of a time in it.
    fn place(&self, at: Time) -> Option<usize> {
        let step = self.step.0.max(1);
        let after = at.0.checked_sub(self.first.0)?;
        let place = usize::try_from((after + step / 2) / step).ok()?;
        (place < self.count).then_some(place)
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whom.
    pub source: SourceName,
    /// In its own language.
    pub query: String,
    /// The label that says of which host a series is.
    pub label: Label,
    /// When.
    pub window: Window,
    /// What stands for an interval of which the source has several values.
    pub fold: Fold,
    /// Whether one series that says of no host may be the answer, as [`ALL`]: orders of the whole site, say.
    pub is_of_all: bool,
}

type Answer = Result<Arc<Samples>, Error>;

/// An answer, or its being waited for.
type Pending = Arc<OnceCell<Answer>>;

/// Every source.
#[derive(Debug)]
pub struct Sources {
    by_name: BTreeMap<SourceName, Source>,
    agents: Arc<samples::Samples>,
    kept: Mutex<Vec<(Question, Pending)>>,
}

#[derive(Debug)]
struct Source {
    server: Server,
    under_way: Semaphore,
}

#[derive(Debug)]
enum Server {
    Prometheus(Prometheus),
    Graphite(Graphite),
}

impl Server {
    async fn ask(&self, question: &Question) -> Result<Samples, Error> {
        match self {
            Self::Prometheus(server) => server.ask(question).await,
            Self::Graphite(server) => server.ask(question).await,
        }
    }
}

impl Sources {
    /// As they are configured, and what agents say, which is always there.
    ///
    /// # Errors
    /// [`Error::Setup`]
    pub fn new(configs: &[SourceConfig], patience: Patience, agents: Arc<samples::Samples>) -> Result<Self, Error> {
        let source = |config: &SourceConfig| {
            let (name, url) = (config.name.clone(), config.url.clone());
            let server = match config.kind {
                SourceKind::Prometheus => Server::Prometheus(Prometheus::new(name, url, patience)?),
                SourceKind::Graphite => Server::Graphite(Graphite::new(name, url, patience)?),
            };
            let under_way = Semaphore::new(UNDER_WAY_MAX);
            Ok((config.name.clone(), Source { server, under_way }))
        };
        Ok(Self {
            by_name: configs.iter().map(source).collect::<Result<_, _>>()?,
            agents,
            kept: Mutex::default(),
        })
    }

    /// Samples of every host that the source knows. Who asks the same while it is asked, or soon after, gets the same.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn ask(&self, question: &Question) -> Answer {
        let pending = self.pending(question);
        let answer = pending.get_or_init(|| self.fetch(question)).await.clone();
        if answer.is_err() {
            // It may be otherwise when it is asked again.
            self.lock().retain(|(_, kept)| !Arc::ptr_eq(kept, &pending));
        }
        answer
    }

    fn pending(&self, question: &Question) -> Pending {
        let mut kept = self.lock();
        let known = kept.iter().position(|(asked, _)| asked == question);
        let entry = match known {
            Some(place) => kept.remove(place),
            None => (question.clone(), Pending::default()),
        };
        while kept.len() >= KEPT_MAX || (!kept.is_empty() && kept.iter().map(samples).sum::<usize>() > KEPT_SAMPLES_MAX)
        {
            kept.remove(0);
        }
        let pending = entry.1.clone();
        kept.push(entry);
        pending
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Question, Pending)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, question: &Question) -> Answer {
        if is_taken(&question.source) {
            return agents::ask(&self.agents, question).map(Arc::new);
        }
        let Some(source) = self.by_name.get(&question.source) else {
            let mut known: Vec<_> = self.by_name.keys().map(ToString::to_string).collect();
            known.push(format!("`{AGENTS}`, which is what agents measure"));
            let (name, known) = (question.source.clone(), known.join(", "));
            return Err(Error::Unknown { name, known });
        };
        // Nobody closes it, so there is always a place in the end.
        let _place = source.under_way.acquire().await;
        let samples = source.server.ask(question).await?;
        if samples.len() > 1 && samples.contains_key(ALL) {
            let why = format!("a series says of no host, beside others that have `{}`", question.label);
            let name = question.source.clone();
            return Err(Error::Answer { name, why });
        }
        Ok(Arc::new(samples))
    }
}

/// In an answer that has come.
fn samples((question, pending): &(Question, Pending)) -> usize {
    let hosts = pending.get().and_then(|answer| Some(answer.as_ref().ok()?.len()));
    hosts.unwrap_or(0).saturating_mul(question.window.count)
}

#[cfg(test)]
mod tests;
