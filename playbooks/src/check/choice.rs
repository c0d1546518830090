//! The question: which of two phases that lead from the same state to the same state is taken?
//!
//! The rule: the planner takes the one written first, always. A later one whose work the earlier does too (it sets the
//! release, or the later does not) is never chosen.
//!
//! An example: `start-small` and `start-large`, both `stopped -> running`, each with its `when`. `when` does not choose: a
//! phase whose `when` is false is passed over as done, so `start-large` never runs. That is not what was meant:
//! [`code::OVERLAP`]. So is `install` before `start`, both `stopped -> running`: a restart would install.
//!
//! The edge cases: as the undo of another a phase has a use, even if no path takes it.

use std::collections::BTreeSet;

use super::{Lint, machine::Places};
use crate::{
    fault::code,
    model::{Machine, Phase},
    text::Mark,
};

/// Reports phases that the planner never takes.
pub(super) fn report(lint: &mut Lint<'_>, machine: &Machine, places: &Places) {
    let undone_by: BTreeSet<_> = machine.phases.iter().filter_map(|phase| phase.undo.as_ref()).collect();
    for (index, (phase, at)) in machine.phases.iter().zip(&places.phases).enumerate() {
        if undone_by.contains(&phase.name) {
            continue;
        }
        let to_itself = phase
            .to
            .as_ref()
            .filter(|to| phase.from.contains(to) && !phase.sets_release);
        if let Some(to) = to_itself {
            let message = format!(
                "`{}` is never chosen from `{to}`: it leads back to where it starts",
                phase.name
            );
            lint.fault(code::NEVER_CHOSEN, *at, message, "let it lead to a state of its own");
            continue;
        }
        let hidden = phase.from.iter().find_map(|from| {
            let instead = |earlier: &&Phase| {
                let as_much = earlier.sets_release || !phase.sets_release;
                as_much && earlier.to == phase.to && earlier.from.contains(from)
            };
            Some((from.as_str(), machine.phases[..index].iter().find(instead)?))
        });
        if let Some((from, earlier)) = hidden {
            report_hidden(lint, *at, from, earlier, phase);
        }
    }
}

fn report_hidden(lint: &mut Lint<'_>, at: Mark, from: &str, earlier: &Phase, phase: &Phase) {
    let never = format!(
        "`{}` is never chosen from `{from}`: `{}`, written first, leads to the same state",
        phase.name, earlier.name
    );
    if earlier.when.is_some() || phase.when.is_some() {
        let message = format!("{never}, and `when` does not choose between phases");
        let help = "a phase whose `when` is false is passed over as done: let one lead to a state from which the other goes on";
        lint.fault(code::OVERLAP, at, message, help);
    } else if earlier.sets_release && !phase.sets_release {
        let message = format!("{never} and sets the release too: an operation with `release: same` would install");
        let help = format!(
            "write `{}` before `{}`, or give them different states",
            phase.name, earlier.name
        );
        lint.fault(code::OVERLAP, at, message, help);
    } else {
        let help = format!("take `{from}` away from one of them, or give them different states");
        lint.fault(code::NEVER_CHOSEN, at, never, help);
    }
}
