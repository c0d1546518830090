//! A good time of day and week. Asked when all else of the wave has passed, so that what it says is true when the next
//! wave opens.

use echelon_playbooks::model::{Ajar, Window};

use super::{Answer, Question};
use crate::record::Verdict;

pub(super) fn ask(question: &Question<'_>, window: &Window) -> Answer {
    match window.at(question.now) {
        Ajar::Open(until) => Answer::new(Some(Verdict::Pass), format!("open until {}", window.told(until)), None),
        Ajar::Closed(Some(until)) => Answer::new(None, format!("closed until {}", window.told(until)), Some(until)),
        Ajar::Closed(None) => Answer::new(
            None,
            format!("closed, with no opening to come in {}", window.zone),
            None,
        ),
    }
}
