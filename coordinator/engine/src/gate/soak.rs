//! Time that has to pass after the bake.

use echelon_proto::Span;

use super::{Answer, Question};
use crate::record::Verdict;

pub(super) fn ask(question: &Question<'_>, hold_for: Span) -> Answer {
    let end = question.bake_end + hold_for;
    if question.now >= end {
        Answer::new(Some(Verdict::Pass), format!("{hold_for} have passed"), None)
    } else {
        Answer::new(
            None,
            format!("{} of {hold_for} to go", end.since(question.now)),
            Some(end),
        )
    }
}
