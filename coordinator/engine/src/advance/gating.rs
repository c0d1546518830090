//! A lane at its gates: bake, verdicts, and what a bad one leads to.

use echelon_playbooks::model::{BudgetScope, HostRule, OnLaneFailure, Rule};
use echelon_proto::{
    GateName, RolloutId, Span, Time,
    planted::{self, Plant},
};

use super::{Turn, forward, traveller};
use crate::{
    gate::{Question, Round},
    record::Record,
    rollback,
    rollout::{HoldKind, LaneStage, Rollout, Wave},
};

pub(super) fn pass(turn: &mut Turn<'_>, id: &RolloutId, lane: usize) {
    if budget(turn, id, lane) {
        return;
    }
    let Some(rollout) = turn.rollout(id) else { return };
    let index = rollout.lanes[lane].wave;
    let wave = &rollout.lanes[lane].waves[index];
    if wave.passed.is_some() {
        return forward::open(turn, id, lane, index + 1);
    }
    if let Some((gate, rule)) = bad(wave) {
        if rollout.hold.is_none() {
            let text = format!(
                "gate {gate} of wave {} in {}: {}",
                wave_name(rollout, lane),
                dc(rollout, lane),
                evidence(wave, &gate)
            );
            enact(turn, id, lane, rule, HoldKind::Gate, text);
        }
        return;
    }
    let bake_end = bake_end(rollout, lane);
    for round in Round::ALL {
        if round > Round::Look && (turn.now < bake_end || !passed_before(turn, id, lane, round)) {
            return;
        }
        ask(turn, id, lane, round);
    }
    let Some(rollout) = turn.rollout(id) else { return };
    let wave = &rollout.lanes[lane].waves[index];
    let passed = wave.gates.values().all(|gate| gate.is_passed()) || planted::is(Plant::UnaskedGatePasses);
    if turn.now >= bake_end && passed {
        let datacenter = dc(rollout, lane);
        turn.emit(Record::WavePassed {
            rollout: id.clone(),
            datacenter,
            wave: index,
        });
    }
}

/// End of the bake of the lane's wave.
pub(crate) fn bake_end(rollout: &Rollout, lane: usize) -> Time {
    let index = rollout.lanes[lane].wave;
    let wave = &rollout.lanes[lane].waves[index];
    let bake = rollout
        .plan
        .lanes
        .get(lane)
        .and_then(|lane| lane.waves.get(index))
        .map_or(Span::ZERO, |w| w.bake);
    let rolled = wave.rolled.unwrap_or_default();
    if wave.cut || planted::is(Plant::BakeIgnored) {
        rolled
    } else {
        rolled + bake
    }
}

fn dc(rollout: &Rollout, lane: usize) -> echelon_proto::Datacenter {
    rollout.lanes[lane].datacenter.clone()
}

fn wave_name(rollout: &Rollout, lane: usize) -> String {
    let index = rollout.lanes[lane].wave;
    let wave = rollout.plan.lanes.get(lane).and_then(|lane| lane.waves.get(index));
    wave.map_or(String::new(), |wave| wave.name.to_string())
}

fn bad(wave: &Wave) -> Option<(GateName, Rule)> {
    wave.gates
        .iter()
        .find(|(_, gate)| gate.is_bad())
        .map(|(name, gate)| (name.clone(), gate.rule.unwrap_or(Rule::Hold)))
}

fn evidence(wave: &Wave, gate: &GateName) -> String {
    wave.gates
        .get(gate)
        .map(|gate| gate.evidence.clone())
        .unwrap_or_default()
}

/// Whether every gate of the rounds before this one has passed.
fn passed_before(turn: &Turn<'_>, id: &RolloutId, lane: usize, round: Round) -> bool {
    let Some(rollout) = turn.rollout(id) else { return false };
    let wave = &rollout.lanes[lane].waves[rollout.lanes[lane].wave];
    wave.gates
        .iter()
        .all(|(name, gate)| gate.is_passed() || round_of(rollout, name) >= round)
}

