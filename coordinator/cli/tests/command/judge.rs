//! The judge over data that somebody brings: cases, tables, scores, and what is said of faults.

use serde_json::Value;

use crate::shell::{Ran, Shell};

async fn judge(args: &[&str], input: &str) -> Ran {
    let shell = Shell {
        input: input.as_bytes().to_vec(),
        ..Shell::default()
    };
    shell.run(&[&["judge"], args].concat()).await
}

fn values(ran: &Ran) -> Vec<Value> {
    ran.out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn cases_are_judged_in_their_order_one_verdict_a_line() {
    let input = r#"{"name": "errors", "kind": "count", "control": [60, 61], "canary": [190, 180]}

{"name": "classic", "kind": "kayenta", "control": [1, 2, 3, 2, 1, 3, 2, 2], "canary": [7, 8, 9, 8, 7, 9, 8, null]}
{"name": "nothing", "kind": "ratio", "control": [], "canary": []}"#;
    let ran = judge(&["try", "--cases"], input).await;
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
    let told = values(&ran);
    let verdicts: Vec<_> = told
        .iter()
        .map(|told| (told["name"].as_str(), told["verdict"].as_str()))
        .collect();
    let wanted = [("errors", "fail"), ("classic", "high"), ("nothing", "no_data")];
    assert_eq!(verdicts, wanted.map(|(name, verdict)| (Some(name), Some(verdict))));
    let fields: Vec<_> = told[0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = [
        "name",
        "verdict",
        "statistic",
        "low",
        "high",
        "estimate",
        "deviation",
        "reason",
        "looks",
    ];
    wanted.sort_unstable();
    assert_eq!(fields, wanted);
    assert_eq!(told[0]["looks"], 1);
    assert_eq!(told[2]["statistic"], Value::Null);
}

#[tokio::test]
async fn a_line_that_is_no_case_is_told_with_its_number_and_the_rest_is_judged() {
    let input = "{\"name\": \"a\", \"kind\": \"count\", \"control\": [1], \"canary\": [1]}\nnonsense\n\n\
                 {\"kind\": \"count\", \"control\": [1], \"canary\": [1], \"tolerence\": 2}\n\
                 {\"name\": \"b\", \"kind\": \"count\", \"control\": [1], \"canary\": [NaN]}\n\
                 {\"name\": \"z\", \"kind\": \"count\", \"control\": [1], \"canary\": [1]}\n";
    let ran = judge(&["try", "--cases"], input).await;
    assert_eq!(ran.exit, 2);
    let names: Vec<_> = values(&ran).iter().map(|told| told["name"].clone()).collect();
    assert_eq!(names, ["a", "z"]);
    let faults: Vec<_> = ran.err.lines().collect();
    assert_eq!(faults.len(), 3, "{}", ran.err);
    assert!(faults[0].contains("line 2: this is no object of JSON"), "{}", ran.err);
    assert!(
        faults[1].contains("line 4: `tolerence` is no field of a count"),
        "{}",
        ran.err
    );
    assert!(faults[2].contains("line 5: "), "{}", ran.err);
}

#[tokio::test]
async fn the_help_gives_the_form() {
    let ran = judge(&["try", "--help"], "").await;
    assert_eq!(ran.exit, 0);
    for word in [
        "control_before",
        "allowed_increase",
        "\"no_data\"",
        "exit code is 2",
        "--metric errors=ratio,of=requests",
    ] {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
    let ran = judge(&["try"], "").await;
    assert_eq!(ran.exit, 2, "{ran:?}");
}

#[tokio::test]
async fn a_score_weighs_groups_and_is_not_given_when_a_line_is_bad() {
    let case = |name: &str, group: &str, canary: u32| {
        let values = |from: u32| {
            (0..30)
                .map(|i| (from * 10 + i).to_string())
                .collect::<Vec<_>>()
                .join(",")
        };
        format!(
            "{{\"name\": \"{name}\", \"kind\": \"kayenta\", \"group\": \"{group}\", \"control\": [{}], \"canary\": [{}]}}\n",
            values(10),
            values(canary)
        )
    };
    let input = case("a", "errors", 10) + &case("b", "latency", 10) + &case("c", "latency", 20);
    let ran = judge(
        &["score", "--weight", "errors=60", "--pass", "90", "--marginal", "70"],
        &input,
    )
    .await;
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
    let score = &values(&ran)[0];
    assert_eq!(
        (score["score"].as_f64(), score["verdict"].as_str()),
        (Some(80.0), Some("marginal"))
    );
    let ran = judge(&["score"], &(input.clone() + "{}\n")).await;
    assert_eq!((ran.exit, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("line 4: `kind` is missing"), "{}", ran.err);
    assert_eq!(judge(&["score"], "").await.exit, 2);
    assert_eq!(
        judge(&["score", "--weight", "a=60", "--weight", "b=60"], &input)
            .await
            .exit,
        2
    );
}

#[tokio::test]
async fn a_table_is_judged_column_by_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("samples.csv");
    let mut table = "time,host,arm,cpu,errors,requests\n".to_owned();
    for time in 0..40 {
        for host in 0..40 {
            let (arm, times) = if host < 12 && time >= 20 {
                ("canary", 1.2)
            } else {
                ("control", 1.0)
            };
            let arm = if host < 12 { "canary" } else { arm };
            let noise = (f64::from(host * 31 + time * 17) * 0.618_033_988_749_894_9).fract() / 20.0;
            let cpu = (50.0 + f64::from(host % 5) * 9.0) * (1.0 + noise) * times;
            table += &format!("{},web-{host},{arm},{cpu},{},1000\n", time * 60, 1 + host % 3);
        }
    }
    std::fs::write(&file, table).unwrap();
    let file = file.display().to_string();
    let metrics = ["--metric", "cpu=gauge", "--metric", "errors=ratio,of=requests"];
    let ran = judge(&[&["try", &file, "--deployed", "1200"], &metrics[..]].concat(), "").await;
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(
        ran.out.contains("✖ cpu  fail") && ran.out.contains("Welch's t over 12 canary and 28 control hosts"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("⚠ errors  inconclusive"), "{}", ran.out);
    let ran = judge(&[&["try", &file, "-o", "json"], &metrics[..]].concat(), "").await;
    assert_eq!(values(&ran)[0].as_array().unwrap().len(), 2, "{ran:?}");
    let ran = judge(&["try", &file, "--metric", "memory=gauge"], "").await;
    assert!(
        ran.exit == 2 && ran.err.contains("there are cpu, errors, requests"),
        "{ran:?}"
    );
    let ran = judge(&["try", "/nonexistent.csv", "--metric", "cpu=gauge"], "").await;
    assert!(ran.exit == 1 && ran.err.contains("/nonexistent.csv"), "{ran:?}");
}
