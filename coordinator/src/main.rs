//! `echelon-coordinator`: reads its flags and does what they say.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use echelon_coordinator::command::{Arguments, Command};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let done = run();
    if let Err(error) = &done {
        let _ = writeln!(io::stderr(), "echelon-coordinator: {error:#}");
    }
    ExitCode::from(u8::from(done.is_err()))
}

fn run() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    match Arguments::parse().command {
        Command::Init(init) => init.run(&mut io::stdout())?,
        Command::Serve(serve) => serve.run()?,
        Command::Certificate(certificate) => certificate.run(&mut io::stdout())?,
        Command::Journal(look) => look.run(&mut io::stdout().lock())?,
    }
    Ok(())
}
