//! What people do meanwhile: three releases go out, one of them bad. Whoever gets no answer asks again with the same request
//! id; who got one may rely on it for ever. Deliberately all by gRPC: every word of it can be lost.

use std::{future::Future, time::Duration};

use anyhow::{Context as _, bail, ensure};
use echelon_cli::client::{self, ask};
use echelon_proto::wire::control::{
    ActRequest, CreatePlanRequest, CreateReleaseRequest, CreateRolloutRequest, GetRolloutRequest, IfRunning,
    PushPlaybookRequest, Rollout, RolloutState, control_client::ControlClient,
};
use tokio::time;
use tonic::{Code, Response, Status, transport::Channel};

use super::ring::{APP, Ring};
use crate::coordinator::Person;

const PLAYBOOK: &str = include_str!("../../crash/shop.yaml");
/// Of everything, however often somebody dies.
const WITHIN: Duration = Duration::from_secs(60);
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// Releases, the word in them, and how the rollout of each must end.
pub(super) const RELEASES: [(&str, &str, RolloutState); 3] = [
    ("1.0.0", "good", RolloutState::Succeeded),
    ("1.1.0", "good", RolloutState::Succeeded),
    ("1.2.0", "broken", RolloutState::RolledBack),
];
/// What stands on every host in the end.
pub(super) const STANDS: &str = "1.1.0";

type Client = ControlClient<Channel>;

/// What was answered, and must be known for ever.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    /// The names of rollouts.
    pub(super) rollouts: Vec<String>,
    /// The ids of requests that were carried out.
    pub(super) requests: Vec<String>,
}

/// All of it. `is_judged`: a judge looks at each release as well.
pub(super) async fn tell(ring: &Ring, is_judged: bool) -> anyhow::Result<Acknowledged> {
    let text = playbook(is_judged);
    let push = async |mut client: Client| {
        let request = PushPlaybookRequest {
            text: text.clone(),
            ..PushPlaybookRequest::default()
        };
        client.push_playbook(ask(request)).await
    };
    until_answered(ring, Person::Alice, push).await?;
    let mut acknowledged = Acknowledged::default();
    for (release, word, end) in RELEASES {
        let artifact = ring.offer(release, word)?;
        let create = async |mut client: Client| {
            let request = CreateReleaseRequest {
                app: APP.to_owned(),
                release: release.to_owned(),
                url: artifact.url.clone(),
                sha256: artifact.sha256.to_string(),
                size_bytes: artifact.size as u64,
                request_id: format!("release-{release}"),
                ..CreateReleaseRequest::default()
            };
            client.create_release(ask(request)).await
        };
        until_answered(ring, Person::Alice, create).await?;
        let name = start(ring, release).await?;
        let requests = drive(ring, &name, release, end).await?;
        acknowledged.requests.extend(requests);
        acknowledged.requests.push(format!("start-{release}"));
        acknowledged.rollouts.push(name);
    }
    Ok(acknowledged)
}

/// As it stands, or without the gate that a judge looks at.
fn playbook(is_judged: bool) -> String {
    if is_judged {
        return PLAYBOOK.to_owned();
    }
    let others = PLAYBOOK.lines().filter(|line| !line.starts_with("  compare: "));
    let others: String = others.map(|line| format!("{line}\n")).collect();
    others.replace(", compare]", "]")
}

/// Twice with one request id: there must be one rollout.
async fn start(ring: &Ring, release: &str) -> anyhow::Result<String> {
    let start = async |mut client: Client| {
        let request = CreateRolloutRequest {
            what: Some(CreatePlanRequest {
                app: APP.to_owned(),
                release: release.to_owned(),
                playbook: "shop".to_owned(),
                ..CreatePlanRequest::default()
            }),
            request_id: format!("start-{release}"),
            if_running: IfRunning::Queue.into(),
            ..CreateRolloutRequest::default()
        };
        client.create_rollout(ask(request)).await
    };
    let first = until_answered(ring, Person::Alice, start).await?.name;
    let again = until_answered(ring, Person::Alice, start).await?.name;
    ensure!(first == again, "one request id made {first} and {again}");
    Ok(first)
}

/// Pauses, resumes and approves it, and waits for its end. Gives the requests that were carried out.
async fn drive(ring: &Ring, name: &str, release: &str, end: RolloutState) -> anyhow::Result<Vec<String>> {
    let mut done = Vec::new();
    for (word, what) in [("pause", Act::Pause), ("resume", Act::Resume)] {
        done.extend(act(ring, Person::Alice, name, format!("{word}-{release}"), what).await?);
    }
    let deadline = time::Instant::now() + WITHIN;
    loop {
        let look = async |mut client: Client| {
            let request = GetRolloutRequest { name: name.to_owned() };
            client.get_rollout(ask(request)).await
        };
        let rollout = until_answered(ring, Person::Carol, look).await?;
        match rollout.state() {
            state if rollout.end_time.is_some() => {
                ensure!(
                    state == end,
                    "{name} ended as {state:?}, not {end:?}: {}",
                    words(&rollout)
                );
                return Ok(done);
            }
            RolloutState::AwaitingApproval => {
                done.extend(act(ring, Person::Bob, name, format!("approve-{release}"), Act::Approve).await?);
            }
            state if time::Instant::now() > deadline => bail!("{name} stays {state:?}: {}", words(&rollout)),
            _ => {}
        }
        time::sleep(AGAIN_AFTER).await;
    }
}

fn words(rollout: &Rollout) -> String {
    format!("{:?}", rollout.lanes)
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Pause,
    Resume,
    Approve,
}

/// Gives the request's id, or nothing: a rollout may have come further by itself in the meantime.
async fn act(ring: &Ring, person: Person, name: &str, id: String, act: Act) -> anyhow::Result<Option<String>> {
    let acting = async |mut client: Client| {
        let request = ask(ActRequest {
            name: name.to_owned(),
            request_id: id.clone(),
            reason: "a test".to_owned(),
            ..ActRequest::default()
        });
        let answer = match act {
            Act::Pause => client.pause_rollout(request).await,
            Act::Resume => client.resume_rollout(request).await,
            Act::Approve => client.approve_rollout(request).await,
        };
        match answer {
            Err(status) if status.code() == Code::FailedPrecondition => Ok(Response::new(false)),
            answer => answer.map(|_| Response::new(true)),
        }
    };
    let is_done = until_answered(ring, person, acting).await?;
    Ok(is_done.then_some(id))
}

/// Asks until there is an answer: a coordinator that dies gives none.
async fn until_answered<T, F>(ring: &Ring, person: Person, call: impl Fn(Client) -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let settings = ring.settings.get(&person).context("nobody")?;
    let deadline = time::Instant::now() + WITHIN;
    loop {
        let last = match client::connect(settings).await {
            Err(error) => error.to_string(),
            Ok(client) => match time::timeout(WITHIN, call(client)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) if is_lost(&status) => status.to_string(),
                Ok(Err(status)) => bail!("refused: {status}"),
                Err(_) => "no answer came".to_owned(),
            },
        };
        ensure!(time::Instant::now() < deadline, "no answer within {WITHIN:?}: {last}");
        time::sleep(AGAIN_AFTER).await;
    }
}

/// Said by a connection that broke, not by the coordinator.
fn is_lost(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal | Code::DeadlineExceeded
    )
}
