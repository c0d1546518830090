//! Who may ask, what is refused and how, and what anybody with a certificate can find out.

use echelon_coordinator::pki::Role;
use echelon_proto::wire::control;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_types::StatusExt as _;

use crate::{
    house::{House, refusal},
    rollouts::{PLAYBOOK, push, release, start},
};

#[tokio::test]
async fn a_role_may_do_what_it_may_and_no_more() {
    let house = House::new();
    let mut viewer = house.person("vera", Role::Viewer).await;
    let mut approver = house.person("anna", Role::Approver).await;
    let mut deployer = house.person("dora", Role::Deployer).await;
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED".to_owned());
    assert_eq!(refusal(viewer.create_rollout(start("1.0.0", "")).await), denied);
    assert_eq!(refusal(approver.create_rollout(start("1.0.0", "")).await), denied);
    let act = control::ActRequest {
        name: "apps/-/rollouts/r1".into(),
        ..Default::default()
    };
    assert_eq!(refusal(deployer.approve_rollout(act).await), denied);
    let token = control::CreateJoinTokenRequest {
        host: "h1".into(),
        ..Default::default()
    };
    assert_eq!(refusal(deployer.create_join_token(token).await), denied);
    viewer.list_hosts(control::ListHostsRequest::default()).await.unwrap();
    deployer.create_release(release("1.0.0")).await.unwrap();
}

