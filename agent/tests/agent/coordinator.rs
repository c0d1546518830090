//! A small real coordinator for tests: tonic over rustls with a CA of its own, told by the test what to say and telling it
//! what it hears. It decides nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use echelon_proto::wire::link::{
    AgentMessage, Answer as Answered, CoordinatorMessage, Fence, Health, Hello, JoinRequest, JoinResponse, Order,
    OutputAck, OutputChunk, Prefetch, Prefetched, RenewRequest, Report, ReportAck, Samples, Watch, Welcome,
    agent_message::Body,
    coordinator_message::Body as Say,
    link_server::{Link, LinkServer},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use rustls::{HandshakeKind, RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, transport::server::Connected};

/// No step of a test takes longer.
pub(crate) const SOON: Duration = Duration::from_secs(40);

/// Words that no test has taken yet: more than any test makes an agent say.
const HEARD_MAX: usize = 1024;

/// What the coordinator heard.
#[derive(Debug)]
pub(crate) enum Heard {
    Attached(Hello),
    Report(Report),
    Health(Health),
    Prefetched(Prefetched),
    Samples(Samples),
    Answer(Answered),
    Gone,
}

/// Output of an attempt, and whether that is all.
pub(crate) type Held = (Vec<u8>, bool);

struct Shared {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    tokens: Mutex<BTreeSet<String>>,
    heard: mpsc::Sender<Heard>,
    /// The last is the one that is spoken to.
    sessions: Mutex<Vec<Answer>>,
    outputs: Mutex<BTreeMap<(String, u32), Held>>,
    certificate_secs: AtomicU64,
    heartbeat_ms: AtomicU32,
    is_mute: AtomicBool,
    resumed: AtomicU32,
    renewed: AtomicU32,
    beats: AtomicU32,
}

pub(crate) struct Coordinator {
    shared: Arc<Shared>,
    tls: Arc<ServerConfig>,
    heard: mpsc::Receiver<Heard>,
    pub(crate) address: SocketAddr,
    serving: Option<JoinHandle<()>>,
}

