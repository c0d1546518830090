//! One attached session: Hello and what is owed, then orders in and reports out until one side is silent or the stream
//! breaks. It always reads on, so that the coordinator never has unread frames to hold; what is to be sent waits in an
//! outbox whose size is bounded by what fills it (reports: `machine::ATTEMPTS_MAX`; health: a bounded channel;
//! heartbeats: one).

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use echelon_failpoint as failpoint;
use echelon_proto::{
    limits::MESSAGE_BYTES_MAX,
    wire::link::{
        AgentMessage, CoordinatorMessage, Heartbeat, Prefetch, agent_message::Body, coordinator_message::Body as Said,
        link_client::LinkClient,
    },
};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{self, Instant},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    Agent,
    asks::Asks,
    dial, output,
    samples::{self, Latencies},
    wire,
};
use crate::{
    executor::Executor,
    machine::Input,
    order::{self, Probe, Watch},
};

/// Messages handed to HTTP/2 and not yet taken: enough to keep it busy, the rest waits in the outbox.
const OUTBOUND: usize = 16;
/// Answers of watches and prefetches, and samples, that wait: a full channel only delays the next question.
const ANSWERS: usize = 16;
/// Watches at once: a host has few apps, and each has few probes.
const WATCHES_MAX: usize = 64;
/// Artifacts that are prefetched at once, or wait for it: a host has few apps, and each has one next release.
const PREFETCHES_MAX: usize = 64;
/// From the Attach to the Welcome.
const WELCOME_WITHIN: Duration = Duration::from_secs(10);
/// Silent heartbeats after which the stream is dead.
const SILENT_BEATS: u32 = 3;

/// How a session ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The agent was told to stop.
    Stopped,
    /// There is a new certificate; attach with it at once.
    Renewed,
    /// The stream broke or fell silent.
    Lost {
        /// The coordinator had taken the session.
        welcomed: bool,
        /// In words.
        why: String,
    },
}

/// Runs one session to its end.
pub(super) async fn run<E: Executor>(agent: &mut Agent<E>, channel: Channel, stop: &CancellationToken) -> Ended {
    if agent.machine.is_closed() {
        agent.machine = super::load(&agent.settings.host, &agent.store);
        agent.settle().await;
    }
    let (tx, rx) = mpsc::channel(OUTBOUND);
    let mut client = LinkClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    // The Hello goes in before the call: a coordinator may answer the call only once it has it.
    let hello = wire::hello(&agent.settings, &agent.machine);
    let _ = tx.try_send(hello);
    let attach = time::timeout(WELCOME_WITHIN, client.attach(ReceiverStream::new(rx)));
    let inbound = match agent.meanwhile(stop, attach).await {
        None => return Ended::Stopped,
        Some(Ok(Ok(response))) => response.into_inner(),
        Some(Ok(Err(status))) => return lost(false, &status),
        Some(Err(_)) => return silent(false),
    };
    let (health_tx, health) = mpsc::channel(ANSWERS);
    let (asks, answers) = Asks::new();
    let mut session = Session {
        outbox: agent.machine.reports().iter().map(wire::report).collect(),
        beat: None,
        proven: false,
        heard: Instant::now(),
        spoke: Instant::now(),
        watches: HashMap::new(),
        prefetches: Vec::new(),
        tasks: JoinSet::new(),
        health_tx,
        latencies: Arc::default(),
        asks,
        answer: None,
        channel,
    };
    let ended = session.talk(agent, (tx, inbound), (health, answers), stop).await;
    // What ended while the session died is in the machine.
    agent.take(Input::Detached).await;
    ended
}

fn lost(welcomed: bool, status: &Status) -> Ended {
    Ended::Lost {
        welcomed,
        why: format!("{}: {}", status.code(), dial::innermost(status)),
    }
}

fn silent(welcomed: bool) -> Ended {
    Ended::Lost {
        welcomed,
        why: "the coordinator is silent".to_owned(),
    }
}

struct Session {
    outbox: VecDeque<AgentMessage>,
    /// The heartbeat of the Welcome. None: not welcomed yet.
    beat: Option<Duration>,
    /// Said to the executor: something came after the Welcome, and the ledger is read.
    proven: bool,
    heard: Instant,
    spoke: Instant,
    watches: HashMap<String, AbortHandle>,
    prefetches: Vec<(Prefetch, AbortHandle)>,
    /// Of this session only: watches, prefetches and output. They end with it.
    tasks: JoinSet<()>,
    health_tx: mpsc::Sender<AgentMessage>,
    latencies: Arc<Latencies>,
    asks: Asks,
    /// An answer to a person: it goes when nothing else is to go, and when nothing is on its way to HTTP/2 that a report
    /// would have to wait for.
    answer: Option<AgentMessage>,
    channel: Channel,
}

