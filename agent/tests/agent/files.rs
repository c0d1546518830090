//! Files: written whole or not at all, and only when they do not stand as wanted.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use echelon_proto::wire::link::{Action, File, Note, Order, PhaseResult, action::Kind, file::Content};
use nix::unistd::Uid;

use crate::{
    coordinator::Coordinator,
    disk::SmallDisk,
    sandbox::{Sandbox, doing, standing},
};

fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        content: Some(Content::Text(text.to_owned())),
        mode: 0o640,
        ..File::default()
    }
}

fn template(path: &str, from: &str) -> File {
    File {
        content: Some(Content::Template(from.to_owned())),
        ..file(path, "")
    }
}

fn writing(attempt: u32, file: File) -> Order {
    let mut order = doing(attempt, Kind::File(file));
    let variables = [("host.name", "web-17"), ("host.labels.port", "8080")];
    order.variables = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    order
}

/// A sandbox whose app has its folder.
async fn with_app(coordinator: &mut Coordinator) -> Sandbox {
    let sandbox = Sandbox::joined(coordinator).await;
    coordinator.attached().await;
    fs::create_dir_all(sandbox.path("apps/web/conf")).unwrap();
    sandbox
}

async fn done(coordinator: &mut Coordinator, order: Order) {
    coordinator.order(&order).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Done, "{}", report.message);
}

async fn fails(coordinator: &mut Coordinator, order: Order, wanted: &str) {
    coordinator.order(&order).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Failed, "{}", report.message);
    assert!(report.message.contains(wanted), "wanted {wanted:?}: {}", report.message);
}

