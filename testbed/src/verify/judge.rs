//! The judge against others: its statistics against SciPy's on the same data, and its bench, small, for what must hold on
//! every machine. SciPy comes from PyPI into a folder of its own below `target`, once. Deliberately no word about how good
//! the bench's figures are: of so few canaries they say little.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail, ensure};
use echelon_judge::{
    count, kayenta, permutation,
    quantile::quantile,
    rank::MannWhitney,
    welch::{self, Welch},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use super::{
    Found,
    job::{self, Job},
    needs::PYTHON,
    room::Room,
};
use crate::binaries::{repository, target};

/// For pip: numpy and scipy are some 60 MB.
const INSTALL_WITHIN: Duration = Duration::from_secs(600);
const SCRIPT_WITHIN: Duration = Duration::from_secs(180);
const BENCH_WITHIN: Duration = Duration::from_secs(900);
/// One major version, so that its answers stay what they are.
const PACKAGES: [&str; 2] = ["numpy>=1.24,<3", "scipy>=1.10,<2"];
const SEED: &str = "1";
/// Harmless canaries of the row of all kinds that may fail: its goal is 1 %, and of 40 one is within chance.
const MIXED_FAILED_MAX: f64 = 1.0;
/// Of two computations of the same formula, as a part of the answer.
const CLOSE: f64 = 1e-8;
/// Of two roots of a step, one of them looked for to 1e-4.
const ROOT: f64 = 3e-4;

pub(super) async fn look(name: &str, room: &Room) -> anyhow::Result<Found> {
    let agreed = scipy(name, room).await?;
    let rows = bench(name, room).await?;
    Ok(Found::good(format!(
        "{agreed} answers of SciPy's are ours too; the bench prints its {rows} rows"
    )))
}

/// A line of `judge.py`.
#[derive(Debug, Deserialize)]
struct Asked {
    what: String,
    x: Vec<f64>,
    y: Vec<f64>,
    expected: Value,
}

async fn scipy(name: &str, room: &Room) -> anyhow::Result<usize> {
    let python = python(name, room).await?;
    let mut script = Command::new(python);
    script.arg(repository().join("testbed/python/judge.py")).arg(SEED);
    script.env("PYTHONDONTWRITEBYTECODE", "1");
    let ended = Job::new(&format!("{name}-scipy"), script, SCRIPT_WITHIN)
        .must(room)
        .await?;
    let lines: Vec<_> = ended.said.lines().filter(|line| line.starts_with('{')).collect();
    for line in &lines {
        let asked: Asked = serde_json::from_str(line).with_context(|| format!("a line of judge.py: {line}"))?;
        asked
            .answer()
            .with_context(|| format!("SciPy says otherwise: {line}"))?;
    }
    ensure!(lines.len() > 200, "judge.py asked only {} things", lines.len());
    Ok(lines.len())
}

/// One that has SciPy.
async fn python(name: &str, room: &Room) -> anyhow::Result<PathBuf> {
    let folder = target()?.join("scipy");
    let python = folder.join("bin/python");
    let has = |python: &PathBuf| {
        let mut import = Command::new(python);
        import.args(["-c", "import numpy, scipy.stats"]);
        import
    };
    if python.is_file() && has(&python).output().await.is_ok_and(|output| output.status.success()) {
        return Ok(python);
    }
    let mut make = Command::new(PYTHON);
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    Job::new(&format!("{name}-venv"), make, SCRIPT_WITHIN)
        .must(room)
        .await
        .with_context(|| format!("{PYTHON} makes no environment of its own: apt-get install python3-venv"))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(PACKAGES);
    Job::new(&format!("{name}-pip"), install, INSTALL_WITHIN)
        .must(room)
        .await
        .with_context(|| {
            format!(
                "pip cannot install {}: is PyPI, or its mirror, within reach?",
                PACKAGES.join(" ")
            )
        })?;
    Ok(python)
}

impl Asked {
    fn answer(&self) -> anyhow::Result<()> {
        let (x, y) = (&self.x[..], &self.y[..]);
        let none = "the judge has no answer";
        match self.what.as_str() {
            "mann_whitney" => {
                let test = MannWhitney::new(x, y).context(none)?;
                self.same("u", test.u)?;
                self.same("p", test.p())?;
                self.same("greater", test.upper_tail())
            }
            "welch" => {
                let test = Welch::new(x, y).context(none)?;
                self.same("t", test.t(0.0))?;
                self.same("freedom", test.freedom)?;
                self.same("p", test.upper_tail(0.0))
            }
            "tail" => self.same("p", welch::tail(x[0], x[1])),
            "critical" => self.same("t", welch::critical(x[0], x[1])),
            "permutation" => self.same("p", permutation::upper_tail(x, y)),
            "quantile" => {
                let expected = self.expected["q"].as_array().context("no quantiles")?;
                for (at, expected) in y.iter().zip(expected) {
                    near(quantile(x, *at), expected.as_f64().unwrap_or(f64::NAN), CLOSE)?;
                }
                Ok(())
            }
            "count" => {
                let prior: Vec<f64> = y.iter().map(|share| 10.0 * share).collect();
                self.same("factor", count::log_bayes_factor(x, y, &prior))
            }
            "kayenta" => self.classic(),
            other => bail!("judge.py asks for {other:?}"),
        }
    }

    fn same(&self, field: &str, found: f64) -> anyhow::Result<()> {
        let expected = self.expected[field].as_f64().with_context(|| format!("no {field}"))?;
        near(found, expected, CLOSE).with_context(|| field.to_owned())
    }

    fn classic(&self) -> anyhow::Result<()> {
        let arm = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
        let judged = kayenta::judge(&arm(&self.y), &arm(&self.x), &kayenta::Settings::default());
        let number = |field: &str| self.expected[field].as_f64().unwrap_or(f64::NAN);
        near(judged.verdict.low.unwrap_or(f64::NAN), number("low"), ROOT)?;
        near(judged.verdict.high.unwrap_or(f64::NAN), number("high"), ROOT)?;
        near(judged.verdict.deviation.unwrap_or(f64::NAN), number("ratio"), CLOSE)?;
        let verdict = serde_json::to_value(judged.verdict.outcome)?;
        ensure!(
            verdict == self.expected["verdict"] || number("border") < 0.05,
            "the verdict is {verdict}"
        );
        Ok(())
    }
}

fn near(found: f64, expected: f64, close: f64) -> anyhow::Result<()> {
    let reach = close * expected.abs().max(if close == ROOT { 1.0 } else { f64::MIN_POSITIVE });
    ensure!((found - expected).abs() <= reach, "{found} instead of {expected}");
    Ok(())
}

/// Small, from one seed: what is looked at here holds for it on every machine.
async fn bench(name: &str, room: &Room) -> anyhow::Result<usize> {
    let mut bench = job::testbed()?;
    bench.args(["judge", "--quick", "--seed", SEED, "--output", "json"]);
    let ended = Job::new(&format!("{name}-bench"), bench, BENCH_WITHIN)
        .must(room)
        .await?;
    must_be_sound(ended.last_line()).inspect_err(|_| ended.show())
}

fn must_be_sound(line: &str) -> anyhow::Result<usize> {
    let figures: Value = serde_json::from_str(line).context("the last line is no JSON")?;
    let rows = figures["rows"].as_array().context("there are no rows")?;
    let named = |begin: &'static str| {
        let begins = move |row: &&Value| row["name"].as_str().is_some_and(|name| name.starts_with(begin));
        rows.iter().filter(begins)
    };
    ensure!(
        named("harmless").count() >= 5,
        "harmless canaries are missing: {figures}"
    );
    // Those without a goal show what the judge would be without something it has.
    for row in named("harmless").filter(|row| row["goal"] != "") {
        let failed = row["failed"].as_f64().zip(row["canaries"].as_f64());
        let mixed = row["name"].as_str().is_some_and(|name| name.contains("each of"));
        let may = if mixed { MIXED_FAILED_MAX } else { 0.0 };
        ensure!(
            failed.is_some_and(|(part, canaries)| (part * canaries).round() <= may),
            "more than {may} harmless canaries failed: {row}"
        );
    }
    let found = named("+10 %").chain(named("errors x5"));
    for row in found.filter(|row| row["name"].as_str().is_some_and(|name| name.contains("20 v 200"))) {
        ensure!(
            row["failed"].as_f64().is_some_and(|power| power >= 0.8),
            "harm was not found: {row}"
        );
    }
    let seconds = named("12 metrics").next().and_then(|row| row["seconds"].as_f64());
    ensure!(
        seconds.is_some_and(|seconds| seconds > 0.0),
        "the time was not taken: {figures}"
    );
    Ok(rows.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_that_is_not_scipys_is_told() {
        let asked = |expected: Value| Asked {
            what: "quantile".to_owned(),
            x: vec![1.0, 2.0, 4.0],
            y: vec![0.5],
            expected,
        };
        asked(json!({"q": [2.0]})).answer().unwrap();
        let told = asked(json!({"q": [2.1]})).answer().unwrap_err().to_string();
        assert!(told.contains("2 instead of 2.1"), "{told}");
    }

    #[test]
    fn a_bench_that_fails_the_harmless_is_told() {
        let row = |name: &str, failed: f64| json!({"name": name, "canaries": 40, "failed": failed, "seconds": 0.1});
        let mut rows = vec![row("harmless, 12 gauges", 0.0); 5];
        rows.push(row("+10 % of a gauge, 20 v 200 hosts", 0.9));
        rows.push(row("12 metrics of 2,000 hosts", 0.0));
        assert_eq!(must_be_sound(&json!({"rows": rows}).to_string()).unwrap(), 7);
        rows[1] = row("harmless, 12 gauges", 0.025);
        assert!(must_be_sound(&json!({"rows": rows}).to_string()).is_err());
        rows[1] = row("harmless, 3 each of gauge, count", 0.025);
        assert!(must_be_sound(&json!({"rows": rows}).to_string()).is_ok());
        rows[1] = row("harmless, 3 each of gauge, count", 0.05);
        assert!(must_be_sound(&json!({"rows": rows}).to_string()).is_err());
        rows[1] = row("harmless, 12 gauges", 0.0);
        rows[5] = row("+10 % of a gauge, 20 v 200 hosts", 0.5);
        assert!(must_be_sound(&json!({"rows": rows}).to_string()).is_err());
    }
}
