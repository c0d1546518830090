//! Graphite: what its answers come to, and one that lies, is slow, does not end or is not there.

use super::*;

fn graphite(url: &str, timeout: Duration) -> Sources {
    of_kind(SourceKind::Graphite, url, timeout)
}

/// Three intervals of a minute, from 1,699,999,920 s on.
fn asked(label: &str) -> Question {
    Question {
        query: "aliasByNode(app.*.errors, 1)".to_owned(),
        label: Label::new(label).unwrap(),
        window: Window {
            first: Time(1_699_999_980_000),
            step: Span::secs(60),
            count: 3,
        },
        ..question()
    }
}

async fn answered(says: &str, question: &Question) -> Result<Arc<Samples>, Error> {
    let server = server(vec![ok(says)]).await;
    let sources = graphite(&server.url, Duration::from_secs(20));
    timeout(Duration::from_secs(60), sources.ask(question))
        .await
        .expect("it is bounded")
}

async fn error(answers: Vec<Says>) -> String {
    let server = server(answers).await;
    let sources = graphite(&server.url, Duration::from_secs(20));
    let answered = timeout(Duration::from_secs(60), sources.ask(&asked("target"))).await;
    answered.expect("it is bounded").unwrap_err().to_string()
}

#[tokio::test]
async fn each_hosts_values_stand_where_their_time_ends() {
    let mut server = server(vec![ok(
        r#"[{"target":"a","tags":{"name":"app.a.errors"},"datapoints":[[9,1699999860],[1.5,1699999920],[null,1699999980],[2,1700000040],[9,1700000100]]},
            {"target":"b","datapoints":[[1e9999,1699999920],[-3e-2,1699999980],[0,1700000040]]},
            {"target":"c","datapoints":[]},
            {"target":"d","datapoints":[[7,1699999980]]}]"#,
    )])
    .await;
    let sources = graphite(&server.url, Duration::from_secs(20));
    let question = asked("target");
    let (first, again) = tokio::join!(sources.ask(&question), sources.ask(&question));
    let samples = first.unwrap();
    assert_eq!(samples["a"], [Some(1.5), None, Some(2.0)]);
    assert_eq!(samples["b"], [None, Some(-0.03), Some(0.0)], "infinity is no number");
    assert_eq!(samples["c"], [None; 3]);
    assert_eq!(
        samples["d"], [None; 3],
        "one value does not say how long a time it is of"
    );
    assert!(Arc::ptr_eq(&samples, &again.unwrap()), "two gates ask once");
    let line = server.asked.recv().await.unwrap();
    assert!(
        line.starts_with("GET /base/render?target=aliasByNode%28app.*.errors%2C+1%29&"),
        "{line}"
    );
    // An interval more than the window, and a second, for `from` is not in the answer.
    assert!(
        line.contains("&from=1699999859&until=1700000100&format=json&noCache=true"),
        "{line}"
    );
    assert!(!line.contains("maxDataPoints"), "{line}");
    assert!(server.asked.try_recv().is_err(), "one request");
}

/// `alias(sumSeries(...), "")`, or a sum of tagged series that share no host.
#[tokio::test]
async fn one_series_may_be_of_all_hosts_where_that_is_asked_for() {
    let says =
        r#"[{"target":"","tags":{"name":"orders"},"datapoints":[[4,1699999920],[5,1699999980],[6,1700000040]]}]"#;
    for label in ["target", "host"] {
        let question = Question {
            is_of_all: true,
            ..asked(label)
        };
        let samples = answered(says, &question).await.unwrap();
        assert_eq!(samples[ALL], [Some(4.0), Some(5.0), Some(6.0)], "{label}");
    }
    assert!(answered(says, &asked("host")).await.is_err());
}

