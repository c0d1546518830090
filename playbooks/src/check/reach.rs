//! The question: what can be wrong with a machine that no part of it shows? Goals that cannot be reached, states that a
//! host cannot come to or cannot leave, phases that nothing takes back, hosts that count as what they are not. Which of two
//! phases is taken is asked in `choice`.
//!
//! The rule: (state, on the target release or not) are the nodes; a phase with `sets: release` leads into the half that is
//! on target, any other stays in its half. The ways between all nodes are closed once; every question is then a look-up.
//! It must agree with the planner (`path`), which a test holds it to.
//!
//! An example: `check: running -> serving` and nothing that starts from `serving` is a host that serves one release for
//! ever: [`code::NO_WAY_BACK`].
//!
//! The edge cases: a state past a `point_of_no_return` may be an end, and phases there need no undo. Dead ends are only
//! asked for when some operation brings a new release at all.

use std::collections::{BTreeMap, BTreeSet};

use echelon_proto::StateName;

use super::{
    Lint,
    machine::{Places, STATES_MAX},
    phases::Draft,
};
use crate::{
    fault::code,
    model::{Action, BalancerVerb, Machine, OnTimeout, Operation, ReleaseGoal, State, Traffic},
    text::Mark,
};

/// A set of nodes: bit `2 * state + on_target`.
type Nodes = u128;
const _: () = assert!(STATES_MAX * 2 == Nodes::BITS as usize);
/// The nodes that are on target.
const ON_TARGET: Nodes = Nodes::MAX / 3 * 2;

/// The ways of a machine.
struct Ways<'m> {
    states: BTreeMap<&'m StateName, usize>,
    /// For each node the nodes that a host can come to from it, itself included.
    to: Vec<Nodes>,
}

impl<'m> Ways<'m> {
    fn of(machine: &'m Machine) -> Self {
        let states: BTreeMap<_, _> = machine
            .states
            .keys()
            .enumerate()
            .map(|(at, state)| (state, at))
            .collect();
        let mut to: Vec<Nodes> = (0..states.len() * 2).map(|node| 1 << node).collect();
        for phase in &machine.phases {
            let Some(end) = phase.to.as_ref().and_then(|state| states.get(state)) else {
                continue;
            };
            for start in phase.from.iter().filter_map(|state| states.get(state)) {
                to[start * 2] |= 1 << (end * 2 + usize::from(phase.sets_release));
                to[start * 2 + 1] |= 1 << (end * 2 + 1);
            }
        }
        for middle in 0..to.len() {
            let beyond = to[middle];
            for start in &mut to {
                if *start >> middle & 1 == 1 {
                    *start |= beyond;
                }
            }
        }
        Self { states, to }
    }

    /// Both halves of a state; nothing for a state that is not there.
    fn at(&self, state: &StateName) -> Nodes {
        self.states.get(state).map_or(0, |at| 0b11 << (at * 2))
    }

    fn from(&self, nodes: Nodes) -> Nodes {
        let starts = self.to.iter().enumerate().filter(|(node, _)| nodes >> node & 1 == 1);
        starts.fold(0, |reached, (_, to)| reached | to)
    }

    /// Whether a host at one of these nodes can do an operation.
    fn can(&self, from: Nodes, operation: &Operation) -> bool {
        let passed = operation
            .via
            .iter()
            .fold(from, |nodes, via| self.from(nodes) & self.at(via));
        let goal = self.at(&operation.to)
            & match operation.release {
                ReleaseGoal::Target => ON_TARGET,
                ReleaseGoal::Same => Nodes::MAX,
            };
        self.from(passed) & goal != 0
    }
}

/// Everything that only the whole machine shows.
pub(super) fn report(lint: &mut Lint<'_>, machine: &Machine, places: &Places) {
    let ways = Ways::of(machine);
    report_initial(lint, machine, places);
    report_goals(lint, machine, places, &ways);
    report_states(lint, machine, places, &ways);
    report_done_unseen(lint, machine, places);
    report_drained_in_service(lint, machine, places);
}

fn report_initial(lint: &mut Lint<'_>, machine: &Machine, places: &Places) {
    if let (Some(at), Traffic::Full) = (places.initial, machine.traffic(&machine.initial)) {
        let message = format!(
            "a host that has never heard of the app stands in `{}` and counts as serving",
            machine.initial
        );
        lint.fault(
            code::INITIAL_SERVES,
            at,
            message,
            "begin in a state with `traffic: none`, such as `absent`",
        );
    }
}