#[tokio::test]
async fn hosts_and_strangers_are_not_people() {
    let house = House::new();
    let host = house.join("h1", "dc1").await;
    let channel = house.channel(house.addresses.people, Some(host.key())).await.unwrap();
    let mut client = control::control_client::ControlClient::new(channel);
    let answer = client.list_hosts(control::ListHostsRequest::default()).await;
    assert_eq!(
        refusal(answer),
        (Code::PermissionDenied, "PERMISSION_DENIED".to_owned())
    );
    // Without a certificate the handshake itself is refused: at once or with the first call.
    if let Ok(channel) = house.channel(house.addresses.people, None).await {
        let mut client = control::control_client::ControlClient::new(channel);
        assert!(client.list_hosts(control::ListHostsRequest::default()).await.is_err());
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_once_and_clearly_and_nothing_changes() {
    let house = House::new();
    let mut client = house.person("dora", Role::Deployer).await;
    let invalid = (Code::InvalidArgument, "INVALID".to_owned());

    let bad = control::CreateReleaseRequest {
        sha256: "abc".into(),
        url: "http://x/".into(),
        ..release("1.0.0")
    };
    let status = client.create_release(bad).await.unwrap_err();
    let details = status.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "sha256");
    assert!(status.message().contains("64 hex digits"), "{status}");
    let bad = control::CreateReleaseRequest {
        url: "http://x/".into(),
        ..release("1.0.0")
    };
    assert_eq!(refusal(client.create_release(bad).await), invalid);

    client.create_release(release("1.0.0")).await.unwrap();
    client
        .create_release(release("1.0.0"))
        .await
        .expect("the same again is the same");
    let other = control::CreateReleaseRequest {
        size_bytes: 5,
        ..release("1.0.0")
    };
    assert_eq!(refusal(client.create_release(other).await).0, Code::AlreadyExists);

    let faulty = PLAYBOOK
        .replace("to: serving, release: target", "to: nowhere, release: target")
        .replace("1m", "1");
    let status = client.push_playbook(push(&faulty)).await.unwrap_err();
    let violations = status
        .get_error_details()
        .bad_request()
        .unwrap()
        .field_violations
        .clone();
    assert!(violations.len() >= 2, "all faults at once: {status}");
    assert!(status.message().contains("line"), "{status}");
    client.push_playbook(push(PLAYBOOK)).await.unwrap();
    let changed = PLAYBOOK.replace("1m", "2m");
    assert_eq!(
        refusal(client.push_playbook(push(&changed)).await).0,
        Code::AlreadyExists
    );

    let listed = client
        .list_rollouts(control::ListRolloutsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(listed.rollouts.is_empty());
}

#[tokio::test]
async fn what_is_not_there_is_told_by_name_and_a_malformed_name_is_told_apart() {
    let house = House::new();
    let mut client = house.person("dora", Role::Deployer).await;
    let invalid = (Code::InvalidArgument, "INVALID".to_owned());
    for name in ["apps/-/rollouts/r9", "apps/web/rollouts/r9"] {
        let answer = client
            .get_rollout(control::GetRolloutRequest { name: name.into() })
            .await;
        assert_eq!(refusal(answer), (Code::NotFound, "NOT_FOUND".to_owned()));
    }
    let answer = client
        .get_rollout(control::GetRolloutRequest { name: "r9".into() })
        .await;
    assert_eq!(refusal(answer), invalid);
    assert_eq!(
        refusal(client.create_rollout(start("9.9.9", "")).await).0,
        Code::NotFound
    );
    assert_eq!(
        refusal(client.create_rollout(control::CreateRolloutRequest::default()).await),
        invalid
    );
    let listed = client
        .list_rollouts(control::ListRolloutsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(listed.rollouts.is_empty());
}

#[tokio::test]
async fn an_artifact_may_be_wherever_agents_can_fetch_it_and_nowhere_else() {
    let house = House::new();
    let mut client = house.person("dora", Role::Deployer).await;
    let at = |release_name: &str, url: &str| control::CreateReleaseRequest {
        url: url.into(),
        sha256: "ab".repeat(32),
        ..release(release_name)
    };
    for (n, url) in ["https://x/web.tar.gz", "file:///srv/web.zip", "s3://builds/web.tar.zst"]
        .iter()
        .enumerate()
    {
        client.create_release(at(&format!("1.{n}.0"), url)).await.unwrap();
    }
    for url in ["ftp://x/web.tar.gz", "/srv/web.zip", "S3:builds"] {
        let status = client.create_release(at("2.0.0", url)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(
            status.message().contains("http://, https://, file://, s3://"),
            "{status}"
        );
    }
}

#[tokio::test]
async fn validate_only_answers_and_changes_nothing() {
    let house = House::new();
    let mut client = house.person("dora", Role::Deployer).await;
    let dry = control::CreateReleaseRequest {
        validate_only: true,
        ..release("1.0.0")
    };
    let answer = client.create_release(dry).await.unwrap().into_inner();
    assert_eq!(answer.name, "apps/web/releases/1.0.0");
    let get = control::GetReleaseRequest { name: answer.name };
    assert_eq!(refusal(client.get_release(get).await).0, Code::NotFound);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let house = House::new();
    let mut client = house.person("dora", Role::Deployer).await;
    for n in 0..5 {
        client.create_release(release(&format!("1.{n}.0"))).await.unwrap();
    }
    let mut token = String::new();
    let mut seen = Vec::new();
    loop {
        let request = control::ListReleasesRequest {
            app: "web".into(),
            page_size: 2,
            page_token: token,
        };
        let page = client.list_releases(request).await.unwrap().into_inner();
        assert!(page.releases.len() <= 2);
        seen.extend(page.releases.into_iter().map(|release| release.release));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"]);
    let request = control::ListReleasesRequest {
        page_token: "made up".into(),
        ..Default::default()
    };
    assert_eq!(refusal(client.list_releases(request).await).0, Code::InvalidArgument);
}

#[tokio::test]
async fn health_and_both_reflections_answer() {
    let house = House::new();
    let host = house.join("h1", "dc1").await;
    let channel = house.channel(house.addresses.people, Some(host.key())).await.unwrap();
    let request = HealthCheckRequest {
        service: "echelon.control.v1.Control".into(),
    };
    let health = HealthClient::new(channel.clone())
        .check(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(health.status(), ServingStatus::Serving);

    use tonic_reflection::pb::{
        v1::{self, server_reflection_request::MessageRequest, server_reflection_response::MessageResponse},
        v1alpha,
    };
    let ask = MessageRequest::ListServices(String::new());
    let request = v1::ServerReflectionRequest {
        message_request: Some(ask),
        ..Default::default()
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let mut answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"echelon.control.v1.Control".to_owned()), "{names:?}");

    let ask =
        v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol("echelon.control.v1.Control".into());
    let request = v1alpha::ServerReflectionRequest {
        message_request: Some(ask),
        ..Default::default()
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let mut answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let found = v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse;
    assert!(
        matches!(&answer, answer if std::mem::discriminant(answer) == std::mem::discriminant(&found(Default::default()))),
        "{answer:?}"
    );
}
