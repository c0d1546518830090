//! Running a program as another user: its own groups and nothing of root's. Deliberately no passwords and no sessions.

use std::{ffi::CString, os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use nix::unistd::{Gid, Uid, User, getgrouplist, setgid, setgroups, setuid};

/// Another user than the agent's own, whom the agent can become.
#[derive(Debug, Clone)]
pub(super) struct Account {
    name: String,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    groups: Vec<Gid>,
    home: PathBuf,
}

impl Account {
    /// The user of this name; `None` when it is the agent's own. An error says what is missing.
    pub(super) fn named(name: &str) -> Result<Option<Self>, String> {
        let user = User::from_name(name).map_err(|error| format!("user {name:?} cannot be looked up: {error}"))?;
        let user = user.ok_or_else(|| format!("there is no user {name:?} on this host"))?;
        if user.uid == Uid::effective() {
            return Ok(None);
        }
        if !Uid::effective().is_root() {
            let me = Uid::effective();
            return Err(format!(
                "the agent runs as user id {me} and cannot become {name:?}: only root can"
            ));
        }
        let c_name = CString::new(name).map_err(|_| format!("user {name:?} has a NUL in its name"))?;
        let groups = getgrouplist(&c_name, user.gid).map_err(|error| format!("groups of user {name:?}: {error}"))?;
        Ok(Some(Self {
            name: name.to_owned(),
            uid: user.uid,
            gid: user.gid,
            groups,
            home: user.dir,
        }))
    }

    /// Makes the command run as this user, with its groups and home.
    pub(super) fn take_on(self, command: &mut Command) {
        let name = &self.name;
        command.env("HOME", &self.home).env("USER", name).env("LOGNAME", name);
        // SAFETY: between fork and exec only system calls are made; everything that allocates was done above.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(move || {
                setgroups(&self.groups)?;
                setgid(self.gid)?;
                setuid(self.uid)?;
                Ok(())
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_is_not_there_is_named() {
        let error = Account::named("no-such-user").unwrap_err();
        assert!(error.contains("no user \"no-such-user\""), "{error}");
    }

    #[test]
    fn a_program_of_another_user_has_none_of_roots_groups() {
        if !Uid::effective().is_root() {
            let error = Account::named("root").unwrap_err();
            assert!(error.contains("only root can"), "{error}");
            return;
        }
        let mut command = Command::new("id");
        Account::named("nobody").unwrap().unwrap().take_on(&mut command);
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(text.contains("(nobody)") && !text.contains("(root)"), "{text}");
    }
}
