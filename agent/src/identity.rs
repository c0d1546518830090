//! Who this host is: its key, made here and never sent, and its certificate, both in one file so that they are replaced
//! together. Trust is one pinned CA and nothing of the system's. Deliberately no wire: `link` asks for certificates.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use echelon_proto::HostId;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{ClientConfig, RootCertStore, client::Resumption, version::TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{sync::watch, time};

use crate::{
    ledger::replace,
    link::{self, Coordinator},
};

/// TLS sessions kept for a quick return: there is one coordinator, and it gives a few tickets a connection.
const SESSIONS: usize = 4;
/// Longest wait between two looks at the clock: it may jump, and a host may sleep.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What can be wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no certificate yet.
    #[error("{0} is not there: this host has not joined; run `echelon-agent join --config FILE --token TOKEN`")]
    NotJoined(PathBuf),
    /// A text that should hold keys or certificates does not.
    #[error("{what}: {why}")]
    Unusable {
        /// Which text.
        what: String,
        /// In which way.
        why: String,
    },
    /// No certificate was given.
    #[error(transparent)]
    Enrol(#[from] link::EnrolError),
}

fn unusable(what: impl fmt::Display, why: impl fmt::Display) -> Error {
    Error::Unusable {
        what: what.to_string(),
        why: why.to_string(),
    }
}

/// A key and the certificate for it.
pub struct Identity {
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    not_before: Duration,
    not_after: Duration,
}

/// Never shows the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// From one PEM text that holds the key and the certificate, the host's own first.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| unusable("the certificate", error))?;
        let first = certificates
            .first()
            .ok_or_else(|| unusable("the identity", "it holds no certificate"))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(first).map_err(|e| unusable("the certificate", e))?;
        let moment = |stamp: i64| Duration::from_secs(u64::try_from(stamp).unwrap_or(0));
        let (not_before, not_after) = (
            moment(parsed.validity().not_before.timestamp()),
            moment(parsed.validity().not_after.timestamp()),
        );
        Ok(Self {
            key: PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| unusable("the key", error))?,
            certificates,
            not_before,
            not_after,
        })
    }

    /// From the file that `save` wrote.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let pem = fs::read_to_string(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::NotJoined(path.to_owned()),
            _ => Error::Io {
                path: path.to_owned(),
                source,
            },
        })?;
        Self::from_pem(&pem).map_err(|error| unusable(path.display(), error))
    }

    /// When it is to be renewed: about half its life after its begin, spread so that hosts that joined together do not
    /// renew together. `spread` is from 0 to 1.
    fn renew_at(&self, spread: f64) -> Duration {
        let life = self.not_after.saturating_sub(self.not_before);
        self.not_before + life.mul_f64(0.45 + 0.1 * spread)
    }

    /// When it begins, since the Unix epoch.
    pub(crate) const fn not_before(&self) -> Duration {
        self.not_before
    }

    /// When it ends, since the Unix epoch.
    #[must_use]
    pub const fn not_after(&self) -> Duration {
        self.not_after
    }
}

/// The pinned CA, from PEM.
pub fn trust(ca_pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        let certificate = certificate.map_err(|error| unusable("the CA", error))?;
        roots.add(certificate).map_err(|error| unusable("the CA", error))?;
    }
    if roots.is_empty() {
        return Err(unusable("the CA", "it holds no certificate"));
    }
    Ok(roots)
}

/// The TLS configuration for the link: TLS 1.3, only this CA, and the identity if there is one already. Keep it across
/// connections: it holds the session tickets.
pub fn tls(roots: RootCertStore, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| unusable("TLS", error))?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(identity.certificates.clone(), identity.key.clone_key())
            .map_err(|error| unusable("the host's certificate", error))?,
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

/// Where a host keeps what it is and whom it trusts.
#[derive(Debug, Clone)]
pub struct Place {
    /// This host.
    pub host: HostId,
    /// Key and certificate, in one file.
    pub identity: PathBuf,
    /// The pinned CA, PEM.
    pub ca: PathBuf,
    /// Who gives certificates.
    pub coordinator: Coordinator,
}

impl Place {
    /// The pinned CA.
    pub fn roots(&self) -> Result<RootCertStore, Error> {
        let pem = fs::read(&self.ca).map_err(|source| Error::Io {
            path: self.ca.clone(),
            source,
        })?;
        trust(&pem).map_err(|error| unusable(self.ca.display(), error))
    }

    /// Joins with a one-time token; the key and the certificate are durable before this returns.
    pub async fn join(&self, token: &str) -> Result<Identity, Error> {
        let pem = enrol(&self.coordinator, self.roots()?, &self.host, token).await?;
        self.take(&pem)
    }

    async fn renew(&self, old: Arc<ClientConfig>) -> Result<Identity, Error> {
        let (key, csr) = fresh(&self.host)?;
        let certificate = link::renew(&self.coordinator, old, &self.host, csr).await?;
        self.take(&format!("{key}{certificate}"))
    }

