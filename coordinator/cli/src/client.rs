//! The way to the coordinator: mutual TLS 1.3, HTTP/2, `echelon.control.v1`. No policy: what an answer means for the
//! shell is in `exit`, when to try again in `watch`.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use echelon_proto::{limits::MESSAGE_BYTES_MAX, wire::control::control_client::ControlClient};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, version::TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint, Uri},
};

/// The port of a coordinator's face for people, where an address names none.
pub const PORT: u16 = 7444;
/// The name in the coordinator's certificate, where the settings name none.
pub const SERVER_NAME: &str = "echelon-coordinator";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that has gone without a word is noticed after twice this.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// A plan over some thousand hosts takes seconds at most; a stream has no deadline.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the coordinator is and who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `https://host:port`; the scheme and the port may be left out.
    pub coordinator: String,
    /// The name its certificate must carry.
    pub server_name: String,
    /// PEM file of the CA that signed it.
    pub ca: PathBuf,
    /// PEM file of our certificate, which says who we are and in what role.
    pub certificate: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the settings that cannot be used.
    #[error("cannot use {} as {what}: {why}", path.display())]
    File {
        /// `the CA`, `our certificate`, `our key`.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// As the reader of it said.
        why: String,
    },
    /// Certificate and key that do not belong together, or a certificate of a kind we cannot use.
    #[error("certificate {} with key {}: {why}", certificate.display(), key.display())]
    Pair {
        /// Of the settings.
        certificate: PathBuf,
        /// Of the settings.
        key: PathBuf,
        /// As rustls said.
        why: rustls::Error,
    },
    /// An address that is none.
    #[error("{0:?} is not an address of a coordinator: write https://host:port")]
    Address(String),
    /// Somebody answers there, whom our CA has not signed.
    #[error("{address} has a certificate that the CA in {} has not signed: the wrong CA, or not our coordinator", ca.display())]
    Foreign {
        /// `host:port`
        address: String,
        /// Of the settings.
        ca: PathBuf,
    },
    /// It wants another certificate than ours.
    #[error("the coordinator at {address} does not accept our certificate {}: expired, or of another CA", certificate.display())]
    ShutOut {
        /// `host:port`
        address: String,
        /// Of the settings.
        certificate: PathBuf,
    },
    /// Nobody answered, or the handshake failed.
    #[error("cannot reach the coordinator at {address}: {why}")]
    Unreachable {
        /// `host:port`
        address: String,
        /// The innermost reason.
        why: String,
    },
}

/// A connection that comes back by itself: after a loss, each call tries anew.
///
/// # Errors
/// [`Error`]: nothing was sent in any case.
pub async fn connect(settings: &Settings) -> Result<ControlClient<Channel>, Error> {
    let (authority, endpoint) = endpoint(settings)?;
    let tls = TlsConnector::from(Arc::new(tls(settings)?));
    let name =
        ServerName::try_from(settings.server_name.clone()).map_err(|_| Error::Address(settings.server_name.clone()))?;
    let dial = authority.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let (tls, name, dial) = (tls.clone(), name.clone(), dial.clone());
        async move {
            let connected = async {
                let socket = TcpStream::connect(&*dial).await?;
                socket.set_nodelay(true)?;
                tls.connect(name, socket).await
            };
            // Around the handshake too: a peer that takes the socket and says nothing must not hold us.
            match tokio::time::timeout(CONNECT_TIMEOUT, connected).await {
                Ok(done) => done.map(TokioIo::new),
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s")),
            }
        }
    });
    let channel = endpoint
        .connect_with_connector(connector)
        .await
        .map_err(|error| unreachable(settings, authority, &error))?;
    Ok(ControlClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

fn unreachable(settings: &Settings, address: String, error: &(dyn std::error::Error + 'static)) -> Error {
    if is_foreign(error) {
        let ca = settings.ca.clone();
        return Error::Foreign { address, ca };
    }
    if is_alert(error) {
        let certificate = settings.certificate.clone();
        return Error::ShutOut { address, certificate };
    }
    let why = innermost(error);
    Error::Unreachable { address, why }
}

/// A call that is answered once, with its deadline.
#[must_use]
pub fn ask<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER_TIMEOUT);
    request
}

/// Whether this is no answer of the coordinator but the lack of one. What the transport makes up carries its source;
/// what came over the wire never does.
#[must_use]
pub fn is_unreachable(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
    ) || std::error::Error::source(status).is_some()
}

/// Whether the coordinator has refused our certificate. In TLS 1.3 our side of the handshake is over before the other
/// has looked at it: it is the first call that hears of it.
#[must_use]
pub(crate) fn is_shut_out(status: &Status) -> bool {
    std::error::Error::source(status).is_some_and(is_alert)
}

/// Why there is no answer, one line.
#[must_use]
pub(crate) fn why_unreachable(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => innermost(source),
        None if status.message().is_empty() => status.code().description().into(),
        None => status.message().into(),
    }
}

