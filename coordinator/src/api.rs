//! `echelon.control.v1`: people and CI. Wishes go to the driver and are answered when they are durable; all reads come
//! from the published view. Nothing is decided here but who may ask at all ([`permission`]); what may be done now is the
//! engine's to say.

mod asks;
mod convert;
mod drift;
mod field;
mod gates;
mod hosts;
mod logs;
mod page;
pub mod permission;
mod plans;
mod playbooks;
mod releases;
mod rollouts;
mod samples;
pub mod status;
mod trial;

use std::{pin::Pin, sync::Arc};

use echelon_engine::{
    Engine, Event, Reply, State,
    command::{Command, Verb},
};
use echelon_proto::{Person, Time, limits, wire::control as wire, wire::control::control_server};
use futures::Stream;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::{
    decisions::Decisions,
    driver::{Inbox, Reader, wall},
    link::Hands,
    listen::ConnectInfo,
    output::Output,
    pki::Identity,
    runner::canary::Trials,
};

use permission::Guarded;

/// What is known besides the state.
#[derive(Debug)]
pub struct Known {
    /// What phases print.
    pub outputs: Arc<Output>,
    /// What agents said besides.
    pub hands: Hands,
    /// What canary gates were decided by.
    pub decisions: Arc<Decisions>,
    /// Looks at hosts that no rollout compares.
    pub trials: Trials,
}

/// The service.
#[derive(Debug)]
pub struct Control {
    inbox: Inbox,
    reader: Reader,
    known: Known,
    /// True once the process is about to end: streams end then.
    stopping: watch::Receiver<bool>,
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service as it is served: behind the table of permissions.
pub type Service = Guarded<control_server::ControlServer<Control>>;

impl Control {
    /// With everything it reads from and hands on to.
    #[must_use]
    pub fn new(inbox: Inbox, reader: Reader, known: Known, stopping: watch::Receiver<bool>) -> Self {
        Self {
            inbox,
            reader,
            known,
            stopping,
        }
    }

    /// As tonic serves it.
    #[must_use]
    pub fn service(self) -> Service {
        let service = control_server::ControlServer::new(self)
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
        Guarded::new(service)
    }

    /// All that is known and durable, and the time it is to be read at.
    fn latest(&self) -> (State, Time) {
        let latest = self.reader.latest();
        (latest.state.clone(), latest.at.max(wall()))
    }

    /// Lets the engine decide on a wish. With `dry` it decides on a copy and nothing becomes of it. Gives the state in
    /// which the answer is to be read.
    async fn wish(&self, by: Person, command: Command, dry: bool) -> Result<(Reply, State), Status> {
        let event = Event::Commanded { by, command };
        if dry {
            let (state, now) = self.latest();
            let mut copy = Engine::new(self.reader.config(), state);
            let decision = copy.step(now, &event).map_err(|refusal| status::refused(&refusal))?;
            return Ok((decision.reply, copy.state().clone()));
        }
        let reply = self.inbox.ask(event).await.map_err(|unmet| status::of(&unmet))?;
        Ok((reply, self.latest().0))
    }
}

/// Who asks. The permissions have been looked at before.
fn person<T>(request: &Request<T>) -> Result<Person, Status> {
    match request
        .extensions()
        .get::<ConnectInfo>()
        .and_then(|info| info.identity.as_ref())
    {
        Some(Identity::Person { name, .. }) => Ok(name.clone()),
        Some(Identity::Host(_)) | None => Err(Status::permission_denied("only people with a certificate may ask this")),
    }
}

/// One line each: the table of what is served by what.
#[tonic::async_trait]
impl control_server::Control for Control {
    async fn create_release(&self, r: Request<wire::CreateReleaseRequest>) -> Answer<wire::Release> {
        releases::create(self, person(&r)?, r.into_inner())
            .await
            .map(Response::new)
    }
    async fn get_release(&self, r: Request<wire::GetReleaseRequest>) -> Answer<wire::Release> {
        releases::get(self, &r.into_inner()).map(Response::new)
    }
    async fn list_releases(&self, r: Request<wire::ListReleasesRequest>) -> Answer<wire::ListReleasesResponse> {
        releases::list(self, &r.into_inner()).map(Response::new)
    }

    async fn push_playbook(&self, r: Request<wire::PushPlaybookRequest>) -> Answer<wire::Playbook> {
        playbooks::push(self, person(&r)?, r.into_inner())
            .await
            .map(Response::new)
    }
    async fn get_playbook(&self, r: Request<wire::GetPlaybookRequest>) -> Answer<wire::Playbook> {
        playbooks::get(self, &r.into_inner()).map(Response::new)
    }
    async fn list_playbooks(&self, r: Request<wire::ListPlaybooksRequest>) -> Answer<wire::ListPlaybooksResponse> {
        playbooks::list(self, &r.into_inner()).map(Response::new)
    }

    async fn create_plan(&self, r: Request<wire::CreatePlanRequest>) -> Answer<wire::Plan> {
        plans::create(self, person(&r)?, r.into_inner())
            .await
            .map(Response::new)
    }
    async fn get_plan(&self, r: Request<wire::GetPlanRequest>) -> Answer<wire::Plan> {
        plans::get(self, &r.into_inner()).map(Response::new)
    }

