//! Thousands of agents in one process: the real link, machine and TLS of the agent against a real coordinator over real
//! sockets, with a ledger in memory and an executor whose phases take a stated time. Deliberately no processes, no files:
//! what a host does is not what is measured here.

mod executor;
mod join;

use std::{collections::BTreeMap, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use echelon_agent::{
    facts::Facts,
    ledger::Store,
    link::{self, Coordinator as Address},
};
use echelon_cli::client::ask;
use echelon_proto::{
    HostId, Span,
    wire::control::{ListHostsRequest, control_client::ControlClient},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::time;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::Channel;

pub use executor::{PhaseTime, Timed};
pub use join::{Member, join};

use crate::{
    binaries::Binaries,
    coordinator::{Coordinator, Person},
    place::Place,
    screen,
};

/// The label by which playbooks select the fleet's hosts.
pub const LABEL: (&str, &str) = ("fleet", "testbed");
/// Hosts of one page when they are counted.
const PAGE: i32 = 1000;
/// How often the attached are counted: often enough for a figure in tenths of a second, and little work beside.
const COUNT_EVERY: Duration = Duration::from_millis(100);

/// `fleet`
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Agents
    #[arg(long, default_value_t = 200)]
    hosts: usize,
    /// Datacenters, among which they are dealt out evenly
    #[arg(long, default_value_t = 4)]
    datacenters: usize,
    /// How long each phase takes
    #[arg(long, value_name = "TIME", default_value = "0s")]
    phase_time: Span,
    /// Keep the coordinator's folder
    #[arg(long)]
    keep: bool,
}

/// A fleet that is attached, or tries to be.
#[derive(Debug)]
pub struct Fleet {
    stop: CancellationToken,
    agents: TaskTracker,
}

impl Fleet {
    /// Starts the link of every member.
    #[must_use]
    pub fn attach(members: &[Member], address: &Address, phase_time: &PhaseTime) -> Self {
        let fleet = Self {
            stop: CancellationToken::new(),
            agents: TaskTracker::new(),
        };
        let facts = Arc::new(Facts::read());
        for member in members {
            let settings = link::Settings {
                host: member.host.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                coordinator: address.clone(),
                tls: link::fixed(member.tls.clone()),
                labels: BTreeMap::new(),
                facts: facts.clone(),
                sample_every: link::SAMPLE_EVERY,
            };
            let executor = Arc::new(Timed(phase_time.clone()));
            fleet
                .agents
                .spawn(link::run(settings, Store::Memory, executor, fleet.stop.clone()));
        }
        fleet.agents.close();
        fleet
    }

    /// Ends them all and waits.
    pub async fn end(self) {
        self.stop.cancel();
        self.agents.wait().await;
    }
}

/// Where the fleet's agents connect.
///
/// # Errors
/// Never for an address that the coordinator listens on.
pub fn address(coordinator: &Coordinator) -> anyhow::Result<Address> {
    Ok(Address::new(
        &format!("https://{}", coordinator.agents),
        "echelon-coordinator",
    )?)
}

/// How many hosts the coordinator says are attached.
///
/// # Errors
/// No answer.
pub async fn attached(client: &mut ControlClient<Channel>) -> anyhow::Result<usize> {
    let mut count = 0;
    let mut page_token = String::new();
    loop {
        let request = ListHostsRequest {
            page_size: PAGE,
            page_token,
            ..ListHostsRequest::default()
        };
        let page = client.list_hosts(ask(request)).await?.into_inner();
        count += page.hosts.iter().filter(|host| host.attached).count();
        if page.next_page_token.is_empty() {
            return Ok(count);
        }
        page_token = page.next_page_token;
    }
}

/// Waits until so many are attached.
///
/// # Errors
/// They are not within this time; how many were is said.
pub async fn until_attached(coordinator: &Coordinator, hosts: usize, within: Duration) -> anyhow::Result<()> {
    let mut seen = 0;
    let looking = async {
        let mut client = coordinator.client(Person::Admin).await?;
        loop {
            seen = attached(&mut client).await?;
            if seen >= hosts {
                return anyhow::Ok(());
            }
            time::sleep(COUNT_EVERY).await;
        }
    };
    let done = time::timeout(within, looking).await;
    done.with_context(|| format!("{seen} of {hosts} are attached after {within:?}"))?
}

/// Lets this process have as many files as it may: one socket an agent, here and in the coordinator, which inherits it.
///
/// # Errors
/// Not enough for so many hosts.
pub fn raise_open_files(hosts: usize) -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let wanted = u64::try_from(hosts)? + 500;
    anyhow::ensure!(
        most >= wanted,
        "{hosts} agents need {wanted} open files and {most} are allowed: raise `ulimit -Hn`"
    );
    Ok(())
}

/// Names of the fleet's hosts and where they stand.
///
/// # Errors
/// Never: the names are made of digits and letters.
pub fn roster(hosts: usize, datacenters: usize) -> anyhow::Result<Vec<(HostId, String)>> {
    let datacenters = datacenters.max(1);
    let name = |n: usize| {
        Ok((
            HostId::new(format!("host-{n:05}"))?,
            format!("dc{}", n % datacenters + 1),
        ))
    };
    (0..hosts).map(name).collect()
}

/// A coordinator and its fleet, until Ctrl-C.
///
/// # Errors
/// Something does not start, or the agents do not attach.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    raise_open_files(arguments.hosts)?;
    let binaries = Binaries::build().await?;
    let place = Place::new("fleet", arguments.keep)?;
    let mut coordinator = Coordinator::new(&binaries, place.path(), &[]).await?;
    coordinator.serve().await?;
    screen::note(format_args!("{} hosts join ...", arguments.hosts));
    let members = join(&coordinator, &roster(arguments.hosts, arguments.datacenters)?).await?;
    let began = time::Instant::now();
    let phase_time = PhaseTime::default();
    phase_time.set(Duration::from_millis(arguments.phase_time.0));
    let fleet = Fleet::attach(&members, &address(&coordinator)?, &phase_time);
    until_attached(&coordinator, arguments.hosts, Duration::from_secs(300)).await?;
    screen::good(format_args!(
        "{} agents attached in {:.1} s",
        arguments.hosts,
        began.elapsed().as_secs_f64()
    ));
    screen::gap();
    for (name, value) in coordinator.environment(Person::Alice) {
        screen::plain(format_args!("export {name}={value}"));
    }
    screen::gap();
    screen::note(format_args!(
        "select them by {}={}; Ctrl-C here ends everything",
        LABEL.0, LABEL.1
    ));
    std::future::pending::<()>().await;
    fleet.end().await;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_dealt_out_evenly_and_have_names_of_their_own() {
        let roster = roster(2000, 4).unwrap();
        let in_first = roster.iter().filter(|(_, dc)| dc == "dc1").count();
        let names: std::collections::BTreeSet<_> = roster.iter().map(|(name, _)| name).collect();
        assert_eq!((in_first, names.len()), (500, 2000));
    }

    #[test]
    fn more_agents_than_files_are_refused_with_the_way_to_mend() {
        let error = raise_open_files(usize::try_from(u32::MAX).unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("ulimit -Hn"), "{error}");
    }
}
