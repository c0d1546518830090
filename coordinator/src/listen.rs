//! Takes connections: TCP, then TLS 1.3, then who it is. What is said over them is not its business.
//!
//! An accept loop of our own and not tonic's, because a thousand agents that come back at once need what tonic's has
//! not: handshakes in flight bounded and each with a deadline, tickets so that most handshakes are short ones, and the
//! identity read from the certificate once, here.
//!
//! | bound | why |
//! |---|---|
//! | [`Bounds::handshakes_max`] | signatures are what costs; more at once only makes all of them late |
//! | [`Bounds::handshake`] | a peer that says nothing gives its place back |
//! | [`Bounds::connections_max`] | memory: some 40 KiB each |
//! | [`Bounds::strangers_max`], [`Bounds::stranger`] | a connection without a certificate is for one `Join`, not for staying |

mod connection;
mod network;
mod tls;

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use echelon_proto::Time;
use futures::Stream;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

pub use self::{
    connection::{ConnectInfo, Connection},
    network::{Listener, Socket},
    tls::{ClientCertificate, server_config},
};
use crate::pki::Peer;

/// Connections the kernel keeps for us while we are busy: a whole fleet that comes back at once. The kernel takes at
/// most `net.core.somaxconn`, 4,096 by default.
const BACKLOG: u32 = 4096;
/// For a refused peer to read why, and at most so much of what it goes on to say is taken meanwhile.
const PART: Duration = Duration::from_secs(1);
const PART_BYTES_MAX: u64 = 64 * 1024;
/// Waits between tries after the system refused to give us another connection.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// See the module's table.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Handshakes at once.
    pub handshakes_max: usize,
    /// For one handshake.
    pub handshake: Duration,
    /// Connections at once, handshakes included. Beyond it a new one is closed.
    pub connections_max: usize,
    /// Of these, at most so many without a certificate.
    pub strangers_max: usize,
    /// How long one without a certificate may last.
    pub stranger: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            handshakes_max: 256,
            handshake: Duration::from_secs(10),
            connections_max: 20_000,
            strangers_max: 256,
            stranger: Duration::from_secs(60),
        }
    }
}

/// Could not listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// It is open, and cannot say at which address.
    #[error("cannot learn at which address it listens: {0}")]
    Nowhere(io::Error),
    /// TLS could not be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// Connections whose handshake is done, as tonic's `serve_with_incoming` takes them. Dropped, it stops to listen and
/// breaks off handshakes; connections it gave away live on.
#[derive(Debug)]
pub struct Incoming<S = TcpStream> {
    ready: mpsc::Receiver<Connection<S>>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl<S: Socket> Incoming<S> {
    /// Takes the connections of a listener.
    ///
    /// # Errors
    /// [`Error::Nowhere`].
    pub fn of<L: Listener<Socket = S>>(listener: L, tls: Arc<ServerConfig>, bounds: Bounds) -> Result<Self, Error> {
        Self::with_clock(listener, tls, bounds, now)
    }

    fn with_clock<L: Listener<Socket = S>>(
        listener: L,
        tls: Arc<ServerConfig>,
        bounds: Bounds,
        clock: fn() -> Time,
    ) -> Result<Self, Error> {
        let address = listener.address().map_err(Error::Nowhere)?;
        // As many as can finish at once: who takes them is never far behind.
        let (sender, ready) = mpsc::channel(bounds.handshakes_max);
        let door = Arc::new(Door {
            tls: tls.into(),
            bounds,
            clock,
            connections: Arc::new(Semaphore::new(bounds.connections_max)),
            strangers: Arc::new(Semaphore::new(bounds.strangers_max)),
            handshakes: Arc::new(Semaphore::new(bounds.handshakes_max)),
            ready: sender,
        });
        let accepting = tokio::spawn(accept(listener, door));
        Ok(Self {
            ready,
            address,
            accepting,
        })
    }

    /// Where it listens: the port that was chosen when 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl<S> Stream for Incoming<S> {
    type Item = io::Result<Connection<S>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(context).map(|connection| connection.map(Ok))
    }
}

