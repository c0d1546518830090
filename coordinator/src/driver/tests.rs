//! The driver on a simulated disk, and as a thread. Deliberately no sockets: `tests/faces` has them.

use std::{collections::BTreeMap, time::Duration};

use echelon_engine::{
    Reason,
    command::{Artifact, Command, Grant, IfRunning, PlanRequest, Start, What},
    event::{Hello, PhaseResult, Report},
};
use echelon_proto::{App, Datacenter, Digest, HostId, Person, PlaybookName, Pool, ReleaseName, RolloutId, Span};
use tokio::time::timeout;

use super::*;
use crate::journal::{Disk, MemoryStore};

/// For each await of a test: a bound, not a measure.
const LONG: Duration = Duration::from_secs(60);

const PLAYBOOK: &str = r#"
name: web
version: 1
hosts: { selector: "dc" }
machine:
  initial: absent
  states:
    absent: { traffic: none }
    serving: { traffic: full }
  phases:
    - { name: install, from: [absent, serving], to: serving, sets: release, run: { argv: ["./go"] }, timeout: 1m, read_only: true }
  operations:
    deploy: { to: serving, release: target }
stages:
  - name: roll
    deploy: { operation: deploy, waves: ladder, max_unavailable: 100%, max_parallel: 10 }
"#;

fn retention(snapshot_every: u64, history: u64) -> Retention {
    Retention {
        snapshot_every,
        history,
    }
}

fn open(disk: &Disk, retention: Retention) -> Driver {
    let journal = Journal::on(Box::new(MemoryStore::on(disk)));
    Driver::open(journal, Config::default(), retention, Time(1000)).unwrap()
}

fn wish(command: Command) -> Event {
    Event::Commanded {
        by: Person::new("alice").unwrap(),
        command,
    }
}

fn release(name: &str) -> Event {
    wish(Command::CreateRelease(Artifact {
        app: App::new("web").unwrap(),
        release: ReleaseName::new(name).unwrap(),
        url: String::new(),
        sha256: None,
        size_bytes: 0,
    }))
}

fn stranger() -> Event {
    Event::HostJoining {
        host: HostId::new("h1").unwrap(),
        token: Digest::of(b"never given"),
    }
}

/// A host joins and attaches.
fn arrival(name: &str) -> [Event; 3] {
    let host = HostId::new(name).unwrap();
    let token = Digest::of(name.as_bytes());
    let grant = Grant {
        host: host.clone(),
        datacenter: Datacenter::new("dc1").unwrap(),
        pool: Pool::new("web").unwrap(),
        labels: BTreeMap::new(),
        expires: Time(u64::MAX),
    };
    let hello = Hello {
        version: "0.1.0".into(),
        labels: BTreeMap::new(),
        facts: BTreeMap::new(),
        standings: BTreeMap::new(),
    };
    [
        wish(Command::CreateToken { token, grant }),
        Event::HostJoining {
            host: host.clone(),
            token,
        },
        Event::HostAttached {
            host,
            session: 1,
            hello,
        },
    ]
}

fn start() -> Event {
    let request = PlanRequest {
        app: App::new("web").unwrap(),
        release: ReleaseName::new("1.0.0").unwrap(),
        playbook: PlaybookName::new("web").unwrap(),
        version: None,
        operation: None,
        params: BTreeMap::new(),
        datacenters: Vec::new(),
        hosts: Vec::new(),
    };
    wish(Command::StartRollout(Start {
        what: What::Request(request),
        at: None,
        request_id: None,
        if_running: IfRunning::Queue,
        reason: "release day".into(),
    }))
}

fn turn(driver: &mut Driver, now: u64, events: impl IntoIterator<Item = Event>) -> Turn<usize> {
    let events = events.into_iter().enumerate().map(|(n, event)| (event, n));
    driver.turn(Time(now), events.collect::<Vec<_>>()).unwrap()
}

/// Two hosts, and a rollout over them that has begun.
fn begin(driver: &mut Driver) -> RolloutId {
    let playbook = echelon_playbooks::read(PLAYBOOK).unwrap().playbook;
    let push = wish(Command::PushPlaybook {
        playbook: Box::new(playbook),
        text: PLAYBOOK.into(),
        base: None,
    });
    let fleet = ["h1", "h2"].into_iter().flat_map(arrival);
    let done = turn(driver, 2000, fleet.chain([release("1.0.0"), push]));
    assert!(done.answers.iter().all(|(_, answer)| answer.is_ok()), "{done:?}");
    let started = turn(driver, 3000, [start()]);
    match &started.answers[0].1 {
        Ok(Reply::Rollout(id)) => id.clone(),
        other => panic!("{other:?}"),
    }
}

