//! Whole rehearsals: fair days, days on which something breaks, days that need people, fleets that are given. The engine
//! itself is tested where it lives; here it is asked whether the world around it behaves.

use std::collections::BTreeMap;

use echelon_proto::{Span, Time};
use echelon_rehearsal::{
    BEGIN, End, Error, Fail, Fleet, Host, MadeUp, Rehearsal, SERIES_POINTS_MAX, Script, Standing, rehearse,
};

const SEVEN: &str = include_str!("seven.yaml");

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn script(text: &str, made_up: MadeUp) -> Script {
    let checked = echelon_playbooks::read(text).unwrap_or_else(|faults| panic!("{faults}"));
    Script {
        app: echelon_rehearsal::app(&checked.playbook),
        playbook: checked.playbook,
        text: text.into(),
        base: checked.base,
        params: BTreeMap::new(),
        release: name("new"),
        operation: None,
        fleet: Fleet::MadeUp(made_up),
        fails: Vec::new(),
        slows: Vec::new(),
        begin: BEGIN,
        seed: 1,
        think: Span::secs(300),
    }
}

fn seven(datacenters: u32, hosts: u32) -> Script {
    let made_up = MadeUp {
        datacenters: Some(datacenters),
        hosts: Some(hosts),
        ..MadeUp::default()
    };
    script(SEVEN, made_up)
}

fn failing(mut script: Script, fails: &[&str]) -> Rehearsal {
    script.fails = fails.iter().map(|fail| fail.parse().unwrap()).collect();
    rehearse(&script).unwrap()
}

fn outcome(rehearsal: &Rehearsal) -> &str {
    match &rehearsal.end {
        End::Outcome(outcome) => outcome.name(),
        End::Waits(_) => "waits",
        End::Late => "late",
    }
}

/// How often a kind of event came, and what its texts were.
fn told<'a>(rehearsal: &'a Rehearsal, kind: &'a str) -> impl Iterator<Item = &'a str> {
    let events = rehearsal.events.iter().filter(move |event| event.kind == kind);
    events.map(|event| event.text.as_str())
}

#[test]
fn the_same_script_gives_the_same_rehearsal_to_the_byte_and_another_seed_another() {
    let once = |seed| {
        let mut script = seven(2, 30);
        script.seed = seed;
        script.fails = vec![name("dc1-07:start:1"), name("*:warm:1")];
        let rehearsal = rehearse(&script).unwrap();
        let forecast = serde_json::to_string(&rehearsal.forecast).unwrap();
        let state = serde_json::to_string(&rehearsal.state).unwrap();
        (state, forecast, format!("{:?}", rehearsal.events))
    };
    // No `assert_eq`: what differs would fill the screen many times over.
    assert!(once(1) == once(1), "one seed gave two rehearsals");
    assert!(once(1) != once(2), "two seeds gave one rehearsal");
}

#[test]
fn the_forecast_agrees_with_the_story() {
    let rehearsal = rehearse(&seven(2, 40)).unwrap();
    let forecast = &rehearsal.forecast;
    assert_eq!(outcome(&rehearsal), "succeeded");
    let ended = |datacenter: &str| {
        let mut ends = rehearsal.events.iter().filter(|event| event.kind == "lane_ended");
        ends.find(|event| event.datacenter.as_ref().is_some_and(|dc| dc.as_str() == datacenter))
            .map(|event| event.at.since(BEGIN))
    };
    for lane in &forecast.lanes {
        assert_eq!(lane.finish_ms, ended(lane.datacenter.as_str()), "{}", lane.datacenter);
    }
    assert_eq!(forecast.total_ms, rehearsal.now.since(BEGIN));
    for pool in &forecast.pools {
        // A quarter of 40 may be out, and with 50 hosts at once allowed they are.
        assert_eq!((pool.hosts, pool.at_start, pool.lowest), (40, 40, 30));
        assert!(pool.series.len() <= SERIES_POINTS_MAX);
        assert_eq!(
            (pool.series.iter().min(), pool.series[0]),
            (Some(&30), 40 - 1),
            "the canary leaves at once"
        );
        assert!(
            pool.lowest_ms > Span::secs(300) && pool.lowest_ms < forecast.total_ms,
            "{pool:?}"
        );
    }
    let [source] = &forecast.sources[..] else {
        panic!("{:?}", forecast.sources);
    };
    assert_eq!(source.origin, "https://releases.invalid");
    assert_eq!(source.hosts_at_once, most_at_once(&rehearsal, "install"));
}

