//! Output that comes twice, in pieces, too much of it, and while it is read.

use tempfile::TempDir;

use super::*;

const ALL: usize = 1 << 20;

fn fence(rollout: &str, host: &str, attempt: u32) -> Fence {
    Fence {
        term: 1,
        rollout: RolloutId::new(rollout).unwrap(),
        host: HostId::new(host).unwrap(),
        phase: PhaseName::new("in.stall").unwrap(),
        attempt,
    }
}

fn text(output: &Output, fence: &Fence) -> String {
    let attempts = output
        .attempts(&fence.rollout, Some(&fence.host), Some(&fence.phase))
        .unwrap();
    let attempt = attempts.iter().find(|attempt| attempt.attempt == fence.attempt);
    let bytes = attempt.map(|attempt| output.read(&fence.rollout, attempt, 0, ALL).unwrap());
    String::from_utf8(bytes.unwrap_or_default()).unwrap()
}

#[test]
fn chunks_come_twice_overlap_and_leave_gaps_and_the_text_is_right() {
    let folder = TempDir::new().unwrap();
    let output = Output::open(folder.path(), 1000).unwrap();
    let h1 = fence("r1", "h1", 1);
    assert_eq!(
        output.append(&h1, 5, b"late", false).unwrap(),
        0,
        "a gap: back to the beginning"
    );
    assert_eq!(output.append(&h1, 0, b"hello", false).unwrap(), 5);
    assert_eq!(output.append(&h1, 0, b"hello", false).unwrap(), 5);
    assert_eq!(output.append(&h1, 3, b"lo wor", false).unwrap(), 9);
    assert_eq!(output.append(&h1, 1, b"el", false).unwrap(), 9);
    drop(output);
    let output = Output::open(folder.path(), 1000).unwrap();
    assert_eq!(output.append(&h1, 11, b"!", false).unwrap(), 9, "known after a restart");
    assert_eq!(output.append(&h1, 9, b"ld", true).unwrap(), 11);
    assert_eq!(text(&output, &h1), "hello world");
    assert_eq!(output.bytes(), 11);
}

#[test]
fn after_its_end_an_attempt_takes_nothing_more_and_keeps_nobody_waiting() {
    let folder = TempDir::new().unwrap();
    let output = Output::open(folder.path(), 1000).unwrap();
    let h1 = fence("r1", "h1", 1);
    output.append(&h1, 0, b"done", true).unwrap();
    assert_eq!(output.append(&h1, 4, b" more", false).unwrap(), 9);
    assert_eq!(text(&output, &h1), "done");
    let silent = fence("r1", "h2", 1);
    assert_eq!(output.append(&silent, 0, b"", true).unwrap(), 0);
    let attempts = output.attempts(&silent.rollout, None, None).unwrap();
    assert_eq!(
        attempts.iter().map(|attempt| attempt.ended).collect::<Vec<_>>(),
        [true, true]
    );
}

#[test]
fn an_attempt_beyond_its_bound_is_cut_and_says_so() {
    let folder = TempDir::new().unwrap();
    let mut output = Output::open(folder.path(), 1000).unwrap();
    output.attempt_bytes_max = 8;
    let h1 = fence("r1", "h1", 1);
    assert_eq!(output.append(&h1, 0, b"12345", false).unwrap(), 5);
    assert_eq!(output.append(&h1, 5, b"67890", false).unwrap(), 10);
    assert_eq!(output.append(&h1, 10, b"more", false).unwrap(), 14);
    assert_eq!(output.append(&h1, 14, b"more", true).unwrap(), 18);
    assert_eq!(text(&output, &h1), format!("12345678{CUT}"));
}

#[test]
fn the_oldest_rollouts_make_room_and_take_nothing_more() {
    let folder = TempDir::new().unwrap();
    let output = Output::open(folder.path(), 30).unwrap();
    let (r2, r9, r10) = (fence("r2", "h1", 1), fence("r9", "h1", 1), fence("r10", "h1", 1));
    output.append(&r9, 0, b"1234567890", false).unwrap();
    output.append(&r10, 0, b"1234567890", false).unwrap();
    output.append(&r2, 0, b"1234567890", false).unwrap();
    assert_eq!(output.append(&r10, 10, b"12345", false).unwrap(), 15);
    assert_eq!(text(&output, &r2), "");
    assert_eq!(text(&output, &r9).len(), 10);
    assert!(!folder.path().join("r2").exists());
    assert_eq!(
        output.append(&r2, 10, b"still running", false).unwrap(),
        23,
        "let go, not asked for again"
    );
    assert_eq!(text(&output, &r2), "");
    assert_eq!(output.bytes(), 25);
}