/// Every order that is owed is carried out, until there is none.
fn finish(driver: &mut Driver, rollout: &RolloutId) {
    for round in 0..100_u64 {
        if driver.state().rollouts.get(rollout).unwrap().status.is_over() {
            return;
        }
        let orders: Vec<Event> = driver.take_changes().into_iter().filter_map(done).collect();
        turn(driver, 4000 + round * 1000, orders);
    }
    panic!("{rollout} does not end");
}

fn done((_, effect): Change) -> Option<Event> {
    let Some(Effect::Order(order)) = effect.as_deref() else {
        return None;
    };
    Some(Event::HostReported(Report {
        fence: order.fence.clone(),
        result: PhaseResult::Done,
        exit_code: Some(0),
        signal: None,
        message: String::new(),
        tail: String::new(),
        leftovers: Vec::new(),
        standing: None,
    }))
}

#[test]
fn a_refusal_writes_nothing_and_holds_up_nothing() {
    let mut driver = open(&Disk::default(), retention(1000, 1000));
    let before = driver.sequence();
    let refused = turn(&mut driver, 2000, [stranger()]);
    assert!(!refused.wrote);
    assert_eq!(driver.sequence(), before);
    let mixed = turn(&mut driver, 2000, [stranger(), release("1.0.0"), stranger()]);
    assert!(mixed.wrote);
    assert_eq!(driver.sequence(), before + 1);
    let answers: Vec<_> = mixed.answers.iter().map(|(n, answer)| (*n, answer.is_ok())).collect();
    assert_eq!(answers, [(0, false), (1, true), (2, false)]);
    assert!(matches!(&mixed.answers[0].1, Err(refusal) if refusal.reason == Reason::BadToken));
}

#[test]
fn what_was_answered_survives_the_loss_of_everything_unflushed() {
    let disk = Disk::default();
    let mut driver = open(&disk, retention(1000, 1000));
    turn(&mut driver, 2000, [release("1.0.0"), release("1.1.0")]);
    let term = driver.state().term;
    drop(driver);
    disk.lose_unflushed();
    let driver = open(&disk, retention(1000, 1000));
    assert_eq!(driver.state().term, term + 1);
    assert_eq!(driver.state().releases.values().map(BTreeMap::len).sum::<usize>(), 2);
}

#[test]
fn a_token_lives_by_the_engines_time_and_not_by_a_clock_that_was_put_back() {
    let disk = Disk::default();
    let mut driver = open(&disk, retention(1000, 1000));
    let [create, join, _] = arrival("h1");
    driver.turn(Time(50_000_000), [(stranger(), ())]).unwrap();
    // The wall's clock is put back by hours; a token that is made now is good for its ten minutes all the same.
    let answers = driver.turn(Time(1000), [(create.clone(), ())]).unwrap().answers;
    assert!(answers[0].1.is_ok(), "{answers:?}");
    let later = Time(50_000_000) + Span::secs(599);
    let answers = driver.turn(later, [(join.clone(), ())]).unwrap().answers;
    assert!(answers[0].1.is_ok(), "{answers:?}");
    driver.turn(later, [(create, ())]).unwrap();
    let answers = driver.turn(later + Span::secs(600), [(join, ())]).unwrap().answers;
    assert!(answers[0].1.is_err(), "{answers:?}");
}

#[test]
fn a_snapshot_that_never_comes_does_not_keep_the_next_one_away() {
    let disk = Disk::default();
    let mut driver = open(&disk, retention(1, 1000));
    assert!(driver.snapshot_due().is_some());
    driver.turn(Time(2000), [(release("1.0.0"), ())]).unwrap();
    assert!(driver.snapshot_due().is_none(), "one is on its way");
    driver.snapshot_failed();
    assert!(driver.snapshot_due().is_some());
}

