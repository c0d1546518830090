//! What must hold in the end, whoever died: read from what the programs of phases wrote, from the hosts' disks, and from the
//! journal's records. Deliberately nothing that the coordinator says of itself.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{
    ring::Ring,
    story::{Acknowledged, RELEASES, STANDS},
};

/// Ends the ring and looks at what is left of it.
pub(super) async fn all(ring: Ring, acknowledged: &Acknowledged) -> anyhow::Result<()> {
    once(&ring.begun())?;
    for current in ring.current().await {
        ensure!(
            current.ends_with(STANDS),
            "{} stands on a host, not {STANDS}",
            current.display()
        );
    }
    let coordinator = ring.end().await?;
    coordinator.run(&["journal", "check"]).await?;
    let dump = coordinator.run(&["journal", "dump", "--output", "json"]).await?;
    let records = records(&dump)?;
    let created = kind(&records, "rollout_created").count();
    ensure!(
        created == RELEASES.len() && acknowledged.rollouts.len() == created,
        "{created} rollouts were made of {} that were asked for",
        acknowledged.rollouts.len()
    );
    for request in &acknowledged.requests {
        ensure!(
            dump.contains(&format!("\"{request}\"")),
            "{request} was acknowledged, and the journal does not know it"
        );
    }
    for what in ["phase_started", "phase_ended"] {
        alone(kind(&records, what), &["rollout", "host", "attempt"]).with_context(|| what.to_owned())?;
    }
    alone(kind(&records, "rollout_ended"), &["rollout"]).context("rollout_ended")?;
    kind(&records, "canary_looked").try_for_each(|look| explained(look, coordinator.data()))
}

/// What a judge said is on the disk, whole, for whoever asks why.
fn explained(look: &Value, data: &Path) -> anyhow::Result<()> {
    let word = |field: &str| look[field].as_str().unwrap_or_default();
    let mut path = data.join("decisions").join(word("rollout"));
    path.push(word("datacenter"));
    path.push(look["wave"].to_string());
    path.push(format!("{}.json", word("gate")));
    let text =
        fs::read(&path).with_context(|| format!("{look} is in the journal, and nothing in {}", path.display()))?;
    let kept: Value = serde_json::from_slice(&text).with_context(|| format!("{} is torn", path.display()))?;
    ensure!(kept.is_object(), "{} says nothing", path.display());
    Ok(())
}

/// No attempt of a phase ran twice.
fn once(begun: &[String]) -> anyhow::Result<()> {
    let mut times = BTreeMap::<&String, u32>::new();
    for line in begun {
        *times.entry(line).or_default() += 1;
    }
    let twice = times.into_iter().find(|(_, times)| *times > 1);
    ensure!(twice.is_none(), "the program of one attempt ran twice: {twice:?}");
    ensure!(!begun.is_empty(), "no program of a phase ever ran");
    Ok(())
}

/// Of all entries, in order.
fn records(dump: &str) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for line in dump.lines().filter(|line| !line.trim().is_empty()) {
        let entry: Value = serde_json::from_str(line).with_context(|| format!("no entry: {line}"))?;
        let records = entry.get("records").and_then(Value::as_array);
        all.extend(records.context("an entry without records")?.iter().cloned());
    }
    Ok(all)
}

/// The fields of all records of a kind.
fn kind<'a>(records: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    records.iter().filter_map(move |record| record.get(name))
}

/// No two have the same in all of these fields; and there is one.
fn alone<'a>(records: impl Iterator<Item = &'a Value>, fields: &[&str]) -> anyhow::Result<()> {
    let mut seen = BTreeMap::<String, u32>::new();
    for record in records {
        let key: Vec<_> = fields.iter().map(|field| record[*field].to_string()).collect();
        *seen.entry(key.join(" ")).or_default() += 1;
    }
    let twice = seen.iter().find(|(_, times)| **times > 1);
    ensure!(twice.is_none(), "twice: {twice:?}");
    ensure!(!seen.is_empty(), "there is none at all");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_twice_or_not_at_all_is_told() {
        let of = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert!(once(&of("web-1 r1 start 1\nweb-1 r1 start 2")).is_ok());
        assert!(once(&of("web-1 r1 start 1\nweb-2 r1 start 1\nweb-1 r1 start 1")).is_err());
        assert!(once(&[]).is_err());
        let dump = r#"{"sequence":1,"records":[{"phase_ended":{"host":"a","attempt":1}},{"term_began":{"term":1}}]}
{"sequence":2,"records":[{"phase_ended":{"host":"a","attempt":2}}]}"#;
        let records = records(dump).unwrap();
        let fields = ["host", "attempt"];
        assert!(alone(kind(&records, "phase_ended"), &fields).is_ok());
        assert!(alone(kind(&records, "phase_ended"), &["host"]).is_err());
        assert!(alone(kind(&records, "phase_started"), &fields).is_err());
    }
}
