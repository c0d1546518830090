//! A table of samples: time, host, arm, and a column a metric, made into the judge's cases. Deliberately no statistics, and
//! no guess at what a column means.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

use echelon_judge::Arms;
use serde_json::{Map, Value, json};

use crate::args::Column;

/// 2,000 hosts with a week of minutes and a metric are 20 million; nobody looks at that by hand.
const ROWS_MAX: usize = 5_000_000;
const FIRST: [&str; 3] = ["time", "host", "arm"];

type Points = BTreeMap<i64, Option<f64>>;

/// Columns of one host, in the order of the header.
#[derive(Debug)]
struct Host {
    is_canary: bool,
    columns: Vec<Points>,
}

/// The whole table.
#[derive(Debug)]
pub(crate) struct Samples {
    columns: Vec<String>,
    hosts: BTreeMap<String, Host>,
    /// Before the deploy, and since, in milliseconds.
    before: BTreeSet<i64>,
    since: BTreeSet<i64>,
    deployed: Option<i64>,
}

impl Samples {
    /// Reads it; what is wrong is said with its line.
    pub(crate) fn read(from: impl Read, deployed: Option<&str>) -> Result<Self, String> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(from);
        let header = reader.headers().map_err(|error| error.to_string())?.clone();
        let names: Vec<&str> = header.iter().collect();
        if names.get(..3) != Some(&FIRST) || names.len() < 4 {
            return Err(format!(
                "line 1: the header is {}, and then a column a metric",
                FIRST.join(",")
            ));
        }
        let mut samples = Self {
            columns: names[3..].iter().map(|name| (*name).to_owned()).collect(),
            hosts: BTreeMap::new(),
            before: BTreeSet::new(),
            since: BTreeSet::new(),
            deployed: deployed.map(instant).transpose()?,
        };
        for (at, row) in reader.records().enumerate() {
            let row = row.map_err(|error| error.to_string())?;
            let line = row.position().map_or(0, csv::Position::line);
            if at >= ROWS_MAX {
                return Err(format!("line {line}: more than {ROWS_MAX} rows"));
            }
            samples.add(&row).map_err(|why| format!("line {line}: {why}"))?;
        }
        Ok(samples)
    }

    fn add(&mut self, row: &csv::StringRecord) -> Result<(), String> {
        let time = instant(&row[0])?;
        let is_canary = match &row[2] {
            "canary" => true,
            "control" => false,
            other => return Err(format!("the arm is control or canary, not {other:?}")),
        };
        let host = self.hosts.entry(row[1].to_owned()).or_insert_with(|| Host {
            is_canary,
            columns: vec![Points::new(); self.columns.len()],
        });
        if host.is_canary != is_canary {
            return Err(format!("{} is in both arms", &row[1]));
        }
        for ((name, points), text) in self.columns.iter().zip(&mut host.columns).zip(row.iter().skip(3)) {
            let value = match text {
                "" => None,
                text => Some(
                    text.parse::<f64>()
                        .map_err(|_| format!("{name}: {text:?} is no number"))?,
                ),
            };
            if points.insert(time, value.filter(|value| value.is_finite())).is_some() {
                return Err(format!("{} has this time twice", &row[1]));
            }
        }
        let is_before = self.deployed.is_some_and(|deployed| time < deployed);
        let times = if is_before { &mut self.before } else { &mut self.since };
        times.insert(time);
        Ok(())
    }

    /// The case of one column, as text.
    pub(crate) fn case(&self, column: &Column, alpha: f64, metrics: usize) -> Result<String, String> {
        let index = self.index(&column.name)?;
        let mut case = Map::new();
        case.insert("name".to_owned(), column.name.as_str().into());
        case.insert("kind".to_owned(), column.kind.as_str().into());
        if column.kind != "kayenta" {
            case.insert("alpha".to_owned(), alpha.into());
            case.insert("metrics".to_owned(), metrics.into());
        }
        case.extend(column.fields.iter().cloned());
        let counts_hosts = case.contains_key("at_least");
        // Samples above a bound and those of a bucket are counted, whosever they are.
        let is_heap = ["above", "buckets"].iter().any(|field| case.contains_key(*field));
        let arms = match column.kind.as_str() {
            "latency" if is_heap => self.all(index),
            "gauge" | "latency" => {
                let before = self.by_host(index, &self.before);
                if !self.before.is_empty() {
                    case.insert("control_before".to_owned(), before.control);
                    case.insert("canary_before".to_owned(), before.canary);
                }
                self.by_host(index, &self.since)
            }
            "count" if counts_hosts => self.by_host(index, &self.since),
            "count" => {
                if !case.contains_key("share") {
                    case.insert("share".to_owned(), self.share().into());
                }
                self.together(|arm, time| Self::sum(arm, index, time).into())
            }
            "ratio" => {
                let of = self.index(column.of.as_deref().unwrap_or_default())?;
                self.together(|arm, time| json!([Self::sum(arm, index, time), Self::sum(arm, of, time)]))
            }
            "forecast" => {
                let history = self.of_arm(true, &self.before, |arm, time| Self::mean(arm, index, time).into());
                case.insert("history".to_owned(), history);
                let mut arms = self.together(|arm, time| Self::mean(arm, index, time).into());
                arms.control = Value::Null;
                arms
            }
            _ => self.together(|arm, time| Self::mean(arm, index, time).into()),
        };
        if column.kind != "forecast" {
            case.insert("control".to_owned(), arms.control);
        }
        case.insert("canary".to_owned(), arms.canary);
        Ok(Value::Object(case).to_string())
    }

    fn index(&self, name: &str) -> Result<usize, String> {
        let found = self.columns.iter().position(|column| column == name);
        found.ok_or_else(|| format!("there is no column {name:?}; there are {}", self.columns.join(", ")))
    }

    /// The canary's part of all hosts.
    fn share(&self) -> f64 {
        let canary = self.hosts.values().filter(|host| host.is_canary).count();
        canary as f64 / self.hosts.len().max(1) as f64
    }

    fn by_host(&self, column: usize, times: &BTreeSet<i64>) -> Arms<Value> {
        let arm = |is_canary: bool| {
            let hosts = self.hosts.iter().filter(|(_, host)| host.is_canary == is_canary);
            let points = |host: &Host| -> Value {
                let point = |time: &i64| host.columns[column].get(time).copied().flatten();
                times.iter().map(point).collect::<Vec<_>>().into()
            };
            Value::Object(hosts.map(|(name, host)| (name.clone(), points(host))).collect())
        };
        Arms {
            control: arm(false),
            canary: arm(true),
        }
    }

    /// Each time since the deploy, of all hosts of an arm.
    fn together(&self, value: impl Fn(&[&Host], i64) -> Value) -> Arms<Value> {
        Arms {
            control: self.of_arm(false, &self.since, &value),
            canary: self.of_arm(true, &self.since, &value),
        }
    }

    fn of_arm(&self, is_canary: bool, times: &BTreeSet<i64>, value: impl Fn(&[&Host], i64) -> Value) -> Value {
        let hosts: Vec<&Host> = self.hosts.values().filter(|host| host.is_canary == is_canary).collect();
        times.iter().map(|time| value(&hosts, *time)).collect::<Vec<_>>().into()
    }

    /// Every value since the deploy, in the order of time.
    fn all(&self, column: usize) -> Arms<Value> {
        let arm = |is_canary: bool| -> Value {
            let hosts: Vec<&Host> = self.hosts.values().filter(|host| host.is_canary == is_canary).collect();
            let values = self.since.iter().flat_map(|time| Self::values(&hosts, column, *time));
            values.collect::<Vec<_>>().into()
        };
        Arms {
            control: arm(false),
            canary: arm(true),
        }
    }

    fn values(hosts: &[&Host], column: usize, time: i64) -> Vec<f64> {
        let points = hosts
            .iter()
            .map(|host| host.columns[column].get(&time).copied().flatten());
        points.flatten().collect()
    }

    /// `None`: no host told it.
    fn sum(hosts: &[&Host], column: usize, time: i64) -> Option<f64> {
        let values = Self::values(hosts, column, time);
        (!values.is_empty()).then(|| values.iter().sum())
    }

    fn mean(hosts: &[&Host], column: usize, time: i64) -> Option<f64> {
        let values = Self::values(hosts, column, time);
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}

