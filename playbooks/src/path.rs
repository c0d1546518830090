//! The question: by which phases does a host get from where it stands to where an operation wants it?
//!
//! The rule: the fewest phases in the graph of (state, on the release aimed at or not, how many `via` are passed). A phase
//! with `sets: release` leads from either half into the half that is on target; every other phase stays in its half. Of
//! several shortest paths the one whose phases were written first wins, compared phase by phase from the start.
//!
//! An example: `deploy: { to: serving, release: target }` for a host that serves an older release gives
//! `stop, install, start, check`; for one that was left stopped, `install, start, check`; for one that serves the target
//! already, nothing.
//!
//! The edge cases: a `via` is passed when the host stands at it in its turn, the start included. A phase that leads to a
//! state that the machine does not have is never taken. Deliberately no knowledge of hosts: undo, retries and what the
//! release is are the engine's.

use std::collections::{BTreeSet, VecDeque};

use echelon_proto::{PhaseName, StateName};

use crate::model::{Machine, Operation, Phase, ReleaseGoal};

/// Where a host stands on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Node<'a> {
    state: &'a StateName,
    on_target: bool,
    /// How many of the operation's `via` it has passed.
    passed: usize,
}

impl<'a> Node<'a> {
    /// Standing at a state passes every `via` that is next and names it.
    fn standing(state: &'a StateName, on_target: bool, passed: usize, via: &[StateName]) -> Self {
        let here = via[passed..].iter().take_while(|next| *next == state).count();
        Self {
            state,
            on_target,
            passed: passed + here,
        }
    }

    fn arrived(&self, operation: &Operation) -> bool {
        let release = match operation.release {
            ReleaseGoal::Target => self.on_target,
            ReleaseGoal::Same => true,
        };
        release && *self.state == operation.to && self.passed == operation.via.len()
    }
}

/// A node and how it was reached.
struct Step<'a> {
    node: Node<'a>,
    /// The step before and the phase that leads here from it; `None` at the start.
    by: Option<(usize, &'a Phase)>,
}

impl Machine {
    /// The phases that a host at `state` goes through to do `operation`, in order. Empty: it is there already and has
    /// nothing to pass. `None`: no way, or a state that the machine does not have.
    ///
    /// `on_target` says whether the host has the release that the operation aims at; give `true` for an operation that
    /// keeps the release ([`ReleaseGoal::Same`]).
    #[must_use]
    pub fn path(&self, from: &StateName, on_target: bool, operation: &Operation) -> Option<Vec<PhaseName>> {
        let (from, _) = self.states.get_key_value(from)?;
        let start = Node::standing(from, on_target, 0, &operation.via);
        let mut steps = vec![Step { node: start, by: None }];
        let mut seen = BTreeSet::from([start]);
        // Breadth first with the phases in the order written: the steps of one depth are found in the order of their
        // phases, so the first that arrives is both a shortest path and the one written first.
        let mut waiting = VecDeque::from([0]);
        while let Some(at) = waiting.pop_front() {
            let node = steps[at].node;
            if node.arrived(operation) {
                return Some(phases_to(&steps, at));
            }
            for (phase, next) in self.moves(node, &operation.via) {
                if seen.insert(next) {
                    waiting.push_back(steps.len());
                    steps.push(Step {
                        node: next,
                        by: Some((at, phase)),
                    });
                }
            }
        }
        None
    }

    /// The phases that start from a node, in the order written, and where each leads.
    fn moves<'a>(&'a self, node: Node<'a>, via: &'a [StateName]) -> impl Iterator<Item = (&'a Phase, Node<'a>)> {
        self.phases
            .iter()
            .filter(move |phase| phase.from.contains(node.state))
            .filter_map(move |phase| {
                let (to, _) = self.states.get_key_value(phase.to.as_ref()?)?;
                let on_target = node.on_target || phase.sets_release;
                Some((phase, Node::standing(to, on_target, node.passed, via)))
            })
    }
}

