//! The `echelon` command: hands the process's arguments, environment and streams to the library. Nothing else.

use std::{
    env,
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use echelon_cli::console::{Console, Size};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let size: Size = || crossterm::terminal::size().unwrap_or((80, 24));
    let environment =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut console = Console::new(
        Box::new(io::stdout()),
        Box::new(io::stderr()),
        io::stdout().is_terminal().then_some(size),
        io::stderr().is_terminal(),
        environment.collect(),
    );
    ExitCode::from(echelon_cli::run(env::args_os(), &mut console).await)
}