impl Session {
    async fn talk<E: Executor>(
        &mut self,
        agent: &mut Agent<E>,
        (tx, mut inbound): (mpsc::Sender<AgentMessage>, Streaming<CoordinatorMessage>),
        (mut health, mut answers): (mpsc::Receiver<AgentMessage>, mpsc::Receiver<AgentMessage>),
        stop: &CancellationToken,
    ) -> Ended {
        let mut tls = agent.settings.tls.clone();
        loop {
            let (speak, dead) = self.deadlines();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ended::Stopped,
                permit = tx.reserve(), if !self.outbox.is_empty() => {
                    let (Ok(permit), Some(message)) = (permit, self.outbox.pop_front()) else {
                        return self.broken("the stream is closed");
                    };
                    permit.send(message);
                    failpoint::pass("message", "sent");
                    self.spoke = Instant::now();
                }
                said = inbound.message() => match said {
                    Ok(Some(message)) => self.hear(agent, message).await,
                    Ok(None) => return self.broken("the coordinator ended the session"),
                    Err(status) => return lost(self.beat.is_some(), &status),
                },
                moved = agent.moved() => {
                    let reports = agent.take_moved(moved).await;
                    self.outbox.extend(reports.iter().map(wire::report));
                }
                Some(message) = health.recv() => self.outbox.push_back(message),
                () = changed(&mut tls) => return Ended::Renewed,
                Some(message) = answers.recv(), if self.answer.is_none() => self.answer = Some(message),
                // All places: nothing is before it.
                Ok(mut places) = tx.reserve_many(OUTBOUND), if self.answer.is_some() && self.outbox.is_empty() => {
                    if let (Some(place), Some(answer)) = (places.next(), self.answer.take()) {
                        place.send(answer);
                        self.spoke = Instant::now();
                    }
                }
                // Before speaking: a coordinator that never welcomes must not be spoken to for ever.
                () = time::sleep_until(dead) => return silent(self.beat.is_some()),
                () = time::sleep_until(speak), if self.outbox.is_empty() => {
                    self.outbox.push_back(wire::message(Body::Heartbeat(Heartbeat {})));
                }
            }
        }
    }

    fn broken(&self, why: &str) -> Ended {
        Ended::Lost {
            welcomed: self.beat.is_some(),
            why: why.to_owned(),
        }
    }

    /// When this side must speak next, and when the other is dead.
    fn deadlines(&self) -> (Instant, Instant) {
        match self.beat {
            // Three quarters, so that a message in time also arrives in time.
            Some(beat) => (self.spoke + beat * 3 / 4, self.heard + beat * SILENT_BEATS),
            None => (self.heard + WELCOME_WITHIN, self.heard + WELCOME_WITHIN),
        }
    }

    async fn hear<E: Executor>(&mut self, agent: &mut Agent<E>, message: CoordinatorMessage) {
        if self.beat.is_some() {
            self.heard = Instant::now();
            if !self.proven && !agent.machine.is_closed() {
                self.proven = true;
                agent.executor.proven();
            }
        }
        let input = match message.body {
            Some(Said::Welcome(welcome)) => {
                self.welcome(agent, welcome.heartbeat_ms);
                Input::Term(welcome.term)
            }
            Some(Said::Ack(ack)) => {
                failpoint::pass("acknowledgement", "heard");
                Input::Acked(ack.sequence)
            }
            Some(Said::Order(order)) => match wire::order_in(order) {
                Ok(input) => input,
                Err(why) => return tracing::error!(why, "an order without a fence or an app is dropped"),
            },
            Some(Said::Watch(watch)) => return self.watch(agent, watch),
            Some(Said::Unwatch(unwatch)) => {
                if let Some(task) = self.watches.remove(&unwatch.watch) {
                    task.abort();
                }
                return;
            }
            Some(Said::Prefetch(prefetch)) => return self.prefetch(agent, prefetch),
            Some(Said::Ask(ask)) => {
                while self.tasks.try_join_next().is_some() {}
                self.outbox
                    .extend(self.asks.hear(&agent.executor, ask, &mut self.tasks));
                return;
            }
            // A kind that a newer coordinator knows and this agent does not.
            Some(Said::Heartbeat(_)) | None => return,
        };
        let reports = agent.take(input).await;
        self.outbox.extend(reports.iter().map(wire::report));
    }

    fn welcome<E: Executor>(&mut self, agent: &Agent<E>, heartbeat_ms: u32) {
        let first = self.beat.is_none();
        // Bounds so that no coordinator makes an agent spin or sleep for ever.
        self.beat = Some(Duration::from_millis(u64::from(heartbeat_ms.clamp(100, 300_000))));
        self.heard = Instant::now();
        if !first {
            return;
        }
        tracing::info!(host = %agent.settings.host, coordinator = %agent.settings.coordinator, "attached");
        if let Some(outputs) = agent.executor.outputs() {
            self.tasks.spawn(output::send(self.channel.clone(), outputs));
        }
        let (executor, latencies) = (agent.executor.clone(), self.latencies.clone());
        let every = agent.settings.sample_every;
        self.tasks
            .spawn(samples::send(executor, latencies, every, self.health_tx.clone()));
    }

    fn watch<E: Executor>(&mut self, agent: &Agent<E>, watch: echelon_proto::wire::link::Watch) {
        // Ended watches leave their result behind.
        while self.tasks.try_join_next().is_some() {}
        let name = watch.watch.clone();
        if let Some(old) = self.watches.remove(&name) {
            old.abort();
        }
        let watch = match wire::watch_in(watch) {
            Ok(watch) if self.watches.len() < WATCHES_MAX => watch,
            Ok(_) => return self.unwatchable(name, format!("this host watches {WATCHES_MAX} probes already")),
            Err(why) => return self.unwatchable(name, format!("the probe cannot be read: {why}")),
        };
        let task = self.tasks.spawn(observe(
            agent.executor.clone(),
            watch,
            self.latencies.clone(),
            self.health_tx.clone(),
        ));
        self.watches.insert(name, task);
    }

    fn prefetch<E: Executor>(&mut self, agent: &Agent<E>, asked: Prefetch) {
        while self.tasks.try_join_next().is_some() {}
        self.prefetches.retain(|(_, task)| !task.is_finished());
        if self.prefetches.iter().any(|(under_way, _)| *under_way == asked) {
            return;
        }
        let wanted = if self.prefetches.len() < PREFETCHES_MAX {
            wire::prefetch_in(asked.clone())
        } else {
            Err(format!("this host prefetches {PREFETCHES_MAX} artifacts already"))
        };
        match wanted {
            Ok(wanted) => {
                let work = prefetch(agent.executor.clone(), wanted, asked.clone(), self.health_tx.clone());
                self.prefetches.push((asked, self.tasks.spawn(work)));
            }
            Err(why) => self.outbox.push_back(wire::prefetched(asked, Err(why))),
        }
    }

    fn unwatchable(&mut self, watch: String, message: String) {
        let probe = Probe {
            healthy: false,
            message,
        };
        self.outbox.push_back(wire::health(watch, probe));
    }
}

