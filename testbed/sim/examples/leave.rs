//! `leave SEED EVENTS`: the ring as this version leaves it on its disks after so many events of a seed, for `older/`, so that
//! later versions begin there too. Pick a moment in which rollouts run: standard error says what did.

use std::{env, process::ExitCode};

use echelon_sim::leave;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for people")]
fn main() -> ExitCode {
    let mut words = env::args().skip(1).filter_map(|word| word.parse().ok());
    let (Some(seed), Some(events)) = (words.next(), words.next()) else {
        eprintln!("usage: leave SEED EVENTS");
        return ExitCode::from(2);
    };
    let (left, working) = leave(seed, events);
    eprintln!("hosts that are worked on: {working}");
    match serde_json::to_string(&left) {
        Ok(text) => println!("{text}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
