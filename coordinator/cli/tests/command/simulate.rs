//! Rehearsals as people run them: what is shown, what each option does, and how a wrong one is refused.

use std::path::PathBuf;

use echelon_proto::wire::control::{Host, ListHostsRequest, ListHostsResponse, Standing};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    fake::Fake,
    shell::{self, Ran, Shell},
};

const SHOP: &str = include_str!("shop.yaml");

/// A playbook in a folder of its own.
struct Book {
    folder: TempDir,
}

impl Book {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("book.yaml"), text).unwrap();
        Self { folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Rehearses it with these options.
    async fn with(&self, options: &str) -> Ran {
        let file = self.path("book.yaml").display().to_string();
        let mut args = vec!["playbook", "simulate", &file];
        args.extend(options.split_whitespace());
        Shell::default().run(&args).await
    }

    async fn json(&self, options: &str) -> Value {
        let ran = self.with(&format!("{options} --output json")).await;
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }
}

/// Times in the story at which something of this kind was told.
fn told<'a>(rehearsal: &'a Value, kind: &str) -> Vec<&'a Value> {
    let events = rehearsal["events"].as_array().unwrap();
    events.iter().filter(|event| event["kind"] == kind).collect()
}

#[tokio::test]
async fn a_fair_day_shows_the_tree_of_status_and_the_forecast() {
    let ran = Book::new(SHOP).with("--hosts 10").await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(ran.err, "");
    insta::assert_snapshot!(ran.out);
}

#[tokio::test]
async fn a_day_on_which_too_much_fails_goes_back_with_exit_5() {
    let ran = Book::new(SHOP)
        .with("--datacenters 1 --hosts 10 --fail dc1-05:start")
        .await;
    assert_eq!(ran.exit, 5, "{ran:?}");
    insta::assert_snapshot!(ran.out);
}

#[tokio::test]
async fn a_day_that_needs_a_person_ends_there_with_exit_6_and_names_no_rollout_to_ask_for() {
    let ran = Book::new(SHOP)
        .with("--datacenters 1 --hosts 10 --fail dc1-01:gate")
        .await;
    assert_eq!(ran.exit, 6, "{ran:?}");
    assert!(ran.err.contains("waits for a person"), "{ran:?}");
    assert!(!ran.out.contains("echelon rollout explain"), "{ran:?}");
    insta::assert_snapshot!(ran.out);
}

#[tokio::test]
async fn a_rollout_that_stops_half_way_is_exit_3() {
    let text = SHOP.replace("gate: hold", "gate: abort");
    let ran = Book::new(&text).with("--datacenters 1 --hosts 4 --fail *:health").await;
    assert_eq!(ran.exit, 3, "{ran:?}");
    assert!(ran.out.contains("FAILED"), "{ran:?}");
}

#[tokio::test]
async fn the_same_command_says_the_same_and_another_seed_something_else() {
    let book = Book::new(SHOP);
    let once = book.with("--seed 7 --events --fail *:stop:1").await.out;
    assert_eq!(once, book.with("--seed 7 --events --fail *:stop:1").await.out);
    assert_ne!(once, book.with("--seed 8 --events --fail *:stop:1").await.out);
}

#[tokio::test]
async fn events_are_told_before_the_tree_by_the_time_since_the_start() {
    let ran = Book::new(SHOP).with("--datacenters 1 --hosts 2 --events").await;
    let (story, rest) = ran.out.split_once("\n\n").unwrap();
    assert!(story.starts_with("     +0s  shop new by plan p-"), "{story}");
    assert!(story.lines().all(|line| line.trim_start().starts_with('+')), "{story}");
    assert!(
        story
            .lines()
            .any(|line| line.contains("dc1/canary/dc1-1  install  done")),
        "{story}"
    );
    assert!(rest.starts_with("✔ rehearsal  shop new  SUCCEEDED"), "{rest}");
}

#[tokio::test]
async fn json_holds_the_rollout_its_end_the_forecast_and_the_story() {
    let rehearsal = Book::new(SHOP).json("--datacenters 3 --hosts 5").await;
    assert_eq!(rehearsal["end"], "succeeded");
    assert_eq!(rehearsal["rollout"]["state"], "SUCCEEDED");
    assert_eq!(rehearsal["rollout"]["lanes"].as_array().unwrap().len(), 3);
    let forecast = &rehearsal["forecast"];
    assert_eq!(forecast["lanes"][2]["datacenter"], "dc3");
    assert_eq!(forecast["lanes"][2]["end"], "done");
    assert_eq!(
        (&forecast["pools"][0]["hosts"], &forecast["pools"][0]["lowest"]),
        (&5.into(), &4.into())
    );
    assert_eq!(forecast["pools"][0]["series"][0], 4, "the canary is out at once");
    assert_eq!(forecast["sources"][0]["origin"], "https://releases.invalid");
    assert_eq!(rehearsal["approvals_assumed"].as_array().unwrap().len(), 3);
    assert_eq!(told(&rehearsal, "phase_started").len(), 45);
}

