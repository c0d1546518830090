//! What the artifact verbs do with an order's release: the store and the app's folder put together. Each verb can be begun
//! again at any point, so a restarted agent just begins it again.

use std::{path::PathBuf, sync::Arc, time::Duration};

use echelon_proto::{Digest, ReleaseName, Span};
use tokio::{task::spawn_blocking, time::Instant};

use super::{
    fetch::{self, Store},
    release::{self, Releases},
    unpack::{self, Limits},
};
use crate::order::{Artifact, ArtifactVerb, Order, Outcome, PhaseResult, Prefetch, Release, Source};

/// Releases kept when neither order nor config says how many.
const KEEP: u32 = 3;

/// How many times its packed size software has at least when it is unpacked.
const UNPACKED: u64 = 2;

/// Of a prefetch that nobody bounds: its session ends it sooner.
const PREFETCH_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Why a verb did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    #[error(transparent)]
    Release(#[from] release::Error),
    #[error("the order has no release to work on")]
    NoRelease,
    #[error("release {0} has no artifact to fetch")]
    NoArtifact(ReleaseName),
    #[error("the agent failed: {0}")]
    Bug(tokio::task::JoinError),
}

impl Error {
    const fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::Fetch(fetch::Error::TimedOut { .. }) | Self::Release(release::Error::Unpack(unpack::Error::TimedOut))
        )
    }
}

/// Carries out one verb.
pub(super) async fn carry_out(
    store: &Store,
    app: PathBuf,
    order: &Order,
    artifact: &Artifact,
    until: Instant,
) -> Outcome {
    match verb(store, app, order, artifact, until).await {
        Ok(()) => Outcome::done(),
        Err(error) if error.is_timeout() => Outcome::of(PhaseResult::TimedOut, error.to_string()),
        Err(error) => Outcome::failed(error.to_string()),
    }
}

/// Into the store before anybody orders it. Whether it could be unpacked is asked now too, while there is time to make room.
pub(super) async fn prefetch(store: &Store, app: PathBuf, wanted: &Prefetch) -> Result<(), Error> {
    let (releases, release) = (Releases::of(app), &wanted.release);
    let Some(source) = &release.artifact else { return Ok(()) };
    if releases.has(&release.name, Some(source.sha256))? {
        return Ok(());
    }
    has_room(store, &releases, source)?;
    let within = wanted.timeout.map_or(PREFETCH_WITHIN, Span::duration);
    store.get_ahead(source, Instant::now() + within).await?;
    Ok(())
}

fn has_room(store: &Store, releases: &Releases, source: &Source) -> Result<(), fetch::Error> {
    let unpacked = source.size.unwrap_or(0).saturating_mul(UNPACKED);
    store.room(source, &[(releases.app(), unpacked)])
}

/// Whether the verb's work stands already: for verify.
pub(super) fn holds(app: PathBuf, order: &Order, artifact: &Artifact) -> bool {
    let releases = Releases::of(app);
    let Some(release) = &order.release else { return false };
    let is_here = releases.has(&release.name, digest(release)).unwrap_or(false);
    match artifact.verb {
        ArtifactVerb::Install | ArtifactVerb::Activate => {
            let current = std::fs::read_link(releases.current()).ok();
            let stands = current.is_some_and(|link| link.file_name().is_some_and(|name| name == release.name.as_str()));
            is_here && stands
        }
        ArtifactVerb::Fetch => is_here,
        ArtifactVerb::Remove => !releases.current().exists(),
        ArtifactVerb::Prune => true,
    }
}

fn digest(release: &Release) -> Option<Digest> {
    release.artifact.as_ref().map(|source| source.sha256)
}

async fn verb(store: &Store, app: PathBuf, order: &Order, artifact: &Artifact, until: Instant) -> Result<(), Error> {
    let releases = Arc::new(Releases::of(app));
    releases.sweep();
    match artifact.verb {
        ArtifactVerb::Fetch => {
            let release = order.release.as_ref().ok_or(Error::NoRelease)?;
            let source = release
                .artifact
                .as_ref()
                .ok_or_else(|| Error::NoArtifact(release.name.clone()))?;
            if !releases.has(&release.name, digest(release))? {
                store.get(source, until).await?;
            }
            Ok(())
        }
        ArtifactVerb::Install => install(store, &releases, order, artifact, until).await,
        ArtifactVerb::Activate => {
            // A first installation is taken back to what stood before it: nothing.
            let Some(release) = &order.release else {
                return blocking(move |()| releases.deactivate(), ()).await;
            };
            if !releases.has(&release.name, digest(release))? {
                return Err(release::Error::Absent(release.name.clone()).into());
            }
            blocking(move |name| releases.activate(&name), release.name.clone()).await
        }
        ArtifactVerb::Remove => blocking(move |()| releases.remove(), ()).await,
        ArtifactVerb::Prune => prune(releases, order, artifact).await,
    }
}

async fn install(
    store: &Store,
    releases: &Arc<Releases>,
    order: &Order,
    artifact: &Artifact,
    until: Instant,
) -> Result<(), Error> {
    let release = order.release.as_ref().ok_or(Error::NoRelease)?;
    if !releases.has(&release.name, digest(release))? {
        if let Some(source) = &release.artifact {
            has_room(store, releases, source)?;
        }
        let archive = match &release.artifact {
            Some(source) => Some((store.get(source, until).await?, source.sha256)),
            None => None,
        };
        let (into, name, deadline) = (releases.clone(), release.name.clone(), until.into_std());
        let add = move |()| {
            let archive = archive.as_ref().map(|(path, digest)| (path.as_path(), *digest));
            into.add(&name, archive, Limits::default(), deadline)
        };
        blocking(add, ()).await?;
    }
    let into = releases.clone();
    blocking(move |name| into.activate(&name), release.name.clone()).await?;
    if let Some(source) = &release.artifact {
        store.drop_artifact(source.sha256);
    }
    prune(releases.clone(), order, artifact).await
}

async fn prune(releases: Arc<Releases>, order: &Order, artifact: &Artifact) -> Result<(), Error> {
    let keep = artifact.keep.unwrap_or(KEEP) as usize;
    let named = [&order.after.release, &order.after.previous]
        .into_iter()
        .flatten()
        .cloned();
    let spared: Vec<ReleaseName> = named
        .chain(order.release.iter().map(|release| release.name.clone()))
        .collect();
    blocking(
        move |spared| releases.prune(&spared.iter().collect::<Vec<_>>(), keep),
        spared,
    )
    .await
}

/// Disk work apart from the session's threads.
async fn blocking<I, F>(work: F, input: I) -> Result<(), Error>
where
    I: Send + 'static,
    F: FnOnce(I) -> Result<(), release::Error> + Send + 'static,
{
    spawn_blocking(move || work(input))
        .await
        .map_err(Error::Bug)?
        .map_err(Error::from)
}
