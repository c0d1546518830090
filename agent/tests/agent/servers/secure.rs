//! The same over TLS: who it is matters before what it says.

use std::{fs, sync::Arc};

use echelon_agent::order::{Outcome, PhaseResult};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{
    converse,
    mischief::{Script, answer, good},
};
use crate::{
    artifacts::{archive, install},
    host::OneHost,
};

/// An authority, and servers that it vouches for.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn vouches_for(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let chain = vec![CertificateDer::from(certificate)];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }
}

async fn listen(acceptor: TlsAcceptor, script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, script) = (acceptor.clone(), script.clone());
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await?;
                converse(stream, &script, &Default::default()).await
            });
        }
    });
    format!("https://localhost:{port}/web.tar.gz")
}

/// A host that trusts this authority.
fn host(trusted: &Authority) -> OneHost {
    OneHost::with(|folder, settings| {
        let ca = folder.join("more.pem");
        fs::write(&ca, trusted.0.pem()).unwrap();
        settings.artifacts.ca = Some(ca);
    })
}

async fn fetched(trusted: &Authority, acceptor: TlsAcceptor, script: Script) -> (Outcome, OneHost) {
    let (host, body) = (host(trusted), archive("web"));
    let url = listen(acceptor, script).await;
    (host.run(install("1.0", &url, &body)).await, host)
}

fn well() -> Script {
    let body = archive("web");
    Arc::new(move |ask| good(&body, ask))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_server_that_is_vouched_for_under_its_name_is_asked() {
    let (ours, other) = (Authority::new(), Authority::new());
    let (outcome, host) = fetched(&ours, ours.vouches_for("localhost", |_| {}), well()).await;
    assert_eq!(
        (outcome.result, host.current().as_str()),
        (PhaseResult::Done, "web"),
        "{}",
        outcome.message
    );

    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    for (acceptor, why) in [
        (ours.vouches_for("elsewhere.example", |_| {}), "not valid for name"),
        (ours.vouches_for("localhost", expired), "expired"),
        (
            other.vouches_for("localhost", |_| {}),
            "invalid peer certificate: BadSignature",
        ),
    ] {
        let (outcome, host) = fetched(&ours, acceptor, well()).await;
        assert_eq!(outcome.result, PhaseResult::Failed, "{}", outcome.message);
        assert!(outcome.message.contains(why), "wanted {why:?}: {}", outcome.message);
        assert!(
            !outcome.message.contains("bytes are kept"),
            "tried again: {}",
            outcome.message
        );
        assert!(host.stored().is_empty() && host.releases().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secure_server_does_not_lead_to_an_open_one() {
    let ours = Authority::new();
    let lead: Script = Arc::new(|_| {
        let lines = "location: http://127.0.0.1:1/web.tar.gz?signature=abc\r\n";
        vec![super::Step::Send(answer("307 Temporary Redirect", lines, b""))]
    });
    let (outcome, _host) = fetched(&ours, ours.vouches_for("localhost", |_| {}), lead).await;
    assert_eq!(outcome.result, PhaseResult::Failed);
    assert!(
        outcome.message.contains("it leads from https to http://127.0.0.1") && !outcome.message.contains("abc"),
        "{}",
        outcome.message
    );
}
