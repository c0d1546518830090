//! A machine as a picture, laid out by `layout-rs`. Deliberately no layout of our own: who wants it finer pipes the dot into
//! Graphviz.

mod canvas;

use echelon_playbooks::graph::{Edge, Graph, State, fill};
use layout::{
    core::{base::Orientation, color::Color, geometry::Point, style::StyleAttr},
    std_shapes::shapes::{Arrow, Element, LineEndKind, ShapeKind},
    topo::layout::VisualGraph,
};

use canvas::{CHAR_WIDTH, Canvas, number};

/// Edges of one picture: the layout takes a time that grows with the square of them, and nobody can read more.
const EDGES_MAX: usize = 200;
const FONT: usize = 13;

/// A machine that is not drawn.
#[derive(Debug, thiserror::Error)]
#[error("the machine has {0} ways between its states, and a picture of more than {EDGES_MAX} shows nothing")]
pub(super) struct TooLarge(usize);

/// The picture as text.
pub(super) fn write(graph: &Graph) -> Result<String, TooLarge> {
    if graph.edges.len() > EDGES_MAX {
        return Err(TooLarge(graph.edges.len()));
    }
    let mut drawing = VisualGraph::new(Orientation::TopToBottom);
    let states: Vec<_> = graph
        .states
        .iter()
        .enumerate()
        .map(|(at, state)| drawing.add_node(shape(state, &text(graph, at))))
        .collect();
    for edge in downwards(graph).into_iter().filter(|edge| edge.from != edge.to) {
        drawing.add_edge(arrow(edge), states[edge.from], states[edge.to]);
    }
    let inks = graph.edges.iter().map(|edge| (edge.label(), ink(edge)));
    let mut canvas = Canvas::new(inks.collect());
    drawing.do_it(false, false, false, &mut canvas);
    // Not the layout's: it would draw ways across it.
    if !graph.compensations.is_empty() {
        list(&graph.compensations, &mut canvas);
    }
    Ok(canvas.finish())
}

/// The ways on before the ways back, and those near the initial state first: of two that lead round in a circle the layout
/// turns the later one upwards.
fn downwards(graph: &Graph) -> Vec<&Edge> {
    let mut depths: Vec<usize> = graph
        .states
        .iter()
        .map(|state| if state.initial { 0 } else { usize::MAX })
        .collect();
    // Each round finds the states that are one phase further away.
    for depth in 0..graph.states.len() {
        for edge in graph.edges.iter().filter(|edge| !edge.undo) {
            if depths[edge.from] == depth {
                depths[edge.to] = depths[edge.to].min(depth + 1);
            }
        }
    }
    let mut edges: Vec<&Edge> = graph.edges.iter().collect();
    edges.sort_by_key(|edge| (edge.undo, depths[edge.from]));
    edges
}

/// The name of a state, and under it what leads from it to itself: as ways of their own these lie across all others.
fn text(graph: &Graph, state: usize) -> String {
    let own = graph.edges.iter().filter(|edge| edge.from == state && edge.to == state);
    let own = own.map(|edge| format!("↻ {}", edge.label()));
    let lines = std::iter::once(graph.states[state].name.clone()).chain(own);
    lines.collect::<Vec<_>>().join("\n")
}

fn shape(state: &State, text: &str) -> Element {
    let (kind, rounded, width) = match (state.point_of_no_return, state.initial) {
        (true, _) => (ShapeKind::new_box(text), 0, 4),
        (false, true) => (ShapeKind::new_circle(text), 0, 2),
        (false, false) => (ShapeKind::new_box(text), 10, 2),
    };
    let look = StyleAttr::new(
        Color::fast("black"),
        width,
        Some(colour(fill(state.traffic))),
        rounded,
        FONT,
    );
    let size = size(text, state.initial);
    Element::create(kind, look, Orientation::TopToBottom, size)
}