fn phases_to(steps: &[Step<'_>], mut at: usize) -> Vec<PhaseName> {
    let mut path = Vec::new();
    while let Some((before, phase)) = steps[at].by {
        path.push(phase.name.clone());
        at = before;
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use echelon_proto::Span;
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Action, ArtifactVerb, Leftovers, OnTimeout, Place, Retry, State, Traffic, WhichRelease};

    fn state(name: &str) -> StateName {
        StateName::new(name).unwrap()
    }

    fn phase(name: &str, from: &[&str], to: &str, sets_release: bool) -> Phase {
        Phase {
            name: PhaseName::new(name).unwrap(),
            from: from.iter().map(|name| state(name)).collect(),
            to: Some(state(to)),
            sets_release,
            action: Action::Artifact {
                verb: ArtifactVerb::Prune,
                release: WhichRelease::Target,
                keep: None,
            },
            on: Place::Host,
            when: None,
            timeout: Span::secs(1),
            on_timeout: OnTimeout::Fail,
            retry: Retry::default(),
            verify: None,
            undo: None,
            read_only: true,
            leftovers: Leftovers::Leave,
        }
    }

    fn machine(states: &[&str], phases: Vec<Phase>) -> Machine {
        let plain = State {
            traffic: Traffic::None,
            point_of_no_return: false,
            monitor: None,
        };
        Machine {
            initial: state(states[0]),
            states: states.iter().map(|name| (state(name), plain.clone())).collect(),
            phases,
            compensations: vec![],
            operations: BTreeMap::new(),
        }
    }

    fn rolling() -> Machine {
        machine(
            &["absent", "installed", "running", "serving", "stopped"],
            vec![
                phase("stop", &["serving", "running"], "stopped", false),
                phase("install", &["absent", "stopped"], "installed", true),
                phase("start", &["stopped", "installed"], "running", false),
                phase("check", &["running"], "serving", false),
            ],
        )
    }

    fn operation(to: &str, release: ReleaseGoal, via: &[&str]) -> Operation {
        Operation {
            to: state(to),
            release,
            via: via.iter().map(|name| state(name)).collect(),
        }
    }

    fn path(machine: &Machine, from: &str, on_target: bool, operation: &Operation) -> Option<Vec<String>> {
        let path = machine.path(&state(from), on_target, operation)?;
        Some(path.iter().map(ToString::to_string).collect())
    }

    fn some(path: &[&str]) -> Option<Vec<String>> {
        Some(path.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn one_operation_carries_on_from_wherever_a_host_stands() {
        let (machine, deploy) = (rolling(), operation("serving", ReleaseGoal::Target, &[]));
        for (from, on_target, want) in [
            ("absent", false, &["install", "start", "check"][..]),
            ("serving", false, &["stop", "install", "start", "check"]),
            ("running", false, &["stop", "install", "start", "check"]),
            ("stopped", false, &["install", "start", "check"]),
            ("installed", true, &["start", "check"]),
            ("stopped", true, &["start", "check"]),
            ("serving", true, &[]),
        ] {
            assert_eq!(
                path(&machine, from, on_target, &deploy),
                some(want),
                "{from} {on_target}"
            );
        }
    }

    #[test]
    fn a_via_is_passed_on_the_way_and_counts_where_the_host_stands() {
        let machine = rolling();
        let restart = operation("serving", ReleaseGoal::Same, &["stopped"]);
        assert_eq!(
            path(&machine, "serving", true, &restart),
            some(&["stop", "start", "check"])
        );
        assert_eq!(path(&machine, "stopped", true, &restart), some(&["start", "check"]));
        let twice = operation("serving", ReleaseGoal::Same, &["stopped", "running", "stopped"]);
        assert_eq!(
            path(&machine, "serving", true, &twice),
            some(&["stop", "start", "stop", "start", "check"])
        );
    }

    #[test]
    fn where_there_is_no_way_there_is_no_path() {
        let mut machine = rolling();
        let deploy = operation("serving", ReleaseGoal::Target, &[]);
        assert_eq!(path(&machine, "nowhere", false, &deploy), None);
        assert_eq!(
            path(&machine, "absent", false, &operation("lost", ReleaseGoal::Same, &[])),
            None
        );
        machine.phases[1].sets_release = false;
        assert_eq!(path(&machine, "absent", false, &deploy), None);
        machine.phases[1].to = Some(state("lost"));
        assert_eq!(
            path(&machine, "absent", true, &operation("lost", ReleaseGoal::Same, &[])),
            None
        );
    }

    #[test]
    fn a_tie_goes_to_the_phase_written_first() {
        let machine = machine(
            &["a", "b", "c", "d"],
            vec![
                phase("right-2", &["c"], "d", false),
                phase("left-1", &["a"], "b", false),
                phase("right-1", &["a"], "c", false),
                phase("left-2", &["b"], "d", false),
            ],
        );
        let to_d = operation("d", ReleaseGoal::Same, &[]);
        assert_eq!(path(&machine, "a", true, &to_d), some(&["left-1", "left-2"]));
    }

    /// Where a host stands after these phases, if each may follow the one before.
    fn walk(machine: &Machine, from: &StateName, on_target: bool, path: &[usize], via: &[StateName]) -> Option<Walked> {
        let mut at = Walked {
            state: from.clone(),
            on_target,
            passed: 0,
        };
        at.pass(via);
        for index in path {
            let phase = &machine.phases[*index];
            if !phase.from.contains(&at.state) {
                return None;
            }
            at.state = phase.to.clone().unwrap();
            at.on_target |= phase.sets_release;
            at.pass(via);
        }
        Some(at)
    }

    struct Walked {
        state: StateName,
        on_target: bool,
        passed: usize,
    }

    impl Walked {
        fn pass(&mut self, via: &[StateName]) {
            while via.get(self.passed) == Some(&self.state) {
                self.passed += 1;
            }
        }

        fn arrived(&self, operation: &Operation) -> bool {
            self.state == operation.to
                && self.passed == operation.via.len()
                && (self.on_target || operation.release == ReleaseGoal::Same)
        }
    }

    /// Every sequence of phases by length and then by index; the first that arrives.
    fn brute(machine: &Machine, from: &StateName, on_target: bool, operation: &Operation) -> Option<Vec<usize>> {
        let mut row = vec![vec![]];
        // A shortest path visits no node twice: with 3 states, 2 halves and up to 2 via it has fewer than 18 phases. So
        // long a row would be too many; generated machines that need more than 7 phases are told apart by the caller.
        for _ in 0..=7 {
            let mut longer = Vec::new();
            for path in &row {
                let Some(at) = walk(machine, from, on_target, path, &operation.via) else {
                    continue;
                };
                if at.arrived(operation) {
                    return Some(path.clone());
                }
                longer.extend((0..machine.phases.len()).map(|next| [path.as_slice(), &[next]].concat()));
            }
            row = longer;
        }
        None
    }

    const STATES: [&str; 3] = ["a", "b", "c"];

    prop_compose! {
        fn any_phase()(from in proptest::sample::subsequence(&STATES[..], 1..=2), to in 0..3_usize, sets in prop::bool::weighted(0.3)) -> (Vec<&'static str>, usize, bool) {
            (from, to, sets)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_path_is_the_first_of_the_shortest_that_brute_force_finds(
            phases in prop::collection::vec(any_phase(), 1..5),
            from in 0..3_usize,
            to in 0..3_usize,
            on_target: bool,
            keep: bool,
            via in prop::collection::vec(0..3_usize, 0..3),
        ) {
            let phases = phases.iter().enumerate();
            let machine = machine(&STATES, phases.map(|(at, (from, to, sets))| phase(&format!("p{at}"), from, STATES[*to], *sets)).collect());
            let release = if keep { ReleaseGoal::Same } else { ReleaseGoal::Target };
            let operation = operation(STATES[to], release, &via.iter().map(|at| STATES[*at]).collect::<Vec<_>>());
            let from = state(STATES[from]);
            let found = machine.path(&from, on_target, &operation);
            prop_assert_eq!(&found, &machine.path(&from, on_target, &operation));
            let brute = brute(&machine, &from, on_target, &operation)
                .map(|path| path.iter().map(|at| machine.phases[*at].name.clone()).collect::<Vec<_>>());
            match (&found, &brute) {
                (Some(path), None) => {
                    prop_assert!(path.len() > 7, "brute force finds every path of up to 7 phases, but not {:?}", path);
                    let indices: Vec<usize> = path.iter().map(|name| machine.phases.iter().position(|p| p.name == *name).unwrap()).collect();
                    let end = walk(&machine, &from, on_target, &indices, &operation.via);
                    prop_assert!(end.is_some_and(|end| end.arrived(&operation)));
                }
                _ => prop_assert_eq!(found, brute),
            }
        }
    }
}