fn round_of(rollout: &Rollout, gate: &GateName) -> Round {
    let gate = rollout.playbook.gates.get(gate);
    gate.map_or(Round::Look, |gate| Round::of(&gate.kind))
}

/// The question of a gate of the lane's wave.
pub(super) fn question<'a>(
    turn: (&'a crate::Engine, Time),
    rollout: &'a Rollout,
    lane: usize,
    name: &'a GateName,
) -> Option<Question<'a>> {
    let (engine, now) = turn;
    let wave = rollout.lanes.get(lane)?.wave;
    Some(Question {
        state: &engine.state,
        config: &engine.config,
        rollout,
        lane,
        wave,
        name,
        gate: rollout.playbook.gates.get(name)?,
        known: rollout.lanes[lane].waves.get(wave)?.gates.get(name)?,
        bake_end: bake_end(rollout, lane),
        now,
    })
}

fn ask(turn: &mut Turn<'_>, id: &RolloutId, lane: usize, round: Round) {
    let Some(rollout) = turn.rollout(id) else { return };
    let index = rollout.lanes[lane].wave;
    let datacenter = dc(rollout, lane);
    let names: Vec<_> = rollout.lanes[lane].waves[index].gates.keys().cloned().collect();
    let mut records = Vec::new();
    for name in names.into_iter().filter(|name| round_of(rollout, name) == round) {
        let Some(question) = question((turn.engine, turn.now), rollout, lane, &name) else {
            continue;
        };
        if question.known.verdict.is_some() || question.known.overruled {
            continue;
        }
        let (rollout, datacenter, gate) = (id.clone(), datacenter.clone(), name.clone());
        if round == Round::People && question.known.asked.is_none() {
            records.push(Record::ApprovalAsked {
                rollout,
                datacenter,
                wave: index,
                gate,
            });
            continue;
        }
        let answer = question.ask();
        let Some(verdict) = answer.verdict else { continue };
        let rule = question.rule(verdict);
        let evidence = answer.evidence;
        records.push(Record::GateDecided {
            rollout,
            datacenter,
            wave: index,
            gate,
            verdict,
            rule,
            evidence,
            by: None,
        });
    }
    for record in records {
        turn.emit(record);
    }
}

/// Looks at the failure budget and the rule for failed hosts; true when that changed what the lane does.
pub(super) fn budget(turn: &mut Turn<'_>, id: &RolloutId, lane: usize) -> bool {
    let Some(rollout) = turn.rollout(id) else { return false };
    if rollout.hold.is_some() {
        return false;
    }
    let Some(budget) = rollout.pace(lane).map(|pace| pace.failure_budget) else {
        return false;
    };
    let scope: Vec<_> = match budget.scope {
        BudgetScope::Datacenter => vec![lane],
        BudgetScope::Rollout => (0..rollout.lanes.len()).collect(),
    };
    let mut failed = Vec::new();
    let (mut pinned, mut forgiven) = (0, 0);
    for lane in scope {
        forgiven += rollout.lanes[lane].forgiven;
        let planned = rollout.plan.lanes.get(lane).into_iter().flat_map(|lane| &lane.waves);
        pinned += u32::try_from(planned.map(|wave| wave.hosts.len()).sum::<usize>()).unwrap_or(u32::MAX);
        let rank = turn.engine.muster.rank(id, lane).into_iter();
        failed.extend(
            rank.flat_map(|rank| &rank.failed)
                .filter_map(|seat| rollout.plan.seated(lane, *seat)),
        );
    }
    let count = u32::try_from(failed.len()).unwrap_or(u32::MAX).saturating_sub(forgiven);
    if count == 0 {
        return false;
    }
    let percent = budget
        .percent
        .map(|percent| echelon_playbooks::model::Amount::Percent(percent).of(pinned));
    let allowed = budget.hosts.into_iter().chain(percent).min().unwrap_or(0);
    let names: Vec<_> = failed.iter().take(5).map(ToString::to_string).collect();
    let text = format!("{count} failed, {allowed} may: {}", names.join(", "));
    let on_failure = &rollout.playbook.on_failure;
    let (rule, kind, text) = if count > allowed + u32::from(planted::is(Plant::BudgetRoundsUp)) {
        (
            on_failure.budget,
            HoldKind::Budget,
            format!("failure budget of {} is spent: {text}", dc(rollout, lane)),
        )
    } else {
        match on_failure.host_then {
            HostRule::Quarantine => return false,
            HostRule::Hold => (
                Rule::Hold,
                HoldKind::Host,
                format!("a host failed in {}: {text}", dc(rollout, lane)),
            ),
            HostRule::Rollback => (
                Rule::Rollback,
                HoldKind::Host,
                format!("a host failed in {}: {text}", dc(rollout, lane)),
            ),
        }
    };
    enact(turn, id, lane, rule, kind, text)
}