fn report_goals(lint: &mut Lint<'_>, machine: &Machine, places: &Places, ways: &Ways<'_>) {
    let sets_release = machine.phases.iter().any(|phase| phase.sets_release);
    let initial = ways.at(&machine.initial) & !ON_TARGET;
    for (name, operation) in &machine.operations {
        let Some(at) = places.operations.get(name) else {
            continue;
        };
        match operation.release {
            ReleaseGoal::Target if !sets_release => {
                let message = format!("`{name}` wants the target release, but no phase sets it");
                lint.fault(
                    code::NOTHING_SETS_RELEASE,
                    *at,
                    message,
                    "say `sets: release` in the phase that installs",
                );
            }
            ReleaseGoal::Target if !ways.can(initial, operation) => {
                let message = format!("`{name}` cannot be done from `{}`", machine.initial);
                lint.fault(
                    code::UNREACHABLE_GOAL,
                    *at,
                    message,
                    unreachable_help(machine, ways, initial, operation),
                );
            }
            ReleaseGoal::Same if !ways.can(ways.from(initial), operation) => {
                let message = format!("`{name}` cannot be done from any state that a host comes to");
                lint.fault(
                    code::UNREACHABLE_GOAL,
                    *at,
                    message,
                    "add the phases that lead through its `via` to its `to`",
                );
            }
            ReleaseGoal::Target | ReleaseGoal::Same => {}
        }
    }
}

fn unreachable_help(machine: &Machine, ways: &Ways<'_>, initial: Nodes, operation: &Operation) -> String {
    let reached = ways.from(initial);
    let states: Vec<&str> = machine
        .states
        .keys()
        .filter(|state| ways.at(state) & reached != 0)
        .map(|state| state.as_str())
        .collect();
    let states = states.join(", ");
    let to = &operation.to;
    if ways.at(to) & reached == 0 {
        format!("only {states} can be reached: add a phase from one of them towards `{to}`")
    } else {
        format!(
            "`{to}` is reached, but not with the new release and through all of `via`: which phase `sets: release` on the way?"
        )
    }
}

fn report_states(lint: &mut Lint<'_>, machine: &Machine, places: &Places, ways: &Ways<'_>) {
    let initial = ways.at(&machine.initial) & !ON_TARGET;
    let reached = ways.from(initial);
    let deployable = |nodes| {
        let mut deploys = machine
            .operations
            .values()
            .filter(|operation| operation.release == ReleaseGoal::Target);
        deploys.any(|operation| ways.can(nodes, operation))
    };
    // A goal that cannot be reached at all is reported once, not for each state.
    let possible = deployable(initial);
    for (name, state) in &machine.states {
        let Some(at) = places.states.get(name).copied() else {
            continue;
        };
        let here = ways.at(name);
        if here & reached == 0 {
            let message = format!("no phases lead from `{}` to `{name}`", machine.initial);
            let help = "add a phase that leads to it, or take it away";
            lint.fault(code::UNREACHABLE_STATE, at, message, help);
        } else if possible && !state.point_of_no_return && !deployable(here & !ON_TARGET) {
            report_dead_end(lint, at, name, state);
        }
    }
}

fn report_dead_end(lint: &mut Lint<'_>, at: Mark, name: &StateName, state: &State) {
    if state.traffic == Traffic::Full {
        let message = format!("a host that serves in `{name}` can never get another release");
        let help =
            format!("add a phase that takes it out of `{name}`: {{ name: stop, from: {name}, to: stopped, ... }}");
        lint.fault(code::NO_WAY_BACK, at, message, help);
    } else {
        let message = format!("`{name}` is a dead end: no phases lead from it to a new release");
        let help = "add a phase out of it, or say `point_of_no_return: true` if it is the end";
        lint.fault(code::DEAD_END, at, message, help);
    }
}

/// What was not done must not say of a host what nobody knows: that it serves, or which release it has.
fn report_done_unseen(lint: &mut Lint<'_>, machine: &Machine, places: &Places) {
    for (phase, at) in machine.phases.iter().zip(&places.phases) {
        let serves = |state: &StateName| machine.traffic(state) == Traffic::Full;
        let comes_to_serve = phase.to.as_ref().is_some_and(serves) && !phase.from.iter().all(serves);
        let unseen = match phase.on_timeout {
            OnTimeout::Continue if phase.sets_release => Some("has the new release"),
            OnTimeout::Continue if comes_to_serve => Some("serves"),
            OnTimeout::Continue | OnTimeout::Fail | OnTimeout::Hold => None,
        };
        if let Some(unseen) = unseen {
            let message = format!(
                "after a timeout of `{}` a host counts as one that {unseen}, and it may not",
                phase.name
            );
            let help = "say `on_timeout: hold` or `fail`: `continue` is for phases whose end does not matter";
            lint.fault(code::DONE_UNSEEN, *at, message, help);
        }
        if phase.sets_release && phase.when.is_some() {
            let message = format!(
                "where `when` of `{}` is false a host counts as one that has the new release, and it has not",
                phase.name
            );
            let help = "let `hosts` choose which hosts get it: `when` is for phases without `sets: release`";
            lint.fault(code::DONE_UNSEEN, *at, message, help);
        }
    }
}

