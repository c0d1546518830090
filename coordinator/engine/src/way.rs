//! What is left of an operation for a host that has come some way already: the states that it must still pass.
//! Deliberately not which phases lead there: that is the machine's.

use echelon_playbooks::model::Operation;
use echelon_proto::StateName;

/// The operation without the states passed, which are given oldest first, the one it stands in last.
pub(crate) fn rest<'a>(operation: &Operation, passed: impl IntoIterator<Item = &'a StateName>) -> Operation {
    let mut via = operation.via.iter().peekable();
    for passed in passed {
        via.next_if(|next| *next == passed);
    }
    Operation {
        to: operation.to.clone(),
        release: operation.release,
        via: via.cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use echelon_playbooks::model::ReleaseGoal;

    use super::*;

    #[test]
    fn states_are_passed_in_the_order_of_the_operation_and_no_other() {
        let name = |name: &str| name.parse::<StateName>().unwrap();
        let operation = Operation {
            to: name("serving"),
            release: ReleaseGoal::Target,
            via: vec![name("drained"), name("stopped")],
        };
        let left = |passed: &[&str]| {
            let passed: Vec<_> = passed.iter().map(|state| name(state)).collect();
            rest(&operation, &passed).via
        };
        assert_eq!(left(&["serving"]), operation.via);
        assert_eq!(left(&["serving", "drained", "warm"]), [name("stopped")]);
        assert_eq!(
            left(&["stopped", "drained"]),
            [name("stopped")],
            "too early does not count"
        );
        assert!(left(&["drained", "stopped", "drained"]).is_empty());
    }
}