#[test]
fn when_the_journal_fails_nobody_of_the_turn_hears_that_it_is_done_nor_of_any_later_turn() {
    // The turn's writes: one append for all its entries, and the commit.
    for writes in 0..2 {
        let disk = Disk::default();
        let mut driver = open(&disk, retention(1000, 1000));
        disk.fail_after(Some(writes));
        let events = [(stranger(), 'a'), (release("1.0.0"), 'b'), (release("1.1.0"), 'c')];
        let stopped = driver.turn(Time(2000), events).unwrap_err();
        assert_eq!(stopped.waiting, ['a', 'b', 'c']);
        disk.fail_after(None);
        // It would write nothing, but it would be answered from what is not durable.
        let stopped = driver.turn(Time(3000), [(release("1.0.0"), 'd')]).unwrap_err();
        assert_eq!(stopped.waiting, ['d'], "a journal that failed once stays stopped");
        drop(driver);
        disk.lose_unflushed();
        let driver = open(&disk, retention(1000, 1000));
        assert_eq!(driver.state().releases.size(), 0);
    }
}

#[test]
fn a_replay_leads_to_the_live_state_with_its_snapshot_and_without() {
    for snapshot_every in [1_000_000, 3] {
        let disk = Disk::default();
        let mut driver = open(&disk, retention(snapshot_every, 0));
        let rollout = begin(&mut driver);
        save(&mut driver);
        finish(&mut driver, &rollout);
        let live = driver.state().clone();
        let now = driver.now();
        drop(driver);
        let journal = Journal::on(Box::new(MemoryStore::on(&disk)));
        let restored = restore(&journal, Config::default(), &Story::default()).unwrap();
        assert_eq!(restored.engine.state(), &live);
        assert_eq!(restored.now, now);
        assert_eq!(restored.snapshot > 0, snapshot_every == 3);
        assert_eq!(restored.engine.owed(), &restored.engine.owed_from_scratch());
    }
}

fn save(driver: &mut Driver) {
    if let Some(due) = driver.snapshot_due() {
        assert!(driver.snapshot_due().is_none(), "one at a time");
        driver.save(due.encode()).unwrap();
    }
}

#[test]
fn a_snapshot_lets_old_entries_go_and_keeps_the_history_asked_for() {
    let disk = Disk::default();
    let mut driver = open(&disk, retention(10, 4));
    for n in 0..30 {
        turn(&mut driver, 2000 + n, [release(&format!("1.{n}.0"))]);
        save(&mut driver);
    }
    let last = driver.sequence();
    drop(driver);
    let journal: Journal<Entry> = Journal::on(Box::new(MemoryStore::on(&disk)));
    let (first, _) = journal.span();
    assert!(first > 1 && first <= last - 3, "{first} of {last}");
    let restored = restore(&journal, Config::default(), &Story::default()).unwrap();
    assert_eq!(
        restored
            .engine
            .state()
            .releases
            .values()
            .map(BTreeMap::len)
            .sum::<usize>(),
        30
    );
}

