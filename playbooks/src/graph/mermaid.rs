//! A graph as a flowchart of Mermaid. Not its state diagram, in which a way back cannot be told from a way on.

use std::fmt::Write as _;

use super::{Graph, State, fill};
use crate::model::Traffic;

const CLASSES: [(&str, Traffic); 3] = [
    ("full", Traffic::Full),
    ("leaving", Traffic::Leaving),
    ("none", Traffic::None),
];

pub(super) fn write(graph: &Graph) -> String {
    let mut text = String::from("flowchart TB\n");
    for (at, state) in graph.states.iter().enumerate() {
        let _ = writeln!(text, "  s{at}{}:::{}", shape(state), class(state.traffic));
    }
    for edge in &graph.edges {
        let arrow = match (edge.undo, edge.sets_release) {
            (true, _) => "-.->",
            (false, true) => "==>",
            (false, false) => "-->",
        };
        let label = escaped(&edge.label());
        let _ = writeln!(text, "  s{} {arrow}|\"{label}\"| s{}", edge.from, edge.to);
    }
    if !graph.compensations.is_empty() {
        text.push_str("  subgraph compensations\n");
        for (at, (name, does)) in graph.compensations.iter().enumerate() {
            let _ = writeln!(text, "    c{at}[\"{}\"]", escaped(&format!("{name}: {does}")));
        }
        text.push_str("  end\n");
    }
    for (name, traffic) in CLASSES {
        let _ = writeln!(
            text,
            "  classDef {name} fill:{},stroke:#455a64,color:#000",
            fill(traffic)
        );
    }
    text
}

fn shape(state: &State) -> String {
    let name = escaped(&state.name);
    match (state.point_of_no_return, state.initial) {
        (true, _) => format!("{{{{\"{name}\"}}}}"),
        (false, true) => format!("([\"{name}\"])"),
        (false, false) => format!("(\"{name}\")"),
    }
}

fn class(traffic: Traffic) -> &'static str {
    CLASSES
        .iter()
        .find(|(_, of)| *of == traffic)
        .map_or("none", |(name, _)| name)
}

/// All that could mean something to Mermaid, to markdown or to HTML by its number.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            c if c.is_alphanumeric() || " ._-+/:,@=(){}[]".contains(c) => escaped.push(c),
            c if c.is_control() => escaped.push(' '),
            c => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
        }
    }
    escaped
}
