//! Turmoil's network in the shape that coordinator, agents and people connect over. Deliberately nothing that changes a byte.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use echelon_agent::link::{Network, Socket};
use echelon_coordinator::listen::{self, Listener};
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// One connection.
#[derive(Debug)]
pub(crate) struct Stream(TcpStream);

impl Stream {
    /// To `HOST:PORT`.
    pub(crate) async fn connect(address: &str) -> io::Result<Self> {
        Ok(Self(TcpStream::connect(address).await?))
    }
}

impl listen::Socket for Stream {
    fn send_at_once(&self) -> io::Result<()> {
        self.0.set_nodelay(true)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// What the coordinator listens with.
pub(crate) struct Door(TcpListener);

impl Door {
    /// At this address of the host that asks.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(TcpListener::bind(address).await?))
    }
}

impl Listener for Door {
    type Socket = Stream;

    async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, remote) = self.0.accept().await?;
        Ok((Stream(stream), remote))
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// What agents connect over.
pub(crate) struct Wires;

impl Network for Wires {
    fn connect(&self, address: Arc<str>) -> BoxFuture<'static, io::Result<Box<dyn Socket>>> {
        Box::pin(async move { Ok(Box::new(Stream::connect(&address).await?) as Box<dyn Socket>) })
    }
}
