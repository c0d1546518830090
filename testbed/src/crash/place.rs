//! The places where somebody can die: those that a run came by, and those that there are in the sources, so that none is
//! forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::Context as _;

use super::ring::Who;
use crate::binaries::repository;

/// Whose sources have places.
const SOURCES: [&str; 2] = ["agent/src", "coordinator/src"];
/// Passed by no rollout of an app: `agent/tests/agent/upgrades.rs` kills there.
const UPGRADE: &str = "agent/src/upgrade.rs";
const CALL: &str = "failpoint::pass(";

/// The places that a run came by.
#[derive(Debug, Default)]
pub(super) struct Passed {
    places: BTreeMap<(Who, String), u32>,
    sites: BTreeSet<String>,
}

impl Passed {
    /// What one of them wrote: `NAME\tFILE:LINE`, a line each.
    pub(super) fn read(&mut self, who: Who, text: &str) -> anyhow::Result<()> {
        for line in text.lines() {
            let (name, site) = line.split_once('\t').with_context(|| format!("no place: {line:?}"))?;
            *self.places.entry((who, name.to_owned())).or_default() += 1;
            self.sites.insert(site.to_owned());
        }
        Ok(())
    }

    /// Who came by which, and how often.
    pub(super) fn places(&self) -> impl Iterator<Item = (Who, &str, u32)> {
        self.places
            .iter()
            .map(|((who, name), times)| (*who, name.as_str(), *times))
    }

    /// All by name, for people.
    pub(super) fn names(&self) -> Vec<&str> {
        self.places.keys().map(|(_, name)| name.as_str()).collect()
    }

    /// All passings.
    pub(super) fn times(&self) -> u32 {
        self.places.values().sum()
    }

    /// Where in the sources they are.
    pub(super) fn sites(&self) -> BTreeSet<String> {
        self.sites.clone()
    }
}

/// Every call in the sources, as `FILE:LINE`.
pub(super) fn of_sources() -> anyhow::Result<BTreeSet<String>> {
    let mut sites = BTreeSet::new();
    for folder in SOURCES {
        walk(Path::new(folder), &mut sites)?;
    }
    anyhow::ensure!(!sites.is_empty(), "the sources have no `{CALL}` any more");
    Ok(sites)
}

fn walk(folder: &Path, sites: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let inside = repository().join(folder);
    for entry in fs::read_dir(&inside).with_context(|| format!("{} cannot be read", inside.display()))? {
        let path = folder.join(entry?.file_name());
        if repository().join(&path).is_dir() {
            walk(&path, sites)?;
        } else if path.extension().is_some_and(|end| end == "rs") && path != Path::new(UPGRADE) {
            let text = fs::read_to_string(repository().join(&path))?;
            let lines = text.lines().zip(1..).filter(|(line, _)| line.contains(CALL));
            sites.extend(lines.map(|(_, number)| format!("{}:{number}", path.display())));
        }
    }
    Ok(())
}
