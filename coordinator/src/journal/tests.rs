//! What a journal promises, asked of both stores through its public face. Crashes are in `crash`.

mod crash;

use serde::Deserialize;
use tempfile::TempDir;

use super::*;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    n: u64,
    text: String,
}

fn step(n: u64) -> Step {
    step_of(n, n as usize % 50)
}

fn step_of(n: u64, length: usize) -> Step {
    let letter = char::from(b'a' + (n % 26) as u8);
    Step {
        n,
        text: std::iter::repeat_n(letter, length).collect(),
    }
}

fn begun(folder: &Path) -> Journal<Step> {
    let mut journal = Journal::open(folder).unwrap();
    journal.begin_term().unwrap();
    journal
}

fn steps(journal: &Journal<Step>, from: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    journal
        .replay(from, |sequence, step: Step| {
            assert_eq!(sequence, from + steps.len() as u64);
            steps.push(step);
        })
        .unwrap();
    steps
}

fn commit(journal: &mut Journal<Step>, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        assert_eq!(journal.append(&step(n)).unwrap(), n);
    }
    journal.commit().unwrap();
}

/// The same promises, of sled and of the simulated disk.
fn on_both(promise: impl Fn(&dyn Fn() -> Journal<Step>)) {
    let folder = TempDir::new().unwrap();
    promise(&|| Journal::open(folder.path()).unwrap());
    let disk = Disk::default();
    promise(&|| Journal::on(Box::new(MemoryStore::on(&disk))));
}

#[test]
fn what_was_committed_is_there_after_a_reopen() {
    on_both(|open| {
        let mut journal = open();
        journal.begin_term().unwrap();
        commit(&mut journal, 1..=3);
        let big = step_of(4, 100_000);
        journal.append(&big).unwrap();
        assert_eq!(journal.commit().unwrap(), 4);
        journal.append(&step(5)).unwrap();
        drop(journal);

        let journal = open();
        assert_eq!(steps(&journal, 1), [step(1), step(2), step(3), big.clone()]);
        assert_eq!(steps(&journal, 4), [big]);
        assert_eq!(steps(&journal, 5), []);
        assert_eq!(journal.span(), (1, 4));
    });
}

#[test]
fn each_start_is_a_new_term_and_nothing_is_written_before_one() {
    on_both(|open| {
        let mut journal = open();
        journal.append(&step(1)).unwrap();
        assert!(matches!(journal.commit(), Err(Error::NoTerm)));
        assert_eq!(journal.begin_term().unwrap(), 1);
        assert_eq!(journal.commit().unwrap(), 1);
        drop(journal);
        assert_eq!(open().begin_term().unwrap(), 2);
    });
}

#[test]
fn a_deposed_writer_can_write_nothing() {
    let disk = Disk::default();
    let mut old = Journal::on(Box::new(MemoryStore::on(&disk)));
    old.begin_term().unwrap();
    commit(&mut old, 1..=1);
    let mut new: Journal<Step> = Journal::on(Box::new(MemoryStore::on(&disk)));
    new.begin_term().unwrap();
    old.append(&step(2)).unwrap();
    assert!(matches!(old.commit(), Err(Error::Deposed { mine: 1, current: 2 })));
    assert!(matches!(old.save_snapshot(1, &1), Err(Error::Deposed { .. })));
    assert_eq!(steps(&new, 1), [step(1)]);
}

#[test]
fn a_snapshot_takes_the_place_of_the_one_before() {
    on_both(|open| {
        let mut journal = open();
        journal.begin_term().unwrap();
        assert_eq!(journal.load_snapshot::<String>().unwrap(), None);
        commit(&mut journal, 1..=10);
        assert!(matches!(
            journal.save_snapshot(11, &"x"),
            Err(Error::Ahead { asked: 11, last: 10 })
        ));
        for (sequence, length) in [(3, 50_000), (10, 200_000), (10, 7)] {
            let state = "s".repeat(length);
            journal.save_snapshot(sequence, &state).unwrap();
            assert_eq!(journal.load_snapshot().unwrap(), Some((sequence, state.clone())));
            drop(journal);
            journal = open();
            assert_eq!(journal.load_snapshot().unwrap(), Some((sequence, state)));
            journal.begin_term().unwrap();
        }
        assert_eq!(steps(&journal, 1).len(), 10);
    });
}

