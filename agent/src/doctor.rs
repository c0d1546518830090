//! What is wrong with this host, and how to mend it: its clock, its folders and their rights, its disks, its certificate, its
//! way to the coordinator, what systemd and the kernel give it. It looks and changes nothing (a file that it writes to see
//! whether it can is gone again), with or without a running agent. Deliberately nothing of any app.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use echelon_proto::Span;
use nix::{sys::statvfs::statvfs, unistd::Uid};

use crate::{
    facts::Disk,
    host::Settings,
    identity::{Identity, Place, tls},
    ledger::Store,
    link,
    order::{Finding, Health},
};

/// A clock that is further off than this is wrong: what the host measures is thrown away, and certificates may not hold.
const CLOCK_FAULT: Span = Span::secs(30);
const CLOCK_WARNING: Span = Span::secs(2);
/// Of a disk: less than this part free is worth a word.
const FREE_PERCENT: u64 = 10;
/// Of a certificate's life: it is renewed at half, so with less left renewing does not work.
const LIFE_LEFT: u32 = 4;
/// Files of the folder of secrets that are looked at.
const SECRETS_MAX: usize = 1000;

fn finding(check: &'static str, health: Health, seen: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding {
        check,
        health,
        seen: seen.into(),
        mend: mend.into(),
    }
}

fn well(check: &'static str, seen: impl Into<String>) -> Finding {
    finding(check, Health::Well, seen, "")
}

fn fault(check: &'static str, seen: impl Into<String>, mend: impl Into<String>) -> Finding {
    finding(check, Health::Fault, seen, mend)
}

/// All that can be seen on the host itself. Blocks.
#[must_use]
pub fn look(settings: &Settings) -> Vec<Finding> {
    let Settings {
        state_dir, apps_dir, ..
    } = settings;
    vec![
        folder("state folder", state_dir, "state_dir"),
        folder("apps folder", apps_dir, "apps_dir"),
        disk("state disk", state_dir, settings.artifacts.keep_free),
        disk("apps disk", apps_dir, settings.artifacts.keep_free),
        ledger(state_dir),
        certificate(&state_dir.join("identity.pem")),
        secrets(&settings.secrets_dir),
        runtime(&settings.runtime_dir),
        systemd(&settings.systemd_mark),
        cgroup(Path::new("/sys/fs/cgroup/cgroup.controllers")),
    ]
}

/// How far the host's clock is ahead of the coordinator's, in milliseconds (less than 0: behind).
#[must_use]
pub fn clock(ahead_ms: i64) -> Finding {
    let off = Span(ahead_ms.unsigned_abs());
    let side = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let seen = format!("{off} {side} the coordinator's");
    let mend = "let chrony or systemd-timesyncd set both clocks: `timedatectl status`";
    if off > CLOCK_FAULT {
        fault("clock", seen, mend)
    } else if off > CLOCK_WARNING {
        finding("clock", Health::Warning, seen, mend)
    } else {
        well("clock", seen)
    }
}

/// The way to the coordinator, as this host: by the pinned CA, with its certificate. And its clock, where it answers.
pub async fn connection(place: &Place) -> Vec<Finding> {
    let roots = match place.roots() {
        Ok(roots) => roots,
        Err(error) => {
            let mend = "copy the coordinator's CA certificate (`pki/ca.pem` of its folder) there";
            return vec![fault("ca", error.to_string(), mend)];
        }
    };
    let mut findings = vec![well("ca", format!("{} is read", place.ca.display()))];
    let config = Identity::load(&place.identity).and_then(|identity| tls(roots, Some(&identity)));
    // Without a certificate there is nobody to ask as: that is told by its own check.
    let Ok(config) = config else { return findings };
    match link::ping(&place.coordinator, config, &place.host).await {
        Ok(answered) => {
            findings.push(well("coordinator", format!("{} knows this host", place.coordinator)));
            if let Some(theirs) = answered {
                let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                findings.push(clock(millis(ours) - millis(theirs)));
            }
        }
        Err(link::EnrolError::Refused { message, .. }) => {
            let mend = format!("make a token with `echelon host token {}` and join again", place.host);
            findings.push(fault("coordinator", format!("it refuses this host: {message}"), mend));
        }
        Err(error) => {
            let mend =
                "look at `coordinator` and `ca` of the config, the name's address, and what the firewall lets out";
            findings.push(fault("coordinator", error.to_string(), mend));
        }
    }
    findings
}

/// Prints findings for people: the bad ones with how to mend them. Gives how many faults there are.
///
/// # Errors
/// Nobody reads.
pub fn print(out: &mut impl io::Write, findings: &[Finding]) -> io::Result<usize> {
    for Finding {
        check,
        health,
        seen,
        mend,
    } in findings
    {
        let glyph = match health {
            Health::Well => '✔',
            Health::Warning => '⚠',
            Health::Fault => '✖',
        };
        writeln!(out, "{glyph} {check:<13} {seen}")?;
        if !mend.is_empty() {
            writeln!(out, "  to mend       {mend}")?;
        }
    }
    Ok(findings
        .iter()
        .filter(|finding| finding.health == Health::Fault)
        .count())
}

