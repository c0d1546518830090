//! The playbook of a seed: one machine, with what can be said of waves, gates and failures drawn anew. Deliberately a text
//! that a person pushes: nothing is set behind it.

use echelon_sim::{Chance, fill};

const TEXT: &str = include_str!("../playbooks/service.yaml");

/// A word of the text, and what may stand there.
const CHOICES: [(&str, &[&str]); 11] = [
    ("UNREACHABLE", &["debt", "wait", "fail"]),
    ("RETRY", &["{ max: 0, backoff: 1s }", "{ max: 2, backoff: 1s }"]),
    ("START_TIMEOUT", &["fail", "hold", "continue"]),
    ("GATE_FAIL", &["rollback", "hold"]),
    ("CANARY_GATES", &["[health]", "[health, signoff]", "[signoff]", "[]"]),
    ("REST_GATES", &["[]", "[health]"]),
    ("UNAVAILABLE", &["1", "34%", "50%"]),
    ("PARALLEL", &["1", "2", "10"]),
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
];

/// One for an app, drawn.
pub(crate) fn draw(chance: &mut Chance, name: &str, app: &str) -> String {
    fill(chance, &TEXT.replace("NAME", name).replace("APP", app), &CHOICES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_drawn_the_reader_takes() {
        let mut chance = Chance::new(3);
        for number in 0..200 {
            let text = draw(&mut chance, &format!("p{number}"), "web");
            let checked = echelon_playbooks::read(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
            assert_eq!(checked.playbook.name.as_str(), format!("p{number}"));
        }
    }
}