/// In milliseconds: seconds since 1970, or RFC 3339.
pub(crate) fn instant(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Ok((seconds * 1000.0).round() as i64);
    }
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    let parsed = parsed.map_err(|_| format!("{text:?} is no time: seconds, or as 2026-11-21T14:00:00Z"))?;
    Ok(parsed.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
time,host,arm,cpu,errors,requests
0,a,control,0.5,1,100
0,b,canary,0.6,2,50
60,a,control,0.4,,100
1970-01-01T00:01:00Z,b,canary,0.7,3,50
120,b,canary,NaN,1,50
";

    fn case(column: &str) -> Value {
        let samples = Samples::read(TABLE.as_bytes(), Some("60")).unwrap();
        let text = samples.case(&column.parse().unwrap(), 0.01, 1).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_table_becomes_the_case_of_each_kind() {
        let gauge = case("cpu=gauge,tolerance=0.05");
        assert_eq!(gauge["canary"], json!({"b": [0.7, null]}));
        assert_eq!(gauge["control_before"], json!({"a": [0.5]}));
        assert_eq!(gauge["tolerance"], json!(0.05));
        let count = case("errors=count");
        assert_eq!(
            (&count["control"], &count["canary"]),
            (&json!([null, null]), &json!([3.0, 1.0]))
        );
        assert_eq!(count["share"], json!(0.5));
        let ratio = case("errors=ratio,of=requests");
        assert_eq!(ratio["canary"], json!([[3.0, 50.0], [1.0, 50.0]]));
        assert_eq!(case("cpu=latency")["canary"], json!({"b": [0.7, null]}));
        assert_eq!(case("cpu=latency")["control_before"], json!({"a": [0.5]}));
        assert_eq!(case("cpu=latency,above=0.6")["canary"], json!([0.7]));
        assert_eq!(case("cpu=kayenta")["control"], json!([0.4, null]));
        let forecast = case("cpu=forecast");
        assert_eq!((&forecast["history"], forecast.get("control")), (&json!([0.6]), None));
        assert_eq!(case("errors=count,at_least=1")["canary"], json!({"b": [3.0, 1.0]}));
    }

    #[test]
    fn a_fault_of_a_table_is_told_with_its_line() {
        let fault = |text: &str| Samples::read(text.as_bytes(), None).unwrap_err();
        assert!(fault("time,host,cpu\n").starts_with("line 1: the header is time,host,arm"));
        let header = "time,host,arm,cpu\n";
        for (row, wanted) in [
            ("0,a,blue,1\n", "line 2: the arm is control or canary, not \"blue\""),
            ("0,a,canary,1\n0,a,canary,1\n", "line 3: a has this time twice"),
            ("0,a,canary,1\n1,a,control,1\n", "line 3: a is in both arms"),
            ("0,a,canary,much\n", "line 2: cpu: \"much\" is no number"),
            ("noon,a,canary,1\n", "line 2: \"noon\" is no time"),
        ] {
            let fault = fault(&format!("{header}{row}"));
            assert!(fault.starts_with(wanted), "{fault}");
        }
        assert!(fault(&format!("{header}0,a\n")).contains("line"), "a short row");
    }
}
