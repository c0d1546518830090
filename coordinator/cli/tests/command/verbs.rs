//! Verbs that ask once: what they send, what they show, and how a refusal reads.

use echelon_proto::wire::control::*;
use serde_json::Value;
use tonic::Code;

use crate::{
    fake::{Fake, Pki},
    shell::{Shell, run},
    things::{event, refusal, rollout},
};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn every_act_reaches_its_own_method_with_all_it_was_told() {
    for act in [
        "approve", "reject", "promote", "pause", "resume", "retry", "skip", "abort", "rollback",
    ] {
        let fake = Fake::start().await;
        let method: &'static str = Box::leak(format!("{act}_rollout").into_boxed_str());
        let asked = fake.record::<ActRequest, _>(method, rollout(RolloutState::Held));
        let line = format!("{act} r7 --dc dc1 --host web-3 --reason because --etag e1 --request-id q1 --dry-run");
        let ran = run(&fake, &line).await;
        assert_eq!(ran.exit, 0, "{act}: {ran:?}");
        assert!(ran.out.contains("r7") && ran.err.contains("dry run"), "{ran:?}");
        let expected = ActRequest {
            name: "apps/-/rollouts/r7".into(),
            reason: "because".into(),
            datacenter: "dc1".into(),
            host: "web-3".into(),
            etag: "e1".into(),
            validate_only: true,
            request_id: "q1".into(),
        };
        assert_eq!(*asked.lock().unwrap(), [expected], "{act}");
    }
}

#[tokio::test]
async fn each_refusal_has_its_exit_code_and_says_why() {
    for (code, reason, exit) in [
        (Code::PermissionDenied, "ROLE", 4),
        (Code::Unauthenticated, "", 4),
        (Code::FailedPrecondition, "STALE_PLAN", 7),
        (Code::FailedPrecondition, "ROLLOUT_CONFLICT", 7),
        (Code::Aborted, "ETAG", 7),
        (Code::FailedPrecondition, "NO_HOSTS", 1),
        (Code::InvalidArgument, "FIELD", 2),
        (Code::Unavailable, "", 11),
        (Code::Internal, "", 1),
    ] {
        let fake = Fake::start().await;
        let status = refusal(code, "web-9 has left pool front", reason);
        fake.on("create_rollout", move |_: CreateRolloutRequest| {
            Err::<Rollout, _>(status.clone())
        });
        let ran = run(&fake, "start --plan p1 --wait").await;
        assert_eq!(ran.exit, exit, "{code:?} {reason}: {ran:?}");
        assert!(ran.err.contains("web-9 has left pool front"), "{ran:?}");
        assert_eq!(ran.out, "", "{ran:?}");
    }
}

