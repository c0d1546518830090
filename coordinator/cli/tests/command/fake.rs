//! A coordinator made of answers that a test gives it, behind real sockets and real mutual TLS. It can be killed, with
//! every connection cut, and started again at the same address. It has no engine and keeps nothing.

use std::{
    any::Any,
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex},
};

use echelon_proto::wire::control::{
    control_server::{Control, ControlServer},
    *,
};
use futures::Stream;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tempfile::TempDir;
use tokio::{
    io::DuplexStream,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, transport::Server};

/// Certificates in a folder of their own.
pub(crate) struct Pki {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test ca");
        let ca = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        let pki = Self {
            folder,
            issuer: Issuer::new(params, key),
        };
        pki.issue("echelon-coordinator");
        pki.issue("ann");
        pki
    }

    fn issue(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn server(&self) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap())
            .unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let chain = vec![CertificateDer::from_pem_file(self.path("echelon-coordinator.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.path("echelon-coordinator.key")).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }
}

type Handler<Q, A> = Box<dyn Fn(Q) -> Result<A, Status> + Send + Sync>;
type Handlers = HashMap<&'static str, Box<dyn Any + Send + Sync>>;
pub(crate) type Updates = Pin<Box<dyn Stream<Item = Result<WatchRolloutResponse, Status>> + Send>>;
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<AskHostResponse, Status>> + Send>>;
pub(crate) type Kept = Pin<Box<dyn Stream<Item = Result<GateChunk, Status>> + Send>>;
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<LogChunk, Status>> + Send>>;

/// The answers.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Handlers>>);

impl Answers {
    fn answer<Q: 'static, A: 'static>(&self, method: &str, request: Request<Q>) -> Result<Response<A>, Status> {
        let handlers = self.0.lock().unwrap();
        let handler = handlers.get(method).ok_or_else(|| Status::unimplemented(method))?;
        let handler = handler.downcast_ref::<Handler<Q, A>>().expect("the handler's types");
        handler(request.into_inner()).map(Response::new)
    }
}

/// The coordinator.
pub(crate) struct Fake {
    pub(crate) pki: Pki,
    answers: Answers,
    address: SocketAddr,
    tasks: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// An own loopback address keeps the port free while the coordinator is down.
    pub(crate) async fn start_at(address: &str) -> Self {
        let mut fake = Self {
            pki: Pki::new(),
            answers: Answers::default(),
            address: address.parse().unwrap(),
            tasks: JoinSet::new(),
        };
        fake.revive().await;
        fake
    }

    /// Answers `method` from now on.
    pub(crate) fn on<Q, A>(&self, method: &'static str, answer: impl Fn(Q) -> Result<A, Status> + Send + Sync + 'static)
    where
        Q: 'static,
        A: 'static,
    {
        let handler: Handler<Q, A> = Box::new(answer);
        self.answers.0.lock().unwrap().insert(method, Box::new(handler));
    }

    /// Answers `method` and keeps what was asked.
    pub(crate) fn record<Q, A>(&self, method: &'static str, answer: A) -> Arc<Mutex<Vec<Q>>>
    where
        Q: Send + 'static,
        A: Clone + Send + Sync + 'static,
    {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        self.on(method, move |request: Q| {
            kept.lock().unwrap().push(request);
            Ok(answer.clone())
        });
        asked
    }

    /// As `kill -9`: the port is closed and every connection is cut.
    pub(crate) async fn kill(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Starts again where it was.
    pub(crate) async fn revive(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(self.pki.server()));
        let (sender, connections) = mpsc::channel::<Result<DuplexStream, std::io::Error>>(16);
        let service = ControlServer::new(self.answers.clone());
        self.tasks.spawn(async move {
            let incoming = ReceiverStream::new(connections);
            let _ = Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await;
        });
        self.tasks.spawn(async move {
            let mut bridges = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                bridges.spawn(bridge(socket, acceptor.clone(), sender.clone()));
            }
        });
    }

    pub(crate) fn address(&self) -> String {
        format!("https://{}", self.address)
    }
}

/// tonic asks more of a connection than a TLS stream has; its own in-memory pipe has it.
async fn bridge(
    socket: TcpStream,
    acceptor: TlsAcceptor,
    connections: mpsc::Sender<Result<DuplexStream, std::io::Error>>,
) {
    let Ok(mut outer) = acceptor.accept(socket).await else {
        return;
    };
    let (mut inner, served) = tokio::io::duplex(64 * 1024);
    if connections.send(Ok(served)).await.is_ok() {
        let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
    }
}

macro_rules! control {
    ($($method:ident: $request:ty => $answer:ty;)*) => {
        #[tonic::async_trait]
        impl Control for Answers {
            type WatchRolloutStream = Updates;
            type ReadLogsStream = Chunks;
            type AskHostStream = Pieces;
            type ExplainGateStream = Kept;
            type TryGateStream = Kept;
            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                self.answer(stringify!($method), request)
            })*
        }
    };
}

control! {
    create_release: CreateReleaseRequest => Release;
    get_release: GetReleaseRequest => Release;
    list_releases: ListReleasesRequest => ListReleasesResponse;
    push_playbook: PushPlaybookRequest => Playbook;
    get_playbook: GetPlaybookRequest => Playbook;
    list_playbooks: ListPlaybooksRequest => ListPlaybooksResponse;
    create_plan: CreatePlanRequest => Plan;
    get_plan: GetPlanRequest => Plan;
    create_rollout: CreateRolloutRequest => Rollout;
    get_rollout: GetRolloutRequest => Rollout;
    list_rollouts: ListRolloutsRequest => ListRolloutsResponse;
    watch_rollout: WatchRolloutRequest => Updates;
    list_rollout_events: ListRolloutEventsRequest => ListRolloutEventsResponse;
    read_logs: ReadLogsRequest => Chunks;
    explain_rollout: ExplainRolloutRequest => ExplainRolloutResponse;
    explain_gate: ExplainGateRequest => Kept;
    try_gate: TryGateRequest => Kept;
    get_report: GetReportRequest => Report;
    approve_rollout: ActRequest => Rollout;
    reject_rollout: ActRequest => Rollout;
    pause_rollout: ActRequest => Rollout;
    resume_rollout: ActRequest => Rollout;
    promote_rollout: ActRequest => Rollout;
    retry_rollout: ActRequest => Rollout;
    skip_rollout: ActRequest => Rollout;
    abort_rollout: ActRequest => Rollout;
    rollback_rollout: ActRequest => Rollout;
    list_drift: ListDriftRequest => ListDriftResponse;
    list_hosts: ListHostsRequest => ListHostsResponse;
    get_host: GetHostRequest => Host;
    read_samples: ReadSamplesRequest => ReadSamplesResponse;
    ask_host: AskHostRequest => Pieces;
    label_host: LabelHostRequest => Host;
    create_join_token: CreateJoinTokenRequest => JoinToken;
}
