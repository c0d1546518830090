//! Secrets: a program finds them in files, and nobody finds them anywhere else.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use echelon_proto::wire::link::{Order, PhaseResult, Run};
use nix::unistd::Uid;

use crate::{
    coordinator::Coordinator,
    sandbox::{Sandbox, doing, fence, is_alive, kill_supervisors, order, sh_with, until},
};

const VALUE: &str = "hunter22-and-more";

/// A host with the secrets `db/password` and, readable by all, `open`.
async fn with_secrets(coordinator: &mut Coordinator) -> Sandbox {
    let sandbox = Sandbox::joined(coordinator).await;
    coordinator.attached().await;
    for (name, mode) in [("secrets/db/password", 0o600), ("secrets/open", 0o644)] {
        let path = sandbox.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{VALUE}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    sandbox
}

fn given(place: &str) -> impl Fn(&mut Run) {
    let secrets = [("db".to_owned(), place.to_owned())];
    move |run: &mut Run| run.secrets = secrets.clone().into()
}

fn knowing(attempt: u32, script: &str) -> Order {
    Order {
        action: Some(sh_with(script, given("db/password"))),
        from_state: String::new(),
        ..order(attempt, "")
    }
}

/// Every file below this folder that holds the secret.
fn found_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(found_below(&path));
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).contains(VALUE) {
            found.push(path);
        }
    }
    found
}

/// Folders in which programs find secrets now.
fn handed_over(sandbox: &Sandbox) -> usize {
    let agents = fs::read_dir(sandbox.path("run")).into_iter().flatten().flatten();
    agents
        .flat_map(|agent| fs::read_dir(agent.path()).into_iter().flatten())
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_found_in_its_file_and_nowhere_else_and_is_gone_afterwards() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = with_secrets(&mut coordinator).await;
    let script = "cd $CREDENTIALS_DIRECTORY; ls; stat -c %a . db; sha256sum < db; cat db; env | grep hunter; \
                  printf 'split: hunt'; sleep 0.4; printf 'er22-and-'; sleep 0.4; printf 'more.\\n'; \
                  printf 'password=%s;\\n' \"$(cat db)\" >&2; printf 'hunting\\nthe end: hunter22-an'";
    coordinator.order(&knowing(1, script)).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Done, "{report:?}");
    let digest = echelon_proto::Digest::of(format!("{VALUE}\n").as_bytes());
    let wanted = format!(
        "db\n700\n400\n{digest}  -\n[secret db]\nsplit: [secret db].\npassword=[secret db];\nhunting\nthe end: [secret db]"
    );
    assert_eq!(report.tail, wanted);
    assert_eq!(coordinator.whole_output(&fence(1)).await, wanted);
    assert_eq!(handed_over(&sandbox), 0);
    let found = found_below(&sandbox.path(""));
    assert_eq!(found.len(), 2, "only where it was from: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_verify_shows_of_a_secret_is_not_told_either() {
    let mut coordinator = Coordinator::start().await;
    let _sandbox = with_secrets(&mut coordinator).await;
    let mut wanted = order(1, "true");
    wanted.verify = Some(sh_with("cat $CREDENTIALS_DIRECTORY/db; exit 1", given("db/password")));
    coordinator.order(&wanted).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Failed);
    assert!(
        report.message.ends_with("exit code 1 [secret db]"),
        "{}",
        report.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_as_it_must_be_fails_the_phase_before_anything_runs() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = with_secrets(&mut coordinator).await;
    for (attempt, place, wanted) in [
        (1, "absent", "secret db: "),
        (2, "open", "can be read by every user of the host; chmod it 0600"),
        (3, "db", "is not a regular file"),
    ] {
        let mut order = knowing(attempt, "");
        order.action = Some(sh_with("touch ../ran", given(place)));
        coordinator.order(&order).await;
        let report = coordinator.report().await;
        assert_eq!((report.result(), report.exit_code), (PhaseResult::Failed, None));
        assert!(report.message.contains(wanted), "{}", report.message);
    }
    for (attempt, name, place, wanted) in [
        (4, "db", "../ca.pem", "has `..`"),
        (5, "db", "/etc/passwd", "is absolute"),
        (6, "a/b", "db/password", "is no name of a secret"),
    ] {
        let mut order = knowing(attempt, "");
        let secrets = [(name.to_owned(), place.to_owned())];
        order.action = Some(sh_with("touch ../ran", |run| run.secrets = secrets.into()));
        coordinator.order(&order).await;
        let report = coordinator.report().await;
        assert_eq!(report.result(), PhaseResult::Refused);
        assert!(report.message.contains(wanted), "{}", report.message);
    }
    assert!(!sandbox.path("apps/ran").exists());
    assert_eq!(handed_over(&sandbox), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_killed_supervisors_are_swept() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = with_secrets(&mut coordinator).await;
    coordinator.order(&knowing(1, "touch ../ran; sleep 60")).await;
    until("the program runs", || sandbox.path("apps/ran").exists()).await;
    assert_eq!(handed_over(&sandbox), 1);
    sandbox.kill();
    sandbox.start();
    coordinator.attached().await;
    assert_eq!(handed_over(&sandbox), 1, "its program still runs");
    sandbox.kill();
    kill_supervisors(&sandbox);
    // Of an attempt that no ledger knows.
    let agent = fs::read_dir(sandbox.path("run"))
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    fs::create_dir(agent.join("r9.1.start~0+main")).unwrap();
    fs::write(agent.join("r9.1.start~0+main/db"), VALUE).unwrap();
    sandbox.start();
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Lost, "{}", report.message);
    assert_eq!(handed_over(&sandbox), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_phase_with_secrets_leaves_running_holds_nothing_up() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = with_secrets(&mut coordinator).await;
    // Writes for ever, until nobody reads it any more.
    coordinator
        .order(&knowing(1, "yes & echo $! > ../left; sleep 0.2"))
        .await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
    until("what writes into nothing ends", || {
        !is_alive(&sandbox.read("apps/left"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_another_user_can_read_its_secret() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = with_secrets(&mut coordinator).await;
    // The folder of this test is in nobody's way.
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    let mut order = doing(1, echelon_proto::wire::link::action::Kind::Run(Run::default()));
    let user = if Uid::effective().is_root() { "nobody" } else { "root" };
    order.action = Some(sh_with("id -un; wc -c < $CREDENTIALS_DIRECTORY/db", |run| {
        given("db/password")(run);
        run.user = user.to_owned();
    }));
    coordinator.order(&order).await;
    let report = coordinator.report().await;
    if Uid::effective().is_root() {
        assert_eq!(report.tail, format!("nobody\n{}", VALUE.len() + 1), "{report:?}");
    } else {
        assert!(report.message.contains("only root can"), "{report:?}");
    }
    assert_eq!(handed_over(&sandbox), 0);
}
