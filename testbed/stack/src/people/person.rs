//! One person: a certificate, a connection while it lasts, and a bound on how long an answer is waited for. Deliberately the
//! generated client and nothing between.

use std::{sync::Arc, time::Duration};

use echelon_coordinator::pki::{Authority, Role};
use echelon_proto::{
    Person as Name, Span, Time,
    wire::control::{
        ActRequest, CreateJoinTokenRequest, CreateReleaseRequest, CreateRolloutRequest, GetRolloutRequest,
        PushPlaybookRequest, Rollout, control_client::ControlClient,
    },
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Response, Status,
    transport::{Channel, Endpoint, Uri},
};

use crate::{
    center::{NAME, PEOPLE},
    host::name,
    net::Stream,
    run::Error,
};

/// For an answer, the connection included.
const PATIENCE: Duration = Duration::from_secs(8);
const LIFE: Span = Span::secs(24 * 3600);

/// What can be done to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Approve,
    Reject,
    Pause,
    Resume,
    Promote,
    Retry,
    Skip,
    Abort,
    Rollback,
}

impl Verb {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote => "promote",
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Abort => "abort",
            Self::Rollback => "rollback",
        }
    }
}

/// What was heard.
#[derive(Debug)]
pub(super) enum Answer<T> {
    Done(T),
    Refused(String),
    /// It may have been done, or not.
    Nobody,
}

/// A person.
pub(crate) struct Person {
    tls: Arc<ClientConfig>,
    client: Option<ControlClient<Channel>>,
}

impl Person {
    pub(super) fn new(pki: &Authority, called: &str, role: Role) -> Result<Self, Error> {
        let issued = pki.issue_person(&name::<Name>(called), role, LIFE, Time::default())?;
        let mut roots = RootCertStore::empty();
        roots.add(pki.ca_der().clone())?;
        let certificate = CertificateDer::from_pem_slice(issued.cert_pem.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            tls: Arc::new(config),
            client: None,
        })
    }

    pub(super) async fn token(&mut self, request: CreateJoinTokenRequest) -> Answer<String> {
        let answer = self
            .ask(async |mut client| client.create_join_token(request).await)
            .await;
        answer.map(|token| token.token)
    }

    pub(super) async fn release(&mut self, request: CreateReleaseRequest) -> Answer<()> {
        let answer = self.ask(async |mut client| client.create_release(request).await).await;
        answer.map(drop)
    }

    pub(super) async fn push(&mut self, request: PushPlaybookRequest) -> Answer<()> {
        let answer = self.ask(async |mut client| client.push_playbook(request).await).await;
        answer.map(drop)
    }

    /// Gives the rollout's name and etag, as the other three do.
    pub(super) async fn start(&mut self, request: CreateRolloutRequest) -> Answer<(String, String)> {
        let answer = self.ask(async |mut client| client.create_rollout(request).await).await;
        answer.map(of)
    }

    pub(super) async fn look(&mut self, request: GetRolloutRequest) -> Answer<(String, String)> {
        let answer = self.ask(async |mut client| client.get_rollout(request).await).await;
        answer.map(of)
    }

    pub(super) async fn act(&mut self, verb: Verb, request: ActRequest) -> Answer<(String, String)> {
        let act = async |mut client: ControlClient<Channel>| match verb {
            Verb::Approve => client.approve_rollout(request).await,
            Verb::Reject => client.reject_rollout(request).await,
            Verb::Pause => client.pause_rollout(request).await,
            Verb::Resume => client.resume_rollout(request).await,
            Verb::Promote => client.promote_rollout(request).await,
            Verb::Retry => client.retry_rollout(request).await,
            Verb::Skip => client.skip_rollout(request).await,
            Verb::Abort => client.abort_rollout(request).await,
            Verb::Rollback => client.rollback_rollout(request).await,
        };
        self.ask(act).await.map(of)
    }

    async fn ask<T>(
        &mut self,
        call: impl AsyncFnOnce(ControlClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Answer<T> {
        let asked = timeout(PATIENCE, async {
            let client = self.connected().await.ok()?;
            Some(call(client).await)
        });
        let answer = match asked.await {
            Ok(Some(Ok(answer))) => return Answer::Done(answer.into_inner()),
            Ok(Some(Err(status))) => refused(&status),
            Ok(None) | Err(_) => Answer::Nobody,
        };
        if matches!(answer, Answer::Nobody) {
            self.client = None;
        }
        answer
    }

    async fn connected(&mut self) -> Result<ControlClient<Channel>, tonic::transport::Error> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let tls = TlsConnector::from(self.tls.clone());
        let dial = tower::service_fn(move |_: Uri| {
            let tls = tls.clone();
            async move {
                let stream = Stream::connect(&format!("{NAME}:{PEOPLE}")).await?;
                let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
                std::io::Result::Ok(TokioIo::new(tls.connect(name, stream).await?))
            }
        });
        let endpoint = Endpoint::from_static("https://localhost");
        let client = ControlClient::new(endpoint.connect_with_connector(dial).await?);
        self.client = Some(client.clone());
        Ok(client)
    }
}

impl<T> Answer<T> {
    fn map<U>(self, with: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Done(answer) => Answer::Done(with(answer)),
            Self::Refused(why) => Answer::Refused(why),
            Self::Nobody => Answer::Nobody,
        }
    }
}

fn of(rollout: Rollout) -> (String, String) {
    (rollout.name, rollout.etag)
}

/// A refusal says that nothing was done; everything else says nothing.
fn refused<T>(status: &Status) -> Answer<T> {
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange => Answer::Refused(format!("{:?} {}", status.code(), status.message())),
        _ => Answer::Nobody,
    }
}
