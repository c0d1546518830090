//! A Prometheus that lies, is slow, does not end or is not there: each time one clear error within bounds, and no sample. The
//! same of the other kinds is below.

mod agents;
mod graphite;

use std::time::Duration;

use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};

use super::{
    standin::{Says, server},
    *,
};

fn ok(body: &str) -> Says {
    Says::This("200 OK", body.to_owned())
}

fn series(result: &str) -> Says {
    ok(&format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#
    ))
}

fn sources(url: &str, timeout: Duration) -> Sources {
    of_kind(SourceKind::Prometheus, url, timeout)
}

fn of_kind(kind: SourceKind, url: &str, timeout: Duration) -> Sources {
    let config = SourceConfig {
        name: SourceName::new("prom").unwrap(),
        kind,
        url: url.parse().unwrap(),
    };
    let patience = Patience {
        timeout,
        tries: 3,
        wait: Duration::from_millis(2),
    };
    Sources::new(&[config], patience, Arc::default()).unwrap()
}

fn question() -> Question {
    Question {
        source: SourceName::new("prom").unwrap(),
        query: "sum by (instance) (up{job=\"a b\"})".to_owned(),
        label: Label::new("instance").unwrap(),
        window: Window {
            first: Time(1_700_000_000_000),
            step: Span::secs(60),
            count: 3,
        },
        fold: Fold::Sum,
        is_of_all: false,
    }
}

/// What is said of a source that answers so. A slow machine does not make it fail.
async fn error(answers: Vec<Says>) -> String {
    let server = server(answers).await;
    let asked = sources(&server.url, Duration::from_secs(20));
    let answered = timeout(Duration::from_secs(60), asked.ask(&question())).await;
    answered.expect("it is bounded").unwrap_err().to_string()
}

#[tokio::test]
async fn each_hosts_samples_are_put_at_their_times() {
    let mut server = server(vec![series(
        r#"{"metric":{"instance":"a:1","job":"x"},"values":[[1700000000,"1.5"],[1700000060.2,"NaN"],[1700000120,"2"]]},
           {"metric":{"instance":"b:1"},"values":[[1700000119.9,"+Inf"],[1700000060,"-3e-2"],[1600000000,"7"]]},
           {"metric":{"instance":"c:1"},"values":[]}"#,
    )])
    .await;
    let sources = sources(&server.url, Duration::from_secs(20));
    let question = question();
    let (first, again) = tokio::join!(sources.ask(&question), sources.ask(&question));
    let samples = first.unwrap();
    assert_eq!(samples["a:1"], [Some(1.5), None, Some(2.0)]);
    assert_eq!(samples["b:1"], [None, Some(-0.03), None]);
    assert_eq!(samples["c:1"], [None; 3]);
    assert!(Arc::ptr_eq(&samples, &again.unwrap()), "two gates ask once");
    let line = server.asked.recv().await.unwrap();
    assert!(line.starts_with("GET /base/api/v1/query_range?query=sum+by"), "{line}");
    assert!(
        line.contains("start=1700000000.000&end=1700000120.000&step=60.000"),
        "{line}"
    );
    assert!(server.asked.try_recv().is_err(), "one request");
}

#[tokio::test]
async fn one_series_may_be_of_all_hosts_where_that_is_asked_for() {
    let of_all = r#"{"metric":{"job":"x"},"values":[[1700000000,"1.5"]]}"#;
    let of_a_host = r#"{"metric":{"instance":"a"},"values":[[1700000000,"1"]]}"#;
    let question = Question {
        is_of_all: true,
        ..question()
    };
    let both = format!("{of_all},{of_a_host}");
    let twice = format!("{of_all},{of_all}");
    for (answer, wrong) in [(of_all, None), (&both, Some("beside")), (&twice, Some("more than one"))] {
        let server = server(vec![series(answer)]).await;
        let asked = sources(&server.url, Duration::from_secs(20)).ask(&question).await;
        match (asked, wrong) {
            (Ok(samples), None) => assert_eq!(samples[ALL], [Some(1.5), None, None]),
            (Err(error), Some(wrong)) => assert!(error.to_string().contains(wrong), "{error}"),
            (other, _) => panic!("{answer}: {other:?}"),
        }
    }
    let said = error(vec![series(of_all)]).await;
    assert!(said.contains("no label `instance`"), "{said}");
}

#[tokio::test]
async fn what_passes_is_asked_again_and_a_refusal_is_not() {
    let well = series(r#"{"metric":{"instance":"a"},"values":[[1700000000,"1"]]}"#);
    let busy = Says::This("503 Busy", String::new());
    let server = server(vec![busy.clone(), busy.clone(), well]).await;
    let asked = sources(&server.url, Duration::from_secs(20)).ask(&question()).await;
    assert_eq!(asked.unwrap().len(), 1);
    let half = Says::Half(r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.to_owned());
    let said = error(vec![half]).await;
    assert!(said.contains("3 tries failed"), "half an answer is none: {said}");
    let said = error(vec![busy]).await;
    assert!(said.contains("3 tries failed") && said.contains("503"), "{said}");
    let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected )"}"#;
    let said = error(vec![Says::This("400 Bad Request", refused.to_owned()), Says::Silence]).await;
    assert!(said.contains("`prom`") && said.contains("unexpected )"), "{said}");
}