/// Names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_written_with_its_mode_and_left_alone_while_it_stands_as_wanted() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = with_app(&mut coordinator).await;
    let path = sandbox.path("apps/web/conf/app.conf");
    done(&mut coordinator, writing(1, file("conf/app.conf", "port 1\n"))).await;
    let first = fs::metadata(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "port 1\n");
    assert_eq!(first.mode() & 0o7777, 0o640);

    done(&mut coordinator, writing(2, file("conf/app.conf", "port 1\n"))).await;
    let second = fs::metadata(&path).unwrap();
    assert_eq!((second.ino(), second.ctime_nsec()), (first.ino(), first.ctime_nsec()));

    // Content, mode: each alone is reason enough.
    done(&mut coordinator, writing(3, file("conf/app.conf", "port 2\n"))).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "port 2\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    done(&mut coordinator, writing(4, file("conf/app.conf", "port 2\n"))).await;
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);

    let absolute = sandbox.path("elsewhere.conf");
    done(&mut coordinator, writing(5, file(absolute.to_str().unwrap(), "x"))).await;
    assert_eq!(fs::read_to_string(absolute).unwrap(), "x");
    assert_eq!(names(&sandbox.path("apps/web/conf")), ["app.conf"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_stands_verifies_its_own_phase_and_another_does_not() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = with_app(&mut coordinator).await;
    for (attempt, content, wanted) in [(1, "b", PhaseResult::Failed), (2, "a", PhaseResult::AlreadyDone)] {
        let mut order = writing(attempt, file("app.conf", "a"));
        let kind = Kind::File(file("app.conf", content));
        order.verify = Some(Action { kind: Some(kind) });
        coordinator.order(&order).await;
        let report = coordinator.report().await;
        assert_eq!(report.result(), wanted, "{}", report.message);
    }
    assert_eq!(sandbox.read("apps/web/app.conf"), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_filled_and_an_unknown_name_writes_nothing() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = with_app(&mut coordinator).await;
    let from = sandbox.path("apps/web/app.conf.in");
    fs::write(&from, "listen ${{ host.name }}:${{ host.labels.port }}\n").unwrap();
    done(&mut coordinator, writing(1, template("conf/app.conf", "app.conf.in"))).await;
    assert_eq!(sandbox.read("apps/web/conf/app.conf"), "listen web-17:8080\n");

    fs::write(&from, "one\n\nlisten ${{ host.labels.prot }}\n").unwrap();
    let order = writing(2, template("conf/app.conf", from.to_str().unwrap()));
    fails(
        &mut coordinator,
        order,
        "app.conf.in, line 3: `host.labels.prot` stands for nothing",
    )
    .await;
    let folder = template("conf/app.conf", "conf");
    fails(&mut coordinator, writing(3, folder), "conf: is not a regular file").await;
    let absent = template("conf/app.conf", "absent.in");
    fails(&mut coordinator, writing(4, absent), "absent.in: is not there").await;
    fs::write(&from, vec![b'x'; 1024 * 1024 + 1]).unwrap();
    let long = template("conf/app.conf", "app.conf.in");
    fails(&mut coordinator, writing(5, long), "is longer than 1048576 bytes").await;
    assert_eq!(sandbox.read("apps/web/conf/app.conf"), "listen web-17:8080\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_replaced_and_no_path_leads_out_of_the_apps_folder() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = with_app(&mut coordinator).await;
    let other = sandbox.path("other");
    fs::write(&other, "another's").unwrap();
    symlink(&other, sandbox.path("apps/web/conf/app.conf")).unwrap();
    done(&mut coordinator, writing(1, file("conf/app.conf", "mine"))).await;
    assert!(!sandbox.path("apps/web/conf/app.conf").is_symlink());
    assert_eq!(
        (
            sandbox.read("apps/web/conf/app.conf").as_str(),
            sandbox.read("other").as_str()
        ),
        ("mine", "another's")
    );

    symlink(sandbox.path(""), sandbox.path("apps/web/out")).unwrap();
    fails(
        &mut coordinator,
        writing(2, file("out/other", "mine")),
        "leads out of the app's folder",
    )
    .await;
    fails(
        &mut coordinator,
        writing(3, template("x", "out/other")),
        "leads out of the app's folder",
    )
    .await;
    fails(
        &mut coordinator,
        writing(4, file("conf", "mine")),
        "something that is no file stands there",
    )
    .await;
    fails(
        &mut coordinator,
        writing(5, file("conf/", "mine")),
        "names a folder, not a file",
    )
    .await;
    fails(
        &mut coordinator,
        writing(6, file("absent/x", "mine")),
        "is not there; an earlier phase must make it",
    )
    .await;
    for (attempt, bad, wanted) in [
        (7, file("../other", "mine"), "has `..`"),
        (8, file("", "mine"), "a path has 1 to"),
        (9, file("x", &"x".repeat(256 * 1024 + 1)), "at most 262144"),
        (
            10,
            File {
                mode: 0o4755,
                ..file("x", "")
            },
            "at most 0777",
        ),
    ] {
        coordinator.order(&writing(attempt, bad)).await;
        let report = coordinator.report().await;
        assert_eq!(report.result(), PhaseResult::Refused, "{}", report.message);
        assert!(report.message.contains(wanted), "{}", report.message);
    }
    assert_eq!(sandbox.read("other"), "another's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_given_to_its_owner_and_one_that_is_not_there_is_named() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = with_app(&mut coordinator).await;
    let owned = |owner: &str, group: &str| File {
        owner: owner.to_owned(),
        group: group.to_owned(),
        ..file("app.conf", "x")
    };
    fails(
        &mut coordinator,
        writing(1, owned("no-such-user", "")),
        "no user \"no-such-user\"",
    )
    .await;
    fails(
        &mut coordinator,
        writing(2, owned("", "no-such-group")),
        "no group \"no-such-group\"",
    )
    .await;
    assert!(!sandbox.path("apps/web/app.conf").exists());
    if !Uid::effective().is_root() {
        return fails(&mut coordinator, writing(3, owned("root", "")), "only root can").await;
    }
    done(&mut coordinator, writing(3, owned("nobody", ""))).await;
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let meta = fs::metadata(sandbox.path("apps/web/app.conf")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (nobody.uid.as_raw(), nobody.gid.as_raw()));
    // The owner alone is reason enough to write it anew.
    done(&mut coordinator, writing(4, owned("", ""))).await;
    let meta = fs::metadata(sandbox.path("apps/web/app.conf")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_agent_left_beside_a_file_goes_with_the_next_write_of_it() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = with_app(&mut coordinator).await;
    let conf = sandbox.path("apps/web/conf");
    let fresh = |name: &str, number: &str| {
        let digest = echelon_proto::Digest::of(name.as_bytes()).short();
        conf.join(format!(".echelon-{digest}-{number}"))
    };
    fs::write(fresh("app.conf", "0000000000000001"), "half").unwrap();
    fs::write(fresh("app.conf", "0000000000000002"), "half").unwrap();
    let others = fresh("other.conf", "0000000000000003");
    fs::write(&others, "another's").unwrap();
    done(&mut coordinator, writing(1, file("conf/app.conf", "x"))).await;
    let others = others.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(names(&conf), [others, "app.conf".to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_leaves_the_old_file_whole_and_nothing_beside_it() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = with_app(&mut coordinator).await;
    let conf = sandbox.path("apps/web/conf");
    let (_disk, text, wanted) = if Uid::effective().is_root() {
        (SmallDisk::at(&conf, 64), "x".repeat(200_000), "No space left on device")
    } else {
        (None, "new".to_owned(), "ermission denied")
    };
    done(&mut coordinator, writing(1, file("conf/app.conf", "old"))).await;
    if !Uid::effective().is_root() {
        fs::set_permissions(&conf, fs::Permissions::from_mode(0o555)).unwrap();
    }
    coordinator.order(&writing(2, file("conf/app.conf", &text))).await;
    let report = coordinator.report().await;
    assert_eq!(report.result(), PhaseResult::Failed, "{}", report.message);
    assert!(report.message.contains(wanted), "{}", report.message);
    assert!(
        report.message.ends_with("what stood there still stands"),
        "{}",
        report.message
    );
    assert_eq!(names(&conf), ["app.conf"]);
    assert_eq!(sandbox.read("apps/web/conf/app.conf"), "old");
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_moves_the_standing_and_runs_nothing() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    coordinator.order(&doing(1, Kind::Note(Note {}))).await;
    let report = coordinator.report().await;
    assert_eq!((report.result(), report.exit_code), (PhaseResult::Done, None));
    assert_eq!(report.standing.unwrap(), standing("running"));
    assert!(!sandbox.path("apps/web").exists());
}
