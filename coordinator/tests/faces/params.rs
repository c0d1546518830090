//! A playbook with parameters, and one that extends it: from the text that is pushed to what an agent is ordered.

use std::collections::HashMap;

use echelon_coordinator::pki::Role;
use echelon_proto::wire::{
    control::{self, RolloutState},
    link::{Order, PhaseResult, action::Kind},
};
use tonic::{Code, Status};

use crate::{
    agent::Agent,
    house::House,
    rollouts::{push, release, start, until},
};

const BASE: &str = r#"
name: base
version: 3
params:
  port: { type: number, min: 1, max: 65535, about: "where it answers" }
  mode: { type: choice, of: [fast, slow], default: fast }
hosts: { selector: "app=web" }
machine:
  initial: absent
  states: { absent: { traffic: none }, stopped: { traffic: none }, serving: { traffic: full } }
  phases:
    - { name: stop, from: serving, to: stopped, run: { argv: ["./stop"] }, timeout: 1m, undo: start }
    - { name: install, from: [absent, stopped], to: stopped, sets: release, uses: artifact/install@1, timeout: 1m, undo: back }
    - name: start
      from: stopped
      to: serving
      run: { argv: ["./start", "--port=${{ params.port }}", "${{ params.mode }}"] }
      timeout: 1m
      undo: stop
  compensations:
    - { name: back, uses: artifact/activate@1, with: { release: previous }, timeout: 1m }
  operations:
    deploy: { to: serving, release: target }
stages:
  - name: roll
    deploy: { operation: deploy, waves: [{ name: all, size: 100% }], max_unavailable: 100%, max_parallel: 10 }
"#;

const SHOP: &str = r#"
name: shop
version: 1
extends: base@3
params: { port: 9000 }
with: { port: "${{ params.port }}", mode: slow }
"#;

fn what(playbook: &str, params: &[(&str, &str)]) -> control::CreatePlanRequest {
    let params: HashMap<_, _> = params
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    control::CreatePlanRequest {
        app: "web".into(),
        release: "1.0.0".into(),
        playbook: playbook.into(),
        params,
        ..Default::default()
    }
}

fn argv(order: &Order) -> Vec<String> {
    match order.action.as_ref().unwrap().kind.as_ref().unwrap() {
        Kind::Run(run) => run.argv.clone(),
        other => panic!("{other:?}"),
    }
}

fn said<T: std::fmt::Debug>(answer: Result<T, Status>, part: &str) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(
        status.message().contains(part),
        "{part:?} is not in {:?}",
        status.message()
    );
}

#[tokio::test]
async fn what_a_plan_was_given_is_what_an_agent_is_ordered_even_after_a_crash() {
    let mut house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    dora.create_release(release("1.0.0")).await.unwrap();
    said(
        dora.push_playbook(push(SHOP)).await,
        "there is no playbook base@3 to extend",
    );
    dora.push_playbook(push(BASE)).await.unwrap();
    dora.push_playbook(push(SHOP)).await.unwrap();
    let host = house.join("h1", "dc1").await;
    let mut agent = Agent::attach(&house, &host).await.unwrap();

    said(
        dora.create_plan(what("base", &[])).await,
        "needs `--param port=...` (a whole number from 1 to 65535; where it answers)",
    );
    said(
        dora.create_plan(what("base", &[("port", "0")])).await,
        "is not a whole number from 1 to 65535",
    );
    said(
        dora.create_plan(what("shop", &[("prot", "1")])).await,
        "did you mean `port`?",
    );
    said(dora.create_plan(what("shop", &[("a b", "1")])).await, "params");
    let plan = dora.create_plan(what("shop", &[])).await.unwrap().into_inner();
    assert_eq!(plan.params, HashMap::from([("port".to_owned(), "9000".to_owned())]));
    let other = dora
        .create_plan(what("shop", &[("port", "9001")]))
        .await
        .unwrap()
        .into_inner();
    assert_ne!((&plan.name, &plan.fingerprint), (&other.name, &other.fingerprint));

    let by_plan = control::CreateRolloutRequest {
        plan: other.name,
        what: None,
        ..start("", "")
    };
    let rollout = dora.create_rollout(by_plan).await.unwrap().into_inner();
    let install = agent.order().await;
    agent.report_and_wait(&install, PhaseResult::Done).await;
    let begun = agent.order().await;
    assert_eq!(argv(&begun), ["./start", "--port=9001", "slow"]);

    house.kill_and_start_again();
    let mut agent = Agent::attach(&house, &host).await.unwrap();
    let again = agent.order().await;
    assert_eq!(argv(&again), argv(&begun));
    agent.report_and_wait(&again, PhaseResult::Done).await;
    let mut dora = house.person("dora", Role::Deployer).await;
    let (ended, _) = until(&mut dora, &rollout.name, RolloutState::Unspecified).await;
    assert_eq!(ended.state(), RolloutState::Succeeded, "{ended:?}");
    // The base is still there to read the extending playbook with.
    assert!(dora.create_plan(what("shop", &[("port", "9002")])).await.is_ok());
}

#[tokio::test]
async fn a_fault_of_the_base_is_told_under_its_name() {
    let house = House::new();
    let mut dora = house.person("dora", Role::Deployer).await;
    dora.push_playbook(push(
        &BASE.replace("max_parallel: 10", "max_parallel: \"${{ params.port }}\""),
    ))
    .await
    .unwrap();
    let bad = SHOP.replace("port: 9000", "port: { type: number, min: 1, default: 0 }");
    said(dora.push_playbook(push(&bad)).await, "line 5, column");
    let answer = dora
        .push_playbook(push(&SHOP.replace("extends: base@3", "extends: base@4")))
        .await;
    said(answer, "there is no playbook base@4 to extend");
    let large = BASE
        .replace("max: 65535", "max: 999999")
        .replace("version: 3", "version: 5");
    let large = large.replace("max_parallel: 10", "max_parallel: \"${{ params.port }}\"");
    dora.push_playbook(push(&large)).await.unwrap();
    let shop = SHOP.replace("base@3", "base@5").replace("port: 9000", "port: 999999");
    said(dora.push_playbook(push(&shop)).await, "base@5, line ");
}
