//! What connections come over: the kernel's TCP in the process, a made-up network in the real-stack simulation. Deliberately
//! nothing of TLS, and no bounds: those are the same over both.

use std::{future::Future, io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// Bytes both ways.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// From now on nothing small waits for more to come.
    ///
    /// # Errors
    /// The system's.
    fn send_at_once(&self) -> io::Result<()>;
}

/// Where they come from.
pub trait Listener: Send + Sync + 'static {
    /// What comes.
    type Socket: Socket;

    /// The next one, and from where.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Socket, SocketAddr)>> + Send;

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    fn address(&self) -> io::Result<SocketAddr>;
}

impl Socket for TcpStream {
    fn send_at_once(&self) -> io::Result<()> {
        self.set_nodelay(true)
    }
}

impl Listener for TcpListener {
    type Socket = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self).await
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}
