//! Places in agent and coordinator where a test ends the process, as `kill -9` does: before and after each durable write,
//! each rename, each start of a program, each word that another relies on. In a build without debug assertions, which is
//! every build that is shipped, there is nothing of it.
//!
//! Two variables of the environment arm it. With `ECHELON_FAILPOINTS_PASSED=FILE` each place that is passed is added to the
//! file: its name, then the line of source. With `ECHELON_FAILPOINT=NAME` and `ECHELON_FAILPOINT_TICKETS=FOLDER` each
//! passing of that place takes a file out of the folder, and the one that takes the last ends its process. So several
//! processes share one death, and what is started again after it lives.
//!
//! Deliberately not the crate `fail`: its places are compiled out by a feature, which would take a second build of
//! everything for each run of the tests, and it cannot say which places there are.

/// Passes a place: `what` is written, renamed, said; `how` far it is.
#[track_caller]
pub fn pass(what: &str, how: &str) {
    #[cfg(debug_assertions)]
    armed::pass(what, how, std::panic::Location::caller());
    #[cfg(not(debug_assertions))]
    let _ = (what, how);
}

#[cfg(debug_assertions)]
mod armed {
    use std::{
        env,
        ffi::OsString,
        fs::{self, OpenOptions},
        io::Write as _,
        panic::Location,
        path::PathBuf,
        process::abort,
        sync::OnceLock,
    };

    #[derive(Debug)]
    struct Armed {
        passed: Option<PathBuf>,
        deadly: Option<(OsString, PathBuf)>,
    }

    fn armed() -> &'static Armed {
        static ARMED: OnceLock<Armed> = OnceLock::new();
        ARMED.get_or_init(|| Armed {
            passed: env::var_os("ECHELON_FAILPOINTS_PASSED").map(PathBuf::from),
            deadly: env::var_os("ECHELON_FAILPOINT").zip(env::var_os("ECHELON_FAILPOINT_TICKETS").map(PathBuf::from)),
        })
    }

    pub(super) fn pass(what: &str, how: &str, at: &Location<'_>) {
        let armed = armed();
        if let Some(file) = &armed.passed {
            let line = format!("{what}:{how}\t{}:{}\n", at.file(), at.line());
            let file = OpenOptions::new().create(true).append(true).open(file);
            let _told = file.and_then(|mut file| file.write_all(line.as_bytes()));
        }
        if let Some((name, tickets)) = &armed.deadly
            && name.to_str() == Some(&format!("{what}:{how}"))
            && is_last_of(tickets)
        {
            abort();
        }
    }

    /// Takes a ticket. False, too, when there was none: this death has been died.
    fn is_last_of(tickets: &PathBuf) -> bool {
        let left = || fs::read_dir(tickets).into_iter().flatten().flatten();
        let taken = left().find(|ticket| fs::remove_file(ticket.path()).is_ok());
        taken.is_some() && left().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        env, fs,
        process::{Command, ExitStatus},
    };

    use super::pass;

    /// Run by the other test, in a process of its own, which may die.
    #[test]
    fn three_places_are_passed() {
        for how in ["written", "synced", "renamed"] {
            pass("ledger", how);
        }
    }

    #[test]
    fn the_last_ticket_ends_the_process_and_every_place_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (tickets, passed) = (folder.path().join("tickets"), folder.path().join("passed"));
        fs::create_dir(&tickets).unwrap();
        for ticket in ["1", "2"] {
            fs::write(tickets.join(ticket), "").unwrap();
        }
        let run = || -> ExitStatus {
            let mut again = Command::new(env::current_exe().unwrap());
            again.args(["--exact", "tests::three_places_are_passed"]);
            again.env("ECHELON_FAILPOINTS_PASSED", &passed);
            again.env("ECHELON_FAILPOINT", "ledger:synced");
            again.env("ECHELON_FAILPOINT_TICKETS", &tickets);
            again.output().unwrap().status
        };
        let told = || fs::read_to_string(&passed).unwrap();
        assert!(run().success(), "one ticket is left");
        assert_eq!(told().lines().count(), 3);
        assert!(
            told().starts_with("ledger:written\ttestbed/failpoint/src/lib.rs:"),
            "{}",
            told()
        );
        assert!(!run().success(), "the last one is deadly");
        assert_eq!(told().lines().count(), 5, "nothing comes after it");
        assert!(run().success(), "nobody dies twice");
    }
}