fn folder(check: &'static str, path: &Path, key: &str) -> Finding {
    let name = path.display();
    match writes(path) {
        Ok(()) => well(check, format!("{name} can be written to")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mend = format!("make it, or name another as `{key}` in the config");
            fault(check, format!("{name} is not there"), mend)
        }
        Err(error) => {
            let mend = format!(
                "give it to the user that the agent runs as ({}), on a disk with room",
                Uid::effective()
            );
            fault(check, format!("{name} cannot be written to: {error}"), mend)
        }
    }
}

/// A file of its own, and gone again.
fn writes(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".echelon-doctor-{}", std::process::id()));
    let written = File::create_new(&path).and_then(|mut file| {
        file.write_all(b"written to see whether it can be\n")?;
        file.sync_all()
    });
    let removed = fs::remove_file(&path);
    written.and(removed)
}

fn disk(check: &'static str, folder: &Path, keep_free: u64) -> Finding {
    let (Some(disk), Ok(raw)) = (Disk::of(folder), statvfs(folder)) else {
        return fault(
            check,
            format!("{} cannot be looked at", folder.display()),
            "see the folder's own check",
        );
    };
    let seen = format!("{} of {} bytes are free", disk.free, disk.total);
    let mend = "make room: prune old releases (`keep` of the playbook's install), or look what else is on it";
    let inodes_short = raw.files() > 0 && raw.files_available() < raw.files() / 100;
    if disk.free < keep_free {
        fault(
            check,
            format!("{seen}, {keep_free} are to be kept free: nothing is downloaded"),
            mend,
        )
    } else if inodes_short {
        let seen = format!("{seen}, but only for {} more files", raw.files_available());
        finding(check, Health::Warning, seen, mend)
    } else if disk.free < disk.total / 100 * FREE_PERCENT {
        finding(check, Health::Warning, seen, mend)
    } else {
        well(check, seen)
    }
}

fn ledger(state_dir: &Path) -> Finding {
    match Store::File(state_dir.join("ledger")).load() {
        Ok(ledger) => well("ledger", format!("{} apps, term {}", ledger.apps.len(), ledger.term)),
        Err(error) => {
            let mend =
                "compare the host with `echelon host get`, then move the file away: no orders are taken until then";
            fault("ledger", error.to_string(), mend)
        }
    }
}

fn certificate(path: &Path) -> Finding {
    let again = "make a token with `echelon host token HOST` and run `echelon-agent join`";
    let identity = match Identity::load(path) {
        Ok(identity) => identity,
        Err(error) => return fault("certificate", error.to_string(), again),
    };
    let mode = fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 != 0 {
        let seen = format!("{} holds the key and others may read it", path.display());
        return fault(
            "certificate",
            seen,
            "chmod it 0600, and join again if somebody may have",
        );
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (begin, end) = (identity.not_before(), identity.not_after());
    let left = end.saturating_sub(now);
    if now < begin {
        return fault(
            "certificate",
            "it is not yet good by this host's clock",
            "set the clock",
        );
    }
    if left.is_zero() {
        return fault(
            "certificate",
            "it has expired: the host was off, or out of reach, for too long",
            again,
        );
    }
    let seen = format!(
        "good for {} more",
        Span(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    );
    if left < end.saturating_sub(begin) / LIFE_LEFT {
        let mend = "it should have been renewed by now: is the agent running, and what does its log say?";
        return finding("certificate", Health::Warning, seen, mend);
    }
    well("certificate", seen)
}

/// Whether what is there is private. Nothing of it is read.
fn secrets(folder: &Path) -> Finding {
    let name = folder.display();
    let Ok(meta) = fs::metadata(folder) else {
        return well("secrets", format!("{name} is not there, so programs are given none"));
    };
    if meta.mode() & 0o022 != 0 {
        let seen = format!("{name} can be written to by others");
        return fault("secrets", seen, "chmod it 0700");
    }
    let mut open = Vec::new();
    let (mut folders, mut seen) = (vec![folder.to_owned()], 0);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            seen += 1;
            let Ok(meta) = entry.metadata() else { continue };
            if seen > SECRETS_MAX {
                folders.clear();
                break;
            }
            if meta.is_dir() {
                folders.push(entry.path());
            } else if meta.is_file() && meta.mode() & 0o004 != 0 {
                open.push(entry.path());
            }
        }
    }
    match open.first() {
        None => well("secrets", format!("{name}: none can be read by everybody")),
        Some(first) => {
            let seen = format!(
                "{} and {} more can be read by everybody",
                first.display(),
                open.len() - 1
            );
            fault(
                "secrets",
                seen,
                "chmod them 0600: a phase that is given one of them fails",
            )
        }
    }
}

