//! Makes the authority and signs with it. Time is handed in; nothing here reads a clock.
//!
//! The folder holds `ca.pem`, `ca.key`, `server.pem` (certificate and key in one file, so that a renewal replaces both
//! at once) and the first admin's `admin.pem` and `admin.key`.

use std::{
    fmt, fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use echelon_proto::{HostId, Person, Span, Time};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SubjectPublicKeyInfo, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, DnsName, PrivateKeyDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509CertificationRequest};

use super::{
    Error, Role,
    file::{self, PRIVATE, PUBLIC},
    identity::{HOST, PERSON, ROLE},
};

/// Of a host's certificate: the agent renews it at half of this.
const HOST_LIFE: Span = Span::secs(24 * 3600);
const SERVER_LIFE: Span = Span::secs(365 * 24 * 3600);
/// The server's certificate is renewed at a start with less than this left.
const SERVER_RENEWED_BEFORE: Span = Span::secs(30 * 24 * 3600);
const CA_LIFE: Span = Span::secs(20 * 365 * 24 * 3600);
/// Of the certificate that `init` gives the first admin.
const ADMIN_LIFE: Span = Span::secs(365 * 24 * 3600);
/// Certificates begin so much in the past: clocks of hosts are not all right.
const CLOCK_SLACK: Span = Span::secs(3600);
/// A request with a P-256 key has about 500 bytes; with an RSA key of 8,192 bits about 3 KiB.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Under these names every agent and person may know the coordinator.
const SERVER_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "echelon-coordinator"];

const CA_PEM: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
const SERVER_PEM: &str = "server.pem";
const ADMIN_PEM: &str = "admin.pem";
const ADMIN_KEY: &str = "admin.key";

/// The certificate authority, open.
pub struct Authority {
    folder: PathBuf,
    ca_pem: String,
    ca_der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with the key that goes with it.
pub struct Issued {
    /// The certificate, PEM.
    pub cert_pem: String,
    /// Its private key, PEM.
    pub key_pem: String,
}

/// A host's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCertificate {
    /// PEM.
    pub pem: String,
    /// When it ends.
    pub not_after: Time,
}

/// What the coordinator shows of itself on both faces.
pub struct ServerIdentity {
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Makes an authority, the server's certificate (for localhost, 127.0.0.1, echelon-coordinator and `server_names`,
    /// DNS names or addresses) and the first admin's. All of it is there and durable when this returns, or nothing is.
    ///
    /// # Errors
    /// [`Error::Exists`] when the folder is there, [`Error::ServerName`], or the disk's.
    pub fn init(folder: &Path, server_names: &[String], admin: &Person, now: Time) -> Result<Self, Error> {
        let exists = || Error::Exists {
            folder: folder.to_owned(),
        };
        if folder.exists() {
            return Err(exists());
        }
        // Built beside its place and then renamed: a crash leaves no half of an authority under its name.
        let mut building = folder.as_os_str().to_owned();
        building.push(format!(".new-{}", std::process::id()));
        let building = PathBuf::from(building);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&building)
            .map_err(file::io("make the folder", &building))?;
        let built = build(&building, server_names, admin, now).and_then(|()| {
            // A rename over a folder with files in it is refused by the kernel, so two at once cannot both win.
            fs::rename(&building, folder).map_err(|error| match error.kind() {
                std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists => exists(),
                _ => file::io("make", folder)(error),
            })
        });
        if let Err(error) = built {
            let _ = fs::remove_dir_all(&building);
            return Err(error);
        }
        file::sync_parent(folder)?;
        Self::open(folder)
    }

    /// Opens the authority in this folder.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`], or the disk's.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(CA_PEM);
        if !path.exists() {
            return Err(Error::Missing {
                folder: folder.to_owned(),
            });
        }
        let ca_pem = file::read(&path)?;
        let damaged = |path: PathBuf, what| Error::Damaged { path, what };
        let ca_der = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|_| damaged(path.clone(), "a certificate in PEM"))?;
        let key_path = folder.join(CA_KEY);
        let key = KeyPair::from_pem(&file::read(&key_path)?).map_err(|_| damaged(key_path.clone(), "a private key"))?;
        let fits = X509Certificate::from_der(&ca_der)
            .is_ok_and(|(_, certificate)| certificate.public_key().raw == key.subject_public_key_info());
        if !fits {
            return Err(damaged(key_path, "the key of ca.pem"));
        }
        Ok(Self {
            folder: folder.to_owned(),
            issuer: Issuer::from_ca_cert_der(&ca_der, key)?,
            ca_pem,
            ca_der,
        })
    }

    /// The authority's certificate: what hosts and people trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The same as DER.
    #[must_use]
    pub fn ca_der(&self) -> &CertificateDer<'static> {
        &self.ca_der
    }

    /// A certificate and key for a person.
    ///
    /// # Errors
    /// [`Error::Make`].
    pub fn issue_person(&self, name: &Person, role: Role, ttl: Span, now: Time) -> Result<Issued, Error> {
        person(&self.issuer, name, role, ttl, now)
    }

    /// A host's certificate for 24 h. Of the request only the public key is taken, once it has proved that its sender
    /// holds the private one; whatever else it asks for is ignored.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn issue_host(&self, csr_pem: &str, host: &HostId, now: Time) -> Result<HostCertificate, Error> {
        let key = requested_key(csr_pem)?;
        let mut params = params(host.as_str(), now, HOST_LIFE, ExtendedKeyUsagePurpose::ClientAuth);
        params.subject_alt_names.push(uri(HOST, host.as_str())?);
        // A host's name may hold `+` or `_`, which no DNS name does.
        if DnsName::try_from(host.as_str()).is_ok() {
            params
                .subject_alt_names
                .push(SanType::DnsName(host.as_str().try_into()?));
        }
        Ok(HostCertificate {
            pem: params.signed_by(&key, &self.issuer)?.pem(),
            not_after: end(now, HOST_LIFE),
        })
    }

    /// The server's certificate, renewed first (same names, new key) when less than 30 days of it are left.
    ///
    /// # Errors
    /// [`Error::Damaged`], or the disk's.
    pub fn server(&self, now: Time) -> Result<ServerIdentity, Error> {
        let path = self.folder.join(SERVER_PEM);
        let damaged = |what| Error::Damaged {
            path: path.clone(),
            what,
        };
        let mut pem = file::read(&path)?;
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged("a certificate in PEM"))?;
        let (not_after, names) = validity_and_names(&certificate).ok_or_else(|| damaged("a certificate with names"))?;
        if not_after < now + SERVER_RENEWED_BEFORE {
            pem = server(&self.issuer, &names, now)?;
            file::replace(&path, &pem, PRIVATE)?;
            tracing::info!(%not_after, "renewed the server's certificate");
        }
        Ok(ServerIdentity {
            certificate: CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged("a certificate in PEM"))?,
            key: PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged("a private key"))?,
        })
    }
}

