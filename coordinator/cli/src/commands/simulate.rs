//! `playbook simulate`: the engine itself, in virtual time. Nothing is started, and only `--hosts-from coordinator` asks
//! a coordinator for anything.

mod hosts;

use echelon_playbooks::Checked;
use echelon_proto::{Time, wire::control::Rollout};
use echelon_rehearsal::{BEGIN, End, Fleet, MadeUp, Rehearsal, Script};
use jiff::{Timestamp, Zoned};
use serde_json::{Value, json};

use super::{
    Outcome, Session,
    playbook::{self, Reader},
};
use crate::{
    args::{Simulate, SimulateFormat, by_name},
    console::{Console, Format},
    error::Error,
    exit::Exit,
    follow::event_line,
    forecast, json as wire,
    line::{Line, Style, counted},
    tree, when,
};

/// A playbook that has no faults, and what it was read from.
struct Book {
    text: String,
    checked: Checked,
}

/// On hosts that are made up or in a file: needs no coordinator.
pub(super) fn alone(args: &Simulate, console: &mut Console) -> Outcome {
    let book = read(args, console)?;
    let fleet = match &args.hosts_from {
        Some(path) => Fleet::Given(hosts::of_file(path)?),
        None => Fleet::MadeUp(MadeUp {
            datacenters: args.datacenters,
            hosts: args.hosts,
            pools: args.pools,
            fresh: args.fresh,
        }),
    };
    rehearse(args, book, fleet, console)
}

/// On the coordinator's hosts.
pub(super) async fn run(args: &Simulate, mut session: Session<'_>) -> Outcome {
    let book = read(args, session.console)?;
    let hosts = hosts::of_coordinator(&book.checked.playbook, &mut session).await?;
    rehearse(args, book, Fleet::Given(hosts), session.console)
}

fn read(args: &Simulate, console: &mut Console) -> Result<Book, Error> {
    let text = playbook::text(&args.file, console)?;
    match Reader::new(&args.reading)?.read(&text) {
        Ok(checked) => Ok(Book { text, checked }),
        Err(faults) => {
            console.notes(&playbook::refused(&args.file, faults))?;
            Err(Error::silent(Exit::Usage))
        }
    }
}

fn rehearse(args: &Simulate, Book { text, checked }: Book, fleet: Fleet, console: &mut Console) -> Outcome {
    let Checked { playbook, base, .. } = checked;
    let script = Script {
        app: args.app.clone().unwrap_or_else(|| echelon_rehearsal::app(&playbook)),
        playbook,
        text,
        base,
        params: by_name(&args.reading.params)?,
        release: args.release.clone(),
        operation: args.operation.clone(),
        fleet,
        fails: args.fails.clone(),
        slows: args.slows.clone(),
        begin: begin(args)?,
        seed: args.seed,
        think: args.think,
    };
    let rehearsal = echelon_rehearsal::rehearse(&script).map_err(|error| Error::usage(error.to_string()))?;
    let rollout = shown(&rehearsal)?;
    match args.output {
        SimulateFormat::Table => table(&rehearsal, &rollout, args.events, console)?,
        SimulateFormat::Json => console.json_value(&object(&rehearsal, &rollout)?, Format::Json)?,
    }
    Ok(exit(&rehearsal, &rollout))
}

fn begin(args: &Simulate) -> Result<Time, Error> {
    let Some(at) = &args.at else { return Ok(BEGIN) };
    let at = when::parse(at, &Zoned::now())?.as_millisecond();
    let before = |_| Error::usage("a rehearsal begins after 1970");
    Ok(Time(u64::try_from(at).map_err(before)?))
}

/// The rollout as the coordinator would show it. It has no name: nobody can act on it or ask for it.
fn shown(rehearsal: &Rehearsal) -> Result<Rollout, Error> {
    let rollout = echelon_shape::rollout(&rehearsal.state, &rehearsal.rollout, rehearsal.now);
    let rollout = rollout.ok_or_else(|| Error::new(Exit::Error, "the rehearsal has lost its rollout"))?;
    Ok(Rollout {
        name: String::new(),
        ..rollout
    })
}

fn exit(rehearsal: &Rehearsal, rollout: &Rollout) -> Exit {
    match rehearsal.end {
        End::Outcome(_) => Exit::of_rollout(rollout).unwrap_or(Exit::Error),
        End::Waits(_) => Exit::WaitsForPerson,
        End::Late => Exit::TimedOut,
    }
}

fn table(rehearsal: &Rehearsal, rollout: &Rollout, events: bool, console: &mut Console) -> Result<(), Error> {
    if events {
        let lines: Vec<_> = rehearsal
            .events
            .iter()
            .map(|seen| event(rehearsal.begin, seen))
            .collect();
        console.lines(&lines)?;
        console.line(&Line::new())?;
    }
    let now = when::stamp(Some(&echelon_shape::stamp(rehearsal.now))).unwrap_or(Timestamp::UNIX_EPOCH);
    console.lines(&tree::tree(rollout, console.columns(), now))?;
    console.line(&Line::new())?;
    console.lines(&forecast::lines(&rehearsal.forecast, &rehearsal.approvals))?;
    console.notes(&notes(rehearsal))?;
    Ok(())
}

/// `+4m12s  dc1/canary/dc1-01  install  done`
fn event(begin: Time, seen: &echelon_rehearsal::EventView) -> Line {
    let after = forecast::after(seen.at.since(begin));
    let mut event = echelon_shape::event(0, seen);
    event.time = None;
    event_line(&event).after(Style::Dim, format!("{:>8}", format!("+{after}")))
}

fn notes(rehearsal: &Rehearsal) -> Vec<Line> {
    let note = |text: String| Line::new().push(Style::Warn, "⚠ ").plain(text);
    let idle = (rehearsal.taken_as_idle > 0).then(|| {
        let busy = counted(rehearsal.taken_as_idle as usize, "host");
        note(format!("{busy} in work for other rollouts: taken to be idle"))
    });
    let end = match &rehearsal.end {
        End::Outcome(_) => None,
        End::Waits(what) if what.is_empty() => Some(note("it stands still: nothing more happens by itself".into())),
        End::Waits(_) => Some(note("it waits for a person; the rehearsal ends here".into())),
        End::Late => Some(note(
            "60 days have passed and it has no outcome; the rehearsal ends here".into(),
        )),
    };
    idle.into_iter().chain(end).collect()
}

fn object(rehearsal: &Rehearsal, rollout: &Rollout) -> Result<Value, Error> {
    let events = rehearsal.events.iter().zip(1..);
    let events = events.map(|(seen, sequence)| wire::value(&echelon_shape::event(sequence, seen)));
    let (end, waiting) = match &rehearsal.end {
        End::Outcome(outcome) => (outcome.name(), &[][..]),
        End::Waits(what) => ("waits", &what[..]),
        End::Late => ("late", &[][..]),
    };
    Ok(json!({
        "rollout": wire::value(rollout)?,
        "end": end,
        "waiting": waiting,
        "forecast": rehearsal.forecast,
        "approvals_assumed": rehearsal.approvals,
        "hosts_taken_as_idle": rehearsal.taken_as_idle,
        "events": events.collect::<Result<Vec<_>, _>>()?,
    }))
}