/// Counted from the story: an end before a begin of the same time.
fn most_at_once(rehearsal: &Rehearsal, phase: &str) -> u32 {
    let mut changes: BTreeMap<Time, i64> = BTreeMap::new();
    for event in &rehearsal.events {
        let change = match event.kind {
            "phase_started" => 1,
            "phase_ended" => -1,
            _ => 0,
        };
        if event.phase.as_ref().is_some_and(|is| is.as_str() == phase) {
            *changes.entry(event.at).or_default() += change;
        }
    }
    let running = changes.values().scan(0, |now, change| {
        *now += change;
        Some(*now)
    });
    u32::try_from(running.max().unwrap()).unwrap()
}

#[test]
fn a_slow_phase_makes_the_rollout_longer_and_one_beyond_its_timeout_fails() {
    let fair = rehearse(&seven(1, 8)).unwrap();
    let mut script = seven(1, 8);
    script.slows = vec![name("install=9m"), name("dc1-3:install=20s")];
    let slow = rehearse(&script).unwrap();
    assert!(slow.forecast.total_ms > fair.forecast.total_ms + Span::secs(480));
    let took = |host: &str| {
        let events = slow.events.iter().filter(|event| {
            event.host.as_ref().is_some_and(|is| is.as_str() == host)
                && event.phase.as_ref().is_some_and(|is| is.as_str() == "install")
        });
        let times: Vec<_> = events.map(|event| event.at).collect();
        times[1].since(times[0])
    };
    assert_eq!((took("dc1-3"), took("dc1-4")), (Span::secs(20), Span::secs(540)));
    script.slows = vec![name("install=11m")];
    let stuck = rehearse(&script).unwrap();
    assert!(told(&stuck, "phase_ended").any(|text| text == "timed out: did not end within 10m"));
    assert_eq!(
        outcome(&stuck),
        "waits",
        "no host of the canary arrived, and that gate holds"
    );
}

#[test]
fn a_failure_within_the_budget_leaves_debt_and_one_beyond_it_goes_back() {
    let one = failing(seven(1, 20), &["dc1-05:start"]);
    assert_eq!(outcome(&one), "succeeded_with_debt");
    let three = failing(seven(1, 20), &["dc1-05:start", "dc1-06:start", "dc1-07:start"]);
    assert_eq!(outcome(&three), "rolled_back");
    assert_eq!(three.forecast.lanes[0].end, Some("rolled back"));
}

#[test]
fn a_failure_that_comes_once_is_mended_by_a_retry() {
    let text = SEVEN.replace("retry: 0", "retry: 1");
    let script = || script(&text, MadeUp::default());
    assert_eq!(outcome(&failing(script(), &["*:start:1"])), "succeeded");
    assert_ne!(outcome(&failing(script(), &["*:start:2"])), "succeeded");
}

#[test]
fn a_host_that_fails_its_health_gate_holds_the_rollout_for_a_person() {
    for fail in ["dc1-01:gate", "dc1-01:health"] {
        let rehearsal = failing(seven(1, 20), &[fail]);
        let End::Waits(what) = &rehearsal.end else {
            panic!("{fail}: {:?}", rehearsal.end);
        };
        assert!(what[0].contains("gate health"), "{what:?}");
        assert!(
            rehearsal.approvals.is_empty(),
            "nobody was asked: the gate before them failed"
        );
    }
    let text = SEVEN.replace("gate: hold", "gate: rollback");
    let one = MadeUp {
        datacenters: Some(1),
        ..MadeUp::default()
    };
    let rehearsal = failing(script(&text, one), &["dc1-01:gate"]);
    assert_eq!(outcome(&rehearsal), "rolled_back");
}

