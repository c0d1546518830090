//! Which hosts could use the time in which their rollout waits? Those are asked to fetch its artifact into their store, so that
//! it is there when its time, its turn, its approval or its window comes.
//!
//! The rule: hosts that have not begun, of a rollout that is queued, that is scheduled for the next hour, or whose lane waits
//! for an approval, a window or another lane. In each datacenter so many at once and no more, because all of them ask the same
//! server over the same line. A host that attaches is asked again, because only it knows what its disk still has.
//!
//! Before an approval too: what nobody approved is only bytes in a store, whose sha256 is checked and of which nothing is
//! unpacked or run, and the wait for people is the time worth using. Not while a rollout is held: then something is wrong with
//! it, or somebody said stop.
//!
//! Nothing of this is durable and the engine knows nothing of it: no decision rests on it, an order fetches what is not there,
//! and a coordinator that starts again asks again, which an agent that has it answers at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use echelon_engine::{
    State,
    command::Artifact,
    rollout::{LaneStage, Rollout, Run, Status},
};
use echelon_playbooks::model::{Action, ArtifactVerb, GateKind, WhichRelease};
use echelon_proto::{App, Datacenter, Digest, HostId, ReleaseName, RolloutId, Span, Time};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::{
    driver::{Reader, wall},
    sessions::{Item, Sessions},
};

/// Before the time of a scheduled rollout. 500 hosts of a datacenter take an artifact of half a minute by turns in 25
/// minutes; and what lies in a store is taken away after a week.
const AHEAD: Span = Span::secs(3600);
/// Hosts of one datacenter that fetch ahead at once.
const AT_ONCE: usize = 10;
/// An answer that has not come by then does not come: the place is another's.
const ANSWER_WITHIN: Duration = Duration::from_secs(1800);
/// A host that could not fetch it is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(600);
/// Between two looks: a busy fleet changes a thousand times a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time goes on though nothing changes.
const LOOK_AT_LEAST: Duration = Duration::from_secs(30);

/// What a host is asked to fetch: a rollout after another may want the same.
type Key = (HostId, App, ReleaseName);

/// Asks hosts, and knows what they answered.
#[derive(Debug)]
pub struct Prefetch {
    sessions: Arc<Sessions>,
    /// No more than there are hosts that wait.
    asked: Mutex<BTreeMap<Key, Asked>>,
    wake: Notify,
}

/// What one host was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    /// In which session: another knows nothing of it.
    session: u64,
    sha256: Option<Digest>,
    at: Instant,
    answer: Option<Result<(), String>>,
}

/// One host that could fetch.
#[derive(Debug, Clone)]
struct Wanted {
    datacenter: Datacenter,
    artifact: Arc<Artifact>,
}

/// How far the hosts of one rollout are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// That wait.
    pub hosts: u32,
    /// That have it.
    pub ready: u32,
    /// That fetch it now.
    pub fetching: u32,
    /// That could not.
    pub failed: u32,
    /// That cannot be asked.
    pub unreachable: u32,
    /// One that could not, and why.
    pub why: Option<(HostId, String)>,
}

impl Prefetch {
    /// For these sessions.
    #[must_use]
    pub fn new(sessions: Arc<Sessions>) -> Arc<Self> {
        Arc::new(Self {
            sessions,
            asked: Mutex::default(),
            wake: Notify::new(),
        })
    }

