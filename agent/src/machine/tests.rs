//! What the machine promises, without IO.

use echelon_proto::{PhaseName, RolloutId, Span};

use super::*;
use crate::order::{Action, Run};

const NOW: Time = Time(1000);

fn fence(rollout: &str, attempt: u32) -> Fence {
    Fence {
        term: 1,
        rollout: RolloutId::new(rollout).unwrap(),
        host: HostId::new("h1").unwrap(),
        phase: PhaseName::new("start").unwrap(),
        attempt,
    }
}

fn order(rollout: &str, attempt: u32) -> Order {
    order_for("web", rollout, attempt)
}

fn order_for(app: &str, rollout: &str, attempt: u32) -> Order {
    let app = App::new(app).unwrap();
    Order {
        fence: fence(rollout, attempt),
        app: app.clone(),
        release: None,
        action: Action::Run(Run {
            argv: vec!["true".to_owned()],
            env: std::collections::BTreeMap::new(),
            cwd: None,
            user: None,
            limits: crate::order::Limits::default(),
            secrets: std::collections::BTreeMap::new(),
        }),
        timeout: Span::secs(10),
        verify: None,
        after: Standing {
            state: Some(StateName::new("running").unwrap()),
            ..Standing::unknown(app)
        },
        from_state: Some(StateName::new("stopped").unwrap()),
        guards: Vec::new(),
        variables: std::collections::BTreeMap::new(),
        leftovers: crate::order::Leftovers::Leave,
    }
}

fn machine() -> Machine {
    Machine::new(HostId::new("h1").unwrap(), Ledger::default())
}

/// Gives the input, saves, and says which attempts were started and what was reported.
fn give(machine: &mut Machine, input: Input) -> (Vec<u32>, Vec<Report>) {
    machine.on(input, NOW);
    if machine.unsaved().is_some() {
        machine.saved();
    }
    done(machine)
}

fn done(machine: &mut Machine) -> (Vec<u32>, Vec<Report>) {
    let (mut started, mut reports) = (Vec::new(), Vec::new());
    for effect in machine.effects() {
        match effect {
            Effect::Start(work) => started.push(work.order.fence.attempt),
            Effect::Report(report) => reports.push(*report),
        }
    }
    (started, reports)
}

fn ordered(order: Order) -> Input {
    Input::Order(Box::new(order))
}

fn ended(rollout: &str, attempt: u32, outcome: Outcome) -> Input {
    Input::Ended {
        fence: fence(rollout, attempt),
        outcome,
    }
}

fn only(reports: &[Report]) -> (PhaseResult, &str) {
    assert_eq!(reports.len(), 1, "{reports:?}");
    (reports[0].outcome.result, &reports[0].outcome.message)
}

#[test]
fn a_phase_that_is_done_moves_the_standing_with_its_result_in_one_save() {
    let mut machine = machine();
    assert_eq!(give(&mut machine, ordered(order("r1", 1))), (vec![1], vec![]));
    machine.on(ended("r1", 1, Outcome::done()), NOW);
    let saved = machine.unsaved().unwrap().clone();
    assert_eq!(
        saved.apps.values().next().unwrap().state.as_ref().unwrap().as_str(),
        "running"
    );
    assert!(matches!(&saved.attempts[0].progress, Progress::Ended(report) if report.sequence == 1));
    machine.saved();
    let (_, reports) = done(&mut machine);
    assert_eq!(only(&reports).0, PhaseResult::Done);
    assert_eq!(reports[0].standing, saved.apps.values().next().unwrap().clone());
}

#[test]
fn nothing_is_begun_or_reported_before_the_ledger_is_saved() {
    let mut machine = machine();
    machine.on(ordered(order("r1", 1)), NOW);
    assert!(machine.effects().is_empty());
    assert!(machine.unsaved().is_some());
    machine.saved();
    assert_eq!(done(&mut machine).0, [1]);
    machine.on(ended("r1", 1, Outcome::done()), NOW);
    assert!(machine.effects().is_empty() && machine.reports().is_empty());
}

