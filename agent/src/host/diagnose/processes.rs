//! What runs of an app: processes whose program, working folder or command line is in the app's folder, and those that a phase
//! of the app has started. As the kernel tells it, which tells an agent that is not root only the command line of processes of
//! others. One that ends meanwhile is left out. Deliberately no signals.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use echelon_proto::{App, Time};
use nix::unistd::{Uid, User};

use crate::order::Process;

/// Of one app. More would not fit on a screen, and an app that forks without end must not fill a message.
const PROCESSES_MAX: usize = 500;
/// Characters of a command line.
const COMMAND_MAX: usize = 300;
/// The kernel counts processor time in hundredths of a second on every machine that it is told to programs.
const TICK_MS: u64 = 10;

/// Those of the app, by their numbers. Blocks.
pub(super) fn of_app(app: &App, folder: &Path) -> Vec<Process> {
    let folder = fs::canonicalize(folder).ok();
    let marks = format!("ECHELON_APP={app}");
    let Ok(all) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let boot = booted();
    let mut found: Vec<_> = all
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| is_of(*pid, folder.as_deref(), &marks))
        .filter_map(|pid| look(pid, boot))
        .collect();
    found.sort_by_key(|process| process.pid);
    found.truncate(PROCESSES_MAX);
    found
}

fn is_of(pid: u32, folder: Option<&Path>, marks: &str) -> bool {
    let below = |link: &str| {
        let to = fs::read_link(format!("/proc/{pid}/{link}")).ok();
        to.zip(folder).is_some_and(|(to, folder)| to.starts_with(folder))
    };
    let words = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let names = |word: &[u8]| {
        let folder = folder.map(|folder| format!("{}/", folder.display()));
        folder.is_some_and(|folder| word.windows(folder.len()).any(|part| part == folder.as_bytes()))
    };
    below("exe")
        || below("cwd")
        || words("environ")
            .split(|byte| *byte == 0)
            .any(|one| one == marks.as_bytes())
        || words("cmdline").split(|byte| *byte == 0).any(names)
}

fn look(pid: u32, boot: Time) -> Option<Process> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let stat = Stat::of(&read("stat")?)?;
    let status = read("status")?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let uid = Uid::from_raw(u32::try_from(number("Uid:")?).ok()?);
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    let argv = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let argv = argv.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<_> = argv.map(String::from_utf8_lossy).collect();
    // What has given up its memory has a name all the same.
    let command = if words.is_empty() {
        format!("[{}]", stat.name)
    } else {
        words.join(" ")
    };
    let unit = read("cgroup").unwrap_or_default();
    let unit = unit
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or_default();
    Some(Process {
        pid,
        parent: stat.parent,
        user: name.unwrap_or_else(|| uid.to_string()),
        state: stat.state,
        started: Time(boot.0.saturating_add(stat.started_ms)),
        cpu_ms: stat.cpu_ms,
        memory_bytes: number("VmRSS:").unwrap_or(0).saturating_mul(1024),
        unit: unit.rsplit('/').next().unwrap_or_default().to_owned(),
        command: command.chars().take(COMMAND_MAX).collect(),
    })
}

/// When the host was started.
fn booted() -> Time {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    let seconds: u64 = line.and_then(|rest| rest.trim().parse().ok()).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(seconds.min(now.as_secs()).saturating_mul(1000))
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    state: char,
    parent: u32,
    cpu_ms: u64,
    /// After the boot.
    started_ms: u64,
}

impl Stat {
    /// The name is in brackets and may hold brackets and blanks itself.
    fn of(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            name: name.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            cpu_ms: ticks(11)?.saturating_add(ticks(12)?).saturating_mul(TICK_MS),
            started_ms: ticks(19)?.saturating_mul(TICK_MS),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        process::{Child, Command, Stdio},
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let text = "42 (a) b (c) S 7 1 1 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 300 1 1";
        let stat = Stat::of(text).unwrap();
        let expected = Stat {
            name: "a) b (c".into(),
            state: 'S',
            parent: 7,
            cpu_ms: 110,
            started_ms: 3000,
        };
        assert_eq!(stat, expected);
        assert_eq!(Stat::of("42 (x) S"), None);
    }

    #[test]
    fn the_processes_of_an_app_are_those_in_its_folder_and_those_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let app = App::new("made-up-web").unwrap();
        let mut sleep = Command::new("sleep");
        let mut here = sleep
            .arg("60")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut sleep = Command::new("sleep");
        let mut marked = sleep
            .arg("61")
            .env("ECHELON_APP", app.as_str())
            .current_dir("/")
            .spawn()
            .unwrap();
        let mut sleep = Command::new("sleep");
        let mut other = sleep
            .arg("62")
            .env("ECHELON_APP", "made-up-web-2")
            .current_dir("/")
            .spawn()
            .unwrap();
        let file = folder.path().canonicalize().unwrap().join("bin/web");
        let mut sh = Command::new("sh");
        let named = sh.args(["-c", "read line", "sh"]).arg(&file).current_dir("/");
        let mut named = named.stdin(Stdio::piped()).spawn().unwrap();
        // Between its start and the end of its exec a program has no words yet.
        let has_words = |child: &Child| {
            let words = fs::read(format!("/proc/{}/cmdline", child.id()));
            words.is_ok_and(|words| !words.is_empty())
        };
        for _ in 0..2000 {
            if [&here, &marked, &other, &named].into_iter().all(has_words) {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let found = of_app(&app, folder.path());
        for child in [&mut here, &mut marked, &mut other, &mut named] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let seen: Vec<_> = found
            .iter()
            .map(|process| (process.pid, process.command.as_str()))
            .collect();
        let by_name = format!("sh -c read line sh {}", file.display());
        let mut expected = [
            (here.id(), "sleep 60"),
            (marked.id(), "sleep 61"),
            (named.id(), by_name.as_str()),
        ];
        expected.sort_unstable();
        assert_eq!(seen, expected);
        assert!(
            found
                .iter()
                .all(|process| process.parent == std::process::id() && process.started > Time(0))
        );
    }
}
