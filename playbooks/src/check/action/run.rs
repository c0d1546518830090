//! A program of the user's own: argv, variables, whose it is, what it may use, which secrets it is given.

use std::collections::BTreeMap;

use super::{
    super::{Lint, fields::Shape, value::cut},
    limits::limits,
    literal,
    secrets::secrets,
};
use crate::{
    fault::code,
    model::{Limits, Run},
    template::Template,
    text::tree::{Node, Value},
};

const ARGV_MAX: usize = 256;
const ENV_MAX: usize = 256;

const RUN: Shape = Shape {
    what: "`run`",
    required: &[("argv", "argv: [\"./current/bin/start\"]")],
    optional: &["env", "cwd", "user", "limits", "secrets"],
    later: &[],
    elsewhere: &[
        ("timeout", "it belongs beside `run`"),
        ("command", "write it as `argv: [program, argument]`"),
        ("shell", "write it as `argv: [sh, -c, ...]`"),
    ],
};

pub(super) fn run(lint: &mut Lint<'_>, node: &Node) -> Option<Run> {
    if let Value::Scalar(_) | Value::List(_) = node.value {
        lint.wrong_type(
            node,
            "`run`",
            "a mapping with `argv`",
            "write `run: { argv: [\"./current/bin/start\", \"--now\"] }`",
        );
        return None;
    }
    let fields = lint.fields(node, &RUN)?;
    let words = fields.get("argv").and_then(|node| argv(lint, node));
    let env = fields.or("env", BTreeMap::new(), |node| env(lint, node));
    let cwd = fields.or("cwd", None, |node| {
        lint.words(node, "cwd")?;
        lint.template(node, "cwd").map(Some)
    });
    let user = fields.or("user", None, |node| account(lint, node, "user").map(Some));
    let limits = fields.or("limits", Limits::default(), |node| limits(lint, node));
    let secrets = fields.or("secrets", BTreeMap::new(), |node| secrets(lint, node));
    Some(Run {
        argv: words?,
        env: env?,
        cwd: cwd?,
        user: user?,
        limits: limits?,
        secrets: secrets?,
    })
}

fn argv(lint: &mut Lint<'_>, node: &Node) -> Option<Vec<Template>> {
    if let Value::Scalar(scalar) = &node.value {
        let words: Vec<String> = scalar.text.split_whitespace().map(|word| format!("{word:?}")).collect();
        let help = format!("no shell reads it; write the words: [{}]", cut(&words.join(", ")));
        lint.wrong_type(node, "argv", "a list of words", &help);
        return None;
    }
    let items = lint.list(node, "argv", ARGV_MAX)?;
    let Some(program) = items.first() else {
        lint.fault(code::EMPTY, node.at, "`argv` is empty", "its first word is the program");
        return None;
    };
    lint.words(program, "the program in argv")?;
    literal::report_argv(lint, node);
    lint.each(items, |lint, item| lint.template(item, "argv"))
}

fn env(lint: &mut Lint<'_>, node: &Node) -> Option<BTreeMap<String, Template>> {
    let entries = lint.entries(node, "`env`", ENV_MAX)?;
    literal::report_env(lint, node);
    let mut env = BTreeMap::new();
    for (key, value) in entries {
        let name = &key.text;
        let usual = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if name.is_empty()
            || name.len() > 128
            || !name.bytes().all(usual)
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            let message = format!("{:?} is no name of an environment variable", cut(name));
            lint.fault(code::NAME, key.at, message, "letters, digits and _, the first no digit");
        } else if name.starts_with("ECHELON_") {
            let help = "names that begin with ECHELON_ are set by the agent: choose another";
            lint.fault(code::NAME, key.at, format!("`{name}` is the agent's own"), help);
        }
        if let Some(value) = lint.template(value, &format!("`{}`", cut(name))) {
            env.insert(name.clone(), value);
        }
    }
    (env.len() == entries.len()).then_some(env)
}

/// A user or a group of the host, by its name.
pub(super) fn account(lint: &mut Lint<'_>, node: &Node, what: &str) -> Option<String> {
    let text = lint.text(node, what)?;
    let usual = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first || text.len() > 32 || !text.bytes().all(usual) {
        let (noun, file) = if what == "group" {
            ("group", "/etc/group")
        } else {
            ("user", "/etc/passwd")
        };
        let message = format!("{what}: {:?} is no name of a {noun}", cut(text));
        let help = format!("write the name of a {noun} of the host, as in {file}; no variables");
        lint.fault(code::NAME, node.at, message, help);
        return None;
    }
    Some(text.to_owned())
}