#[test]
fn an_order_that_comes_again_is_answered_and_never_run_again_even_when_acknowledged() {
    let mut machine = machine();
    give(&mut machine, ordered(order("r1", 1)));
    assert_eq!(give(&mut machine, ordered(order("r1", 1))), (vec![], vec![]), "it runs");
    give(&mut machine, ended("r1", 1, Outcome::done()));
    let mut again = order("r1", 1);
    again.fence.term = 2;
    let (started, reports) = give(&mut machine, ordered(again.clone()));
    assert!(started.is_empty());
    assert_eq!((only(&reports).0, reports[0].sequence), (PhaseResult::Done, 1));
    give(&mut machine, Input::Acked(1));
    assert!(machine.reports().is_empty());
    let (started, reports) = give(&mut machine, ordered(again));
    assert!(started.is_empty());
    assert_eq!((only(&reports).0, reports[0].sequence), (PhaseResult::Done, 2));
}

#[test]
fn an_older_attempt_and_an_older_term_are_refused() {
    let mut machine = machine();
    give(&mut machine, ordered(order("r1", 2)));
    give(&mut machine, ended("r1", 2, Outcome::failed("no")));
    give(&mut machine, Input::Acked(1));
    let (started, reports) = give(&mut machine, ordered(order("r1", 1)));
    assert!(started.is_empty() && only(&reports).1.contains("older"), "{reports:?}");
    give(&mut machine, Input::Term(7));
    let (started, reports) = give(&mut machine, ordered(order("r2", 1)));
    assert!(
        started.is_empty() && only(&reports).1.contains("obeys term 7"),
        "{reports:?}"
    );
}

#[test]
fn the_highest_term_survives_a_restart() {
    let mut machine = machine();
    machine.on(Input::Term(7), NOW);
    let ledger = machine.unsaved().unwrap().clone();
    let mut after = Machine::new(HostId::new("h1").unwrap(), ledger);
    let (started, reports) = give(&mut after, ordered(order("r1", 1)));
    assert!(started.is_empty() && only(&reports).0 == PhaseResult::Refused);
}

#[test]
fn a_term_that_found_no_room_is_saved_as_soon_as_there_is_some() {
    let mut machine = machine();
    machine.on(Input::Term(7), NOW);
    assert!(machine.unsaved().is_some());
    machine.not_saved("no space left", NOW);
    assert!(machine.is_unsaved(), "nobody says the term a second time");
    assert_eq!(machine.unsaved().map(|ledger| ledger.term), Some(7));
    machine.saved();
    assert!(!machine.is_unsaved());
}

#[test]
fn an_order_for_another_state_is_refused_naming_both_and_first_contact_is_not() {
    let mut machine = machine();
    give(&mut machine, ordered(order("r1", 1)));
    give(&mut machine, ended("r1", 1, Outcome::done()));
    let (started, reports) = give(&mut machine, ordered(order("r1", 2)));
    let (result, message) = only(&reports);
    assert!(started.is_empty() && result == PhaseResult::Refused);
    assert!(
        message.contains("state running") && message.contains("state stopped"),
        "{message}"
    );
    let mut anywhere = order("r1", 3);
    anywhere.from_state = None;
    assert_eq!(give(&mut machine, ordered(anywhere)).0, [3]);
}

#[test]
fn a_failure_leaves_the_app_where_it_stood_and_says_why() {
    let mut machine = machine();
    give(&mut machine, ordered(order("r1", 1)));
    let (_, reports) = give(&mut machine, ended("r1", 1, Outcome::failed("port taken")));
    let standing = &reports[0].standing;
    assert_eq!(standing.state.as_ref().unwrap().as_str(), "stopped");
    assert_eq!(standing.error, "port taken");
    assert_eq!(give(&mut machine, ordered(order("r1", 2))).0, [2]);
    let (_, reports) = give(&mut machine, ended("r1", 2, Outcome::done()));
    assert_eq!(reports[0].standing.error, "");
}

