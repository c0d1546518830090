//! What needs no coordinator: help, completions, contexts, lint.

use crate::shell::Shell;

async fn run(args: &[&str]) -> crate::shell::Ran {
    Shell::default().run(args).await
}

#[tokio::test]
async fn completions_know_every_verb_in_three_shells() {
    let help = run(&["--help"]).await;
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&["completions", shell]).await;
        assert_eq!(ran.exit, 0, "{ran:?}");
        for verb in [
            "plan",
            "start",
            "status",
            "approve",
            "reject",
            "promote",
            "pause",
            "resume",
            "retry",
            "skip",
            "abort",
            "rollback",
            "rollout",
            "release",
            "playbook",
            "host",
            "report",
            "context",
            "completions",
            "explain",
        ] {
            assert!(ran.out.contains(verb), "{shell} does not know {verb}");
            assert!(
                verb == "explain" || help.out.contains(verb),
                "help does not know {verb}"
            );
        }
    }
}

#[tokio::test]
async fn exit_codes_are_a_help_topic() {
    let ran = run(&["help", "exit-codes"]).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.out.contains("130  detached by Ctrl-C"), "{ran:?}");
    assert!(
        run(&["exit-codes"])
            .await
            .out
            .contains("11  the coordinator could not be reached")
    );
}

#[tokio::test]
async fn wrong_usage_is_exit_2_on_the_error_stream() {
    for args in [
        &["start"][..],
        &["frobnicate"],
        &["status", "r/7"],
        &["release", "create", "web", "1", "--url", "x"],
    ] {
        let ran = run(args).await;
        assert_eq!(ran.exit, 2, "{ran:?}");
        assert!(ran.out.is_empty() && ran.err.contains("error"), "{ran:?}");
    }
    assert_eq!(run(&["--version"]).await.exit, 0);
}

#[tokio::test]
async fn without_a_context_it_says_what_is_missing() {
    let ran = run(&["status"]).await;
    assert_eq!(ran.exit, 2, "{ran:?}");
    assert!(
        ran.err.contains("ECHELON_COORDINATOR") && ran.err.contains("echelon context set"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn contexts_are_set_used_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml").display().to_string();
    let context = async |args: &[&str]| run(&[&["--config", config.as_str(), "context"], args].concat()).await;
    assert_eq!(
        context(&["set", "test", "--coordinator", "https://c1:7444", "--ca", "/pki/ca.pem"])
            .await
            .exit,
        0
    );
    assert_eq!(
        context(&["set", "prod", "--coordinator", "https://c2:7444"]).await.exit,
        0
    );
    assert_eq!(context(&["set", "prod"]).await.exit, 2);
    let ran = context(&["show"]).await;
    assert!(
        ran.out.contains("✔ test") && ran.out.contains("coordinator  https://c1:7444"),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("/pki/ca.pem") && ran.out.contains("key          (not set)"),
        "{ran:?}"
    );
    assert_eq!(context(&["use", "prod"]).await.exit, 0);
    assert!(context(&["show"]).await.out.contains("coordinator  https://c2:7444"));
    assert!(
        context(&["show", "--context", "test"])
            .await
            .out
            .contains("coordinator  https://c1:7444")
    );
    let ran = context(&["use", "none"]).await;
    assert!(ran.exit == 2 && ran.err.contains("there are prod, test"), "{ran:?}");
}

#[tokio::test]
async fn lint_shows_every_fault_of_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.yaml");
    std::fs::write(&bad, "playbook: web\nversion: nine\nmachin: {}\n").unwrap();
    let worse = folder.path().join("worse.yaml");
    std::fs::write(&worse, "]").unwrap();
    let [bad, worse] = [bad, worse].map(|path| path.display().to_string());
    let ran = run(&["playbook", "lint", &bad, &worse]).await;
    assert_eq!(ran.exit, 2, "{ran:?}");
    for part in [format!("{bad}:2:"), format!("{bad}:3:"), format!("{worse}:1:")] {
        assert!(ran.out.contains(&part), "{part}: {}", ran.out);
    }
    let ran = run(&["playbook", "lint", &bad, "--output", "json"]).await;
    let faults: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert!(ran.exit == 2 && faults.as_array().unwrap().len() >= 2, "{ran:?}");
    assert_eq!(faults[0]["file"], bad);
    let ran = run(&["playbook", "lint", "/nonexistent/web.yaml"]).await;
    assert!(ran.exit == 1 && ran.err.contains("/nonexistent/web.yaml"), "{ran:?}");
}

#[tokio::test]
async fn the_shipped_playbooks_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in echelon_playbooks::LIBRARY {
        let file = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&file, text).unwrap();
        let ran = run(&["playbook", "lint", &file.display().to_string()]).await;
        assert_eq!(ran.exit, 0, "{name}: {ran:?}");
        assert!(ran.out.contains("is valid"), "{ran:?}");
    }
}

#[tokio::test]
async fn lint_reads_a_playbook_with_values_and_with_what_it_extends() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (_, library) = echelon_playbooks::LIBRARY[0];
    let base = library
        .replace(
            "name: systemd-rolling",
            "name: web-base\nparams: { hosts: { type: number } }",
        )
        .replace("max_parallel: 25", "max_parallel: \"${{ params.hosts }}\"");
    let base = file("base.yaml", &base);
    let web = "name: web\nversion: 1\nextends: web-base@1\nparams: { hosts: { type: number } }\n\
               with: { hosts: \"${{ params.hosts }}\" }\n";
    let web = file("web.yaml", web);
    let ran = run(&["playbook", "lint", &web]).await;
    assert!(
        ran.exit == 2 && ran.out.contains("error[E063]") && ran.out.contains("--base FILE"),
        "{ran:?}"
    );
    let ran = run(&["playbook", "lint", &web, "--base", &base]).await;
    assert!(ran.exit == 0 && ran.out.contains("web@1 is valid"), "{ran:?}");
    let ran = run(&["playbook", "lint", &web, "--base", &base, "--param", "hosts=0"]).await;
    assert!(ran.exit == 2 && ran.out.contains("--> web-base@1:"), "{ran:?}");
    let line = [
        "playbook", "lint", &web, "--base", &base, "--param", "hosts=0", "--output", "json",
    ];
    let faults: serde_json::Value = serde_json::from_str(&run(&line).await.out).unwrap();
    assert_eq!(
        (&faults[0]["file"], &faults[0]["source"]),
        (&"web-base@1".into(), &"web-base@1".into())
    );
    let ran = run(&["playbook", "lint", &web, "--param", "hosts"]).await;
    assert!(ran.exit == 2 && ran.err.contains("NAME=VALUE"), "{ran:?}");
    let ran = run(&["playbook", "lint", &web, "--base", &web]).await;
    assert!(
        ran.exit == 2 && ran.err.contains("web.yaml is not a valid playbook"),
        "{ran:?}"
    );
}
