//! `echelon-agent supervise DIR`: the small process above one program, in a session of its own, that outlives the agent's
//! crash, restart and upgrade. It knows only its folder:
//!
//! ```text
//! spec.json   what to run, written by the agent
//! lock        locked for as long as it lives: how an agent knows that it does. Its standard input, or in a unit of its own
//!             taken by itself
//! begun       its own number, written before the program is started; without it nothing was ever run
//! output      the program's standard output and error, without the secrets that it was given
//! exit        how it ended, written whole
//! ```
//!
//! The program's end is the end, whatever still holds its files. What it leaves running is named, and left alone or ended
//! as the spec says; when its time is over all that it has started is ended. Deliberately no network, no runtime.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::{
        fs::OpenOptionsExt as _,
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use echelon_failpoint as failpoint;
use echelon_proto::limits::{LEFTOVERS_MAX, OUTPUT_BYTES_MAX};
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    sys::{
        prctl::set_child_subreaper,
        wait::{Id, WaitPidFlag, waitid, waitpid},
    },
    unistd::{Pid, setsid},
};
use sd_notify::NotifyState;

use super::{
    account::Account,
    cgroup::Cgroup,
    family::{self, Family},
    limits::{self, Room},
    program::{Begun, Exit, Spec},
    pump::Pump,
    secrets::HandedOver,
};
use crate::{
    ledger::replace,
    order::Leftovers,
    output::{HEAD_BYTES, LAST_BYTES, written},
};

/// How often a growing output is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// And how often one that is longer than what is kept: a program writes a gibibyte in a second.
const LOOK_SOON: Duration = Duration::from_millis(50);
/// How far an output may grow beyond what is kept before its middle is given back to the disk.
const SLACK_BYTES: u64 = 4 * 1024 * 1024;
/// A disk that is full when the program ends may have room again; after so many seconds the end is given up.
const EXIT_TRIES: u32 = 600;

/// Runs the program of this folder to its end; `in_unit`: as the first process of a unit of systemd's. An error means that
/// nothing was run.
pub fn supervise(dir: &Path, in_unit: bool) -> io::Result<()> {
    // Refused only when it leads a session already.
    let _ = setsid();
    // Of a daemon that a program starts this one is then the parent, so that it can be found.
    let _ = set_child_subreaper(true);
    let _lock = in_unit.then(|| File::open(dir.join("lock"))).transpose()?;
    if let Some(lock) = &_lock {
        // An agent that looks holds it for a moment; another supervisor until there is nothing left to do.
        lock.lock()?;
        if dir.join("begun").exists() {
            return Ok(());
        }
    }
    let spec: Spec = serde_json::from_slice(&fs::read(dir.join("spec.json"))?)?;
    let begun = Begun::this_process()?;
    replace(&dir.join("begun"), &serde_json::to_vec(&begun)?, 0o600)?;
    if in_unit {
        let _ = sd_notify::notify(&[NotifyState::Ready]);
    }
    let room = if in_unit { Room::Unit } else { Room::Own };
    let exit = match start(dir, &spec, room) {
        Ok(started) => follow(dir, &spec, started),
        Err(error) => Exit {
            error: Some(error),
            ..Exit::default()
        },
    };
    tell(dir, &exit)
}

