//! What a playbook says beyond the files of `tests/scenarios`: one line, one change of its model. Scripts write the lines
//! themselves (`with ...`), chance draws them.

use echelon_playbooks::{
    Playbook,
    model::{
        Action, Amount, Ask, Content, Coupling, FileSpec, Grouping, HostKey, Invariant, OnTimeout, Operation, Override,
        Phase, Place, ReleaseGoal, Run, Unreachable,
    },
};

use crate::world::name;

/// Changes the playbook as the line says: its first word says what.
pub(crate) fn tune(playbook: &mut Playbook, line: &str) {
    let (what, rest) = line.split_once(' ').unwrap();
    let words: Vec<_> = rest.split(' ').collect();
    let condition = |from: usize| words[from..].join(" ").try_into().unwrap();
    match (what, words.as_slice()) {
        ("spread_by", keys) => playbook.stages[0].deploy.spread_by = keys.iter().map(|word| key(word)).collect(),
        ("group_by", [by, parallel, order @ ..]) => {
            playbook.stages[0].deploy.group = Some(Grouping {
                by: key(by),
                parallel: name(parallel),
                order: order.iter().map(|selector| name(selector)).collect(),
            });
        }
        ("override", [datacenter, limits @ ..]) => {
            let overrides = &mut playbook.stages[0].deploy.overrides;
            let other = overrides.entry(name(datacenter)).or_default();
            limits.iter().for_each(|limit| overrule(other, limit));
        }
        ("unreachable", [rule]) => {
            playbook.hosts.unreachable = match *rule {
                "debt" => Unreachable::Debt,
                "wait" => Unreachable::Wait,
                "fail" => Unreachable::Fail,
                other => panic!("{other}"),
            }
        }
        ("coupling", ["lockstep"]) => playbook.lanes.coupling = Coupling::Lockstep,
        ("coupling", ["lead", datacenter, lag]) => {
            playbook.lanes.coupling = Coupling::Lead {
                datacenter: name(datacenter),
                lag: name(lag),
            }
        }
        ("when", [of, ..]) => phase(playbook, of).when = Some(condition(1)),
        ("on_timeout", [of, rule]) => {
            phase(playbook, of).on_timeout = match *rule {
                "fail" => OnTimeout::Fail,
                "continue" => OnTimeout::Continue,
                "hold" => OnTimeout::Hold,
                other => panic!("{other}"),
            }
        }
        ("on", [of, "coordinator"]) => phase(playbook, of).on = Place::Coordinator,
        ("template", [of, path]) => phase(playbook, of).action = template(path),
        ("invariant", [invariant, ..]) => playbook.invariants.push(Invariant {
            name: (*invariant).into(),
            ask: Ask::Expr(condition(1)),
        }),
        ("guard", [guard, argv @ ..]) => playbook.invariants.push(Invariant {
            name: (*guard).into(),
            ask: Ask::Host(run(argv)),
        }),
        ("operation", [operation, to]) => {
            let keeps = Operation {
                to: name(to),
                release: ReleaseGoal::Same,
                via: Vec::new(),
            };
            playbook.machine.operations.insert(name(operation), keeps);
        }
        other => panic!("no such change: {other:?}"),
    }
}

fn key(word: &str) -> HostKey {
    match word.strip_prefix("labels.") {
        Some(label) => HostKey::Label(name(label)),
        None => HostKey::Pool,
    }
}

fn overrule(other: &mut Override, limit: &str) {
    match limit.split_once('=').unwrap() {
        ("max_parallel", value) => other.max_parallel = Some(name(value)),
        ("max_unavailable", value) => other.max_unavailable = Some(Amount::Hosts(name(value))),
        ("stagger", value) => other.stagger = Some(name(value)),
        other => panic!("{other:?}"),
    }
}

fn phase<'a>(playbook: &'a mut Playbook, of: &str) -> &'a mut Phase {
    let phases = &mut playbook.machine.phases;
    phases.iter_mut().find(|phase| phase.name.as_str() == of).unwrap()
}

fn run(argv: &[&str]) -> Action {
    Action::Run(Run {
        argv: argv.iter().map(|word| name(word)).collect(),
        env: Default::default(),
        cwd: None,
        user: None,
        limits: Default::default(),
        secrets: Default::default(),
    })
}

fn template(path: &str) -> Action {
    Action::File(FileSpec {
        path: name("conf/app.toml"),
        content: Content::Template(name(path)),
        mode: 0o644,
        owner: None,
        group: None,
    })
}
