//! Seeds as the testbed runs them, each in a process: that they come to their end, and that the same seed goes the same to
//! the last line. Deliberately few: `cargo verify` runs hundreds.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

/// What it says, and its story.
fn run(seed: u64, hosts: u32, folder: &Path, name: &str) -> (Value, String) {
    let story = folder.join(name);
    // Bounded by its own time, and by this one's if that should stand still.
    let ran = Command::new("timeout")
        .args(["300", env!("CARGO_BIN_EXE_echelon-stack")])
        .args(["--seed", &seed.to_string(), "--hosts", &hosts.to_string(), "--story"])
        .arg(&story)
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said} {errors}");
    (serde_json::from_str(&said).unwrap(), fs::read_to_string(story).unwrap())
}

#[test]
fn a_seed_goes_the_same_again_to_the_last_line_and_another_goes_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (first, story) = run(2, 6, folder.path(), "first");
    let (again, same) = run(2, 6, folder.path(), "again");
    assert_eq!(story, same);
    assert_eq!(first, again);
    let (other, _) = run(3, 6, folder.path(), "other");
    assert_ne!(first["hash"], other["hash"]);
}

#[test]
fn hosts_join_over_the_wire_programs_run_and_rollouts_reach_an_outcome_through_what_goes_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (said, story) = run(2, 6, folder.path(), "story");
    let reached = said["reached"].to_string();
    for name in ["host_joined", "host_attached", "phase_done", "ended_"] {
        assert!(reached.contains(name), "{name} is not in {reached}");
    }
    assert!(!said["faults"].as_object().unwrap().is_empty());
    assert_eq!(said["violation"], Value::Null);
    assert!(story.lines().any(|line| line.contains(" begins r1/")), "{story}");
}
