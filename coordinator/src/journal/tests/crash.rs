//! The journal against a killed process, a lost page cache and a failing disk, with real ones: the test starts itself
//! again as a child and kills it, or has strace watch it or fail its system calls.

use std::{
    collections::HashMap,
    env,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
};

use super::*;

const FOLDER: &str = "ECHELON_JOURNAL_TEST_FOLDER";
/// strace's output and the child's acknowledgements.
const TRACE: &str = "trace";
const ACKS: &str = "acks";

/// The folder given by the parent, when this is the child.
fn child_folder() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

/// This test again, alone, in a child, behind `wrapper` (strace and its arguments) when there is one.
fn again(test: &str, wrapper: &[&str], folder: &Path) -> Child {
    let exe = env::current_exe().unwrap();
    let mut command = match wrapper.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(exe);
            command
        }
        None => Command::new(exe),
    };
    command
        .args(["--exact", &format!("journal::tests::crash::{test}"), "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("{wrapper:?} does not start ({error}): apt-get install strace"))
}

#[test]
fn whatever_was_acknowledged_survives_a_kill() {
    if let Some(folder) = child_folder() {
        return write_until_killed(&folder);
    }
    let folder = TempDir::new().unwrap();
    let mut acknowledged = 0;
    for round in 1..=6 {
        let mut child = again("whatever_was_acknowledged_survives_a_kill", &[], folder.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            // The harness prints lines of its own.
            let Some(number) = line.split("ack ").nth(1) else {
                continue;
            };
            acknowledged = number.trim().parse::<u64>().unwrap();
            if acknowledged >= round * 40 {
                break;
            }
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9), "the child ended by itself");

        let journal = Journal::<Step>::open(folder.path()).unwrap();
        let (first, last) = journal.span();
        assert!(
            last >= acknowledged,
            "{acknowledged} was acknowledged, the last is {last}"
        );
        let (at, sum) = journal.load_snapshot::<u64>().unwrap().unwrap_or_default();
        assert_eq!(sum, (1..=at).sum::<u64>(), "the snapshot at {at}");
        assert!(
            first <= at + 1,
            "entries between the snapshot {at} and {first} are gone"
        );
        for (n, found) in (first..).zip(steps(&journal, first)) {
            assert_eq!(found, step_of(n, n as usize * 97 % 15_000));
        }
    }
    assert!(acknowledged >= 240);
}

/// Entries of one to three pieces, and now and then a snapshot and a trim, each acknowledged on standard output.
fn write_until_killed(folder: &Path) {
    let mut journal = begun(folder);
    let mut out = std::io::stdout();
    for _ in 0..100_000 {
        for n in journal.span().1 + 1..journal.span().1 + 4 {
            journal.append(&step_of(n, n as usize * 97 % 15_000)).unwrap();
        }
        let last = journal.commit().unwrap();
        writeln!(out, "ack {last}").unwrap();
        if last.is_multiple_of(5) {
            journal.save_snapshot(last, &(1..=last).sum::<u64>()).unwrap();
            journal.trim(20).unwrap();
        }
    }
}

/// sled's files as they are now.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy(&file.path(), &target);
        } else {
            fs::copy(file.path(), target).unwrap();
        }
    }
}

/// The disk after a power cut: what was written since the barrier is there in some pages and not in others.
fn mix(barrier: &Path, later: &Path, seed: u64) {
    const PAGE: usize = 4096;
    let old = fs::read(barrier).unwrap();
    let mut new = fs::read(later).unwrap();
    let mut random = seed;
    for (page, bytes) in new.chunks_mut(PAGE).enumerate() {
        // splitmix64
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        if (z ^ (z >> 31)).is_multiple_of(2) {
            bytes.fill(0);
            let at = page * PAGE;
            if let Some(before) = old.get(at..old.len().min(at + bytes.len())) {
                bytes[..before.len()].copy_from_slice(before);
            }
        }
    }
    fs::write(later, new).unwrap();
}