fn endpoint(settings: &Settings) -> Result<(String, Endpoint), Error> {
    let invalid = || Error::Address(settings.coordinator.clone());
    let text = settings.coordinator.as_str();
    let bare = text.strip_prefix("https://").unwrap_or(text);
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    if bare.contains(['/', '@', ' ']) {
        return Err(invalid());
    }
    let uri: Uri = format!("https://{bare}").parse().map_err(|_| invalid())?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
    let port = uri.port_u16().unwrap_or(PORT);
    let authority = format!("{host}:{port}");
    // TLS is ours (the connector's): tonic must not look for its own, so it dials `http` and speaks `https`.
    let endpoint = Endpoint::from_shared(format!("http://{authority}"))
        .map_err(|_| invalid())?
        .origin(uri)
        .connect_timeout(2 * CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true);
    Ok((authority, endpoint))
}

fn tls(settings: &Settings) -> Result<ClientConfig, Error> {
    let file = |what, path: &PathBuf, why: String| Error::File {
        what,
        path: path.clone(),
        why,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates("the CA", &settings.ca)? {
        roots
            .add(certificate)
            .map_err(|error| file("the CA", &settings.ca, error.to_string()))?;
    }
    let chain = certificates("our certificate", &settings.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&settings.key)
        .map_err(|error| file("our key", &settings.key, pem_fault(&error)))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .and_then(|builder| builder.with_root_certificates(roots).with_client_auth_cert(chain, key))
        .map_err(|why| Error::Pair {
            certificate: settings.certificate.clone(),
            key: settings.key.clone(),
            why,
        })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(what: &'static str, path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fault = |why| Error::File {
        what,
        path: path.clone(),
        why,
    };
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(pem_fault(&error)))?;
    if found.is_empty() {
        return Err(fault("there is no certificate in it".into()));
    }
    Ok(found)
}

fn pem_fault(error: &rustls_pki_types::pem::Error) -> String {
    match error {
        rustls_pki_types::pem::Error::Io(error) => error.to_string(),
        rustls_pki_types::pem::Error::NoItemsFound => "there is nothing of that kind in it".into(),
        other => format!("{other:?}"),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// What TLS says was wrong. An `io::Error` gives what it holds only when asked for it: it is no source.
fn tls_fault<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let fault = held
            .and_then(|held| held.downcast_ref())
            .or_else(|| error.downcast_ref());
        if fault.is_some() {
            return fault;
        }
        next = error.source();
    }
    None
}

fn is_alert(error: &(dyn std::error::Error + 'static)) -> bool {
    // HTTP/2 keeps of what broke its connection only the words.
    matches!(tls_fault(error), Some(rustls::Error::AlertReceived(_)))
        || innermost(error).contains("received fatal alert")
}

/// Two authorities may bear one name: then it is the signature that does not fit.
fn is_foreign(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::CertificateError::{BadSignature, UnknownIssuer};
    matches!(
        tls_fault(error),
        Some(rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(coordinator: &str) -> Settings {
        Settings {
            coordinator: coordinator.into(),
            server_name: SERVER_NAME.into(),
            ca: "ca.pem".into(),
            certificate: "me.pem".into(),
            key: "me.key".into(),
        }
    }

    #[test]
    fn an_address_may_leave_out_scheme_and_port() {
        for (text, authority) in [
            ("https://c1:9000", "c1:9000"),
            ("https://c1/", "c1:7444"),
            ("c1:9000", "c1:9000"),
            ("10.0.0.7", "10.0.0.7:7444"),
            ("[::1]:9000", "[::1]:9000"),
        ] {
            assert_eq!(endpoint(&settings(text)).unwrap().0, authority, "{text}");
        }
        for bad in ["", "http://c1:9000", "https://c1/path", "https://", "a b"] {
            assert!(matches!(endpoint(&settings(bad)), Err(Error::Address(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = tls(&settings("c1")).unwrap_err().to_string();
        assert!(error.starts_with("cannot use ca.pem as the CA: "), "{error}");
    }

    #[test]
    fn what_came_over_the_wire_is_not_taken_for_a_lost_connection() {
        assert!(!is_unreachable(&Status::unknown("a bug of the coordinator")));
        assert!(!is_unreachable(&Status::internal("a bug of the coordinator")));
        assert!(is_unreachable(&Status::unavailable("draining")));
        let broken = Status::from_error(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA);
        let refused = Status::from_error(Box::new(io::Error::other(alert)));
        assert!(is_shut_out(&refused) && !is_shut_out(&broken));
        let words = rustls::Error::AlertReceived(rustls::AlertDescription::DecryptError).to_string();
        let flattened = Status::from_error(Box::new(io::Error::other(words)));
        assert!(is_shut_out(&flattened));
        assert!(is_unreachable(&broken));
    }
}
