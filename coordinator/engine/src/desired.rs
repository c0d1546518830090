//! What should stand on each host: app, release, state. It is kept, and only the end of a rollout changes it, by a record
//! of its own, so that what was desired does not depend on which rollouts are still remembered.
//!
//! Two layers, and of what they say about a host the newer rollout's word holds:
//!
//! - A **standard**: a rollout that succeeded (with debt or without) over all that its playbook selects, in all datacenters
//!   or in those it was asked for. What it did is what every host should have that the playbook selects there: the one that
//!   joins next week too, and the one that was away.
//! - A host's **own** entry: what a rollout brought it to. It says what the standard cannot: that a rollout went half-way,
//!   or to some hosts only.
//!
//! | the rollout ended | desired from then on |
//! |---|---|
//! | succeeded, with debt or without | its goal, on every host of it: done, at the goal already, failed, skipped, debt |
//! | aborted, stopped, rolled back in part | its goal on the hosts that it brought there; in a lane that went to its end, also on those it left as debt |
//! | rolled back, expired, nobody arrived | what was desired before |
//!
//! A host that was out of service on purpose and that the rollout left so is desired to be as it was left, whatever the
//! standard says: it is not brought into service by converging either.
//!
//! A host that went back is desired to be what it was desired to be before, which is where it went back to, unless it had
//! drifted: to go back to drift does not make it right. An operation that keeps the release (`restart`) and ends in the state
//! that is desired already changes nothing; one that ends in the machine's initial state (`remove`) makes absence desired.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use echelon_playbooks::{Playbook, model::ReleaseGoal};
use echelon_proto::{App, Datacenter, HostId, ReleaseName, RolloutId, StateName};
use serde::{Deserialize, Serialize};

use crate::{
    command::PlanRequest,
    host::Host,
    outcome::Outcome,
    record::Record,
    rollout::{LaneEnd, LaneStage, Rollout, Run, Settled},
    state::{Map, State},
};

/// What should stand where, of one app.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    /// In the order in which the rollouts ended that pursued them, which is not that of their numbers: one may have been
    /// scheduled long before. Those that nothing names are dropped.
    goals: BTreeMap<u64, Arc<Goal>>,
    /// Oldest first. At most one of each playbook for everywhere, and one more for each datacenter.
    standards: Vec<Standard>,
    /// What rollouts brought hosts to.
    hosts: Map<HostId, Own>,
}

/// What a rollout pursued. All of it is as it was then, whatever is pushed later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// Which rollout.
    pub rollout: RolloutId,
    /// What gives the same plan again for whoever is not there; it names version and operation, and no hosts.
    pub request: PlanRequest,
    /// As the rollout had it.
    pub playbook: Arc<Playbook>,
    /// To arrive in.
    pub state: StateName,
    /// Whether it brings the release of its request; otherwise hosts keep the one they have.
    pub sets_release: bool,
}

/// What every host should have that a playbook selects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Standard {
    goal: u64,
    /// Empty: in all.
    datacenters: Vec<Datacenter>,
}

/// What one host should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Own {
    goal: u64,
    release: Option<ReleaseName>,
    /// Where it stays, out of service on purpose; `None`: where the goal says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    standby: Option<StateName>,
}

/// A host that was out of service on purpose, as a rollout left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standby {
    /// Which.
    pub host: HostId,
    /// Where it stays.
    pub state: StateName,
    /// On which release.
    pub release: Option<ReleaseName>,
}

/// What should stand on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// By which rollout.
    pub goal: Arc<Goal>,
    /// In which state.
    pub state: StateName,
    /// On which release; `None`: on none, or on whichever.
    pub release: Option<ReleaseName>,
    /// Of two, the higher one was said later.
    pub order: u64,
}

impl Goal {
    /// What this rollout pursues.
    #[must_use]
    pub fn of(rollout: &Rollout) -> Option<Self> {
        let operation = rollout.playbook.machine.operations.get(&rollout.plan.body.operation)?;
        Some(Self {
            rollout: rollout.id.clone(),
            request: PlanRequest {
                hosts: Vec::new(),
                ..rollout.plan.request()
            },
            playbook: rollout.playbook.clone(),
            state: operation.to.clone(),
            sets_release: operation.release == ReleaseGoal::Target,
        })
    }

