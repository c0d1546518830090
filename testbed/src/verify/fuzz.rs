//! The reader of playbooks under libFuzzer for a while: from the same seed over the same texts, so that what passed passes
//! again. Deliberately nothing of earlier runs: what chance found for hours is not in the repository.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::{Found, MINUTE, job::Job, room::Room};
use crate::fuzz::{self, Fuzz};

/// libFuzzer itself is compiled too.
const BUILT_WITHIN: Duration = Duration::from_secs(1200);
/// About half a minute on a quiet core.
const TEXTS: u32 = 100_000;
/// On a slow machine fewer texts must do.
const AT_MOST: Duration = Duration::from_secs(120);
/// Fewer would prove nothing.
const TEXTS_MIN: u32 = 5_000;
const SEED: u32 = 1;

pub(super) async fn look(name: &str, room: &Room) -> anyhow::Result<Found> {
    let build = format!("{name}-build");
    Job::new(&build, fuzz::build(), BUILT_WITHIN).must(room).await?;
    let own = tempfile::Builder::new().prefix("fuzz-").tempdir_in(room.temporary())?;
    let fuzz = Fuzz {
        time: AT_MOST,
        texts: Some(TEXTS),
        seed: Some(SEED),
        found: own.path().join("found"),
        broken: room.logs().join(format!("{name}-broken-")),
        dictionary: own.path().join("words"),
    };
    let ended = Job::new(name, fuzz.command()?, AT_MOST + 5 * MINUTE).must(room).await?;
    let (texts, branches) = figures(&ended.said).inspect_err(|_| ended.show())?;
    Ok(Found::good(format!(
        "no promise broken by {texts} texts over {branches} branches"
    )))
}

/// Texts that were tried and branches that were reached. A fuzzer that saw no branch is a mere game of chance.
fn figures(said: &str) -> anyhow::Result<(u32, u32)> {
    let number = |before: &str| {
        let rest = said.rsplit_once(before)?.1.trim_start();
        rest.split_whitespace().next()?.parse().ok()
    };
    let texts: u32 = number("stat::number_of_executed_units:").context("it does not say how many texts it tried")?;
    let branches: u32 = number(" cov: ").context("it does not say what it reached")?;
    ensure!(
        texts >= TEXTS_MIN,
        "only {texts} texts were tried in {} s",
        AT_MOST.as_secs()
    );
    ensure!(branches > 0, "it saw no branch: the flags are not what libFuzzer needs");
    Ok((texts, branches))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "#137\tINITED cov: 5316 ft: 12157 corp: 108/108Kb exec/s: 0 rss: 31Mb
#60000\tDONE   cov: 5823 ft: 21157 corp: 708/608Kb exec/s: 2727 rss: 39Mb
Done 60000 runs in 22 second(s)
stat::number_of_executed_units: 60000
stat::average_exec_per_sec:     2727
";

    #[test]
    fn what_was_tried_and_reached_is_read_from_what_libfuzzer_says() {
        assert_eq!(figures(SAID).unwrap(), (60_000, 5823));
        assert!(figures(&SAID.replace(" 60000\n", " 137\n")).is_err());
        assert!(figures(&SAID.replace("cov: 5823", "cov: 0")).is_err());
        assert!(figures("Done").is_err());
    }
}
