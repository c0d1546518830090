//! How the fleet's hosts get their certificates: each with a one-time token of an admin and a key and CSR of its own, as
//! every real host. Many at once, because joining is not what is measured.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use echelon_agent::identity::{self, Identity, Place};
use echelon_cli::client::ask;
use echelon_proto::{HostId, wire::control::CreateJoinTokenRequest};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time;

use super::{LABEL, address};
use crate::coordinator::{Coordinator, Person};

/// Joins at once: enough to keep two cores busy with signatures.
const AT_ONCE: usize = 16;
const JOIN_WITHIN: Duration = Duration::from_secs(60);

/// A host that has joined.
#[derive(Debug)]
pub struct Member {
    /// Its name.
    pub host: HostId,
    /// With its certificate: kept over connections, because it holds the session tickets.
    pub tls: Arc<rustls::ClientConfig>,
}

/// Joins all of them; order is kept.
///
/// # Errors
/// One is refused.
pub async fn join(coordinator: &Coordinator, roster: &[(HostId, String)]) -> anyhow::Result<Vec<Member>> {
    let folder = tempfile::tempdir().context("no folder for identities")?;
    let client = coordinator.client(Person::Admin).await?;
    let address = address(coordinator)?;
    let one = |(host, datacenter): &(HostId, String)| {
        let (mut client, host) = (client.clone(), host.clone());
        let request = CreateJoinTokenRequest {
            host: host.to_string(),
            datacenter: datacenter.clone(),
            pool: "web".to_owned(),
            labels: [(LABEL.0.to_owned(), LABEL.1.to_owned())].into(),
        };
        let place = Place {
            host: host.clone(),
            identity: folder.path().join(host.as_str()),
            ca: coordinator.ca(),
            coordinator: address.clone(),
        };
        async move {
            let token = client.create_join_token(ask(request)).await?.into_inner().token;
            let joined: Identity = time::timeout(JOIN_WITHIN, place.join(&token))
                .await
                .context("joining takes too long")??;
            let tls = identity::tls(place.roots()?, Some(&joined))?;
            anyhow::Ok(Member { host, tls })
        }
    };
    stream::iter(roster.iter().map(one))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}
