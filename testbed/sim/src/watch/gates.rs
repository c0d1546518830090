//! Waves and gates: what must have been seen before a wave is passed and another opened. Deliberately counted here a second
//! time, from the playbook and from what hosts and people said.

use echelon_engine::{
    Record, State,
    gate::canary::Says,
    record::Verdict,
    rollout::{GateState, Rollout, Settled, Wave},
};
use echelon_playbooks::model::{GateKind, Window};
use echelon_proto::{Datacenter, GateName, Person, Span, Time};

use super::rules::{find, still};
use crate::story::{Held, must};

/// Before the record is taken.
pub(super) fn before(state: &State, at: Time, record: &Record) -> Held {
    match record {
        Record::WaveOpened {
            rollout,
            datacenter,
            wave,
        } => opens(find(state, rollout)?, datacenter, *wave),
        Record::WavePassed {
            rollout,
            datacenter,
            wave,
        } => passes(find(state, rollout)?, datacenter, *wave, at),
        Record::GateDecided {
            rollout,
            datacenter,
            wave,
            gate,
            verdict: Verdict::Pass,
            by: None,
            ..
        } => says_yes(state, find(state, rollout)?, (datacenter, *wave, gate), at),
        _ => Ok(()),
    }
}

fn opens(rollout: &Rollout, datacenter: &Datacenter, wave: usize) -> Held {
    still(rollout, "opens a wave")?;
    let lane = rollout.lane_of(datacenter).and_then(|lane| rollout.lanes.get(lane));
    let earlier = lane.map_or(&[][..], |lane| &lane.waves[..wave]);
    for (number, before) in earlier.iter().enumerate() {
        let passed = before.passed.is_some() && before.gates.values().all(GateState::is_passed);
        must(passed, "9 gate", || {
            let id = &rollout.id;
            format!("{id} {datacenter} opens wave {wave}, and wave {number} has not passed")
        })?;
    }
    Ok(())
}

fn passes(rollout: &Rollout, datacenter: &Datacenter, wave: usize, at: Time) -> Held {
    let Some((known, bake)) = wave_of(rollout, datacenter, wave) else {
        return Ok(());
    };
    let open = known.gates.iter().find(|(_, gate)| !gate.is_passed());
    must(open.is_none(), "9 gate", || {
        format!("{} {datacenter} passes wave {wave}, and not {open:?}", rollout.id)
    })?;
    let end = bake_end(known, bake);
    must(at >= end, "9 gate", || {
        format!(
            "{} {datacenter} passes wave {wave} at {at}, which bakes until {end}",
            rollout.id
        )
    })
}

fn wave_of<'a>(rollout: &'a Rollout, datacenter: &Datacenter, wave: usize) -> Option<(&'a Wave, Span)> {
    let lane = rollout.lane_of(datacenter)?;
    let planned = rollout.plan.lanes.get(lane)?.waves.get(wave)?;
    Some((rollout.lanes.get(lane)?.waves.get(wave)?, planned.bake))
}

fn bake_end(wave: &Wave, bake: Span) -> Time {
    let rolled = wave.rolled.unwrap_or_default();
    if wave.cut { rolled } else { rolled + bake }
}

fn says_yes(state: &State, rollout: &Rollout, of: (&Datacenter, usize, &GateName), at: Time) -> Held {
    let (datacenter, wave, name) = of;
    let (Some((known, bake)), Some(gate)) = (wave_of(rollout, datacenter, wave), rollout.playbook.gates.get(name))
    else {
        return Ok(());
    };
    let Some(of_gate) = known.gates.get(name) else {
        return Ok(());
    };
    let end = bake_end(known, bake);
    let holds = match &gate.kind {
        GateKind::Approval { count } => approvers(rollout, of_gate) >= *count as usize,
        GateKind::Soak { hold_for } => at >= end + *hold_for,
        GateKind::Canary(_) => of_gate.look.as_ref().is_some_and(|look| look.says == Says::Pass),
        GateKind::Health { share, hold_for, .. } => at >= end && are_well(state, rollout, of, (*share, *hold_for), at),
        GateKind::Window(window) => is_open(window, at),
    };
    must(holds, "9 gate", || {
        format!(
            "{} {datacenter} wave {wave}: gate {name} passes on {of_gate:?}",
            rollout.id
        )
    })
}

/// The windows of this world are of every day, in UTC.
fn is_open(window: &Window, at: Time) -> bool {
    let minute = at.0 / 60_000 % (24 * 60);
    let mut open = window.open.iter();
    open.any(|opening| (u64::from(opening.from)..u64::from(opening.to)).contains(&minute))
}

/// Different people who are not the one who started it.
fn approvers(rollout: &Rollout, gate: &GateState) -> usize {
    let mut people: Vec<&Person> = gate.approvals.iter().filter(|by| **by != rollout.by).collect();
    people.sort_unstable();
    people.dedup();
    people.len()
}

fn are_well(state: &State, rollout: &Rollout, of: (&Datacenter, usize, &GateName), rule: (u8, Span), at: Time) -> bool {
    let Some(lane) = rollout.lane_of(of.0) else {
        return false;
    };
    let (mut arrived, mut well) = (0, 0);
    for (host, run) in rollout.wave_runs(lane, of.1) {
        if run.settled != Some(Settled::Done) {
            continue;
        }
        arrived += 1;
        let known = state.hosts.get(host);
        let is_here = known.is_some_and(|host| host.session.is_some() && host.unwell(&rollout.app).is_none());
        let held = run.health.as_ref().filter(|health| health.healthy);
        well += usize::from(is_here && held.is_some_and(|health| at.since(health.since) >= rule.1));
    }
    arrived > 0 && well * 100 >= arrived * usize::from(rule.0)
}