impl<S> Drop for Incoming<S> {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What every handshake of one listener shares.
struct Door<S> {
    tls: TlsAcceptor,
    bounds: Bounds,
    clock: fn() -> Time,
    connections: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    ready: mpsc::Sender<Connection<S>>,
}

/// Listens at an address of this machine.
///
/// # Errors
/// [`Error::Bind`].
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    listen(address).map_err(|source| Error::Bind { address, source })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A coordinator that starts again at once must have its port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept<L: Listener>(listener: L, door: Arc<Door<L::Socket>>) {
    let mut wait = BACK_OFF[0];
    let mut failing = false;
    loop {
        // First a place, then the connection: those beyond it wait in the kernel and cost us nothing.
        let Ok(place) = door.handshakes.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, remote)) => {
                if failing {
                    tracing::info!("connections are accepted again");
                }
                (wait, failing) = (BACK_OFF[0], false);
                admit(&door, stream, remote, place);
            }
            // The peer has left before we came.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !failing {
                    tracing::error!(%error, "connections cannot be accepted; trying on");
                }
                failing = true;
                sleep(wait).await;
                wait = (wait * 2).min(BACK_OFF[1]);
            }
        }
    }
}

fn admit<S: Socket>(door: &Arc<Door<S>>, stream: S, remote: SocketAddr, place: OwnedSemaphorePermit) {
    let Ok(counted) = door.connections.clone().try_acquire_owned() else {
        tracing::warn!(%remote, max = door.bounds.connections_max, "refused: too many connections");
        return;
    };
    let door = door.clone();
    tokio::spawn(async move {
        let greeted = tokio::select! {
            greeted = timeout(door.bounds.handshake, greet(&door, stream, remote, counted)) => greeted,
            () = door.ready.closed() => return,
        };
        drop(place);
        match greeted {
            // Waits when whoever serves is behind; it is the server's pace that counts then.
            Ok(Ok(connection)) => drop(door.ready.send(connection).await),
            Ok(Err(why)) => tracing::debug!(%remote, why, "handshake failed"),
            Err(_) => tracing::debug!(%remote, "handshake took too long"),
        }
    });
}

async fn greet<S: Socket>(
    door: &Door<S>,
    stream: S,
    remote: SocketAddr,
    counted: OwnedSemaphorePermit,
) -> Result<Connection<S>, String> {
    // Orders and reports are small and must not wait for one another.
    stream.send_at_once().map_err(|error| error.to_string())?;
    let stream = match door.tls.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((error, stream)) => {
            part(stream).await;
            return Err(error.to_string());
        }
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let Some(certificate) = certificate else {
        let stranger = door.strangers.clone().try_acquire_owned();
        let stranger = stranger.map_err(|_| "too many connections without a certificate".to_owned())?;
        return Ok(Connection::stranger(
            stream,
            remote,
            [counted, stranger],
            door.bounds.stranger,
        ));
    };
    let peer = Peer::read(certificate).map_err(|error| error.to_string())?;
    // A ticket outlives the certificate it was given for, and a resumed handshake does not look at the dates.
    if peer.not_after < (door.clock)() {
        return Err("its certificate has expired".into());
    }
    Ok(Connection::known(stream, remote, counted, peer.identity))
}

/// Lets the peer read why it is refused. Closed at once, with what it has sent already still unread, the system would
/// send a reset, and the alert on its way would be lost: the peer would see a network that failed.
async fn part<S: Socket>(mut stream: S) {
    let leaving = async {
        stream.shutdown().await?;
        // No more than its first words: they go nowhere.
        tokio::io::copy(&mut stream.take(PART_BYTES_MAX), &mut tokio::io::sink()).await
    };
    let _gone = timeout(PART, leaving).await;
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
