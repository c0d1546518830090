//! What a program may use, held by the kernel: by a cgroup of its own where the agent may make one, else by the limits of
//! each of its processes. A limit that cannot be held must not be claimed: then the program is not started.

use std::{fs::File, io, os::unix::process::CommandExt as _, path::Path, process::Command};

use nix::{
    sys::resource::{Resource, getrlimit, rlim_t, setrlimit},
    unistd::write,
};

use super::cgroup::{self, Cgroup};
use crate::order::Limits;

/// Where the program's cgroup comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// It is that of the supervisor's unit, and has its limits from systemd.
    Unit,
    /// It is made here, where that is allowed.
    Own,
}

/// Puts the limits on the program that the command starts. The cgroup, where there is one, is the caller's to keep until
/// the program's end. An error says which limit cannot be held, and how to mend it.
pub(super) fn hold(command: &mut Command, limits: Limits, room: Room, dir: &Path) -> Result<Option<Cgroup>, String> {
    let is_for_all = limits.cpu_percent.is_some() || limits.memory_bytes.is_some();
    let cgroup = is_for_all.then(|| match room {
        Room::Unit => cgroup::holds(limits).map(|()| None),
        Room::Own => Cgroup::of_this_host(dir, limits).map(Some),
    });
    let is_held = matches!(cgroup, Some(Ok(_)));
    let cgroup = match (cgroup, limits.cpu_percent) {
        (Some(Err(why)), Some(percent)) => {
            return Err(format!(
                "cpu_percent {percent} cannot be held: {why}; run the agent as root by its unit on a host with cgroup v2, or \
                 take the limit out of the playbook"
            ));
        }
        (cgroup, _) => cgroup.and_then(Result::ok).flatten(),
    };
    let mut each = Vec::new();
    if let Some(files) = limits.open_files {
        each.push(lowered(Resource::RLIMIT_NOFILE, files)?);
    }
    if let (Some(bytes), false) = (limits.memory_bytes, is_held) {
        each.push(lowered(Resource::RLIMIT_AS, bytes)?);
    }
    let procs = cgroup.as_ref().map(Cgroup::procs).transpose();
    let procs = procs.map_err(|error| format!("its cgroup cannot be entered: {error}"))?;
    if procs.is_some() || !each.is_empty() {
        before_exec(command, procs, each);
    }
    Ok(cgroup)
}

/// Never above what the agent itself may: that is a limit already.
fn lowered(resource: Resource, wanted: rlim_t) -> Result<(Resource, rlim_t), String> {
    let (_, hard) = getrlimit(resource).map_err(|errno| format!("{resource:?}: {}", errno.desc()))?;
    Ok((resource, wanted.min(hard)))
}

fn before_exec(command: &mut Command, procs: Option<File>, each: Vec<(Resource, rlim_t)>) {
    let enter = move || -> io::Result<()> {
        if let Some(procs) = &procs {
            // 0 is the process that writes.
            write(procs, b"0")?;
        }
        for (resource, limit) in &each {
            setrlimit(*resource, *limit, *limit)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made; everything that allocates was done above.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(enter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(script: &str, limits: Limits) -> std::process::Output {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let cgroup = hold(&mut command, limits, Room::Own, Path::new("runs/key/main")).unwrap();
        let output = command.output().unwrap();
        drop(cgroup);
        output
    }

    #[test]
    fn a_program_has_as_many_files_as_it_may_and_no_more() {
        let limits = Limits {
            open_files: Some(20),
            ..Limits::default()
        };
        let output = limited("ulimit -n; ulimit -Hn", limits);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "20\n20\n");
        let output = limited("ulimit -n", Limits::default());
        assert_ne!(String::from_utf8(output.stdout).unwrap(), "20\n", "no limit, none held");
    }

    /// A file in the place of the kernel's.
    #[test]
    fn a_program_with_a_cgroup_enters_it_before_it_is_started() {
        let folder = tempfile::tempdir().unwrap();
        let procs = folder.path().join("cgroup.procs");
        let mut command = Command::new("cat");
        command.arg(&procs);
        before_exec(&mut command, Some(File::create(&procs).unwrap()), Vec::new());
        assert_eq!(command.output().unwrap().stdout, b"0");
    }

    #[test]
    fn a_limit_above_the_agents_own_is_the_agents_own() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let (_, limit) = lowered(Resource::RLIMIT_NOFILE, rlim_t::MAX).unwrap();
        assert_eq!(limit, hard);
    }
}