fn build(folder: &Path, server_names: &[String], admin: &Person, now: Time) -> Result<(), Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    set_life(&mut params, now, CA_LIFE);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Echelon");
    // It signs leaves only: no authority below it.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    file::create(&folder.join(CA_PEM), &params.self_signed(&key)?.pem(), PUBLIC)?;
    file::create(&folder.join(CA_KEY), &key.serialize_pem(), PRIVATE)?;

    let issuer = Issuer::new(params, key);
    let mut names: Vec<String> = SERVER_NAMES.map(str::to_owned).to_vec();
    names.extend(
        server_names
            .iter()
            .filter(|name| !SERVER_NAMES.contains(&name.as_str()))
            .cloned(),
    );
    file::create(&folder.join(SERVER_PEM), &server(&issuer, &names, now)?, PRIVATE)?;
    let first = person(&issuer, admin, Role::Admin, ADMIN_LIFE, now)?;
    file::create(&folder.join(ADMIN_PEM), &first.cert_pem, PUBLIC)?;
    file::create(&folder.join(ADMIN_KEY), &first.key_pem, PRIVATE)?;
    file::sync(folder)
}

/// Certificate and key, one after the other.
fn server(issuer: &Issuer<'_, KeyPair>, names: &[String], now: Time) -> Result<String, Error> {
    let key = KeyPair::generate()?;
    let mut params = params(
        "echelon-coordinator",
        now,
        SERVER_LIFE,
        ExtendedKeyUsagePurpose::ServerAuth,
    );
    for name in names {
        params.subject_alt_names.push(server_name(name)?);
    }
    Ok(params.signed_by(&key, issuer)?.pem() + &key.serialize_pem())
}

fn server_name(name: &str) -> Result<SanType, Error> {
    if let Ok(address) = name.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let wrong = || Error::ServerName { name: name.to_owned() };
    DnsName::try_from(name).map_err(|_| wrong())?;
    name.try_into().map(SanType::DnsName).map_err(|_| wrong())
}

fn person(issuer: &Issuer<'_, KeyPair>, name: &Person, role: Role, ttl: Span, now: Time) -> Result<Issued, Error> {
    let key = KeyPair::generate()?;
    let mut params = params(name.as_str(), now, ttl, ExtendedKeyUsagePurpose::ClientAuth);
    params.subject_alt_names.push(uri(PERSON, name.as_str())?);
    params.subject_alt_names.push(uri(ROLE, role.as_str())?);
    Ok(Issued {
        cert_pem: params.signed_by(&key, issuer)?.pem(),
        key_pem: key.serialize_pem(),
    })
}

fn params(name: &str, now: Time, life: Span, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    set_life(&mut params, now, life);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params
}

fn set_life(params: &mut CertificateParams, now: Time, life: Span) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_millis(now.since(Time(CLOCK_SLACK.0)).0);
    params.not_after = epoch + Duration::from_millis(end(now, life).0);
}

/// A certificate's end, in whole seconds: it holds no finer ones.
fn end(now: Time, life: Span) -> Time {
    Time((now + life).0 / 1000 * 1000)
}

fn uri(prefix: &str, name: &str) -> Result<SanType, Error> {
    Ok(SanType::URI(format!("{prefix}{name}").try_into()?))
}

fn requested_key(csr_pem: &str) -> Result<SubjectPublicKeyInfo, Error> {
    let refused = |why: String| Error::Request { why };
    if csr_pem.len() > REQUEST_BYTES_MAX {
        return Err(refused(format!("it is longer than {REQUEST_BYTES_MAX} bytes")));
    }
    let der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes())
        .map_err(|error| refused(format!("it is not PEM ({error})")))?;
    let (_, request) =
        X509CertificationRequest::from_der(&der).map_err(|error| refused(format!("it does not parse ({error})")))?;
    request
        .verify_signature()
        .map_err(|_| refused("its signature is not by the key in it".into()))?;
    SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
        .map_err(|error| refused(format!("its key is of no supported kind ({error})")))
}

fn validity_and_names(der: &[u8]) -> Option<(Time, Vec<String>)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let names = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    });
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    Some((Time(seconds * 1000), names.collect()))
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("cert_pem", &self.cert_pem)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
