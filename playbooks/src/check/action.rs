//! What a phase, a verify or a probe does: exactly one of `run`, `http`, `tcp`, `systemd`, `uses`, as far as its place
//! allows.

use std::collections::BTreeMap;

use echelon_proto::Span;

use super::{
    Lint,
    fields::{Fields, Shape},
    packs,
    value::cut,
};
use crate::{
    fault::code,
    model::{Action, HttpCheck, Limits, Repeat, Run, SystemdVerb, TcpCheck},
    template::Template,
    text::tree::{Node, Value},
};

const ARGV_MAX: usize = 256;
const ENV_MAX: usize = 256;
const CONSECUTIVE_MAX: u32 = 1000;
/// Between two checks, and of one request.
const INTERVAL_MAX: Span = Span::secs(3600);
const INTERVAL: Span = Span::secs(1);
const REQUEST_TIMEOUT: Span = Span::secs(5);

/// Where an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Phase,
    /// It asks and changes nothing.
    Verify,
    /// Of a health gate.
    Probe,
}

/// Keys of a mapping that say what is done.
const ACTIONS: [&str; 5] = ["run", "http", "tcp", "systemd", "uses"];
const ACTIONS_LATER: [&str; 2] = ["poll", "file"];

const VERIFY: Shape = Shape {
    what: "`verify`",
    required: &[],
    optional: &["run", "http", "tcp", "systemd"],
    later: &["poll", "file", "expr", "when"],
    elsewhere: &[(
        "uses",
        "a verify only asks: run, http, tcp, or systemd with `verb: is-active`",
    )],
};

const PROBE: Shape = Shape {
    what: "`probe`",
    required: &[],
    optional: &["run", "http", "tcp"],
    later: &["poll", "file", "expr", "when"],
    elsewhere: &[
        ("uses", "a probe only asks: run, http or tcp"),
        ("systemd", "a probe is run, http or tcp"),
    ],
};

pub(super) fn verify(lint: &mut Lint<'_>, node: &Node) -> Option<Action> {
    let fields = lint.fields(node, &VERIFY)?;
    action(lint, &fields, "`verify`", Place::Verify)
}

pub(super) fn probe(lint: &mut Lint<'_>, node: &Node) -> Option<Action> {
    let fields = lint.fields(node, &PROBE)?;
    action(lint, &fields, "`probe`", Place::Probe)
}

/// The one action among the keys of a mapping.
pub(super) fn action(lint: &mut Lint<'_>, fields: &Fields<'_>, what: &str, place: Place) -> Option<Action> {
    let mut there = ACTIONS.iter().filter(|key| fields.get(key).is_some());
    let Some(first) = there.next() else {
        // Of the language, but not of this version: that has been said.
        if ACTIONS_LATER.iter().any(|key| fields.get(key).is_some()) {
            return None;
        }
        let help = match place {
            Place::Phase => "give it one of run, http, tcp, systemd, uses",
            Place::Verify => "give it one of run, http, tcp, systemd",
            Place::Probe => "give it one of run, http, tcp",
        };
        lint.fault(code::ONE_ACTION, fields.at, format!("{what} does nothing"), help);
        return None;
    };
    for second in there {
        let message = format!("{what} does both `{first}` and `{second}`");
        let at = fields.key(second).unwrap_or(fields.at);
        lint.fault(
            code::ONE_ACTION,
            at,
            message,
            "it does one thing: make two of it, or take one away",
        );
    }
    if let Some(at) = fields.key("with").filter(|_| *first != "uses") {
        let help = format!("`{first}` has its own keys; take `with` away");
        lint.fault(code::MISPLACED, at, "`with` belongs to `uses`", help);
    }
    let node = fields.get(first)?;
    match *first {
        "run" => run(lint, node).map(Action::Run),
        "http" => http(lint, node).map(Action::Http),
        "tcp" => tcp(lint, node).map(Action::Tcp),
        "systemd" => systemd(lint, node, place),
        _ => packs::uses(lint, node, fields.get("with")),
    }
}

const RUN: Shape = Shape {
    what: "`run`",
    required: &[("argv", "argv: [\"./current/bin/start\"]")],
    optional: &["env", "cwd", "user"],
    later: &["limits", "secrets"],
    elsewhere: &[
        ("timeout", "it belongs beside `run`"),
        ("command", "write it as `argv: [program, argument]`"),
        ("shell", "write it as `argv: [sh, -c, ...]`"),
    ],
};

