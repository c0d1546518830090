//! Hosts join, attach, and speak of themselves only.

use std::time::Duration;

use echelon_coordinator::pki::Role;
use echelon_proto::wire::{
    control,
    link::{Fence, OutputChunk, PhaseResult, RenewRequest, Report, agent_message},
};
use tonic::Code;

use crate::{
    agent::{Agent, hello},
    house::{House, Joined, join_request, refusal},
};

#[tokio::test]
async fn a_token_lets_its_host_in_once_and_nobody_else() {
    let house = House::new();
    let token = house.token("h1", "dc1").await;
    let mut stranger = house.stranger().await;
    let bad_token = (Code::PermissionDenied, "BAD_TOKEN".to_owned());
    for (host, token) in [("h2", token.as_str()), ("h1", "made-up")] {
        assert_eq!(refusal(stranger.join(join_request(host, token).0).await), bad_token);
    }
    // A request that cannot be signed does not cost the token.
    let (mut request, key_pem) = join_request("h1", &token);
    let csr = std::mem::replace(&mut request.csr_pem, "no request".into());
    assert_eq!(refusal(stranger.join(request.clone()).await).0, Code::InvalidArgument);
    request.csr_pem = csr;
    let joined = stranger.join(request.clone()).await.unwrap().into_inner();
    assert_eq!(refusal(stranger.join(request).await), bad_token);

    let host = Joined {
        certificate_pem: joined.certificate_pem,
        key_pem,
    };
    let mut agent = Agent::attach(&house, &host).await.unwrap();
    assert!(agent.hears_nothing().await);
    let mut viewer = house.person("vera", Role::Viewer).await;
    let seen = viewer
        .get_host(control::GetHostRequest {
            name: "hosts/h1".into(),
        })
        .await
        .unwrap()
        .into_inner();
    assert!(seen.attached, "{seen:?}");
    assert_eq!(
        (
            seen.datacenter.as_str(),
            seen.pool.as_str(),
            seen.labels["app"].as_str()
        ),
        ("dc1", "web", "web")
    );
}

#[tokio::test]
async fn nothing_but_join_is_open_to_a_stranger_and_nothing_to_a_person() {
    let house = House::new();
    let mut stranger = house.stranger().await;
    let renew = RenewRequest {
        csr_pem: join_request("h1", "").0.csr_pem,
    };
    assert_eq!(refusal(stranger.renew(renew.clone()).await).0, Code::Unauthenticated);
    assert_eq!(
        refusal(stranger.attach(tokio_stream::empty()).await).0,
        Code::Unauthenticated
    );
    assert_eq!(
        refusal(stranger.send_output(tokio_stream::empty()).await).0,
        Code::Unauthenticated
    );

    let issued = house.authority().issue_person(
        &"root".parse().unwrap(),
        Role::Admin,
        echelon_proto::Span::secs(60),
        echelon_coordinator::driver::wall(),
    );
    let issued = issued.unwrap();
    let person = Joined {
        certificate_pem: issued.cert_pem,
        key_pem: issued.key_pem,
    };
    let mut person = house.link(&person).await;
    assert_eq!(refusal(person.renew(renew).await).0, Code::PermissionDenied);
    assert_eq!(
        refusal(person.attach(tokio_stream::empty()).await).0,
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn a_host_renews_its_certificate_and_goes_on_with_it() {
    let house = House::new();
    let host = house.join("h1", "dc1").await;
    let (request, key_pem) = join_request("another-name", "");
    let renewed = house
        .link(&host)
        .await
        .renew(RenewRequest {
            csr_pem: request.csr_pem,
        })
        .await
        .unwrap()
        .into_inner();
    let renewed = Joined {
        certificate_pem: renewed.certificate_pem,
        key_pem,
    };
    Agent::attach(&house, &renewed).await.unwrap();

    let never_joined = signed(&house, "h9");
    let mut client = house.link(&never_joined).await;
    let renew = RenewRequest {
        csr_pem: join_request("h9", "").0.csr_pem,
    };
    assert_eq!(refusal(client.renew(renew).await).0, Code::PermissionDenied);
    assert_eq!(
        refusal(Agent::attach(&house, &never_joined).await.map(drop)).0,
        Code::NotFound
    );
}

/// A certificate of the authority for a host that never joined.
fn signed(house: &House, host: &str) -> Joined {
    let (request, key_pem) = join_request(host, "");
    let host = host.parse().unwrap();
    let issued = house
        .authority()
        .issue_host(&request.csr_pem, &host, echelon_coordinator::driver::wall())
        .unwrap();
    Joined {
        certificate_pem: issued.pem,
        key_pem,
    }
}

#[tokio::test]
async fn a_host_that_speaks_of_another_is_cut_off() {
    let house = House::new();
    let host = house.join("h1", "dc1").await;
    let other = Fence {
        term: 1,
        rollout: "r1".into(),
        host: "h2".into(),
        phase: "install".into(),
        attempt: 1,
    };

    let mut said = hello();
    said.running.push(other.clone());
    assert_eq!(
        refusal(Agent::attach_with(&house, &host, said).await.map(drop)).0,
        Code::PermissionDenied
    );

    let mut agent = Agent::attach(&house, &host).await.unwrap();
    let report = Report {
        fence: Some(other.clone()),
        result: PhaseResult::Done.into(),
        ..Report::default()
    };
    agent.say(agent_message::Body::Report(report)).await;
    assert_eq!(refusal(agent.hear().await).0, Code::PermissionDenied);

    let chunk = OutputChunk {
        fence: Some(other),
        data: "lies".into(),
        ..OutputChunk::default()
    };
    let mut acks = house
        .link(&host)
        .await
        .send_output(tokio_stream::once(chunk))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(refusal(acks.message().await).0, Code::PermissionDenied);
}

#[tokio::test]
async fn the_newest_session_of_a_host_wins() {
    let house = House::new();
    let host = house.join("h1", "dc1").await;
    let mut first = Agent::attach(&house, &host).await.unwrap();
    let mut second = Agent::attach(&house, &host).await.unwrap();
    assert_eq!(refusal(first.hear().await).0, Code::Aborted);
    assert!(second.hears_nothing().await);
}

#[tokio::test]
async fn a_silent_agent_is_out_of_reach_and_one_that_wrote_too_much_is_told() {
    let house = House::new();
    let host = house.join("h1", "dc1").await;
    let mut said = hello();
    said.agent_version = "x".repeat(1000);
    assert_eq!(
        refusal(Agent::attach_with(&house, &host, said).await.map(drop)).0,
        Code::InvalidArgument
    );

    // Held, and never read: it sends no heartbeat.
    let _silent = Agent::attach(&house, &host).await.unwrap();
    let mut viewer = house.person("vera", Role::Viewer).await;
    let request = || control::GetHostRequest {
        name: "hosts/h1".into(),
    };
    assert!(viewer.get_host(request()).await.unwrap().into_inner().attached);
    for _ in 0..600 {
        if !viewer.get_host(request()).await.unwrap().into_inner().attached {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is still called attached");
}
