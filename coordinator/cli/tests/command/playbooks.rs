//! What is done with playbooks without a running fleet: linted and explained.

use std::{fs, path::Path};

use echelon_playbooks::LIBRARY;
use serde_json::Value;
use tempfile::TempDir;

use crate::shell::{Ran, Shell};

/// The keys are all there, and most have faults and warnings of their own.
const WARNED: &str = "warnings-and-an-error.yaml";

/// A folder with playbooks in it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

fn library() -> &'static str {
    LIBRARY.iter().find(|(name, _)| *name == "systemd-rolling").unwrap().1
}

pub(crate) fn corpus(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks/tests");
    fs::read_to_string(root.join(name)).unwrap()
}

async fn run(args: &[&str]) -> Ran {
    let args: Vec<_> = ["playbook"].iter().chain(args).copied().collect();
    Shell::default().run(&args).await
}

/// With this piped in.
pub(crate) async fn piped(text: &str, args: &[&str]) -> Ran {
    let args: Vec<_> = ["playbook"].iter().chain(args).copied().collect();
    let shell = Shell {
        input: text.as_bytes().to_vec(),
        ..Shell::default()
    };
    shell.run(&args).await
}

#[tokio::test]
async fn what_is_piped_in_is_linted() {
    let ran = piped(library(), &["lint", "-"]).await;
    assert_eq!(
        (ran.exit, ran.out.as_str()),
        (0, "✔ <stdin>: systemd-rolling@1 is valid\n")
    );
    let ran = piped("version: 0", &["lint", "-"]).await;
    assert!(ran.exit == 2 && ran.out.contains("<stdin>:1:10"), "{ran:?}");
    assert!(ran.out.contains("next: echelon playbook explain E0"), "{ran:?}");
    let ran = piped(&"#".repeat(1024 * 1024 + 1), &["lint", "-"]).await;
    assert!(
        ran.exit == 2 && ran.err.contains("more than a playbook may have"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn warnings_are_let_through_unless_they_are_denied() {
    let folder = Folder::new();
    let file = folder.put(
        "warned.yaml",
        &corpus(&format!("faults/{WARNED}")).replace("version: 0", "version: 1"),
    );
    let ran = run(&["lint", &file]).await;
    assert!(
        ran.exit == 0 && ran.out.contains("warning[W103]") && ran.out.contains("is valid"),
        "{ran:?}"
    );
    let ran = run(&["lint", &file, "--deny-warnings"]).await;
    assert!(
        ran.exit == 2 && ran.out.contains("--deny-warnings refuses: 3"),
        "{ran:?}"
    );
    assert!(!ran.out.contains("is valid"), "{ran:?}");
    let ran = run(&["lint", &folder.put("good.yaml", library()), "--deny-warnings"]).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
}

#[tokio::test]
async fn sarif_is_what_its_standard_says_and_points_where_the_fault_is() {
    let folder = Folder::new();
    let bad = folder.put("roll out.yaml", &corpus(&format!("faults/{WARNED}")));
    let good = folder.put("good.yaml", library());
    let ran = run(&["lint", &bad, &good, "/nonexistent/web.yaml", "--format", "sarif"]).await;
    assert_eq!(ran.exit, 2, "{ran:?}");
    let log: Value = serde_json::from_str(&ran.out).unwrap();
    // Types made from the standard's schema: what they do not know would be lost on the way through them.
    let known: serde_sarif::sarif::Sarif = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(serde_json::to_value(known).unwrap(), log);

    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(rules.len() > 40, "{}", rules.len());
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 4, "{results:?}");
    let level = |level: &str| results.iter().filter(|result| result["level"] == level).count();
    assert_eq!((level("error"), level("warning")), (1, 3));
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    let place = &results[0]["locations"][0]["physicalLocation"];
    let region = &place["region"];
    assert_eq!(results[0]["ruleId"], "E021");
    assert_eq!(
        (&region["startLine"], &region["startColumn"], &region["endColumn"]),
        (&2.into(), &10.into(), &11.into())
    );
    let uri = place["artifactLocation"]["uri"].as_str().unwrap();
    assert!(
        uri.starts_with("file:///") && uri.ends_with("/roll%20out.yaml"),
        "{uri}"
    );
    let invocation = &run["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    let said = invocation["toolExecutionNotifications"][0]["message"]["text"]
        .as_str()
        .unwrap();
    assert!(said.contains("/nonexistent/web.yaml"), "{said}");
}

#[tokio::test]
async fn a_code_is_explained_with_an_example_and_a_way_to_mend_it() {
    let ran = run(&["explain", "e041"]).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    for part in [
        "E041  An operation that no host can do.",
        "    machine:",
        "To mend it: ",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let all = run(&["explain"]).await;
    assert!(all.out.lines().count() > 40 && all.out.contains("W104  "), "{all:?}");
    let ran = run(&["explain", "E999"]).await;
    assert!(ran.exit == 2 && ran.err.contains("no code \"E999\""), "{ran:?}");
}
