//! How a host gets its certificate (`Join`, with a one-time token) and keeps it (`Renew`). Two calls; what is done with the
//! certificate is `identity`'s.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use echelon_proto::{
    HostId,
    wire::link::{JoinRequest, RenewRequest, link_client::LinkClient},
};
use tonic::{Code, Status};

use super::dial::{self, Coordinator, dial};

/// Of one call, the connection apart.
const CALL_WITHIN: Duration = Duration::from_secs(20);

/// Why no certificate was given.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] dial::Error),
    /// The token is wrong, used, expired, or for another host; or the host is revoked.
    #[error(
        "the coordinator refuses {host}: {message}; make a new token with `echelon host token {host}` and join with it"
    )]
    Refused {
        /// Who asked.
        host: HostId,
        /// What the coordinator said.
        message: String,
    },
    /// The call failed otherwise.
    #[error("the coordinator could not answer: {0}")]
    Failed(String),
}

/// Joins: gives the certificate in PEM. `tls` trusts only the pinned CA and shows no certificate.
pub async fn join(
    coordinator: &Coordinator,
    tls: Arc<rustls::ClientConfig>,
    host: &HostId,
    token: &str,
    csr_pem: String,
) -> Result<String, EnrolError> {
    let mut client = LinkClient::new(dial(coordinator, tls).await?);
    let mut request = tonic::Request::new(JoinRequest {
        host: host.to_string(),
        token: token.to_owned(),
        csr_pem,
    });
    request.set_timeout(CALL_WITHIN);
    let answer = client.join(request).await.map_err(|status| refused(host, &status))?;
    Ok(answer.into_inner().certificate_pem)
}

/// Renews: gives the new certificate in PEM. `tls` shows the old one.
pub async fn renew(
    coordinator: &Coordinator,
    tls: Arc<rustls::ClientConfig>,
    host: &HostId,
    csr_pem: String,
) -> Result<String, EnrolError> {
    let mut client = LinkClient::new(dial(coordinator, tls).await?);
    let mut request = tonic::Request::new(RenewRequest { csr_pem });
    request.set_timeout(CALL_WITHIN);
    let answer = client.renew(request).await.map_err(|status| refused(host, &status))?;
    Ok(answer.into_inner().certificate_pem)
}

/// Whether the coordinator knows the host of the certificate that `tls` shows. Gives the coordinator's time since the Unix
/// epoch, to about half a second, where it says it. A renewal without a CSR is asked for: that is refused to a host that it does
/// not know, and is nonsense from one that it knows.
pub async fn ping(
    coordinator: &Coordinator,
    tls: Arc<rustls::ClientConfig>,
    host: &HostId,
) -> Result<Option<Duration>, EnrolError> {
    let mut client = LinkClient::new(dial(coordinator, tls).await?);
    let mut request = tonic::Request::new(RenewRequest { csr_pem: String::new() });
    request.set_timeout(CALL_WITHIN);
    let Err(status) = client.renew(request).await else {
        return Ok(None);
    };
    if status.code() != Code::InvalidArgument {
        return Err(refused(host, &status));
    }
    let date = status.metadata().get("date").and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let since = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
    // It is cut to whole seconds.
    Ok(since.map(|since| since + Duration::from_millis(500)))
}

fn refused(host: &HostId, status: &Status) -> EnrolError {
    match status.code() {
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition => EnrolError::Refused {
            host: host.clone(),
            message: status.message().to_owned(),
        },
        code => EnrolError::Failed(format!("{code}: {}", status.message())),
    }
}
