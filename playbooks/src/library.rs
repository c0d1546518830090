//! The playbooks that come with Echelon, as text: each can be used as it is, or be the start of one's own.

/// Name and text of each. Every text is read without faults and without warnings.
pub const LIBRARY: [(&str, &str); 2] = [
    ("systemd-rolling", include_str!("../library/systemd-rolling.yaml")),
    ("process-rolling", include_str!("../library/process-rolling.yaml")),
];
