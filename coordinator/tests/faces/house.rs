//! A coordinator in a folder of its own, as a process, and whoever wants to talk to it.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use echelon_coordinator::{
    driver::wall,
    pki::{Authority, Role},
    serve::Addresses,
};
use echelon_proto::{
    Person, Span,
    wire::{
        control::{self, control_client::ControlClient},
        link::{JoinRequest, link_client::LinkClient},
    },
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint, Uri},
};
use tonic_types::StatusExt as _;

/// For each await of a test: a bound, not a measure.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What the coordinators of these tests are told: sessions that end soon when silent.
const FLAGS: [&str; 4] = ["--heartbeat-ms", "500", "--unreachable-after", "5s"];

pub(crate) type Key = (CertificateDer<'static>, PrivateKeyDer<'static>);

pub(crate) struct House {
    folder: TempDir,
    child: Child,
    pub(crate) addresses: Addresses,
}

impl House {
    /// Initialised and started.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let init = program().args(["init", "--data"]).arg(&data).output().unwrap();
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let (child, addresses) = start(&data);
        Self {
            folder,
            child,
            addresses,
        }
    }

    /// The same, but no file of the coordinator may grow beyond so many blocks of 512 bytes: as a full disk is.
    pub(crate) fn with_blocks(blocks: u32) -> Self {
        let mut house = Self::new();
        house.child.kill().unwrap();
        house.child.wait().unwrap();
        let mut shell = Command::new("sh");
        // Ignored, the signal of a file that is too big becomes an error of the write.
        let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        shell.args(["-c", &limit, env!("CARGO_BIN_EXE_echelon-coordinator")]);
        shell.env("RUST_LOG", "off").stdin(Stdio::null());
        (house.child, house.addresses) = start_by(shell, &house.data());
        house
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// kill -9, and once more from what is on the disk.
    pub(crate) fn kill_and_start_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.addresses) = start(&self.data());
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.wait().await
    }

    /// How it ended, by itself or told to.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        // Not by blocking: the test's own clients have to go on in the meantime.
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LONG, ended).await.expect("it ends in time")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn authority(&self) -> Authority {
        Authority::open(&self.data().join("pki")).unwrap()
    }

    /// A person with this role.
    pub(crate) async fn person(&self, name: &str, role: Role) -> ControlClient<Channel> {
        let name = Person::new(name).unwrap();
        let issued = self
            .authority()
            .issue_person(&name, role, Span::secs(3600), wall())
            .unwrap();
        let key = key(&issued.cert_pem, &issued.key_pem);
        ControlClient::new(self.channel(self.addresses.people, Some(key)).await.unwrap())
    }

    /// Somebody without a certificate, at the agents' door.
    pub(crate) async fn stranger(&self) -> LinkClient<Channel> {
        LinkClient::new(self.channel(self.addresses.agents, None).await.unwrap())
    }

    /// The agent of a host that has joined.
    pub(crate) async fn link(&self, host: &Joined) -> LinkClient<Channel> {
        LinkClient::new(self.channel(self.addresses.agents, Some(host.key())).await.unwrap())
    }

    /// A token by an admin, then a join with it.
    pub(crate) async fn join(&self, host: &str, datacenter: &str) -> Joined {
        let token = self.token(host, datacenter).await;
        let (request, key_pem) = join_request(host, &token);
        let answer = self.stranger().await.join(request).await.unwrap().into_inner();
        Joined {
            certificate_pem: answer.certificate_pem,
            key_pem,
        }
    }

    pub(crate) async fn token(&self, host: &str, datacenter: &str) -> String {
        let request = control::CreateJoinTokenRequest {
            host: host.into(),
            datacenter: datacenter.into(),
            pool: "web".into(),
            labels: [("app".into(), "web".into())].into(),
        };
        let mut admin = self.person("root", Role::Admin).await;
        admin.create_join_token(request).await.unwrap().into_inner().token
    }

    pub(crate) async fn channel(
        &self,
        address: SocketAddr,
        key: Option<Key>,
    ) -> Result<Channel, tonic::transport::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority().ca_der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match key {
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        let dial = tower::service_fn(move |_: Uri| {
            let tls = tls.clone();
            async move {
                let stream = TcpStream::connect(address).await?;
                let name = ServerName::try_from("localhost").unwrap();
                std::io::Result::Ok(TokioIo::new(tls.connect(name, stream).await?))
            }
        });
        Endpoint::from_static("https://localhost")
            .connect_with_connector(dial)
            .await
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A host's certificate.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Joined {
    pub(crate) fn key(&self) -> Key {
        key(&self.certificate_pem, &self.key_pem)
    }
}

pub(crate) fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_echelon-coordinator"));
    program.env("RUST_LOG", "warn").stdin(Stdio::null());
    program
}

fn start(data: &std::path::Path) -> (Child, Addresses) {
    start_by(program(), data)
}

fn start_by(mut program: Command, data: &std::path::Path) -> (Child, Addresses) {
    let mut child = program
        .args([
            "serve",
            "--listen-agents",
            "127.0.0.1:0",
            "--listen-people",
            "127.0.0.1:0",
            "--data",
        ])
        .arg(data)
        .args(FLAGS)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let text = std::fs::read_to_string(data.join(Addresses::FILE)).unwrap();
    let addresses: Addresses = serde_json::from_str(&text).unwrap();
    let said = format!(
        "echelon-coordinator: agents {}, people {}\n",
        addresses.agents, addresses.people
    );
    assert_eq!(line, said);
    (child, addresses)
}

fn key(certificate: &str, key: &str) -> Key {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    (certificate, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
}

/// With a key of its own.
pub(crate) fn join_request(host: &str, token: &str) -> (JoinRequest, String) {
    let pair = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::default().serialize_request(&pair).unwrap();
    let request = JoinRequest {
        host: host.into(),
        token: token.into(),
        csr_pem: csr.pem().unwrap(),
    };
    (request, pair.serialize_pem())
}

/// Code and `ErrorInfo.reason`.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    let reason = status.get_error_details().error_info().map(|info| info.reason.clone());
    (status.code(), reason.unwrap_or_default())
}
