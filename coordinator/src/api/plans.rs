//! Plans: made and looked at.

use std::collections::BTreeMap;

use echelon_engine::{
    Reply, State,
    command::{Command, PlanRequest},
    converge::{Converge, LeftOut, converge},
    plan::{HostPlan, LanePlan, Plan, PoolPlan, WavePlan},
};
use echelon_proto::{
    App, Datacenter, HostId, ParamName, Person, PlanId, PlaybookName, ReleaseName, wire::control as wire,
};
use tonic::Status;

use super::{Control, convert, field, status};

/// Datacenters that one plan may name.
const DATACENTERS_MAX: usize = 64;
/// Hosts that one plan may name: more than twice the largest fleet that is looked after.
const HOSTS_MAX: usize = 5000;
/// Parameters that one playbook may have, and characters of a value: as its reader's.
const PARAMS_MAX: usize = 64;
const PARAM_CHARS_MAX: usize = 4096;

pub(super) async fn create(
    control: &Control,
    by: Person,
    request: wire::CreatePlanRequest,
) -> Result<wire::Plan, Status> {
    let (wanted, left_out) = wanted(control, &request)?;
    let (reply, state) = control.wish(by, Command::CreatePlan(wanted), false).await?;
    let Reply::Plan(id) = reply else {
        return Err(Status::internal("a plan was asked for and none was given"));
    };
    let mut plan = find(&state, &id)?;
    plan.left_out = left_out.into_iter().map(left).collect();
    Ok(plan)
}

/// What to plan, and for a plan that brings drifted hosts in line, which of them it leaves out. It is worked out from the
/// newest state; should that change before the plan is made, the plan is made of what holds then, as any other.
fn wanted(control: &Control, request: &wire::CreatePlanRequest) -> Result<(PlanRequest, Vec<LeftOut>), Status> {
    if !request.converge {
        return Ok((named(request)?, Vec::new()));
    }
    if !request.params.is_empty() {
        let text = "must be empty where `converge` is set: those by which the other hosts came there are taken";
        return Err(status::invalid("params", text));
    }
    let wish = Converge {
        app: field::parsed("app", App::new(&request.app))?,
        release: field::optional("release", &request.release)?,
        playbook: field::optional("playbook", &request.playbook)?,
        operation: field::optional("operation", &request.operation)?,
        datacenters: datacenters(request)?,
        hosts: hosts(request)?,
    };
    let (state, _) = control.latest();
    let converged = converge(&state, &wish).map_err(|refusal| status::refused(&refusal))?;
    Ok((converged.request, converged.left_out))
}

fn datacenters(request: &wire::CreatePlanRequest) -> Result<Vec<Datacenter>, Status> {
    field::at_most("datacenters", request.datacenters.len(), DATACENTERS_MAX, "entries")?;
    let names = request.datacenters.iter();
    names
        .map(|name| field::parsed("datacenters", Datacenter::new(name)))
        .collect()
}

fn hosts(request: &wire::CreatePlanRequest) -> Result<Vec<HostId>, Status> {
    field::at_most("hosts", request.hosts.len(), HOSTS_MAX, "entries")?;
    let names = request.hosts.iter();
    names.map(|name| field::parsed("hosts", HostId::new(name))).collect()
}

fn params(request: &wire::CreatePlanRequest) -> Result<BTreeMap<ParamName, String>, Status> {
    field::at_most("params", request.params.len(), PARAMS_MAX, "entries")?;
    let params = request.params.iter().map(|(name, value)| {
        field::chars("params", value, PARAM_CHARS_MAX)?;
        Ok((field::parsed("params", ParamName::new(name))?, value.clone()))
    });
    params.collect()
}

