//! Damage that only the store's own hands can do: pieces taken away, bits turned, heads of other versions.

use tempfile::TempDir;

use super::*;

fn entry(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn begun(folder: &TempDir) -> SledStore {
    let mut store = SledStore::open(folder.path()).unwrap();
    store.begin_term().unwrap();
    store
}

fn commit(store: &mut SledStore, entries: &[Vec<u8>]) {
    store.append(entries).unwrap();
    store.commit().unwrap();
}

fn all(store: &SledStore) -> Result<Vec<(u64, usize)>, Error> {
    let mut all = Vec::new();
    store.read(store.first(), &mut |sequence, bytes| {
        all.push((sequence, bytes.len()));
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

#[test]
fn an_entry_torn_at_the_tail_is_dropped_whole() {
    let folder = TempDir::new().unwrap();
    let mut store = begun(&folder);
    commit(&mut store, &[entry("a"), entry("b")]);
    store
        .append(&[entry("c"), vec![7; 3 * piece::PART_BYTES_MAX], entry("e")])
        .unwrap();
    store.db.remove(entry_key(4, 1)).unwrap();
    drop(store);

    let mut store = begun(&folder);
    assert_eq!(all(&store).unwrap(), [(1, 1), (2, 1), (3, 1)]);
    commit(&mut store, &[entry("again")]);
    assert_eq!(all(&store).unwrap().last(), Some(&(4, 5)));
    assert_eq!(store.db.range(entry_key(4, 1)..entry_key(u64::MAX, 0)).count(), 0);
}

#[test]
fn an_entry_that_was_committed_and_is_missing_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let mut store = begun(&folder);
    for n in 1..=9 {
        commit(&mut store, &[entry(&n.to_string())]);
    }
    store.db.remove(entry_key(5, 0)).unwrap();
    drop(store);
    let store = SledStore::open(folder.path()).unwrap();
    assert!(matches!(all(&store), Err(Error::Gap { sequence: 5 })));
}

#[test]
fn a_turned_bit_is_an_error_that_names_the_entry() {
    let folder = TempDir::new().unwrap();
    let mut store = begun(&folder);
    for n in 1..=9 {
        commit(&mut store, &[entry(&n.to_string())]);
    }
    let key = entry_key(3, 0);
    let mut value = store.db.get(key).unwrap().unwrap().to_vec();
    *value.last_mut().unwrap() ^= 1;
    store.db.insert(key, value).unwrap();
    assert!(matches!(all(&store), Err(Error::Checksum { sequence: 3 })));
}

#[test]
fn a_snapshot_that_never_became_current_leaves_the_old_one_and_no_rest() {
    let folder = TempDir::new().unwrap();
    let mut store = begun(&folder);
    commit(&mut store, &[entry("a"), entry("b")]);
    store.save_snapshot(1, b"old").unwrap();
    let key = snapshot_key(2, 0);
    store.put(&key, &encode(&key, 2, 2, b"half of a new")).unwrap();
    drop(store);

    let store = SledStore::open(folder.path()).unwrap();
    assert_eq!(store.load_snapshot().unwrap(), Some((1, b"old".to_vec())));
    assert_eq!(store.db.scan_prefix([SNAPSHOT]).count(), 1);
}

#[test]
fn a_damaged_snapshot_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let mut store = begun(&folder);
    commit(&mut store, &[entry("a")]);
    store.save_snapshot(1, &vec![1; 20_000]).unwrap();
    store.db.remove(snapshot_key(1, 2)).unwrap();
    assert!(matches!(
        store.load_snapshot(),
        Err(Error::Snapshot { sequence: 1, .. })
    ));
}

#[test]
fn a_trim_cut_short_is_finished_at_the_next_open() {
    let folder = TempDir::new().unwrap();
    let mut store = begun(&folder);
    commit(&mut store, &[entry("a"), entry("b"), entry("c")]);
    store.save_snapshot(3, b"abc").unwrap();
    store.put(FIRST, &3_u64.to_be_bytes()).unwrap();
    store.db.remove(entry_key(1, 0)).unwrap();
    drop(store);

    let store = SledStore::open(folder.path()).unwrap();
    assert_eq!(all(&store).unwrap(), [(3, 1)]);
    assert_eq!(store.db.scan_prefix([ENTRY]).count(), 1);
}

#[test]
fn a_journal_of_a_newer_format_or_of_somebody_else_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let store = begun(&folder);
    store.put(FORMAT, &2_u64.to_be_bytes()).unwrap();
    drop(store);
    let error = SledStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Newer { found: 2, known: 1 }), "{error}");

    let folder = TempDir::new().unwrap();
    let store = begun(&folder);
    store.db.remove(FORMAT).unwrap();
    drop(store);
    let error = SledStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
}