#[test]
fn approvals_are_taken_for_given_after_the_time_to_think_and_said_to_be() {
    let mut script = seven(2, 4);
    script.think = Span::secs(1800);
    let rehearsal = rehearse(&script).unwrap();
    assert_eq!(outcome(&rehearsal), "succeeded");
    assert_eq!(rehearsal.approvals.len(), 2, "one gate in each datacenter");
    for approval in &rehearsal.approvals {
        assert_eq!(
            (approval.approvers, approval.gate.as_str(), approval.wave.as_str()),
            (2, "signoff", "canary")
        );
        assert_eq!(approval.given_ms - approval.asked_ms, Span::secs(1800));
    }
    assert_eq!(told(&rehearsal, "gate_approved").count(), 4);
    script.playbook = echelon_playbooks::read(&SEVEN.replace("count: 2 }", "count: 2, deadline: 10m }"))
        .unwrap()
        .playbook;
    let late = rehearse(&script).unwrap();
    assert_eq!(outcome(&late), "waits", "the deadline passes while they think");
}

#[test]
fn made_up_hosts_fit_the_playbook() {
    let text = SEVEN.replace("app=shop,env=prod", "app=shop,pool=front,dc!=dc1,zone");
    let rehearsal = rehearse(&script(&text, MadeUp::default())).unwrap();
    let host = rehearsal.state.hosts.values().next().unwrap();
    let labels: Vec<_> = host.labels.keys().map(|label| label.as_str()).collect();
    assert_eq!(labels, ["app", "rack", "zone"]);
    assert_eq!((host.datacenter.as_str(), host.pool.as_str()), ("dc2", "front"));
    let text = SEVEN.replace("stages:", "lanes: { datacenters: [east, west, south] }\nstages:");
    let rehearsal = rehearse(&script(&text, MadeUp::default())).unwrap();
    let lanes: Vec<_> = rehearsal
        .forecast
        .lanes
        .iter()
        .map(|lane| lane.datacenter.as_str())
        .collect();
    assert_eq!(lanes, ["east", "south", "west"]);
    let four = MadeUp {
        datacenters: Some(4),
        ..MadeUp::default()
    };
    let refused = rehearse(&script(&text, four)).unwrap_err().to_string();
    assert!(refused.contains("east, west, south"), "{refused}");
    let text = SEVEN.replace("maintenance=true\"", "maintenance=true\", expect: { min: 61 }");
    let rehearsal = rehearse(&script(&text, MadeUp::default())).unwrap();
    assert_eq!(rehearsal.state.hosts.size(), 62);
}

#[test]
fn trouble_for_what_there_is_not_is_refused_and_names_what_there_is() {
    for (fail, says) in [
        ("dc9-1:start", "there is no host dc9-1 to fail: there are dc1-1, dc1-2"),
        (
            "*:stat",
            "there is no phase stat to fail: there are drain, settle, stop, install, start, warm, admit, reinstate",
        ),
    ] {
        let mut script = seven(1, 2);
        script.fails = vec![fail.parse::<Fail>().unwrap()];
        let refused = rehearse(&script).unwrap_err().to_string();
        assert!(refused.starts_with(says), "{refused}");
    }
    let mut script = seven(1, 200);
    script.slows = vec![name("dc1-201:start=5s")];
    let refused = rehearse(&script).unwrap_err().to_string();
    assert!(
        refused.contains("slow down") && refused.ends_with("dc1-008, 192 more"),
        "{refused}"
    );
}

fn given(host: &str, state: &str, release: &str) -> Host {
    let stands = Standing {
        state: name(state),
        release: Some(name(release)),
        previous: None,
        error: None,
    };
    let labels = [("app", "shop"), ("env", "prod"), ("rack", "7")];
    Host {
        host: name(host),
        datacenter: name("dc1"),
        pool: name("front"),
        labels: labels.map(|(key, value)| (name(key), value.to_owned())).into(),
        attached: true,
        in_service: None,
        busy: false,
        standings: [(name("shop"), stands)].into(),
    }
}

