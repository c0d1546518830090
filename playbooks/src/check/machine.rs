//! The machine: states, phases, compensations, operations, and the names by which they refer to one another.

use std::collections::BTreeMap;

use echelon_proto::{OperationName, StateName};

use super::{
    Lint, choice,
    fields::Shape,
    monitor, phases, reach,
    value::{Kind, Known},
};
use crate::{
    fault::code,
    model::{Machine, Operation, Phase, ReleaseGoal, State, Traffic},
    text::{
        Mark,
        tree::{Key, Node, Value},
    },
};

/// States of one machine. The checks of the whole keep (state, on target or not) in the bits of one number.
pub(super) const STATES_MAX: usize = 64;
pub(super) const PHASES_MAX: usize = 256;
const OPERATIONS_MAX: usize = 32;
/// States that one operation passes, and `from` of one phase.
pub(super) const VIA_MAX: usize = 64;

pub(super) const STATE: Kind = Kind {
    noun: "state",
    code: code::UNKNOWN_STATE,
};

const MACHINE: Shape = Shape {
    what: "`machine`",
    required: &[
        ("initial", "initial: absent"),
        (
            "states",
            "states: { absent: { traffic: none }, serving: { traffic: full } }",
        ),
        ("phases", "phases: [{ name: install, from: absent, to: serving, ... }]"),
        ("operations", "operations: { deploy: { to: serving, release: target } }"),
    ],
    optional: &["compensations"],
    later: &[],
    elsewhere: &[
        ("invariants", "they belong to the playbook, beside `machine`"),
        ("extends", "it belongs to the playbook, beside `machine`"),
    ],
};

/// What was read of the machine.
#[derive(Default)]
pub(super) struct Section {
    pub(super) machine: Option<Machine>,
    /// What a stage may name.
    pub(super) operations: Known,
}

/// Where the parts of a machine are written.
#[derive(Default)]
pub(super) struct Places {
    pub(super) states: BTreeMap<StateName, Mark>,
    pub(super) monitors: BTreeMap<StateName, Mark>,
    /// In the order of the machine's phases.
    pub(super) phases: Vec<Mark>,
    pub(super) operations: BTreeMap<OperationName, Mark>,
    pub(super) initial: Option<Mark>,
}

/// Names that the parts of a machine refer to.
pub(super) struct Names {
    pub(super) states: Known,
    /// Phases and compensations.
    pub(super) phases: Known,
}

pub(super) fn machine(lint: &mut Lint<'_>, node: Option<&Node>) -> Section {
    let errors = lint.errors;
    let Some(fields) = node.and_then(|node| lint.fields(node, &MACHINE)) else {
        return Section::default();
    };
    let names = Names {
        states: keys(fields.get("states")),
        phases: phases::names(fields.get("phases"), fields.get("compensations")),
    };
    let mut places = Places {
        initial: fields.get("initial").map(|node| node.at),
        ..Places::default()
    };
    let initial = fields
        .get("initial")
        .and_then(|node| lint.reference(node, "initial", STATE, &names.states));
    let states = fields.get("states").and_then(|node| states(lint, node, &mut places));
    let drafts = fields.get("phases").and_then(|node| phases::phases(lint, node, &names));
    let compensations = fields.or("compensations", Vec::new(), |node| phases::compensations(lint, node));
    let operations = fields
        .get("operations")
        .and_then(|node| operations(lint, node, &names, &mut places));
    phases::report_twice(lint, fields.get("phases"), fields.get("compensations"));
    // The ways through a machine that is not as it was meant would only be noise; a missing undo is no matter of ways.
    let clean = lint.errors == errors;
    if let (Some(initial), Some(states), Some(drafts)) = (&initial, &states, &drafts) {
        reach::report_no_undo(lint, initial, states, drafts);
        monitor::report_of_initial(lint, initial, &places);
        places.phases = drafts.iter().map(|draft| draft.at).collect();
    }
    let phases = drafts.and_then(|drafts| drafts.into_iter().map(|draft| draft.phase).collect());
    let machine = assembled(initial, states, phases, compensations, operations);
    if let Some(machine) = machine.as_ref().filter(|_| clean) {
        reach::report(lint, machine, &places);
        choice::report(lint, machine, &places);
    }
    Section {
        machine,
        operations: keys(fields.get("operations")),
    }
}

fn assembled(
    initial: Option<StateName>,
    states: Option<BTreeMap<StateName, State>>,
    phases: Option<Vec<Phase>>,
    compensations: Option<Vec<Phase>>,
    operations: Option<BTreeMap<OperationName, Operation>>,
) -> Option<Machine> {
    Some(Machine {
        initial: initial?,
        states: states?,
        phases: phases?,
        compensations: compensations?,
        operations: operations?,
    })
}

