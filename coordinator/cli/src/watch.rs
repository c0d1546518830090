//! A watch that outlives the coordinator: it comes back with growing pauses and goes on at the next sequence, until the
//! rollout has an outcome or patience ends. It shows nothing; `follow` does.

use std::time::Duration;

use echelon_proto::wire::control::{Rollout, WatchRolloutRequest, WatchRolloutResponse, control_client::ControlClient};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tonic::{Status, Streaming, transport::Channel};

use crate::{
    client::{is_unreachable, why_unreachable},
    error::Error,
    exit::Exit,
};

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// The coordinator ends the stream after the outcome; this much is waited for its last messages.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Messages not yet shown. A slow terminal then holds back the coordinator's sender, which merges what it has not sent.
const UPDATES_MAX: usize = 16;

/// What a watcher hears.
#[derive(Debug)]
pub(crate) enum Update {
    /// The rollout changed.
    Change(Box<WatchRolloutResponse>),
    /// The coordinator went away; said once each time.
    Lost(String),
    /// It is back.
    Back,
}

/// A running watch; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    updates: mpsc::Receiver<Result<Update, Error>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Watches from `sequence` on; gives up when the coordinator was away for as long as `patience`.
    #[must_use]
    pub(crate) fn start(client: ControlClient<Channel>, name: String, sequence: u64, patience: Duration) -> Self {
        let (sender, updates) = mpsc::channel(UPDATES_MAX);
        let watcher = Watcher {
            client,
            name,
            sequence,
            patience,
            sender,
        };
        Self {
            updates,
            task: tokio::spawn(watcher.run()),
        }
    }

    /// The next update; `None` after the outcome. May be dropped and asked again.
    pub(crate) async fn next(&mut self) -> Option<Result<Update, Error>> {
        self.updates.recv().await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Watcher {
    client: ControlClient<Channel>,
    name: String,
    sequence: u64,
    patience: Duration,
    sender: mpsc::Sender<Result<Update, Error>>,
}

/// How one stream ended.
enum End {
    Outcome,
    Broken(String),
    Refused(Status),
    /// Nobody listens any more.
    Alone,
}

impl Watcher {
    async fn run(mut self) {
        let mut outage = Outage::default();
        loop {
            match self.stream(&mut outage).await {
                End::Outcome | End::Alone => return,
                End::Refused(status) => {
                    let _ = self.sender.send(Err(status.into())).await;
                    return;
                }
                End::Broken(why) => {
                    if outage.lasted() >= self.patience {
                        let _ = self.sender.send(Err(self.gave_up(&why))).await;
                        return;
                    }
                    if outage.is_news() && self.sender.send(Ok(Update::Lost(why))).await.is_err() {
                        return;
                    }
                    sleep(outage.pause().min(self.patience)).await;
                }
            }
        }
    }

    async fn stream(&mut self, outage: &mut Outage) -> End {
        let request = WatchRolloutRequest {
            name: self.name.clone(),
            from_sequence: self.sequence,
        };
        let mut stream = match self.client.watch_rollout(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return ended(status),
        };
        loop {
            let message = match stream.message().await {
                Ok(Some(message)) => message,
                Ok(None) => return End::Broken("it ended the watch".into()),
                Err(status) => return ended(status),
            };
            if outage.over() && self.sender.send(Ok(Update::Back)).await.is_err() {
                return End::Alone;
            }
            let outcome = message.rollout.as_ref().and_then(Exit::of_rollout).is_some();
            if self.change(message).await.is_err() {
                return End::Alone;
            }
            if outcome {
                self.last_words(&mut stream).await;
                return End::Outcome;
            }
        }
    }

    async fn change(&mut self, message: WatchRolloutResponse) -> Result<(), Gone> {
        if let Some(last) = message.events.last() {
            self.sequence = self.sequence.max(last.sequence + 1);
        }
        let sent = self.sender.send(Ok(Update::Change(Box::new(message)))).await;
        sent.map_err(|_| Gone)
    }

    async fn last_words(&mut self, stream: &mut Streaming<WatchRolloutResponse>) {
        while let Ok(Ok(Some(message))) = timeout(LAST_WORDS, stream.message()).await {
            if self.change(message).await.is_err() {
                return;
            }
        }
    }

    fn gave_up(&self, why: &str) -> Error {
        let id = crate::name::id(&self.name);
        let secs = self.patience.as_secs();
        Error::new(
            Exit::Unreachable,
            format!("coordinator unreachable for {secs} s ({why}); the rollout goes on"),
        )
        .next(format!("echelon status {id} --watch"))
    }
}

/// The receiver was dropped.
struct Gone;

fn ended(status: Status) -> End {
    if is_unreachable(&status) {
        End::Broken(why_unreachable(&status))
    } else {
        End::Refused(status)
    }
}

/// The time in which nothing came.
#[derive(Default)]
struct Outage {
    since: Option<Instant>,
    attempts: u32,
    said: bool,
}

impl Outage {
    fn lasted(&mut self) -> Duration {
        self.since.get_or_insert_with(Instant::now).elapsed()
    }

    /// Not for the first break: a coordinator that only closed the stream is back at once.
    fn is_news(&mut self) -> bool {
        self.attempts > 0 && !std::mem::replace(&mut self.said, true)
    }

    fn pause(&mut self) -> Duration {
        let pause = PAUSE_MIN * 2_u32.saturating_pow(self.attempts.min(8));
        self.attempts += 1;
        pause.min(PAUSE_MAX)
    }

    /// Something came. Whether its lack had been said.
    fn over(&mut self) -> bool {
        std::mem::take(self).said
    }
}

/// Whether nothing more happens before a person acts: it awaits approval, it is held with something to answer, or each
/// lane either is through or stands at a gate where only an approval is missing.
#[must_use]
pub(crate) fn waits_for_person(rollout: &Rollout) -> bool {
    use echelon_proto::wire::control::{Lane, RolloutState};
    let only_approvals = |lane: &Lane| {
        let mut open = lane
            .waves
            .iter()
            .filter(|wave| wave.state == "gating")
            .flat_map(|wave| &wave.gates)
            .filter(|gate| gate.state == "waiting")
            .peekable();
        open.peek().is_some() && open.all(|gate| gate.kind == "approval")
    };
    let stands = |lane: &Lane| match lane.state.as_str() {
        "held" | "done" | "stopped" | "rolled back" => true,
        "gating" => only_approvals(lane),
        _ => false,
    };
    match rollout.state() {
        RolloutState::AwaitingApproval => true,
        RolloutState::Held => !rollout.waiting.is_empty(),
        RolloutState::Running => !rollout.waiting.is_empty() && rollout.lanes.iter().all(stands),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use echelon_proto::wire::control::{Gate, Lane, RolloutState, Wave};

    use super::*;

    fn lane(state: &str, gates: &[(&str, &str)]) -> Lane {
        let gates = gates.iter().map(|(kind, state)| Gate {
            kind: (*kind).into(),
            state: (*state).into(),
            ..Gate::default()
        });
        Lane {
            state: state.into(),
            waves: vec![Wave {
                state: state.into(),
                gates: gates.collect(),
                ..Wave::default()
            }],
            ..Lane::default()
        }
    }

    fn waits(state: RolloutState, waiting: bool, lanes: Vec<Lane>) -> bool {
        waits_for_person(&Rollout {
            state: state.into(),
            waiting: if waiting { vec!["approve: go".into()] } else { vec![] },
            lanes,
            ..Rollout::default()
        })
    }

    #[test]
    fn a_rollout_waits_for_a_person_only_when_nothing_else_moves() {
        let asks = || lane("gating", &[("health", "passed"), ("approval", "waiting")]);
        assert!(waits(RolloutState::AwaitingApproval, false, vec![]));
        assert!(waits(RolloutState::Held, true, vec![]));
        assert!(!waits(RolloutState::Held, false, vec![]));
        assert!(waits(RolloutState::Running, true, vec![asks(), lane("done", &[])]));
        assert!(!waits(RolloutState::Running, true, vec![asks(), lane("rolling", &[])]));
        let health = lane("gating", &[("health", "waiting"), ("approval", "waiting")]);
        assert!(!waits(RolloutState::Running, true, vec![asks(), health]));
        assert!(!waits(RolloutState::RollingBack, true, vec![asks()]));
    }

    #[test]
    fn an_outage_is_said_once_and_pauses_grow_to_a_bound() {
        let mut outage = Outage::default();
        assert!(!outage.is_news());
        let pauses: Vec<_> = (0..12).map(|_| outage.pause()).collect();
        assert_eq!(pauses[0], PAUSE_MIN);
        assert!(pauses.is_sorted());
        assert_eq!(pauses[11], PAUSE_MAX);
        assert!(outage.is_news());
        assert!(!outage.is_news());
        assert!(outage.over());
        assert!(!outage.over());
    }
}
