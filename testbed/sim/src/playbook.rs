//! The playbooks of a seed: one machine in the language of playbooks, with what can be said of waves, gates, failures and
//! the way back drawn anew for each. Deliberately texts that the reader checks, as people's are: nothing is set behind it.

use echelon_playbooks::{Checked, read};

use crate::chance::Chance;

const TEXT: &str = include_str!("../playbooks/service.yaml");

/// A line of the text, and what may stand there.
const CHOICES: [(&str, &[&str]); 23] = [
    ("UNREACHABLE", &["debt", "wait", "fail"]),
    ("STOP_UNDO", &["start", "start-again"]),
    ("START_RETRY", &["{ max: 0, backoff: 5s }", "{ max: 2, backoff: 5s }"]),
    ("START_TIMEOUT", &["fail", "hold", "continue"]),
    ("CHECK_TIMEOUT", &["fail", "continue"]),
    ("STOP_WHEN", &["", "", "", "when: \"host.labels.role == 'leader'\", "]),
    ("HEALTH_FAIL", &["rollback", "hold", "proceed"]),
    ("HEALTH_EXPIRE", &["rollback", "hold"]),
    ("SIGN_EXPIRE", &["rollback", "hold"]),
    ("SIGN_COUNT", &["1", "2"]),
    ("COUPLING", &["free", "lockstep", "{ lead: dc1, lag: canary }"]),
    ("LANE_FAILURE", &["rollback_all", "stop_all", "stop_lane"]),
    (
        "CANARY_GATES",
        &[
            "[health]",
            "[health, signoff]",
            "[settle]",
            "[]",
            "[compare]",
            "[compare, health]",
            "[hours]",
            "[health, signoff, hours]",
        ],
    ),
    ("DOUBT", &["extend", "hold", "rollback", "proceed"]),
    ("NO_DATA", &["extend", "hold", "rollback"]),
    (
        "MONITOR",
        &[
            "",
            "",
            ", monitor: { http: { url: \"http://127.0.0.1/\" }, every: 15s }",
        ],
    ),
    ("REST_GATES", &["[health]", "[]", "[settle, health]"]),
    ("UNAVAILABLE", &["1", "20%", "34%", "50%"]),
    ("PARALLEL", &["1", "3", "25"]),
    (
        "BUDGET",
        &[
            "{ hosts: 0, scope: datacenter }",
            "{ hosts: 2, scope: rollout }",
            "{ percent: 20%, scope: datacenter }",
        ],
    ),
    (
        "HOST_FAILURE",
        &[
            "{ retry: 1, then: quarantine }",
            "{ then: rollback }",
            "{ then: hold }",
            "{ retry: 2, then: rollback }",
        ],
    ),
    ("SPENT", &["rollback", "hold"]),
    ("NO_RETURN", &["", "", "", ", point_of_no_return: true"]),
];

/// What may be said besides, each in one playbook of three.
const BESIDES: [(&str, &str); 3] = [
    (
        "GROUPS",
        "      group_by: labels.shard\n      groups_parallel: 1\n      order_within_group: [\"role=follower\", \"role=leader\"]\n",
    ),
    ("SPREAD", "      spread_by: [labels.shard]\n"),
    (
        "INVARIANTS",
        "invariants:\n  - { name: quorum, expr: \"pool.in_service >= 2 || rollout.failed > 0\" }\n  - { name: settled, run: { argv: [bin/is-settled] } }\n",
    ),
];

/// The text with one of what may stand there for each word after an @.
pub fn fill(chance: &mut Chance, text: &str, choices: &[(&str, &[&str])]) -> String {
    choices.iter().fold(text.to_owned(), |text, (key, choices)| {
        let chosen = chance.of(choices).copied().unwrap_or_default();
        text.replace(&format!("@{key}"), chosen)
    })
}

/// One playbook for an app, drawn.
///
/// # Panics
/// The text is not one that the reader takes: a fault of this file.
#[must_use]
pub(crate) fn draw(chance: &mut Chance, name: &str, app: &str) -> (Checked, String) {
    let mut text = fill(chance, &TEXT.replace("NAME", name).replace("APP", app), &CHOICES);
    for (key, line) in BESIDES {
        let said = if chance.permille(333) { line } else { "" };
        text = text.replace(&format!("# @{key}\n"), said);
    }
    match read(&text) {
        Ok(checked) => (checked, text),
        Err(faults) => panic!("{faults}\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_drawn_the_reader_takes() {
        let mut chance = Chance::new(3);
        for number in 0..200 {
            let (checked, _) = draw(&mut chance, &format!("p{number}"), "web");
            assert_eq!(checked.playbook.name.as_str(), format!("p{number}"));
        }
    }
}
