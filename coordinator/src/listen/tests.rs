//! The listener against real sockets: good peers, silent ones, strangers, and those without a right to be here.

use std::{
    collections::BTreeMap,
    env, fs,
    process::{Command, Stdio},
};

use echelon_proto::{HostId, Person, Span};
use futures::StreamExt as _;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::pki::{Authority, Identity, Role};

/// For each await of a test: a bound, not a measure.
const LONG: Duration = Duration::from_secs(60);

struct House {
    _folder: TempDir,
    authority: Authority,
}

type Key = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl House {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("pki");
        let authority = Authority::init(&path, &[], &Person::new("root").unwrap(), now()).unwrap();
        Self {
            _folder: folder,
            authority,
        }
    }

    fn listen(&self, client: ClientCertificate, bounds: Bounds) -> Incoming {
        let server = self.authority.server(now()).unwrap();
        let tls = server_config(server, self.authority.ca_der(), client).unwrap();
        Incoming::of(bind("127.0.0.1:0".parse().unwrap()).unwrap(), tls, bounds).unwrap()
    }

    fn person(&self, ttl: Span, begin: Time) -> Key {
        let alice = Person::new("alice").unwrap();
        let issued = self.authority.issue_person(&alice, Role::Deployer, ttl, begin).unwrap();
        key(&issued.cert_pem, &issued.key_pem)
    }

    fn host(&self, name: &str) -> Key {
        let pair = rcgen::KeyPair::generate().unwrap();
        let csr = rcgen::CertificateParams::default().serialize_request(&pair).unwrap();
        let name = HostId::new(name).unwrap();
        let issued = self.authority.issue_host(&csr.pem().unwrap(), &name, now()).unwrap();
        key(&issued.pem, &pair.serialize_pem())
    }

    fn client(&self, key: Option<Key>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.ca_der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match key {
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config).into()
    }
}

fn key(certificate: &str, key: &str) -> Key {
    (
        CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap(),
        PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
    )
}

async fn dial(client: &TlsConnector, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    client.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// True when the server has closed or refused: in TLS 1.3 a client hears of it on its first read.
async fn is_shut_out(client: &TlsConnector, address: SocketAddr) -> bool {
    let attempt = async {
        let mut stream = dial(client, address).await?;
        stream.read_u8().await
    };
    timeout(LONG, attempt).await.unwrap().is_err()
}

async fn next(incoming: &mut Incoming) -> Connection {
    timeout(LONG, incoming.next()).await.unwrap().unwrap().unwrap()
}

fn identity(connection: &Connection) -> Option<Identity> {
    use tonic::transport::server::Connected as _;
    connection.connect_info().identity
}

#[tokio::test]
async fn a_connection_says_whom_its_certificate_names() {
    let house = House::new();
    let mut incoming = house.listen(ClientCertificate::Optional, Bounds::default());
    let address = incoming.local_addr();
    let host = Identity::Host(HostId::new("web-1").unwrap());
    let alice = Identity::Person {
        name: Person::new("alice").unwrap(),
        role: Role::Deployer,
    };
    for (key, want) in [
        (Some(house.host("web-1")), Some(host)),
        (Some(house.person(Span::secs(60), now())), Some(alice)),
        (None, None),
    ] {
        let client = house.client(key);
        let mut stream = dial(&client, address).await.unwrap();
        let mut connection = next(&mut incoming).await;
        assert_eq!(identity(&connection), want);
        stream.write_all(b"ping").await.unwrap();
        let mut got = [0; 4];
        connection.read_exact(&mut got).await.unwrap();
        connection.write_all(&got).await.unwrap();
        connection.flush().await.unwrap();
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"ping");
    }
}