/// The second was left stopped, the third is there already, the fourth is out of reach.
fn mixed(count: usize) -> Script {
    let mut hosts: Vec<_> = (1..=count)
        .map(|number| given(&format!("web-{number:02}"), "serving", "1.0"))
        .collect();
    hosts[1] = given("web-02", "stopped", "1.0");
    hosts[2] = given("web-03", "serving", "new");
    hosts[3].attached = false;
    let mut script = seven(1, 1);
    script.fleet = Fleet::Given(hosts);
    script
}

#[test]
fn given_hosts_go_from_where_they_stand() {
    let rehearsal = rehearse(&mixed(12)).unwrap();
    assert_eq!(outcome(&rehearsal), "succeeded_with_debt", "web-04 is out of reach");
    let phases = |host: &str| {
        let started = rehearsal.events.iter().filter(|event| event.kind == "phase_started");
        let own = started.filter(|event| event.host.as_ref().is_some_and(|is| is.as_str() == host));
        own.filter_map(|event| event.phase.as_ref().map(ToString::to_string))
            .collect::<Vec<_>>()
    };
    assert_eq!(phases("web-01").len(), 7);
    // It was out before the rollout began, so it is not for the rollout to put it into service.
    assert_eq!(phases("web-02"), ["install", "start", "warm"]);
    assert!(phases("web-03").is_empty() && phases("web-04").is_empty());
    // A quarter of 12 may be out: two are before it begins, so it takes out one at a time.
    let pool = &rehearsal.forecast.pools[0];
    assert_eq!((pool.hosts, pool.at_start, pool.lowest), (12, 10, 9));
}

#[test]
fn a_fleet_with_too_many_hosts_out_stands_still_and_says_for_want_of_what() {
    let End::Waits(what) = rehearse(&mixed(4)).unwrap().end else {
        panic!("one of four may be out, and two are");
    };
    assert_eq!(
        what,
        ["capacity in dc1: pool front: 2 of 4 out of service, 1 may be: web-02 (stopped), web-04 (not reachable)"]
    );
}

#[test]
fn hosts_in_work_for_another_rollout_are_taken_to_be_idle_and_counted() {
    let mut script = mixed(12);
    if let Fleet::Given(hosts) = &mut script.fleet {
        hosts[7].busy = true;
    }
    let rehearsal = rehearse(&script).unwrap();
    assert_eq!(
        (rehearsal.taken_as_idle, outcome(&rehearsal)),
        (1, "succeeded_with_debt")
    );
}

#[test]
fn a_host_of_two_apps_is_out_of_service_for_both_when_the_other_is_to_blame() {
    let other = Standing {
        state: name("mended"),
        release: Some(name("9")),
        previous: None,
        error: None,
    };
    let serving = |in_service| {
        let mut host = given("web-1", "serving", "1.0");
        host.in_service = Some(in_service);
        host.standings.insert(name("cache"), other.clone());
        let mut script = seven(1, 1);
        script.fleet = Fleet::Given(vec![host]);
        rehearse(&script).unwrap().forecast.pools[0].at_start
    };
    assert_eq!((serving(true), serving(false)), (1, 0));
}

#[test]
fn what_the_engine_refuses_is_refused_in_its_words() {
    let mut script = seven(1, 1);
    script.fleet = Fleet::Given(vec![given("web-1", "lost", "1.0")]);
    let Err(Error::Refused(refusal)) = rehearse(&script) else {
        panic!("a state that the playbook does not know was taken");
    };
    assert!(refusal.text.contains("web-1 stands in state lost"), "{refusal}");
    script.fleet = Fleet::Given(vec![given("web-1", "serving", "1.0"), given("web-1", "serving", "1.0")]);
    assert_eq!(rehearse(&script).unwrap_err().to_string(), "host web-1 is there twice");
}

#[test]
fn two_thousand_hosts_through_seven_phases_are_rehearsed_to_the_end() {
    let rehearsal = rehearse(&seven(4, 500)).unwrap();
    assert_eq!(outcome(&rehearsal), "succeeded");
    assert_eq!(told(&rehearsal, "phase_started").count(), 14_000);
}
