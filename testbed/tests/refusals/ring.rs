//! A whole ring for one test: a real coordinator, one real host, a server of artifacts, in a folder that goes with them.
//! It says what a person sees before and after. Deliberately no look inside, and no judgement.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use echelon_testbed::{
    binaries::Binaries,
    bundle::{self, Entry},
    cli::Said,
    coordinator::{Coordinator, Person},
    host::Host,
    origin::{Artifact, Origin},
    place::Place,
    ports,
};
use tokio::{process::Command, sync::OnceCell, time};

/// No step of a test takes longer.
const WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Built once for all tests of this binary.
static BINARIES: OnceCell<Binaries> = OnceCell::const_new();

async fn binaries() -> &'static Binaries {
    BINARIES
        .get_or_init(|| async { Binaries::build().await.unwrap() })
        .await
}

/// What there is to be seen of the whole: nothing of it may change by what is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Look {
    rollouts: String,
    releases: String,
    playbooks: String,
    /// Without what time alone changes.
    hosts: String,
    /// Files of the app on the host, with where links lead.
    files: BTreeSet<String>,
}

/// Fields are dropped in their order: first who writes, last the folder.
pub(crate) struct Ring {
    pub(crate) host: Host,
    pub(crate) coordinator: Coordinator,
    pub(crate) origin: Origin,
    place: Place,
}

impl Ring {
    /// A coordinator that runs, and a host that has not joined.
    pub(crate) async fn bare() -> Self {
        let binaries = binaries().await;
        let place = Place::new("refusals", false).unwrap();
        let flags = ["--heartbeat-ms", "1000"];
        let mut coordinator = Coordinator::new(binaries, place.path(), &flags).await.unwrap();
        coordinator.serve().await.unwrap();
        let folder = place.folder("hosts").unwrap();
        let [port] = ports::claim().unwrap();
        let host = Host::new(binaries, &coordinator, &folder, ("web-1", "dc1"), port).unwrap();
        let origin = Origin::start().await.unwrap();
        Self {
            host,
            coordinator,
            origin,
            place,
        }
    }

    /// With the host attached, and 1.0.0 serving on it.
    pub(crate) async fn serving() -> Self {
        let mut ring = Self::bare().await;
        let labels = BTreeMap::from([("app", "web".to_owned())]);
        ring.host.join(&ring.coordinator, &labels).await.unwrap();
        ring.host.run().unwrap();
        ring.until_attached().await;
        let pushed = ring.echelon(Person::Alice, &["playbook", "push", &playbook()]).await;
        assert_eq!(pushed.code, 0, "{pushed:?}");
        let artifact = ring.origin.put("web-1.0.0", packed("1.0.0"));
        ring.release("1.0.0", &artifact).await;
        let started = ring.start("1.0.0").await;
        assert_eq!(started.code, 0, "{started:?}");
        ring
    }

    pub(crate) async fn echelon(&self, person: Person, words: &[&str]) -> Said {
        let answer = time::timeout(WITHIN, async { self.coordinator.cli(person).ask(words).await });
        answer.await.expect("it answers in time").unwrap()
    }

    /// Makes a release known.
    pub(crate) async fn release(&self, name: &str, artifact: &Artifact) {
        let (digest, size) = (artifact.sha256.to_string(), artifact.size.to_string());
        let what = ["--url", &artifact.url, "--sha256", &digest, "--size", &size];
        let words = [&["release", "create", "web", name], what.as_slice()].concat();
        let said = self.echelon(Person::Alice, &words).await;
        assert_eq!(said.code, 0, "{said:?}");
    }

    /// Rolls it out as a deployer and waits for the end.
    pub(crate) async fn start(&self, release: &str) -> Said {
        let words = ["start", "web", "--release", release, "--playbook", "web", "--wait"];
        self.echelon(Person::Alice, &words).await
    }