fn tell(dir: &Path, exit: &Exit) -> io::Result<()> {
    let text = serde_json::to_vec(exit)?;
    let mut tries = 0;
    loop {
        match replace(&dir.join("exit"), &text, 0o600) {
            // The folder itself is gone: nobody waits for it.
            Err(error) if tries < EXIT_TRIES && error.kind() != io::ErrorKind::NotFound => tries += 1,
            result => return result,
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// A program that runs, and what goes with its end.
struct Started {
    child: Child,
    pump: Option<Pump>,
    secrets: Option<HandedOver>,
    cgroup: Option<Cgroup>,
}

fn start(dir: &Path, spec: &Spec, room: Room) -> Result<Started, String> {
    let output = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(dir.join("output"));
    let output = output.map_err(|error| format!("the output file cannot be made: {error}"))?;
    if !spec.cwd.is_dir() {
        return Err(format!("its working folder {} is no folder", spec.cwd.display()));
    }
    let (name, arguments) = spec.argv.split_first().ok_or("it has no arguments")?;
    let account = spec.user.as_deref().map(Account::named).transpose()?.flatten();
    let secrets = spec.secrets.as_ref();
    let secrets = secrets.map(|secrets| secrets.hand_over(account.as_ref())).transpose()?;
    let (out, err, pump) =
        outputs(output, secrets.as_ref()).map_err(|error| format!("its output cannot be taken: {error}"))?;
    let mut command = Command::new(name);
    command
        .args(arguments)
        .env_clear()
        .envs(&spec.env)
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0);
    // Before it becomes another user, who may not put processes into groups of the agent's.
    let cgroup = limits::hold(&mut command, spec.limits, room, dir)?;
    if let Some(account) = account {
        account.take_on(&mut command);
    }
    failpoint::pass("program", "due");
    let child = command
        .spawn()
        .map_err(|error| format!("{name:?} cannot be started: {error}"))?;
    failpoint::pass("program", "started");
    Ok(Started {
        child,
        pump,
        secrets,
        cgroup,
    })
}

/// The file itself for both, or a pipe to it that lets no secret through.
fn outputs(file: File, secrets: Option<&HandedOver>) -> io::Result<(Stdio, Stdio, Option<Pump>)> {
    let Some(secrets) = secrets else {
        return Ok((file.try_clone()?.into(), file.into(), None));
    };
    let (pump, writer) = Pump::start(file, secrets.redactor())?;
    Ok((writer.try_clone()?.into(), writer.into(), Some(pump)))
}

fn follow(dir: &Path, spec: &Spec, mut started: Started) -> Exit {
    let output = dir.join("output");
    let pid = i32::try_from(started.child.id()).unwrap_or(i32::MAX);
    let family = Family::of_this_process(pid);
    let timed_out = !ends_within(pid, Duration::from_millis(spec.timeout_ms), &output);
    let mut stubborn = 0;
    if timed_out {
        stubborn = family.end(|| trim(&output, SLACK_BYTES));
    }
    // Waited for only now: until here its number could not be given to another process.
    let status = started.child.wait();
    failpoint::pass("program", "ended");
    if let Some(pump) = started.pump {
        pump.finish();
    }
    let left = if timed_out { Vec::new() } else { family.settled() };
    let mut leftovers = family::names(&left, started.secrets.as_ref());
    if !left.is_empty() && spec.leftovers != Leftovers::Leave {
        stubborn = family.end(|| trim(&output, SLACK_BYTES));
    }
    if stubborn > 0 {
        leftovers.truncate(LEFTOVERS_MAX - 1);
        leftovers.push(format!("{stubborn} of them could not be ended"));
    }
    drop((started.secrets, started.cgroup));
    let output_bytes = written(&output);
    trim(&output, 0);
    Exit {
        leftovers,
        ..exit_of(status, timed_out, output_bytes)
    }
}

fn exit_of(status: io::Result<ExitStatus>, timed_out: bool, output_bytes: u64) -> Exit {
    let (status, error) = match status {
        Ok(status) => (Some(status), None),
        Err(error) => (None, Some(format!("its end could not be waited for: {error}"))),
    };
    Exit {
        code: status.and_then(|status| status.code()),
        signal: status.and_then(|status| status.signal()),
        timed_out,
        output_bytes,
        error,
        leftovers: Vec::new(),
    }
}

/// Whether the program ends by itself in time. Leaves it to be waited for.
fn ends_within(pid: i32, within: Duration, output: &Path) -> bool {
    let (tx, rx) = mpsc::channel();
    thread::spawn(move || {
        reap_until_ended(Pid::from_raw(pid));
        let _ = tx.send(());
    });
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let look = if written(output) > OUTPUT_BYTES_MAX {
            LOOK_SOON
        } else {
            LOOK_EVERY
        };
        match rx.recv_timeout(left.min(look)) {
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) if left <= look => return false,
            Err(RecvTimeoutError::Timeout) => trim(output, SLACK_BYTES),
        }
    }
}

/// Waits for the program's end, and leaves it to be waited for. Orphans that end before it are waited for here: of a
/// program that makes thousands of them, each would go on having a number.
fn reap_until_ended(program: Pid) {
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).map(|ended| ended.pid()) {
            Ok(Some(pid)) if pid != program => {
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
            Ok(_) => return,
            Err(Errno::EINTR) => {}
            // An orphan's end that cannot be read (by a signal without a name) must not pass for the program's.
            Err(_) => {
                let _ = waitid(Id::Pid(program), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
                return;
            }
        }
    }
}

/// Gives the middle of a long output back to the disk. The file stays as long: offsets and what appends to it are not
/// disturbed. Where the file system cannot, the output is only longer on disk than what is sent of it.
fn trim(output: &Path, slack: u64) {
    let written = written(output);
    if written <= OUTPUT_BYTES_MAX + slack {
        return;
    }
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let middle = (
        i64::try_from(HEAD_BYTES),
        i64::try_from(written - LAST_BYTES - HEAD_BYTES),
    );
    if let ((Ok(from), Ok(length)), Ok(file)) = (middle, File::options().write(true).open(output)) {
        let _ = fallocate(&file, flags, from, length);
    }
}
