//! `rollout list`, `get`, `events`, `explain`.

pub(super) mod gate;

use echelon_proto::wire::control::{
    Blame, Event, ExplainGateRequest, ExplainRolloutRequest, Explanation, GetRolloutRequest, ListRolloutEventsRequest,
    ListRolloutsRequest, Rollout, Suspect,
};
use jiff::Timestamp;

use super::{Outcome, Session, logs, pages};
use crate::{
    args::RolloutVerb,
    client::ask,
    console::Format,
    error::Error,
    exit::Exit,
    follow::{Follow, event_line, follow},
    line::{Line, Style},
    name::RolloutName,
    tree::tree,
    watch::Watch,
};

/// Events a page.
const EVENTS: i32 = 1000;

pub(super) async fn run(verb: RolloutVerb, mut session: Session<'_>) -> Outcome {
    match verb {
        RolloutVerb::List {
            app,
            active,
            limit,
            output,
        } => {
            let app = app.map(String::from).unwrap_or_default();
            let (rollouts, more) = pages!(
                session,
                limit.limit,
                list_rollouts,
                rollouts,
                ListRolloutsRequest {
                    app: app.clone(),
                    active_only: active,
                    ..ListRolloutsRequest::default()
                }
            );
            session.list(&rollouts, more, output.output, "there are no such rollouts")
        }
        RolloutVerb::Get { rollout, output } => {
            let rollout = get(&rollout, &mut session).await?;
            show(&rollout, output.output, &mut session)
        }
        RolloutVerb::Events {
            rollout,
            follow: true,
            from,
            output,
        } => watched(&rollout, from, output.output, session).await,
        RolloutVerb::Events {
            rollout,
            follow: false,
            from,
            output,
        } => events(&rollout, from, output.output, session).await,
        RolloutVerb::Logs(args) => logs::run(&args, session).await,
        RolloutVerb::Explain {
            rollout,
            gate: Some(gate),
            dc,
            wave,
            output,
        } => {
            let request = ExplainGateRequest {
                name: rollout.resource(),
                gate: gate.to_string(),
                datacenter: dc.map(|dc| dc.to_string()).unwrap_or_default(),
                wave: wave.map(|wave| wave.to_string()).unwrap_or_default(),
            };
            gate::run(request, output.output, session).await
        }
        RolloutVerb::Explain { rollout, output, .. } => explain(&rollout, output.output, session).await,
    }
}

pub(super) async fn get(name: &RolloutName, session: &mut Session<'_>) -> Result<Rollout, Error> {
    let request = ask(GetRolloutRequest { name: name.resource() });
    let found = session.client.get_rollout(request).await;
    Ok(found.map_err(lost)?.into_inner())
}

pub(super) fn lost(status: tonic::Status) -> Error {
    let unknown = status.code() == tonic::Code::NotFound;
    let error = Error::from(status);
    if unknown {
        error.or_next("echelon rollout list")
    } else {
        error
    }
}

/// The tree, or JSON.
pub(super) fn show(rollout: &Rollout, format: Format, session: &mut Session<'_>) -> Outcome {
    if format.is_json() {
        session.console.json(rollout, format)?;
    } else {
        let columns = match format {
            Format::Wide => usize::MAX,
            _ => session.console.columns(),
        };
        session.console.lines(&tree(rollout, columns, Timestamp::now()))?;
    }
    Ok(Exit::Done)
}

async fn watched(rollout: &RolloutName, from: u64, format: Format, session: Session<'_>) -> Outcome {
    let watch = Watch::start(session.client, rollout.resource(), from, session.patience);
    let how = Follow {
        until_person: false,
        plain: true,
        timeout: None,
        format,
    };
    // Looking at events has no opinion on the outcome; only detaching and outages show in the exit code.
    match follow(session.console, watch, how).await? {
        Exit::Detached => Ok(Exit::Detached),
        _ => Ok(Exit::Done),
    }
}

async fn events(rollout: &RolloutName, from: u64, format: Format, mut session: Session<'_>) -> Outcome {
    let mut from_sequence = from;
    let mut all: Vec<Event> = Vec::new();
    loop {
        let request = ListRolloutEventsRequest {
            name: rollout.resource(),
            from_sequence,
            page_size: EVENTS,
        };
        let page = session
            .client
            .list_rollout_events(ask(request))
            .await
            .map_err(lost)?
            .into_inner();
        match format {
            Format::Json => all.extend(page.events),
            Format::Ndjson => session.console.json_list(&page.events, format)?,
            Format::Table | Format::Wide => {
                let lines: Vec<_> = page.events.iter().map(event_line).collect();
                session.console.lines(&lines)?;
            }
        }
        if page.next_sequence <= from_sequence {
            break;
        }
        from_sequence = page.next_sequence;
    }
    if format == Format::Json {
        session.console.json_list(&all, format)?;
    }
    Ok(Exit::Done)
}