    pub(crate) async fn look(&self) -> Look {
        let ask = async |words: &[&str]| {
            let words = [words, &["--output", "json"]].concat();
            let said = self.echelon(Person::Carol, &words).await;
            assert_eq!(said.code, 0, "the coordinator goes on: {said:?}");
            said.out
        };
        let mut files = BTreeSet::new();
        list(&self.host.app("web"), Path::new(""), &mut files);
        Look {
            rollouts: ask(&["rollout", "list"]).await,
            releases: ask(&["release", "list"]).await,
            playbooks: ask(&["playbook", "list"]).await,
            hosts: without_times(&ask(&["host", "list"]).await),
            files,
        }
    }

    /// Looks until the host is attached.
    pub(crate) async fn until_attached(&self) {
        let looking = async {
            while !self.look().await.hosts.contains("\"attached\": true") {
                time::sleep(LOOK_EVERY).await;
            }
        };
        assert!(time::timeout(WITHIN, looking).await.is_ok(), "the host does not attach");
    }

    /// Whether there is a file of this name anywhere in the folder of the whole.
    pub(crate) fn has(&self, name: &str) -> bool {
        let mut files = BTreeSet::new();
        list(self.place.path(), Path::new(""), &mut files);
        assert!(!files.is_empty());
        files
            .iter()
            .any(|file| file.ends_with(&format!("/{name}")) || file == name)
    }

    /// Writes a file for the command line to read.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.place.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Another coordinator's authority and people: its certificates are worth nothing here, though it names this address.
    pub(crate) async fn stranger(&self) -> Coordinator {
        let folder = self.place.folder("stranger").unwrap();
        let mut stranger = Coordinator::new(binaries().await, &folder, &[]).await.unwrap();
        (stranger.agents, stranger.people) = (self.coordinator.agents, self.coordinator.people);
        stranger
    }

    /// A host in another folder, which trusts that coordinator's authority.
    pub(crate) async fn another_host(&self, folder: &str, name: &str, trusts: &Coordinator) -> Host {
        let folder = self.place.folder(folder).unwrap();
        Host::new(binaries().await, trusts, &folder, (name, "dc1"), 1).unwrap()
    }

    /// Alice's command line, with some of its settings replaced.
    pub(crate) async fn echelon_with(&self, replaced: &[(String, String)], words: &[&str]) -> Said {
        let mut command = Command::new(&binaries().await.cli);
        command.args(words).envs(self.coordinator.environment(Person::Alice));
        command
            .envs(replaced.iter().cloned())
            .env("ECHELON_CONFIG", "/dev/null")
            .kill_on_drop(true);
        let output = time::timeout(WITHIN, command.output()).await;
        let output = output.expect("it answers in time").unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Proves that what was refused has not stopped anything: a good release goes out.
    pub(crate) async fn must_go_on(&self) {
        self.release("9.0.0", &self.origin.put("web-9.0.0", packed("9.0.0")))
            .await;
        let started = self.start("9.0.0").await;
        assert_eq!(started.code, 0, "{started:?}");
        let current = fs::read_to_string(self.host.app("web").join("current/VERSION")).unwrap();
        assert_eq!(current, "9.0.0\n");
    }
}

impl Look {
    /// The host and its files, whatever was tried in between.
    pub(crate) fn must_stand_as(&self, before: &Self) {
        assert_eq!(self.files, before.files);
        assert_eq!(self.hosts, before.hosts);
    }
}

/// The test's playbook.
pub(crate) fn playbook() -> String {
    format!("{}/tests/refusals/web.yaml", env!("CARGO_MANIFEST_DIR"))
}

/// A release that says its version, and nothing else.
pub(crate) fn packed(version: &str) -> Vec<u8> {
    bundle::pack(&[Entry::file("VERSION", format!("{version}\n"))]).unwrap()
}

fn list(folder: &Path, name: &Path, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            files.insert(format!(
                "{} -> {}",
                name.display(),
                fs::read_link(&path).unwrap().display()
            ));
        } else if kind.is_dir() {
            list(&path, &name, files);
        } else {
            files.insert(name.display().to_string());
        }
    }
}

fn without_times(json: &str) -> String {
    let lines = json
        .lines()
        .filter(|line| !line.contains("_time\"") && !line.contains("_free_bytes\""));
    lines.collect::<Vec<_>>().join("\n")
}
