//! A disk that is full at each write of the agent, one after the other: it says so, loses nothing, and goes on when there is
//! room. The disk is a file system in memory, which only root can mount; without root these say that they did not run.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use echelon_agent::order::{Order, PhaseResult};
use echelon_proto::wire::link as wire;
use nix::unistd::Uid;

use crate::{
    archives,
    artifacts::{archive, done, install},
    coordinator::Coordinator,
    host::{OneHost, order as plain},
    sandbox::{Sandbox, fence, is_alive, order, until},
};

/// A file system in memory of so many KiB, gone when dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None, said on standard error, when this is not root.
    pub(crate) fn at(folder: &Path, kib: u32) -> Option<Self> {
        if !Uid::effective().is_root() {
            #[allow(clippy::print_stderr)]
            {
                eprintln!("not root: no small disk can be mounted, and a full one is not tried");
            }
            return None;
        }
        fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
            .arg(folder);
        assert!(mount.status().unwrap().success());
        Some(Self(folder.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Until not one byte more goes on it.
    fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).unwrap();
        for size in [64 * 1024, 4096, 1] {
            while ballast.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A host that keeps nothing free and is told no sizes: it meets the end of the disk itself.
fn careless() -> OneHost {
    OneHost::with(|_, settings| settings.artifacts.keep_free = 0)
}

/// From a file beside the host, of a size that nobody says.
fn from_file(host: &OneHost, body: &[u8]) -> Order {
    fs::write(host.at("archive"), body).unwrap();
    let mut order = install("1.0", &format!("file://{}", host.at("archive").display()), body);
    order.release.as_mut().unwrap().artifact.as_mut().unwrap().size = None;
    order
}

fn sh(script: &str) -> Order {
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    plain(echelon_agent::order::Action::Run(echelon_agent::order::Run {
        argv,
        env: Default::default(),
        cwd: None,
        user: None,
        limits: Default::default(),
        secrets: Default::default(),
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_does_not_fit_gives_its_room_back() {
    let host = careless();
    let Some(disk) = SmallDisk::at(&host.at("state/store"), 512) else {
        return;
    };
    let body = archive("web");
    disk.fill();
    let full = host.run(from_file(&host, &body)).await;
    assert_eq!(full.result, PhaseResult::Failed, "{}", full.message);
    assert!(
        full.message.contains("state/store") && full.message.contains("No space left"),
        "{}",
        full.message
    );
    assert_eq!(host.stored().len(), 1, "only the ballast: {:?}", host.stored());
    assert!(host.releases().is_empty());
    disk.make_room();
    done(&host.run(from_file(&host, &body)).await);
    assert_eq!(host.current(), "web");
}

#[tokio::test(flavor = "multi_thread")]
async fn room_is_looked_for_before_anything_is_fetched() {
    let host = OneHost::new();
    let Some(_disk) = SmallDisk::at(&host.at("apps"), 512) else {
        return;
    };
    let body = archive("web");
    fs::write(host.at("archive"), &body).unwrap();
    let order = install("1.0", &format!("file://{}", host.at("archive").display()), &body);
    let outcome = host.run(order).await;
    assert_eq!(outcome.result, PhaseResult::Failed);
    assert!(
        outcome.message.contains("bytes free, this needs") && outcome.message.contains("are kept free"),
        "{}",
        outcome.message
    );
    assert!(host.stored().is_empty() && host.releases().is_empty() && host.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_does_not_fit_leaves_the_one_that_stands() {
    let host = careless();
    let Some(disk) = SmallDisk::at(&host.at("apps"), 1024) else {
        return;
    };
    done(&host.run(from_file(&host, &archive("web"))).await);
    disk.fill();
    let next = |host: &OneHost| {
        let mut order = from_file(host, &archive("next"));
        order.release.as_mut().unwrap().name = echelon_proto::ReleaseName::new("1.1").unwrap();
        order
    };
    let full = host.run(next(&host)).await;
    assert_eq!(full.result, PhaseResult::Failed, "{}", full.message);
    assert!(full.message.contains("No space left"), "{}", full.message);
    assert_eq!(
        (host.current().as_str(), host.releases()),
        ("web", vec!["1.0".to_owned()])
    );
    assert!(host.is_clean());

    // Room for the begin of it: the entry that does not fit is named.
    disk.make_room();
    let bomb = archives::gzipped_file("big", 4 << 20);
    let mut big = from_file(&host, &bomb);
    big.release.as_mut().unwrap().name = echelon_proto::ReleaseName::new("1.2").unwrap();
    let full = host.run(big).await;
    assert!(
        full.message.contains("\"big\"") && full.message.contains("No space left"),
        "{}",
        full.message
    );
    assert!(host.is_clean() && host.releases() == ["1.0"]);
    done(&host.run(next(&host)).await);
    assert_eq!(host.current(), "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_not_begun_when_nothing_of_it_could_be_written_down() {
    let host = OneHost::new();
    let Some(disk) = SmallDisk::at(&host.at("state/runs"), 256) else {
        return;
    };
    disk.fill();
    let outcome = host.run(sh("touch ../ran")).await;
    assert_eq!(outcome.result, PhaseResult::Failed, "{}", outcome.message);
    assert!(outcome.message.contains("No space left"), "{}", outcome.message);
    assert!(!host.at("apps/ran").exists());
    disk.make_room();
    done(&host.run(sh("touch ../ran")).await);
    assert!(host.at("apps/ran").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_finds_no_room_is_cut_and_the_end_is_told_when_there_is_some() {
    let host = OneHost::new();
    let Some(_disk) = SmallDisk::at(&host.at("state/runs"), 512) else {
        return;
    };
    let read = |name: &str| fs::read_to_string(host.at(name)).unwrap_or_default();
    let run = host.run(sh(
        "echo $$ > ../pid; echo begun; head -c 2000000 /dev/zero; echo $? > ../full; exit 7",
    ));
    let make_room = async {
        until("the program has ended", || {
            !read("apps/full").is_empty() && !is_alive(&read("apps/pid"))
        })
        .await;
        // Its end has found no room yet either.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!main_of(&host).join("exit").exists());
        let output = File::options().write(true).open(main_of(&host).join("output"));
        output.unwrap().set_len(6).unwrap();
    };
    let (outcome, ()) = tokio::join!(run, make_room);
    assert_eq!(
        (outcome.result, outcome.exit_code),
        (PhaseResult::Failed, Some(7)),
        "{}",
        outcome.message
    );
    assert_eq!(read("apps/full"), "1\n", "it was told that it could not write");
}

/// The folder of the one program there is.
fn main_of(host: &OneHost) -> PathBuf {
    let mut runs = fs::read_dir(host.at("state/runs")).unwrap().flatten();
    runs.next().unwrap().path().join("main")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_be_written_refuses_what_is_new_and_keeps_what_has_ended() {
    let mut coordinator = Coordinator::start().await;
    let mut sandbox = Sandbox::new(&coordinator);
    let Some(disk) = SmallDisk::at(&sandbox.path("state"), 2048) else {
        return;
    };
    coordinator.token("t1");
    assert!(sandbox.command(&["join", "--token", "t1"]).await.status.success());
    sandbox.start();
    coordinator.attached().await;
    coordinator
        .order(&order(
            1,
            "echo ran >> ../ran; until test -e ../go; do sleep 0.05; done; exit 3",
        ))
        .await;
    until("the program runs", || sandbox.path("apps/ran").exists()).await;
    disk.fill();
    fs::write(sandbox.path("apps/go"), "").unwrap();
    let wait = Duration::from_millis(1500);
    assert!(coordinator.hears_no_report_for(wait).await, "its end is nowhere yet");
    let other = wire::Order {
        app: "other".to_owned(),
        fence: Some(wire::Fence {
            rollout: "r2".to_owned(),
            ..fence(1)
        }),
        ..order(1, "touch ../other")
    };
    coordinator.order(&other).await;
    let refused = coordinator.report().await;
    assert_eq!(refused.result(), wire::PhaseResult::Refused, "{}", refused.message);
    assert!(
        refused.message.contains("No space left") && refused.message.contains("make room"),
        "{}",
        refused.message
    );

    // Killed as well, it still knows.
    sandbox.kill();
    disk.make_room();
    sandbox.start();
    let report = coordinator.report().await;
    assert_eq!(
        (report.fence.clone(), report.exit_code),
        (Some(fence(1)), Some(3)),
        "{report:?}"
    );
    assert_eq!(sandbox.read("apps/ran"), "ran\n");
    assert!(!sandbox.path("apps/other").exists());
    coordinator.ack(report.sequence).await;
    coordinator.order(&other).await;
    assert_eq!(coordinator.report().await.result(), wire::PhaseResult::Done);
}
