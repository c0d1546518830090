//! The release manager's command as a library: arguments and streams in, an exit code out, so that tests and the testbed
//! run what people run. It sees the coordinator only through `echelon.control.v1`, and knows no policy: what is allowed
//! and what happens next is the coordinator's to say; in a rehearsal it is the engine itself.

mod args;
pub mod client;
mod commands;
pub mod console;
mod context;
mod delta;
mod error;
pub mod exit;
mod follow;
mod forecast;
mod json;
mod line;
mod name;
mod samples;
mod table;
mod tree;
mod watch;
mod when;

use std::ffi::OsString;

use clap::Parser as _;

pub use client::{Settings, connect};
pub use line::{Line, Style};
pub use tree::tree;

use crate::{args::Cli, console::Console, error::Error, exit::Exit};

/// The command line, as its manual is made of it.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs one command line; `args` begins with the program's name. Returns the number for the shell.
pub async fn run<I, T>(args: I, console: &mut Console) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, console).code(),
    };
    console.set_colour(cli.global.color);
    match commands::run(cli, console).await {
        Ok(exit) => exit.code(),
        Err(error) => complain(&error, console).code(),
    }
}

fn usage(error: &clap::Error, console: &mut Console) -> Exit {
    let text = error.render();
    let shown = if console.colours(error.use_stderr()) {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    let written = if error.use_stderr() {
        console.complaint(&shown).map(|()| Exit::Usage)
    } else {
        console.text(&shown).map(|()| Exit::Done)
    };
    written.unwrap_or(Exit::Error)
}

fn complain(error: &Error, console: &mut Console) -> Exit {
    // With nowhere to say it, the number must do.
    let _ = console.notes(&error.lines());
    error.exit
}