    fn take(&self, pem: &str) -> Result<Identity, Error> {
        let identity = Identity::from_pem(pem)?;
        // A certificate for another key or of nonsense must not take the place of a good one.
        tls(self.roots()?, Some(&identity))?;
        let io = |source| Error::Io {
            path: self.identity.clone(),
            source,
        };
        if let Some(folder) = self.identity.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        replace(&self.identity, pem.as_bytes(), 0o600).map_err(io)?;
        Ok(identity)
    }

    /// Renews at half-life, for ever; each new certificate goes to `tls`. A failure is tried again well before the end.
    pub async fn keep_renewed(&self, mut identity: Identity, current: watch::Sender<Arc<ClientConfig>>) {
        loop {
            let at = identity.renew_at(rand::random_range(0.0..1.0));
            while let Some(wait) = at.checked_sub(since_epoch()).filter(|wait| !wait.is_zero()) {
                time::sleep(wait.min(LOOK_EVERY)).await;
            }
            let config = current.borrow().clone();
            let renewed = match self.renew(config).await {
                Ok(renewed) => self
                    .roots()
                    .and_then(|roots| Ok((tls(roots, Some(&renewed))?, renewed))),
                Err(error) => Err(error),
            };
            match renewed {
                Ok((config, renewed)) => {
                    tracing::info!("the certificate is renewed");
                    identity = renewed;
                    current.send_replace(config);
                }
                Err(error) => self.not_renewed(&identity, &error).await,
            }
        }
    }

    async fn not_renewed(&self, identity: &Identity, error: &Error) {
        let left = identity.not_after.saturating_sub(since_epoch());
        if left.is_zero() {
            let file = self.identity.display();
            tracing::error!(%error, "the certificate in {file} has expired; make a token and join again");
        } else {
            tracing::warn!(%error, left_s = left.as_secs(), "the certificate could not be renewed; trying again");
        }
        let pause = (left / 10).clamp(Duration::from_secs(1), Duration::from_secs(300));
        time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

/// Joins without a file: gives key and certificate in one PEM text, as [`Identity::from_pem`] takes it.
pub async fn enrol(
    coordinator: &Coordinator,
    roots: RootCertStore,
    host: &HostId,
    token: &str,
) -> Result<String, Error> {
    let (key, csr) = fresh(host)?;
    let certificate = link::join(coordinator, tls(roots, None)?, host, token, csr).await?;
    Ok(format!("{key}{certificate}"))
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A new key (PEM) and a CSR (PEM) for it. The coordinator takes only the public key from the CSR.
fn fresh(host: &HostId) -> Result<(String, String), Error> {
    let key = KeyPair::generate().map_err(|error| unusable("a new key", error))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, host.as_str());
    let csr = params.serialize_request(&key).and_then(|csr| csr.pem());
    Ok((key.serialize_pem(), csr.map_err(|error| unusable("a CSR", error))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn self_signed() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["h1".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2024, 1, 1);
        params.not_after = rcgen::date_time_ymd(2024, 1, 3);
        (key.serialize_pem(), params.self_signed(&key).unwrap().pem())
    }

    #[test]
    fn a_certificate_is_renewed_around_half_its_life() {
        let (key, certificate) = self_signed();
        let identity = Identity::from_pem(&(key + &certificate)).unwrap();
        let life = Duration::from_secs(2 * 24 * 3600);
        assert_eq!(identity.not_after - identity.not_before, life);
        for spread in [0.0, 0.5, 1.0] {
            let after = identity.renew_at(spread) - identity.not_before;
            assert!(after >= life.mul_f64(0.44) && after <= life.mul_f64(0.56), "{after:?}");
        }
    }

    #[test]
    fn a_certificate_for_another_key_does_not_take_the_place_of_a_good_one() {
        let folder = tempfile::tempdir().unwrap();
        let (key, certificate) = self_signed();
        let (other, _) = self_signed();
        let place = Place {
            host: HostId::new("h1").unwrap(),
            identity: folder.path().join("identity.pem"),
            ca: folder.path().join("ca.pem"),
            coordinator: Coordinator::new("https://127.0.0.1:1", "localhost").unwrap(),
        };
        fs::write(&place.ca, &certificate).unwrap();
        place.take(&format!("{key}{certificate}")).unwrap();
        let good = fs::read_to_string(&place.identity).unwrap();
        assert!(place.take(&format!("{other}{certificate}")).is_err());
        assert!(place.take(&key).is_err());
        assert_eq!(fs::read_to_string(&place.identity).unwrap(), good);
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&place.identity).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_host_that_has_not_joined_is_told_how_to() {
        let error = Identity::load(Path::new("/nonexistent/identity.pem")).unwrap_err();
        assert!(error.to_string().contains("echelon-agent join"), "{error}");
    }

    #[test]
    fn a_key_is_never_shown() {
        let (key, certificate) = self_signed();
        let identity = Identity::from_pem(&(key + &certificate)).unwrap();
        assert!(!format!("{identity:?}").to_lowercase().contains("key"));
    }
}
