//! The machine of a playbook as a drawing: states and what leads from one to another, with what an eye looks for marked.
//! Deliberately no layout: where things stand is the business of graphviz, mermaid or whoever draws.

mod dot;
mod mermaid;

use echelon_proto::StateName;

use crate::{
    model::{Phase, Playbook, Traffic},
    render,
};

/// A machine to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// `storefront@3`
    pub title: String,
    /// In the order of their names.
    pub states: Vec<State>,
    /// In the order of the phases, and of the states that each starts from.
    pub edges: Vec<Edge>,
    /// What an undo may name besides a phase: name, and what it does.
    pub compensations: Vec<(String, String)>,
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Whether a host that stands here serves.
    pub traffic: Traffic,
    /// Where a host stands that never heard of the app.
    pub initial: bool,
    /// Nothing goes back by itself from here on.
    pub point_of_no_return: bool,
}

/// A phase that leads from one state to another, or what takes one back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Index of a state.
    pub from: usize,
    /// Index of a state.
    pub to: usize,
    /// The phase, or the phase or compensation that takes it back.
    pub name: String,
    /// What it does, as YAML on one line.
    pub does: String,
    /// Whether a host has the rollout's release afterwards.
    pub sets_release: bool,
    /// Whether this is the way back.
    pub undo: bool,
}

impl Graph {
    /// Of this playbook; with `undo` the ways back too.
    #[must_use]
    pub fn of(playbook: &Playbook, undo: bool) -> Self {
        let machine = &playbook.machine;
        let states = machine.states.iter().map(|(name, state)| State {
            name: name.to_string(),
            traffic: state.traffic,
            initial: *name == machine.initial,
            point_of_no_return: state.point_of_no_return,
        });
        let mut graph = Self {
            title: format!("{}@{}", playbook.name, playbook.version),
            states: states.collect(),
            edges: Vec::new(),
            compensations: Vec::new(),
        };
        for phase in &machine.phases {
            graph.add(phase, None);
        }
        for phase in machine.phases.iter().filter(|_| undo) {
            let back = phase.undo.as_ref().and_then(|name| machine.phase(name));
            if let Some(back) = back {
                graph.add(phase, Some(back));
            }
        }
        let named = |phase: &Phase| (phase.name.to_string(), render::action_line(&phase.action));
        graph.compensations = machine.compensations.iter().map(named).collect();
        graph
    }

    /// The edges of a phase, or those on which `back` takes it back.
    fn add(&mut self, phase: &Phase, back: Option<&Phase>) {
        let Some(to) = phase.to.as_ref().and_then(|to| self.index(to)) else {
            return;
        };
        let shown = back.unwrap_or(phase);
        for start in phase
            .from
            .iter()
            .filter_map(|from| self.index(from))
            .collect::<Vec<_>>()
        {
            let (from, to) = if back.is_some() { (to, start) } else { (start, to) };
            self.edges.push(Edge {
                from,
                to,
                name: shown.name.to_string(),
                does: render::action_line(&shown.action),
                sets_release: back.is_none() && phase.sets_release,
                undo: back.is_some(),
            });
        }
    }

    fn index(&self, name: &StateName) -> Option<usize> {
        self.states.iter().position(|state| state.name == name.as_str())
    }

    /// As text of Graphviz: `dot -Tsvg`.
    #[must_use]
    pub fn dot(&self) -> String {
        dot::write(self)
    }

    /// As a flowchart of Mermaid, which READMEs and wikis draw by themselves.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::write(self)
    }
}

impl Edge {
    /// What is written beside it.
    #[must_use]
    pub fn label(&self) -> String {
        match (self.undo, self.sets_release) {
            (true, _) => format!("undo: {}", self.name),
            (false, true) => format!("{} (new release)", self.name),
            (false, false) => self.name.clone(),
        }
    }
}

/// The colour of a state: green serves, amber is being drained, grey is out of service. `#rrggbb`.
#[must_use]
pub fn fill(traffic: Traffic) -> &'static str {
    match traffic {
        Traffic::Full => "#c8e6c9",
        Traffic::Leaving => "#ffe0b2",
        Traffic::None => "#eceff1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    fn playbook() -> Playbook {
        let text = include_str!("../tests/good/everything.yaml");
        read(text).unwrap().playbook
    }

    fn everything(undo: bool) -> Graph {
        Graph::of(&playbook(), undo)
    }

    #[test]
    fn every_phase_is_an_edge_from_each_state_that_it_starts_from() {
        let graph = everything(false);
        let edge = |edge: &Edge| {
            let name = |at: usize| graph.states[at].name.clone();
            format!("{} -{}-> {}", name(edge.from), edge.label(), name(edge.to))
        };
        let edges: Vec<String> = graph.edges.iter().map(edge).collect();
        for one in [
            "stopped -install (new release)-> installed",
            "absent -install (new release)-> installed",
            "serving -drain-> draining",
        ] {
            assert!(edges.contains(&one.to_owned()), "{one} is not in {edges:?}");
        }
        let phases = playbook().machine.phases;
        assert_eq!(edges.len(), phases.iter().map(|phase| phase.from.len()).sum::<usize>());
        assert_eq!(graph.states.iter().filter(|state| state.initial).count(), 1);
        assert_eq!(graph.compensations.len(), playbook().machine.compensations.len());
    }

    #[test]
    fn an_undo_leads_back_to_where_the_phase_came_from() {
        let graph = everything(true);
        let undo: Vec<_> = graph.edges.iter().filter(|edge| edge.undo).collect();
        let admit = undo.iter().find(|edge| edge.name == "admit").unwrap();
        let name = |at: usize| graph.states[at].name.as_str();
        assert_eq!((name(admit.from), name(admit.to)), ("draining", "serving"));
        let phases = playbook().machine.phases;
        let undone = phases.iter().filter(|phase| phase.undo.is_some());
        assert_eq!(undo.len(), undone.map(|phase| phase.from.len()).sum::<usize>());
        assert!(undo.iter().all(|edge| !edge.sets_release));
    }

    #[test]
    fn texts_are_escaped_in_every_format() {
        let hostile = "a\"b\\N`#]|<script>&amp;\n\u{1}end";
        let mut graph = everything(true);
        graph.title = hostile.into();
        graph.states[0].name = hostile.into();
        graph.edges[0].name = hostile.into();
        graph.edges[0].does = hostile.into();
        graph.compensations[0] = (hostile.into(), hostile.into());
        let (dot, mermaid) = (graph.dot(), graph.mermaid());
        assert!(dot.contains(r#""a\"b\\N`#]|<script>&amp;amp;\n�end""#), "{dot}");
        for piece in ["a\"b", "<script>", "`", "]|"] {
            assert!(!mermaid.contains(piece), "{piece:?} is in {mermaid}");
        }
        assert_eq!(
            mermaid.lines().count(),
            everything(true).mermaid().lines().count(),
            "{mermaid}"
        );
        assert_eq!(dot.lines().count(), everything(true).dot().lines().count(), "{dot}");
        assert!(!(dot + &mermaid).contains('\u{1}'));
    }
}