#[tokio::test]
async fn where_a_certificate_is_required_nobody_comes_in_without_a_good_one() {
    let house = House::new();
    let mut incoming = house.listen(ClientCertificate::Required, Bounds::default());
    let address = incoming.local_addr();
    let other = House::new();
    let long_ago = Time(now().0 - 2 * 24 * 3_600_000);
    let expired = house.person(Span::secs(60), long_ago);
    for key in [None, Some(other.host("web-1")), Some(expired)] {
        assert!(is_shut_out(&house.client(key), address).await);
    }
    let client = house.client(Some(house.host("web-2")));
    let _stream = dial(&client, address).await.unwrap();
    let host = Identity::Host(HostId::new("web-2").unwrap());
    assert_eq!(
        identity(&next(&mut incoming).await),
        Some(host),
        "the first that comes in"
    );
}

#[tokio::test]
async fn a_wrong_certificate_is_refused_where_none_would_do() {
    let house = House::new();
    let incoming = house.listen(ClientCertificate::Optional, Bounds::default());
    let other = House::new();
    assert!(is_shut_out(&house.client(Some(other.host("web-1"))), incoming.local_addr()).await);
}

#[tokio::test]
async fn who_is_refused_reads_why_though_it_has_spoken_already() {
    let house = House::new();
    let incoming = house.listen(ClientCertificate::Required, Bounds::default());
    let other = House::new();
    for _ in 0..20 {
        let client = house.client(Some(other.host("web-1")));
        let attempt = async {
            let mut stream = dial(&client, incoming.local_addr()).await?;
            // As HTTP/2 does, in pieces that arrive while the refusal is on its way.
            for _ in 0..4 {
                stream.write_all(&[0; 256]).await?;
                stream.flush().await?;
                tokio::task::yield_now().await;
            }
            stream.read_u8().await
        };
        let error = timeout(LONG, attempt).await.unwrap().unwrap_err();
        let told = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        assert!(matches!(told, Some(rustls::Error::AlertReceived(_))), "{error:?}");
    }
}

#[tokio::test]
async fn the_second_handshake_of_an_agent_is_a_short_one_and_still_says_who_it_is() {
    let house = House::new();
    let mut incoming = house.listen(ClientCertificate::Optional, Bounds::default());
    let client = house.client(Some(house.host("web-1")));
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut stream = dial(&client, incoming.local_addr()).await.unwrap();
        let mut connection = next(&mut incoming).await;
        let host = Identity::Host(HostId::new("web-1").unwrap());
        assert_eq!(identity(&connection), Some(host));
        // Tickets come with the first data.
        connection.write_all(b"x").await.unwrap();
        connection.flush().await.unwrap();
        stream.read_u8().await.unwrap();
        let tls: &ClientConnection = stream.get_ref().1;
        kinds.push(tls.handshake_kind());
    }
    assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]);
}

#[tokio::test]
async fn a_ticket_is_worth_nothing_once_its_certificate_has_expired() {
    let house = House::new();
    let server = house.authority.server(now()).unwrap();
    let tls = server_config(server, house.authority.ca_der(), ClientCertificate::Optional).unwrap();
    let client = house.client(Some(house.person(Span::secs(3600), now())));
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();

    let mut today = Incoming::of(bind(any).unwrap(), tls.clone(), Bounds::default()).unwrap();
    let mut stream = dial(&client, today.local_addr()).await.unwrap();
    let mut connection = next(&mut today).await;
    connection.write_all(b"x").await.unwrap();
    connection.flush().await.unwrap();
    stream.read_u8().await.unwrap();

    let clock = || now() + Span::secs(2 * 3600);
    let later = Incoming::with_clock(bind(any).unwrap(), tls, Bounds::default(), clock).unwrap();
    assert!(is_shut_out(&client, later.local_addr()).await);
}