#[tokio::test]
async fn what_went_wrong_is_asked_anew_and_what_was_had_is_not() {
    let well = series(r#"{"metric":{"instance":"a"},"values":[[1700000000,"1"]]}"#);
    let mut server = server(vec![ok("<html>"), well]).await;
    let sources = sources(&server.url, Duration::from_secs(20));
    assert!(sources.ask(&question()).await.is_err());
    for _ in 0..3 {
        assert!(sources.ask(&question()).await.is_ok());
    }
    let asked = std::iter::from_fn(|| server.asked.try_recv().ok()).count();
    assert_eq!(asked, 2);
}

#[tokio::test]
async fn a_source_that_is_down_or_silent_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:secret@{}", listener.local_addr().unwrap());
    drop(listener);
    let said = sources(&url, Duration::from_secs(20))
        .ask(&question())
        .await
        .unwrap_err();
    let said = said.to_string();
    assert!(said.contains("3 tries failed") && !said.contains("secret"), "{said}");
    let server = server(vec![Says::Silence]).await;
    let began = Instant::now();
    let said = sources(&server.url, Duration::from_millis(50)).ask(&question()).await;
    assert!(matches!(said, Err(Error::GaveUp { tries: 3, .. })), "{said:?}");
    assert!(began.elapsed() < Duration::from_secs(50));
}

#[tokio::test]
async fn what_does_not_end_or_has_a_million_series_is_cut_off() {
    let said = error(vec![Says::NoEnd]).await;
    assert!(said.contains("longer than 32 MiB"), "{said}");
    let one = |at: usize| format!(r#"{{"metric":{{"instance":"{at}"}}}}"#);
    let many: Vec<_> = (0..=bounds::SERIES_MAX).map(one).collect();
    let said = error(vec![series(&many.join(","))]).await;
    assert!(said.contains("more than 20000 series"), "{said}");
    let server = server(vec![series(&many[1..].join(","))]).await;
    let asked = sources(&server.url, Duration::from_secs(20)).ask(&question()).await;
    assert_eq!(asked.unwrap().len(), bounds::SERIES_MAX);
}

#[tokio::test]
async fn what_is_no_answer_says_what_is_wrong_with_it() {
    let twice =
        r#"{"metric":{"instance":"a","job":"x"},"values":[]},{"metric":{"instance":"a","job":"y"},"values":[]}"#;
    let cases = [
        (ok("<html>"), "not that of a range query"),
        (ok("{}"), "not that of a range query"),
        (ok(r#"{"status":"success"}"#), "refuses the query: success"),
        (
            ok(r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#),
            "is a vector",
        ),
        (
            series(r#"{"metric":{"job":"x"},"values":[]}"#),
            "has no label `instance` (it has job)",
        ),
        (
            series(r#"{"metric":{},"values":[]}"#),
            "has no label `instance` (it has none)",
        ),
        (series(twice), "more than one series has instance=\"a\""),
        (
            series(r#"{"metric":{"instance":"a"},"values":[[1,"x"]]}"#),
            "is no number",
        ),
        (
            series(r#"{"metric":{"instance":"a"},"values":[[1,2,3]]}"#),
            "not that of a range query",
        ),
        (Says::This("302 Found", String::new()), "302"),
        (Says::This("404 Not Found", "no such page".to_owned()), "404"),
    ];
    for (says, wanted) in cases {
        let said = error(vec![says]).await;
        assert!(said.contains(wanted), "{said} has no {wanted}");
    }
}

#[tokio::test]
async fn a_source_that_is_not_configured_is_named_with_those_that_are() {
    let sources = sources("http://127.0.0.1:1", Duration::from_secs(1));
    let other = Question {
        source: SourceName::new("other").unwrap(),
        ..question()
    };
    let said = sources.ask(&other).await.unwrap_err().to_string();
    assert!(
        said.contains("no source `other`") && said.contains("there is prom, `agents`"),
        "{said}"
    );
}

#[tokio::test]
async fn answers_that_are_kept_have_a_bound() {
    let server = server(vec![series("")]).await;
    let sources = sources(&server.url, Duration::from_secs(20));
    for at in 0..KEPT_MAX + 5 {
        let mut question = question();
        question.query = format!("q{at}");
        sources.ask(&question).await.unwrap();
    }
    assert_eq!(sources.kept.lock().unwrap().len(), KEPT_MAX);
}
