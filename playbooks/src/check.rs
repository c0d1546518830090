//! Text -> a checked playbook, or everything that is wrong with it at once. The order: the text is made a tree with places
//! (`text::tree`); the values of parameters are put in (`params`, `bind`) and it is laid over what it extends (`base`); each
//! part of the tree is read by the file named after it, which reports and goes on; then what only the whole can show is
//! asked (`reach`). Deliberately no planning for hosts: what depends on the fleet is the plan's.
//!
//! Each reader returns `None` only after it has reported why, so a text without an error is always a playbook.

mod action;
mod amount;
mod base;
mod bind;
mod canary;
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
#[cfg(all(test, feature = "schema"))]
pub(crate) mod met;
mod monitor;
mod overrides;
mod packs;
mod params;
mod phases;
mod range;
mod reach;
mod stages;
mod step;
mod value;
mod waves;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use echelon_proto::{Digest, ParamName, limits::PLAYBOOK_BYTES_MAX};

use crate::{
    fault::{FAULTS_MAX, Fault, Faults, code},
    given::Given,
    model::{Base, Param, Playbook},
    text::{
        Mark, Source, emit,
        tree::{self, Key, Node, Value},
    },
};
use bind::GivenAt;
use fields::Shape;
use params::{Offer, Owner, READINGS_MAX, Stands};
use stages::Around;

/// A playbook without errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The playbook.
    pub playbook: Playbook,
    /// What is probably not meant, in the order of the lines.
    pub warnings: Vec<Fault>,
    /// The text of the playbook that it extends: with it and its own text it can be read again anywhere.
    pub base: Option<String>,
}

/// Reads a playbook with nothing but its text and the library: parameters have their defaults, and where there is none a
/// stand-in, so that everything else can be checked ([`Playbook::unset`] then names them).
///
/// # Errors
///
/// Everything that is wrong with the text, warnings included, in the order of its lines, up to
/// [`FAULTS_MAX`](crate::fault::FAULTS_MAX) faults.
pub fn read(text: &str) -> Result<Checked, Faults> {
    read_with(text, &Given::default())
}

/// Reads a playbook with values for its parameters and with the playbook that it extends.
///
/// # Errors
///
/// As [`read`], and what is wrong with a value or with the base: the latter under the base's name.
pub fn read_with(text: &str, given: &Given<'_>) -> Result<Checked, Faults> {
    let mut stands = Stands::default();
    let mut least: Option<Faults> = None;
    // A text as large as can be is read twice at the most, so that the time it takes stays bounded.
    let readings = (PLAYBOOK_BYTES_MAX / text.len().max(1)).clamp(2, READINGS_MAX);
    for _ in 0..readings {
        let failed = match Reading::of(text, given, &stands) {
            Ok(reading) => return Ok(reading.checked),
            Err(failed) => failed,
        };
        if least.as_ref().is_none_or(|least| failed.faults.0.len() < least.0.len()) {
            least = Some(failed.faults);
        }
        if !stands.next(&failed.blamed) {
            break;
        }
    }
    Err(least.unwrap_or_default())
}

/// The playbook as one text of its own: the values of parameters and what it extends are written out. That text is read
/// as the same playbook, but for its digest, parameters and base.
///
/// # Errors
///
/// As [`read_with`]; besides, every parameter must have a value.
pub fn flatten(text: &str, given: &Given<'_>) -> Result<String, Faults> {
    let stands = Stands::refused();
    let reading = Reading::of(text, given, &stands).map_err(|failed| failed.faults)?;
    let Value::Map(entries) = &reading.root.value else {
        return Ok(String::new());
    };
    let kept = |entry: &&(Key, Node)| !["params", "extends", "with"].contains(&entry.0.text.as_str());
    Ok(emit::emit(
        &entries.iter().filter(kept).collect::<Vec<_>>(),
        &reading.as_text,
    ))
}

/// One reading of a text, with one stand-in for each parameter that has no value.
struct Reading {
    checked: Checked,
    /// The tree that was checked.
    root: Node,
    as_text: BTreeSet<usize>,
}

struct Failed {
    faults: Faults,
    /// Parameters whose stand-ins have faults.
    blamed: BTreeSet<(Owner, String)>,
}

