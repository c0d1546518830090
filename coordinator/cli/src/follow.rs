//! Following a rollout for a person or a job: updates in, the right view out, an exit at the end. It only looks: whatever
//! happens to this process, the rollout goes on.

mod lines;
mod live;

use std::{future::pending, io, time::Duration};

use echelon_proto::wire::control::{Rollout, RolloutState, WatchRolloutResponse};
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::{
    console::{Console, Format},
    error::Error,
    exit::Exit,
    line::{Line, Style, counted},
    name::id,
    tree,
    watch::{Update, Watch, waits_for_person},
};

use lines::Lines;
pub(crate) use lines::event_line;
use live::Live;

/// How often a view is asked whether something is due.
const TICK: Duration = Duration::from_millis(100);

/// Until when, and in what shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Follow {
    /// Leave with [`Exit::WaitsForPerson`] when nothing more happens before a person acts.
    pub until_person: bool,
    /// Lines even on a terminal.
    pub plain: bool,
    /// Leave with [`Exit::TimedOut`] after this.
    pub timeout: Option<Duration>,
    /// JSON: the rollout at the end; NDJSON: each message.
    pub format: Format,
}

/// Why following ended.
enum End {
    Outcome(Exit),
    Person,
    TimedOut,
    Detached,
}

/// What a person or a program sees.
enum View {
    Live(Live),
    Lines(Lines),
    Ndjson,
    /// Only the end counts.
    Silent,
}

/// Follows to the end.
///
/// # Errors
/// What the coordinator refused, an outage longer than patience, or an output that cannot be written.
pub(crate) async fn follow(console: &mut Console, mut watch: Watch, how: Follow) -> Result<Exit, Error> {
    let mut view = View::of(console, how);
    let mut last = None;
    let end = run(console, &mut watch, how, &mut view, &mut last).await;
    view.close(console, last.as_ref())?;
    let rollout = last.unwrap_or_default();
    let exit = match end? {
        End::Outcome(exit) => {
            view.outcome(console, &rollout)?;
            exit
        }
        other => return left(console, &rollout, &other, how).map_err(Into::into),
    };
    if how.format == Format::Json {
        console.json(&rollout, how.format)?;
    }
    Ok(exit)
}

async fn run(
    console: &mut Console,
    watch: &mut Watch,
    how: Follow,
    view: &mut View,
    last: &mut Option<Rollout>,
) -> Result<End, Error> {
    let deadline = how.timeout.map(|timeout| Instant::now() + timeout);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        let timed_out = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = &mut interrupt => return Ok(End::Detached),
            update = watch.next() => match update {
                Some(update) => {
                    take(console, update?, view, last)?;
                    if how.until_person && last.as_ref().is_some_and(waits_for_person) {
                        return Ok(End::Person);
                    }
                }
                None => return ended(last.as_ref()),
            },
            () = timed_out => return Ok(End::TimedOut),
            _ = tick.tick() => view.tick(console, last.as_ref())?,
        }
    }
}

fn ended(last: Option<&Rollout>) -> Result<End, Error> {
    last.and_then(Exit::of_rollout)
        .map(End::Outcome)
        .ok_or_else(|| Error::new(Exit::Error, "the watch ended before the rollout had an outcome"))
}

fn take(console: &mut Console, update: Update, view: &mut View, last: &mut Option<Rollout>) -> io::Result<()> {
    match update {
        Update::Change(mut change) => {
            view.change(console, &change)?;
            if let Some(rollout) = change.rollout.take() {
                *last = Some(rollout);
            }
            view.tick(console, last.as_ref())
        }
        Update::Lost(why) => view.lost(console, &why),
        Update::Back => view.back(console),
    }
}

