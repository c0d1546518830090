//! `judge`: what the judge gets wrong and how soon it finds harm, over made-up fleets, each row beside the classic judge on
//! the same data. Everything is drawn from the seed: the same seed gives the same figures but for the times. Deliberately
//! no real metrics: of those nobody knows which canary was harmless.

mod bench;
mod blame;
mod chance;
mod figures;
mod world;

use std::process::ExitCode;

pub use bench::{Rows, measure};
pub use figures::{Figure, Figures};

use crate::{bench::Format, screen};

/// `judge`
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Everything is drawn from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Canaries of each row [default: 2000, with --quick 40]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(10..))]
    pub canaries: Option<u64>,
    /// Few canaries: to see that it runs, not how good it is
    #[arg(long)]
    pub quick: bool,
    /// Only these rows; may be given again
    #[arg(long, value_enum, value_name = "ROWS")]
    pub only: Vec<Rows>,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

const CANARIES: u64 = 2000;
const CANARIES_QUICK: u64 = 40;

/// Measures, and shows what was found. Success, whatever the figures: the goals stand beside them.
///
/// # Errors
/// The figures are no JSON, which cannot be.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let canaries = arguments
        .canaries
        .unwrap_or(if arguments.quick { CANARIES_QUICK } else { CANARIES });
    let figures = measure(arguments.seed, canaries, &arguments.only);
    screen::gap();
    screen::plain(figures.text());
    if arguments.output == Format::Json {
        screen::plain(serde_json::to_string(&figures)?);
    }
    Ok(ExitCode::SUCCESS)
}
