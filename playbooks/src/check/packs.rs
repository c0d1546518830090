//! What `uses` can name: actions that are built in, each with its own `with`.

use super::{
    Lint,
    fields::{Shape, nearest},
    value::cut,
};
use crate::{
    fault::code,
    model::{Action, ArtifactVerb, WhichRelease},
    text::tree::Node,
};

/// Releases kept on a host.
const KEEP_MAX: u32 = 1000;

const PACKS: [(&str, ArtifactVerb); 5] = [
    ("artifact/fetch@1", ArtifactVerb::Fetch),
    ("artifact/install@1", ArtifactVerb::Install),
    ("artifact/activate@1", ArtifactVerb::Activate),
    ("artifact/remove@1", ArtifactVerb::Remove),
    ("artifact/prune@1", ArtifactVerb::Prune),
];

/// Packs of the language that this version lacks.
const PACKS_LATER: [&str; 5] = ["haproxy/", "f5/", "webhook/", "route53/", "elb/"];

pub(super) fn uses(lint: &mut Lint<'_>, node: &Node, with: Option<&Node>) -> Option<Action> {
    let text = lint.words(node, "uses")?;
    let known = PACKS.map(|(name, _)| name);
    let Some((_, verb)) = PACKS.iter().find(|(name, _)| *name == text) else {
        if PACKS_LATER.iter().any(|pack| text.starts_with(pack)) {
            let message = format!("not yet: this version has no `{}`", cut(text));
            lint.fault(code::NOT_YET, node.at, message, format!("it has {}", known.join(", ")));
        } else {
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
        return None;
    };
    let (release, keep) = match with {
        Some(with) => artifact(lint, with, *verb)?,
        None => (WhichRelease::Target, None),
    };
    Some(Action::Artifact {
        verb: *verb,
        release,
        keep,
    })
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

fn artifact(lint: &mut Lint<'_>, node: &Node, verb: ArtifactVerb) -> Option<(WhichRelease, Option<u32>)> {
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
    Some((release?, keep?))
}
