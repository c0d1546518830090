//! `playbook graph`: the machine, drawn.

use echelon_playbooks::Graph as Drawing;

use super::{put, source, svg};
use crate::{
    args::{Global, Graph, GraphFormat},
    commands::Outcome,
    console::Console,
    error::Error,
};

pub(super) async fn run(args: &Graph, global: &Global, console: &mut Console) -> Outcome {
    let playbook = source::checked(&args.playbook, &args.reading, global, console).await?;
    let drawing = Drawing::of(&playbook, args.undo);
    let text = match args.format {
        GraphFormat::Dot => drawing.dot(),
        GraphFormat::Mermaid => drawing.mermaid(),
        GraphFormat::Svg => svg::write(&drawing).map_err(|error| {
            let dot = format!("echelon playbook graph {} | dot -Tsvg", args.playbook);
            Error::usage(error.to_string()).next(dot)
        })?,
    };
    put(args.output.as_deref(), &text, console)
}
