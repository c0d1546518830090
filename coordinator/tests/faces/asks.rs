//! What people ask of a host itself: who may, what is written down before it is asked, and how it ends.

use echelon_coordinator::pki::Role;
use echelon_proto::wire::{
    control::{self, AskHostRequest, ask_host_request::What, ask_host_response::Answer as Answered},
    link::{self, Ask, agent_message::Body, answer, ask, coordinator_message::Body as Said},
};
use tokio::time::timeout;
use tonic::Code;

use crate::{
    agent::Agent,
    house::{House, LONG, program, refusal},
};

fn tail(host: &str, path: &str, follow: bool) -> AskHostRequest {
    let tail = control::AskHostTail {
        path: path.into(),
        lines: Some(5),
        follow,
    };
    AskHostRequest {
        name: format!("hosts/{host}"),
        what: Some(What::Tail(tail)),
    }
}

async fn asked(agent: &mut Agent) -> Ask {
    match agent.hear().await.unwrap() {
        Said::Ask(ask) => ask,
        other => panic!("{other:?} where a question was awaited"),
    }
}

async fn answer(agent: &Agent, number: u64, what: Option<answer::What>, last: bool) {
    agent.say(Body::Answer(link::Answer { number, what, last })).await;
}

/// What the journal has of questions, one line each.
async fn written(house: &mut House) -> Vec<String> {
    house.terminate().await;
    let dump = program()
        .args(["journal", "dump", "--data"])
        .arg(house.data())
        .output()
        .unwrap();
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    dump.lines()
        .filter(|line| line.contains("host_asked"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn who_may_not_ask_asks_nothing_and_what_cannot_be_asked_is_not_written() {
    let mut house = House::new();
    let host = house.join("h1", "dc1").await;
    house.join("h2", "dc1").await;
    let mut agent = Agent::attach(&house, &host).await.unwrap();
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED".to_owned());
    for role in [Role::Viewer, Role::Approver] {
        let mut other = house.person("vera", role).await;
        assert_eq!(
            refusal(other.ask_host(tail("h1", "/var/log/a.log", false)).await),
            denied
        );
    }

    let mut dora = house.person("dora", Role::Deployer).await;
    let away = dora.ask_host(tail("h2", "/var/log/a.log", false)).await.unwrap_err();
    assert_eq!(away.code(), Code::FailedPrecondition);
    assert!(away.message().contains("host h2 is not reachable since"), "{away}");
    assert_eq!(refusal(dora.ask_host(tail("h9", "/a", false)).await).0, Code::NotFound);
    let bad = (Code::InvalidArgument, "INVALID".to_owned());
    for wrong in ["logs/a.log", "", "/a\nb"] {
        assert_eq!(refusal(dora.ask_host(tail("h1", wrong, false)).await), bad, "{wrong:?}");
    }
    assert!(agent.hears_nothing().await);
    assert_eq!(written(&mut house).await, [""; 0]);
}

#[tokio::test]
async fn a_question_is_written_down_asked_and_answered() {
    let mut house = House::new();
    let host = house.join("h1", "dc1").await;
    let mut agent = Agent::attach(&house, &host).await.unwrap();
    let mut dora = house.person("dora", Role::Deployer).await;
    let asking = tokio::spawn(async move {
        let mut pieces = dora
            .ask_host(tail("h1", "/var/log/a.log", false))
            .await
            .unwrap()
            .into_inner();
        let mut all = Vec::new();
        while let Some(piece) = pieces.message().await.unwrap() {
            all.push(piece.answer.unwrap());
        }
        let refused = dora.ask_host(tail("h1", "/etc/shadow", false)).await;
        (all, refused.unwrap().into_inner().message().await)
    });
    let ask = asked(&mut agent).await;
    let expected = link::AskTail {
        path: "/var/log/a.log".into(),
        lines: 5,
        follow: false,
    };
    assert_eq!(ask.what, Some(ask::What::Tail(expected)));
    for text in ["one\n", "two\n"] {
        answer(&agent, ask.number, Some(answer::What::Data(text.into())), false).await;
    }
    answer(&agent, ask.number, None, true).await;
    let ask = asked(&mut agent).await;
    answer(
        &agent,
        ask.number,
        Some(answer::What::Refused("not shown".into())),
        true,
    )
    .await;
    let (all, refused) = timeout(LONG, asking).await.unwrap().unwrap();
    assert_eq!(
        all,
        [Answered::Data(b"one\n".to_vec()), Answered::Data(b"two\n".to_vec())]
    );
    assert_eq!(refused.unwrap_err().message(), "host h1: not shown");

    let written = written(&mut house).await;
    assert_eq!(written.len(), 2, "{written:?}");
    for (line, what) in written
        .iter()
        .zip(["tail /var/log/a.log -n 5", "tail /etc/shadow -n 5"])
    {
        assert!(
            line.contains("\"by\":\"dora\"") && line.contains("\"host\":\"h1\"") && line.contains(what),
            "{line}"
        );
    }
}

#[tokio::test]
async fn what_is_followed_ends_when_the_asker_goes_and_when_the_host_does() {
    let house = House::new();
    let host = house.join("h1", "dc1").await;
    let mut agent = Agent::attach(&house, &host).await.unwrap();
    let mut dora = house.person("dora", Role::Deployer).await;
    let mut first = dora
        .ask_host(tail("h1", "/var/log/a.log", true))
        .await
        .unwrap()
        .into_inner();
    let ask = asked(&mut agent).await;
    answer(&agent, ask.number, Some(answer::What::Data("one\n".into())), false).await;
    timeout(LONG, first.message()).await.unwrap().unwrap().unwrap();
    drop(first);
    let gone = asked(&mut agent).await;
    assert_eq!(
        (gone.number, gone.what),
        (ask.number, Some(ask::What::NoMore(link::AskNoMore {})))
    );

    let mut second = dora
        .ask_host(tail("h1", "/var/log/a.log", true))
        .await
        .unwrap()
        .into_inner();
    asked(&mut agent).await;
    drop(agent);
    let ended = timeout(LONG, second.message()).await.unwrap().unwrap_err();
    assert!(ended.message().contains("has gone in the middle"), "{ended}");
}