#[tokio::test]
async fn silent_peers_give_their_places_back_and_keep_nobody_out() {
    let house = House::new();
    let bounds = Bounds {
        handshakes_max: 2,
        handshake: Duration::from_millis(100),
        ..Bounds::default()
    };
    let mut incoming = house.listen(ClientCertificate::Optional, bounds);
    let address = incoming.local_addr();
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let client = house.client(Some(house.host("web-1")));
    let (stream, _connection) = tokio::join!(dial(&client, address), next(&mut incoming));
    stream.unwrap();
    for mut stream in silent {
        assert!(timeout(LONG, stream.read_u8()).await.unwrap().is_err());
    }
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_and_a_free_place_is_taken_again() {
    let house = House::new();
    let bounds = Bounds {
        connections_max: 1,
        ..Bounds::default()
    };
    let mut incoming = house.listen(ClientCertificate::Optional, bounds);
    let client = house.client(Some(house.host("web-1")));
    let _first = dial(&client, incoming.local_addr()).await.unwrap();
    let connection = next(&mut incoming).await;
    assert!(is_shut_out(&client, incoming.local_addr()).await);
    drop(connection);
    let _second = dial(&client, incoming.local_addr()).await.unwrap();
    next(&mut incoming).await;
}

#[tokio::test]
async fn strangers_are_few_and_do_not_stay() {
    let house = House::new();
    let bounds = Bounds {
        strangers_max: 1,
        stranger: Duration::from_millis(200),
        ..Bounds::default()
    };
    let mut incoming = house.listen(ClientCertificate::Optional, bounds);
    let stranger = house.client(None);
    let _stream = dial(&stranger, incoming.local_addr()).await.unwrap();
    let mut connection = next(&mut incoming).await;
    assert!(is_shut_out(&stranger, incoming.local_addr()).await, "a second stranger");
    let agent = house.client(Some(house.host("web-1")));
    let _agent = dial(&agent, incoming.local_addr()).await.unwrap();
    next(&mut incoming).await;
    let end = timeout(LONG, connection.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_comes_back_at_once_all_comes_in() {
    // A tenth of the goal: both ends' file descriptors are this process's, and a usual limit is 1,024.
    const AGENTS: usize = 200;
    let house = House::new();
    let bounds = Bounds {
        handshakes_max: 16,
        ..Bounds::default()
    };
    let mut incoming = house.listen(ClientCertificate::Optional, bounds);
    let address = incoming.local_addr();
    let agents: Vec<_> = (0..AGENTS)
        .map(|n| {
            let client = house.client(Some(house.host(&format!("web-{n}"))));
            tokio::spawn(async move { dial(&client, address).await.unwrap() })
        })
        .collect();
    let mut seen = BTreeMap::new();
    while seen.len() < AGENTS {
        let connection = next(&mut incoming).await;
        seen.insert(format!("{:?}", identity(&connection)), connection);
    }
    for agent in agents {
        timeout(LONG, agent).await.unwrap().unwrap();
    }
}

const CHILD: &str = "ECHELON_LISTEN_TEST_CHILD";

#[test]
fn out_of_file_descriptors_it_waits_and_then_goes_on() {
    if env::var_os(CHILD).is_some() {
        return starve();
    }
    // In a process of its own, whose limit on files hurts no other test.
    let output = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "listen::tests::out_of_file_descriptors_it_waits_and_then_goes_on",
        ])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::main(flavor = "current_thread")]
async fn starve() {
    let house = House::new();
    let mut incoming = house.listen(ClientCertificate::Optional, Bounds::default());
    let client = house.client(Some(house.host("web-1")));
    let socket = TcpSocket::new_v4().unwrap();
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        hoard.push(file);
    }
    // The kernel takes the connection; the accept fails for want of a descriptor.
    let stream = socket.connect(incoming.local_addr()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let agent = tokio::spawn(async move { client.connect(name, stream).await });
    let used = || {
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
        usage.user_time().tv_sec() * 1000 + usage.user_time().tv_usec() / 1000
    };
    let before = used();
    assert!(timeout(Duration::from_millis(1500), incoming.next()).await.is_err());
    assert!(used() - before < 750, "it spun while it could not accept");
    drop(hoard);
    next(&mut incoming).await;
    agent.await.unwrap().unwrap();
}
