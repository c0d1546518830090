//! How a host comes to its certificate and keeps it.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::{
    coordinator::Coordinator,
    sandbox::{Sandbox, fence, order},
};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_once_and_the_second_time_gives_one_error_and_changes_nothing() {
    let coordinator = Coordinator::start().await;
    let sandbox = Sandbox::new(&coordinator);
    coordinator.token("t1");
    let joined = sandbox.command(&["join", "--token", "t1"]).await;
    assert!(
        joined.status.success() && text(&joined.stdout).contains("h1 has joined"),
        "{joined:?}"
    );
    let identity = sandbox.path("state/identity.pem");
    let before = fs::read_to_string(&identity).unwrap();
    assert_eq!(fs::metadata(&identity).unwrap().permissions().mode() & 0o777, 0o600);

    let again = sandbox.command(&["join", "--token", "t1"]).await;
    let said = text(&again.stderr);
    assert!(!again.status.success() && said.lines().count() == 1, "{said}");
    assert!(
        said.contains("used or expired") && said.contains("echelon host token h1"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&identity).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_of_another_ca_gets_no_token() {
    let (coordinator, other) = (Coordinator::start().await, Coordinator::start().await);
    let sandbox = Sandbox::new(&coordinator);
    fs::write(sandbox.path("ca.pem"), other.ca_pem()).unwrap();
    coordinator.token("t1");
    let refused = sandbox.command(&["join", "--token", "t1"]).await;
    let said = text(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("is not signed by the pinned CA"),
        "{said}"
    );
    fs::write(sandbox.path("ca.pem"), coordinator.ca_pem()).unwrap();
    assert!(
        sandbox.command(&["join", "--token", "t1"]).await.status.success(),
        "the token was not spent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_has_not_joined_and_a_second_agent_say_so() {
    let mut coordinator = Coordinator::start().await;
    let fresh = Sandbox::new(&coordinator);
    let said = text(&fresh.command(&["run"]).await.stderr);
    assert!(
        said.contains("has not joined") && said.contains("echelon-agent join"),
        "{said}"
    );

    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let said = text(&sandbox.command(&["run"]).await.stderr);
    assert!(said.contains("another agent runs"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_makes_a_new_session_and_what_runs_goes_on() {
    let mut coordinator = Coordinator::start().await;
    coordinator.certificates_live_for(8);
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    let before = sandbox.read("state/identity.pem");
    coordinator
        .order(&order(1, "echo ran >> ../ran; sleep 6; echo end"))
        .await;
    let hello = coordinator.attached().await;
    assert_eq!(hello.running, [fence(1)]);
    let report = coordinator.report().await;
    assert_eq!((report.exit_code, report.tail.as_str()), (Some(0), "end"));
    assert!(coordinator.renewals() >= 1);
    assert_ne!(
        sandbox.read("state/identity.pem"),
        before,
        "key and certificate are new"
    );
    assert_eq!(sandbox.read("apps/ran"), "ran\n");
}