/// Asks over and over; tells the first answer and each change.
async fn observe<E: Executor>(
    executor: Arc<E>,
    watch: Watch,
    latencies: Arc<Latencies>,
    health: mpsc::Sender<AgentMessage>,
) {
    let mut told = None;
    let mut failures = 0_u32;
    let mut ticks = time::interval(watch.every.duration());
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = Instant::now();
        let probe = executor.probe(&watch.probe).await;
        latencies.took(&watch.name, asked.elapsed());
        failures = if probe.healthy { 0 } else { failures.saturating_add(1) };
        // One slow answer is no outage: unhealthy is said only after several.
        if told == Some(probe.healthy) || (!probe.healthy && failures < watch.unhealthy_after) {
            continue;
        }
        told = Some(probe.healthy);
        if health.send(wire::health(watch.name.clone(), probe)).await.is_err() {
            return;
        }
    }
}

/// Once, and tells.
async fn prefetch<E: Executor>(
    executor: Arc<E>,
    wanted: order::Prefetch,
    asked: Prefetch,
    answers: mpsc::Sender<AgentMessage>,
) {
    let outcome = executor.prefetch(&wanted).await;
    // Nobody hears it when the session is over, and then it is asked again.
    let _ = answers.send(wire::prefetched(asked, outcome)).await;
}

async fn changed<T>(rx: &mut watch::Receiver<T>) {
    if rx.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
