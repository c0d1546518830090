//! TLS as both faces speak it: 1.3 only, by rustls with aws-lc-rs, identity by client certificate.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs::{self, Ticketer},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use rustls_pki_types::CertificateDer;

use super::Error;
use crate::pki::ServerIdentity;

/// Must a client show a certificate?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Of people, always.
    Required,
    /// Of agents: the one that joins has none yet. A wrong one is refused all the same.
    Optional,
}

/// How this coordinator does TLS, trusting the clients whom `ca` has signed.
///
/// # Errors
/// [`Error::Tls`] when certificate and key do not fit.
pub fn server_config(
    server: ServerIdentity,
    ca: &CertificateDer<'static>,
    client: ClientCertificate,
) -> Result<Arc<ServerConfig>, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).map_err(|error| wrong(&error))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let verifier = match client {
        ClientCertificate::Required => verifier,
        ClientCertificate::Optional => verifier.allow_unauthenticated(),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| wrong(&error))?
        .with_client_cert_verifier(verifier.build().map_err(|error| wrong(&error))?)
        .with_single_cert(vec![server.certificate], server.key)
        .map_err(|error| wrong(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.ticketer = Ticketer::new().map_err(|error| wrong(&error))?;
    Ok(Arc::new(config))
}