/// A host that is drained and counts as serving is not counted against capacity.
fn report_drained_in_service(lint: &mut Lint<'_>, machine: &Machine, places: &Places) {
    for (phase, at) in machine.phases.iter().zip(&places.phases) {
        let drains = matches!(&phase.action, Action::Balancer(place) if place.verb == BalancerVerb::Drain);
        let Some(to) = phase.to.as_ref().filter(|to| machine.traffic(to) == Traffic::Full) else {
            continue;
        };
        if drains {
            let message = format!("`{}` drains a host, but in `{to}` it counts as in service", phase.name);
            let help = "let it lead to a state with `traffic: leaving`, or max_unavailable does not count the host";
            lint.fault(code::DRAINED_IN_SERVICE, *at, message, help);
        }
    }
}

/// Phases before a point of no return must say how they are taken back, or that they need not be.
pub(super) fn report_no_undo(
    lint: &mut Lint<'_>,
    initial: &StateName,
    states: &BTreeMap<StateName, State>,
    drafts: &[Draft],
) {
    let returns = |name: &StateName| states.get(name).is_none_or(|state| !state.point_of_no_return);
    let mut before = BTreeSet::from([initial]);
    // Each round adds a state, so there are at most as many as states.
    loop {
        let from_here = |draft: &&Draft| draft.from.iter().any(|from| before.contains(from));
        let next = drafts.iter().filter(from_here).filter_map(|draft| draft.to.as_ref());
        let next: Vec<&StateName> = next.filter(|to| returns(to) && !before.contains(to)).collect();
        if next.is_empty() {
            break;
        }
        before.extend(next);
    }
    for draft in drafts.iter().filter(|draft| !draft.taken_back) {
        let goes_on = draft.to.as_ref().is_some_and(returns);
        if goes_on && draft.from.iter().any(|from| before.contains(from)) {
            let name = draft
                .name
                .as_ref()
                .map_or("the phase".into(), |name| format!("`{name}`"));
            let help = "add `undo: PHASE`, naming the phase or compensation that takes it back, or `read_only: true` if it changes nothing";
            lint.fault(code::NO_UNDO, draft.at, format!("nothing takes {name} back"), help);
        }
    }
}

#[cfg(test)]
mod tests {
    use echelon_proto::PhaseName;
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Action, ArtifactVerb, Leftovers, OnTimeout, Phase, Place, Retry, WhichRelease};

    const NAMES: [&str; 4] = ["a", "b", "c", "d"];

    fn state(at: usize) -> StateName {
        StateName::new(NAMES[at]).unwrap()
    }

    fn phase((from, to, sets_release): &(Vec<usize>, usize, bool)) -> Phase {
        Phase {
            name: PhaseName::new("p").unwrap(),
            from: from.iter().map(|at| state(*at)).collect(),
            to: Some(state(*to)),
            sets_release: *sets_release,
            action: Action::Artifact {
                verb: ArtifactVerb::Prune,
                release: WhichRelease::Target,
                keep: None,
            },
            on: Place::Host,
            when: None,
            timeout: echelon_proto::Span::secs(1),
            on_timeout: OnTimeout::Fail,
            retry: Retry::default(),
            verify: None,
            undo: None,
            read_only: true,
            leftovers: Leftovers::Leave,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_linter_and_the_planner_agree_on_what_can_be_done(
            phases in prop::collection::vec((prop::collection::vec(0..4_usize, 1..3), 0..4_usize, any::<bool>()), 0..6),
            from in 0..4_usize,
            on_target: bool,
            to in 0..4_usize,
            keep: bool,
            via in prop::collection::vec(0..4_usize, 0..3),
        ) {
            let plain = State { traffic: Traffic::None, point_of_no_return: false, monitor: None };
            let machine = Machine {
                initial: state(0),
                states: (0..4).map(|at| (state(at), plain.clone())).collect(),
                phases: phases.iter().map(phase).collect(),
                compensations: vec![],
                operations: BTreeMap::new(),
            };
            let operation = Operation {
                to: state(to),
                release: if keep { ReleaseGoal::Same } else { ReleaseGoal::Target },
                via: via.into_iter().map(state).collect(),
            };
            let half = if on_target { ON_TARGET } else { !ON_TARGET };
            let ways = Ways::of(&machine);
            let can = ways.can(ways.at(&state(from)) & half, &operation);
            prop_assert_eq!(can, machine.path(&state(from), on_target, &operation).is_some());
        }
    }
}
