//! `echelon-testbed crash`: the real coordinator and agents, each killed at every place where it could matter, before and
//! after whatever must last (`echelon-failpoint`); started again; and then looked at from the outside: nothing acknowledged
//! is lost, no phase ran twice, every rollout has come to its end. Deliberately without chance: the places come from a run
//! in which nobody dies, and one of the sources that it does not come by is a failure.

mod check;
mod disk;
mod place;
pub mod power;
mod ring;
mod story;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use futures::{StreamExt as _, stream};
use tokio::time;

use crate::{binaries::Binaries, place::Place, screen};
use place::Passed;
use ring::{Ground, Ring, Who};

/// Of one run with its death.
const RUN_WITHIN: Duration = Duration::from_secs(150);

/// Of all places, at most one in so many may not be come by.
const MISSED_PART: usize = 10;

/// `crash`
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Only at this place, as `ledger:synced`; may be given again
    #[arg(long, value_name = "PLACE")]
    only: Vec<String>,
    /// At how many different passings of each place: the first, and others spread over the rest
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    passings: u32,
    /// Rings at once
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    parallel: u8,
    /// Keep the folder with all logs
    #[arg(long)]
    keep: bool,
}

/// Somebody dies at one of a place's passings.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Death {
    who: Who,
    place: String,
    /// From 1.
    passing: u32,
}

/// Learns the places, then kills at each.
///
/// # Errors
/// Something does not hold.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let binaries = Binaries::build().await?;
    ensure!(
        binaries.profile == "debug",
        "only a debug build has places to die at: run it by `cargo run -p echelon-testbed -- crash`"
    );
    let place = Place::new("crash", arguments.keep)?;
    screen::head("Coordinator and agents are killed wherever it could matter");
    let passed = learn(&binaries, &place.folder("nobody")?).await?;
    let unreached = place::of_sources()?
        .difference(&passed.sites())
        .cloned()
        .collect::<Vec<_>>();
    ensure!(
        unreached.is_empty(),
        "the story does not come by {}: nobody can die there",
        unreached.join(", ")
    );
    let deaths: Vec<_> = deaths(&passed, arguments);
    ensure!(
        !deaths.is_empty(),
        "there is no such place: {}",
        passed.names().join(", ")
    );
    screen::note(format_args!(
        "{} places, passed {} times when nobody dies; {} deaths follow",
        passed.names().len(),
        passed.times(),
        deaths.len()
    ));
    let runs = deaths.iter().enumerate().map(|(number, death)| {
        let folder = place.path().join(format!("{number}"));
        die(&binaries, folder, death)
    });
    let results: Vec<_> = stream::iter(runs)
        .buffer_unordered(usize::from(arguments.parallel))
        .collect()
        .await;
    judge(&results)?;
    screen::head(&format!("Done in {:.0} s.", began.elapsed().as_secs_f64()));
    Ok(ExitCode::SUCCESS)
}

/// Every death must have ended well, and each place have had one.
fn judge(results: &[(&Death, anyhow::Result<bool>)]) -> anyhow::Result<()> {
    let (mut died, mut missed, mut failed) = (BTreeMap::<&str, u32>::new(), 0, 0);
    for (death, result) in results {
        match result {
            Ok(true) => *died.entry(death.place.as_str()).or_default() += 1,
            Ok(false) => missed += 1,
            Err(error) => {
                failed += 1;
                screen::bad(format_args!("{death}: {error:#}"));
            }
        }
    }
    let alive: Vec<_> = results
        .iter()
        .map(|(death, _)| death.place.as_str())
        .filter(|place| !died.contains_key(place))
        .collect();
    if failed > 0 {
        bail!("{failed} of {} deaths did not end well", results.len());
    }
    // What is sent depends on who is faster, so that a few places may not be come by each time.
    ensure!(
        alive.len() * MISSED_PART <= results.len(),
        "nobody died at {}",
        alive.join(", ")
    );
    screen::good(format_args!(
        "{} deaths at {} places: nothing acknowledged was lost, no phase ran twice, every rollout came to its end",
        died.values().sum::<u32>(),
        died.len()
    ));
    if missed > 0 {
        screen::note(format_args!(
            "{missed} more were not died, their place was passed less often that time; not at all: {}",
            alive.join(", ")
        ));
    }
    Ok(())
}