/// Does what a rule says to the lane, and to the others what `on_lane_failure` says. False: nothing changed.
fn enact(turn: &mut Turn<'_>, id: &RolloutId, lane: usize, rule: Rule, kind: HoldKind, text: String) -> bool {
    match rule {
        Rule::Proceed => return false,
        Rule::Hold => {
            hold(turn, id, kind, text);
            return true;
        }
        Rule::Rollback | Rule::Abort => {}
    }
    let Some(rollout) = turn.rollout(id) else { return false };
    let all = rollout.playbook.lanes.on_lane_failure;
    let (mine, others) = (
        dc(rollout, lane),
        rollout.lanes.iter().enumerate().filter(|(index, _)| *index != lane),
    );
    let going = |stage| matches!(stage, LaneStage::Pending | LaneStage::Rolling | LaneStage::Gating);
    let mut back = Vec::new();
    let mut stop = Vec::new();
    match rule {
        Rule::Rollback => back.push(mine),
        Rule::Abort | Rule::Hold | Rule::Proceed => stop.push(mine),
    }
    match all {
        OnLaneFailure::StopLane => {}
        OnLaneFailure::StopAll => {
            stop.extend(
                others
                    .filter(|(_, lane)| going(lane.stage))
                    .map(|(_, lane)| lane.datacenter.clone()),
            );
        }
        OnLaneFailure::RollbackAll => {
            let forward = |lane: &crate::rollout::Lane| lane.stage != LaneStage::RollingBack;
            back.extend(
                others
                    .filter(|(_, lane)| forward(lane))
                    .map(|(_, lane)| lane.datacenter.clone()),
            );
        }
    }
    if let Some(why) = no_return(turn, id, &back) {
        let text = format!("{text}; it does not go back by itself: {why}");
        hold(turn, id, HoldKind::NoReturn, text);
        return true;
    }
    for datacenter in stop {
        turn.emit(Record::LaneStopping {
            rollout: id.clone(),
            datacenter,
            text: text.clone(),
        });
    }
    if !back.is_empty() {
        turn.emit(Record::RollbackBegan {
            rollout: id.clone(),
            lanes: back,
            by: None,
            text,
        });
    }
    true
}

fn hold(turn: &mut Turn<'_>, id: &RolloutId, kind: HoldKind, text: String) {
    turn.emit(Record::RolloutHeld {
        rollout: id.clone(),
        kind,
        text,
        by: None,
    });
}

/// The first host of these lanes that is past a point of no return.
fn no_return(turn: &Turn<'_>, id: &RolloutId, lanes: &[echelon_proto::Datacenter]) -> Option<String> {
    let rollout = turn.rollout(id)?;
    let touched = lanes
        .iter()
        .filter_map(|dc| rollout.lane_of(dc))
        .flat_map(|lane| rollout.lane_runs(lane));
    for (host, run) in touched {
        let standing = traveller::standing(rollout, turn.state().hosts.get(host)?);
        if let Some(state) = rollback::point_of_no_return(rollout, run, &standing) {
            return Some(format!("{host} has passed {state}, a point of no return"));
        }
    }
    None
}