    /// That nothing stands there.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        self.state == self.playbook.machine.initial
    }

    /// Whether a plan of the playbook would take the host.
    #[must_use]
    pub fn selects(&self, host: &Host) -> bool {
        let excluded = |host: &Host| {
            let exclude = self.playbook.hosts.exclude.as_ref();
            exclude.is_some_and(|exclude| exclude.matches(&host.subject()))
        };
        let datacenters = self.playbook.lanes.datacenters.as_ref();
        self.is_for(host) && !excluded(host) && datacenters.is_none_or(|all| all.contains(&host.datacenter))
    }

    /// Whether the playbook is for the host. One that it excludes for now (maintenance) keeps what it was brought to.
    fn is_for(&self, host: &Host) -> bool {
        self.playbook.hosts.selector.matches(&host.subject())
    }
}

impl Desired {
    /// From now on the rollout's goal is desired: as the standard in these datacenters, and on these hosts.
    pub(crate) fn change(
        &mut self,
        goal: Goal,
        standard: Option<&[Datacenter]>,
        hosts: &[(Option<ReleaseName>, Vec<HostId>)],
        standby: &[Standby],
    ) {
        let playbook = goal.playbook.name.clone();
        let order = self.goals.last_key_value().map_or(1, |(newest, _)| newest + 1);
        self.goals.insert(order, Arc::new(goal));
        if let Some(datacenters) = standard {
            let goals = &self.goals;
            let is_same = |old: &Standard| goals.get(&old.goal).is_some_and(|goal| goal.playbook.name == playbook);
            self.standards
                .retain_mut(|old| !is_same(old) || old.yield_to(datacenters));
            self.standards.push(Standard {
                goal: order,
                datacenters: datacenters.to_vec(),
            });
        }
        for (release, hosts) in hosts {
            for host in hosts {
                let own = Own {
                    goal: order,
                    release: release.clone(),
                    standby: None,
                };
                self.hosts.insert_mut(host.clone(), own);
            }
        }
        for left in standby {
            let own = Own {
                goal: order,
                release: left.release.clone(),
                standby: Some(left.state.clone()),
            };
            self.hosts.insert_mut(left.host.clone(), own);
        }
        let own: BTreeSet<_> = self.hosts.values().map(|own| own.goal).collect();
        let standards = &self.standards;
        self.goals
            .retain(|order, _| own.contains(order) || standards.iter().any(|standard| standard.goal == *order));
    }

    /// What should stand on the host, by the newest rollout that has ended and says so.
    fn on(&self, host: &Host) -> Option<Wish> {
        let own = self.hosts.get(&host.id).and_then(|own| {
            let goal = self.goals.get(&own.goal).filter(|goal| goal.is_for(host))?;
            Some(Wish {
                goal: goal.clone(),
                state: own.standby.as_ref().unwrap_or(&goal.state).clone(),
                release: own.release.clone(),
                order: own.goal,
            })
        });
        let covering = self
            .standards
            .iter()
            .filter(|standard| standard.covers(&host.datacenter));
        let standard = covering.filter_map(|standard| {
            let goal = self.goals.get(&standard.goal).filter(|goal| goal.selects(host))?;
            let release = (!goal.is_absence()).then(|| goal.request.release.clone());
            Some(Wish {
                goal: goal.clone(),
                state: goal.state.clone(),
                release,
                order: standard.goal,
            })
        });
        // Of equals the last is taken: what a host was brought to says more than the standard of the same rollout.
        standard.chain(own).max_by_key(|wish| wish.order)
    }
}

impl Standard {
    fn covers(&self, datacenter: &Datacenter) -> bool {
        self.datacenters.is_empty() || self.datacenters.contains(datacenter)
    }

    /// Leaves these datacenters (empty: all) to a newer standard of the same playbook. False: nothing is left.
    fn yield_to(&mut self, datacenters: &[Datacenter]) -> bool {
        if datacenters.is_empty() {
            return false;
        }
        if self.datacenters.is_empty() {
            return true;
        }
        self.datacenters.retain(|datacenter| !datacenters.contains(datacenter));
        !self.datacenters.is_empty()
    }
}

/// What is desired of one app now: what is kept, and over it what the rollout that runs has reached so far.
#[derive(Debug)]
pub struct Wishes<'a> {
    kept: Option<&'a Desired>,
    running: Option<(&'a Rollout, Arc<Goal>)>,
}