/// The story with nobody dying: which places are passed, by whom, how often.
async fn learn(binaries: &Binaries, folder: &Path) -> anyhow::Result<Passed> {
    let files = [Who::Coordinator, Who::Agent].map(|who| (who, folder.join(format!("passed-{who:?}"))));
    let environment = files.clone().map(|(who, file)| {
        let variable = ("ECHELON_FAILPOINTS_PASSED".to_owned(), file.display().to_string());
        (who, vec![variable])
    });
    tell(binaries, folder, &environment, true)
        .await
        .context("with nobody dying")?;
    let mut passed = Passed::default();
    for (who, file) in files {
        passed.read(who, &fs::read_to_string(file)?)?;
    }
    Ok(passed)
}

async fn tell(
    binaries: &Binaries,
    folder: &Path,
    environment: &[(Who, Vec<(String, String)>)],
    is_judged: bool,
) -> anyhow::Result<()> {
    let ground = Ground {
        folder: folder.to_owned(),
        coordinator: folder.to_owned(),
    };
    let ring = Ring::start(binaries, &ground, environment).await?;
    let acknowledged = story::tell(&ring, is_judged).await?;
    check::all(ring, &acknowledged).await
}

/// The first passing of each place, and others spread over the rest.
fn deaths(passed: &Passed, arguments: &Arguments) -> Vec<Death> {
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    let mut deaths = Vec::new();
    for (who, place, times) in passed.places().filter(|(_, name, _)| wanted(name)) {
        let mut passings: Vec<u32> = (0..arguments.passings)
            .map(|part| 1 + times * part / arguments.passings)
            .collect();
        passings.dedup();
        deaths.extend(passings.into_iter().map(|passing| Death {
            who,
            place: place.to_owned(),
            passing,
        }));
    }
    deaths
}

/// The story with one death. Gives whether it was died.
async fn die<'a>(
    binaries: &Binaries,
    folder: std::path::PathBuf,
    death: &'a Death,
) -> (&'a Death, anyhow::Result<bool>) {
    let run = async {
        let tickets = folder.join("tickets");
        fs::create_dir_all(&tickets)?;
        for ticket in 1..=death.passing {
            fs::write(tickets.join(ticket.to_string()), "")?;
        }
        let variables = vec![
            ("ECHELON_FAILPOINT".to_owned(), death.place.clone()),
            ("ECHELON_FAILPOINT_TICKETS".to_owned(), tickets.display().to_string()),
        ];
        let is_judged = death.place.starts_with("decision:");
        tell(binaries, &folder, &[(death.who, variables)], is_judged).await?;
        Ok(fs::read_dir(&tickets)?.next().is_none())
    };
    let ended = time::timeout(RUN_WITHIN, run).await;
    (death, ended.context("it takes too long").flatten())
}

impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at {}, passing {}", self.who, self.place, self.passing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_passing_of_each_place_is_always_among_the_deaths() {
        let mut passed = Passed::default();
        let text = "ledger:synced\ta.rs:1\n".repeat(9) + "term:kept\tb.rs:2\n";
        passed.read(Who::Agent, &text).unwrap();
        let arguments = |passings, only: &[&str]| Arguments {
            only: only.iter().map(|&only| only.to_owned()).collect(),
            passings,
            parallel: 1,
            keep: false,
        };
        let of = |arguments| -> Vec<(String, u32)> {
            let deaths = deaths(&passed, &arguments).into_iter();
            deaths.map(|death| (death.place, death.passing)).collect()
        };
        let at = |place: &str, passing| (place.to_owned(), passing);
        assert_eq!(of(arguments(1, &[])), [at("ledger:synced", 1), at("term:kept", 1)]);
        assert_eq!(
            of(arguments(3, &["ledger:synced"])),
            [at("ledger:synced", 1), at("ledger:synced", 4), at("ledger:synced", 7)]
        );
        assert_eq!(of(arguments(3, &["term:kept"])), [at("term:kept", 1)]);
    }
}
