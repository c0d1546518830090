//! What the reader promises of any text at all, for the tests beside this file and for the fuzzer. Deliberately no word
//! about which faults a text has: the corpus in `tests/faults` says that.

use std::time::Duration;

use echelon_playbooks::{Checked, Fault, Faults, Playbook, Severity, fault::FAULTS_MAX, model::ReleaseGoal, read};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};

/// What a text may cost however short it is: the clock that counts may tick only every 10 ms.
const FLOOR: Duration = Duration::from_millis(100);

/// Reads a text and holds whatever comes out to its promises.
pub(crate) fn hold(text: &str) -> Result<Checked, Faults> {
    let (found, took) = timed(text);
    let may = FLOOR + Duration::from_micros(text.len() as u64);
    assert!(
        took <= may,
        "{took:?} for {} bytes: more than a second a megabyte",
        text.len()
    );
    let lines: Vec<&str> = text.split('\n').collect();
    match &found {
        Ok(checked) => good(checked, &lines),
        Err(faults) => bad(faults, &lines),
    }
    found
}

/// What came out, and how long the processor took for it: whatever else this machine does is not counted.
fn timed(text: &str) -> (Result<Checked, Faults>, Duration) {
    let before = used();
    let found = read(text);
    (found, used().saturating_sub(before))
}

fn used() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("Linux counts for each thread");
    let span = |time: TimeVal| {
        Duration::new(
            time.tv_sec().unsigned_abs(),
            time.tv_usec().unsigned_abs() as u32 * 1000,
        )
    };
    span(usage.user_time()) + span(usage.system_time())
}

fn good(checked: &Checked, lines: &[&str]) {
    checked.warnings.iter().for_each(|fault| well_formed(fault, lines));
    assert!(checked.warnings.iter().all(|fault| fault.severity == Severity::Warning));
    let playbook = &checked.playbook;
    let bytes = serde_json::to_vec(playbook).expect("a playbook is plain data");
    let again: Playbook = serde_json::from_slice(&bytes).expect("what was written is read");
    assert_eq!(again, *playbook);
    assert_eq!(serde_json::to_vec(&again).expect("plain data"), bytes);
    let machine = &playbook.machine;
    for stage in &playbook.stages {
        let operation = &machine.operations[&stage.deploy.operation];
        if operation.release == ReleaseGoal::Target {
            let way = machine.path(&machine.initial, false, operation);
            assert!(way.is_some(), "no way: {playbook:?}");
        }
    }
}

fn bad(faults: &Faults, lines: &[&str]) {
    let is_error = |fault: &Fault| fault.severity == Severity::Error;
    assert!(faults.0.iter().any(is_error), "refused without an error");
    assert!(faults.0.len() <= FAULTS_MAX + 1, "{} faults", faults.0.len());
    faults.0.iter().for_each(|fault| well_formed(fault, lines));
    let places = faults.0.iter().map(|fault| (fault.line, fault.column));
    assert!(places.is_sorted(), "not in the order of the lines: {faults}");
    // One that cannot be shown is of no use to whoever wrote the text.
    let shown = faults.in_file("playbook.yaml").to_string();
    assert!(shown.contains(&format!("playbook.yaml:{}:", faults.0[0].line)));
}

fn well_formed(fault: &Fault, lines: &[&str]) {
    let line = fault.line.checked_sub(1).and_then(|at| lines.get(at));
    let Some(line) = line else {
        panic!("a line that the text does not have: {fault:?}");
    };
    // One beyond the last character is the end of the line, where something is missing.
    let columns = line.chars().count() + 1;
    assert!((1..=columns).contains(&fault.column), "beyond its line: {fault:?}");
    let width = fault.line_text.chars().count();
    assert!(
        fault.width >= 1 && fault.caret <= width && fault.width <= (width - fault.caret).max(1),
        "{fault:?}"
    );
    assert!(!fault.message.is_empty() && !fault.help.is_empty(), "{fault:?}");
    let shown = [&fault.message, &fault.help, &fault.line_text];
    assert!(shown.iter().all(|text| !text.contains(char::is_control)), "{fault:?}");
}
