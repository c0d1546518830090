//! `status`: one rollout as a tree, or all that are active or wait for a person.

use echelon_proto::wire::control::{ListRolloutsRequest, Rollout};

use super::{Outcome, Session, pages, rollout};
use crate::{
    args::Status,
    error::Error,
    exit::Exit,
    follow::{Follow, follow},
    line::Line,
    name::{RolloutName, id},
    tree::{self, Tally},
    watch::Watch,
};

/// Active rollouts that are looked at: one an app, and those that queue.
const ACTIVE_MAX: u32 = 1000;

pub(super) async fn run(args: Status, mut session: Session<'_>) -> Outcome {
    match (args.rollout.clone(), args.watch) {
        (Some(name), true) => watch(&name, &args, session).await,
        (Some(name), false) => one(&name, &args, session).await,
        (None, true) => {
            let name = only(&mut session).await?;
            watch(&name, &args, session).await
        }
        (None, false) => all(&args, session).await,
    }
}

async fn watch(name: &RolloutName, args: &Status, session: Session<'_>) -> Outcome {
    let watch = Watch::start(session.client, name.resource(), 0, session.patience);
    let how = Follow {
        until_person: false,
        plain: false,
        timeout: None,
        format: args.output.output,
    };
    follow(session.console, watch, how).await
}

async fn one(name: &RolloutName, args: &Status, mut session: Session<'_>) -> Outcome {
    let rollout = rollout::get(name, &mut session).await?;
    let format = args.output.output;
    if format.is_json() || !(args.failed || args.waiting) {
        return rollout::show(&rollout, format, &mut session);
    }
    let mut lines = Vec::new();
    if args.failed {
        lines.extend(tree::failures(&rollout, usize::MAX));
    }
    if args.waiting {
        lines.extend(tree::waiting(&rollout));
    }
    if lines.is_empty() {
        let what = if args.failed {
            "no host of it failed"
        } else {
            "it waits for nobody"
        };
        session.console.note(&Line::new().plain(what))?;
    }
    session.console.lines(&lines)?;
    Ok(Exit::Done)
}

async fn active(session: &mut Session<'_>) -> Result<(Vec<Rollout>, bool), Error> {
    Ok(pages!(
        session,
        ACTIVE_MAX,
        list_rollouts,
        rollouts,
        ListRolloutsRequest {
            active_only: true,
            ..ListRolloutsRequest::default()
        }
    ))
}

async fn all(args: &Status, mut session: Session<'_>) -> Outcome {
    let (mut rollouts, more) = active(&mut session).await?;
    rollouts.retain(|rollout| {
        let failed = Tally::of_rollout(rollout).failed > 0 || !rollout.failures.is_empty();
        (!args.failed || failed) && (!args.waiting || !rollout.waiting.is_empty())
    });
    session.list(&rollouts, more, args.output.output, "no rollout is active or waits")
}

async fn only(session: &mut Session<'_>) -> Result<RolloutName, Error> {
    let (rollouts, _) = active(session).await?;
    match rollouts.as_slice() {
        [] => Err(Error::usage("no rollout is active: name the one to watch").next("echelon rollout list")),
        [rollout] => rollout
            .name
            .parse()
            .map_err(|error: crate::name::Invalid| Error::new(Exit::Error, error.to_string())),
        several => {
            let names: Vec<_> = several.iter().map(|rollout| id(&rollout.name)).collect();
            Err(
                Error::usage(format!("several rollouts are active ({}): name one", names.join(", ")))
                    .next(format!("echelon status {} --watch", names[0])),
            )
        }
    }
}