/// Where a host is with a rollout, as far as it matters for what is desired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It has not come to the host, or has left it: what was desired before holds.
    Before,
    /// It is at work on the host.
    AtWork,
    /// The goal is desired.
    There,
}

impl<'a> Wishes<'a> {
    /// Of this app.
    #[must_use]
    pub fn of(state: &'a State, app: &App) -> Self {
        let running = state
            .running(app)
            .and_then(|rollout| Some((rollout, Arc::new(Goal::of(rollout)?))));
        Self {
            kept: state.desired.get(app),
            running,
        }
    }

    /// Whether anything ever said what should stand anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_none()
    }

    /// What should stand on the host; `None`: nothing says that anything should, or should not.
    #[must_use]
    pub fn on(&self, host: &Host) -> Option<Wish> {
        let kept = || self.kept.and_then(|kept| kept.on(host));
        let Some((rollout, goal)) = &self.running else {
            return kept();
        };
        let run = rollout.runs.get(&host.id);
        if let Some(stays) = run.filter(|run| run.stays_out) {
            return left(stays, goal).or_else(kept);
        }
        match run.map(|run| (part(rollout, run), run.back)) {
            Some((Part::AtWork | Part::There, None)) => target(goal, host, kept()).or_else(kept),
            Some((Part::AtWork | Part::There, Some(_)) | (Part::Before, _)) | None => kept(),
        }
    }

    /// The rollout that is at work on the host.
    #[must_use]
    pub fn at_work(&self, host: &HostId) -> Option<&'a RolloutId> {
        let (rollout, _) = self.running.as_ref()?;
        let run = rollout.runs.get(host)?;
        (part(rollout, run) == Part::AtWork).then_some(&rollout.id)
    }

    /// The rollout that runs and has the host in its plan, wherever it is with it.
    #[must_use]
    pub fn claimed_by(&self, host: &HostId) -> Option<&'a RolloutId> {
        let (rollout, _) = self.running.as_ref()?;
        rollout.runs.contains_key(host).then_some(&rollout.id)
    }
}

/// Where the host is with the rollout.
fn part(rollout: &Rollout, run: &Run) -> Part {
    if run.current.is_some() {
        return Part::AtWork;
    }
    let Some(lane) = rollout.lanes.get(run.lane) else {
        return Part::Before;
    };
    let stopped = match lane.stage {
        LaneStage::Stopping | LaneStage::Ended(LaneEnd::Stopped) => true,
        LaneStage::Pending
        | LaneStage::Rolling
        | LaneStage::Gating
        | LaneStage::RollingBack
        | LaneStage::Ended(LaneEnd::Done | LaneEnd::RolledBack) => false,
    };
    let back = matches!(
        lane.stage,
        LaneStage::RollingBack | LaneStage::Ended(LaneEnd::RolledBack)
    );
    let over = stopped || rollout.aborting.is_some() || rollout.status.is_over();
    let is_open = lane.waves.get(run.wave).is_some_and(|wave| wave.opened.is_some());
    match run.settled {
        None if back && run.touched.is_some() && !over => Part::AtWork,
        None if back || over || !is_open => Part::Before,
        None => Part::AtWork,
        Some(Settled::Done) if !back => Part::There,
        Some(Settled::Failed | Settled::Skipped | Settled::Debt) if !back && went_on(rollout, lane.stage) => {
            Part::There
        }
        Some(Settled::Done | Settled::RolledBack | Settled::Failed | Settled::Skipped | Settled::Debt) => Part::Before,
    }
}

/// Whether a lane goes on or went to its end, so that what it left behind is still to come.
fn went_on(rollout: &Rollout, stage: LaneStage) -> bool {
    match stage {
        LaneStage::Ended(LaneEnd::Done) => true,
        LaneStage::Pending | LaneStage::Rolling | LaneStage::Gating => rollout.aborting.is_none(),
        LaneStage::Stopping | LaneStage::RollingBack | LaneStage::Ended(LaneEnd::Stopped | LaneEnd::RolledBack) => {
            false
        }
    }
}

/// What is desired of a host that was out of service on purpose, once it is done with.
fn left(run: &Run, goal: &Arc<Goal>) -> Option<Wish> {
    let stands = run
        .stands
        .as_ref()
        .filter(|_| run.settled == Some(Settled::Done) && run.back.is_none())?;
    Some(Wish {
        goal: goal.clone(),
        state: stands.state.clone(),
        release: stands.release.clone(),
        order: u64::MAX,
    })
}

