//! The question: do enough of the wave's hosts hold their probe, for long enough?
//!
//! Asked of the hosts of the wave that arrived. `need` is the share of them, rounded up. It passes when `need` hosts are
//! reachable and have held the probe for `hold_for`, and the bake is over. It fails when so many do not hold it that
//! `need` cannot be reached, or when no host arrived at all.
//!
//! Worked example: 10 arrived, share 90 %: 9 must hold. One fails: still possible. A second fails: fail, at once.
//!
//! Edge cases: a host that has not answered yet is neither; one that is out of reach is neither until it has been so for
//! `unreachable_after`, then it does not hold; what a host answered before it was out of reach no longer counts. A host
//! whose state has a monitor that fails does not hold either, whatever the gate's own probe says.

use echelon_proto::{
    HostId, Span, Time,
    planted::{self, Plant},
};

use super::{Answer, Question};
use crate::{
    record::Verdict,
    rollout::{Health, Run, Settled},
};

enum Holds {
    Since(Time),
    No(String),
    Unknown,
}

pub(super) fn ask(question: &Question<'_>, share: u8, hold_for: Span) -> Answer {
    let arrived = question
        .rollout
        .wave_runs(question.lane, question.wave)
        .filter(|(_, run)| run.settled == Some(Settled::Done))
        .map(|(id, run)| (id, holds(question, id, run)))
        .collect::<Vec<_>>();
    let total = arrived.len();
    if total == 0 {
        return Answer::new(Some(Verdict::Fail), "no host of the wave arrived", None);
    }
    let need = (total * usize::from(share)).div_ceil(100);
    let long_enough = |since: &Time| question.now.since(*since) >= hold_for || planted::is(Plant::HealthNotWaitedFor);
    let (mut held, mut holding, mut broken, mut again) = (0, 0, Vec::new(), None::<Time>);
    for (id, holds) in &arrived {
        match holds {
            Holds::Since(since) if long_enough(since) => held += 1,
            Holds::Since(since) => {
                holding += 1;
                again = Some(again.map_or(*since + hold_for, |again| again.max(*since + hold_for)));
            }
            Holds::No(saw) => broken.push(format!("{id}: {saw}")),
            Holds::Unknown => {}
        }
    }
    let evidence = evidence(total, need, held + holding, &broken, hold_for);
    if total - broken.len() < need {
        return Answer::new(Some(Verdict::Fail), evidence, None);
    }
    if held >= need && question.now >= question.bake_end {
        return Answer::new(Some(Verdict::Pass), evidence, None);
    }
    let again = if held >= need { Some(question.bake_end) } else { again };
    Answer::new(None, evidence, again)
}

fn holds(question: &Question<'_>, id: &HostId, run: &Run) -> Holds {
    let host = question.state.hosts.get(id);
    let lost = host.is_none_or(|host| host.is_lost(question.now, question.config.unreachable_after));
    let attached = host.is_some_and(|host| host.is_attached());
    let unwell = host
        .and_then(|host| host.unwell(&question.rollout.app))
        .map(|unwell| format!("its monitor: {}", unwell.message));
    match &run.health {
        _ if lost => Holds::No("not reachable".into()),
        _ if unwell.is_some() => Holds::No(unwell.unwrap_or_default()),
        Some(Health {
            healthy: true, since, ..
        }) if attached => Holds::Since(*since),
        Some(Health {
            healthy: false,
            message,
            ..
        }) if attached => Holds::No(message.clone()),
        Some(_) | None => Holds::Unknown,
    }
}

fn evidence(total: usize, need: usize, holding: usize, broken: &[String], hold_for: Span) -> String {
    let mut text = format!("{holding} of {total} hosts hold the probe, {need} must for {hold_for}");
    if let Some(first) = broken.first() {
        text.push_str(&format!("; {} do not: {first}", broken.len()));
    }
    text
}
