//! What is done with playbooks without a running fleet: linted, explained, compared, copied.

use std::{
    fs,
    path::{Path, PathBuf},
};

use echelon_playbooks::LIBRARY;
use echelon_proto::wire::control::{GetPlaybookRequest, Playbook};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    fake::Fake,
    shell::{Ran, Shell, flags},
};

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

#[tokio::test]
async fn what_is_rendered_is_valid_and_means_the_same() {
    let folder = Folder::new();
    let ran = run(&["render", "library/systemd-rolling"]).await;
    assert!(ran.exit == 0 && ran.out.contains("stagger: 0s"), "{ran:?}");
    let rendered = folder.put("rendered.yaml", &ran.out);
    let ran = run(&["diff", "library/systemd-rolling", &rendered, "--detailed-exitcode"]).await;
    assert_eq!(
        (ran.exit, ran.out.as_str()),
        (0, "✔ systemd-rolling@1 and systemd-rolling@1 mean the same\n")
    );
    let ran = piped("name: x", &["render", "-"]).await;
    assert!(
        ran.exit == 2 && ran.out.is_empty() && ran.err.contains("error[E012]"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_diff_says_what_a_change_means_and_ends_with_its_own_number() {
    let folder = Folder::new();
    let old = folder.put("old.yaml", library());
    let new = library()
        .replace("version: 1", "version: 2")
        .replace("max_unavailable: 10%", "max_unavailable: 20%")
        .replace("    restart: { via: [stopped], to: serving, release: same }\n", "");
    let new = folder.put("new.yaml", &new);
    let ran = run(&["diff", &old, &new]).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    insta::assert_snapshot!(ran.out);
    let ran = run(&["diff", &old, &new, "--detailed-exitcode", "--format", "json"]).await;
    let changes: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(ran.exit, 10, "{ran:?}");
    assert_eq!(changes[1]["turn"], "more");
    assert_eq!((&changes[1]["old"], &changes[1]["new"]), (&"10%".into(), &"20%".into()));
    let ran = run(&["diff", &old, &new, "--text", "--detailed-exitcode"]).await;
    assert_eq!(ran.exit, 10, "{ran:?}");
    assert!(ran.out.contains("-version: 1\n+version: 2\n"), "{ran:?}");
    assert!(ran.out.starts_with(&format!("--- {old}\n+++ {new}\n@@ ")), "{ran:?}");
}

#[tokio::test]
async fn a_playbook_that_is_no_file_is_asked_of_the_coordinator() {
    let fake = Fake::start().await;
    let stored = Playbook {
        text: library().replace("version: 1", "version: 3"),
        ..Playbook::default()
    };
    let asked = fake.record::<GetPlaybookRequest, _>("get_playbook", stored);
    let folder = Folder::new();
    let old = folder.put("old.yaml", library());
    let flags = flags(&fake);
    let mut args = vec!["playbook", "diff", old.as_str(), "systemd-rolling@3"];
    args.extend(flags.iter().map(String::as_str));
    let ran = Shell::default().run(&args).await;
    assert!(
        ran.exit == 0
            && ran
                .out
                .contains("systemd-rolling@1 and systemd-rolling@3 mean the same"),
        "{ran:?}"
    );
    assert_eq!(asked.lock().unwrap()[0].name, "playbooks/systemd-rolling/versions/3");
    let ran = run(&["graph", "systemd-roling"]).await;
    assert!(
        ran.exit == 2 && ran.err.contains("there is no file \"systemd-roling\" here"),
        "{ran:?}"
    );
    let ran = run(&["graph", "roling.yaml"]).await;
    assert!(ran.exit == 1 && ran.err.contains("cannot read roling.yaml"), "{ran:?}");
}

#[tokio::test]
async fn a_new_playbook_is_a_copy_and_nothing_is_written_over() {
    let folder = Folder::new();
    let file = folder.path("checkout.yaml");
    let ran = run(&["new", "checkout", "--from", "systemd-rolling", "-o", &file]).await;
    assert!(
        ran.exit == 0 && ran.err.contains("next: echelon playbook lint"),
        "{ran:?}"
    );
    assert!(ran.err.contains("playbook schema -o"), "{ran:?}");
    let made = fs::read_to_string(&file).unwrap();
    assert!(made.contains("\nname: checkout\nversion: 1\n") && made.contains("# A service of the host's systemd"));
    assert_eq!(run(&["lint", &file, "--deny-warnings"]).await.exit, 0);

    let ran = run(&["new", "other", "--from", &file, "-o", &file]).await;
    assert!(ran.exit == 2 && ran.err.contains("is there already"), "{ran:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), made);

    let ran = run(&["new", "other", "--from", &file, "-o", "-"]).await;
    assert_eq!(ran.out, made.replace("name: checkout", "name: other"), "{}", ran.err);
    let list = run(&["new", "--list"]).await;
    assert!(
        list.out
            .contains("systemd-rolling  A service of the host's systemd, rolled in four waves."),
        "{list:?}"
    );
    let ran = run(&["new", "other", "--from", "systemd"]).await;
    assert!(ran.exit == 2 && ran.err.contains("playbook new --list"), "{ran:?}");
    for wrong in [
        &["new"][..],
        &["new", "other"],
        &["new", "--from", "x"],
        &["new", "a b", "--from", "x"],
    ] {
        assert_eq!(run(wrong).await.exit, 2, "{wrong:?}");
    }
}

#[tokio::test]
async fn whatever_of_the_library_one_begins_with_is_clean_and_can_be_rehearsed() {
    let folder = Folder::new();
    for (name, _) in LIBRARY {
        let (from, file) = (format!("library/{name}"), folder.path(&format!("{name}.yaml")));
        let ran = run(&["new", "mine", "--from", &from, "-o", &file]).await;
        assert!(ran.exit == 0 && ran.out.contains("is mine@1"), "{name}: {ran:?}");
        let ran = run(&["lint", &file, "--deny-warnings"]).await;
        assert_eq!(ran.exit, 0, "{name}: {ran:?}");
        let mut args = vec!["simulate", &file, "--hosts", "4"];
        if name == "command" {
            args.extend(["--param", "command=uptime"]);
        }
        let ran = run(&args).await;
        assert!(
            ran.exit == 0 && ran.out.contains("SUCCEEDED  mine@1"),
            "{name}: {ran:?}"
        );
    }
}

#[tokio::test]
async fn what_extends_another_and_has_parameters_is_rendered_drawn_and_compared_as_it_is_given() {
    let folder = Folder::new();
    let base = library()
        .replace(
            "name: systemd-rolling",
            "name: web-base\nparams: { unit: { type: text }, out: 10% }",
        )
        .replacen("${{ release.app }}.service", "${{ params.unit }}", 1)
        .replace("max_unavailable: 10%", "max_unavailable: \"${{ params.out }}\"");
    let base = folder.put("base.yaml", &base);
    let web = "name: web\nversion: 1\nextends: web-base@1\nparams: { unit: { type: text } }\n\
               with: { unit: \"${{ params.unit }}\", out: 5% }\n";
    let web = folder.put("web.yaml", web);
    let given = ["--base", &base, "--param", "unit=shop.service"];

    let rendered = run(&[&["render", web.as_str()][..], &given].concat()).await;
    assert_eq!(rendered.exit, 0, "{rendered:?}");
    for part in ["unit: shop.service\n", "max_unavailable: 5%\n"] {
        assert!(rendered.out.contains(part), "{part}: {}", rendered.out);
    }
    assert!(
        !rendered.out.contains("params") && !rendered.out.contains("extends"),
        "{rendered:?}"
    );
    let lacks = run(&["render", &web, "--base", &base]).await;
    assert!(
        lacks.exit == 2 && lacks.out.is_empty() && lacks.err.contains("`--param unit=...`"),
        "{lacks:?}"
    );

    let drawn = run(&[&["graph", web.as_str()][..], &given].concat()).await;
    assert!(drawn.exit == 0 && drawn.out.contains("unit: shop.service"), "{drawn:?}");
    let lacks = run(&["graph", &web]).await;
    assert!(lacks.exit == 2 && lacks.err.contains("--base FILE"), "{lacks:?}");

    let flat = folder.put("flat.yaml", &rendered.out);
    let compared = run(&[&["diff", web.as_str(), &flat, "--format", "json"][..], &given].concat()).await;
    // What was extended and declared is gone, and nothing that came of it is different.
    let changes: Value = serde_json::from_str(&compared.out).unwrap_or_else(|_| panic!("{compared:?}"));
    let paths: Vec<_> = changes
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["path"])
        .collect();
    assert_eq!(paths, ["extends", "params"], "{compared:?}");
    let neither = run(&["diff", &flat, &flat, "--param", "unit=shop.service"]).await;
    assert!(
        neither.exit == 2 && neither.err.contains("has a parameter `unit`"),
        "{neither:?}"
    );
}

#[tokio::test]
async fn the_tools_of_the_playbooks_readme_print_what_it_shows() {
    let readme = include_str!("../../../../playbooks/README.md");
    let block = |kind: &str, text: &str| {
        let opening = format!("```{kind}\n");
        let blocks = text.split(&opening).skip(1);
        let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
        blocks.collect::<Vec<_>>()
    };
    let storefront = block("yaml", readme).remove(0);
    let folder = Folder::new();
    let file = folder.put("storefront.yaml", &storefront);
    folder.put("slip.yaml", &storefront.replace("undo: start }", "undo: strat }"));
    let deploy = "    deploy: { to: serving, release: target }\n";
    let restart = format!("{deploy}    restart: {{ via: [stopped], to: serving, release: same }}\n");
    let faster = storefront
        .replace("version: 1", "version: 2")
        .replace("timeout: 90s", "timeout: 30s")
        .replace("max_unavailable: 10%", "max_unavailable: 20%")
        .replace(deploy, &restart);
    folder.put("faster.yaml", &faster);

    let tools = &readme[readme.find("\n## Tools\n").unwrap()..];
    let shown = block("console", tools).concat();
    let commands = shown.split("$ echelon playbook ").skip(1);
    let mut looked = 0;
    for (command, output) in commands.map(|one| one.split_once('\n').unwrap()) {
        let place = |arg: &str| {
            if arg.ends_with(".yaml") {
                folder.path(arg)
            } else {
                arg.to_owned()
            }
        };
        let args: Vec<_> = command.split(' ').map(place).collect();
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let out = run(&args).await.out;
        assert_eq!(out.replace(&folder.path(""), ""), output, "{command}");
        looked += 1;
    }
    assert_eq!(looked, 5);
    let drawn = run(&["graph", &file, "--format", "mermaid"]).await;
    assert_eq!(vec![drawn.out], block("mermaid", tools));
}

#[tokio::test]
async fn the_schema_is_written_where_the_first_line_of_a_playbook_looks_for_it() {
    let folder = Folder::new();
    let file = PathBuf::from(folder.path("echelon-playbook.schema.json"));
    let ran = run(&["schema", "-o", &file.display().to_string()]).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    let named = library().lines().next().unwrap().split_once("$schema=").unwrap().1;
    assert_eq!(Path::new(named), file.file_name().unwrap());
    let schema: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert!(jsonschema::draft7::meta::is_valid(&schema));
    assert_eq!(run(&["schema"]).await.out, fs::read_to_string(&file).unwrap());
}
