//! What the authority signs, and what it refuses to.

use std::os::unix::fs::PermissionsExt as _;

use rcgen::{CertificateSigningRequest, KeyPair};
use tempfile::TempDir;

use super::*;
use crate::pki::{Identity, Peer};

const NOW: Time = Time(1_800_000_000_000);

fn alice() -> Person {
    Person::new("alice").unwrap()
}

fn authority(parent: &TempDir, names: &[&str]) -> Authority {
    let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
    Authority::init(&parent.path().join("pki"), &names, &alice(), NOW).unwrap()
}

fn request(params: &CertificateParams) -> CertificateSigningRequest {
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap()
}

fn read(pem: &str) -> Peer {
    Peer::read(&CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap()
}

#[test]
fn init_gives_an_authority_whose_keys_only_the_owner_reads() {
    let parent = TempDir::new().unwrap();
    let folder = authority(&parent, &[]).folder;
    for (name, mode) in [
        ("ca.pem", 0o644),
        ("ca.key", 0o600),
        ("server.pem", 0o600),
        ("admin.pem", 0o644),
        ("admin.key", 0o600),
    ] {
        let found = fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
    let admin = read(&fs::read_to_string(folder.join("admin.pem")).unwrap());
    assert_eq!(
        admin.identity,
        Identity::Person {
            name: alice(),
            role: Role::Admin
        }
    );
    assert_eq!(
        fs::read_dir(parent.path()).unwrap().count(),
        1,
        "no rest of the building"
    );
}

#[test]
fn init_touches_nothing_where_an_authority_is() {
    let parent = TempDir::new().unwrap();
    let before = authority(&parent, &[]).ca_pem().to_owned();
    let folder = parent.path().join("pki");
    let error = Authority::init(&folder, &[], &alice(), NOW).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    assert_eq!(Authority::open(&folder).unwrap().ca_pem(), before);
}

#[test]
fn a_bad_server_name_leaves_nothing_behind() {
    let parent = TempDir::new().unwrap();
    let error = Authority::init(&parent.path().join("pki"), &["no name".into()], &alice(), NOW).unwrap_err();
    assert!(matches!(error, Error::ServerName { .. }), "{error}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_or_foreign_key_is_told() {
    let parent = TempDir::new().unwrap();
    let folder = authority(&parent, &[]).folder;
    assert!(matches!(Authority::open(parent.path()), Err(Error::Missing { .. })));
    fs::write(folder.join("ca.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = Authority::open(&folder).unwrap_err();
    assert!(error.to_string().contains("the key of ca.pem"), "{error}");
}

#[test]
fn a_host_gets_its_name_for_a_day_and_none_of_its_other_wishes() {
    let parent = TempDir::new().unwrap();
    let authority = authority(&parent, &[]);
    let mut wishes = CertificateParams::new(vec!["coordinator.example".into()]).unwrap();
    wishes.distinguished_name.push(DnType::CommonName, "root");
    wishes.subject_alt_names.push(uri(ROLE, "admin").unwrap());
    wishes.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wishes.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    wishes.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];

    let host = HostId::new("web-1.dc1").unwrap();
    let given = authority
        .issue_host(&request(&wishes).pem().unwrap(), &host, NOW)
        .unwrap();
    let peer = read(&given.pem);
    assert_eq!(peer.identity, Identity::Host(host));
    assert_eq!(peer.not_after, given.not_after);
    assert_eq!(given.not_after, NOW + Span::secs(24 * 3600));

    let der = CertificateDer::from_pem_slice(given.pem.as_bytes()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert!(!certificate.is_ca());
    assert_eq!(certificate.subject().to_string(), "CN=web-1.dc1");
    let usage = certificate.extended_key_usage().unwrap().unwrap();
    assert!(usage.value.client_auth && !usage.value.server_auth);
    assert_eq!(validity_and_names(&der).unwrap().1, ["web-1.dc1"]);
}

#[test]
fn a_host_whose_name_is_no_dns_name_gets_a_certificate_all_the_same() {
    let parent = TempDir::new().unwrap();
    let host = HostId::new("web+1").unwrap();
    let csr = request(&CertificateParams::default()).pem().unwrap();
    let given = authority(&parent, &[]).issue_host(&csr, &host, NOW).unwrap();
    assert_eq!(read(&given.pem).identity, Identity::Host(host));
}

#[test]
fn a_request_not_signed_by_its_own_key_is_refused() {
    let parent = TempDir::new().unwrap();
    let authority = authority(&parent, &[]);
    let host = HostId::new("h1").unwrap();
    let mut der = request(&CertificateParams::default()).der().to_vec();
    // The last byte is the signature's.
    *der.last_mut().unwrap() ^= 1;
    let pem = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &der)
    );
    let error = authority.issue_host(&pem, &host, NOW).unwrap_err();
    assert!(error.to_string().contains("signature"), "{error}");
    for bad in ["", "hello", &"x".repeat(20_000)] {
        assert!(matches!(
            authority.issue_host(bad, &host, NOW),
            Err(Error::Request { .. })
        ));
    }
}

#[test]
fn the_servers_certificate_is_renewed_in_its_last_month_and_keeps_its_names() {
    let parent = TempDir::new().unwrap();
    let authority = authority(&parent, &["coordinator.example", "::1", "localhost"]);
    let first = authority.server(NOW).unwrap().certificate;
    let later = NOW + Span::secs(334 * 24 * 3600);
    assert_eq!(authority.server(later).unwrap().certificate, first);
    let last_month = NOW + Span::secs(336 * 24 * 3600);
    let second = authority.server(last_month).unwrap().certificate;
    assert_ne!(second, first);
    assert_eq!(authority.server(last_month).unwrap().certificate, second);
    let (not_after, names) = validity_and_names(&second).unwrap();
    assert_eq!(not_after, last_month + SERVER_LIFE);
    let all = [
        "localhost",
        "127.0.0.1",
        "echelon-coordinator",
        "coordinator.example",
        "::1",
    ];
    assert_eq!(names, all);
}
