//! The playbooks that come with Echelon, as text: each can be used as it is, or be the start of one's own.

/// Name and text of each. Every text is read without faults and without warnings.
pub const LIBRARY: [(&str, &str); 10] = [
    ("systemd-rolling", include_str!("../library/systemd-rolling.yaml")),
    ("process-rolling", include_str!("../library/process-rolling.yaml")),
    ("glu-default", include_str!("../library/glu-default.yaml")),
    ("edge-dc", include_str!("../library/edge-dc.yaml")),
    ("tomcat-haproxy", include_str!("../library/tomcat-haproxy.yaml")),
    ("blue-green", include_str!("../library/blue-green.yaml")),
    ("stateful-shards", include_str!("../library/stateful-shards.yaml")),
    ("canary-then-all", include_str!("../library/canary-then-all.yaml")),
    ("command", include_str!("../library/command.yaml")),
    ("agent-upgrade", include_str!("../library/agent-upgrade.yaml")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SCHEMA_FILE;

    #[test]
    fn every_playbook_names_its_schema_in_its_first_line() {
        for (name, text) in LIBRARY {
            let line = format!("# yaml-language-server: $schema={SCHEMA_FILE}");
            assert_eq!(text.lines().next(), Some(line.as_str()), "{name}");
        }
    }
}