#[test]
fn whatever_was_acknowledged_survives_a_lost_page_cache() {
    let folder = TempDir::new().unwrap();
    let live = folder.path().join("live");
    let mut journal = begun(&live);
    let mut last = 0;
    for round in 0..12_u64 {
        for n in last + 1..=last + 30 {
            journal.append(&step_of(n, n as usize * 31 % 9_000)).unwrap();
        }
        last = journal.commit().unwrap();
        let barrier = folder.path().join(format!("barrier{round}"));
        copy(&live, &barrier);
        // Written, and never made durable.
        let unflushed = (0..20).map(|n| vec![n; 5_000]).collect::<Vec<_>>();
        journal.store.append(&unflushed).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(30));
        let later = folder.path().join(format!("later{round}"));
        copy(&live, &later);
        mix(&barrier.join("sled/db"), &later.join("sled/db"), round);
        for after in [barrier, later] {
            let survivor = Journal::<Step>::open(&after).unwrap();
            assert!(
                survivor.span().1 >= last,
                "round {round}: {:?} of {last}",
                survivor.span()
            );
            let mut found = 0;
            survivor
                .store
                .read(1, &mut |n, bytes| {
                    if n <= last {
                        let want = serde_json::to_vec(&step_of(n, n as usize * 31 % 9_000)).unwrap();
                        found += u64::from(bytes == want);
                    }
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(found, last, "round {round}");
        }
        drop(journal);
        fs::remove_dir_all(&live).unwrap();
        copy(&folder.path().join(format!("barrier{round}")), &live);
        journal = begun(&live);
    }
}

/// The child of the strace tests: three commits, each answered by a write to a file.
fn commit_and_acknowledge(folder: &Path) {
    let mut journal = begun(&folder.join("journal"));
    let mut acks = fs::File::create(folder.join(ACKS)).unwrap();
    for n in 1..=3 {
        journal.append(&step(n)).unwrap();
        let answer = match journal.commit() {
            Ok(_) => format!("ack {n}\n"),
            Err(error) => format!("error {n} {error}\n"),
        };
        // One write, so that it is one line of the trace.
        acks.write_all(answer.as_bytes()).unwrap();
    }
    // No destructors: they would flush once more, which the trace is not about.
    std::process::exit(0);
}

fn traced(test: &str, folder: &Path, more: &[&str]) -> (String, String) {
    let trace = folder.join(TRACE);
    let mut wrapper = vec!["strace", "-f", "-y", "-o", trace.to_str().unwrap()];
    wrapper.extend(["-e", "trace=fdatasync,fsync,pwrite64,write"]);
    wrapper.extend(more);
    let status = again(test, &wrapper, folder).wait().unwrap();
    assert!(status.success(), "{status}");
    let acks = fs::read_to_string(folder.join(ACKS)).unwrap();
    (whole_calls(&fs::read_to_string(trace).unwrap()), acks)
}

/// The trace with every call on one line, where it ended: strace cuts a call in two when another thread gets between.
fn whole_calls(trace: &str) -> String {
    let mut begun = HashMap::new();
    let mut whole = String::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            begun.insert(thread, start);
        } else if let Some((_, end)) = call.split_once(" resumed>") {
            writeln!(whole, "{thread} {}{end}", begun.remove(thread).unwrap_or_default()).unwrap();
        } else {
            writeln!(whole, "{line}").unwrap();
        }
    }
    whole
}

#[test]
fn the_file_is_made_durable_between_append_and_acknowledgement() {
    let name = "the_file_is_made_durable_between_append_and_acknowledgement";
    if let Some(folder) = child_folder() {
        return commit_and_acknowledge(&folder);
    }
    let folder = TempDir::new().unwrap();
    let (trace, acks) = traced(name, folder.path(), &[]);
    assert_eq!(acks, "ack 1\nack 2\nack 3\n");

    for conf in ["/sled/conf>", "/sled/blobs>", "/sled>", "/journal>"] {
        assert!(
            trace.lines().any(|line| line.contains("fsync(") && line.contains(conf)),
            "no fsync of {conf} at open:\n{trace}"
        );
    }
    // For each acknowledgement: the last write to the database before it, then a barrier that succeeded, then it.
    let lines: Vec<&str> = trace.lines().collect();
    let mut from = 0;
    for n in 1..=3 {
        let ack = format!("\"ack {n}");
        let at = lines.iter().position(|line| line.contains(&ack)).unwrap();
        let part = &lines[from..at];
        let written = part
            .iter()
            .rposition(|line| line.contains("pwrite64(") && line.contains("/sled/db>"))
            .unwrap_or_else(|| panic!("nothing was written before {ack}:\n{trace}"));
        let durable = part[written..]
            .iter()
            .any(|line| line.contains("fdatasync(") && line.contains("/sled/db>") && line.trim_end().ends_with("= 0"));
        assert!(durable, "no barrier between write and {ack}:\n{}", part.join("\n"));
        from = at;
    }
}

#[test]
fn a_failed_barrier_is_not_acknowledged_and_never_tried_again() {
    let name = "a_failed_barrier_is_not_acknowledged_and_never_tried_again";
    if let Some(folder) = child_folder() {
        return commit_and_acknowledge(&folder);
    }
    let folder = TempDir::new().unwrap();
    // The first barrier is that of the open, the second that of the term, the third the first commit's.
    let (trace, acks) = traced(name, folder.path(), &["-e", "inject=fdatasync:error=EIO:when=4"]);
    let acks: Vec<&str> = acks.lines().collect();
    assert_eq!(acks[0], "ack 1");
    assert!(
        acks[1].starts_with("error 2 ") && acks[1].contains("Input/output error"),
        "{acks:?}"
    );
    assert!(
        acks[2].starts_with("error 3 ") && acks[2].contains("earlier failure"),
        "{acks:?}"
    );
    let barriers = trace.lines().filter(|line| line.contains("fdatasync(")).count();
    assert_eq!(barriers, 4, "{trace}");
}
