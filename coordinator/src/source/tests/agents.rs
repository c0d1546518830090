//! What agents measured, as a source: what it comes to, and that of a time before the coordinator nothing is said.

use super::*;

const STARTED: Time = Time(1_700_000_000_000);

/// Two hosts measured each 15 s for five minutes after the start.
fn kept() -> samples::Samples {
    let kept = samples::Samples::new(STARTED);
    for (host, level) in [("h1", 10.0), ("h2", 20.0)] {
        for n in 1..=20_u32 {
            let at = STARTED + Span::secs(15 * u64::from(n));
            let values = [("cpu_used_percent".to_owned(), level + f64::from(n))];
            kept.take(&host.parse().unwrap(), at, values, at);
        }
    }
    kept
}

fn asked(query: &str, label: &str, first: Time) -> Question {
    Question {
        source: SourceName::new(AGENTS).unwrap(),
        query: query.to_owned(),
        label: Label::new(label).unwrap(),
        window: Window {
            first,
            step: Span::secs(60),
            count: 6,
        },
        fold: Fold::Mean,
        is_of_all: false,
    }
}

async fn answered(question: &Question) -> Result<Arc<Samples>, Error> {
    let sources = Sources::new(&[], Patience::default(), Arc::new(kept())).unwrap();
    sources.ask(question).await
}

#[tokio::test]
async fn each_hosts_measurements_are_averaged_over_each_interval() {
    let told = answered(&asked("cpu_used_percent", "host", STARTED + Span::secs(60))).await;
    let wanted = [12.5, 16.5, 20.5, 24.5, 28.5].map(Some);
    let told = told.unwrap();
    assert_eq!((&told["h1"][..5], told["h1"][5]), (&wanted[..], None));
    assert_eq!((told.len(), told["h2"][0]), (2, Some(22.5)));
}

#[tokio::test]
async fn a_window_that_began_before_the_coordinator_is_no_data() {
    let said = answered(&asked("cpu_used_percent", "host", STARTED + Span(59_999))).await;
    let said = said.unwrap_err().to_string();
    assert!(said.contains("knows nothing of the time before"), "{said}");
}

#[tokio::test]
async fn what_no_agent_tells_of_is_told_with_what_they_do() {
    let first = STARTED + Span::secs(60);
    let said = answered(&asked("cpu", "host", first)).await.unwrap_err().to_string();
    assert!(
        said.contains("no agent tells of `cpu`") && said.contains("they tell of cpu_used_percent"),
        "{said}"
    );
    let said = answered(&asked("cpu_used_percent", "instance", first))
        .await
        .unwrap_err();
    assert!(said.to_string().contains("write label: host"), "{said}");
}
