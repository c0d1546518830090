//! What must hold at any time of what is desired.

use std::collections::BTreeMap;

use echelon_engine::{
    State, drift,
    host::Serving,
    outcome::Outcome,
    rollout::{Settled, Status},
};
use echelon_playbooks::model::ReleaseGoal;

/// After a rollout's success, every host that it brought to its goal, that is reachable and that stands as the rollout
/// left it, is in line, until the next rollout begins.
pub(crate) fn check(state: &State) {
    let begun = state.rollouts.values().filter(|rollout| rollout.started.is_some());
    let Some(newest) = begun.max_by_key(|rollout| (rollout.started, rollout.number)) else {
        return;
    };
    let succeeded = matches!(
        newest.status,
        Status::Ended(Outcome::Succeeded | Outcome::SucceededWithDebt)
    );
    if !succeeded {
        return;
    }
    let operation = newest.playbook.machine.operations.get(&newest.plan.body.operation);
    // Of other apps another rollout may be at work on the same hosts.
    let filter = drift::Filter {
        app: Some(newest.app.clone()),
        ..drift::Filter::default()
    };
    let verdicts: BTreeMap<_, _> = drift::rows(state, &filter)
        .into_iter()
        .map(|row| (row.host.id.clone(), row.verdict))
        .collect();
    for (host, run) in newest.runs.iter() {
        let known = &state.hosts.get(host).unwrap();
        let well = known.unwell(&newest.app).is_none();
        let untouched = well && run.stands.as_ref() == known.standings.get(&newest.app);
        let is_for = newest.playbook.hosts.selector.matches(&known.subject());
        if run.settled == Some(Settled::Done) && known.is_attached() && untouched && is_for {
            // Where it was removed there is nothing to say.
            let there = run
                .stands
                .as_ref()
                .is_some_and(|stands| stands.traffic != Serving::Absent);
            let expected = there.then_some(drift::Verdict::InLine);
            let is = verdicts.get(host);
            // What keeps the release keeps one that was wrong before, too.
            let keeps = operation.is_some_and(|operation| operation.release == ReleaseGoal::Same);
            let kept_wrong = keeps && is == Some(&drift::Verdict::WrongRelease);
            assert!(
                is == expected.as_ref() || kept_wrong,
                "{host} is {is:?} after {}",
                newest.id
            );
        }
    }
}