#[test]
fn a_phase_held_back_leaves_standing_and_error_as_they_were_and_the_next_attempt_may_begin() {
    let mut machine = machine();
    give(&mut machine, ordered(order("r1", 1)));
    give(&mut machine, ended("r1", 1, Outcome::failed("no such unit")));
    let before = machine.standings().cloned().collect::<Vec<_>>();
    give(&mut machine, ordered(order("r1", 2)));
    let held = Outcome::of(PhaseResult::HeldBack, "guard space does not hold".to_owned());
    let (_, reports) = give(&mut machine, ended("r1", 2, held));
    assert_eq!(only(&reports), (PhaseResult::HeldBack, "guard space does not hold"));
    assert_eq!(machine.standings().cloned().collect::<Vec<_>>(), before);
    assert_eq!(machine.running().count(), 0);
    assert_eq!(give(&mut machine, ordered(order("r1", 3))).0, [3]);
}

#[test]
fn one_app_runs_one_order_at_a_time_and_others_at_once() {
    let mut machine = machine();
    assert_eq!(give(&mut machine, ordered(order("r1", 1))).0, [1]);
    assert!(give(&mut machine, ordered(order("r2", 5))).0.is_empty());
    assert_eq!(give(&mut machine, ordered(order_for("db", "r3", 7))).0, [7]);
    let (started, reports) = give(&mut machine, ended("r1", 1, Outcome::failed("no")));
    assert_eq!((started, reports.len()), (vec![5], 1));
}

#[test]
fn what_waits_is_bounded_and_forgotten_with_its_session() {
    let mut machine = machine();
    give(&mut machine, ordered(order("r0", 1)));
    for n in 1..=WAITING_MAX {
        assert_eq!(
            give(&mut machine, ordered(order(&format!("r{n}"), 1))),
            (vec![], vec![])
        );
    }
    let (_, reports) = give(&mut machine, ordered(order("r99", 1)));
    assert_eq!(only(&reports).0, PhaseResult::Refused);
    give(&mut machine, Input::Detached);
    assert!(give(&mut machine, ended("r0", 1, Outcome::failed("no"))).0.is_empty());
}

#[test]
fn a_full_disk_refuses_what_would_begin_and_keeps_what_ended_until_there_is_room() {
    let mut machine = machine();
    give(&mut machine, ordered(order("r1", 1)));
    machine.on(ended("r1", 1, Outcome::done()), NOW);
    assert!(machine.unsaved().is_some());
    machine.not_saved("no space left", NOW);
    assert!(done(&mut machine).1.is_empty() && machine.reports().is_empty() && machine.is_unsaved());

    machine.on(ordered(order_for("db", "r2", 1)), NOW);
    assert!(machine.unsaved().is_some());
    machine.not_saved("no space left", NOW);
    let (started, reports) = done(&mut machine);
    assert!(started.is_empty());
    assert_eq!(only(&reports), (PhaseResult::Refused, "no space left"));
    // An acknowledgement of the refusal is none of the report that nobody has seen.
    give_unsaved(&mut machine, Input::Acked(reports[0].sequence));

    assert!(machine.unsaved().is_some());
    machine.saved();
    let (_, after) = done(&mut machine);
    assert_eq!(only(&after).0, PhaseResult::Done);
    assert!(after[0].sequence > reports[0].sequence);
    assert_eq!(
        give(&mut machine, ordered(order_for("db", "r2", 1))).0,
        [1],
        "there is room again"
    );
}

/// Seed 29845 of the core simulation at 8 hosts: an old order was carried out a second time.
#[test]
fn an_attempt_that_found_no_room_does_not_make_the_one_before_forgotten() {
    let mut machine = machine();
    give(&mut machine, ordered(order("r1", 1)));
    let (_, reports) = give(&mut machine, ended("r1", 1, Outcome::failed("no")));
    give(&mut machine, Input::Acked(reports[0].sequence));
    machine.on(ordered(order("r1", 2)), NOW);
    machine.not_saved("no space left", NOW);
    assert_eq!(only(&done(&mut machine).1).0, PhaseResult::Refused);
    let (started, reports) = give(&mut machine, ordered(order("r1", 1)));
    assert!(started.is_empty(), "it was run");
    assert_eq!(only(&reports).0, PhaseResult::Failed, "its end is told again");
}