    /// Looks who waits, for ever.
    pub async fn run(self: Arc<Self>, mut reader: Reader) {
        loop {
            let latest = reader.mark_latest();
            self.look(&latest.state, latest.at.max(wall()));
            tokio::select! {
                goes_on = reader.changed() => if !goes_on { return },
                () = self.wake.notified() => {}
                () = sleep(LOOK_AT_LEAST) => {}
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// An agent's answer.
    pub fn answered(&self, host: &HostId, session: u64, app: App, release: ReleaseName, answer: Result<(), String>) {
        if let Some(asked) = self.lock().get_mut(&(host.clone(), app, release))
            && asked.session == session
            && asked.answer.is_none()
        {
            if let Err(why) = &answer {
                tracing::info!(%host, why, "an artifact could not be fetched ahead");
            }
            asked.answer = Some(answer);
            asked.at = Instant::now();
        }
        self.wake.notify_one();
    }

    /// Asks whom it is worth asking now.
    fn look(&self, state: &State, now: Time) {
        let wanted: BTreeMap<Key, Wanted> = state.active().flat_map(|rollout| wanted(state, rollout, now)).collect();
        let mut asked = self.lock();
        asked.retain(|key, _| wanted.contains_key(key));
        let mut busy: BTreeMap<&Datacenter, usize> = BTreeMap::new();
        for (key, asked) in asked.iter_mut() {
            if asked.answer.is_none() && asked.at.elapsed() > ANSWER_WITHIN {
                asked.answer = Some(Err(format!("no answer within {} min", ANSWER_WITHIN.as_secs() / 60)));
                asked.at = Instant::now();
            }
            let here = self
                .sessions
                .of(&key.0)
                .is_some_and(|session| session.number() == asked.session);
            if asked.answer.is_none() && here {
                *busy.entry(&wanted[key].datacenter).or_default() += 1;
            }
        }
        for (key, wanted) in &wanted {
            let places = busy.entry(&wanted.datacenter).or_default();
            let Some(session) = self.sessions.of(&key.0) else {
                continue;
            };
            let is_due = asked
                .get(key)
                .is_none_or(|asked| asked.is_due(session.number(), &wanted.artifact));
            // A host whose row is full is asked when it reads again.
            if *places < AT_ONCE && is_due && session.send(Item::Prefetch(wanted.artifact.clone())) {
                *places += 1;
                asked.insert(key.clone(), Asked::now(session.number(), &wanted.artifact));
            }
        }
    }

    /// How far the hosts of this rollout are that wait; `None`: it does not wait, or has nothing to fetch.
    #[must_use]
    pub fn tally(&self, state: &State, id: &RolloutId, now: Time) -> Option<Tally> {
        let asked = self.lock();
        let mut tally = Tally::default();
        for (key, _) in wanted(state, state.rollouts.get(id)?, now) {
            tally.hosts += 1;
            let Some(session) = self.sessions.of(&key.0) else {
                tally.unreachable += 1;
                continue;
            };
            match asked.get(&key).filter(|asked| asked.session == session.number()) {
                None => {}
                Some(Asked { answer: None, .. }) => tally.fetching += 1,
                Some(Asked {
                    answer: Some(Ok(())), ..
                }) => tally.ready += 1,
                Some(Asked {
                    answer: Some(Err(why)), ..
                }) => {
                    tally.failed += 1;
                    tally.why.get_or_insert_with(|| (key.0.clone(), why.clone()));
                }
            }
        }
        (tally.hosts > 0).then_some(tally)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    fn now(session: u64, artifact: &Artifact) -> Self {
        Self {
            session,
            sha256: artifact.sha256,
            at: Instant::now(),
            answer: None,
        }
    }

    fn is_due(&self, session: u64, artifact: &Artifact) -> bool {
        let failed = matches!(self.answer, Some(Err(_))) && self.at.elapsed() > AGAIN_AFTER;
        self.session != session || self.sha256 != artifact.sha256 || failed
    }
}

impl Tally {
    /// `on 3 of 12 hosts that wait, 2 fetch it, 1 could not (h3: ...), 1 is not reachable`
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("on {} of {} hosts that wait", self.ready, self.hosts);
        if self.fetching > 0 {
            text += &format!(", {} fetch it now", self.fetching);
        }
        if let Some((host, why)) = &self.why {
            text += &format!(", {} could not ({host}: {why})", self.failed);
        }
        if self.unreachable > 0 {
            text += &format!(", {} cannot be reached", self.unreachable);
        }
        text
    }
}

/// Hosts of the rollout that wait, and will install its release.
fn wanted(state: &State, rollout: &Rollout, now: Time) -> BTreeMap<Key, Wanted> {
    let artifact = state
        .release(&rollout.app, &rollout.release)
        .map(|known| known.artifact.clone());
    let Some(artifact) = artifact.filter(|artifact| artifact.sha256.is_some()) else {
        return BTreeMap::new();
    };
    let artifact = Arc::new(artifact);
    let mut all = BTreeMap::new();
    let lanes = rollout.plan.lanes.iter().enumerate();
    for (_, lane) in lanes.filter(|(index, _)| waits(rollout, *index, now)) {
        for planned in lane.waves.iter().flat_map(|wave| &wave.hosts) {
            let installs = planned.phases.iter().any(|phase| {
                let phase = rollout.playbook.machine.phase(phase);
                phase.is_some_and(|phase| fetches(&phase.action))
            });
            let begun = rollout.runs.get(&planned.host).is_some_and(has_begun);
            if installs && !begun {
                let key = (planned.host.clone(), rollout.app.clone(), rollout.release.clone());
                let (datacenter, artifact) = (lane.datacenter.clone(), artifact.clone());
                all.insert(key, Wanted { datacenter, artifact });
            }
        }
    }
    all
}

fn has_begun(run: &Run) -> bool {
    run.touched.is_some() || run.current.is_some() || run.settled.is_some()
}

/// Whether a lane waits for something that takes its time.
fn waits(rollout: &Rollout, index: usize, now: Time) -> bool {
    match rollout.status {
        Status::Scheduled => return rollout.scheduled.is_some_and(|at| at <= now + AHEAD),
        Status::Queued => return true,
        Status::Ended(_) => return false,
        Status::Running if rollout.hold.is_some() || rollout.aborting.is_some() || rollout.rollback.is_some() => {
            return false;
        }
        Status::Running => {}
    }
    let Some(lane) = rollout.lanes.get(index) else {
        return false;
    };
    match lane.stage {
        LaneStage::Pending => true,
        LaneStage::Gating => {
            let gates = lane.waves.get(lane.wave).into_iter().flat_map(|wave| &wave.gates);
            let open = gates.filter(|(_, gate)| !gate.is_passed());
            let kinds: Vec<_> = open
                .map(|(name, _)| rollout.playbook.gates.get(name).map(|gate| &gate.kind))
                .collect();
            kinds
                .iter()
                .any(|kind| matches!(kind, Some(GateKind::Approval { .. } | GateKind::Window(_))))
        }
        LaneStage::Rolling | LaneStage::Stopping | LaneStage::RollingBack | LaneStage::Ended(_) => false,
    }
}

/// Whether the phase puts the rollout's release on the host.
fn fetches(action: &Action) -> bool {
    match action {
        Action::Artifact { verb, release, .. } => {
            matches!(verb, ArtifactVerb::Install | ArtifactVerb::Fetch) && *release == WhichRelease::Target
        }
        Action::Run(_)
        | Action::Http(_)
        | Action::Tcp(_)
        | Action::Systemd { .. }
        | Action::Poll(_)
        | Action::File(_)
        | Action::Balancer(_) => false,
    }
}

#[cfg(test)]
mod tests;