/// Of a way and of what is written beside it, as in the dot.
fn ink(edge: &Edge) -> &'static str {
    match (edge.undo, edge.sets_release) {
        (true, _) => "#757575",
        (false, true) => "#1565c0",
        (false, false) => "#000000",
    }
}

fn arrow(edge: &Edge) -> Arrow {
    let width = if edge.sets_release { 2 } else { 1 };
    let look = StyleAttr::new(colour(ink(edge)), width, None, 0, FONT);
    let style = if edge.undo {
        layout::core::style::LineStyleKind::Dashed
    } else {
        layout::core::style::LineStyleKind::Normal
    };
    Arrow::new(
        LineEndKind::None,
        LineEndKind::Arrow,
        style,
        &edge.label(),
        &look,
        &None,
        &None,
    )
}

/// The compensations, in a box that no way leads to.
fn list(compensations: &[(String, String)], canvas: &mut Canvas) {
    let lines = compensations.iter().map(|(name, does)| format!("{name}: {does}"));
    let text = std::iter::once("compensations".to_owned())
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n");
    let look = StyleAttr::new(Color::fast("gray"), 1, Some(Color::fast("white")), 0, FONT);
    canvas.below(&text, size(&text, false), &look);
}

/// As wide as its longest line is in the usual fonts.
fn size(text: &str, round: bool) -> Point {
    let columns = text.lines().map(|line| line.chars().count()).max().unwrap_or(1);
    let rows = text.lines().count().max(1);
    let margin = if round { 40. } else { 20. };
    let (columns, rows) = (number(columns), number(rows));
    Point::new(
        columns * number(FONT) * CHAR_WIDTH + margin,
        rows * number(FONT) * 1.2 + margin,
    )
}

/// Of `#rrggbb`.
fn colour(hex: &str) -> Color {
    // Red, green, blue, and how much of them.
    Color::new(u32::from_str_radix(hex.trim_start_matches('#'), 16).unwrap_or(0xff_ffff) << 8 | 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(undo: bool) -> String {
        let (_, text) = echelon_playbooks::LIBRARY
            .iter()
            .find(|(name, _)| *name == "glu-default")
            .unwrap();
        let playbook = echelon_playbooks::read(text).unwrap().playbook;
        write(&Graph::of(&playbook, undo)).unwrap()
    }

    /// The lines that have it in them.
    fn places(svg: &str, part: &str) -> Vec<usize> {
        let lines = svg.lines().enumerate();
        lines
            .filter(|(_, line)| line.contains(part))
            .map(|(at, _)| at)
            .collect()
    }

    #[test]
    fn no_way_lies_across_what_is_written() {
        let svg = picture(true);
        let (ways, texts) = (places(&svg, "<path"), places(&svg, "<text"));
        assert!(ways.iter().max() < texts.iter().min(), "{svg}");
        // Each of them has a ground of its own.
        let lines: Vec<&str> = svg.lines().collect();
        for at in places(&svg, ">undo: ") {
            assert!(lines[at - 1].contains("fill-opacity"), "{}", lines[at]);
        }
    }

    #[test]
    fn a_way_back_is_dashed_and_of_another_colour() {
        let svg = picture(true);
        let dashed = places(&svg, "stroke-dasharray");
        assert_eq!(dashed.len(), places(&svg, "fill=\"#757575\">undo: ").len(), "{svg}");
        assert!(!dashed.is_empty() && places(&picture(false), "stroke-dasharray").is_empty());
        assert_eq!(places(&svg, "fill=\"#1565c0\">install (new release)").len(), 1, "{svg}");
    }

    #[test]
    fn what_leads_from_a_state_to_itself_is_written_in_it() {
        let svg = picture(false);
        assert_eq!(places(&svg, ">↻ install (new release)</text>").len(), 1, "{svg}");
        let compensations = places(&svg, ">compensations</text>");
        assert_eq!(compensations.len(), 1, "{svg}");
        assert!(compensations > places(&svg, ">absent</text>"), "{svg}");
    }
}
