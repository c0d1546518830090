//! What `uses` can name: actions that are built in, each with its own `with`.

use super::{
    Lint,
    fields::{Fields, Shape, nearest},
    value::cut,
};
use crate::{
    fault::code,
    model::{Action, ArtifactVerb, Balance, BalancerVerb, WhichRelease},
    template::Template,
    text::tree::Node,
};

/// Releases kept on a host.
const KEEP_MAX: u32 = 1000;
/// Sessions of one server.
const SESSIONS_MAX: u32 = 1_000_000;
/// The usual name of a server: its host's.
const SERVER: &str = "${{ host.name }}";

#[derive(Debug, Clone, Copy)]
enum Pack {
    Artifact(ArtifactVerb),
    Balancer(BalancerVerb),
}

const PACKS: [(&str, Pack); 8] = [
    ("artifact/fetch@1", Pack::Artifact(ArtifactVerb::Fetch)),
    ("artifact/install@1", Pack::Artifact(ArtifactVerb::Install)),
    ("artifact/activate@1", Pack::Artifact(ArtifactVerb::Activate)),
    ("artifact/remove@1", Pack::Artifact(ArtifactVerb::Remove)),
    ("artifact/prune@1", Pack::Artifact(ArtifactVerb::Prune)),
    ("haproxy/drain@1", Pack::Balancer(BalancerVerb::Drain)),
    (
        "haproxy/await-sessions@1",
        Pack::Balancer(BalancerVerb::AwaitSessions { max: 0 }),
    ),
    ("haproxy/admit@1", Pack::Balancer(BalancerVerb::Admit)),
];

/// What the coordinator does itself.
pub(super) const OF_COORDINATOR: &str = "haproxy/drain@1, haproxy/await-sessions@1 and haproxy/admit@1";

/// Packs of the language that this version lacks.
const PACKS_LATER: [&str; 4] = ["f5/", "webhook/", "route53/", "elb/"];

pub(super) fn uses(lint: &mut Lint<'_>, node: &Node, with: Option<&Node>) -> Option<Action> {
    let text = lint.words(node, "uses")?;
    let Some((name, pack)) = PACKS.iter().find(|(name, _)| *name == text) else {
        report_unknown(lint, node, text);
        return None;
    };
    match pack {
        Pack::Artifact(verb) => artifact(lint, with, *verb),
        Pack::Balancer(verb) => {
            let Some(with) = with else {
                let message = format!("`{name}` needs `with`: which server of which balancer?");
                let help = "add `with: { balancer: edge, backend: storefront }`";
                lint.fault(code::MISSING_KEY, node.at, message, help);
                return None;
            };
            balance(lint, with, *verb).map(Action::Balancer)
        }
    }
}

fn report_unknown(lint: &mut Lint<'_>, node: &Node, text: &str) {
    let known = PACKS.map(|(name, _)| name);
    if PACKS_LATER.iter().any(|pack| text.starts_with(pack)) {
        let message = format!("not yet: this version has no `{}`", cut(text));
        lint.fault(code::NOT_YET, node.at, message, format!("it has {}", known.join(", ")));
        return;
    }
    let help = match nearest(text, known.into_iter()) {
        Some(near) => format!("did you mean `{near}`? There are {}", known.join(", ")),
        None => format!("there are {}", known.join(", ")),
    };
    lint.fault(
        code::UNKNOWN_ACTION,
        node.at,
        format!("there is no action `{}`", cut(text)),
        help,
    );
}

const fn artifact_shape(what: &'static str, optional: &'static [&'static str]) -> Shape {
    Shape {
        what,
        required: &[],
        optional,
        later: &[],
        elsewhere: &[],
    }
}

const WITH_FETCH: Shape = artifact_shape("`with` of artifact/fetch", &["release"]);
const WITH_INSTALL: Shape = artifact_shape("`with` of artifact/install", &["release", "keep"]);
const WITH_ACTIVATE: Shape = artifact_shape("`with` of artifact/activate", &["release"]);
const WITH_PRUNE: Shape = artifact_shape("`with` of artifact/prune", &["keep"]);
const WITH_REMOVE: Shape = artifact_shape("`with` of artifact/remove", &[]);

fn artifact(lint: &mut Lint<'_>, with: Option<&Node>, verb: ArtifactVerb) -> Option<Action> {
    let Some(node) = with else {
        return Some(Action::Artifact {
            verb,
            release: WhichRelease::Target,
            keep: None,
        });
    };
    let shape = match verb {
        ArtifactVerb::Fetch => WITH_FETCH,
        ArtifactVerb::Install => WITH_INSTALL,
        ArtifactVerb::Activate => WITH_ACTIVATE,
        ArtifactVerb::Prune => WITH_PRUNE,
        ArtifactVerb::Remove => WITH_REMOVE,
    };
    let fields = lint.fields(node, &shape)?;
    let words = [("target", WhichRelease::Target), ("previous", WhichRelease::Previous)];
    let release = fields.or("release", WhichRelease::Target, |node| {
        lint.choice(node, "release", &words, &[])
    });
    let keep = fields.or("keep", None, |node| lint.number(node, "keep", 0..=KEEP_MAX).map(Some));
    Some(Action::Artifact {
        verb,
        release: release?,
        keep: keep?,
    })
}

const fn balancer_shape(what: &'static str, optional: &'static [&'static str]) -> Shape {
    Shape {
        what,
        required: &[("balancer", "balancer: edge"), ("backend", "backend: storefront")],
        optional,
        later: &[],
        elsewhere: &[("timeout", "it belongs beside `uses`")],
    }
}

const WITH_DRAIN: Shape = balancer_shape("`with` of haproxy/drain", &["server"]);
const WITH_AWAIT: Shape = balancer_shape("`with` of haproxy/await-sessions", &["server", "sessions"]);
const WITH_ADMIT: Shape = balancer_shape("`with` of haproxy/admit", &["server"]);

fn balance(lint: &mut Lint<'_>, node: &Node, verb: BalancerVerb) -> Option<Balance> {
    let shape = match verb {
        BalancerVerb::Drain => WITH_DRAIN,
        BalancerVerb::AwaitSessions { .. } => WITH_AWAIT,
        BalancerVerb::Admit => WITH_ADMIT,
    };
    let fields = lint.fields(node, &shape)?;
    let balancer = said(lint, &fields, "balancer");
    let backend = said(lint, &fields, "backend");
    let server = match fields.get("server") {
        Some(_) => said(lint, &fields, "server"),
        None => SERVER.parse().ok(),
    };
    let max = fields.or("sessions", 0, |node| lint.number(node, "sessions", 0..=SESSIONS_MAX));
    let verb = match verb {
        BalancerVerb::AwaitSessions { .. } => BalancerVerb::AwaitSessions { max: max? },
        BalancerVerb::Drain | BalancerVerb::Admit => verb,
    };
    Some(Balance {
        verb,
        balancer: balancer?,
        backend: backend?,
        server: server?,
    })
}

/// A name of the balancer's: one word, which stands in its commands.
fn said(lint: &mut Lint<'_>, fields: &Fields<'_>, key: &str) -> Option<Template> {
    let node = fields.get(key)?;
    let text = lint.words(node, key)?;
    let template = lint.template(node, key)?;
    let outside = text
        .split("${{")
        .map(|piece| piece.rsplit("}}").next().unwrap_or(piece));
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    if !outside.flat_map(str::bytes).all(usual) {
        let message = format!("{key}: {:?} is no name that a load balancer has", cut(text));
        lint.fault(code::TEXT, node.at, message, "letters, digits, `-`, `_`, `.` and `:`");
        return None;
    }
    Some(template)
}
