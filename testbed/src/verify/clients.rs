//! A coordinator, two hosts, and a Jenkins job in Python, made from the .proto files for this run alone: one release that
//! goes out, one that fails on its first host and comes back. What the job printed is held against what the coordinator
//! and the services say themselves. Deliberately none of our own client code between the job and the coordinator.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use echelon_cli::client::ask;
use echelon_proto::wire::control::ListRolloutsRequest;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::process::Command;

use super::{
    Found,
    job::Job,
    needs::{PYTHON, program},
    room::Room,
};
use crate::{
    binaries::repository,
    coordinator::Person,
    demo::{APP, Scene},
    origin::Artifact,
    reaper::Reaper,
};

/// Of one run of a script; each rollout takes seconds.
const SCRIPT_WITHIN: Duration = Duration::from_secs(180);
const GOOD: &str = "1.0.0";
const BROKEN: &str = "1.1.0";
/// As `warm-broken.sh` ends.
const BROKEN_ENDS_WITH: i32 = 3;
const PROTO: &str = "echelon/control/v1/control.proto";

/// The last line of `services.py`.
#[derive(Debug, Deserialize)]
struct Services {
    health: String,
    services: Vec<String>,
}

/// The last line of `jenkins.py`.
#[derive(Debug, Deserialize)]
struct Account {
    release: String,
    /// What each of its two starts with one request id gave.
    started: Vec<String>,
    rollout: String,
    created_by: String,
    state: String,
    done: usize,
    first_failure: Option<Failure>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    host: String,
    phase: String,
    exit_code: Option<i32>,
    last_lines: Vec<String>,
}

/// Who runs the scripts, and against what.
#[derive(Debug)]
struct Jenkins<'a> {
    name: &'a str,
    room: &'a Room,
    scene: &'a Scene,
    /// Where the modules are that were made from the .proto files.
    modules: PathBuf,
}

pub(super) async fn look(name: &str, room: &Room) -> anyhow::Result<Found> {
    let modules = tempfile::Builder::new()
        .prefix("modules-")
        .tempdir_in(room.temporary())?;
    generate(name, room, modules.path()).await?;
    let mut scene = Scene::build(APP, false).await?;
    let told = async {
        scene.populate(&["dc1"]).await?;
        let jenkins = Jenkins {
            name,
            room,
            scene: &scene,
            modules: modules.path().to_owned(),
        };
        jenkins.story().await
    }
    .await;
    if told.is_err() {
        scene.confess();
    }
    let ended = scene.end().await;
    // The services of the hosts belong to nobody now.
    tokio::task::spawn_blocking(Reaper::sweep).await?;
    told.and_then(|found| ended.map(|_| found))
}

/// As every job does it, into a folder of its own.
async fn generate(name: &str, room: &Room, into: &Path) -> anyhow::Result<()> {
    let plugin = program("grpc_python_plugin").context("there is no grpc_python_plugin on PATH")?;
    let mut protoc = Command::new("protoc");
    protoc.current_dir(into).args(["--python_out=.", "--grpc_out=."]);
    protoc.arg(format!("--plugin=protoc-gen-grpc={}", plugin.display()));
    protoc
        .arg(format!("--proto_path={}", repository().join("proto/schema").display()))
        .arg(PROTO);
    Job::new(&format!("{name}-protoc"), protoc, SCRIPT_WITHIN)
        .must(room)
        .await
        .map(drop)
}