/// What is said when we leave and the rollout goes on.
fn left(console: &mut Console, rollout: &Rollout, end: &End, how: Follow) -> io::Result<Exit> {
    let (exit, what) = match end {
        End::Outcome(exit) => return Ok(*exit),
        End::Person => (
            Exit::WaitsForPerson,
            "waits for a person; it goes on when one has acted",
        ),
        End::TimedOut => (Exit::TimedOut, "has no outcome yet: --timeout ran out; it goes on"),
        End::Detached => (Exit::Detached, "goes on; you are detached"),
    };
    if matches!(end, End::Person) && !how.format.is_json() {
        console.lines(&tree::waiting(rollout))?;
    }
    let id = if rollout.name.is_empty() {
        "the rollout"
    } else {
        id(&rollout.name)
    };
    console.note(&Line::new().push(Style::Warn, "⚠ ").plain(format!("{id} {what}")))?;
    if !rollout.name.is_empty() {
        let command = format!("echelon status {id} --watch");
        console.note(
            &Line::new()
                .push(Style::Dim, "  come back with: ")
                .push(Style::Bold, command),
        )?;
    }
    if how.format == Format::Json {
        console.json(rollout, how.format)?;
    }
    Ok(exit)
}

impl View {
    fn of(console: &Console, how: Follow) -> Self {
        match how.format {
            Format::Ndjson => Self::Ndjson,
            Format::Json => Self::Silent,
            Format::Table | Format::Wide if !how.plain && console.screen().is_some() => Self::Live(Live::default()),
            Format::Table | Format::Wide => Self::Lines(Lines::new(Instant::now())),
        }
    }

    fn change(&mut self, console: &mut Console, change: &WatchRolloutResponse) -> io::Result<()> {
        match self {
            Self::Live(live) => {
                live.touch();
                Ok(())
            }
            Self::Lines(lines) => console.lines(&lines.change(change, Instant::now())),
            Self::Ndjson => console.json(change, Format::Ndjson),
            Self::Silent => Ok(()),
        }
    }

    fn tick(&mut self, console: &mut Console, last: Option<&Rollout>) -> io::Result<()> {
        match (self, last) {
            (Self::Live(live), _) if live.is_due(Instant::now()) => live.draw(console, last, Timestamp::now()),
            (Self::Lines(lines), Some(rollout)) => {
                console.lines(lines.heartbeat(rollout, Instant::now(), Timestamp::now()).as_slice())
            }
            _ => Ok(()),
        }
    }

    fn lost(&mut self, console: &mut Console, why: &str) -> io::Result<()> {
        let note = Line::new()
            .push(Style::Warn, "⚠ coordinator unreachable, retrying")
            .push(Style::Dim, format!(" ({why})"));
        match self {
            Self::Live(live) => {
                live.set_note(Some(note));
                Ok(())
            }
            Self::Lines(_) | Self::Ndjson | Self::Silent => console.note(&note),
        }
    }

    fn back(&mut self, console: &mut Console) -> io::Result<()> {
        match self {
            Self::Live(live) => {
                live.set_note(None);
                Ok(())
            }
            Self::Lines(_) | Self::Ndjson | Self::Silent => {
                console.note(&Line::new().push(Style::Good, "✔ ").plain("coordinator is back"))
            }
        }
    }

    /// Leaves the last state on the screen and the cursor below it.
    fn close(&mut self, console: &mut Console, last: Option<&Rollout>) -> io::Result<()> {
        match self {
            Self::Live(live) => live.close(console, last),
            Self::Lines(_) | Self::Ndjson | Self::Silent => Ok(()),
        }
    }

    /// The last word. The live tree has said it all already.
    fn outcome(&self, console: &mut Console, rollout: &Rollout) -> io::Result<()> {
        let debt = rollout.state() == RolloutState::SucceededWithDebt;
        if let Self::Lines(_) = self {
            console.line(&tree::headline(rollout, Timestamp::now()))?;
            if !rollout.state_reason.is_empty() {
                console.line(&Line::new().plain("  ").plain(&rollout.state_reason))?;
            }
            console.lines(&tree::failures(rollout, usize::MAX))?;
        }
        if debt {
            let tally = tree::Tally::of_rollout(rollout);
            let owed = tally.hosts.saturating_sub(tally.done);
            let what = format!(
                "succeeded with debt: {} not on {}",
                counted(usize::try_from(owed).unwrap_or(usize::MAX), "host"),
                rollout.release
            );
            console.note(&Line::new().push(Style::Warn, "⚠ ").plain(what))?;
            let command = format!("echelon report {}", id(&rollout.name));
            console.note(&Line::new().push(Style::Dim, "  next: ").push(Style::Bold, command))?;
        }
        Ok(())
    }
}
