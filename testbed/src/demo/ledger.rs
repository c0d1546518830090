//! The log that every phase's program adds a line to before it does anything: `HOST PHASE ROLLOUT ATTEMPT`. What ran, as
//! the programs themselves saw it, whoever was killed in between. Deliberately not what the coordinator believes.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::{Context as _, bail};

/// One run of a phase's program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// On which host.
    pub host: String,
    /// Which phase.
    pub phase: String,
    /// Of which rollout.
    pub rollout: String,
    /// Of all orders of this rollout on this host, from 1.
    pub attempt: String,
}

/// All of them, in the order written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger(pub Vec<Run>);

impl Ledger {
    /// From the file; empty when nothing ran yet.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let run = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            let [host, phase, rollout, attempt] = words[..] else {
                bail!("{line:?} is no line of a phase's program");
            };
            let own = str::to_owned;
            Ok(Run {
                host: own(host),
                phase: own(phase),
                rollout: own(rollout),
                attempt: own(attempt),
            })
        };
        Ok(Self(text.lines().map(run).collect::<Result<_, _>>()?))
    }

    /// Fails when an attempt ran twice, naming it.
    ///
    /// # Errors
    /// One did.
    pub fn must_be_unique(&self) -> anyhow::Result<()> {
        let mut seen = BTreeMap::new();
        for run in &self.0 {
            let times: &mut u32 = seen.entry(run).or_default();
            *times += 1;
        }
        match seen.iter().find(|(_, times)| **times > 1) {
            None => Ok(()),
            Some((run, times)) => bail!("{run:?} ran {times} times"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_ran_twice_is_named_and_another_attempt_is_not() {
        let good = Ledger::parse("h1 stop r1 1\nh1 stop r1 2\nh1 stop r2 1\nh2 stop r1 1\n").unwrap();
        assert_eq!(good.0.len(), 4);
        good.must_be_unique().unwrap();
        let bad = Ledger::parse("h1 stop r1 1\nh2 stop r1 1\nh1 stop r1 1\n").unwrap();
        let error = bad.must_be_unique().unwrap_err().to_string();
        assert!(error.contains("h1") && error.contains("2 times"), "{error}");
        assert!(Ledger::parse("h1 stop\n").is_err());
    }
}