fn runtime(folder: &Path) -> Finding {
    let name = folder.display();
    // Made when it is needed: what is asked is whether it could be.
    let there = folder.ancestors().find(|folder| folder.exists());
    match there.map(writes) {
        Some(Ok(())) => well("runtime", format!("{name} is there or can be made")),
        Some(Err(error)) => {
            let mend = "give it to the agent's user: programs that are given secrets as another user fail";
            finding("runtime", Health::Warning, format!("{name}: {error}"), mend)
        }
        None => finding(
            "runtime",
            Health::Warning,
            format!("{name} is nowhere"),
            "name another `runtime_dir`",
        ),
    }
}

fn systemd(mark: &Path) -> Finding {
    let is_root = Uid::effective().is_root();
    match (mark.exists(), is_root) {
        (true, true) => well("systemd", "here, and this user may ask it for units"),
        (true, false) => {
            let mend = "run the agent by its unit: `systemctl start echelon-agent`";
            finding("systemd", Health::Warning, "here, but this user is not root", mend)
        }
        (false, _) => {
            let mend = "phases run in process groups, and those that act on units fail";
            finding("systemd", Health::Warning, "this host was not started by it", mend)
        }
    }
}

fn cgroup(controllers: &Path) -> Finding {
    let has = fs::read_to_string(controllers).unwrap_or_default();
    let lacks: Vec<_> = ["cpu", "memory"]
        .into_iter()
        .filter(|wanted| !has.split_whitespace().any(|one| one == *wanted))
        .collect();
    if lacks.is_empty() {
        return well("cgroup", "version 2, with cpu and memory");
    }
    let mend = "phases with `cpu_percent` fail here and `memory_bytes` is of each process: boot with cgroup v2";
    finding(
        "cgroup",
        Health::Warning,
        format!("no controller for {}", lacks.join(" and ")),
        mend,
    )
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use echelon_proto::HostId;

    use super::*;

    fn of<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
        findings.iter().find(|finding| finding.check == check).unwrap()
    }

    fn settings(folder: &Path) -> Settings {
        let at = |name: &str| folder.join(name);
        Settings {
            secrets_dir: at("secrets"),
            runtime_dir: at("run"),
            systemd_mark: at("no-systemd"),
            ..Settings::new(HostId::new("h1").unwrap(), at("apps"), at("state"), "agent".into())
        }
    }

    #[test]
    fn each_thing_that_is_wrong_is_named_with_how_to_mend_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        fs::create_dir(&settings.state_dir).unwrap();
        fs::write(settings.state_dir.join("ledger"), "junk").unwrap();
        fs::create_dir(&settings.secrets_dir).unwrap();
        fs::write(settings.secrets_dir.join("key"), "hunter22").unwrap();
        fs::set_permissions(settings.secrets_dir.join("key"), Permissions::from_mode(0o644)).unwrap();
        settings.artifacts.keep_free = u64::MAX;
        let findings = look(&settings);
        for (check, seen) in [
            ("apps folder", "is not there"),
            ("state disk", "nothing is downloaded"),
            ("ledger", "ledger"),
            ("certificate", "has not joined"),
            ("secrets", "can be read by everybody"),
        ] {
            let found = of(&findings, check);
            assert_eq!(found.health, Health::Fault, "{found:?}");
            assert!(found.seen.contains(seen) && !found.mend.is_empty(), "{found:?}");
        }
        assert_eq!(of(&findings, "systemd").health, Health::Warning);
        assert_eq!(of(&findings, "state folder").health, Health::Well);
        assert!(!format!("{findings:?}").contains("hunter"));
        let left: Vec<_> = fs::read_dir(&settings.state_dir).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "it looked, and left nothing");
    }

    #[test]
    fn a_host_that_is_well_has_no_faults() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        fs::create_dir(&settings.state_dir).unwrap();
        fs::create_dir(&settings.apps_dir).unwrap();
        let findings = look(&settings);
        let faults: Vec<_> = findings
            .iter()
            .filter(|finding| finding.health == Health::Fault)
            .collect();
        assert!(
            faults.iter().all(|found| ["certificate"].contains(&found.check)),
            "{faults:?}"
        );
    }

    #[test]
    fn a_clock_is_told_by_how_far_it_is_off_and_to_which_side() {
        assert_eq!(clock(500).health, Health::Well);
        assert_eq!(clock(-10_000).health, Health::Warning);
        let far = clock(-90_000);
        assert_eq!(far.health, Health::Fault);
        assert!(far.seen.contains("1m 30s behind the coordinator's"), "{far:?}");
        assert!(clock(31_000).seen.contains("ahead of"), "{:?}", clock(31_000));
    }
}
