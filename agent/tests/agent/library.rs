//! Many agents in one process, as the testbed runs them: ledgers in memory, certificates in memory, a made-up host.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use echelon_agent::{
    executor::{Executor, Work},
    facts::Facts,
    identity::{self, Identity},
    ledger::Store,
    link::{self, Coordinator as At, Settings},
    order::{Action, Outcome, Probe},
};
use echelon_proto::{
    HostId,
    wire::link::{PhaseResult, Watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    coordinator::{Coordinator, SOON},
    sandbox::order,
};

#[derive(Default)]
struct MadeUp {
    begun: AtomicU32,
}

impl Executor for MadeUp {
    async fn execute(&self, work: Work) -> Outcome {
        self.begun.fetch_add(1, Ordering::SeqCst);
        assert!(work.order.fence.attempt != 2, "a bug, made by the test");
        tokio::time::sleep(Duration::from_millis(10)).await;
        Outcome::done()
    }

    async fn measure(&self) -> BTreeMap<String, f64> {
        BTreeMap::from([("load".to_owned(), 0.5)])
    }

    async fn probe(&self, _: &Action) -> Probe {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Probe {
            healthy: true,
            message: String::new(),
        }
    }
}

async fn settings(coordinator: &Coordinator, name: &str) -> Settings {
    let host = HostId::new(name).unwrap();
    let at = At::new(&format!("https://{}", coordinator.address), "echelon-coordinator").unwrap();
    let roots = identity::trust(coordinator.ca_pem().as_bytes()).unwrap();
    coordinator.token(name);
    let pem = identity::enrol(&at, roots.clone(), &host, name).await.unwrap();
    let identity = Identity::from_pem(&pem).unwrap();
    Settings {
        host,
        version: "0.1.0".to_owned(),
        coordinator: at,
        tls: link::fixed(identity::tls(roots, Some(&identity)).unwrap()),
        labels: BTreeMap::from([("name".parse().unwrap(), name.to_owned())]),
        facts: Arc::new(Facts::default()),
        sample_every: link::SAMPLE_EVERY,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_agents_run_in_one_process_and_all_come_back_after_a_coordinators_death() {
    let mut coordinator = Coordinator::start().await;
    let (stop, executor) = (CancellationToken::new(), Arc::new(MadeUp::default()));
    let mut agents = tokio::task::JoinSet::new();
    let names: BTreeSet<String> = (0..40).map(|n| format!("h{n}")).collect();
    for name in &names {
        let settings = settings(&coordinator, name).await;
        agents.spawn(link::run(settings, Store::Memory, executor.clone(), stop.clone()));
    }
    for _ in 0..2 {
        let mut attached = BTreeSet::new();
        while attached.len() < names.len() {
            attached.insert(coordinator.attached().await.labels["name"].clone());
        }
        assert_eq!(attached, names);
        coordinator.stop().await;
        coordinator.listen().await;
    }
    stop.cancel();
    let ended = async { while agents.join_next().await.transpose().unwrap().is_some() {} };
    tokio::time::timeout(SOON, ended).await.expect("agents stop when told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_of_an_executor_is_a_lost_phase_and_not_an_app_that_is_busy_for_ever() {
    let mut coordinator = Coordinator::start().await;
    let (stop, executor) = (CancellationToken::new(), Arc::new(MadeUp::default()));
    let agent = link::run(
        settings(&coordinator, "h1").await,
        Store::Memory,
        executor.clone(),
        stop.clone(),
    );
    let agent = tokio::spawn(agent);
    coordinator.attached().await;
    for (attempt, wanted) in [(1, PhaseResult::Done), (2, PhaseResult::Lost), (3, PhaseResult::Done)] {
        let mut order = order(attempt, "");
        order.from_state = String::new();
        coordinator.order(&order).await;
        assert_eq!(coordinator.report().await.result(), wanted);
    }
    assert_eq!(executor.begun.load(Ordering::SeqCst), 3);
    stop.cancel();
    tokio::time::timeout(SOON, agent)
        .await
        .expect("it stops when told")
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_is_told_with_the_time_that_probes_take() {
    let mut coordinator = Coordinator::start().await;
    let (stop, executor) = (CancellationToken::new(), Arc::new(MadeUp::default()));
    let settings = Settings {
        sample_every: Duration::from_millis(100),
        ..settings(&coordinator, "h1").await
    };
    let agent = tokio::spawn(link::run(settings, Store::Memory, executor, stop.clone()));
    coordinator.attached().await;
    let first = coordinator.samples().await;
    assert_eq!(first.values, [("load".to_owned(), 0.5)].into());
    coordinator
        .watch(Watch {
            watch: "r1/health".to_owned(),
            probe: order(1, "true").action,
            every_ms: 100,
            unhealthy_after: 1,
        })
        .await;
    let told = async {
        loop {
            let samples = coordinator.samples().await;
            assert!(samples.at_ms > first.at_ms, "its clock goes on");
            if let Some(took) = samples.values.get("probe_ms/r1/health") {
                return *took;
            }
        }
    };
    let took = tokio::time::timeout(SOON, told).await.expect("the watch is measured");
    assert!(took >= 5.0, "{took} ms");
    stop.cancel();
    tokio::time::timeout(SOON, agent)
        .await
        .expect("it stops when told")
        .unwrap();
}
