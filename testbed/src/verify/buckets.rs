//! An artifact out of an S3 bucket, fetched by the agent's own host: the bucket is that of moto, which the world tests its
//! programs for Amazon with, from PyPI. What is not signed moto refuses. Deliberately not Amazon: nothing here leaves this
//! machine but the installation of moto, once, into the folder that cargo builds in.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail, ensure};
use echelon_agent::{
    executor::{Executor as _, Work},
    host::{Host, Settings},
    order::{Action, Artifact, ArtifactVerb, Order, Outcome, PhaseResult, Release, Source, Standing},
};
use echelon_proto::{App, Digest, Fence, HostId, PhaseName, ReleaseName, RolloutId, Span, Time};
use tokio::{net::TcpStream, process::Command, time};

use super::{Found, job::Job, needs::PYTHON, room::Room};
use crate::{
    binaries::target,
    bundle::{self, Entry},
    ports,
    process::Process,
};

const MOTO: &str = "moto[server]==5.*";
/// It brings a hundred packages along.
const INSTALL_WITHIN: Duration = Duration::from_secs(600);
const START_WITHIN: Duration = Duration::from_secs(60);
const BUCKET: &str = "builds";
/// As a person would call it who does not think of URLs.
const KEY: &str = "web/release 1.0 (gr\u{fc}n)+x.tar.gz";
/// What an earlier try has brought.
const HERE: usize = 100;

pub(super) async fn look(name: &str, room: &Room) -> anyhow::Result<Found> {
    let server = installed(name, room).await?;
    let folder = tempfile::Builder::new()
        .prefix("buckets-")
        .tempdir_in(room.temporary())?;
    let (mut moto, address) = started(&server, folder.path()).await?;
    let body = bundle::pack(&[
        Entry::file("VERSION", "1.0\n"),
        Entry::file("data", vec![b'x'; 100_000]),
    ])?;
    let url = format!("http://{address}/{BUCKET}");
    put(&url, Vec::new()).await?;
    put(&format!("{url}/{KEY}"), body.clone()).await?;
    let unsigned = reqwest::get(format!("{url}/{KEY}")).await?.status();
    ensure!(unsigned.as_u16() == 403, "moto gives what is not signed: {unsigned}");
    let told = story(folder.path(), address, &body).await;
    moto.must_live()?;
    moto.stop().await?;
    told?;
    Ok(Found::good(
        "signed, gone on with in the middle, installed; what is not there is said",
    ))
}

/// moto's server, in a folder that stays.
async fn installed(name: &str, room: &Room) -> anyhow::Result<PathBuf> {
    let venv = target()?.join("verify-python");
    let server = venv.join("bin/moto_server");
    if server.is_file() {
        return Ok(server);
    }
    let mut python = Command::new(PYTHON);
    python.args(["-m", "venv"]).arg(&venv);
    let made = Job::new(&format!("{name}-venv"), python, INSTALL_WITHIN)
        .must(room)
        .await;
    made.context("a Python of our own cannot be made: apt-get install python3-venv")?;
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", MOTO]);
    let got = Job::new(&format!("{name}-pip"), pip, INSTALL_WITHIN).must(room).await;
    got.with_context(|| format!("there is no {MOTO}: a package index of Python must be within reach, once"))?;
    ensure!(
        server.is_file(),
        "{MOTO} is installed, and there is no {}",
        server.display()
    );
    Ok(server)
}

async fn started(server: &Path, folder: &Path) -> anyhow::Result<(Process, SocketAddr)> {
    let [port] = ports::claim()?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut command = Command::new(server);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    let mut process = Process::start("moto_server", command, &folder.join("moto.log"))?;
    let open = async {
        while TcpStream::connect(address).await.is_err() {
            process.must_live()?;
            time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    match time::timeout(START_WITHIN, open).await {
        Ok(opened) => opened?,
        Err(_) => bail!("moto does not open {address} within {START_WITHIN:?}"),
    }
    Ok((process, address))
}

async fn put(url: &str, body: Vec<u8>) -> anyhow::Result<()> {
    let answer = reqwest::Client::new().put(url).body(body).send().await?;
    answer.error_for_status().context("moto does not take it")?;
    Ok(())
}

async fn story(folder: &Path, address: SocketAddr, body: &[u8]) -> anyhow::Result<()> {
    let keys = folder.join("s3.toml");
    fs::write(&keys, "access_key_id = \"verify\"\nsecret_access_key = \"not told\"\n")?;
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600))?;
    let (apps, state) = (folder.join("apps"), folder.join("state"));
    let mut settings = Settings::new(HostId::new("h1")?, apps.clone(), state.clone(), "none".into());
    settings.artifacts.s3.endpoint = Some(format!("http://{address}"));
    settings.artifacts.s3.credentials = Some(keys.clone());
    let host = Host::open(settings)?;
    let part = state.join("store").join(format!("{}.part", Digest::of(body)));
    fs::write(part, &body[..HERE])?;

    let done = install(&host, KEY, body).await?;
    ensure!(done.result == PhaseResult::Done, "{}", done.message);
    let version = fs::read_to_string(apps.join("web/current/VERSION"))?;
    ensure!(version == "1.0\n", "not what was packed: {version:?}");

    let absent = install(&host, "web/absent.tar.gz", b"absent").await?;
    ensure!(absent.message.contains("it answered 404"), "{}", absent.message);
    ensure!(
        absent
            .message
            .starts_with(&format!("s3://{BUCKET}/web/absent.tar.gz: ")),
        "{}",
        absent.message
    );
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644))?;
    let open = install(&host, "web/absent.tar.gz", b"absent").await?;
    ensure!(open.message.contains("every user can read them"), "{}", open.message);
    for message in [absent.message, open.message] {
        let is_told = message.contains("Signature") || message.contains("not told");
        ensure!(!is_told, "a secret is in {message:?}");
    }
    Ok(())
}

async fn install(host: &Host, key: &str, body: &[u8]) -> anyhow::Result<Outcome> {
    let app = App::new("web")?;
    let name = Digest::of(key.as_bytes()).short();
    let fence = Fence {
        term: 1,
        rollout: RolloutId::new("verify")?,
        host: HostId::new("h1")?,
        phase: PhaseName::new("install")?,
        attempt: 1,
    };
    let artifact = Source {
        url: format!("s3://{BUCKET}/{key}"),
        sha256: Digest::of(body),
        size: Some(body.len() as u64),
    };
    let order = Order {
        fence,
        app: app.clone(),
        release: Some(Release {
            name: ReleaseName::new(&name)?,
            artifact: Some(artifact),
        }),
        action: Action::Artifact(Artifact {
            verb: ArtifactVerb::Install,
            keep: None,
        }),
        timeout: Span::secs(60),
        verify: None,
        after: Standing::unknown(app),
        from_state: None,
        guards: Vec::new(),
        variables: Default::default(),
        leftovers: Default::default(),
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let work = Work {
        order: Arc::new(order),
        started: Time(u64::try_from(now.as_millis())?),
        resumed: false,
    };
    Ok(host.execute(work).await)
}