async fn explain(rollout: &RolloutName, format: Format, mut session: Session<'_>) -> Outcome {
    let request = ask(ExplainRolloutRequest {
        name: rollout.resource(),
    });
    let answer = session
        .client
        .explain_rollout(request)
        .await
        .map_err(lost)?
        .into_inner();
    if format.is_json() {
        session.console.json_list(&answer.explanations, format)?;
    } else if answer.explanations.is_empty() {
        session
            .console
            .note(&Line::new().plain("nothing is owed and nothing waits"))?;
    } else {
        let lines: Vec<_> = answer.explanations.iter().flat_map(explanation).collect();
        session.console.lines(&lines)?;
    }
    Ok(Exit::Done)
}

fn explanation(explanation: &Explanation) -> Vec<Line> {
    let (glyph, style) = if explanation.who.is_empty() {
        ("◌ ", Style::Active)
    } else {
        ("⚠ ", Style::Warn)
    };
    let mut head = Line::new().push(style, glyph);
    if !explanation.subject.is_empty() {
        head = head.push(Style::Bold, &explanation.subject).plain(": ");
    }
    let mut lines = vec![head.plain(&explanation.text)];
    if !explanation.who.is_empty() {
        lines.push(Line::new().push(Style::Dim, "    who: ").plain(&explanation.who));
    }
    if !explanation.command.is_empty() {
        lines.push(
            Line::new()
                .push(Style::Dim, "    next: ")
                .push(Style::Bold, &explanation.command),
        );
    }
    lines.extend(explanation.suspects.iter().map(suspect));
    lines
}

/// What speaks for and against a rollout.
fn suspect(suspect: &Suspect) -> Line {
    let (word, style) = match suspect.blame() {
        Blame::Blamed => ("blamed", Style::Bad),
        Blame::Tied => ("tied", Style::Warn),
        Blame::Cleared => ("cleared", Style::Good),
        Blame::Untold | Blame::Unspecified => ("untold", Style::Dim),
    };
    let id = suspect.rollout.rsplit('/').next().unwrap_or_default();
    Line::new()
        .plain(format!("    {id}: "))
        .push(style, word)
        .plain(format!(
            "; {} of {} hosts touched, {} of {} others, {} before; {:.1} votes, by chance {:.1e}",
            suspect.hosts_touched_hit,
            suspect.hosts_touched,
            suspect.hosts_others_hit,
            suspect.hosts_others,
            suspect.hosts_before,
            suspect.votes,
            suspect.chance
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame_is_shown_with_what_speaks_for_it() {
        let lines = explanation(&Explanation {
            text: "r8 is to blame".into(),
            suspects: vec![Suspect {
                rollout: "apps/web/rollouts/r8".into(),
                blame: Blame::Blamed.into(),
                votes: 18.25,
                hosts_before: 1,
                hosts_touched: 60,
                hosts_touched_hit: 20,
                hosts_others: 140,
                hosts_others_hit: 2,
                chance: 0.000_000_2,
            }],
            ..Explanation::default()
        });
        assert_eq!(
            lines[1].text(),
            "    r8: blamed; 20 of 60 hosts touched, 2 of 140 others, 1 before; 18.2 votes, by chance 2.0e-7"
        );
    }

    #[test]
    fn an_explanation_names_what_who_and_the_command() {
        let lines = explanation(&Explanation {
            subject: "dc1/canary".into(),
            text: "gate go has 1 of 2 approvals".into(),
            who: "an approver other than ann".into(),
            command: "echelon approve r7 --dc dc1 --reason TEXT".into(),
            suspects: Vec::new(),
        });
        let shown: Vec<_> = lines.iter().map(Line::text).collect();
        assert_eq!(
            shown,
            [
                "⚠ dc1/canary: gate go has 1 of 2 approvals",
                "    who: an approver other than ann",
                "    next: echelon approve r7 --dc dc1 --reason TEXT"
            ]
        );
        let whole = explanation(&Explanation {
            text: "all goes on".into(),
            ..Explanation::default()
        });
        assert_eq!(whole.iter().map(Line::text).collect::<Vec<_>>(), ["◌ all goes on"]);
    }
}
