//! The planner against another way to the same answer: on machines that chance makes, from every state that a host can
//! come to, with or without the release aimed at. The other way counts back from the goal over a table of all places,
//! where the planner goes forth from the host; neither knows of the other.

use std::collections::BTreeSet;

use echelon_playbooks::{
    LIBRARY,
    model::{Machine, Operation, Phase, ReleaseGoal},
    read,
};
use echelon_proto::{PhaseName, StateName};
use proptest::prelude::*;

const STATES_MAX: usize = 6;
const PHASES_MAX: usize = 10;
const VIA_MAX: usize = 4;

/// States by their numbers.
#[derive(Debug, Clone)]
struct Move {
    from: BTreeSet<usize>,
    to: usize,
    sets_release: bool,
}

#[derive(Debug, Clone)]
struct Goal {
    to: usize,
    keeps_release: bool,
    via: Vec<usize>,
}

/// A machine as chance made it.
#[derive(Debug, Clone)]
struct Made {
    states: usize,
    moves: Vec<Move>,
    goals: Vec<Goal>,
}

/// State, whether the release aimed at is there, how many `via` were passed.
type Place = (usize, bool, usize);

fn made() -> impl Strategy<Value = Made> {
    (1..=STATES_MAX).prop_flat_map(|states| {
        let from = prop::collection::btree_set(0..states, 1..=states.min(3));
        let step = (from, 0..states, prop::bool::weighted(0.25));
        let step = step.prop_map(|(from, to, sets_release)| Move { from, to, sets_release });
        let goal = (0..states, any::<bool>(), prop::collection::vec(0..states, 0..=VIA_MAX));
        let goal = goal.prop_map(|(to, keeps_release, via)| Goal { to, keeps_release, via });
        let moves = prop::collection::vec(step, 1..=PHASES_MAX);
        let goals = prop::collection::vec(goal, 1..4);
        (moves, goals).prop_map(move |(moves, goals)| Made { states, moves, goals })
    })
}

fn state(number: usize) -> StateName {
    format!("s{number}").parse().unwrap()
}

fn phase(number: usize) -> PhaseName {
    format!("p{number}").parse().unwrap()
}

impl Made {
    /// All but states and moves as in a playbook of the library: the planner looks at nothing else.
    fn machine(&self) -> Machine {
        let mut machine = read(LIBRARY[0].1).unwrap().playbook.machine;
        let (plain, like) = (machine.states[&machine.initial].clone(), machine.phases[0].clone());
        let phase = |(number, step): (usize, &Move)| Phase {
            name: phase(number),
            from: step.from.iter().copied().map(state).collect(),
            to: Some(state(step.to)),
            sets_release: step.sets_release,
            ..like.clone()
        };
        machine.initial = state(0);
        machine.states = (0..self.states).map(|number| (state(number), plain.clone())).collect();
        machine.phases = self.moves.iter().enumerate().map(phase).collect();
        machine
    }

    /// Where a host can come to from the start, and whether it then has the release aimed at: what one rollout aimed at
    /// the next one does not, so whoever is there with it can be there without it.
    fn reachable(&self) -> BTreeSet<(usize, bool)> {
        let mut reached = BTreeSet::from([(0, false)]);
        loop {
            let onward = reached.iter().flat_map(|(at, on_target)| {
                let steps = self.moves.iter().filter(|step| step.from.contains(at));
                steps.map(|step| (step.to, *on_target || step.sets_release))
            });
            let aged = reached.iter().map(|(at, _)| (*at, false));
            let more: BTreeSet<_> = onward.chain(aged).chain(reached.iter().copied()).collect();
            if more == reached {
                return reached;
            }
            reached = more;
        }
    }

    /// How far each place is from the goal: counted back, round by round, until nothing comes nearer.
    fn distances(&self, goal: &Goal) -> Vec<(Place, usize)> {
        let places = (0..self.states).flat_map(|at| [false, true].map(|on_target| (at, on_target)));
        let places = places.flat_map(|(at, on_target)| (0..=goal.via.len()).map(move |passed| (at, on_target, passed)));
        let mut far: Vec<_> = places
            .map(|place| (place, if goal.is_reached(place) { 0 } else { usize::MAX }))
            .collect();
        loop {
            let nearer = |(place, is): &(Place, usize)| {
                let onward = self
                    .steps(goal, *place)
                    .map(|(_, next)| distance(&far, next).saturating_add(1));
                (*place, onward.min().unwrap_or(usize::MAX).min(*is))
            };
            let next: Vec<_> = far.iter().map(nearer).collect();
            if next == far {
                return far;
            }
            far = next;
        }
    }