#[tokio::test]
async fn an_unanswered_start_gives_the_id_with_which_to_say_it_again() {
    let fake = Fake::start().await;
    let status = refusal(Code::Unavailable, "draining", "");
    fake.on("create_rollout", move |_: CreateRolloutRequest| {
        Err::<Rollout, _>(status.clone())
    });
    let ran = run(&fake, "start --plan p1 --wait --request-id jenkins-7").await;
    assert!(
        ran.err.contains("not known") && ran.err.contains("--request-id jenkins-7"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn nobody_there_or_the_wrong_one_is_exit_11() {
    let mut fake = Fake::start_at("127.0.0.5:0").await;
    let stranger = Pki::new();
    let [ca, cert, key] = ["ca.pem", "ann.pem", "ann.key"].map(|file| stranger.path(file).display().to_string());
    let mine = ["ann.pem", "ann.key"].map(|file| fake.pki.path(file).display().to_string());
    let address = fake.address();
    let list = ["rollout", "list", "--coordinator", &address];

    let untrusted = [&list[..], &["--ca", &ca, "--cert", &mine[0], "--key", &mine[1]]].concat();
    let ran = Shell::default().run(&untrusted).await;
    assert_eq!(ran.exit, 11, "{ran:?}");
    assert!(ran.err.contains(&format!("the CA in {ca} has not signed")), "{ran:?}");

    let trusted = fake.pki.path("ca.pem").display().to_string();
    let unknown = [&list[..], &["--ca", &trusted, "--cert", &cert, "--key", &key]].concat();
    let ran = Shell::default().run(&unknown).await;
    // 4 when its refusal reaches us; the fake, unlike the coordinator, does not wait until it has.
    assert!([4, 11].contains(&ran.exit), "{ran:?}");

    fake.kill().await;
    let ran = run(&fake, "rollout list").await;
    assert_eq!(ran.exit, 11, "{ran:?}");
    assert!(ran.err.contains(address.trim_start_matches("https://")), "{ran:?}");
    assert!(
        ran.err.contains("refused") && ran.err.contains("echelon context show"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_plan_is_shown_saved_and_has_its_exit_code() {
    let fake = Fake::start().await;
    let plan = |hosts: usize| Plan {
        name: "plans/p1".into(),
        lanes: vec![PlannedLane {
            waves: vec![PlannedWave {
                hosts: vec![PlannedHost::default(); hosts],
                ..PlannedWave::default()
            }],
            ..PlannedLane::default()
        }],
        ..Plan::default()
    };
    let line = "plan web --release 1.1.0 --playbook web --detailed-exitcode --output json";
    let asked = fake.record::<CreatePlanRequest, _>("create_plan", plan(1));
    let file = fake.pki.path("plan.json");
    let ran = run(&fake, &format!("{line} --out {}", file.display())).await;
    assert_eq!(ran.exit, 10, "{ran:?}");
    assert_eq!(json(&ran.out)["name"], "plans/p1");
    assert_eq!(json(&std::fs::read_to_string(file).unwrap()), json(&ran.out));
    let params = "plan web --release 1.1.0 --playbook web --param port=80 --param url=http://x/?a=b";
    assert_eq!(run(&fake, params).await.exit, 0);
    let given = asked.lock().unwrap()[1].params.clone();
    assert_eq!(
        (given["port"].as_str(), given["url"].as_str(), given.len()),
        ("80", "http://x/?a=b", 2)
    );
    let twice = run(&fake, &format!("{params} --param port=81")).await;
    assert!(
        twice.exit == 2 && twice.err.contains("--param port is given twice"),
        "{twice:?}"
    );
    assert_eq!(asked.lock().unwrap().len(), 2, "nothing was asked");
    fake.record::<CreatePlanRequest, _>("create_plan", plan(0));
    assert_eq!(run(&fake, line).await.exit, 0);
}

#[tokio::test]
async fn a_release_is_created_from_a_file_with_its_digest_and_size() {
    let fake = Fake::start().await;
    let asked = fake.record::<CreateReleaseRequest, _>("create_release", Release::default());
    let file = fake.pki.path("web.tar.gz");
    std::fs::write(&file, "abc").unwrap();
    let line = format!(
        "release create web 1.1.0 --url http://repo/web.tar.gz --file {}",
        file.display()
    );
    let ran = run(&fake, &line).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    let bare = run(&fake, "release create web config-7").await;
    assert_eq!(bare.exit, 0, "{bare:?}");
    let asked = asked.lock().unwrap();
    let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((asked[0].sha256.as_str(), asked[0].size_bytes), (known, 3));
    assert_eq!((asked[1].url.as_str(), asked[1].sha256.as_str()), ("", ""));
}

#[tokio::test]
async fn lists_follow_pages_up_to_the_limit_and_say_when_there_is_more() {
    let fake = Fake::start().await;
    fake.on("list_hosts", |request: ListHostsRequest| {
        assert_eq!(request.selector, "app=web");
        let first: u32 = request.page_token.parse().unwrap_or(0);
        let count = u32::try_from(request.page_size).unwrap().min(2);
        let hosts = (first..first + count).map(|host| Host {
            host: format!("web-{host}"),
            ..Host::default()
        });
        let next = first + count;
        Ok(ListHostsResponse {
            hosts: hosts.collect(),
            next_page_token: if next < 5 { next.to_string() } else { String::new() },
        })
    });
    let ran = run(&fake, "host list -l app=web --output json").await;
    let names: Vec<_> = json(&ran.out)
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["host"].clone())
        .collect();
    assert_eq!(names.len(), 6, "{ran:?}");
    assert_eq!(ran.err, "");
    let ran = run(&fake, "host list -l app=web --limit 3 --output ndjson").await;
    assert_eq!(ran.out.lines().map(json).count(), 3);
    assert!(ran.err.contains("higher --limit"), "{ran:?}");
}

#[tokio::test]
async fn status_without_a_rollout_shows_all_that_is_active() {
    let fake = Fake::start().await;
    let waiting = Rollout {
        name: "apps/api/rollouts/r9".into(),
        waiting: vec!["approve: go in dc1".into()],
        ..rollout(RolloutState::Held)
    };
    let answer = ListRolloutsResponse {
        rollouts: vec![rollout(RolloutState::Running), waiting],
        next_page_token: String::new(),
    };
    let asked = fake.record::<ListRolloutsRequest, _>("list_rollouts", answer);
    let ran = run(&fake, "status").await;
    assert!(ran.out.contains("r7") && ran.out.contains("r9"), "{ran:?}");
    assert!(asked.lock().unwrap()[0].active_only);
    let ran = run(&fake, "status --waiting").await;
    assert!(!ran.out.contains("r7") && ran.out.contains("r9"), "{ran:?}");
    let ran = run(&fake, "status --watch").await;
    assert_eq!(ran.exit, 2, "{ran:?}");
    assert!(ran.err.contains("r7, r9"), "{ran:?}");
}

#[tokio::test]
async fn events_are_read_page_by_page() {
    let fake = Fake::start().await;
    fake.on("list_rollout_events", |request: ListRolloutEventsRequest| {
        let sequence = request.from_sequence.max(1);
        Ok(ListRolloutEventsResponse {
            events: vec![event(sequence, &format!("event {sequence}"))],
            next_sequence: if sequence < 3 { sequence + 1 } else { 0 },
        })
    });
    let ran = run(&fake, "rollout events r7 --output json").await;
    let sequences: Vec<_> = json(&ran.out)
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["sequence"].clone())
        .collect();
    assert_eq!(sequences, [1, 2, 3]);
    let ran = run(&fake, "rollout events r7 --from 3").await;
    assert_eq!(ran.out, "  dc1  event 3\n", "{ran:?}");
}

#[tokio::test]
async fn what_does_not_exist_is_named_with_the_way_to_find_it() {
    let fake = Fake::start().await;
    let status = refusal(Code::NotFound, "there is no rollout r99", "NOT_FOUND");
    fake.on("get_rollout", move |_: GetRolloutRequest| {
        Err::<Rollout, _>(status.clone())
    });
    let ran = run(&fake, "status r99").await;
    assert_eq!(ran.exit, 1, "{ran:?}");
    assert!(
        ran.err.contains("there is no rollout r99") && ran.err.contains("echelon rollout list"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn things_are_shown_for_people_and_as_json() {
    let fake = Fake::start().await;
    fake.record::<GetRolloutRequest, _>("get_rollout", rollout(RolloutState::Running));
    fake.record::<GetHostRequest, _>(
        "get_host",
        Host {
            host: "web-3".into(),
            ..Host::default()
        },
    );
    fake.record::<GetReleaseRequest, _>(
        "get_release",
        Release {
            release: "1.1.0".into(),
            ..Release::default()
        },
    );
    fake.record::<GetReportRequest, _>(
        "get_report",
        Report {
            rollout: Some(rollout(RolloutState::Succeeded)),
            ..Report::default()
        },
    );
    let playbooks = fake.record::<GetPlaybookRequest, _>(
        "get_playbook",
        Playbook {
            text: "playbook: web\n".into(),
            ..Playbook::default()
        },
    );
    for (line, part) in [
        ("rollout get r7", "RUNNING"),
        ("host get web-3", "web-3"),
        ("release get web 1.1.0", "1.1.0"),
        ("report r7", "SUCCEEDED"),
        ("playbook get web@3", "playbook: web\n"),
    ] {
        let ran = run(&fake, line).await;
        assert!(ran.exit == 0 && ran.out.contains(part), "{line}: {ran:?}");
        let ran = run(&fake, &format!("{line} --output json")).await;
        assert!(json(&ran.out).is_object(), "{line}: {ran:?}");
    }
    assert_eq!(playbooks.lock().unwrap()[0].name, "playbooks/web/versions/3");
}

#[tokio::test]
async fn a_join_token_alone_goes_to_the_output() {
    let fake = Fake::start().await;
    let token = JoinToken {
        token: "secret".into(),
        expire_time: None,
    };
    let asked = fake.record::<CreateJoinTokenRequest, _>("create_join_token", token);
    let ran = run(
        &fake,
        "host token web-9 --dc dc1 --pool front --label app=web --label rack=7",
    )
    .await;
    assert_eq!((ran.exit, ran.out.as_str()), (0, "secret\n"), "{ran:?}");
    assert_eq!(asked.lock().unwrap()[0].labels["rack"], "7");
}

#[tokio::test]
async fn an_explanation_is_shown() {
    let fake = Fake::start().await;
    let explanation = Explanation {
        subject: "dc1/canary".into(),
        text: "gate go has 0 of 1 approvals".into(),
        who: "an approver".into(),
        command: "echelon approve r7 --reason TEXT".into(),
        suspects: Vec::new(),
    };
    let answer = ExplainRolloutResponse {
        explanations: vec![explanation],
    };
    fake.record::<ExplainRolloutRequest, _>("explain_rollout", answer);
    let ran = run(&fake, "rollout explain r7").await;
    for part in [
        "dc1/canary: gate go has 0 of 1",
        "who: an approver",
        "next: echelon approve r7",
    ] {
        assert!(ran.out.contains(part), "{ran:?}");
    }
    let ran = run(&fake, "rollout explain r7 --output json").await;
    assert_eq!(json(&ran.out)[0]["who"], "an approver");
}

#[tokio::test]
async fn a_playbook_is_pushed_as_it_is() {
    let fake = Fake::start().await;
    let stored = Playbook {
        playbook: "web".into(),
        version: 3,
        ..Playbook::default()
    };
    let asked = fake.record::<PushPlaybookRequest, _>("push_playbook", stored);
    let file = fake.pki.path("web.yaml");
    std::fs::write(&file, "playbook: web # ä\r\n").unwrap();
    let ran = run(&fake, &format!("playbook push {}", file.display())).await;
    assert!(ran.exit == 0 && ran.out.contains("web@3"), "{ran:?}");
    assert_eq!(asked.lock().unwrap()[0].text, "playbook: web # ä\r\n");
    let ran = run(
        &fake,
        &format!("playbook push {}/none.yaml", fake.pki.folder().display()),
    )
    .await;
    assert!(ran.exit == 1 && ran.err.contains("none.yaml"), "{ran:?}");
}
