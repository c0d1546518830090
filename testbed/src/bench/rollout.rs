//! One rollout of the bench: from the start's acknowledgement to its outcome, by this process's clock, and what it went
//! through, by what the coordinator's face says of it afterwards.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use echelon_cli::client::ask;
use echelon_proto::wire::control::{
    CreatePlanRequest, CreateReleaseRequest, CreateRolloutRequest, GetPlanRequest, GetRolloutRequest,
    ListRolloutEventsRequest, Plan, PushPlaybookRequest, RolloutState, control_client::ControlClient,
};
use tokio::time;
use tonic::transport::Channel;

use crate::coordinator::{Coordinator, Person};

/// How often the outcome is looked for: little beside what is measured, and little work for the coordinator.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const END_WITHIN: Duration = Duration::from_secs(900);
const EVENTS_PAGE: i32 = 1000;

/// What is rolled out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Release {
    pub(super) app: &'static str,
    pub(super) release: &'static str,
    pub(super) playbook: &'static str,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(super) struct Ran {
    /// From the acknowledgement to the outcome.
    pub(super) makespan: Duration,
    /// By which hosts went.
    pub(super) plan: Plan,
    /// Phases begun and phases ended, each a durable record.
    pub(super) transitions: usize,
}

pub(super) async fn push(coordinator: &Coordinator, text: &str) -> anyhow::Result<()> {
    let mut client = coordinator.client(Person::Alice).await?;
    let request = PushPlaybookRequest {
        text: text.to_owned(),
        validate_only: false,
    };
    client
        .push_playbook(ask(request))
        .await
        .context("the bench's playbook is refused")?;
    Ok(())
}

/// Starts it and waits for its outcome, which must be success on all hosts.
pub(super) async fn run(coordinator: &Coordinator, release: Release, hosts: usize) -> anyhow::Result<Ran> {
    let mut client = coordinator.client(Person::Alice).await?;
    let request = CreateReleaseRequest {
        app: release.app.to_owned(),
        release: release.release.to_owned(),
        ..CreateReleaseRequest::default()
    };
    client.create_release(ask(request)).await?;
    let what = CreatePlanRequest {
        app: release.app.to_owned(),
        release: release.release.to_owned(),
        playbook: release.playbook.to_owned(),
        ..CreatePlanRequest::default()
    };
    let request = CreateRolloutRequest {
        what: Some(what),
        ..CreateRolloutRequest::default()
    };
    let rollout = client.create_rollout(ask(request)).await?.into_inner();
    let acknowledged = Instant::now();
    time::timeout(END_WITHIN, outcome(&mut client, &rollout.name, hosts))
        .await
        .context("it does not end")??;
    let makespan = acknowledged.elapsed();
    let plan = client
        .get_plan(ask(GetPlanRequest {
            name: format!("plans/{}", bare(&rollout.plan)),
        }))
        .await?;
    let transitions = transitions(&mut client, &rollout.name).await?;
    Ok(Ran {
        makespan,
        plan: plan.into_inner(),
        transitions,
    })
}

fn bare(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

async fn outcome(client: &mut ControlClient<Channel>, name: &str, hosts: usize) -> anyhow::Result<()> {
    loop {
        let rollout = client
            .get_rollout(ask(GetRolloutRequest { name: name.to_owned() }))
            .await?
            .into_inner();
        match rollout.state() {
            RolloutState::Succeeded => {
                let done: u32 = rollout
                    .lanes
                    .iter()
                    .flat_map(|lane| &lane.waves)
                    .map(|wave| wave.done)
                    .sum();
                anyhow::ensure!(
                    usize::try_from(done)? == hosts,
                    "{name} ended with {done} of {hosts} hosts done"
                );
                return Ok(());
            }
            RolloutState::Queued | RolloutState::Running | RolloutState::Scheduled => time::sleep(LOOK_EVERY).await,
            other => bail!("{name} is {other:?}: {}", rollout.state_reason),
        }
    }
}

async fn transitions(client: &mut ControlClient<Channel>, name: &str) -> anyhow::Result<usize> {
    let (mut count, mut from_sequence) = (0, 0);
    loop {
        let request = ListRolloutEventsRequest {
            name: name.to_owned(),
            from_sequence,
            page_size: EVENTS_PAGE,
        };
        let page = client.list_rollout_events(ask(request)).await?.into_inner();
        let phases = page
            .events
            .iter()
            .filter(|event| matches!(event.kind.as_str(), "phase_started" | "phase_ended"));
        count += phases.count();
        if page.next_sequence == 0 {
            return Ok(count);
        }
        from_sequence = page.next_sequence;
    }
}
