//! A connection whose handshake is done: bytes, who it is, and its place among the counted ones.

use std::{
    fmt,
    future::Future as _,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::pki::Identity;

/// Who a request comes from: tonic puts it into the extensions of every request of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectInfo {
    /// None: no certificate was shown, and nothing but `Join` may be asked.
    pub identity: Option<Identity>,
    /// The peer's address, for logs only.
    pub remote: SocketAddr,
}

/// One connection. Its place is free again when it is dropped.
pub struct Connection<S = TcpStream> {
    stream: TlsStream<S>,
    info: ConnectInfo,
    /// When a stranger has to be gone.
    end: Option<Pin<Box<Sleep>>>,
    _places: Vec<OwnedSemaphorePermit>,
}

impl<S> Connection<S> {
    pub(super) fn known(
        stream: TlsStream<S>,
        remote: SocketAddr,
        place: OwnedSemaphorePermit,
        identity: Identity,
    ) -> Self {
        Self {
            stream,
            info: ConnectInfo {
                identity: Some(identity),
                remote,
            },
            end: None,
            _places: vec![place],
        }
    }

    pub(super) fn stranger(
        stream: TlsStream<S>,
        remote: SocketAddr,
        places: [OwnedSemaphorePermit; 2],
        life: Duration,
    ) -> Self {
        Self {
            stream,
            info: ConnectInfo { identity: None, remote },
            end: Some(Box::pin(sleep(life))),
            _places: places.into(),
        }
    }

    fn over(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let over = match &mut self.end {
            Some(end) => end.as_mut().poll(context).is_ready(),
            None => false,
        };
        if over {
            let why = "a connection without a certificate has had its time";
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        Ok(())
    }
}

impl<S> Connected for Connection<S> {
    type ConnectInfo = ConnectInfo;

    fn connect_info(&self) -> ConnectInfo {
        self.info.clone()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.over(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
