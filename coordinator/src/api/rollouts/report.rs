//! A rollout's account in the words of the wire.

use echelon_engine::{
    record::Verdict,
    rollout::{Decision, Rollout},
    view::{self, HostRow, PhaseTimes},
};
use echelon_playbooks::model::Rule;
use echelon_proto::wire::control as wire;
use tonic::Status;

use super::{find, named, shown, told};
use crate::api::{Control, convert};

pub(in crate::api) fn report(control: &Control, request: &wire::GetReportRequest) -> Result<wire::Report, Status> {
    let (state, now, id) = named(control, &request.name)?;
    let rollout = find(&state, None, &id)?;
    let account = view::report(&state, &id, now).ok_or_else(|| Status::internal(format!("{id} has no account")))?;
    let human = control.reader.story().human(&id);
    Ok(wire::Report {
        rollout: Some(shown(&control.known.hands.prefetch, &state, rollout, now)?),
        outcomes: account
            .outcomes
            .into_iter()
            .map(|(outcome, hosts)| (outcome.to_owned(), hosts))
            .collect(),
        phase_times: account.phases.into_iter().map(phase).collect(),
        time_account_ms: account
            .time
            .into_iter()
            .map(|(what, time)| (what.name().to_owned(), time.0))
            .collect(),
        decisions: account.decisions.iter().map(|made| decision(rollout, made)).collect(),
        human_actions: human.iter().map(|line| told(line)).collect(),
        hosts: account.hosts.into_iter().map(host).collect(),
    })
}

fn phase(times: PhaseTimes) -> wire::PhaseTime {
    wire::PhaseTime {
        phase: times.phase.to_string(),
        count: times.count,
        p50_ms: times.p50.0,
        p95_ms: times.p95.0,
        max_ms: times.max.0,
    }
}

fn decision(rollout: &Rollout, decision: &Decision) -> wire::Decision {
    let lane = rollout
        .plan
        .lanes
        .iter()
        .find(|lane| lane.datacenter == decision.datacenter);
    let wave = lane
        .and_then(|lane| lane.waves.get(decision.wave))
        .map(|wave| &wave.name);
    let verdict = match decision.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Expired => "expired",
        Verdict::Inconclusive => "inconclusive",
        Verdict::NoData => "no_data",
    };
    let rule = decision.rule.map(|rule| match rule {
        Rule::Proceed => "proceed",
        Rule::Hold => "hold",
        Rule::Rollback => "rollback",
        Rule::Abort => "abort",
    });
    wire::Decision {
        time: Some(convert::stamp(decision.at)),
        datacenter: decision.datacenter.to_string(),
        wave: convert::text(wave),
        gate: decision.gate.to_string(),
        verdict: verdict.to_owned(),
        rule: rule.unwrap_or_default().to_owned(),
        evidence: decision.evidence.clone(),
    }
}

fn host(row: HostRow) -> wire::HostReport {
    wire::HostReport {
        host: row.host.to_string(),
        datacenter: row.datacenter.to_string(),
        wave: row.wave.to_string(),
        outcome: row.outcome.to_owned(),
        from_release: convert::text(row.from_release.as_ref()),
        release: convert::text(row.release.as_ref()),
        state: row.state.to_string(),
        message: row.message,
    }
}