/// The keys of a mapping, right or wrong: a name that is wrong in itself is not also unknown where it is used.
pub(super) fn keys(node: Option<&Node>) -> Known {
    match &node?.value {
        Value::Map(entries) => Some(entries.iter().map(|(key, _)| key.text.clone()).collect()),
        _ => None,
    }
}

const STATE_SHAPE: Shape = Shape {
    what: "a state",
    required: &[("traffic", "traffic: none")],
    optional: &["point_of_no_return", "monitor"],
    later: &[],
    elsewhere: &[
        ("http", "it belongs into `monitor`: { monitor: { http: ... } }"),
        ("tcp", "it belongs into `monitor`: { monitor: { tcp: ... } }"),
        ("run", "it belongs into `monitor`: { monitor: { run: ... } }"),
    ],
};

fn states(lint: &mut Lint<'_>, node: &Node, places: &mut Places) -> Option<BTreeMap<StateName, State>> {
    let entries = lint.entries(node, "`states`", STATES_MAX)?;
    not_empty(lint, node, entries, "`states`")?;
    let mut states = BTreeMap::new();
    for (key, node) in entries {
        let name: Option<StateName> = lint.key_name(key, "state");
        let monitored = node.get("monitor").map(|node| node.at);
        let state = state(lint, node);
        if let (Some(name), Some(state)) = (name, state) {
            places.states.insert(name.clone(), key.at);
            if let Some(at) = monitored {
                places.monitors.insert(name.clone(), at);
            }
            states.insert(name, state);
        }
    }
    (states.len() == entries.len()).then_some(states)
}

fn state(lint: &mut Lint<'_>, node: &Node) -> Option<State> {
    let fields = lint.fields(node, &STATE_SHAPE)?;
    let words = [
        ("none", Traffic::None),
        ("leaving", Traffic::Leaving),
        ("full", Traffic::Full),
    ];
    let traffic = fields
        .get("traffic")
        .and_then(|node| lint.choice(node, "traffic", &words, &[]));
    let point_of_no_return = fields.or("point_of_no_return", false, |node| {
        lint.truth(node, "point_of_no_return")
    });
    let monitor = fields.or("monitor", None, |node| monitor::monitor(lint, node).map(Some));
    Some(State {
        traffic: traffic?,
        point_of_no_return: point_of_no_return?,
        monitor: monitor?,
    })
}

const OPERATION: Shape = Shape {
    what: "an operation",
    required: &[("to", "to: serving")],
    optional: &["release", "via"],
    later: &[],
    elsewhere: &[
        ("from", "an operation starts from wherever a host stands"),
        ("when", "conditions are of phases"),
    ],
};

fn operations(
    lint: &mut Lint<'_>,
    node: &Node,
    names: &Names,
    places: &mut Places,
) -> Option<BTreeMap<OperationName, Operation>> {
    let entries = lint.entries(node, "`operations`", OPERATIONS_MAX)?;
    not_empty(lint, node, entries, "`operations`")?;
    let mut operations = BTreeMap::new();
    for (key, node) in entries {
        let name: Option<OperationName> = lint.key_name(key, "operation");
        let operation = operation(lint, node, names);
        if let (Some(name), Some(operation)) = (name, operation) {
            places.operations.insert(name.clone(), key.at);
            operations.insert(name, operation);
        }
    }
    (operations.len() == entries.len()).then_some(operations)
}

fn operation(lint: &mut Lint<'_>, node: &Node, names: &Names) -> Option<Operation> {
    let fields = lint.fields(node, &OPERATION)?;
    let to = fields
        .get("to")
        .and_then(|node| lint.reference(node, "to", STATE, &names.states));
    let words = [("target", ReleaseGoal::Target), ("same", ReleaseGoal::Same)];
    let release = fields.or("release", ReleaseGoal::Same, |node| {
        lint.choice(node, "release", &words, &[])
    });
    let via = fields.or("via", Vec::new(), |node| {
        let items = lint.list(node, "via", VIA_MAX)?;
        lint.each(items, |lint, item| lint.reference(item, "via", STATE, &names.states))
    });
    Some(Operation {
        to: to?,
        release: release?,
        via: via?,
    })
}

fn not_empty(lint: &mut Lint<'_>, node: &Node, entries: &[(Key, Node)], what: &str) -> Option<()> {
    if entries.is_empty() {
        lint.fault(
            code::EMPTY,
            node.at,
            format!("{what} is empty"),
            "it needs at least one entry",
        );
        return None;
    }
    Some(())
}
