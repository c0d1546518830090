//! Plans and starts.

use echelon_proto::{App, Person, RolloutId, Time, limits::REASON_CHARS_MAX};

use crate::{
    command::{IfRunning, PlanRequest, Start, What},
    engine::{Decision, Engine, Reply},
    outcome::Outcome,
    plan::{self, Plan},
    record::Record,
    refusal::{Reason, Refusal},
};

pub(super) fn plan(engine: &Engine, now: Time, by: &Person, request: &PlanRequest) -> Result<Decision, Refusal> {
    let plan = plan::make(engine.state(), request, by, now)?;
    let id = plan.id.clone();
    Ok(Decision {
        records: known(engine, plan),
        reply: Reply::Plan(id),
    })
}

/// A plan that is the same as one we have is that one.
fn known(engine: &Engine, plan: Plan) -> Vec<Record> {
    match engine.state().plans.contains_key(&plan.id) {
        true => Vec::new(),
        false => vec![Record::PlanMade { plan: Box::new(plan) }],
    }
}

pub(super) fn start(engine: &Engine, now: Time, by: &Person, start: &Start) -> Result<Decision, Refusal> {
    if start.reason.chars().count() > REASON_CHARS_MAX {
        return Err(Reason::Invalid.refusal(format!("a reason has at most {REASON_CHARS_MAX} characters")));
    }
    let asked_before = start
        .request_id
        .as_ref()
        .and_then(|request| engine.state().requests.get(request));
    if let Some(rollout) = asked_before {
        return same_again(engine, start, rollout);
    }
    let (plan, replan) = match &start.what {
        What::Plan(id) => (looked_at(engine, now, by, id)?, None),
        What::Request(request) => (plan::make(engine.state(), request, by, now)?, Some(request.clone())),
    };
    let app = plan.body.app.clone();
    let mut records = Vec::new();
    if let Some(active) = engine.state().active().find(|rollout| rollout.app == app) {
        match start.if_running {
            IfRunning::Queue => {}
            IfRunning::Attach => {
                return Ok(Decision {
                    records,
                    reply: Reply::Rollout(active.id.clone()),
                });
            }
            IfRunning::Refuse => {
                return Err(Reason::RolloutConflict.refusal(format!(
                    "{} rolls {} of {app} already: wait for it, or start with --if-running queue|supersede|attach",
                    active.id, active.release
                )));
            }
            IfRunning::Supersede => records.extend(supersede(engine, by, &app)),
        }
    }
    let number = engine.state().rollouts_made + 1;
    let rollout = RolloutId::new(format!("r{number}")).expect("a letter and digits are a name");
    let plan_id = plan.id.clone();
    records.extend(known(engine, plan));
    records.push(Record::RolloutCreated {
        rollout: rollout.clone(),
        number,
        plan: plan_id,
        replan,
        at: start.at.filter(|at| *at > now),
        by: by.clone(),
        reason: start.reason.clone(),
        request_id: start.request_id.clone(),
    });
    Ok(Decision {
        records,
        reply: Reply::Rollout(rollout),
    })
}

fn same_again(engine: &Engine, start: &Start, id: &RolloutId) -> Result<Decision, Refusal> {
    let known = engine.state().rollouts.get(id);
    let is_same = known.is_none_or(|rollout| match &start.what {
        What::Plan(plan) => rollout.plan.id == *plan,
        What::Request(request) => {
            let asked = rollout.replan.as_ref().map(|asked| &asked.params);
            rollout.app == request.app
                && rollout.release == request.release
                && asked.is_none_or(|params| *params == request.params)
        }
    });
    match is_same {
        true => Ok(Decision {
            records: Vec::new(),
            reply: Reply::Rollout(id.clone()),
        }),
        false => Err(Reason::AlreadyExists.refusal(format!(
            "this request id started {id}, which is something else: every request needs an id of its own"
        ))),
    }
}

fn looked_at(engine: &Engine, now: Time, by: &Person, id: &echelon_proto::PlanId) -> Result<Plan, Refusal> {
    let plan = engine.state().plans.get(id).ok_or_else(|| {
        Reason::NotFound.refusal(format!(
            "there is no plan {id}: it is too old, or was never made; make it again"
        ))
    })?;
    let fresh = plan::make(engine.state(), &plan.request(), by, now)
        .map_err(|refusal| Reason::StalePlan.refusal(format!("plan {id} no longer holds: {refusal}")))?;
    let changes = plan::changes(plan, &fresh);
    match changes.is_empty() {
        true => Ok((**plan).clone()),
        false => Err(Reason::StalePlan.refusal(format!(
            "plan {id} is stale: {}; look at the new one with `{}`",
            changes.join("; "),
            again(plan)
        ))),
    }
}

/// Hosts that a command to type names: a refusal has to fit into the header of an answer.
const HOSTS_SAID_MAX: usize = 20;

/// The command that makes the plan anew.
fn again(plan: &Plan) -> String {
    let body = &plan.body;
    let mut command = format!(
        "echelon plan {} --release {} --playbook {}",
        body.app, body.release, body.playbook
    );
    if body.operation.as_str() != "deploy" {
        command.push_str(&format!(" --operation {}", body.operation));
    }
    for datacenter in &body.datacenters {
        command.push_str(&format!(" --dc {datacenter}"));
    }
    for host in body.hosts.iter().take(HOSTS_SAID_MAX) {
        command.push_str(&format!(" --host {host}"));
    }
    if body.hosts.len() > HOSTS_SAID_MAX {
        command.push_str(" --host ...");
    }
    let params = plan.playbook.iter().flat_map(|playbook| &playbook.params);
    for (name, param) in params.filter(|(_, param)| param.value != param.default) {
        let value = param.value.as_deref().unwrap_or_default().replace('\'', r"'\''");
        command.push_str(&format!(" --param '{name}={value}'"));
    }
    command
}

/// What runs is stopped where it is, what waits is dropped.
fn supersede(engine: &Engine, by: &Person, app: &App) -> Vec<Record> {
    let text = "superseded by a newer rollout".to_owned();
    let others = engine.state().active().filter(|rollout| rollout.app == *app);
    let end = |rollout: &crate::rollout::Rollout| {
        let (rollout, begun, text) = (rollout.id.clone(), rollout.status.has_begun(), text.clone());
        match begun {
            true => Record::AbortBegan {
                rollout,
                by: Some(by.clone()),
                text,
            },
            false => Record::RolloutEnded {
                rollout,
                outcome: Outcome::Expired,
                text,
            },
        }
    };
    others.map(end).collect()
}
