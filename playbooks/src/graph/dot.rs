//! A graph as text of Graphviz.

use std::fmt::Write as _;

use super::{Edge, Graph, State, fill};

pub(super) fn write(graph: &Graph) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "digraph {} {{", quoted(&graph.title));
    text.push_str("  rankdir=TB;\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n");
    text.push_str("  edge [fontname=\"sans-serif\", fontsize=11];\n");
    for (at, state) in graph.states.iter().enumerate() {
        let _ = writeln!(text, "  s{at} [{}];", look(state));
    }
    for edge in &graph.edges {
        let _ = writeln!(text, "  s{} -> s{} [{}];", edge.from, edge.to, line(edge));
    }
    if !graph.compensations.is_empty() {
        // `\l` ends a line on the left.
        let listed = graph.compensations.iter();
        let listed: String = listed
            .map(|(name, does)| escaped(&format!("{name}: {does}")) + "\\l")
            .collect();
        let _ = writeln!(
            text,
            "  compensations [shape=note, style=filled, fillcolor=white, label=\"compensations\\l{listed}\"];"
        );
    }
    text.push_str("}\n");
    text
}

fn look(state: &State) -> String {
    let shape = match (state.point_of_no_return, state.initial) {
        (true, _) => ", shape=octagon, style=filled, penwidth=2",
        (false, true) => ", shape=ellipse, style=filled",
        (false, false) => "",
    };
    let rings = if state.initial { ", peripheries=2" } else { "" };
    let (name, fill) = (quoted(&state.name), fill(state.traffic));
    format!("label={name}, fillcolor=\"{fill}\"{shape}{rings}")
}

fn line(edge: &Edge) -> String {
    let style = match (edge.undo, edge.sets_release) {
        (true, _) => ", style=dashed, color=\"#9e9e9e\", fontcolor=\"#757575\", constraint=false",
        (false, true) => ", penwidth=2, color=\"#1565c0\", fontcolor=\"#1565c0\"",
        (false, false) => "",
    };
    let (label, tooltip) = (quoted(&edge.label()), quoted(&edge.does));
    format!("label={label}, edgetooltip={tooltip}, labeltooltip={tooltip}{style}")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Between quotes: `\N` and the like stand for something in a label, and so does `&amp;`.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            '&' => escaped.push_str("&amp;"),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}