#[test]
fn a_rollout_s_lines_have_the_same_numbers_after_a_restart() {
    let disk = Disk::default();
    let mut driver = open(&disk, retention(5, 1000));
    let rollout = begin(&mut driver);
    save(&mut driver);
    finish(&mut driver, &rollout);
    let before = driver.story().page(&rollout, 0, 1000).lines;
    assert!(before.len() > 6, "{before:?}");
    assert!(before.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    let by_alice = driver.story().human(&rollout);
    assert_eq!(by_alice[0].view.kind, "rollout_created");
    drop(driver);
    let driver = open(&disk, retention(5, 1000));
    assert_eq!(driver.story().page(&rollout, 0, 1000).lines, before);
}

#[test]
fn an_order_in_flight_is_owed_again_by_the_next_coordinator_with_a_higher_term() {
    let disk = Disk::default();
    let mut driver = open(&disk, retention(1000, 1000));
    begin(&mut driver);
    let orders = |driver: &mut Driver| -> Vec<_> {
        let effects = driver.take_changes().into_iter().filter_map(|(_, effect)| effect);
        effects
            .filter_map(|effect| match effect.as_ref() {
                Effect::Order(order) => Some(order.fence.clone()),
                Effect::Watch(_) | Effect::Canary(_) | Effect::Notify(_) => None,
            })
            .collect()
    };
    let before = orders(&mut driver);
    assert!(!before.is_empty());
    drop(driver);
    let after = orders(&mut open(&disk, retention(1000, 1000)));
    assert_eq!(after.len(), before.len());
    for (before, after) in before.iter().zip(&after) {
        assert!(
            after.same_attempt(before) && after.term == before.term + 1,
            "{before} {after}"
        );
    }
}

/// On its thread, with no runners.
fn run(disk: &Disk) -> (Inbox, Running) {
    let driver = open(disk, retention(1000, 1000));
    let (inbox, letters) = Inbox::new();
    let running = start_on_thread(driver, &inbox, letters);
    (inbox, running)
}

fn start_on_thread(driver: Driver, inbox: &Inbox, letters: tokio::sync::mpsc::Receiver<Letter>) -> Running {
    super::start(
        crate::ground::Ground::Threads,
        driver,
        Config::default(),
        inbox,
        letters,
        drop,
    )
    .unwrap()
}

#[tokio::test]
async fn who_is_answered_finds_it_in_the_published_view() {
    let (inbox, running) = run(&Disk::default());
    for n in 0..20 {
        let answer = timeout(LONG, inbox.ask(release(&format!("1.{n}.0")))).await.unwrap();
        assert!(matches!(answer, Ok(Reply::Done)), "{answer:?}");
        let releases = running
            .reader
            .latest()
            .state
            .releases
            .values()
            .map(BTreeMap::len)
            .sum::<usize>();
        assert_eq!(releases, n + 1);
    }
    inbox.stop().await;
    timeout(LONG, running.ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_failed_journal_ends_the_driver_and_everybody_hears_that_it_stops() {
    let disk = Disk::default();
    let (inbox, running) = run(&disk);
    disk.fail_after(Some(0));
    let answer = timeout(LONG, inbox.ask(release("1.0.0"))).await.unwrap();
    assert!(matches!(answer, Err(Unmet::Broken)), "{answer:?}");
    timeout(LONG, running.ended).await.unwrap().unwrap().unwrap_err();
    let answer = timeout(LONG, inbox.ask(release("1.1.0"))).await.unwrap();
    assert!(matches!(answer, Err(Unmet::Stopping)), "{answer:?}");
    assert_eq!(
        running.reader.latest().state.releases.size(),
        0,
        "the view shows only what is durable"
    );
}

#[tokio::test]
async fn what_waits_when_it_is_told_to_stop_is_answered() {
    let disk = Disk::default();
    let driver = open(&disk, retention(1000, 1000));
    let (inbox, letters) = Inbox::new();
    let asked: Vec<_> = (0..5)
        .map(|n| {
            let inbox = inbox.clone();
            tokio::spawn(async move { inbox.ask(release(&format!("1.{n}.0"))).await })
        })
        .collect();
    tokio::task::yield_now().await;
    inbox.stop().await;
    let running = start_on_thread(driver, &inbox, letters);
    timeout(LONG, running.ended).await.unwrap().unwrap().unwrap();
    for asked in asked {
        assert!(matches!(asked.await.unwrap(), Ok(Reply::Done)));
    }
    let driver = open(&disk, retention(1000, 1000));
    assert_eq!(driver.state().releases.values().map(BTreeMap::len).sum::<usize>(), 5);
}

#[tokio::test]
async fn what_is_due_by_itself_happens_though_nobody_asks() {
    let disk = Disk::default();
    let driver = open(&disk, retention(1000, 1000));
    let (inbox, letters) = Inbox::new();
    let running = start_on_thread(driver, &inbox, letters);
    for event in arrival("h1").into_iter().chain([release("1.0.0")]) {
        inbox.ask(event).await.unwrap();
    }
    let playbook = Box::new(echelon_playbooks::read(PLAYBOOK).unwrap().playbook);
    inbox
        .ask(wish(Command::PushPlaybook {
            playbook,
            text: PLAYBOOK.into(),
            base: None,
        }))
        .await
        .unwrap();
    let Event::Commanded {
        by,
        command: Command::StartRollout(start),
    } = start()
    else {
        panic!()
    };
    let later = Start {
        at: Some(run::wall() + Span(300)),
        ..start
    };
    inbox
        .ask(Event::Commanded {
            by,
            command: Command::StartRollout(later),
        })
        .await
        .unwrap();
    let mut reader = running.reader.clone();
    let began = async {
        while !reader
            .mark_latest()
            .state
            .rollouts
            .values()
            .any(|rollout| rollout.status.has_begun())
        {
            assert!(reader.changed().await);
        }
    };
    timeout(LONG, began).await.unwrap();
    inbox.stop().await;
    timeout(LONG, running.ended).await.unwrap().unwrap().unwrap();
}
