//! Archives as attackers, broken disks and bad packers make them, each installed by the real host from a file beside it.
//! Whatever an archive says: nothing outside its own release's folder changes, what is refused leaves nothing behind and is
//! told in one line that names the entry and the reason, and what is taken has no rights that it should not have.

mod cuts;
mod headers;
mod parcel;
mod paths;
mod tape;
mod zips;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use echelon_agent::order::{Action, Artifact, ArtifactVerb, Order, PhaseResult, Release, Source};
use echelon_proto::{Digest, ReleaseName, wire::link as wire};

use crate::{
    coordinator::Coordinator,
    host::{OneHost, order},
    sandbox::{Sandbox, doing},
};

/// A small file that unpacks to so many zeros.
pub(crate) fn gzipped_zeros(bytes: usize) -> Vec<u8> {
    tape::gzip(&vec![0; bytes])
}

/// An archive of one file of so many bytes, small and of little to say.
pub(crate) fn gzipped_file(name: &str, bytes: usize) -> Vec<u8> {
    tape::gzip(&tape::tar([tape::Item::new(b'0', name).data(vec![b'x'; bytes])]))
}

/// How an archive is to end.
enum Wanted {
    /// With this in its message, and the entry's name as it is told where one is to blame.
    Refused { why: String, entry: Option<String> },
    /// Installed, with just these files.
    Taken(Vec<(&'static str, &'static str)>),
}

struct Case {
    /// What it tries.
    what: String,
    bytes: Vec<u8>,
    wanted: Wanted,
}

fn refused(what: &str, bytes: Vec<u8>, entry: &str, why: &str) -> Case {
    let (why, entry) = (why.to_owned(), Some(format!("{entry:?}")));
    let what = what.to_owned();
    Case {
        what,
        bytes,
        wanted: Wanted::Refused { why, entry },
    }
}

/// The archive as a whole is to blame.
fn unreadable(what: &str, bytes: Vec<u8>, why: &str) -> Case {
    let (why, entry) = (why.to_owned(), None);
    let what = what.to_owned();
    Case {
        what,
        bytes,
        wanted: Wanted::Refused { why, entry },
    }
}

fn taken(what: &str, bytes: Vec<u8>, files: &[(&'static str, &'static str)]) -> Case {
    let what = what.to_owned();
    Case {
        what,
        bytes,
        wanted: Wanted::Taken(files.to_vec()),
    }
}

/// Everything below a folder but `state`, as precisely as it can be told.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    let mut ahead = vec![folder.to_owned()];
    while let Some(at) = ahead.pop() {
        let meta = fs::symlink_metadata(&at).unwrap();
        let told = if meta.is_dir() {
            let entries = fs::read_dir(&at).unwrap().flatten().map(|entry| entry.path());
            ahead.extend(entries.filter(|path| path != &folder.join("state")));
            format!("folder {:o}", meta.mode())
        } else if meta.is_symlink() {
            format!("link to {:?}", fs::read_link(&at).unwrap())
        } else {
            let content = Digest::of(&fs::read(&at).unwrap());
            format!(
                "{:o} {} {} {} {content}",
                meta.mode(),
                meta.uid(),
                meta.nlink(),
                meta.ino()
            )
        };
        seen.insert(at, told);
    }
    seen
}

/// A host whose app has its folder already.
struct Cage {
    host: OneHost,
}

impl Cage {
    fn new() -> Self {
        let host = OneHost::new();
        fs::create_dir_all(host.folder.path().join("apps/web/releases")).unwrap();
        fs::write(host.folder.path().join("apps/web/data"), "the app's own").unwrap();
        Self { host }
    }

    fn folder(&self) -> &Path {
        self.host.folder.path()
    }

    fn install(&self, bytes: &[u8]) -> Order {
        let archive = self.folder().join("archive");
        fs::write(&archive, bytes).unwrap();
        let release = Release {
            name: ReleaseName::new("1.0").unwrap(),
            artifact: Some(Source {
                url: format!("file://{}", archive.display()),
                sha256: Digest::of(bytes),
                size: Some(bytes.len() as u64),
            }),
        };
        let verb = ArtifactVerb::Install;
        Order {
            release: Some(release),
            ..order(Action::Artifact(Artifact { verb, keep: None }))
        }
    }

