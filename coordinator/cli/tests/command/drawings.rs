//! Machines as they are drawn: for Graphviz, which must take it, for Mermaid, and as a picture.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::playbooks::{Folder, corpus, piped};

#[tokio::test]
async fn a_machine_is_drawn_for_graphviz_for_mermaid_and_as_a_picture() {
    let everything = corpus("good/everything.yaml");
    let dot = piped(&everything, &["graph", "-", "--undo"]).await;
    assert!(
        dot.exit == 0 && dot.out.contains("style=dashed") && dot.out.contains("octagon"),
        "{dot:?}"
    );
    let svg = graphviz(&dot.out);
    assert!(
        svg.contains(">install (new release)<") && svg.contains(">undo: reinstate<"),
        "{svg}"
    );
    for args in [
        &["graph", "-", "--format", "mermaid"][..],
        &["graph", "-", "--format", "mermaid", "--undo"],
    ] {
        let mermaid = piped(&everything, args).await;
        assert!(mermaid.out.starts_with("flowchart TB\n"), "{mermaid:?}");
        assert_eq!(mermaid.out.contains("-.->"), args.len() > 4, "{mermaid:?}");
    }
    let folder = Folder::new();
    let file = folder.path("machine.svg");
    let ran = piped(&everything, &["graph", "-", "--format", "svg", "-o", &file]).await;
    assert!(ran.exit == 0 && ran.out.is_empty(), "{ran:?}");
    let svg = fs::read_to_string(&file).unwrap();
    for part in [
        "</svg>\n",
        ">install (new release)</text>",
        ">draining</text>",
        ">compensations</text>",
    ] {
        assert!(svg.contains(part), "{part}: {svg}");
    }
}

/// Debian's Graphviz takes it, without a word on its error stream.
fn graphviz(dot: &str) -> String {
    let mut child = Command::new("dot")
        .arg("-Tsvg")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("dot does not start ({error}): apt-get install graphviz"));
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, dot.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}\n{dot}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_hostile_text_in_a_phase_does_not_break_the_drawing() {
    let hostile =
        corpus("good/everything.yaml").replace("\"./current/bin/warm\"", r#""./a\"b\\N</svg>&lt;\u0001\n]};", "\\""#);
    let dot = piped(&hostile, &["graph", "-", "--undo"]).await;
    assert_eq!(dot.exit, 0, "{dot:?}");
    let svg = graphviz(&dot.out);
    assert_eq!(svg.matches("</svg>").count(), 1, "{svg}");
    assert!(svg.contains("&lt;/svg&gt;"), "{svg}");
}

#[tokio::test]
async fn a_machine_with_more_ways_than_a_picture_can_show_is_left_to_graphviz() {
    let names: Vec<String> = (0..20).map(|at| format!("s{at}")).collect();
    let states: String = names
        .iter()
        .map(|name| format!("    {name}: {{ traffic: none }}\n"))
        .collect();
    let phases: String = names
        .iter()
        .map(|to| format!("    - {{ name: to-{to}, from: [{}], to: {to}, sets: release, run: {{ argv: [./x] }}, timeout: 1m, read_only: true }}\n", names.join(", ")))
        .collect();
    let text = format!(
        "name: web\nversion: 1\nhosts: {{ selector: \"app=web\" }}\nmachine:\n  initial: s0\n  states:\n{states}  phases:\n{phases}  operations:\n    deploy: {{ to: s1, release: target }}\nstages:\n  - {{ name: roll, deploy: {{ operation: deploy, waves: ladder, max_unavailable: 1, max_parallel: 1 }} }}\n"
    );
    let ran = piped(&text, &["graph", "-", "--format", "svg"]).await;
    assert!(
        ran.exit == 2 && ran.err.contains("400 ways") && ran.err.contains("| dot -Tsvg"),
        "{ran:?}"
    );
    assert_eq!(piped(&text, &["graph", "-"]).await.exit, 0);
}
