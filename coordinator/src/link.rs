//! `echelon.link.v1`: agents. A host speaks of itself only: its name is that of its certificate, and a message that
//! names another is refused. What an agent says is bounded here, field by field, before it becomes an event.
//!
//! No task of a session's own: the stream that tonic polls for messages to send reads the agent's as well.

mod answer;
mod bound;
mod hear;
mod order;
mod output;
mod sign;

use std::{pin::Pin, sync::Arc, time::Duration};

use echelon_engine::Event;
use echelon_failpoint as failpoint;
use echelon_proto::{
    Digest, HostId, Time, limits,
    wire::{
        control::AskHostResponse,
        link::{
            AgentMessage, CoordinatorMessage, JoinRequest, JoinResponse, OutputAck, OutputChunk, RenewRequest,
            agent_message::Body, link_server,
        },
    },
};
use futures::Stream;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    api::status,
    asks::Asks,
    driver::{Answer, Inbox, Reader, Unmet, wall},
    listen::ConnectInfo,
    output::Output,
    pki::{HostCertificate, Identity, Token},
    runner::{dispatch::Dispatch, prefetch::Prefetch},
    samples::Samples,
    sessions::{Closed, Guard, Item, Sessions},
};

pub use self::{hear::report, order::message, sign::Signer};

/// For an agent's Hello after it has opened the stream.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// Who takes what is no event: nothing of it is decided on or written down.
#[derive(Debug, Clone)]
pub struct Hands {
    /// What agents measured.
    pub samples: Arc<Samples>,
    /// Which hosts have their artifact ahead.
    pub prefetch: Arc<Prefetch>,
    /// Answers to people.
    pub asks: Arc<Asks<AskHostResponse>>,
}

/// The service.
#[derive(Debug)]
pub struct Link {
    inbox: Inbox,
    reader: Reader,
    sessions: Arc<Sessions>,
    dispatch: Arc<Dispatch>,
    outputs: Arc<Output>,
    hands: Hands,
    signer: Signer,
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Link {
    /// With everything it hands on to.
    #[must_use]
    pub fn new(
        inbox: Inbox,
        reader: Reader,
        sessions: Arc<Sessions>,
        dispatch: Arc<Dispatch>,
        outputs: Arc<Output>,
        hands: Hands,
        signer: Signer,
    ) -> Self {
        Self {
            inbox,
            reader,
            sessions,
            dispatch,
            outputs,
            hands,
            signer,
        }
    }

    /// As tonic serves it.
    #[must_use]
    pub fn service(self) -> link_server::LinkServer<Self> {
        link_server::LinkServer::new(self)
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX)
    }

    fn joined(&self, certificate: HostCertificate) -> Response<JoinResponse> {
        Response::new(JoinResponse {
            certificate_pem: certificate.pem,
            ca_pem: self.signer.ca_pem().to_owned(),
            not_after_ms: i64::try_from(certificate.not_after.0).unwrap_or(i64::MAX),
        })
    }

    /// Begins the session and waits until its attach is durable.
    async fn begin(&self, host: &HostId, hello: Body) -> Result<Guard, Status> {
        let Body::Hello(hello) = hello else {
            return Err(Status::invalid_argument(
                "the first message of a session must be a Hello",
            ));
        };
        let hello = hear::hello(host, hello)?;
        let guard = self.sessions.begin(host.clone());
        let session = guard.session().clone();
        let event = Event::HostAttached {
            host: host.clone(),
            session: session.number(),
            hello,
        };
        let (sender, durable) = oneshot::channel();
        let dispatch = self.dispatch.clone();
        let then = Box::new(move |answer: Answer| {
            if answer.is_ok() {
                dispatch.attached(&session);
            }
            // Nobody listens any more when the agent has gone in the meantime.
            let _heard = sender.send(answer);
        });
        self.inbox.post(event, then).await;
        durable
            .await
            .unwrap_or(Err(Unmet::Stopping))
            .map_err(|unmet| status::of(&unmet))?;
        Ok(guard)
    }
}

#[tonic::async_trait]
impl link_server::Link for Link {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let request = request.into_inner();
        let host = HostId::new(&request.host).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let token: Digest = Token::given(&request.token).hash();
        // Signed before the token is used up: a request that cannot be signed must not cost it. Nobody is given the
        // certificate before the engine has taken the token.
        let known = self
            .reader
            .latest()
            .state
            .tokens
            .get(&token)
            .is_some_and(|grant| grant.host == host);
        let signed = if known {
            Some(self.signer.sign(request.csr_pem, host.clone()).await?)
        } else {
            None
        };
        let joining = Event::HostJoining {
            host: host.clone(),
            token,
        };
        failpoint::pass("join", "signed");
        self.inbox.ask(joining).await.map_err(|unmet| status::of(&unmet))?;
        failpoint::pass("join", "kept");
        let certificate = signed.ok_or_else(|| Status::unavailable("the token became known just now; try again"))?;
        tracing::info!(%host, "joined");
        Ok(self.joined(certificate))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<JoinResponse>, Status> {
        let host = caller(&request)?;
        if !self.reader.latest().state.hosts.contains_key(&host) {
            return Err(Status::permission_denied(format!("{host} has not joined")));
        }
        let certificate = self.signer.sign(request.into_inner().csr_pem, host).await?;
        Ok(self.joined(certificate))
    }