impl Coordinator {
    pub(crate) async fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let tls = server_tls(&issuer, &ca_pem);
        let (tx, heard) = mpsc::channel(HEARD_MAX);
        let shared = Arc::new(Shared {
            issuer,
            ca_pem,
            tokens: Mutex::default(),
            heard: tx,
            sessions: Mutex::default(),
            outputs: Mutex::default(),
            certificate_secs: AtomicU64::new(24 * 3600),
            heartbeat_ms: AtomicU32::new(1000),
            is_mute: AtomicBool::new(false),
            resumed: AtomicU32::new(0),
            renewed: AtomicU32::new(0),
            beats: AtomicU32::new(0),
        });
        let mut coordinator = Self {
            shared,
            tls: Arc::new(tls),
            heard,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            serving: None,
        };
        coordinator.listen().await;
        coordinator
    }

    /// Listens, on the same port as before if it was stopped.
    pub(crate) async fn listen(&mut self) {
        let bind = async {
            loop {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.set_reuseaddr(true).unwrap();
                match socket.bind(self.address) {
                    Ok(()) => return socket,
                    // The old listener goes when its last handshake does.
                    Err(_) => time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let socket = time::timeout(SOON, bind).await.expect("the port is free again");
        let listener = socket.listen(64).unwrap();
        self.address = listener.local_addr().unwrap();
        let (shared, tls) = (self.shared.clone(), TlsAcceptor::from(self.tls.clone()));
        self.serving = Some(tokio::spawn(async move {
            let incoming = accept(listener, tls, shared.clone());
            let server = LinkServer::new(Service { shared });
            let serve = tonic::transport::Server::builder().add_service(server);
            serve.serve_with_incoming(ReceiverStream::new(incoming)).await.unwrap();
        }));
    }

    /// As if killed: the listener and every connection are gone.
    pub(crate) async fn stop(&mut self) {
        self.cut();
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.shared.ca_pem
    }

    pub(crate) fn token(&self, token: &str) {
        self.shared.tokens.lock().unwrap().insert(token.to_owned());
    }

    pub(crate) fn certificates_live_for(&self, secs: u64) {
        self.shared.certificate_secs.store(secs, Ordering::SeqCst);
    }

    pub(crate) fn beat_every_ms(&self, ms: u32) {
        self.shared.heartbeat_ms.store(ms, Ordering::SeqCst);
    }

    /// Hears and says nothing from now on, or again.
    pub(crate) fn mute(&self, on: bool) {
        self.shared.is_mute.store(on, Ordering::SeqCst);
    }

    pub(crate) fn resumed_handshakes(&self) -> u32 {
        self.shared.resumed.load(Ordering::SeqCst)
    }

    /// Heartbeats heard so far.
    pub(crate) fn beats(&self) -> u32 {
        self.shared.beats.load(Ordering::SeqCst)
    }

    pub(crate) fn renewals(&self) -> u32 {
        self.shared.renewed.load(Ordering::SeqCst)
    }

    /// Ends every session, as a broken network would.
    pub(crate) fn cut(&self) {
        for session in self.shared.sessions.lock().unwrap().drain(..) {
            let _ = session.try_send(Err(Status::unavailable("cut by the test")));
        }
    }

    pub(crate) async fn say(&self, body: Say) {
        let session = self
            .shared
            .sessions
            .lock()
            .unwrap()
            .last()
            .cloned()
            .expect("an agent is attached");
        session.send(Ok(CoordinatorMessage { body: Some(body) })).await.unwrap();
    }

    pub(crate) async fn order(&self, order: &Order) {
        self.say(Say::Order(order.clone())).await;
    }

    pub(crate) async fn ack(&self, sequence: u64) {
        self.say(Say::Ack(ReportAck { sequence })).await;
    }

    pub(crate) async fn watch(&self, watch: Watch) {
        self.say(Say::Watch(watch)).await;
    }

    pub(crate) async fn prefetch(&self, prefetch: &Prefetch) {
        self.say(Say::Prefetch(prefetch.clone())).await;
    }

    async fn hear(&mut self) -> Heard {
        time::timeout(SOON, self.heard.recv())
            .await
            .expect("the agent says something")
            .unwrap()
    }

    /// Waits for the next Hello.
    pub(crate) async fn attached(&mut self) -> Hello {
        loop {
            if let Heard::Attached(hello) = self.hear().await {
                return hello;
            }
        }
    }

    /// Waits for the next report.
    pub(crate) async fn report(&mut self) -> Report {
        loop {
            if let Heard::Report(report) = self.hear().await {
                return report;
            }
        }
    }

    pub(crate) async fn health(&mut self) -> Health {
        loop {
            if let Heard::Health(health) = self.hear().await {
                return health;
            }
        }
    }

    pub(crate) async fn prefetched(&mut self) -> Prefetched {
        loop {
            if let Heard::Prefetched(prefetched) = self.hear().await {
                return prefetched;
            }
        }
    }

    pub(crate) async fn samples(&mut self) -> Samples {
        loop {
            if let Heard::Samples(samples) = self.hear().await {
                return samples;
            }
        }
    }

    /// Waits for the next answer to a person.
    pub(crate) async fn answer(&mut self) -> Answered {
        loop {
            if let Heard::Answer(answer) = self.hear().await {
                return answer;
            }
        }
    }

    /// Waits for the end of the session.
    pub(crate) async fn gone(&mut self) {
        while !matches!(self.hear().await, Heard::Gone) {}
    }

    /// Whether a report comes in this time.
    pub(crate) async fn hears_no_report_for(&mut self, wait: Duration) -> bool {
        let heard = time::timeout(wait, async {
            while !matches!(self.heard.recv().await, Some(Heard::Report(_)) | None) {}
        });
        heard.await.is_err()
    }

    /// What is held of an attempt's output, and whether that is all.
    pub(crate) fn output(&self, fence: &Fence) -> Held {
        let outputs = self.shared.outputs.lock().unwrap();
        outputs
            .get(&(fence.rollout.clone(), fence.attempt))
            .cloned()
            .unwrap_or_default()
    }

    /// Waits for all of an attempt's output.
    pub(crate) async fn whole_output(&self, fence: &Fence) -> String {
        let whole = async {
            loop {
                if let (output, true) = self.output(fence) {
                    return String::from_utf8(output).unwrap();
                }
                time::sleep(Duration::from_millis(20)).await;
            }
        };
        time::timeout(SOON, whole).await.expect("the output comes whole")
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

fn server_tls(issuer: &Issuer<'static, KeyPair>, ca_pem: &str) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["echelon-coordinator".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    config
}

fn accept(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) -> mpsc::Receiver<io::Result<Io>> {
    let (tx, rx) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = tx.closed() => return,
            };
            let (tcp, _) = accepted.unwrap();
            let Ok(stream) = tls.accept(tcp).await else { continue };
            if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                shared.resumed.fetch_add(1, Ordering::SeqCst);
            }
            if tx.send(Ok(Io(stream))).await.is_err() {
                return;
            }
        }
    });
    rx
}

struct Io(TlsStream<TcpStream>);

/// Whether the peer showed a certificate of the CA.
#[derive(Debug, Clone)]
struct Peer(bool);