impl Reading {
    fn of(text: &str, given: &Given<'_>, stands: &Stands) -> Result<Self, Failed> {
        if text.len() > PLAYBOOK_BYTES_MAX {
            return Err(Failed {
                faults: Faults(vec![too_large(text)]),
                blamed: BTreeSet::new(),
            });
        }
        let source = Source::new(text);
        let (root, faults) = tree::parse(&source);
        let mut lint = Lint::new(source, faults);
        let whole = root.and_then(|root| whole(&mut lint, root, given, stands));
        let playbook = whole
            .as_ref()
            .and_then(|whole| playbook(&mut lint, &whole.root, Digest::of(text.as_bytes())));
        let (errors, as_text) = (lint.errors, std::mem::take(&mut lint.given.as_text));
        let blamed = std::mem::take(&mut lint.blamed);
        let faults = lint.finish();
        match (playbook, whole) {
            (Some(mut playbook), Some(whole)) if errors == 0 => {
                let (base, base_text) = whole.base.unzip();
                (playbook.base, playbook.params) = (base, whole.params);
                let checked = Checked {
                    playbook,
                    warnings: faults,
                    base: base_text,
                };
                Ok(Self {
                    checked,
                    root: whole.root,
                    as_text,
                })
            }
            _ => {
                debug_assert!(errors > 0, "a reader returned nothing and reported nothing");
                let faults = Faults(faults);
                Err(Failed { faults, blamed })
            }
        }
    }
}

/// A playbook with everything in it that is not in its own text.
struct Whole {
    root: Node,
    params: BTreeMap<ParamName, Param>,
    base: Option<(Base, String)>,
}

fn whole(lint: &mut Lint<'_>, mut root: Node, given: &Given<'_>, stands: &Stands) -> Option<Whole> {
    let mut section = params::declared(lint, &root, Owner::Own);
    let offer = |(name, text): (&ParamName, &String)| (name.to_string(), Offer::given(text));
    let values = section.values(lint, given.params.iter().map(offer).collect(), stands);
    let used = bind::put(lint, &mut root, &values, Owner::Own);
    section.report_unused(lint, &used);
    let extended = base::extend(lint, root, given, stands)?;
    Some(Whole {
        root: extended.root,
        params: section.kept(),
        base: extended.base,
    })
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
    optional: &[
        "gates",
        "invariants",
        "lanes",
        "on_failure",
        "rollback",
        "params",
        "extends",
        "with",
    ],
    later: &[],
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
    /// Where values of parameters stand.
    given: GivenAt,
    /// Parameters without a value whose stand-in has been found wrong somewhere.
    blamed: BTreeSet<(Owner, String)>,
}

impl<'t> Lint<'t> {
    fn new(source: Source<'t>, faults: Vec<Fault>) -> Self {
        let mut lint = Self {
            source,
            errors: 0,
            left_out: 0,
            faults: Vec::new(),
            given: GivenAt::default(),
            blamed: BTreeSet::new(),
        };
        lint.found(faults);
        lint
    }

    /// Adds errors that were found before.
    fn found(&mut self, mut faults: Vec<Fault>) {
        self.errors += faults.len();
        let room = FAULTS_MAX.saturating_sub(self.faults.len());
        self.left_out += faults.len().saturating_sub(room);
        faults.truncate(room);
        self.faults.append(&mut faults);
    }

    fn fault(&mut self, code: &'static str, at: Mark, message: impl AsRef<str>, help: impl AsRef<str>) {
        let is_warning = code.starts_with('W');
        if is_warning && self.source.is_of_base(at) {
            // What the base's author thought of is not for this one to mend.
            return;
        }
        self.errors += usize::from(!is_warning);
        let origin = self.origin(at);
        if self.faults.len() < FAULTS_MAX {
            let message = format!("{}{origin}", message.as_ref());
            let fault = self.source.fault(code, at, &message, help.as_ref());
            self.faults.push(fault);
        } else {
            self.left_out += 1;
        }
    }

    /// Says of a value which parameter it comes from; a stand-in there is noted.
    fn origin(&mut self, at: Mark) -> String {
        let mut text = String::new();
        for used in self.given.uses.get(&at.start).into_iter().flatten() {
            let base = self.source.base().filter(|_| used.owner == Owner::Base);
            let of = base.map(|(name, _)| format!(" of {name}")).unwrap_or_default();
            let param = &used.param;
            match &used.stand_in {
                None => text.push_str(&format!(" (from parameter `{param}`{of})")),
                Some(stand_in) => {
                    text.push_str(&format!(
                        " (parameter `{param}`{of} has no value, and was read as {stand_in})"
                    ));
                    self.blamed.insert((used.owner, param.clone()));
                }
            }
        }
        text
    }

    fn finish(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(place);
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

/// The text's own first, then the base's.
fn place(fault: &Fault) -> (bool, usize, usize) {
    (fault.source.is_some(), fault.line, fault.column)
}
