//! What a coordinator says of its fleet and its rollouts, as a viewer. Deliberately no change.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Context as _;
use echelon_cli::client::ask;
use echelon_proto::wire::control::{GetRolloutRequest, Host, ListHostsRequest, ListRolloutsRequest, Rollout};
use tokio::time;

use super::{Coordinator, Person};

const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Coordinator {
    /// Waits until so many hosts are attached.
    ///
    /// # Errors
    /// They are not within this time.
    pub async fn attached(&self, hosts: usize, within: Duration) -> anyhow::Result<()> {
        let all = async {
            while self.all_attached().await?.len() < hosts {
                time::sleep(LOOK_EVERY).await;
            }
            anyhow::Ok(())
        };
        time::timeout(within, all).await.context("the agents do not attach")?
    }

    /// Waits until this host is not attached.
    ///
    /// # Errors
    /// It is still attached after this time.
    pub async fn missed(&self, host: &str, within: Duration) -> anyhow::Result<()> {
        let missed = async {
            while self.all_attached().await?.contains(host) {
                time::sleep(LOOK_EVERY).await;
            }
            anyhow::Ok(())
        };
        let missed = time::timeout(within, missed).await;
        missed.with_context(|| format!("{host} is not missed"))?
    }

    /// The agent's version of each host that is attached, by its own word.
    ///
    /// # Errors
    /// No answer.
    pub async fn versions(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let attached = self.hosts().await?.into_iter().filter(|host| host.attached);
        Ok(attached.map(|host| (host.host, host.agent_version)).collect())
    }

    async fn all_attached(&self) -> anyhow::Result<BTreeSet<String>> {
        Ok(self.versions().await?.into_keys().collect())
    }

    async fn hosts(&self) -> anyhow::Result<Vec<Host>> {
        let mut client = self.client(Person::Carol).await?;
        let hosts = client
            .list_hosts(ask(ListHostsRequest::default()))
            .await?
            .into_inner()
            .hosts;
        Ok(hosts)
    }

    /// The newest rollout of an app.
    ///
    /// # Errors
    /// There is none, or no answer.
    pub async fn newest(&self, app: &str) -> anyhow::Result<Rollout> {
        let mut client = self.client(Person::Carol).await?;
        let request = ListRolloutsRequest {
            app: app.to_owned(),
            page_size: 1,
            ..ListRolloutsRequest::default()
        };
        let rollouts = client.list_rollouts(ask(request)).await?.into_inner().rollouts;
        rollouts.into_iter().next().context("there is no rollout")
    }

    /// Looks at a rollout until it is as wanted.
    ///
    /// # Errors
    /// It is not within this time; answers that fail meanwhile are asked again.
    pub async fn until<F>(&self, name: &str, within: Duration, what: &str, wanted: F) -> anyhow::Result<Rollout>
    where
        F: Fn(&Rollout) -> bool,
    {
        let looking = async {
            loop {
                if let Ok(mut client) = self.client(Person::Carol).await {
                    let request = GetRolloutRequest { name: name.to_owned() };
                    if let Ok(rollout) = client.get_rollout(ask(request)).await
                        && wanted(rollout.get_ref())
                    {
                        return rollout.into_inner();
                    }
                }
                time::sleep(LOOK_EVERY).await;
            }
        };
        time::timeout(within, looking)
            .await
            .with_context(|| format!("{name} does not come to {what} within {within:?}"))
    }
}
