//! Makes a plan from state and a request.

use std::collections::{BTreeMap, BTreeSet};

use echelon_playbooks::{
    Playbook,
    model::{Ask, Deploy, GateKind, Machine, Operation, ReleaseGoal},
    template::{Missing, Scope},
};
use echelon_proto::{Datacenter, Digest, HostId, OperationName, Person, PhaseName, PlanId, Pool, Span, Time, WaveName};

use super::{
    Body, HostPlan, LanePlan, Pace, Plan, PoolPlan, WavePlan, arms, bind::Bound, groups::portions, spread::spread,
    standby, waves,
};
use crate::{
    command::{Artifact, PlanRequest},
    desired::Wishes,
    host::Host,
    refusal::{Reason, Refusal},
    site::{self, Errand},
    state::State,
};

/// Makes the plan, or says what is in its way: an unknown release or playbook, a selector that finds too few or too
/// many, a parameter without a value, a host from which the goal cannot be reached, that lacks a label, or for which a
/// `when` cannot be told.
pub fn make(state: &State, request: &PlanRequest, by: &Person, now: Time) -> Result<Plan, Refusal> {
    let bound = Bound::find(state, request)?;
    let source = Source::find(&bound, request)?;
    let fleet = source.select(state, request)?;
    let only = only(request, &fleet)?;
    let wishes = Wishes::of(state, &request.app);
    let (mut skipped, mut left_out) = (Vec::new(), Vec::new());
    let mut lanes = Vec::new();
    for (datacenter, hosts) in fleet {
        let capacity = capacity(source.deploy, &datacenter, &hosts);
        let (mut going, mut standby) = (Vec::new(), Vec::new());
        let asked = |host: &&Host| only.is_empty() || only.contains(&host.id);
        let hosts = hosts.into_iter().filter(asked).collect();
        for host in spread(hosts, &source.deploy.spread_by) {
            match source.part(state, &wishes, host)? {
                Part::Goes(planned) if planned.stop_before_service => standby.push(planned),
                Part::Goes(planned) => going.push((host, planned)),
                Part::AtGoal => skipped.push(host.id.clone()),
                Part::LeftOut => left_out.push(host.id.clone()),
            }
        }
        lanes.extend(source.lane(state, datacenter, (going, standby), capacity));
    }
    for lane in &lanes {
        source.check(state, lane)?;
    }
    skipped.sort();
    left_out.sort();
    let body = Body {
        app: request.app.clone(),
        release: request.release.clone(),
        sha256: source.artifact.sha256,
        playbook: source.playbook.name.clone(),
        version: source.playbook.version,
        playbook_digest: source.playbook.digest,
        operation: source.operation_name.clone(),
        datacenters: request.datacenters.clone(),
        hosts: only.into_iter().cloned().collect(),
        skipped,
        left_out,
        params: bound.values(),
    };
    let fingerprint = fingerprint(&body, &lanes);
    let id = PlanId::new(format!("p-{}", fingerprint.short())).expect("hex digits are a name");
    Ok(Plan {
        id,
        fingerprint,
        at: now,
        by: by.clone(),
        body,
        lanes,
        playbook: bound.with_values,
    })
}

/// The hosts asked for by name, which must be among those selected. The floor of a pool is counted over all of it.
fn only<'a>(
    request: &'a PlanRequest,
    fleet: &BTreeMap<Datacenter, Vec<&Host>>,
) -> Result<BTreeSet<&'a HostId>, Refusal> {
    let selected: BTreeSet<_> = fleet.values().flatten().map(|host| &host.id).collect();
    match request.hosts.iter().find(|host| !selected.contains(host)) {
        Some(host) => Err(Reason::NotFound.refusal(format!(
            "host {host} is not among the hosts that playbook {} selects there: see `echelon host list`",
            request.playbook
        ))),
        None => Ok(request.hosts.iter().collect()),
    }
}

/// A selected host's part in the plan.
enum Part {
    /// It goes this way.
    Goes(HostPlan),
    /// It stands at the goal already.
    AtGoal,
    /// It is out of service on purpose, and nothing can be done to it without putting it back; or it has no release, and
    /// the operation keeps the one that there is.
    LeftOut,
}

fn fingerprint(body: &Body, lanes: &[LanePlan]) -> Digest {
    let text = serde_json::to_vec(&(body, lanes)).expect("a plan is plain data");
    Digest::of(&text)
}

/// What a plan is made from.
struct Source<'a> {
    playbook: &'a Playbook,
    artifact: &'a Artifact,
    deploy: &'a Deploy,
    operation_name: &'a OperationName,
    operation: &'a Operation,
}