    /// Each move that starts here, and where it leads.
    fn steps(&self, goal: &Goal, (at, on_target, passed): Place) -> impl Iterator<Item = (usize, Place)> {
        let from_here = self
            .moves
            .iter()
            .enumerate()
            .filter(move |(_, step)| step.from.contains(&at));
        from_here.map(move |(number, step)| (number, goal.pass((step.to, on_target || step.sets_release, passed))))
    }

    /// Of the shortest ways the one whose moves were written first.
    fn way(&self, goal: &Goal, start: Place) -> Option<Vec<PhaseName>> {
        let far = self.distances(goal);
        let mut left = Some(distance(&far, start)).filter(|far| *far != usize::MAX)?;
        let (mut at, mut way) = (start, Vec::new());
        while left > 0 {
            let (number, next) = self
                .steps(goal, at)
                .find(|(_, next)| distance(&far, *next) == left - 1)?;
            way.push(phase(number));
            (at, left) = (next, left - 1);
        }
        Some(way)
    }

    /// Where these moves lead, if each starts where the one before ends.
    fn walk(&self, goal: &Goal, start: Place, way: &[PhaseName]) -> Option<Place> {
        way.iter().try_fold(start, |at, name| {
            let mut steps = self.steps(goal, at);
            steps.find(|(number, _)| phase(*number) == *name).map(|(_, next)| next)
        })
    }
}

impl Goal {
    fn operation(&self) -> Operation {
        let release = if self.keeps_release {
            ReleaseGoal::Same
        } else {
            ReleaseGoal::Target
        };
        Operation {
            to: state(self.to),
            release,
            via: self.via.iter().copied().map(state).collect(),
        }
    }

    /// Whoever stands at what is to be passed next has passed it.
    fn pass(&self, (at, on_target, mut passed): Place) -> Place {
        while self.via.get(passed) == Some(&at) {
            passed += 1;
        }
        (at, on_target, passed)
    }

    fn is_reached(&self, (at, on_target, passed): Place) -> bool {
        at == self.to && passed == self.via.len() && (on_target || self.keeps_release)
    }
}

fn distance(far: &[(Place, usize)], place: Place) -> usize {
    far.iter()
        .find(|(at, _)| *at == place)
        .map_or(usize::MAX, |(_, far)| *far)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn from_wherever_a_host_can_stand_the_path_is_legal_and_shortest_and_the_first_of_those(made in made()) {
        let machine = made.machine();
        for goal in &made.goals {
            let operation = goal.operation();
            for (at, on_target) in made.reachable() {
                let start = goal.pass((at, on_target, 0));
                let path = machine.path(&state(at), on_target, &operation);
                if let Some(path) = &path {
                    let end = made.walk(goal, start, path);
                    prop_assert!(end.is_some_and(|end| goal.is_reached(end)), "from {:?} it ends at {:?}", start, end);
                }
                prop_assert_eq!(&path, &made.way(goal, start), "from {:?} to {:?}", start, goal);
                prop_assert_eq!(&path, &machine.path(&state(at), on_target, &operation));
            }
        }
    }
}

#[test]
fn chance_makes_machines_with_long_ways_detours_and_none() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    let mut runner = TestRunner::deterministic();
    let mut lengths = BTreeSet::new();
    for _ in 0..300 {
        let made = made().new_tree(&mut runner).unwrap().current();
        for goal in &made.goals {
            let ways = made
                .reachable()
                .into_iter()
                .map(|(at, on_target)| made.way(goal, goal.pass((at, on_target, 0))));
            lengths.extend(ways.map(|way| way.map(|way| way.len())));
        }
    }
    assert!(lengths.contains(&None) && lengths.contains(&Some(0)), "{lengths:?}");
    assert!(lengths.iter().flatten().any(|length| *length >= 8), "{lengths:?}");
}