fn run(lint: &mut Lint<'_>, node: &Node) -> Option<Run> {
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
    let user = fields.or("user", None, |node| user(lint, node).map(Some));
    Some(Run {
        argv: words?,
        env: env?,
        cwd: cwd?,
        user: user?,
        limits: Limits::default(),
        secrets: BTreeMap::new(),
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
    lint.each(items, |lint, item| lint.template(item, "argv"))
}

fn env(lint: &mut Lint<'_>, node: &Node) -> Option<BTreeMap<String, Template>> {
    let entries = lint.entries(node, "`env`", ENV_MAX)?;
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

fn user(lint: &mut Lint<'_>, node: &Node) -> Option<String> {
    let text = lint.text(node, "user")?;
    let usual = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first || text.len() > 32 || !text.bytes().all(usual) {
        let help = "write the name of a user of the host, as in /etc/passwd; no variables";
        lint.fault(
            code::NAME,
            node.at,
            format!("user: {:?} is no name of a user", cut(text)),
            help,
        );
        return None;
    }
    Some(text.to_owned())
}

const HTTP: Shape = Shape {
    what: "`http`",
    required: &[("url", "url: \"http://127.0.0.1:8080/health\"")],
    optional: &["status", "contains", "consecutive", "interval", "request_timeout"],
    later: &["method", "headers", "body", "expr", "until"],
    elsewhere: &[(
        "timeout",
        "for one request write `request_timeout`; the phase's own stands beside `http`",
    )],
};

fn http(lint: &mut Lint<'_>, node: &Node) -> Option<HttpCheck> {
    let fields = lint.fields(node, &HTTP)?;
    let url = fields.get("url").and_then(|node| url(lint, node));
    let status = fields.or("status", 200, |node| {
        let status = lint.number(node, "status", 100..=599)?;
        u16::try_from(status).ok()
    });
    let contains = fields.or("contains", None, |node| {
        lint.words(node, "contains")?;
        lint.template(node, "contains").map(Some)
    });
    let repeat = repeat(lint, &fields);
    let request_timeout = fields.or("request_timeout", REQUEST_TIMEOUT, |node| {
        lint.span(node, "request_timeout", Span(1)..=INTERVAL_MAX)
    });
    Some(HttpCheck {
        url: url?,
        status: status?,
        contains: contains?,
        repeat: repeat?,
        request_timeout: request_timeout?,
    })
}

/// A URL must begin with its scheme, as far as its beginning is not a variable.
fn url(lint: &mut Lint<'_>, node: &Node) -> Option<Template> {
    let text = lint.words(node, "url")?;
    let template = lint.template(node, "url");
    let (literal, variable) = match text.split_once("${{") {
        Some((literal, _)) => (literal, true),
        None => (text, false),
    };
    let fits = ["http://", "https://"]
        .iter()
        .any(|scheme| match literal.strip_prefix(scheme) {
            Some(rest) => variable || !rest.is_empty(),
            None => variable && scheme.starts_with(literal),
        });
    if !fits || literal.contains(char::is_whitespace) {
        let message = format!("url: {:?} is no http address", cut(text));
        lint.fault(
            code::TEXT,
            node.at,
            message,
            "write it as http://127.0.0.1:8080/health or https://...",
        );
        return None;
    }
    template
}

const TCP: Shape = Shape {
    what: "`tcp`",
    required: &[("address", "address: \"127.0.0.1:8080\"")],
    optional: &["consecutive", "interval"],
    later: &[],
    elsewhere: &[
        ("port", "it belongs into `address`: \"127.0.0.1:8080\""),
        ("host", "it belongs into `address`: \"127.0.0.1:8080\""),
        ("timeout", "it belongs beside `tcp`"),
    ],
};

fn tcp(lint: &mut Lint<'_>, node: &Node) -> Option<TcpCheck> {
    let fields = lint.fields(node, &TCP)?;
    let address = fields.get("address").and_then(|node| address(lint, node));
    let repeat = repeat(lint, &fields);
    Some(TcpCheck {
        address: address?,
        repeat: repeat?,
    })
}

fn address(lint: &mut Lint<'_>, node: &Node) -> Option<Template> {
    let text = lint.words(node, "address")?;
    let template = lint.template(node, "address")?;
    let fits = text.contains("${{")
        || text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
    if !fits {
        let message = format!("address: {:?} is no address with a port", cut(text));
        lint.fault(
            code::TEXT,
            node.at,
            message,
            "write it as \"127.0.0.1:8080\", the port from 1 to 65535",
        );
        return None;
    }
    Some(template)
}

fn repeat(lint: &mut Lint<'_>, fields: &Fields<'_>) -> Option<Repeat> {
    let consecutive = fields.or("consecutive", 1, |node| {
        lint.number(node, "consecutive", 1..=CONSECUTIVE_MAX)
    });
    let interval = fields.or("interval", INTERVAL, |node| {
        lint.span(node, "interval", Span(1)..=INTERVAL_MAX)
    });
    Some(Repeat {
        consecutive: consecutive?,
        interval: interval?,
    })
}

const SYSTEMD: Shape = Shape {
    what: "`systemd`",
    required: &[("unit", "unit: app.service"), ("verb", "verb: start")],
    optional: &[],
    later: &[],
    elsewhere: &[("timeout", "it belongs beside `systemd`")],
};

const VERBS: [(&str, SystemdVerb); 7] = [
    ("start", SystemdVerb::Start),
    ("stop", SystemdVerb::Stop),
    ("restart", SystemdVerb::Restart),
    ("reload", SystemdVerb::Reload),
    ("enable", SystemdVerb::Enable),
    ("disable", SystemdVerb::Disable),
    ("is-active", SystemdVerb::IsActive),
];

fn systemd(lint: &mut Lint<'_>, node: &Node, place: Place) -> Option<Action> {
    let fields = lint.fields(node, &SYSTEMD)?;
    let unit = fields.get("unit").and_then(|node| unit(lint, node));
    let verb = fields.get("verb").and_then(|node| {
        let verb = lint.choice(node, "verb", &VERBS, &[])?;
        if place != Place::Phase && verb != SystemdVerb::IsActive {
            lint.fault(code::CHOICE, node.at, "a verify only asks", "write `verb: is-active`");
            return None;
        }
        Some(verb)
    });
    Some(Action::Systemd {
        unit: unit?,
        verb: verb?,
    })
}

fn unit(lint: &mut Lint<'_>, node: &Node) -> Option<Template> {
    let text = lint.words(node, "unit")?;
    let template = lint.template(node, "unit")?;
    // With the variables aside, what is left must be usual in a unit's name.
    let literal: String = text
        .split("${{")
        .map(|piece| piece.rsplit("}}").next().unwrap_or(piece))
        .collect();
    if text.starts_with('-')
        || !literal
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b))
    {
        let message = format!("unit: {:?} is no name of a unit", cut(text));
        lint.fault(code::TEXT, node.at, message, "write it as app.service");
        return None;
    }
    Some(template)
}