impl<'a> Source<'a> {
    fn find(bound: &'a Bound<'a>, request: &'a PlanRequest) -> Result<Self, Refusal> {
        let (playbook, name) = (bound.playbook(), &request.playbook);
        let deploy = &playbook
            .stages
            .first()
            .ok_or_else(|| Reason::Invalid.refusal("the playbook has no stage"))?
            .deploy;
        let operation_name = request.operation.as_ref().unwrap_or(&deploy.operation);
        let operation = playbook.machine.operations.get(operation_name).ok_or_else(|| {
            let known: Vec<_> = playbook.machine.operations.keys().map(ToString::to_string).collect();
            Reason::NotFound.refusal(format!(
                "playbook {name} has no operation {operation_name}: it has {}",
                known.join(", ")
            ))
        })?;
        Ok(Self {
            playbook,
            artifact: bound.artifact,
            deploy,
            operation_name,
            operation,
        })
    }

    /// Selected hosts by datacenter, each in the order of their names.
    fn select(&self, state: &'a State, request: &PlanRequest) -> Result<BTreeMap<Datacenter, Vec<&'a Host>>, Refusal> {
        let selection = &self.playbook.hosts;
        let mut fleet: BTreeMap<Datacenter, Vec<&Host>> = BTreeMap::new();
        for host in state.hosts.values() {
            let subject = host.subject();
            let out = selection
                .exclude
                .as_ref()
                .is_some_and(|exclude| exclude.matches(&subject));
            let in_lanes = self
                .playbook
                .lanes
                .datacenters
                .as_ref()
                .is_none_or(|all| all.contains(&host.datacenter));
            if selection.selector.matches(&subject) && !out && in_lanes {
                fleet.entry(host.datacenter.clone()).or_default().push(host);
            }
        }
        let found = fleet.values().map(Vec::len).sum::<usize>();
        let (min, max) = (
            selection.expect_min.unwrap_or(1),
            selection.expect_max.unwrap_or(u32::MAX),
        );
        if found < min as usize || found > max as usize {
            let most = if max == u32::MAX {
                "any number".into()
            } else {
                max.to_string()
            };
            return Err(Reason::Invalid.refusal(format!(
                "selector {:?} finds {found} hosts and the playbook expects {min} to {most}: see `echelon host list --selector`",
                selection.selector.to_string()
            )));
        }
        if let Some(unknown) = request.datacenters.iter().find(|dc| !fleet.contains_key(*dc)) {
            let known: Vec<_> = fleet.keys().map(ToString::to_string).collect();
            return Err(Reason::NotFound.refusal(format!(
                "no selected host is in datacenter {unknown}: there are {}",
                known.join(", ")
            )));
        }
        if !request.datacenters.is_empty() {
            fleet.retain(|datacenter, _| request.datacenters.contains(datacenter));
        }
        Ok(fleet)
    }

    /// The host's part.
    fn part(&self, state: &State, wishes: &Wishes<'_>, host: &Host) -> Result<Part, Refusal> {
        let machine = &self.playbook.machine;
        let standing = host.standings.get(&self.artifact.app);
        let stands = standing.map_or(&machine.initial, |standing| &standing.state);
        let release = standing.and_then(|standing| standing.release.clone());
        let on_target = self.operation.release == ReleaseGoal::Same || release.as_ref() == Some(&self.artifact.release);
        let way = machine.path(stands, on_target, self.operation).ok_or_else(|| {
            Reason::Invalid.refusal(format!(
                "host {} stands in state {stands} ({}), from where operation {} of playbook {} has no way to {}",
                host.id,
                release
                    .as_ref()
                    .map_or("no release".into(), |release| format!("release {release}")),
                self.operation_name,
                self.playbook.name,
                self.operation.to
            ))
        })?;
        if way.is_empty() {
            return Ok(Part::AtGoal);
        }
        if self.operation.release == ReleaseGoal::Same && release.is_none() && sets_release(machine, &way) {
            return Ok(Part::LeftOut);
        }
        let stays_out = !standby::is_meant_to_serve(self.operation)
            && standby::is_out_on_purpose(state, wishes, machine, &self.artifact.app, host);
        let phases = if stays_out {
            standby::before_service(machine, way)
        } else {
            way
        };
        if phases.is_empty() {
            return Ok(Part::LeftOut);
        }
        Ok(Part::Goes(HostPlan {
            host: host.id.clone(),
            pool: host.pool.clone(),
            state: stands.clone(),
            release,
            phases,
            group: None,
            stop_before_service: stays_out,
        }))
    }

    /// The lane of a datacenter, where anything goes there.
    fn lane(
        &self,
        state: &State,
        datacenter: Datacenter,
        (going, standby): (Vec<(&Host, HostPlan)>, Vec<HostPlan>),
        capacity: Vec<PoolPlan>,
    ) -> Option<LanePlan> {
        let grouping = self.deploy.group.as_ref();
        let mut waves = waves::cut(&self.deploy.waves, portions(going, grouping));
        arms::draw(state, &self.playbook.gates, &mut waves);
        if !standby.is_empty() {
            waves.push(WavePlan {
                name: standby::wave(),
                bake: Span::ZERO,
                gates: Vec::new(),
                hosts: standby,
                arms: BTreeMap::new(),
            });
        }
        let pace = self.deploy.overrides.get(&datacenter).map(|other| Pace {
            max_parallel: other.max_parallel.unwrap_or(self.deploy.max_parallel),
            stagger: other.stagger.unwrap_or(self.deploy.stagger),
            failure_budget: other.failure_budget.unwrap_or(self.deploy.failure_budget),
        });
        (!waves.is_empty()).then(|| LanePlan {
            datacenter,
            waves,
            capacity,
            pace,
            groups_parallel: grouping.map(|grouping| grouping.parallel),
        })
    }

    /// Whether each host of the lane has what its phases ask of it.
    fn check(&self, state: &State, lane: &LanePlan) -> Result<(), Refusal> {
        for wave in &lane.waves {
            for planned in &wave.hosts {
                let Some(host) = state.hosts.get(&planned.host) else {
                    continue;
                };
                let refuse = |what: String| Reason::Invalid.refusal(format!("host {} {what}", host.id));
                self.renders(host, &wave.name, &planned.phases)
                    .map_err(|missing| refuse(missing.to_string()))?;
                self.can_tell(host, &wave.name, &planned.phases).map_err(refuse)?;
            }
            self.tells_apart(state, wave)?;
        }
        Ok(())
    }

    /// Whether the host has every label that its phases, what takes them back, the probes of its gates and what is asked
    /// of it name.
    fn renders(&self, host: &Host, wave: &WaveName, phases: &[PhaseName]) -> Result<(), Missing> {
        let scope = self.scope(host, wave);
        let machine = &self.playbook.machine;
        let forward = phases.iter().filter_map(|name| machine.phase(name));
        let undos = forward.clone().filter_map(|phase| machine.phase(phase.undo.as_ref()?));
        for phase in forward.chain(undos) {
            phase.action.render(&scope)?;
            phase.verify.as_ref().map(|verify| verify.render(&scope)).transpose()?;
        }
        for gate in self.playbook.gates.values() {
            match &gate.kind {
                GateKind::Health { probe, .. } => probe.render(&scope).map(drop)?,
                GateKind::Canary(canary) => canary.host.render(&scope).map(drop)?,
                GateKind::Approval { .. } | GateKind::Soak { .. } | GateKind::Window(_) => {}
            }
        }
        for invariant in &self.playbook.invariants {
            match &invariant.ask {
                Ask::Host(action) => action.render(&scope).map(drop)?,
                Ask::Expr(_) => {}
            }
        }
        Ok(())
    }

    /// Whether each host that a canary gate compares is called otherwise in the source than every other.
    fn tells_apart(&self, state: &State, wave: &WavePlan) -> Result<(), Refusal> {
        for (gate, arms) in &wave.arms {
            let Some(GateKind::Canary(canary)) = self.playbook.gates.get(gate).map(|gate| &gate.kind) else {
                continue;
            };
            let called = arms.canary.iter().chain(&arms.control).filter_map(|id| {
                let host = state.hosts.get(id)?;
                Some((id, canary.host.render(&self.scope(host, &wave.name)).ok()?))
            });
            if let Some((host, name)) = arms::twice(called) {
                return Err(Reason::Invalid.refusal(format!(
                    "host {host} is {name:?} to canary gate {gate}, as another host is: let `host` of the gate name something \
                     that differs, such as ${{{{ host.name }}}}"
                )));
            }
        }
        Ok(())
    }

    fn scope<'h>(&'h self, host: &'h Host, wave: &'h WaveName) -> Scope<'h> {
        Scope {
            host: host.subject(),
            wave,
            app: &self.artifact.app,
            release: Some(&self.artifact.release),
            sha256: self.artifact.sha256,
        }
    }

    /// Whether each `when` of its phases is true or false for the host.
    fn can_tell(&self, host: &Host, wave: &WaveName, phases: &[PhaseName]) -> Result<(), String> {
        let errand = Errand {
            app: &self.artifact.app,
            release: &self.artifact.release,
            operation: self.operation_name,
        };
        let site = site::site(host, wave, errand);
        let phases = phases.iter().filter_map(|name| self.playbook.machine.phase(name));
        for phase in phases {
            site::is_for(phase, &site)
                .map_err(|unknown| format!("leaves `when` of phase {} open: {unknown}", phase.name))?;
        }
        Ok(())
    }
}

fn sets_release(machine: &Machine, way: &[PhaseName]) -> bool {
    let mut phases = way.iter().filter_map(|name| machine.phase(name));
    phases.any(|phase| phase.sets_release)
}

fn capacity(deploy: &Deploy, datacenter: &Datacenter, hosts: &[&Host]) -> Vec<PoolPlan> {
    let other = deploy.overrides.get(datacenter).and_then(|other| other.max_unavailable);
    let max_unavailable = other.unwrap_or(deploy.max_unavailable);
    let mut pools: BTreeMap<&Pool, Vec<HostId>> = BTreeMap::new();
    for host in hosts {
        pools.entry(&host.pool).or_default().push(host.id.clone());
    }
    let plan = |(pool, hosts): (&Pool, Vec<HostId>)| {
        let count = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        PoolPlan {
            pool: pool.clone(),
            hosts,
            max_unavailable: max_unavailable.of(count),
        }
    };
    pools.into_iter().map(plan).collect()
}