    async fn create_rollout(&self, r: Request<wire::CreateRolloutRequest>) -> Answer<wire::Rollout> {
        rollouts::create(self, person(&r)?, r.into_inner())
            .await
            .map(Response::new)
    }
    async fn get_rollout(&self, r: Request<wire::GetRolloutRequest>) -> Answer<wire::Rollout> {
        rollouts::get(self, &r.into_inner()).map(Response::new)
    }
    async fn list_rollouts(&self, r: Request<wire::ListRolloutsRequest>) -> Answer<wire::ListRolloutsResponse> {
        rollouts::list(self, &r.into_inner()).map(Response::new)
    }
    type WatchRolloutStream = Messages<wire::WatchRolloutResponse>;
    async fn watch_rollout(&self, r: Request<wire::WatchRolloutRequest>) -> Answer<Self::WatchRolloutStream> {
        rollouts::watch(self, &r.into_inner()).map(Response::new)
    }
    async fn list_rollout_events(
        &self,
        r: Request<wire::ListRolloutEventsRequest>,
    ) -> Answer<wire::ListRolloutEventsResponse> {
        rollouts::events(self, &r.into_inner()).map(Response::new)
    }
    type ReadLogsStream = Messages<wire::LogChunk>;
    async fn read_logs(&self, r: Request<wire::ReadLogsRequest>) -> Answer<Self::ReadLogsStream> {
        logs::read(self, r.into_inner()).map(Response::new)
    }
    async fn explain_rollout(&self, r: Request<wire::ExplainRolloutRequest>) -> Answer<wire::ExplainRolloutResponse> {
        rollouts::explain(self, &r.into_inner()).map(Response::new)
    }
    type ExplainGateStream = Messages<wire::GateChunk>;
    async fn explain_gate(&self, r: Request<wire::ExplainGateRequest>) -> Answer<Self::ExplainGateStream> {
        gates::explain(self, &r.into_inner()).await.map(Response::new)
    }
    type TryGateStream = Messages<wire::GateChunk>;
    async fn try_gate(&self, r: Request<wire::TryGateRequest>) -> Answer<Self::TryGateStream> {
        trial::attempt(self, &r.into_inner()).await.map(Response::new)
    }
    async fn get_report(&self, r: Request<wire::GetReportRequest>) -> Answer<wire::Report> {
        rollouts::report(self, &r.into_inner()).map(Response::new)
    }

    async fn approve_rollout(&self, r: Request<wire::ActRequest>) -> Answer<wire::Rollout> {
        rollouts::act(self, Verb::Approve, r).await
    }
    async fn reject_rollout(&self, r: Request<wire::ActRequest>) -> Answer<wire::Rollout> {
        rollouts::act(self, Verb::Reject, r).await
    }
    async fn pause_rollout(&self, r: Request<wire::ActRequest>) -> Answer<wire::Rollout> {
        rollouts::act(self, Verb::Pause, r).await
    }
    async fn resume_rollout(&self, r: Request<wire::ActRequest>) -> Answer<wire::Rollout> {
        rollouts::act(self, Verb::Resume, r).await
    }
    async fn promote_rollout(&self, r: Request<wire::ActRequest>) -> Answer<wire::Rollout> {
        rollouts::act(self, Verb::Promote, r).await
    }
    async fn retry_rollout(&self, r: Request<wire::ActRequest>) -> Answer<wire::Rollout> {
        rollouts::act(self, Verb::Retry, r).await
    }
    async fn skip_rollout(&self, r: Request<wire::ActRequest>) -> Answer<wire::Rollout> {
        rollouts::act(self, Verb::Skip, r).await
    }
    async fn abort_rollout(&self, r: Request<wire::ActRequest>) -> Answer<wire::Rollout> {
        rollouts::act(self, Verb::Abort, r).await
    }
    async fn rollback_rollout(&self, r: Request<wire::ActRequest>) -> Answer<wire::Rollout> {
        rollouts::act(self, Verb::Rollback, r).await
    }

    async fn list_drift(&self, r: Request<wire::ListDriftRequest>) -> Answer<wire::ListDriftResponse> {
        drift::list(self, &r.into_inner()).map(Response::new)
    }
    async fn list_hosts(&self, r: Request<wire::ListHostsRequest>) -> Answer<wire::ListHostsResponse> {
        hosts::list(self, &r.into_inner()).map(Response::new)
    }
    async fn get_host(&self, r: Request<wire::GetHostRequest>) -> Answer<wire::Host> {
        hosts::get(self, &r.into_inner()).map(Response::new)
    }
    async fn read_samples(&self, r: Request<wire::ReadSamplesRequest>) -> Answer<wire::ReadSamplesResponse> {
        samples::read(self, &r.into_inner()).map(Response::new)
    }
    type AskHostStream = Messages<wire::AskHostResponse>;
    async fn ask_host(&self, r: Request<wire::AskHostRequest>) -> Answer<Self::AskHostStream> {
        asks::ask(self, person(&r)?, r.into_inner()).await.map(Response::new)
    }
    async fn label_host(&self, r: Request<wire::LabelHostRequest>) -> Answer<wire::Host> {
        hosts::label(self, person(&r)?, r.into_inner()).await.map(Response::new)
    }
    async fn create_join_token(&self, r: Request<wire::CreateJoinTokenRequest>) -> Answer<wire::JoinToken> {
        hosts::token(self, person(&r)?, r.into_inner()).await.map(Response::new)
    }
}

type Answer<T> = Result<Response<T>, Status>;