fn give_unsaved(machine: &mut Machine, input: Input) {
    machine.on(input, NOW);
    assert!(machine.is_unsaved());
}

#[test]
fn a_ledger_that_cannot_be_read_refuses_every_order() {
    let mut machine = Machine::closed(HostId::new("h1").unwrap(), "damaged".to_owned());
    let (started, reports) = give(&mut machine, ordered(order("r1", 1)));
    assert!(started.is_empty());
    assert_eq!(only(&reports), (PhaseResult::Refused, "damaged"));
    assert!(machine.unsaved().is_none(), "it must not be written over");
}

#[test]
fn a_restart_takes_up_what_runs_and_reports_what_was_not_acknowledged() {
    let mut machine = machine();
    give(&mut machine, ordered(order("r1", 1)));
    give(&mut machine, ordered(order_for("db", "r2", 3)));
    machine.on(ended("r1", 1, Outcome::done()), NOW);
    let ledger = machine.unsaved().unwrap().clone();
    let mut after = Machine::new(HostId::new("h1").unwrap(), ledger);
    assert_eq!(after.reports().len(), 1);
    let effects = after.effects();
    let [Effect::Start(work)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(work.resumed && work.order.fence == fence("r2", 3));
}

#[test]
fn acknowledged_attempts_are_the_last_of_each_rollout_and_bounded() {
    let mut machine = machine();
    for n in 1..=ATTEMPTS_MAX as u64 + 20 {
        let name = format!("r{n}");
        for attempt in 1..=2 {
            give(&mut machine, ordered(order(&name, attempt)));
            let (_, reports) = give(&mut machine, ended(&name, attempt, Outcome::failed("no")));
            give(&mut machine, Input::Acked(reports[0].sequence));
        }
    }
    let ledger = machine.ledger;
    assert_eq!(ledger.attempts.len(), ATTEMPTS_MAX);
    assert!(ledger.attempts.iter().all(|attempt| attempt.fence.attempt == 2));
    assert_eq!(ledger.attempts[0].fence.rollout.as_str(), "r21");
}

#[test]
fn message_and_tail_are_held_to_what_the_link_promises() {
    let outcome = Outcome::failed("ä".repeat(5000)).with_tail(format!("ä{}", "x".repeat(TAIL_BYTES_MAX)));
    let clipped = clipped(outcome);
    assert_eq!(clipped.message.chars().count(), MESSAGE_CHARS_MAX);
    assert_eq!(clipped.tail, "x".repeat(TAIL_BYTES_MAX));
}

#[test]
fn the_agents_own_upgrade_runs_alone_and_waits_for_what_runs() {
    let mut machine = machine();
    assert_eq!(give(&mut machine, ordered(order("r1", 1))), (vec![1], vec![]));
    let own = order_for(crate::upgrade::APP, "r2", 2);
    assert_eq!(give(&mut machine, ordered(own)), (vec![], vec![]), "a phase runs");
    let other = order_for("api", "r3", 3);
    assert_eq!(
        give(&mut machine, ordered(other)),
        (vec![], vec![]),
        "the upgrade is not kept waiting for ever"
    );
    assert_eq!(give(&mut machine, ended("r1", 1, Outcome::done())).0, [2]);
    assert_eq!(
        give(&mut machine, ordered(order_for("db", "r4", 4))),
        (vec![], vec![]),
        "the upgrade runs"
    );
    let mut begun = give(&mut machine, ended("r2", 2, Outcome::done())).0;
    begun.sort_unstable();
    assert_eq!(begun, [3, 4]);
}