/// What the request names itself.
pub(super) fn named(request: &wire::CreatePlanRequest) -> Result<PlanRequest, Status> {
    let (playbook, version) = match request.playbook.split_once('@') {
        Some((name, version)) => (name, Some(field::parsed("playbook", version.parse::<u32>())?)),
        None => (request.playbook.as_str(), None),
    };
    Ok(PlanRequest {
        app: field::parsed("app", App::new(&request.app))?,
        release: field::parsed("release", ReleaseName::new(&request.release))?,
        playbook: field::parsed("playbook", PlaybookName::new(playbook))?,
        version,
        operation: field::optional("operation", &request.operation)?,
        datacenters: datacenters(request)?,
        hosts: hosts(request)?,
        params: params(request)?,
    })
}

pub(super) fn get(control: &Control, request: &wire::GetPlanRequest) -> Result<wire::Plan, Status> {
    let [id] = field::resource("plans/{plan}", &request.name)?;
    find(&control.latest().0, &field::parsed("name", PlanId::new(id))?)
}

fn find(state: &State, id: &PlanId) -> Result<wire::Plan, Status> {
    let plan = state.plans.get(id).map(|plan| to_wire(state, plan));
    plan.ok_or_else(|| {
        status::not_found(&format!(
            "there is no plan {id}, or it is no longer kept; make it again"
        ))
    })
}

fn to_wire(state: &State, plan: &Plan) -> wire::Plan {
    let body = &plan.body;
    let pushed = || Some(&state.playbook(&body.playbook, Some(body.version))?.playbook);
    let playbook = plan.playbook.as_deref().or_else(pushed);
    let max_parallel = playbook.and_then(|playbook| Some(playbook.stages.first()?.deploy.max_parallel));
    wire::Plan {
        name: format!("plans/{}", plan.id),
        app: body.app.to_string(),
        release: body.release.to_string(),
        playbook: format!("{}@{}", body.playbook, body.version),
        operation: body.operation.to_string(),
        fingerprint: plan.fingerprint.to_string(),
        lanes: plan
            .lanes
            .iter()
            .map(|plan| lane(state, plan, max_parallel.unwrap_or_default()))
            .collect(),
        skipped_hosts: body.skipped.iter().map(ToString::to_string).collect(),
        params: body
            .params
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect(),
        create_time: Some(convert::stamp(plan.at)),
        created_by: plan.by.to_string(),
        left_out: Vec::new(),
    }
}

fn left(left: LeftOut) -> wire::LeftOut {
    wire::LeftOut {
        host: left.host.to_string(),
        why: left.why,
    }
}

fn lane(state: &State, lane: &LanePlan, max_parallel: u32) -> wire::PlannedLane {
    wire::PlannedLane {
        datacenter: lane.datacenter.to_string(),
        waves: lane.waves.iter().map(wave).collect(),
        max_parallel: lane.pace.map_or(max_parallel, |pace| pace.max_parallel),
        capacity: lane.capacity.iter().map(|pool| capacity(state, pool)).collect(),
    }
}

fn wave(wave: &WavePlan) -> wire::PlannedWave {
    wire::PlannedWave {
        wave: wave.name.to_string(),
        hosts: wave.hosts.iter().map(host).collect(),
        gates: wave.gates.iter().map(ToString::to_string).collect(),
    }
}

fn host(host: &HostPlan) -> wire::PlannedHost {
    wire::PlannedHost {
        host: host.host.to_string(),
        pool: host.pool.to_string(),
        from_state: host.state.to_string(),
        from_release: convert::text(host.release.as_ref()),
        phases: host.phases.iter().map(ToString::to_string).collect(),
    }
}

/// Hosts out of service are counted now, not when the plan was made.
fn capacity(state: &State, pool: &PoolPlan) -> wire::PlannedCapacity {
    let serves = |id: &HostId| state.hosts.get(id).is_some_and(echelon_engine::host::Host::in_service);
    wire::PlannedCapacity {
        pool: pool.pool.to_string(),
        hosts: convert::count(pool.hosts.len()),
        out_of_service: convert::count(pool.hosts.iter().filter(|id| !serves(id)).count()),
        max_unavailable: pool.max_unavailable,
    }
}
