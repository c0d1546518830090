//! Where programs find their secrets: for each a folder of its own, in memory where the host has such a place. The agent
//! makes the folder above and takes away what a killed supervisor left; what is in it is the supervisor's (`secrets`).

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use echelon_proto::Digest;

use super::{Settings, program::Program, secrets::Secrets};
use crate::order::Run;

/// Between the name of an attempt and its step; no step has it in its name.
const STEP: char = '+';

/// The agent's part of it.
#[derive(Debug)]
pub(super) struct Credentials {
    /// The host's secrets.
    from: PathBuf,
    runs: PathBuf,
    /// In memory, for all agents of the host.
    runtime: PathBuf,
    /// This agent's in it.
    memory: PathBuf,
    /// Where there is no such place: only the agent's own user comes here.
    disk: PathBuf,
}

impl Credentials {
    pub(super) fn new(settings: &Settings, runs: PathBuf) -> Self {
        // Several agents of one host differ in their state folder, and in nothing else for certain.
        let own = Digest::of(settings.state_dir.as_os_str().as_encoded_bytes()).short();
        Self {
            from: settings.secrets_dir.clone(),
            runs,
            runtime: settings.runtime_dir.clone(),
            memory: settings.runtime_dir.join(own),
            disk: settings.state_dir.join("credentials"),
        }
    }

    /// What the supervisor of this program is told; `None` when it is given no secrets.
    pub(super) fn of(&self, run: &Run, program: &Program) -> Result<Option<Secrets>, String> {
        if run.secrets.is_empty() {
            return Ok(None);
        }
        Ok(Some(Secrets {
            from: self.from.clone(),
            names: run.secrets.clone(),
            into: self.place(run.user.is_some())?.join(self.name(&program.dir)),
        }))
    }

    /// The folder that the folders of programs are made in.
    fn place(&self, for_another_user: bool) -> Result<PathBuf, String> {
        // Others pass through, and see nothing.
        let in_memory = made(&self.runtime, 0o711).and_then(|()| made(&self.memory, 0o711));
        match in_memory {
            Ok(()) => Ok(self.memory.clone()),
            Err(error) if for_another_user => Err(format!(
                "{} cannot be made ({error}), and a program of another user finds its secrets nowhere else; make it, or \
                 set runtime_dir in the agent's config",
                self.memory.display()
            )),
            Err(_) => {
                made(&self.disk, 0o700).map_err(|error| format!("{}: {error}", self.disk.display()))?;
                Ok(self.disk.clone())
            }
        }
    }

    fn name(&self, program: &Path) -> String {
        let words = program.strip_prefix(&self.runs).unwrap_or(program).components();
        let words: Vec<_> = words
            .filter_map(|word| match word {
                Component::Normal(word) => Some(word.to_string_lossy()),
                _ => None,
            })
            .collect();
        words.join(&STEP.to_string())
    }

    /// Takes away what killed supervisors left. Where one lives, the secrets are still its program's.
    pub(super) fn sweep(&self) {
        let entries = [&self.memory, &self.disk].map(|place| fs::read_dir(place).into_iter().flatten().flatten());
        for entry in entries.into_iter().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let program = match name.rsplit_once(STEP) {
                Some((attempt, step)) => self.runs.join(attempt).join(step),
                None => self.runs.join(&name),
            };
            if !Program::new(program).is_supervised() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// After the program's end.
pub(super) fn take_away(secrets: &Secrets) {
    let _ = fs::remove_dir_all(&secrets.into);
}

fn made(folder: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(folder) {
        // Whatever this process masks.
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use echelon_proto::HostId;

    use super::*;
    use crate::order::Limits;

    fn run(user: Option<&str>) -> Run {
        Run {
            argv: vec!["true".to_owned()],
            env: BTreeMap::new(),
            cwd: None,
            user: user.map(str::to_owned),
            limits: Limits::default(),
            secrets: BTreeMap::from([("db".to_owned(), "password".to_owned())]),
        }
    }

    #[test]
    fn without_a_place_in_memory_only_the_agents_own_programs_find_their_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let (state, runs) = (folder.path().join("state"), folder.path().join("state/runs"));
        fs::create_dir(&state).unwrap();
        let apps = folder.path().join("apps");
        let mut settings = Settings::new(HostId::new("h1").unwrap(), apps, state.clone(), "agent".into());
        settings.runtime_dir = folder.path().join("run");
        let program = Program::new(runs.join("r1.1.a+b~0/main"));
        let of = |settings: &Settings, run: &Run| Credentials::new(settings, runs.clone()).of(run, &program);

        let into = of(&settings, &run(Some("web"))).unwrap().unwrap().into;
        assert!(
            into.starts_with(&settings.runtime_dir) && into.ends_with("r1.1.a+b~0+main"),
            "{into:?}"
        );
        assert_eq!(
            fs::metadata(into.parent().unwrap()).unwrap().permissions().mode() & 0o777,
            0o711
        );

        settings.runtime_dir = folder.path().join("absent/run");
        let error = of(&settings, &run(Some("web"))).unwrap_err();
        assert!(error.contains("set runtime_dir in the agent's config"), "{error}");
        let into = of(&settings, &run(None)).unwrap().unwrap().into;
        assert_eq!(into, state.join("credentials/r1.1.a+b~0+main"));
        assert_eq!(
            fs::metadata(state.join("credentials")).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
