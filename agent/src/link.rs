//! The agent's one stream to its coordinator, and the loop around it: dial, attach, talk, and dial again when it is dead.
//! Attempts run beside the session, not in it, so they go on whatever becomes of the stream. Wire types stay in this
//! folder. Deliberately no decisions about orders: `machine` makes them.

mod asks;
mod backoff;
mod dial;
mod enroll;
mod output;
mod samples;
mod session;
mod wire;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use echelon_failpoint as failpoint;
use echelon_proto::{Fence, HostId, Label, Time};
use futures::FutureExt as _;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use self::backoff::Backoff;
pub use self::{
    dial::{Coordinator, Error, Network, Socket, dial},
    enroll::{EnrolError, join, ping, renew},
    wire::{order_in, report},
};
use crate::{
    executor::{Executor, Work},
    facts::Facts,
    ledger::Store,
    machine::{Effect, Input, Machine},
    order::{Outcome, PhaseResult, Report},
};

/// How often what was measured is told: often enough for a judge that looks over minutes, and some 20 bytes a second.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(15);

/// How often a ledger that could not be saved is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

/// What an agent is and whom it talks to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This host; the certificate says the same.
    pub host: HostId,
    /// Of this agent; told in each Hello.
    pub version: String,
    /// Where the coordinator is.
    pub coordinator: Coordinator,
    /// With this host's certificate. A new value (a renewed certificate) makes a new session; [`fixed`] for none ever.
    pub tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    /// Told in each Hello.
    pub labels: BTreeMap<Label, String>,
    /// Told in each Hello.
    pub facts: Arc<Facts>,
    /// How often what was measured is told. [`SAMPLE_EVERY`], but for tests.
    pub sample_every: Duration,
}

/// A TLS configuration that never changes.
#[must_use]
pub fn fixed(tls: Arc<rustls::ClientConfig>) -> watch::Receiver<Arc<rustls::ClientConfig>> {
    watch::channel(tls).1
}

/// Runs an agent until `stop`. Attempts under way are then left to whoever runs them (the host's executor has them under
/// supervisors that outlive the agent).
pub async fn run<E: Executor>(settings: Settings, store: Store, executor: Arc<E>, stop: CancellationToken) {
    let machine = load(&settings.host, &store);
    let mut agent = Agent {
        settings,
        store,
        executor,
        machine,
        attempts: JoinSet::new(),
        save_again: Instant::now(),
    };
    agent.settle().await;
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        let tls = agent.settings.tls.borrow_and_update().clone();
        let coordinator = agent.settings.coordinator.clone();
        match agent.meanwhile(&stop, dial(&coordinator, tls)).await {
            None => return,
            Some(Err(error)) => backoff.failed(&agent.settings.host, &error),
            Some(Ok(channel)) => {
                let ended = session::run(&mut agent, channel, &stop).await;
                backoff.ended(&agent.settings.host, &ended);
            }
        }
        if agent.meanwhile(&stop, time::sleep(backoff.pause())).await.is_none() {
            return;
        }
    }
}

fn load(host: &HostId, store: &Store) -> Machine {
    match store.load() {
        Ok(ledger) => Machine::new(host.clone(), ledger),
        Err(error) => {
            tracing::error!(%host, %error, "no orders are taken");
            Machine::closed(host.clone(), error.to_string())
        }
    }
}

/// This host's clock.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// What can move on a host without the coordinator.
enum Moved {
    Ended(Option<(Fence, Outcome)>),
    SaveAgain,
}

/// What outlives a session.
struct Agent<E> {
    settings: Settings,
    store: Store,
    executor: Arc<E>,
    machine: Machine,
    attempts: JoinSet<(Fence, Outcome)>,
    /// After a save that failed. A point in time, so that no traffic on the stream puts it off.
    save_again: Instant,
}

impl<E: Executor> Agent<E> {
    /// Waits for `future` and takes the ends of attempts meanwhile. None when told to stop.
    async fn meanwhile<T>(&mut self, stop: &CancellationToken, future: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(future);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                out = &mut future => return Some(out),
                // What is to be reported is in the machine until there is a session.
                moved = self.moved() => { self.take_moved(moved).await; }
            }
        }
    }

    /// Waits until something on the host moves. Cancel-safe: taking it is another step.
    async fn moved(&mut self) -> Moved {
        let unsaved = self.machine.is_unsaved();
        tokio::select! {
            Some(end) = self.attempts.join_next(), if !self.attempts.is_empty() => Moved::Ended(end.ok()),
            () = time::sleep_until(self.save_again), if unsaved => Moved::SaveAgain,
            else => std::future::pending().await,
        }
    }

    async fn take_moved(&mut self, moved: Moved) -> Vec<Report> {
        match moved {
            Moved::SaveAgain => self.settle().await,
            Moved::Ended(Some((fence, outcome))) => self.take(Input::Ended { fence, outcome }).await,
            // Aborted with the runtime.
            Moved::Ended(None) => Vec::new(),
        }
    }

    /// Takes one input to its end: the ledger durable, what is to be begun begun. Gives what is to be reported.
    async fn take(&mut self, input: Input) -> Vec<Report> {
        self.machine.on(input, now());
        self.settle().await
    }

    async fn settle(&mut self) -> Vec<Report> {
        if let Some(ledger) = self.machine.unsaved() {
            match self.store.save(ledger).await {
                Ok(()) => self.machine.saved(),
                Err(error) => {
                    tracing::error!(host = %self.settings.host, %error, "the ledger cannot be saved");
                    self.machine.not_saved(&error.to_string(), now());
                    self.save_again = Instant::now() + SAVE_AGAIN;
                }
            }
        }
        let mut reports = Vec::new();
        for effect in self.machine.effects() {
            match effect {
                Effect::Start(work) => self.start(work),
                Effect::Report(report) => {
                    failpoint::pass("report", "due");
                    reports.push(*report);
                }
            }
        }
        reports
    }

    fn start(&mut self, work: Work) {
        let executor = self.executor.clone();
        tracing::info!(fence = %work.order.fence, app = %work.order.app, resumed = work.resumed, "attempt begins");
        self.attempts.spawn(async move {
            let fence = work.order.fence.clone();
            let outcome = AssertUnwindSafe(executor.execute(work)).catch_unwind().await;
            // Only a bug comes here; the app must not be busy for ever because of it.
            let outcome = outcome.unwrap_or_else(|_| {
                let message = "the agent itself failed while it worked on this; its log says how".to_owned();
                Outcome::of(PhaseResult::Lost, message)
            });
            tracing::info!(%fence, result = %outcome.result, why = %outcome.message, "attempt ended");
            (fence, outcome)
        });
    }
}