impl Jenkins<'_> {
    async fn story(&self) -> anyhow::Result<Found> {
        let playbook = repository().join("testbed/demo/storefront.yaml").display().to_string();
        self.scene
            .coordinator
            .cli(Person::Alice)
            .must(&["playbook", "push", &playbook])
            .await?;
        self.services().await?;
        self.good().await?;
        self.broken().await?;
        let request = ListRolloutsRequest {
            app: APP.to_owned(),
            ..ListRolloutsRequest::default()
        };
        let mut client = self.scene.coordinator.client(Person::Carol).await?;
        let rollouts = client.list_rollouts(ask(request)).await?.into_inner().rollouts.len();
        ensure!(
            rollouts == 2,
            "two jobs, each of which started twice, made {rollouts} rollouts instead of 2"
        );
        Ok(Found::good(
            "one rollout for each request id, watched to its end, with the first failure as it was",
        ))
    }

    async fn services(&self) -> anyhow::Result<()> {
        let found: Services = self.script("services", &[], 0).await?;
        ensure!(
            found.health == "SERVING",
            "the coordinator says of its health: {}",
            found.health
        );
        for service in ["echelon.control.v1.Control", "grpc.health.v1.Health"] {
            ensure!(
                found.services.iter().any(|name| name == service),
                "reflection lists {:?}, not {service}",
                found.services
            );
        }
        Ok(())
    }

    async fn good(&self) -> anyhow::Result<()> {
        let account = self.job(GOOD, &self.scene.offer(GOOD)?, 0).await?;
        ensure!(account.state == "SUCCEEDED", "{account:?}");
        ensure!(
            account.done == self.scene.hosts.len(),
            "not all hosts are done: {account:?}"
        );
        ensure!(
            account.first_failure.is_none(),
            "a failure that there was not: {account:?}"
        );
        self.scene.must_serve(GOOD).await
    }

    async fn broken(&self) -> anyhow::Result<()> {
        let account = self.job(BROKEN, &self.scene.offer_broken(BROKEN)?, 5).await?;
        ensure!(account.state == "ROLLED_BACK", "{account:?}");
        let failure = account.first_failure.context("the job was told of no failed host")?;
        let is_ours = self.scene.hosts.iter().any(|host| host.name == failure.host);
        ensure!(is_ours && failure.phase == "warm", "not where it failed: {failure:?}");
        ensure!(
            failure.exit_code == Some(BROKEN_ENDS_WITH),
            "not how it failed: {failure:?}"
        );
        let [.., first, last] = &failure.last_lines[..] else {
            bail!("not what it printed: {failure:?}");
        };
        let is_told = *first == format!("warming {BROKEN}") && last.contains("prices.csv");
        ensure!(is_told, "not what it printed: {failure:?}");
        self.scene.must_serve(GOOD).await
    }

    /// A deployer's job: this release as it was just built.
    async fn job(&self, version: &str, artifact: &Artifact, code: i32) -> anyhow::Result<Account> {
        let (digest, size) = (artifact.sha256.to_string(), artifact.size.to_string());
        let tag = format!("jenkins-{APP}-{version}");
        let words = [
            ["--app", APP],
            ["--release", version],
            ["--url", &artifact.url],
            ["--sha256", &digest],
            ["--size", &size],
            ["--playbook", "storefront"],
            ["--request-id", &tag],
        ];
        let account: Account = self.script("jenkins", words.as_flattened(), code).await?;
        let [once, twice] = &account.started[..] else {
            bail!("it did not start twice: {account:?}");
        };
        ensure!(
            once == twice && *once == account.rollout,
            "one request id gave two rollouts: {account:?}"
        );
        ensure!(
            account.release == format!("apps/{APP}/releases/{version}"),
            "{account:?}"
        );
        ensure!(
            account.created_by == Person::Alice.name(),
            "it was not started by the job's certificate: {account:?}"
        );
        Ok(account)
    }

    /// Runs it with Debian's Python as a deployer; gives the object on its last line.
    async fn script<T: DeserializeOwned>(&self, script: &str, words: &[&str], code: i32) -> anyhow::Result<T> {
        let folder = repository().join("testbed/python");
        let mut python = Command::new(PYTHON);
        python.arg(folder.join(format!("{script}.py"))).args(words);
        python.envs(self.scene.coordinator.environment(Person::Alice));
        // No bytecode into the repository, and nothing of a Python environment that we happen to run in.
        python
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONPATH", &self.modules);
        let release = words.iter().skip_while(|word| **word != "--release").nth(1);
        let log = [self.name, script]
            .into_iter()
            .chain(release.copied())
            .collect::<Vec<_>>()
            .join("-");
        let ended = Job::new(&log, python, SCRIPT_WITHIN).run(self.room).await?;
        let account = serde_json::from_str(ended.last_line());
        if ended.status.code() != Some(code) || account.is_err() {
            ended.show();
        }
        ensure!(
            ended.status.code() == Some(code),
            "{script}.py: {} instead of {code}",
            ended.status
        );
        account.with_context(|| format!("the last line of {script}.py is not what it should be"))
    }
}