#[test]
fn the_oldest_rollout_itself_is_cut_when_it_alone_fills_the_room() {
    let folder = TempDir::new().unwrap();
    let output = Output::open(folder.path(), 8).unwrap();
    let (h1, h2) = (fence("r1", "h1", 1), fence("r1", "h2", 1));
    assert_eq!(output.append(&h1, 0, b"1234567890", false).unwrap(), 10);
    assert_eq!(output.append(&h2, 0, b"more", false).unwrap(), 4);
    assert_eq!(output.append(&h2, 4, b"more", false).unwrap(), 8);
    assert_eq!(text(&output, &h1), format!("12345678{CUT}"));
    assert_eq!(text(&output, &h2), CUT);
}

#[test]
fn attempts_are_listed_by_host_and_in_the_order_they_were_made() {
    let folder = TempDir::new().unwrap();
    let output = Output::open(folder.path(), 1000).unwrap();
    for (host, attempt) in [("h2", 1), ("h1", 10), ("h1", 9)] {
        output.append(&fence("r1", host, attempt), 0, b"x", false).unwrap();
    }
    let r1 = RolloutId::new("r1").unwrap();
    let list = |host: Option<&str>, phase: Option<&str>| {
        let host = host.map(|name| HostId::new(name).unwrap());
        let phase = phase.map(|name| PhaseName::new(name).unwrap());
        let attempts = output.attempts(&r1, host.as_ref(), phase.as_ref()).unwrap();
        attempts
            .into_iter()
            .map(|attempt| (attempt.host.to_string(), attempt.attempt))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        list(None, None),
        [("h1".into(), 9), ("h1".into(), 10), ("h2".into(), 1)]
    );
    assert_eq!(list(Some("h2"), Some("in.stall")), [("h2".into(), 1)]);
    assert_eq!(list(None, Some("restart")), []);
    assert_eq!(output.attempts(&RolloutId::new("r2").unwrap(), None, None).unwrap(), []);
}

#[tokio::test]
async fn a_follower_hears_of_each_addition() {
    let folder = TempDir::new().unwrap();
    let output = Output::open(folder.path(), 1000).unwrap();
    let mut changes = output.changes();
    let h1 = fence("r1", "h1", 1);
    output.append(&h1, 0, b"one", false).unwrap();
    changes.changed().await.unwrap();
    output.append(&h1, 0, b"one", false).unwrap();
    assert!(!changes.has_changed().unwrap(), "nothing was added");
    let attempt = &output.attempts(&h1.rollout, None, None).unwrap()[0];
    assert_eq!(output.read(&h1.rollout, attempt, 1, 1).unwrap(), b"n");
    assert_eq!(output.read(&h1.rollout, attempt, 3, ALL).unwrap(), b"");
}

#[test]
fn what_could_not_be_written_takes_no_room() {
    let folder = TempDir::new().unwrap();
    let output = Output::open(folder.path(), 100).unwrap();
    let (h1, h2) = (fence("r1", "h1", 1), fence("r1", "h2", 1));
    output.append(&h1, 0, &[b'a'; 40], false).unwrap();
    // Its file leads into a folder that is not there: it can be neither found nor made.
    let blocked = folder.path().join("r1/h2/1.in.stall.log");
    fs::create_dir_all(blocked.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(folder.path().join("none/such"), &blocked).unwrap();
    for _ in 0..10 {
        output.append(&h2, 0, &[b'b'; 40], false).unwrap_err();
    }
    assert_eq!(output.bytes(), 40);
    fs::remove_file(&blocked).unwrap();
    assert_eq!(output.append(&h2, 0, &[b'b'; 40], false).unwrap(), 40);
    assert_eq!(text(&output, &h2), "b".repeat(40));
}