#[tokio::test]
async fn a_finer_and_a_coarser_resolution_are_brought_to_the_steps_and_nothing_is_made_up() {
    let points = |began: u64, step: u64, values: &[&str]| {
        let points: Vec<_> = (began..).step_by(usize::try_from(step).unwrap()).zip(values).collect();
        let points: Vec<_> = points.iter().map(|(at, value)| format!("[{value},{at}]")).collect();
        format!(r#"[{{"target":"a","datapoints":[{}]}}]"#, points.join(","))
    };
    let finer = points(1_699_999_890, 30, &["9", "1", "2", "3", "null", "null", "null", "9"]);
    for (fold, wanted) in [
        (Fold::Sum, [Some(3.0), Some(3.0), None]),
        (Fold::Mean, [Some(1.5), Some(3.0), None]),
        (Fold::Newest, [Some(2.0), Some(3.0), None]),
    ] {
        let question = Question {
            fold,
            ..asked("target")
        };
        assert_eq!(answered(&finer, &question).await.unwrap()["a"], wanted, "{fold:?}");
    }
    let coarser = points(1_699_999_800, 120, &["9", "4", "9"]);
    let told = answered(&coarser, &asked("target")).await.unwrap();
    assert_eq!(
        told["a"],
        [None, Some(4.0), None],
        "said once, and not of what has not ended"
    );
    let shifted = points(1_699_999_910, 60, &["9", "1", "2", "9"]);
    let told = answered(&shifted, &asked("target")).await.unwrap();
    assert_eq!(
        told["a"],
        [None, Some(1.0), Some(2.0)],
        "not what began before the window"
    );
}

#[tokio::test]
async fn a_tag_says_of_which_host_a_series_is() {
    let tagged = r#"[{"target":"errors;host=h1","tags":{"name":"errors","host":"h1"},"datapoints":[[1,1699999920],[2,1699999980]]}]"#;
    let told = answered(tagged, &asked("host")).await.unwrap();
    assert_eq!(told["h1"], [Some(1.0), Some(2.0), None]);
    let said = answered(tagged, &asked("server")).await.unwrap_err().to_string();
    assert!(
        said.contains("has no tag `server` (it has host, name)") && said.contains("aliasByNode"),
        "{said}"
    );
}

#[tokio::test]
async fn what_passes_is_asked_again_and_a_refusal_is_not() {
    let busy = Says::This("502 Bad Gateway", "<html><body>no backend".to_owned());
    let half = Says::Half("[]".to_owned());
    let server = server(vec![busy.clone(), half.clone(), ok("[]")]).await;
    let well = graphite(&server.url, Duration::from_secs(20))
        .ask(&asked("target"))
        .await;
    assert!(well.unwrap().is_empty());
    for says in [busy, half] {
        let said = error(vec![says]).await;
        assert!(said.contains("3 tries failed") && !said.contains("html"), "{said}");
    }
    let refused = "Invalid parameters (Received request for unknown function: sumUp)\nmore";
    let said = error(vec![Says::This("400 Bad Request", refused.to_owned()), Says::Silence]).await;
    assert!(
        said.ends_with("400 Bad Request: Invalid parameters (Received request for unknown function: sumUp)"),
        "{said}"
    );
}

#[tokio::test]
async fn a_source_that_is_down_or_silent_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:secret@{}", listener.local_addr().unwrap());
    drop(listener);
    let down = graphite(&url, Duration::from_secs(20)).ask(&asked("target")).await;
    let said = down.unwrap_err().to_string();
    assert!(said.contains("3 tries failed") && !said.contains("secret"), "{said}");
    let server = server(vec![Says::Silence]).await;
    let said = graphite(&server.url, Duration::from_millis(50))
        .ask(&asked("target"))
        .await;
    assert!(matches!(said, Err(Error::GaveUp { tries: 3, .. })), "{said:?}");
}

#[tokio::test]
async fn what_does_not_end_or_has_a_million_series_is_cut_off() {
    let said = error(vec![Says::NoEnd]).await;
    assert!(said.contains("longer than 32 MiB"), "{said}");
    let one = |at: usize| format!(r#"{{"target":"{at}","datapoints":[]}}"#);
    let many: Vec<_> = (0..=bounds::SERIES_MAX).map(one).collect();
    let said = error(vec![ok(&format!("[{}]", many.join(",")))]).await;
    assert!(said.contains("more than 20000 series"), "{said}");
    let most = answered(&format!("[{}]", many[1..].join(",")), &asked("target")).await;
    assert_eq!(most.unwrap().len(), bounds::SERIES_MAX);
}

#[tokio::test]
async fn what_is_no_answer_says_what_is_wrong_with_it() {
    let of = |points: &str| ok(&format!(r#"[{{"target":"a","datapoints":[{points}]}}]"#));
    let cases = [
        (ok("<html>"), "not that of a render request"),
        (ok("{}"), "not that of a render request"),
        (ok(r#"[{"target":"a"}]"#), "not that of a render request"),
        (
            ok(r#"[{"target":"a","datapoints":[]},{"target":"a","datapoints":[]}]"#),
            "more than one series has target=\"a\"",
        ),
        (of("[1,1699999980],[2,1699999920]"), "do not go forward"),
        (of("[1,1699999920],[2,1699999980],[3,1699999980]"), "do not go forward"),
        (of(r#"["x",1699999920],[1,1699999980]"#), "which is no number"),
        (of("[1,2,3]"), "not that of a render request"),
        (of("[1,-5]"), "not that of a render request"),
        (Says::This("302 Found", String::new()), "302"),
        (Says::This("404 Not Found", "<h1>no such page</h1>".to_owned()), "404"),
    ];
    for (says, wanted) in cases {
        let said = error(vec![says]).await;
        assert!(said.contains(wanted), "{said} has no {wanted}");
    }
}
