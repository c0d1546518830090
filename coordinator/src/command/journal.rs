//! `echelon-coordinator journal dump | replay | check`: what the journal holds, without starting anything. It needs the
//! journal for itself: stop the coordinator, or take a copy of its folder.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand, ValueEnum};
use echelon_engine::{Engine, Entry, State};
use echelon_proto::Digest;
use serde_json::json;

use super::Error;
use crate::{
    config::DATA,
    driver::{Restored, Story, restore},
    journal::Journal,
};

/// Looks into the journal
#[derive(Debug, Clone, Subcommand)]
pub enum Look {
    /// Prints every entry that is kept
    Dump(Dump),
    /// Replays it and prints what it leads to
    Replay(Folder),
    /// Checks that it is whole and leads to one state only
    Check(Folder),
}

/// Where it is
#[derive(Debug, Clone, Args)]
pub struct Folder {
    /// Folder of journal, certificates and output
    #[arg(long, value_name = "FOLDER", default_value = DATA)]
    pub data: PathBuf,
}

/// Prints every entry that is kept
#[derive(Debug, Clone, Args)]
pub struct Dump {
    /// Where it is.
    #[command(flatten)]
    pub folder: Folder,
    /// From this entry on; left out: from the first that is kept
    #[arg(long, value_name = "SEQUENCE")]
    pub from: Option<u64>,
    /// One line a record, or one JSON object an entry
    #[arg(long, value_enum, default_value = "text")]
    pub output: Form,
}

/// How entries are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// One line a record.
    Text,
    /// One JSON object an entry.
    Json,
}

impl Look {
    /// Does it, and writes to `out`.
    ///
    /// # Errors
    /// [`Error::Journal`], [`Error::Check`] when something is wrong with it, [`Error::Out`].
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        match self {
            Self::Dump(dump) => dump.run(out),
            Self::Replay(folder) => replay(&folder.open()?, out),
            Self::Check(folder) => check(&folder.open()?, out),
        }
    }
}

impl Folder {
    fn open(&self) -> Result<Journal<Entry>, Error> {
        let folder = self.data.join("journal");
        if !folder.is_dir() {
            return Err(Error::NoJournal { folder });
        }
        Ok(Journal::open(&folder)?)
    }
}

impl Dump {
    fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        let journal = self.folder.open()?;
        let from = self.from.unwrap_or(journal.span().0);
        let mut failed = None;
        journal.read(from, |sequence, entry: Entry| match self.print(out, sequence, &entry) {
            Ok(()) => std::ops::ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                std::ops::ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn print(&self, out: &mut dyn Write, sequence: u64, entry: &Entry) -> io::Result<()> {
        if self.output == Form::Json {
            return writeln!(
                out,
                "{}",
                json!({ "sequence": sequence, "at": entry.at, "records": entry.records })
            );
        }
        for record in &entry.records {
            writeln!(out, "{sequence:>8}  {}  {}", entry.at, serde_json::to_string(record)?)?;
        }
        Ok(())
    }
}

fn restored(journal: &Journal<Entry>) -> Result<Restored, Error> {
    Ok(restore(journal, echelon_engine::Config::default(), &Story::default())?)
}

fn digest(state: &State) -> Result<Digest, Error> {
    let json = serde_json::to_vec(state).map_err(io::Error::from)?;
    Ok(Digest::of(&json))
}

fn replay(journal: &Journal<Entry>, out: &mut dyn Write) -> Result<(), Error> {
    let restored = restored(journal)?;
    let state = restored.engine.state();
    let (first, last) = journal.span();
    writeln!(out, "entries     {first} to {last}, snapshot at {}", restored.snapshot)?;
    writeln!(out, "term        {}", state.term)?;
    let attached = state.hosts.values().filter(|host| host.is_attached()).count();
    writeln!(out, "hosts       {}, {attached} attached", state.hosts.size())?;
    let releases: usize = state.releases.values().map(BTreeMap::len).sum();
    let playbooks: usize = state.playbooks.values().map(BTreeMap::len).sum();
    writeln!(out, "releases    {releases}")?;
    writeln!(out, "playbooks   {playbooks}")?;
    writeln!(
        out,
        "rollouts    {}, {} active",
        state.rollouts.size(),
        state.active.len()
    )?;
    let mut rollouts: Vec<_> = state.rollouts.values().collect();
    rollouts.sort_by_key(|rollout| rollout.number);
    for rollout in rollouts {
        let status = serde_json::to_string(&rollout.status).map_err(io::Error::from)?;
        writeln!(out, "  {:<8}  {} {} {status}", rollout.id, rollout.app, rollout.release)?;
    }
    writeln!(out, "owed        {}", restored.engine.owed().len())?;
    writeln!(out, "digest      {}", digest(state)?)?;
    Ok(())
}

/// Reading checks every checksum and that no entry is missing. Then two ways to the same state, where both are there,
/// and what is owed by two ways.
fn check(journal: &Journal<Entry>, out: &mut dyn Write) -> Result<(), Error> {
    let restored = restored(journal)?;
    let (first, last) = journal.span();
    writeln!(
        out,
        "whole: entries {first} to {last}, snapshot at {}",
        restored.snapshot
    )?;
    if restored.engine.owed() != &restored.engine.owed_from_scratch() {
        return Err(Error::Check(
            "what is owed, kept step by step, is not what the state owes",
        ));
    }
    writeln!(
        out,
        "owed: {} effects, kept step by step as from scratch",
        restored.engine.owed().len()
    )?;
    if first > 1 {
        writeln!(
            out,
            "state: entries before {first} are no longer kept, so the snapshot cannot be proved from them"
        )?;
        return Ok(());
    }
    let mut engine = Engine::new(echelon_engine::Config::default(), State::default());
    journal.replay(1, |_, entry: Entry| {
        for record in &entry.records {
            engine.apply(entry.at, record);
        }
    })?;
    if engine.state() != restored.engine.state() {
        return Err(Error::Check(
            "the replay from the first entry leads to another state than snapshot and tail",
        ));
    }
    writeln!(
        out,
        "state: the replay from the first entry leads to the same as snapshot and tail, {}",
        digest(engine.state())?
    )?;
    Ok(())
}
