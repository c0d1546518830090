//! `playbook explain`: what the code of a fault means.

use echelon_playbooks::{Severity, fault};

use crate::{
    commands::Outcome,
    console::Console,
    error::Error,
    exit::Exit,
    line::{Line, Style},
};

pub(super) fn run(code: Option<&str>, console: &mut Console) -> Outcome {
    let lines = match code {
        None => fault::catalogue().iter().map(heading).collect(),
        Some(code) => match fault::explain(code) {
            Some(explained) => section(explained),
            None => {
                return Err(Error::usage(format!("there is no code {code:?}")).next("echelon playbook explain"));
            }
        },
    };
    console.lines(&lines)?;
    Ok(Exit::Done)
}

fn heading(explained: &fault::Explained) -> Line {
    let style = match explained.severity() {
        Severity::Error => Style::Bad,
        Severity::Warning => Style::Warn,
    };
    Line::new()
        .push(style, explained.code)
        .plain(format!("  {}", explained.title))
}

fn section(explained: &fault::Explained) -> Vec<Line> {
    let mut lines = vec![heading(explained)];
    let mut add = |text: &str, indent: &str| {
        lines.push(Line::new());
        lines.extend(text.lines().map(|line| Line::new().plain(format!("{indent}{line}"))));
    };
    if !explained.why.is_empty() {
        add(explained.why, "");
    }
    if let Some(example) = explained.example {
        add("An example:", "");
        add(example, "    ");
    }
    add(&format!("To mend it: {}", explained.mend), "");
    lines
}
