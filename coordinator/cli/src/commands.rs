//! What each verb does: arguments to request, answer to screen. One file a noun.

mod act;
mod context;
mod converge;
mod drift;
mod host;
mod judge;
mod logs;
mod plan;
mod playbook;
mod release;
mod report;
mod rollout;
mod simulate;
mod start;
mod status;

use std::{path::Path, time::Duration};

use clap::CommandFactory as _;
use echelon_proto::wire::control::control_client::ControlClient;
use tonic::transport::Channel;

use crate::{
    args::{Cli, CompletedShell, Global, Online, Verb},
    client,
    console::{Console, Format},
    context as contexts,
    error::Error,
    exit::{self, Exit},
    json::Shown,
    line::{Line, Style},
    table::{self, Row},
};

type Outcome = Result<Exit, Error>;

/// A connection and where to show what it says.
struct Session<'a> {
    client: ControlClient<Channel>,
    console: &'a mut Console,
    /// How long a watch tries to get back.
    patience: Duration,
}

/// Runs one command.
pub(crate) async fn run(cli: Cli, console: &mut Console) -> Outcome {
    let global = &cli.global;
    match cli.verb {
        Verb::Context(verb) => context::run(verb, global, console),
        Verb::Judge(verb) => judge::run(verb, global, console).await,
        Verb::Completions { shell } => completions(shell, console),
        Verb::ExitCodes => Ok(console.text(&exit::table()).map(|()| Exit::Done)?),
        Verb::Playbook(verb) => playbook::run(verb, global, console).await,
        Verb::Online(verb) => {
            let session = connect(global, console).await?;
            online(verb, session).await
        }
    }
}

async fn online(verb: Online, session: Session<'_>) -> Outcome {
    match verb {
        Online::Plan(args) => plan::run(&args, session).await,
        Online::Start(args) => start::run(&args, session).await,
        Online::Drift(args) => drift::run(&args, session).await,
        Online::Converge(args) => converge::run(&args, session).await,
        Online::Status(args) => status::run(args, session).await,
        Online::Approve(args) => act::run(act::Act::Approve, args, session).await,
        Online::Reject(args) => act::run(act::Act::Reject, args, session).await,
        Online::Promote(args) => act::run(act::Act::Promote, args, session).await,
        Online::Pause(args) => act::run(act::Act::Pause, args, session).await,
        Online::Resume(args) => act::run(act::Act::Resume, args, session).await,
        Online::Retry(args) => act::run(act::Act::Retry, args, session).await,
        Online::Skip(args) => act::run(act::Act::Skip, args, session).await,
        Online::Abort(args) => act::run(act::Act::Abort, args, session).await,
        Online::Rollback(args) => act::run(act::Act::Rollback, args, session).await,
        Online::Rollout(verb) => rollout::run(verb, session).await,
        Online::Release(verb) => release::run(verb, session).await,
        Online::Host(verb) => host::run(verb, session).await,
        Online::Report(args) => report::run(&args, session).await,
    }
}

/// What the command line, the environment and the file of contexts say together.
fn context_of(global: &Global, console: &Console) -> Result<contexts::Context, Error> {
    let environment = console.environment();
    let path = contexts::file(global.config.as_deref(), environment);
    let known = path.as_deref().map(contexts::Contexts::read).transpose()?;
    let folder = path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let named = global.context.as_ref().or_else(|| environment.get("ECHELON_CONTEXT"));
    let chosen = known.unwrap_or_default().choose(named.map(String::as_str))?;
    Ok(global
        .flags()
        .or(contexts::Context::of_environment(environment))
        .or(chosen.within(folder)))
}

async fn connect<'a>(global: &Global, console: &'a mut Console) -> Result<Session<'a>, Error> {
    let settings = context_of(global, console)?.settings()?;
    let client = client::connect(&settings).await.map_err(|error| {
        let exit = match &error {
            client::Error::Unreachable { .. } | client::Error::Foreign { .. } => Exit::Unreachable,
            client::Error::ShutOut { .. } => Exit::NotAllowed,
            client::Error::Address(_) => Exit::Usage,
            client::Error::File { .. } | client::Error::Pair { .. } => Exit::Error,
        };
        Error::new(exit, error.to_string()).next("echelon context show")
    })?;
    Ok(Session {
        client,
        console,
        patience: global.connect_timeout.duration(),
    })
}

fn completions(shell: CompletedShell, console: &mut Console) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        clap_complete::Shell::from(shell),
        &mut Cli::command(),
        "echelon",
        &mut script,
    );
    console.bytes(&script)?;
    Ok(Exit::Done)
}

impl Session<'_> {
    /// A list in the shape asked for, with a note when there is more.
    fn list<T: Row + Shown>(&mut self, things: &[T], more: bool, format: Format, none: &str) -> Outcome {
        if format.is_json() {
            self.console.json_list(things, format)?;
        } else if things.is_empty() {
            self.console.note(&Line::new().plain(none))?;
        } else {
            let columns = self.console.screen().map(|(columns, _)| columns);
            let text = table::rows(things, format == Format::Wide, columns, jiff::Timestamp::now());
            self.console.text(&text)?;
        }
        if more {
            let note = "there is more: give a higher --limit";
            self.console.note(&Line::new().push(Style::Warn, "⚠ ").plain(note))?;
        }
        Ok(Exit::Done)
    }

    /// One thing in the shape asked for.
    fn thing<T: Row + Shown>(&mut self, thing: &T, format: Format) -> Outcome {
        if format.is_json() {
            self.console.json(thing, format)?;
        } else {
            self.console.text(&table::details(thing, jiff::Timestamp::now()))?;
        }
        Ok(Exit::Done)
    }
}

/// An id under which a request that was sent but not answered can be sent again.
fn request_id(given: Option<&String>) -> String {
    given
        .cloned()
        .unwrap_or_else(|| format!("cli-{:032x}", rand::random::<u128>()))
}

/// An answer that did not come does not mean that nothing was done; the same id makes a second try safe.
fn unanswered(error: Error, request_id: &str) -> Error {
    if error.exit != Exit::Unreachable {
        return error;
    }
    error
        .detail("whether it was done is not known; it is done once however often it is said with the same id")
        .next(format!("the same command with --request-id {request_id}"))
}

/// Collects pages of a list until it has `limit` things. Returns whether there is more.
macro_rules! pages {
    ($session:expr, $limit:expr, $call:ident, $field:ident, $request:expr) => {{
        let limit = usize::try_from($limit).unwrap_or(usize::MAX);
        let mut things = Vec::new();
        let mut token = String::new();
        loop {
            let mut request = $request;
            request.page_token = token;
            request.page_size = i32::try_from(limit - things.len())
                .unwrap_or(i32::MAX)
                .min($crate::commands::PAGE);
            let page = $session.client.$call($crate::client::ask(request)).await?.into_inner();
            things.extend(page.$field);
            token = page.next_page_token;
            if token.is_empty() || things.len() >= limit {
                break;
            }
        }
        let more = !token.is_empty() || things.len() > limit;
        things.truncate(limit);
        (things, more)
    }};
}
use pages;

/// Things a page: with their lanes and failures some hundred rollouts stay well within a message.
const PAGE: i32 = 100;