#[test]
fn a_trim_leaves_what_no_snapshot_covers_and_what_is_kept_as_history() {
    on_both(|open| {
        let mut journal = open();
        journal.begin_term().unwrap();
        commit(&mut journal, 1..=100);
        journal.trim(0).unwrap();
        assert_eq!(journal.span(), (1, 100), "no snapshot, no trim");
        journal.save_snapshot(60, &60).unwrap();
        journal.trim(0).unwrap();
        assert_eq!(journal.span(), (61, 100));
        assert!(matches!(
            journal.replay(60, |_, _| ()),
            Err(Error::Trimmed { asked: 60, first: 61 })
        ));
        journal.save_snapshot(100, &100).unwrap();
        journal.trim(30).unwrap();
        assert_eq!(journal.span(), (71, 100));
        journal.trim(0).unwrap();
        assert_eq!(journal.span(), (101, 100));
        drop(journal);

        let mut journal = open();
        journal.begin_term().unwrap();
        assert_eq!(journal.span(), (101, 100));
        commit(&mut journal, 101..=101);
        assert_eq!(steps(&journal, 101), [step(101)]);
    });
}

#[test]
fn an_entry_of_an_unknown_shape_is_an_error_that_names_it() {
    let disk = Disk::default();
    let mut other: Journal<u64> = Journal::on(Box::new(MemoryStore::on(&disk)));
    other.begin_term().unwrap();
    other.append(&7).unwrap();
    other.commit().unwrap();
    let journal: Journal<Step> = Journal::on(Box::new(MemoryStore::on(&disk)));
    assert!(matches!(
        journal.replay(1, |_, _| ()),
        Err(Error::Entry { sequence: 1, .. })
    ));
}

#[test]
fn a_second_coordinator_is_told_who_has_the_journal() {
    let folder = TempDir::new().unwrap();
    let first = begun(folder.path());
    let error = Journal::<Step>::open(folder.path()).unwrap_err();
    let me = std::process::id().to_string();
    assert!(
        matches!(&error, Error::Locked { holder, .. } if *holder == me),
        "{error}"
    );
    drop(first);
    begun(folder.path());
}

#[test]
fn after_a_failed_write_nothing_more_is_taken() {
    let disk = Disk::default();
    let mut journal = Journal::on(Box::new(MemoryStore::on(&disk)));
    journal.begin_term().unwrap();
    commit(&mut journal, 1..=1);
    disk.fail_after(Some(1));
    journal.append(&step(2)).unwrap();
    assert!(
        matches!(journal.commit(), Err(Error::Database { .. })),
        "the barrier fails"
    );
    disk.fail_after(None);
    assert!(matches!(journal.commit(), Err(Error::Broken { .. })));
    assert!(matches!(journal.replay(1, |_, _| ()), Err(Error::Broken { .. })));
    disk.lose_unflushed();
    assert_eq!(steps(&Journal::on(Box::new(MemoryStore::on(&disk))), 1), [step(1)]);
}

#[test]
fn no_value_is_ever_so_big_that_sled_writes_a_file_of_its_own() {
    let folder = TempDir::new().unwrap();
    let blobs = folder.path().join("sled/blobs");
    let none = || assert_eq!(std::fs::read_dir(&blobs).unwrap().count(), 0);
    let mut journal = begun(folder.path());
    for round in 0..30 {
        for n in 1..=20 {
            journal.append(&step_of(n, round as usize * 2_000)).unwrap();
        }
        let last = journal.commit().unwrap();
        journal.save_snapshot(last, &"s".repeat(150_000)).unwrap();
        journal.trim(round).unwrap();
        none();
    }
    drop(journal);
    none();
    begun(folder.path());
    none();
}
