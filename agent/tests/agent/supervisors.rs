//! Supervisors as systemd starts them, in units of their own: whoever is started twice runs its program once.

use std::{fs, process::Command};

use crate::sandbox::AGENT;

#[test]
fn of_two_supervisors_of_one_program_one_runs_it_and_the_other_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("main");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("lock"), "").unwrap();
    let script = "echo ran >>ran; sleep 0.2; exit 7";
    let spec = serde_json::json!({
        "argv": ["/bin/sh", "-c", script],
        "env": { "PATH": "/usr/bin:/bin" },
        "cwd": folder.path(),
        "user": null,
        "timeout_ms": 60_000,
        "fence": null,
    });
    fs::write(dir.join("spec.json"), spec.to_string()).unwrap();
    let supervise = || {
        Command::new(AGENT)
            .args(["supervise", "--unit"])
            .arg(&dir)
            .spawn()
            .unwrap()
    };
    let both = [supervise(), supervise()];
    for mut supervisor in both {
        assert!(supervisor.wait().unwrap().success());
    }
    // And one that comes when all is over.
    assert!(supervise().wait().unwrap().success());
    assert_eq!(fs::read_to_string(folder.path().join("ran")).unwrap(), "ran\n");
    let exit: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("exit")).unwrap()).unwrap();
    assert_eq!(exit["code"], 7);
}
