//! Makes a plan from state and a request.

use std::collections::{BTreeMap, BTreeSet};

use echelon_playbooks::{
    Playbook,
    model::{Deploy, GateKind, Operation, ReleaseGoal, Wave, Waves},
    template::{Missing, Scope},
};
use echelon_proto::{Datacenter, Digest, HostId, OperationName, Person, PhaseName, PlanId, Pool, Time, WaveName};

use super::{Body, HostPlan, LanePlan, Plan, PoolPlan, WavePlan, bind::Bound};
use crate::{
    command::{Artifact, PlanRequest},
    host::Host,
    refusal::{Reason, Refusal},
    state::State,
};

/// Makes the plan, or says what is in its way: an unknown release or playbook, a selector that finds too few or too
/// many, a parameter without a value, a host from which the goal cannot be reached or that lacks a label.
pub fn make(state: &State, request: &PlanRequest, by: &Person, now: Time) -> Result<Plan, Refusal> {
    let bound = Bound::find(state, request)?;
    let source = Source::find(&bound, request)?;
    let fleet = source.select(state, request)?;
    let only = only(request, &fleet)?;
    let mut skipped = Vec::new();
    let mut lanes = Vec::new();
    for (datacenter, hosts) in fleet {
        let capacity = capacity(source.deploy, &hosts);
        let mut going = Vec::new();
        for host in hosts
            .into_iter()
            .filter(|host| only.is_empty() || only.contains(&host.id))
        {
            match source.host(host)? {
                Some(planned) => going.push(planned),
                None => skipped.push(host.id.clone()),
            }
        }
        if !going.is_empty() {
            lanes.push(LanePlan {
                datacenter,
                waves: waves(&source.deploy.waves, going),
                capacity,
            });
        }
    }
    skipped.sort();
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

    /// The host's part, or `None` when it stands at the goal already.
    fn host(&self, host: &Host) -> Result<Option<HostPlan>, Refusal> {
        let machine = &self.playbook.machine;
        let standing = host.standings.get(&self.artifact.app);
        let state = standing.map_or(&machine.initial, |standing| &standing.state);
        let release = standing.and_then(|standing| standing.release.clone());
        let on_target = self.operation.release == ReleaseGoal::Same || release.as_ref() == Some(&self.artifact.release);
        let phases = machine.path(state, on_target, self.operation).ok_or_else(|| {
            Reason::Invalid.refusal(format!(
                "host {} stands in state {state} ({}), from where operation {} of playbook {} has no way to {}",
                host.id,
                release
                    .as_ref()
                    .map_or("no release".into(), |release| format!("release {release}")),
                self.operation_name,
                self.playbook.name,
                self.operation.to
            ))
        })?;
        if phases.is_empty() {
            return Ok(None);
        }
        self.renders(host, &phases)
            .map_err(|missing| Reason::Invalid.refusal(format!("host {} {missing}", host.id)))?;
        Ok(Some(HostPlan {
            host: host.id.clone(),
            pool: host.pool.clone(),
            state: state.clone(),
            release,
            phases,
        }))
    }

    /// Whether the host has every label that its phases, what takes them back, and the probes of its gates name.
    fn renders(&self, host: &Host, phases: &[PhaseName]) -> Result<(), Missing> {
        let wave = WaveName::new("wave").expect("a name");
        let scope = Scope {
            host: host.subject(),
            wave: &wave,
            app: &self.artifact.app,
            release: Some(&self.artifact.release),
            sha256: self.artifact.sha256,
        };
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
                GateKind::Approval { .. } | GateKind::Soak { .. } => {}
            }
        }
        Ok(())
    }
}

fn capacity(deploy: &Deploy, hosts: &[&Host]) -> Vec<PoolPlan> {
    let mut pools: BTreeMap<&Pool, Vec<HostId>> = BTreeMap::new();
    for host in hosts {
        pools.entry(&host.pool).or_default().push(host.id.clone());
    }
    let plan = |(pool, hosts): (&Pool, Vec<HostId>)| {
        let count = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        PoolPlan {
            pool: pool.clone(),
            hosts,
            max_unavailable: deploy.max_unavailable.of(count),
        }
    };
    pools.into_iter().map(plan).collect()
}

/// Cuts the lane's hosts into waves. Sizes are cumulative, so a wave that the ones before it have used up has no hosts
/// and is left out.
fn waves(waves: &Waves, mut hosts: Vec<HostPlan>) -> Vec<WavePlan> {
    let total = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
    let ladder;
    let waves = match waves {
        Waves::Listed(waves) => waves,
        Waves::Ladder { bake, gates } => {
            let size = |(at, percent): (usize, &u8)| Wave {
                name: WaveName::new(format!("w{}", at + 1)).expect("a name"),
                size: echelon_playbooks::model::Amount::Percent(*percent),
                bake: *bake,
                gates: gates.clone(),
            };
            ladder = steps(total).iter().enumerate().map(size).collect::<Vec<_>>();
            &ladder
        }
    };
    let mut plans = Vec::new();
    let mut taken = 0;
    for wave in waves {
        let upto = wave.size.of(total).max(taken);
        let rest = hosts.split_off((upto - taken) as usize);
        let hosts = std::mem::replace(&mut hosts, rest);
        taken = upto;
        if !hosts.is_empty() {
            plans.push(WavePlan {
                name: wave.name.clone(),
                bake: wave.bake,
                gates: wave.gates.clone(),
                hosts,
            });
        }
    }
    plans
}

/// Edge's ladder: in percent, cumulative.
fn steps(hosts: u32) -> &'static [u8] {
    match hosts {
        0..2 => &[100],
        2..4 => &[50, 100],
        4..8 => &[25, 50, 100],
        8.. => &[10, 25, 50, 100],
    }
}