#[tokio::test]
async fn made_up_hosts_are_as_many_as_was_said_in_so_many_pools_and_fresh_where_wished() {
    let book = Book::new(SHOP);
    let rehearsal = book.json("--datacenters 1 --hosts 9 --pools 3").await;
    let pools = rehearsal["forecast"]["pools"].as_array().unwrap();
    let names: Vec<_> = pools
        .iter()
        .map(|pool| (pool["pool"].as_str().unwrap(), pool["hosts"].clone()))
        .collect();
    assert_eq!(names, [("pool1", 3.into()), ("pool2", 3.into()), ("pool3", 3.into())]);
    let rehearsal = book.json("--datacenters 1 --hosts 4 --fresh").await;
    assert_eq!(rehearsal["forecast"]["pools"][0]["at_start"], 0);
    assert_eq!(told(&rehearsal, "phase_started").len(), 8, "install and start");
}

#[tokio::test]
async fn app_release_and_operation_are_as_was_said() {
    let book = Book::new(SHOP);
    let rehearsal = book.json("--app store --release 2.0.0 --hosts 1").await;
    assert_eq!(
        (&rehearsal["rollout"]["app"], &rehearsal["rollout"]["release"]),
        (&"store".into(), &"2.0.0".into())
    );
    let rehearsal = book.json("--operation restart --datacenters 1 --hosts 1").await;
    let phases: Vec<_> = told(&rehearsal, "phase_started")
        .iter()
        .map(|event| event["phase"].clone())
        .collect();
    assert_eq!(phases, ["stop", "start"]);
}

#[tokio::test]
async fn a_slow_phase_and_slow_people_take_their_time() {
    let book = Book::new(SHOP);
    let total = async |options: &str| {
        let rehearsal = book.json(&format!("--datacenters 1 --hosts 1 {options}")).await;
        rehearsal["forecast"]["total_ms"].as_u64().unwrap()
    };
    let usual = total("--slow install=30s").await;
    assert_eq!(total("--slow install=90s").await, usual + 60_000);
    assert_eq!(
        total("--slow install=5m --slow dc1-1:install=90s").await,
        usual + 60_000
    );
    assert_eq!(total("--slow install=30s --think 1h").await, usual + 55 * 60_000);
}

#[tokio::test]
async fn parameters_have_the_values_that_were_given() {
    let text = SHOP
        .replace(
            "hosts: {",
            "params: { pace: { type: number, min: 1, max: 50, default: 5 } }\nhosts: {",
        )
        .replace("max_parallel: 5", "max_parallel: \"${{ params.pace }}\"")
        .replace("max_unavailable: 20%", "max_unavailable: 100%");
    let book = Book::new(&text);
    let lowest = async |options: &str| {
        let rehearsal = book.json(&format!("--datacenters 1 --hosts 30 {options}")).await;
        rehearsal["forecast"]["pools"][0]["lowest"].clone()
    };
    assert_eq!(
        (lowest("").await, lowest("--param pace=20").await),
        (25.into(), 10.into())
    );
    let ran = book.with("--param speed=3").await;
    assert!(ran.exit == 2 && ran.err.contains("speed"), "{ran:?}");
}

#[tokio::test]
async fn a_failure_may_come_so_many_times_only() {
    let text = SHOP.replace("retry: 0", "retry: 1");
    let book = Book::new(&text);
    assert_eq!(book.with("--fail *:start:1").await.exit, 0);
    assert_ne!(book.with("--fail *:start:2").await.exit, 0);
}

#[tokio::test]
async fn what_cannot_be_rehearsed_is_one_clear_error_and_exit_2() {
    let book = Book::new(SHOP);
    for (options, says) in [
        (
            "--hosts 2 --fail dc3-1:start",
            "there is no host dc3-1 to fail: there are dc1-1, dc1-2, dc2-1, dc2-2",
        ),
        (
            "--fail *:begin",
            "there is no phase begin to fail: there are stop, install, start, reinstate, health",
        ),
        (
            "--slow begin=5s",
            "there is no phase begin to slow down: there are stop, install, start, reinstate",
        ),
        (
            "--operation destroy",
            "playbook shop has no operation destroy: it has deploy, restart",
        ),
        ("--hosts 0", "0 hosts in each of 2 datacenters"),
        ("--datacenters 30 --hosts 1000", "from 1 to 20000 in all"),
    ] {
        let ran = book.with(options).await;
        assert_eq!((ran.exit, ran.out.as_str()), (2, ""), "{options}: {ran:?}");
        assert!(ran.err.contains(says), "{options}: {ran:?}");
        assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    }
    for (options, says) in [
        ("--fail start", "write HOST:PHASE"),
        ("--slow install", "write PHASE=DURATION"),
        ("--think soon", "length of time"),
        ("--pools 0", "--pools"),
        ("--hosts-from hosts.json --fresh", "cannot be used with"),
    ] {
        let ran = book.with(options).await;
        assert!(ran.exit == 2 && ran.err.contains(says), "{options}: {ran:?}");
    }
}

