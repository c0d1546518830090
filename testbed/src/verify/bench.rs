//! A small fleet through the whole bench: that it comes to its end and prints one object with every figure. Deliberately
//! no word about how good the figures are: this machine may be busy, and the programs are built for debugging.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{
    Found,
    job::{self, Job},
    room::Room,
};

const WITHIN: Duration = Duration::from_secs(600);
const ARGUMENTS: [&str; 9] = [
    "bench",
    "--hosts",
    "40",
    "--datacenters",
    "4",
    "--phase-time",
    "50ms",
    "--output",
    "json",
];
/// What others read from it.
const FIGURES: [&str; 10] = [
    "attach_s",
    "order_all_ms",
    "makespan_s",
    "critical_path_s",
    "makespan_ratio",
    "transitions_per_s",
    "coordinator_bytes_per_agent",
    "reattach_s",
    "hosts",
    "cores",
];

pub(super) async fn look(name: &str, room: &Room) -> anyhow::Result<Found> {
    let mut bench = job::testbed()?;
    bench.args(ARGUMENTS);
    let ended = Job::new(name, bench, WITHIN).must(room).await?;
    must_be_whole(ended.last_line()).inspect_err(|_| ended.show())?;
    Ok(Found::good(format!("ends well, with all {} figures", FIGURES.len())))
}

/// Each a number, and more than nothing.
fn must_be_whole(line: &str) -> anyhow::Result<()> {
    let figures: Value = serde_json::from_str(line).context("the last line is no JSON")?;
    for name in FIGURES {
        match figures.get(name).and_then(Value::as_f64) {
            Some(figure) if figure > 0.0 => {}
            _ => bail!(
                "`{name}` is {} and no measured number",
                figures.get(name).unwrap_or(&Value::Null)
            ),
        }
    }
    match figures.get("hosts").and_then(Value::as_u64) {
        Some(40) => Ok(()),
        other => bail!("it measured {other:?} hosts instead of 40"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    #[test]
    fn a_figure_that_is_not_there_or_not_measured_is_named() {
        let mut figures: Map<_, _> = FIGURES
            .iter()
            .map(|name| ((*name).to_owned(), Value::from(40)))
            .collect();
        let line = |figures: &Map<String, Value>| Value::Object(figures.clone()).to_string();
        must_be_whole(&line(&figures)).unwrap();
        figures.insert("makespan_ratio".to_owned(), Value::Null);
        assert!(
            must_be_whole(&line(&figures))
                .unwrap_err()
                .to_string()
                .contains("makespan_ratio")
        );
        figures.remove("makespan_ratio");
        assert!(
            must_be_whole(&line(&figures))
                .unwrap_err()
                .to_string()
                .contains("makespan_ratio")
        );
        assert!(must_be_whole("done").is_err());
    }
}