impl Connected for Io {
    type ConnectInfo = Peer;
    fn connect_info(&self) -> Peer {
        Peer(self.0.get_ref().1.peer_certificates().is_some())
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct Service {
    shared: Arc<Shared>,
}

impl Service {
    fn sign(&self, csr_pem: &str) -> Result<Response<JoinResponse>, Status> {
        let csr = CertificateSigningRequestParams::from_pem(csr_pem);
        let mut csr = csr.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let not_after = now + Duration::from_secs(self.shared.certificate_secs.load(Ordering::SeqCst));
        csr.params.not_before = epoch + now;
        csr.params.not_after = epoch + not_after;
        csr.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = csr.signed_by(&self.shared.issuer).unwrap();
        Ok(Response::new(JoinResponse {
            certificate_pem: certificate.pem(),
            ca_pem: self.shared.ca_pem.clone(),
            not_after_ms: i64::try_from(not_after.as_millis()).unwrap(),
        }))
    }
}

fn authenticated<T>(request: &Request<T>) -> Result<(), Status> {
    match request.extensions().get::<Peer>() {
        Some(Peer(true)) => Ok(()),
        _ => Err(Status::unauthenticated("no client certificate")),
    }
}

type Answers<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Link for Service {
    type AttachStream = Answers<CoordinatorMessage>;
    type SendOutputStream = Answers<OutputAck>;

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let join = request.into_inner();
        if !self.shared.tokens.lock().unwrap().remove(&join.token) {
            return Err(Status::permission_denied("the token is unknown, used or expired"));
        }
        self.sign(&join.csr_pem)
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<JoinResponse>, Status> {
        authenticated(&request)?;
        self.shared.renewed.fetch_add(1, Ordering::SeqCst);
        self.sign(&request.into_inner().csr_pem)
    }

    async fn attach(&self, request: Request<Streaming<AgentMessage>>) -> Result<Response<Self::AttachStream>, Status> {
        authenticated(&request)?;
        let (tx, rx) = mpsc::channel(64);
        let shared = self.shared.clone();
        let beat = shared.heartbeat_ms.load(Ordering::SeqCst);
        let welcome = Say::Welcome(Welcome {
            term: 1,
            heartbeat_ms: beat,
        });
        let _ = tx.try_send(Ok(CoordinatorMessage { body: Some(welcome) }));
        tokio::spawn(beats(shared.clone(), tx.clone(), beat));
        tokio::spawn(listen(shared, tx, request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(rx))))
    }

    async fn send_output(
        &self,
        request: Request<Streaming<OutputChunk>>,
    ) -> Result<Response<Self::SendOutputStream>, Status> {
        authenticated(&request)?;
        let (tx, rx) = mpsc::channel(64);
        tokio::spawn(take_output(self.shared.clone(), tx, request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(rx))))
    }
}

type Answer = mpsc::Sender<Result<CoordinatorMessage, Status>>;

async fn beats(shared: Arc<Shared>, tx: Answer, ms: u32) {
    loop {
        time::sleep(Duration::from_millis(u64::from(ms / 2))).await;
        let beat = Say::Heartbeat(echelon_proto::wire::link::Heartbeat {});
        if shared.is_mute.load(Ordering::SeqCst) {
            continue;
        }
        if tx.send(Ok(CoordinatorMessage { body: Some(beat) })).await.is_err() {
            return;
        }
    }
}

async fn listen(shared: Arc<Shared>, tx: Answer, mut messages: Streaming<AgentMessage>) {
    loop {
        let message = tokio::select! {
            message = messages.message() => message,
            () = tx.closed() => break,
        };
        let Ok(Some(message)) = message else { break };
        if shared.is_mute.load(Ordering::SeqCst) {
            continue;
        }
        let heard = match message.body {
            Some(Body::Hello(hello)) => {
                shared.sessions.lock().unwrap().push(tx.clone());
                Heard::Attached(hello)
            }
            Some(Body::Report(report)) => Heard::Report(report),
            Some(Body::Health(health)) => Heard::Health(health),
            Some(Body::Prefetched(prefetched)) => Heard::Prefetched(prefetched),
            Some(Body::Samples(samples)) => Heard::Samples(samples),
            Some(Body::Answer(answer)) => Heard::Answer(answer),
            Some(Body::Heartbeat(_)) => {
                shared.beats.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            None => continue,
        };
        let _ = shared.heard.send(heard).await;
    }
    let _ = shared.heard.send(Heard::Gone).await;
}

async fn take_output(
    shared: Arc<Shared>,
    tx: mpsc::Sender<Result<OutputAck, Status>>,
    mut chunks: Streaming<OutputChunk>,
) {
    while let Ok(Some(chunk)) = chunks.message().await {
        let fence = chunk.fence.unwrap();
        let offset = {
            let mut outputs = shared.outputs.lock().unwrap();
            let (held, whole) = outputs.entry((fence.rollout.clone(), fence.attempt)).or_default();
            let from = usize::try_from(chunk.offset).unwrap();
            if let Some(known) = held.len().checked_sub(from).filter(|known| *known <= chunk.data.len()) {
                held.extend_from_slice(&chunk.data[known..]);
                *whole |= chunk.last;
            }
            held.len() as u64
        };
        let ack = OutputAck {
            fence: Some(fence),
            offset,
        };
        if tx.send(Ok(ack)).await.is_err() {
            return;
        }
    }
}