#[tokio::test]
async fn a_playbook_with_faults_is_not_rehearsed_and_its_faults_are_shown() {
    let text = SHOP.replace("to: serving, release: target", "to: served, release: target");
    let ran = Book::new(&text).with("").await;
    assert_eq!((ran.exit, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(
        ran.err.contains("E030") && ran.err.contains("is not a valid playbook"),
        "{ran:?}"
    );
}

fn host(number: usize, release: &str) -> Host {
    Host {
        host: format!("web-{number}"),
        datacenter: "berlin".into(),
        pool: "front".into(),
        labels: [("app".into(), "shop".into()), ("port".into(), "80".into())].into(),
        attached: true,
        in_service: true,
        standings: vec![Standing {
            app: "shop".into(),
            state: "serving".into(),
            release: release.into(),
            ..Standing::default()
        }],
        ..Host::default()
    }
}

fn listed() -> ListHostsResponse {
    let mut hosts: Vec<_> = (1..=9).map(|number| host(number, "1.0.0")).collect();
    hosts[8] = host(9, "1.1.0");
    hosts[7].running = "r3 restart 1".into();
    ListHostsResponse {
        hosts,
        next_page_token: String::new(),
    }
}

#[tokio::test]
async fn the_coordinators_own_hosts_can_be_rehearsed_with() {
    let fake = Fake::start().await;
    let asked = fake.record::<ListHostsRequest, _>("list_hosts", listed());
    let book = Book::new(SHOP);
    let file = book.path("book.yaml").display().to_string();
    let line = format!("playbook simulate {file} --hosts-from coordinator --release 1.1.0");
    let ran = shell::run(&fake, &line).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(asked.lock().unwrap()[0].selector, "app=shop");
    assert!(
        ran.out.contains("8/8 hosts") && ran.out.contains("berlin/front  8 of 9 (88%)"),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("1 host in work for other rollouts: taken to be idle"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_list_of_hosts_that_was_written_to_a_file_can_be_rehearsed_with() {
    let fake = Fake::start().await;
    fake.record::<ListHostsRequest, _>("list_hosts", listed());
    let book = Book::new(SHOP);
    let list = shell::run(&fake, "host list --output json").await;
    std::fs::write(book.path("hosts.json"), &list.out).unwrap();
    let from = book.path("hosts.json").display().to_string();
    let ran = book.with(&format!("--hosts-from {from} --release 1.1.0")).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.out.contains("8/8 hosts"), "{ran:?}");
    let rehearsal = book
        .json(&format!("--hosts-from {from} --release 1.1.0 --fail web-1:gate"))
        .await;
    assert_eq!(rehearsal["end"], "waits", "the canary is web-1");
}

#[tokio::test]
async fn a_file_that_lists_no_hosts_is_refused_with_the_way_to_make_one() {
    let book = Book::new(SHOP);
    let from = book.path("hosts.json").display().to_string();
    for (text, says) in [
        ("{}", "expected a sequence"),
        (
            "[{\"host\": \"a b\", \"datacenter\": \"dc1\", \"pool\": \"p\"}]",
            "host \"a b\"",
        ),
        ("[", "EOF"),
    ] {
        std::fs::write(&from, text).unwrap();
        let ran = book.with(&format!("--hosts-from {from}")).await;
        assert_eq!((ran.exit, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(
            ran.err.contains(says) && ran.err.contains("echelon host list"),
            "{ran:?}"
        );
    }
    let ran = book.with("--hosts-from none.json").await;
    assert!(ran.exit == 1 && ran.err.contains("none.json"), "{ran:?}");
}

/// What stands between fences of this kind, in order.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let fence = format!("```{kind}\n");
    let opened = text.split(&fence).skip(1);
    opened
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_rehearsals_of_the_playbooks_readme_give_what_it_shows() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let book = Book::new(&blocks(&readme, "yaml")[0]);
    let section = readme.split_once("## Rehearse it\n").unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let (commands, shown) = (blocks(section, "sh"), blocks(section, "text"));
    assert_eq!((commands.len(), shown.len()), (2, 2));
    for (command, shown) in commands.iter().zip(&shown) {
        let options = command
            .strip_prefix("echelon playbook simulate storefront.yaml ")
            .unwrap();
        let ran = book.with(options).await;
        assert_eq!(ran.out, *shown, "{command}");
    }
}