    type AttachStream = Messages<CoordinatorMessage>;

    async fn attach(&self, request: Request<Streaming<AgentMessage>>) -> Result<Response<Self::AttachStream>, Status> {
        let host = caller(&request)?;
        let mut inbound = request.into_inner();
        let first = tokio::time::timeout(HELLO_WITHIN, inbound.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no Hello came within 10 s"))??;
        let hello = first.and_then(|message| message.body);
        let hello = hello.ok_or_else(|| Status::invalid_argument("the stream ended before its Hello"))?;
        let guard = self.begin(&host, hello).await?;
        let heartbeat_ms = u32::try_from(self.sessions.heartbeat().as_millis()).unwrap_or(u32::MAX);
        let talk = Talk {
            guard,
            inbound,
            inbox: self.inbox.clone(),
            hands: self.hands.clone(),
            heartbeat_ms,
        };
        Ok(Response::new(Box::pin(futures::stream::try_unfold(talk, Talk::next))))
    }

    type SendOutputStream = Messages<OutputAck>;

    async fn send_output(
        &self,
        request: Request<Streaming<OutputChunk>>,
    ) -> Result<Response<Self::SendOutputStream>, Status> {
        let host = caller(&request)?;
        let receiver = output::Receiver {
            host,
            outputs: self.outputs.clone(),
            reader: self.reader.clone(),
            inbound: request.into_inner(),
        };
        Ok(Response::new(Box::pin(receiver.acks())))
    }
}

/// The host whose certificate the caller showed.
fn caller<T>(request: &Request<T>) -> Result<HostId, Status> {
    match request
        .extensions()
        .get::<ConnectInfo>()
        .and_then(|info| info.identity.as_ref())
    {
        Some(Identity::Host(host)) => Ok(host.clone()),
        Some(Identity::Person { name, .. }) => Err(Status::permission_denied(format!(
            "this certificate is the person {name}'s; agents call with their host's"
        ))),
        None => Err(Status::unauthenticated(
            "no client certificate: join first, with a token",
        )),
    }
}

/// A session's stream, from the first message after the Hello on.
struct Talk {
    guard: Guard,
    inbound: Streaming<AgentMessage>,
    inbox: Inbox,
    hands: Hands,
    heartbeat_ms: u32,
}

impl Talk {
    /// Reads what the agent says until there is something to send.
    async fn next(mut self) -> Result<Option<(CoordinatorMessage, Self)>, Status> {
        let session = self.guard.session().clone();
        loop {
            match session.poll() {
                Ok(Some(item)) => {
                    failpoint::pass(item.name(), "due");
                    return Ok(Some((self.message(&item), self)));
                }
                Ok(None) => {}
                Err(closed) => return Err(ended(closed)),
            }
            if !session.has_room() {
                session.stirred().await;
                continue;
            }
            tokio::select! {
                () = session.stirred() => {}
                message = self.inbound.message() => match message? {
                    Some(message) => self.hear(message).await?,
                    None => return Ok(None),
                },
            }
        }
    }

    fn message(&self, item: &Item) -> CoordinatorMessage {
        order::message(item, self.heartbeat_ms)
    }

    async fn hear(&self, message: AgentMessage) -> Result<(), Status> {
        let session = self.guard.session().clone();
        session.hear();
        let (event, report) = match message.body {
            None | Some(Body::Heartbeat(_)) => return Ok(()),
            Some(Body::Prefetched(said)) => {
                let (app, release, answer) = hear::prefetched(said)?;
                self.hands
                    .prefetch
                    .answered(session.host(), session.number(), app, release, answer);
                return Ok(());
            }
            Some(Body::Answer(said)) => {
                let piece = answer::answer(said.what)?;
                self.hands.asks.answered(&session, said.number, piece, said.last);
                return Ok(());
            }
            Some(Body::Samples(samples)) => {
                let at = Time(u64::try_from(samples.at_ms).unwrap_or(0));
                self.hands.samples.take(session.host(), at, samples.values, wall());
                return Ok(());
            }
            Some(Body::Hello(_)) => return Err(Status::invalid_argument("a second Hello in one session")),
            Some(Body::Report(report)) => {
                failpoint::pass("report", "heard");
                let sequence = report.sequence;
                (hear::report(session.host(), report)?, Some(sequence))
            }
            Some(Body::Health(health)) => (hear::health(session.host(), health)?, None),
        };
        session.depart();
        let then = Box::new(move |answer: Answer| match answer {
            Ok(_) => session.arrive(report),
            Err(Unmet::Refused(refusal)) => {
                // It would be refused again however often it came: the ledger may forget it.
                tracing::warn!(host = %session.host(), %refusal, "the agent's word was refused");
                session.arrive(report);
            }
            Err(Unmet::Stopping | Unmet::Broken) => session.close(Closed::Stopping),
        });
        self.inbox.post(event, then).await;
        Ok(())
    }
}

fn ended(closed: Closed) -> Status {
    let text = closed.to_string();
    match closed {
        Closed::Superseded => Status::aborted(text),
        Closed::Silent | Closed::Gone => Status::deadline_exceeded(text),
        Closed::Slow => Status::resource_exhausted(text),
        Closed::Stopping => Status::unavailable(text),
    }
}