    async fn try_out(&self, case: &Case) {
        let what = &case.what;
        let install = self.install(&case.bytes);
        let before = snapshot(self.folder());
        let outcome = self.host.run(install).await;
        let message = &outcome.message;
        match &case.wanted {
            Wanted::Refused { why, entry } => {
                assert_eq!(outcome.result, PhaseResult::Failed, "{what}: {message}");
                assert!(message.contains(why), "{what}: wanted {why:?}: {message}");
                if let Some(entry) = entry {
                    assert!(
                        message.contains(&format!("entry {entry} ")),
                        "{what}: wanted {entry}: {message}"
                    );
                }
                let is_one_line = !message.chars().any(char::is_control);
                assert!(is_one_line && message.chars().count() < 600, "{what}: {message:?}");
                assert_eq!(snapshot(self.folder()), before, "{what}");
            }
            Wanted::Taken(files) => {
                assert_eq!(outcome.result, PhaseResult::Done, "{what}: {message}");
                self.holds_just(files, what);
                let mut after = snapshot(self.folder());
                let web = self.folder().join("apps/web");
                after.retain(|path, _| !path.starts_with(web.join("releases/1.0")) && *path != web.join("current"));
                assert_eq!(after, before, "{what}");
            }
        }
    }

    /// Just these files, and nothing that gives rights or leads out.
    fn holds_just(&self, files: &[(&str, &str)], what: &str) {
        let release = self.folder().join("apps/web/releases/1.0").canonicalize().unwrap();
        let mut found = BTreeMap::new();
        for path in snapshot(&release).into_keys().filter(|path| *path != release) {
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(&release).unwrap().to_string_lossy().into_owned();
            assert!(meta.is_dir() || meta.is_file() || meta.is_symlink(), "{what}: {name}");
            if meta.is_symlink() {
                let leads_in = path.canonicalize().map_or(true, |to| to.starts_with(&release));
                assert!(leads_in, "{what}: {name} leads out");
                continue;
            }
            let mode = meta.permissions().mode() & 0o7777;
            assert_eq!(mode & !0o755, 0, "{what}: {name} has {mode:o}");
            if meta.is_file() && name != ".echelon-release" {
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
        let wanted = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        assert_eq!(found, wanted.collect(), "{what}");
    }
}

/// Each on a host of its own, all of them after the same canary. Gives how many they were.
async fn try_out_all(cases: impl Fn(&str) -> Vec<Case>) -> usize {
    let canary = tempfile::Builder::new().prefix("canary").tempdir().unwrap();
    fs::write(canary.path().join("secret"), "a secret").unwrap();
    let unharmed = snapshot(canary.path());
    let cases = cases(canary.path().to_str().unwrap());
    for case in &cases {
        Cage::new().try_out(case).await;
        assert_eq!(snapshot(canary.path()), unharmed, "{}", case.what);
    }
    cases.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_and_no_link_leads_out_of_the_release() {
    let count = try_out_all(paths::cases).await;
    assert!(count >= 40, "only {count} archives");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kind_no_mode_and_no_extended_header_gets_past() {
    let count = try_out_all(headers::cases).await;
    assert!(count >= 45, "only {count} archives");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_damaged_followed_by_more_or_a_bomb_is_not_installed() {
    let count = try_out_all(|_| cuts::cases()).await;
    assert!(count >= 25, "only {count} archives");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_that_says_two_things_or_leads_out_is_not_installed() {
    let count = try_out_all(zips::cases).await;
    assert!(count >= 45, "only {count} archives");
}

/// Of a process, in KiB, at its largest.
fn largest_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_archive_makes_the_agent_itself_large() {
    let mut coordinator = Coordinator::start().await;
    let sandbox = Sandbox::joined(&coordinator).await;
    coordinator.attached().await;
    for (attempt, (bytes, why)) in (1..).zip(cuts::memory_bombs()) {
        let archive = sandbox.path("archive");
        fs::write(&archive, &bytes).unwrap();
        let release = wire::Release {
            name: "1.0".to_owned(),
            url: format!("file://{}", archive.display()),
            sha256: Digest::of(&bytes).to_string(),
            size_bytes: bytes.len() as u64,
        };
        let installs = wire::Artifact {
            verb: wire::ArtifactVerb::Install.into(),
            keep: None,
        };
        let order = wire::Order {
            release: Some(release),
            ..doing(attempt, wire::action::Kind::Artifact(installs))
        };
        coordinator.order(&order).await;
        let report = coordinator.report().await;
        assert!(report.message.contains(why), "wanted {why:?}: {}", report.message);
        coordinator.ack(report.sequence).await;
    }
    // The widest window that zstd takes without being asked to is 128 MiB.
    let largest = largest_kib(sandbox.pid());
    assert!(largest < 200 * 1024, "{largest} KiB");
}
