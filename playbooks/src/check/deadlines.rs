//! The question: which gates can never pass before their deadline?
//!
//! The rule: a deadline counts from the end of the bake. A health gate is asked from the wave's last host on, so it has the
//! bake and the deadline to hold for as long as it must. An approval is asked when every health and soak gate of its wave
//! has passed, which is at the earliest when the longest of them has.
//!
//! An example: `{ kind: health, for: 30m }` has the default deadline of 10m. In a wave with `bake: 5m` it would have to
//! hold for 30m within 15m. With `bake: 1h` it passes.
//!
//! The edge cases: a gate is reported once, with the first wave in which it cannot pass. Soak, canary and window gates have no deadline.

use std::collections::BTreeMap;

use echelon_proto::{GateName, Span};

use super::{Lint, gates::Section};
use crate::{
    fault::code,
    model::{Gate, GateKind, Stage, Waves},
};

/// Reports gates that can never pass; nothing is said while gates or stages could not be read.
pub(super) fn report(lint: &mut Lint<'_>, section: &Section, stages: Option<&[Stage]>) {
    let (Some(gates), Some(stages)) = (&section.gates, stages) else {
        return;
    };
    let mut late = BTreeMap::new();
    for (wave, bake, names) in stages.iter().flat_map(waves) {
        let asked: Vec<_> = names.iter().filter_map(|name| gates.get_key_value(name)).collect();
        for (name, gate) in &asked {
            if let Some((least, most)) = never(gate, bake, &asked) {
                late.entry(*name).or_insert((wave, least, most));
            }
        }
    }
    for (name, (wave, least, most)) in late {
        let Some(at) = section.place(name) else { continue };
        let message =
            format!("`{name}` can never pass in the wave `{wave}`: it takes {least}, and expires after {most}");
        let help = "write a longer `deadline`, or ask for less";
        lint.fault(code::GATE_NEVER_IN_TIME, at, message, help);
    }
}

/// Name, bake and gates of each wave; all waves of a ladder are alike.
fn waves(stage: &Stage) -> Vec<(&str, Span, &[GateName])> {
    match &stage.deploy.waves {
        Waves::Listed(waves) => waves
            .iter()
            .map(|wave| (wave.name.as_str(), wave.bake, wave.gates.as_slice()))
            .collect(),
        Waves::Ladder { bake, gates } => vec![("w1", *bake, gates.as_slice())],
    }
}

/// How long a gate takes at the least and how long it has, both from the end of the bake but for health gates, which are
/// asked during it.
fn never(gate: &Gate, bake: Span, asked: &[(&GateName, &Gate)]) -> Option<(Span, Span)> {
    let deadline = gate.deadline?;
    let (least, most) = match gate.kind {
        GateKind::Health { hold_for, .. } => (hold_for, Span(bake.0.saturating_add(deadline.0))),
        GateKind::Approval { .. } => {
            let before = asked.iter().map(|(_, other)| match other.kind {
                GateKind::Health { hold_for, .. } => Span(hold_for.0.saturating_sub(bake.0)),
                GateKind::Soak { hold_for } => hold_for,
                GateKind::Canary(_) | GateKind::Approval { .. } | GateKind::Window(_) => Span::ZERO,
            });
            (before.max().unwrap_or(Span::ZERO), deadline)
        }
        GateKind::Canary(_) | GateKind::Soak { .. } | GateKind::Window(_) => return None,
    };
    (least >= most).then_some((least, most))
}