/// What the goal means for a host of which this was desired before. `None`: what was desired before holds.
fn target(goal: &Arc<Goal>, host: &Host, before: Option<Wish>) -> Option<Wish> {
    let release = if goal.is_absence() {
        None
    } else if goal.sets_release {
        Some(goal.request.release.clone())
    } else {
        if before.as_ref().is_some_and(|before| before.state == goal.state) {
            return None;
        }
        let standing = host.standings.get(&goal.request.app);
        let has = standing.and_then(|standing| standing.release.clone());
        before.and_then(|before| before.release).or(has)
    };
    Some(Wish {
        goal: goal.clone(),
        state: goal.state.clone(),
        release,
        // Later than all that is kept.
        order: u64::MAX,
    })
}

/// What the record changes in what is desired, if it is the end of a rollout and changes anything.
pub(crate) fn change(state: &State, record: &Record) -> Option<Record> {
    let Record::RolloutEnded {
        rollout: id, outcome, ..
    } = record
    else {
        return None;
    };
    let rollout = state.rollouts.get(id)?;
    let goal = Arc::new(Goal::of(rollout)?);
    let kept = state.desired.get(&rollout.app);
    let succeeded = match outcome {
        Outcome::Succeeded | Outcome::SucceededWithDebt => true,
        Outcome::Failed | Outcome::Aborted | Outcome::RolledBack | Outcome::Expired => false,
    };
    let mut hosts: BTreeMap<Option<ReleaseName>, Vec<HostId>> = BTreeMap::new();
    for host in arrived(rollout, succeeded).filter_map(|id| state.hosts.get(id)) {
        let before = kept.and_then(|kept| kept.on(host));
        if let Some(wish) = target(&goal, host, before) {
            hosts.entry(wish.release).or_default().push(host.id.clone());
        }
    }
    let body = &rollout.plan.body;
    let is_standard = succeeded && body.hosts.is_empty() && (goal.sets_release || goal.is_absence());
    let standby = standby(state, rollout, &goal, is_standard);
    if hosts.is_empty() && standby.is_empty() && !is_standard {
        return None;
    }
    Some(Record::DesireChanged {
        rollout: id.clone(),
        standard: is_standard.then(|| body.datacenters.clone()),
        hosts: hosts.into_iter().collect(),
        standby,
    })
}

/// Hosts that were out of service on purpose: as they were left, or, where the goal becomes the standard, as they stood
/// before, so that the standard does not claim them.
fn standby(state: &State, rollout: &Rollout, goal: &Arc<Goal>, is_standard: bool) -> Vec<Standby> {
    let planned = rollout.plan.lanes.iter().flat_map(|lane| &lane.waves);
    let planned = planned
        .flat_map(|wave| &wave.hosts)
        .filter(|planned| planned.stop_before_service);
    let gone = planned.filter_map(|planned| {
        let run = rollout.runs.get(&planned.host)?;
        let (host, before) = (planned.host.clone(), (planned.state.clone(), planned.release.clone()));
        let (state, release) = match left(run, goal) {
            Some(wish) => (wish.state, wish.release),
            None => is_standard.then_some(before)?,
        };
        Some(Standby { host, state, release })
    });
    let out = rollout.plan.body.left_out.iter().filter(|_| is_standard);
    let left_out = out.filter_map(|host| {
        let standing = state.hosts.get(host)?.standings.get(&rollout.app)?;
        Some(Standby {
            host: host.clone(),
            state: standing.state.clone(),
            release: standing.release.clone(),
        })
    });
    gone.chain(left_out).collect()
}

/// Hosts of a rollout that has ended which should now be at its goal.
fn arrived(rollout: &Rollout, succeeded: bool) -> impl Iterator<Item = &HostId> {
    let anybody = rollout.runs.values().any(|run| run.settled == Some(Settled::Done));
    let there = move |(_, run): &(&HostId, &Run)| anybody && !run.stays_out && part(rollout, run) == Part::There;
    let already = rollout.plan.body.skipped.iter().filter(move |_| succeeded);
    rollout.runs.iter().filter(there).map(|(host, _)| host).chain(already)
}
