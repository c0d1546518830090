//! A canary gate of a playbook, tried on hosts that are there: who is compared is said by whoever asks, and the rest is as in a
//! rollout. Deliberately nothing is decided or kept.

use std::collections::{BTreeMap, BTreeSet};

use echelon_engine::{State, effect::Comparison};
use echelon_playbooks::{
    model::{Canary, GateKind},
    template::Scope,
};
use echelon_proto::{App, GateName, HostId, ReleaseName, RolloutId, Time, WaveName, limits, wire::control as wire};
use tonic::{Code, Status};

use super::{Control, Messages, field, gates, hosts, playbooks, status};
use crate::runner::canary::settle;

/// Twice the hosts of a coordinator: both arms of everything.
const HOSTS_MAX: usize = 4_000;
/// What stands where a rollout has its id.
const NO_ROLLOUT: &str = "try";

pub(super) async fn attempt(
    control: &Control,
    request: &wire::TryGateRequest,
) -> Result<Messages<wire::GateChunk>, Status> {
    let (state, now) = control.latest();
    let (name, canary) = gate(&state, request)?;
    let (comparison, count) = comparison(&state, now, request, name, canary)?;
    let Some(kept) = control.known.trials.look(comparison, count).await else {
        let text = "other gates are being tried just now; ask again when they have been";
        return Err(status::with_reason(Code::ResourceExhausted, "BUSY", text));
    };
    let kept = serde_json::to_vec(&kept);
    let kept = kept.map_err(|error| Status::internal(format!("what was looked at cannot be written: {error}")))?;
    Ok(gates::chunks(&kept))
}

fn gate(state: &State, request: &wire::TryGateRequest) -> Result<(GateName, Canary), Status> {
    field::at_most("text", request.text.len(), limits::PLAYBOOK_BYTES_MAX, "bytes")?;
    let name: GateName = field::parsed("gate", request.gate.parse())?;
    let mut playbook = playbooks::read(state, &request.text)?.playbook;
    match playbook.gates.remove(&name).map(|gate| gate.kind) {
        Some(GateKind::Canary(canary)) => Ok((name, *canary)),
        Some(_) => Err(status::invalid("gate", &format!("{name} is no canary gate"))),
        None => {
            let text = format!("{}@{} has no gate {name}", playbook.name, playbook.version);
            Err(status::invalid("gate", &text))
        }
    }
}

/// And how many intervals are over.
fn comparison(
    state: &State,
    now: Time,
    request: &wire::TryGateRequest,
    gate: GateName,
    canary: Canary,
) -> Result<(Comparison, usize), Status> {
    field::at_most(
        "canary",
        request.canary.len() + request.control.len(),
        HOSTS_MAX,
        "entries with those of control",
    )?;
    let [treated, control] = arms(state, &canary, request)?;
    let first = treated.values().next().and_then(|id| state.hosts.get(id));
    let datacenter = first.map(|host| host.datacenter.clone());
    let datacenter = datacenter.ok_or_else(|| status::invalid("canary", "is empty: name its hosts"))?;
    let opened = field::time("deploy_time", request.deploy_time)?;
    let opened = opened.ok_or_else(|| status::invalid("deploy_time", "is not set: when did the release come?"))?;
    let since = opened + canary.warm_up;
    let settled = Time(now.0.saturating_sub(settle(canary.every).0));
    let until = field::time("end_time", request.end_time)?.map_or(settled, |end| end.min(settled));
    let over = until.since(since).0.min(canary.longest().0) / canary.every.0.max(1);
    if over == 0 {
        let text = format!(
            "not one interval of {} is over that began at {}, {} after deploy_time",
            canary.every, since, canary.warm_up
        );
        return Err(status::invalid("end_time", &text));
    }
    let comparison = Comparison {
        rollout: field::parsed("rollout", RolloutId::new(NO_ROLLOUT))?,
        datacenter,
        wave: 0,
        gate,
        metrics: u32::try_from(canary.metrics.len()).unwrap_or(u32::MAX),
        canary,
        treated,
        control,
        opened,
        since,
    };
    Ok((comparison, usize::try_from(over).unwrap_or(usize::MAX)))
}

/// Both arms, by what the source calls the hosts.
fn arms(
    state: &State,
    canary: &Canary,
    request: &wire::TryGateRequest,
) -> Result<[BTreeMap<String, HostId>; 2], Status> {
    let mut seen = BTreeSet::new();
    let mut arm = |field: &str, names: &[String]| {
        if names.is_empty() {
            return Err(status::invalid(field, "is empty: name its hosts"));
        }
        let mut arm = BTreeMap::new();
        for name in names {
            let id = hosts::named(name)?;
            if !seen.insert(id.clone()) {
                return Err(status::invalid(field, &format!("{id} is named twice")));
            }
            arm.insert(called(state, canary, &id)?, id);
        }
        Ok(arm)
    };
    Ok([arm("canary", &request.canary)?, arm("control", &request.control)?])
}

/// What stands for it in the source. There is no wave and no release here, so a template that names one has no value.
fn called(state: &State, canary: &Canary, id: &HostId) -> Result<String, Status> {
    let host = state.hosts.get(id).ok_or_else(|| hosts::unknown(id))?;
    let render = |word: &str| -> Result<String, Status> {
        let release: ReleaseName = field::parsed("gate", word.parse())?;
        let (wave, app): (WaveName, App) = (
            field::parsed("gate", word.parse())?,
            field::parsed("gate", word.parse())?,
        );
        let scope = Scope {
            host: host.subject(),
            wave: &wave,
            app: &app,
            release: Some(&release),
            sha256: None,
        };
        let rendered = canary.host.render(&scope);
        rendered.map_err(|missing| status::invalid("gate", &format!("{id} {missing}")))
    };
    let (one, other) = (render("one")?, render("other")?);
    if one != other {
        let text =
            "its `host` names a wave or a release, and there is none where no rollout is: write it with host.* alone";
        return Err(status::invalid("gate", text));
    }
    Ok(one)
}
