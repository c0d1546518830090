//! The signing of hosts' certificates, so many at once. Who may have one is decided by whoever asks for it.

use std::sync::Arc;

use echelon_proto::HostId;
use tokio::sync::Semaphore;
use tonic::Status;

use crate::{
    driver::wall,
    ground::Ground,
    pki::{Authority, HostCertificate},
};

/// Each costs a verification and a signature; two cores do no more in parallel.
const AT_ONCE: usize = 4;

/// Whoever signs.
#[derive(Debug)]
pub struct Signer {
    authority: Arc<Authority>,
    ground: Ground,
    turns: Semaphore,
}

impl Signer {
    /// In this authority's name.
    #[must_use]
    pub fn new(authority: Arc<Authority>, ground: Ground) -> Self {
        Self {
            authority,
            ground,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    pub(super) fn ca_pem(&self) -> &str {
        self.authority.ca_pem()
    }

    pub(super) async fn sign(&self, csr: String, host: HostId) -> Result<HostCertificate, Status> {
        // The semaphore is never closed.
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|_| Status::unavailable("stopping"))?;
        let authority = self.authority.clone();
        let signed = self
            .ground
            .work(move || authority.issue_host(&csr, &host, wall()))
            .await;
        signed
            .map_err(|error| Status::internal(format!("signing ended early: {error}")))?
            .map_err(|error| Status::invalid_argument(error.to_string()))
    }
}
