//! Limits: what a program may use. Held on hosts without cgroups of the agent's own, as those of these tests are.

use echelon_proto::wire::link::{Limits, Order, PhaseResult};

use crate::{
    coordinator::Coordinator,
    sandbox::{Sandbox, order, sh_with},
};

fn limited(attempt: u32, script: &str, limits: Option<Limits>) -> Order {
    Order {
        action: Some(sh_with(script, |run| run.limits = limits)),
        from_state: String::new(),
        ..order(attempt, "")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_wants_more_than_it_may_have_does_not_get_it() {
    let mut coordinator = Coordinator::start().await;
    let _sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    // Opens a hundred files at once; keeps 128 MB of zeros, which are one line.
    let many = "mkdir -p open; cd open; tee $(seq 1 100) < /dev/null";
    let hog = "head -c 128000000 /dev/zero | LC_ALL=C tail -n 1 > /dev/null";
    let files = Limits {
        open_files: 20,
        ..Limits::default()
    };
    let memory = Limits {
        memory_bytes: 64 * 1024 * 1024,
        ..Limits::default()
    };
    let cases = [
        (many, Some(files), Some("Too many open files")),
        (many, None, None),
        (hog, Some(memory), Some("memory")),
        (hog, None, None),
    ];
    for (attempt, (script, limits, wanted)) in (1..).zip(cases) {
        coordinator.order(&limited(attempt, script, limits)).await;
        let report = coordinator.report().await;
        match wanted {
            Some(wanted) => {
                assert_eq!(report.result(), PhaseResult::Failed, "{report:?}");
                assert!(report.tail.contains(wanted), "{report:?}");
            }
            None => assert_eq!(report.result(), PhaseResult::Done, "{report:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_cannot_be_held_is_not_claimed() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let limits = Limits {
        cpu_percent: 50,
        ..Limits::default()
    };
    coordinator.order(&limited(1, "touch ../ran", Some(limits))).await;
    let report = coordinator.report().await;
    assert_eq!((report.result(), report.exit_code), (PhaseResult::Failed, None));
    assert!(
        report.message.starts_with("cpu_percent 50 cannot be held: "),
        "{}",
        report.message
    );
    assert!(report.message.contains("by its unit"), "{}", report.message);
    assert!(!sandbox.path("apps/ran").exists());
}
