//! Text -> a checked playbook, or everything that is wrong with it at once. The order: the text is made a tree with places
//! (`text::tree`); each part of the tree is read by the file named after it, which reports and goes on; then what only the
//! whole can show is asked (`reach`). Deliberately no planning for hosts: what depends on the fleet is the plan's.
//!
//! Each reader returns `None` only after it has reported why, so a text without an error is always a playbook.

mod action;
mod amount;
mod choice;
mod condition;
mod deadlines;
mod fields;
mod gates;
mod groups;
mod hosts;
mod invariants;
mod lanes;
mod machine;
mod monitor;
mod overrides;
mod packs;
mod phases;
mod reach;
mod stages;
mod step;
mod value;
mod waves;

use std::collections::BTreeMap;

use echelon_proto::{Digest, limits::PLAYBOOK_BYTES_MAX};

use crate::{
    fault::{FAULTS_MAX, Fault, Faults, code},
    model::Playbook,
    text::{
        Mark, Source,
        tree::{self, Node},
    },
};
use fields::Shape;
use stages::Around;

/// A playbook without errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The playbook.
    pub playbook: Playbook,
    /// What is probably not meant, in the order of the lines.
    pub warnings: Vec<Fault>,
}

/// Reads a playbook.
///
/// # Errors
///
/// Everything that is wrong with the text, warnings included, in the order of its lines, up to
/// [`FAULTS_MAX`](crate::fault::FAULTS_MAX) faults.
pub fn read(text: &str) -> Result<Checked, Faults> {
    if text.len() > PLAYBOOK_BYTES_MAX {
        return Err(Faults(vec![too_large(text)]));
    }
    let source = Source::new(text);
    let (root, faults) = tree::parse(&source);
    let mut lint = Lint::new(source, faults);
    let playbook = root.and_then(|root| playbook(&mut lint, &root, Digest::of(text.as_bytes())));
    let errors = lint.errors;
    let faults = lint.finish();
    match playbook {
        Some(playbook) if errors == 0 => Ok(Checked {
            playbook,
            warnings: faults,
        }),
        _ => {
            debug_assert!(errors > 0, "a reader returned nothing and reported nothing");
            Err(Faults(faults))
        }
    }
}

fn too_large(text: &str) -> Fault {
    let message = format!(
        "{} bytes are more than the {PLAYBOOK_BYTES_MAX} that a playbook may have",
        text.len()
    );
    let start = &text[..text.floor_char_boundary(200)];
    let at = Mark { start: 0, end: 1 };
    Source::new(start).fault(code::TOO_LARGE, at, &message, "is it the right file?")
}

const PLAYBOOK: Shape = Shape {
    what: "a playbook",
    required: &[
        ("name", "name: storefront"),
        ("version", "version: 1"),
        ("hosts", "hosts: { selector: \"app=storefront\" }"),
        (
            "machine",
            "machine: { initial: absent, states: ..., phases: ..., operations: ... }",
        ),
        ("stages", "stages: [{ name: roll, deploy: ... }]"),
    ],
    optional: &["gates", "invariants", "lanes", "on_failure", "rollback"],
    later: &["params", "extends"],
    elsewhere: &[
        ("overrides", "they belong into `deploy` of a stage"),
        ("coupling", "it belongs into `lanes`"),
        ("unreachable", "it belongs into `hosts`"),
        ("secrets", "they belong into `run` of a phase"),
        ("limits", "they belong into `run` of a phase"),
        ("monitor", "it belongs to a state of the machine"),
        ("initial", "it belongs into `machine`"),
        ("states", "it belongs into `machine`"),
        ("phases", "it belongs into `machine`"),
        ("operations", "it belongs into `machine`"),
        ("compensations", "it belongs into `machine`"),
        ("waves", "it belongs into `deploy` of a stage"),
    ],
};

fn playbook(lint: &mut Lint<'_>, root: &Node, digest: Digest) -> Option<Playbook> {
    let fields = lint.fields(root, &PLAYBOOK)?;
    let name = fields.get("name").and_then(|node| lint.name(node, "name"));
    let version = fields
        .get("version")
        .and_then(|node| lint.number(node, "version", 1..=u32::MAX));
    let hosts = fields.get("hosts").and_then(|node| hosts::selection(lint, node));
    let waves = waves::names(fields.get("stages"));
    let lanes = lanes::lanes(lint, fields.get("lanes"), &waves);
    let on_failure = hosts::on_failure(lint, fields.get("on_failure"));
    let rollback = hosts::rollback(lint, fields.get("rollback"));
    let machine = machine::machine(lint, fields.get("machine"));
    let gates = gates::gates(lint, fields.get("gates"), on_failure.as_ref());
    let around = Around {
        operations: &machine.operations,
        gates: &gates,
        datacenters: &lanes.datacenters,
    };
    let stages = stages::stages(lint, fields.get("stages"), around);
    gates.report_unused(lint, stages.as_deref());
    deadlines::report(lint, &gates, stages.as_deref());
    let invariants = invariants::invariants(lint, fields.get("invariants"));
    Some(Playbook {
        name: name?,
        version: version?,
        digest,
        base: None,
        params: BTreeMap::new(),
        hosts: hosts?,
        machine: machine.machine?,
        lanes: lanes.lanes?,
        stages: stages?,
        gates: gates.gates?,
        on_failure: on_failure?,
        rollback: rollback?,
        invariants: invariants?,
    })
}

/// The text being read and what was found wrong so far.
struct Lint<'t> {
    source: Source<'t>,
    faults: Vec<Fault>,
    /// Of the faults, those left out included.
    errors: usize,
    left_out: usize,
}

impl<'t> Lint<'t> {
    fn new(source: Source<'t>, mut faults: Vec<Fault>) -> Self {
        let errors = faults.len();
        faults.truncate(FAULTS_MAX);
        Self {
            source,
            errors,
            left_out: errors - faults.len(),
            faults,
        }
    }

    fn fault(&mut self, code: &'static str, at: Mark, message: impl AsRef<str>, help: impl AsRef<str>) {
        self.errors += usize::from(!code.starts_with('W'));
        if self.faults.len() < FAULTS_MAX {
            let fault = self.source.fault(code, at, message.as_ref(), help.as_ref());
            self.faults.push(fault);
        } else {
            self.left_out += 1;
        }
    }

    fn finish(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        if self.left_out > 0 {
            let end = self.source.text().len();
            let message = format!("and {} more", self.left_out);
            let at = Mark { start: end, end };
            let last = self
                .source
                .fault(code::TOO_MANY_FAULTS, at, &message, "mend the ones above first");
            self.faults.push(last);
        }
        self.faults
    }
}
