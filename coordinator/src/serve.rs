//! The coordinator as a process serves it: opens what it needs, recovers, listens on both faces, and ends in order. All
//! parts are put together here and nowhere else.

mod address;
mod face;
mod place;

use std::{future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};

use crate::{
    api::{Control, Known},
    asks::Asks,
    balancer::Balancers,
    config::Config,
    decisions::{self, Decisions},
    driver::{self, Driver, Inbox, Reader, Retention, Running, wall},
    ground::Ground,
    journal::{self, Journal},
    link::{Hands, Link, Signer},
    listen::{self, Bounds, ClientCertificate, Incoming, Listener, Socket, server_config},
    output::{self, Output},
    pki::{self, Authority},
    runner::{
        balance::Balance,
        canary::{Canaries, Trials},
        dispatch::Dispatch,
        notify::Notify,
        prefetch::Prefetch,
        webhook::{self, Patience, Webhook},
    },
    samples::Samples,
    sessions::Sessions,
    source::{self, Sources},
};

pub use address::Addresses;
pub use place::{Machine, Place};

/// How long streams may take to end once the process is to end.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Ended rollouts that are kept.
const ROLLOUTS_KEPT: usize = 50;

/// The coordinator could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// With certificates.
    #[error(transparent)]
    Pki(#[from] pki::Error),
    /// With the journal. After it nothing is decided any more: start again, and the journal is replayed.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// With listening.
    #[error(transparent)]
    Listen(#[from] listen::Error),
    /// With the folder of output.
    #[error(transparent)]
    Output(#[from] output::Error),
    /// With webhooks.
    #[error(transparent)]
    Webhook(#[from] webhook::Error),
    /// With sources of metrics.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// gRPC could not be served.
    #[error("cannot serve: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// The description of the messages is damaged: a fault of ours.
    #[error("cannot describe the messages: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// A file of the data folder.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A thread could not be had, or ended early.
    #[error("cannot run a thread: {0}")]
    Thread(String),
}

/// Serves until `stop`, then ends in order. `ready` hears the addresses once both faces are open.
///
/// # Errors
/// Any [`Error`]; in the middle of its life only [`Error::Journal`] and [`Error::Serve`].
pub async fn serve(
    config: Config,
    stop: impl Future<Output = ()>,
    ready: impl FnOnce(&Addresses),
) -> Result<(), Error> {
    let data = config.data.clone();
    let open = |addresses: &Addresses, _: &Reader| -> Result<(), Error> {
        addresses.write(&data)?;
        Ok(())
    };
    serve_at(&Machine, config, stop, open, ready).await
}

/// The same in another place than this machine. `open` hears where it listens and what can be read before anything is
/// served; its error ends it.
///
/// # Errors
/// As [`serve`], and what `open` gives.
pub async fn serve_at<P: Place>(
    place: &P,
    config: Config,
    stop: impl Future<Output = ()>,
    open: impl FnOnce(&Addresses, &Reader) -> Result<(), Error>,
    ready: impl FnOnce(&Addresses),
) -> Result<(), Error> {
    let house = House::open(place, &config).await?;
    let addresses = house.addresses();
    open(&addresses, &house.running.reader)?;
    house.run(stop, || ready(&addresses)).await
}

/// Everything that is open.
struct House<S> {
    agents: Incoming<S>,
    people: Incoming<S>,
    inbox: Inbox,
    running: Running,
    sessions: Arc<Sessions>,
    dispatch: Arc<Dispatch>,
    outputs: Arc<Output>,
    decisions: Arc<Decisions>,
    signer: Signer,
    samples: Arc<Samples>,
    sources: Arc<Sources>,
    background: JoinSet<()>,
}

impl<S: Socket> House<S> {
    /// The journal's lock first: two coordinators on one folder must not touch anything of it.
    async fn open<P>(place: &P, config: &Config) -> Result<Self, Error>
    where
        P: Place<Listener: Listener<Socket = S>>,
    {
        let authority = Authority::open(&config.pki())?;
        let journal = place.journal(&config.journal())?;
        let outputs = Arc::new(Output::open(&config.output(), config.output_bytes_max)?);
        let decisions = Arc::new(Decisions::open(&config.decisions(), decisions::BYTES_MAX)?);
        // Open before the replay: agents that come back wait for it instead of backing off.
        let listen = async |address, client| -> Result<Incoming<S>, Error> {
            let tls = server_config(authority.server(wall())?, authority.ca_der(), client)?;
            Ok(Incoming::of(place.listen(address).await?, tls, Bounds::default())?)
        };
        let agents = listen(config.listen_agents, ClientCertificate::Optional).await?;
        let people = listen(config.listen_people, ClientCertificate::Required).await?;
        let driver = recover(P::GROUND, config, journal).await?;

        let (inbox, letters) = Inbox::new();
        let sessions = Sessions::new(inbox.clone(), Duration::from_millis(config.heartbeat_ms.into()));
        let dispatch = Dispatch::new(sessions.clone(), driver.state().term);
        let balance = Balance::new(Balancers::new(&config.balancers), dispatch.clone(), inbox.clone());
        let notify = Notify::new(
            config.webhooks.clone(),
            Webhook::new(Patience::default())?,
            inbox.clone(),
        );
        let samples = Arc::new(Samples::new(wall()));
        let sources = Sources::new(&config.sources, source::Patience::default(), samples.clone())?;
        let sources = Arc::new(sources);
        let canaries = Canaries::new(sources.clone(), decisions.clone(), inbox.clone());
        let mut background = JoinSet::new();
        background.spawn(sessions.clone().sweep());
        background.spawn(notify.clone().run());
        let runners = move |changes: Vec<_>| {
            notify.changed(&changes);
            canaries.changed(&changes);
            balance.changed(changes);
        };
        let running = driver::start(P::GROUND, driver, engine_config(config), &inbox, letters, runners)
            .map_err(|error| Error::Thread(error.to_string()))?;
        Ok(Self {
            agents,
            people,
            inbox,
            running,
            sessions,
            dispatch,
            outputs,
            decisions,
            signer: Signer::new(Arc::new(authority), P::GROUND),
            samples,
            sources,
            background,
        })
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            agents: self.agents.local_addr(),
            people: self.people.local_addr(),
        }
    }

    async fn run(self, stop: impl Future<Output = ()>, ready: impl FnOnce()) -> Result<(), Error> {
        let Self {
            agents,
            people,
            inbox,
            running,
            sessions,
            dispatch,
            outputs,
            decisions,
            signer,
            samples,
            sources,
            mut background,
        } = self;
        let Running { reader, mut ended, .. } = running;
        let (stopping, is_stopping) = watch::channel(false);
        let hands = Hands {
            samples,
            prefetch: Prefetch::new(sessions.clone()),
            asks: Asks::new(sessions.clone()),
        };
        background.spawn(hands.prefetch.clone().run(reader.clone()));
        let link = Link::new(
            inbox.clone(),
            reader.clone(),
            sessions.clone(),
            dispatch,
            outputs.clone(),
            hands.clone(),
            signer,
        );
        let known = Known {
            outputs,
            hands,
            decisions,
            trials: Trials::new(sources),
        };
        let control = Control::new(inbox.clone(), reader, known, is_stopping.clone());
        let mut faces = JoinSet::new();
        faces.spawn(face::agents(link, agents, is_stopping.clone()));
        faces.spawn(face::people(control, people, is_stopping).await?);
        ready();
        let broken = tokio::select! {
            () = stop => None,
            journal = &mut ended => Some(journal),
            Some(face) = faces.join_next() => return face_ended(face),
        };
        tracing::info!("stopping");
        // Nobody listens any more when both faces have ended, and that is well. Who waited for an answer when the journal
        // broke was given one, and it has to get out.
        let _heard = stopping.send(true);
        end_streams(&sessions, &mut faces).await;
        if let Some(journal) = broken {
            return driver_ended(journal);
        }
        inbox.stop().await;
        driver_ended(ended.await)
    }
}

fn engine_config(config: &Config) -> echelon_engine::Config {
    echelon_engine::Config {
        unreachable_after: config.unreachable_after,
        notify: !config.webhooks.is_empty(),
        rollouts_kept: ROLLOUTS_KEPT,
        ..echelon_engine::Config::default()
    }
}

async fn recover(ground: Ground, config: &Config, journal: Journal<echelon_engine::Entry>) -> Result<Driver, Error> {
    let retention = Retention {
        snapshot_every: config.snapshot_every,
        history: config.keep_entries,
    };
    let engine = engine_config(config);
    let opened = ground
        .work(move || Driver::open(journal, engine, retention, wall()))
        .await;
    let driver = opened.map_err(|error| Error::Thread(error.to_string()))??;
    let state = driver.state();
    tracing::info!(
        term = state.term,
        entries = driver.sequence(),
        hosts = state.hosts.size(),
        active_rollouts = state.active.len(),
        "recovered"
    );
    Ok(driver)
}

/// Sessions are closed again and again until all streams have ended: one may have begun just before.
async fn end_streams(sessions: &Sessions, faces: &mut JoinSet<Result<(), tonic::transport::Error>>) {
    let all = async {
        while !faces.is_empty() {
            sessions.close_all();
            let _later = tokio::time::timeout(Duration::from_millis(100), faces.join_next()).await;
        }
    };
    if tokio::time::timeout(END_WITHIN, all).await.is_err() {
        tracing::warn!("some streams did not end in time and are cut off");
        faces.shutdown().await;
    }
}

fn driver_ended(ended: Result<Result<(), journal::Error>, oneshot::error::RecvError>) -> Result<(), Error> {
    match ended {
        Ok(result) => Ok(result?),
        Err(_) => Err(Error::Thread("the driver panicked; see above".into())),
    }
}

fn face_ended(face: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>) -> Result<(), Error> {
    match face {
        // It was not told to: a coordinator that half the world cannot reach must not look like one that was stopped.
        Ok(Ok(())) => Err(Error::Thread("one of the faces ended by itself".into())),
        Ok(Err(error)) => Err(error.into()),
        Err(error) => Err(Error::Thread(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_face_that_ends_untold_is_an_error_and_a_driver_that_was_told_is_none() {
        assert!(matches!(face_ended(Ok(Ok(()))), Err(Error::Thread(_))));
        assert!(driver_ended(Ok(Ok(()))).is_ok());
        let (sender, ended) = oneshot::channel();
        drop(sender);
        assert!(matches!(driver_ended(ended.await), Err(Error::Thread(_))));
    }
}
