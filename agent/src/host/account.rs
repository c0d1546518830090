//! Running a program as another user: its own groups and nothing of root's.

use std::{ffi::CString, os::unix::process::CommandExt as _, process::Command};

use nix::unistd::{Uid, User, getgrouplist, setgid, setgroups, setuid};

/// Makes the command run as `name`, with its groups and home. An error says what is missing.
pub(super) fn become_user(command: &mut Command, name: &str) -> Result<(), String> {
    let user = User::from_name(name).map_err(|error| format!("user {name:?} cannot be looked up: {error}"))?;
    let user = user.ok_or_else(|| format!("there is no user {name:?} on this host"))?;
    if user.uid == Uid::effective() {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        let me = Uid::effective();
        return Err(format!(
            "the agent runs as user id {me} and cannot become {name:?}: only root can"
        ));
    }
    let c_name = CString::new(name).map_err(|_| format!("user {name:?} has a NUL in its name"))?;
    let groups = getgrouplist(&c_name, user.gid).map_err(|error| format!("groups of user {name:?}: {error}"))?;
    command.env("HOME", &user.dir).env("USER", name).env("LOGNAME", name);
    let (uid, gid) = (user.uid, user.gid);
    // SAFETY: between fork and exec only system calls are made; everything that allocates was done above.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || {
            setgroups(&groups)?;
            setgid(gid)?;
            setuid(uid)?;
            Ok(())
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_is_not_there_is_named() {
        let error = become_user(&mut Command::new("true"), "no-such-user").unwrap_err();
        assert!(error.contains("no user \"no-such-user\""), "{error}");
    }

    #[test]
    fn a_program_of_another_user_has_none_of_roots_groups() {
        if !Uid::effective().is_root() {
            let error = become_user(&mut Command::new("true"), "root").unwrap_err();
            assert!(error.contains("only root can"), "{error}");
            return;
        }
        let mut command = Command::new("id");
        become_user(&mut command, "nobody").unwrap();
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(text.contains("(nobody)") && !text.contains("(root)"), "{text}");
    }
}
