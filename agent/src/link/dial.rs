//! One connection to the coordinator: TCP, then TLS against the pinned CA, then HTTP/2. Our own connector, because tonic's
//! makes a new TLS configuration each time, which loses the session tickets that keep a whole fleet's return cheap.

use std::{fmt, io, str::FromStr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// From SYN to the end of the TLS handshake: a coordinator that takes a whole fleet back at once answers slowly.
const CONNECT_WITHIN: Duration = Duration::from_secs(8);

/// Bytes to and from a coordinator.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// What connections are made over: the kernel's TCP in the agent, a made-up network in the real-stack simulation.
pub trait Network: Send + Sync {
    /// Connects to `HOST:PORT`.
    fn connect(&self, address: Arc<str>) -> BoxFuture<'static, io::Result<Box<dyn Socket>>>;
}

/// The kernel's.
struct Tcp;

impl Network for Tcp {
    fn connect(&self, address: Arc<str>) -> BoxFuture<'static, io::Result<Box<dyn Socket>>> {
        Box::pin(async move {
            let tcp = TcpStream::connect(&*address).await?;
            tcp.set_nodelay(true)?;
            Ok(Box::new(tcp) as Box<dyn Socket>)
        })
    }
}

/// Where a coordinator is, by which name its certificate knows it, and over what it is reached.
#[derive(Clone)]
pub struct Coordinator {
    uri: Uri,
    address: Arc<str>,
    server_name: ServerName<'static>,
    network: Arc<dyn Network>,
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator")
            .field("address", &self.address)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// What can be wrong with a coordinator's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `https://host:port`.
    #[error("{0:?} is not a coordinator's address: write https://HOST:PORT")]
    Url(String),
    /// Not a DNS name nor an IP address.
    #[error("{0:?} is no name that a server's certificate can have")]
    ServerName(String),
}

impl Coordinator {
    /// From `https://host:port` and the name in the coordinator's certificate.
    pub fn new(url: &str, server_name: &str) -> Result<Self, AddressError> {
        let bad_url = || AddressError::Url(url.chars().take(200).collect());
        let uri = Uri::from_str(url).map_err(|_| bad_url())?;
        let authority = uri.authority().ok_or_else(bad_url)?.clone();
        if uri.scheme_str() != Some("https") || authority.port().is_none() || uri.path().len() > 1 {
            return Err(bad_url());
        }
        let server_name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| AddressError::ServerName(server_name.chars().take(200).collect()))?;
        Ok(Self {
            uri,
            address: authority.as_str().into(),
            server_name,
            network: Arc::new(Tcp),
        })
    }

    /// The same, reached over another network.
    #[must_use]
    pub fn over(self, network: Arc<dyn Network>) -> Self {
        Self { network, ..self }
    }
}

impl fmt::Display for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uri)
    }
}

/// No connection came about.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {coordinator}: {why}")]
pub struct Error {
    coordinator: String,
    why: String,
}

/// Connects. The returned channel is one connection: when it dies it stays dead.
pub async fn dial(coordinator: &Coordinator, tls: Arc<rustls::ClientConfig>) -> Result<Channel, Error> {
    let (network, address) = (coordinator.network.clone(), coordinator.address.clone());
    let name = coordinator.server_name.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let socket = network.connect(address.clone());
        let (name, tls) = (name.clone(), TlsConnector::from(tls.clone()));
        async move {
            let connect = async { tls.connect(name, socket.await?).await };
            let stream = time::timeout(CONNECT_WITHIN, connect).await;
            let stream = stream.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))??;
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    let endpoint = Endpoint::from(coordinator.uri.clone());
    endpoint.connect_with_connector(connector).await.map_err(|error| Error {
        coordinator: coordinator.to_string(),
        why: why(&error),
    })
}

/// Whom the pinned CA has not signed must not get a word from us, and the host's administrator should know that it is
/// this. Two authorities may bear one name: then it is the signature that does not fit.
fn why(error: &(dyn std::error::Error + 'static)) -> String {
    use rustls::CertificateError::{BadSignature, UnknownIssuer};
    let mut next = Some(error);
    while let Some(error) = next {
        // An `io::Error` gives what it holds only when asked for it: it is no source.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let fault = held.and_then(|held| held.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(BadSignature | UnknownIssuer)) = fault {
            return "its certificate is not signed by the pinned CA (`ca` in the config): the wrong file, or not our \
                    coordinator"
                .to_owned();
        }
        next = error.source();
    }
    innermost(error)
}

/// Tonic's own text is only "transport error"; the cause is what helps.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_with_a_port() {
        assert!(Coordinator::new("https://127.0.0.1:7443", "echelon-coordinator").is_ok());
        for bad in [
            "",
            "127.0.0.1:7443",
            "http://a:1",
            "https://a",
            "https://a:1/b",
            "https://a b:1",
        ] {
            assert!(Coordinator::new(bad, "echelon-coordinator").is_err(), "{bad:?}");
        }
        assert!(Coordinator::new("https://a:1", "not a name").is_err());
    }
}
