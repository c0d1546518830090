//! Questions of a host: a verify, a guard, a watch. Each is asked once and answered yes or no with what was seen.
//! Deliberately nothing of what an answer means for an attempt.

use std::{fs, sync::atomic::Ordering};

use super::{
    Host, artifact,
    attempt::{Attempt, ended},
    check::{self, Check},
    credentials, plain, process,
    program::{End, Program, Spec},
    runs::Active,
    systemd,
    unit::Unit,
};
use crate::{
    order::{Action, Order, Probe, Run},
    output,
};

impl Host {
    /// Asks a verify once.
    pub(super) async fn verify(&self, order: &Order, verify: &Action, attempt: &Attempt, step: &str) -> Probe {
        let asked = async {
            match verify {
                Action::Run(run) => self.program_holds(order, run, attempt, step).await,
                Action::Artifact(action) => {
                    let healthy = artifact::holds(self.app_dir(&order.app), order, action);
                    let message = "the release does not stand as wanted".to_owned();
                    Probe { healthy, message }
                }
                Action::Poll(poll) => self.poll_once(Some(order), poll).await,
                Action::File(file) => self.file_stands(order, file).await,
                Action::Http(_) | Action::Tcp(_) | Action::Systemd(_) | Action::Note => self.question(verify).await,
            }
        };
        // A program has its supervisor to end it in time; that needs the grace too.
        let within = attempt.left() + process::GRACE * 3;
        tokio::time::timeout(within, asked)
            .await
            .unwrap_or_else(|_| unhealthy("it did not answer in time".to_owned()))
    }

    async fn program_holds(&self, order: &Order, run: &Run, attempt: &Attempt, step: &str) -> Probe {
        let program = Program::new(attempt.dir.join(step));
        let spec = match self.spec(order, run, attempt.left(), &program) {
            Ok(spec) => spec,
            Err(message) => return unhealthy(message),
        };
        // Of an agent before this one, and nobody knows the answer: a question can be asked again.
        if let Some(End::Lost { .. }) = program.ended().await {
            let _ = fs::remove_dir_all(&program.dir);
        }
        self.program_answers(&run.argv[0], &program, &spec).await
    }

    async fn program_answers(&self, name: &str, program: &Program, spec: &Spec) -> Probe {
        let end = self.supervised(program, spec).await;
        let healthy = matches!(&end, End::Known(exit) if exit.code == Some(0) && !exit.timed_out);
        let last = output::tail(&program.output(), output::written(&program.output()), 512);
        let last = last.lines().last().unwrap_or_default();
        let message = match end {
            End::Known(exit) => format!("{} {last}", ended(name, &exit)),
            End::Lost { .. } => format!("{name} ended in an unknown way"),
            End::NotBegun(why) => why,
        };
        Probe { healthy, message }
    }

    /// One question of no order.
    pub(super) async fn question(&self, probe: &Action) -> Probe {
        match probe {
            Action::Http(check) => check::ask(&self.client, Check::Http(check)).await,
            Action::Tcp(check) => check::ask(&self.client, Check::Tcp(check)).await,
            Action::Systemd(action) => match systemd::missing(&self.settings.systemd_mark) {
                Some(message) => unhealthy(message),
                None => match systemd::argv(&self.settings.systemctl, action) {
                    Ok(argv) => self.probe_program(&plain(argv)).await,
                    Err(message) => unhealthy(message),
                },
            },
            Action::Run(run) => self.probe_program(run).await,
            Action::Poll(poll) => self.poll_once(None, poll).await,
            Action::Artifact(_) => unhealthy("an artifact is nothing that can be watched".to_owned()),
            Action::File(_) => unhealthy("a file is nothing that can be watched".to_owned()),
            Action::Note => unhealthy("a note is nothing that can be asked".to_owned()),
        }
    }

    /// A program that answers by its exit code, of no order.
    async fn probe_program(&self, run: &Run) -> Probe {
        let scratch = self.scratch();
        let program = Program::new(scratch.path().to_owned());
        match self.spec_of_probe(run, &program) {
            Ok(spec) => self.program_answers(&run.argv[0], &program, &spec).await,
            Err(message) => unhealthy(message),
        }
    }

    /// A folder for one program that answers a question.
    pub(super) fn scratch(&self) -> Active {
        self.runs.scratch(self.probes.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs a program to its end, and takes away what its supervisor could not if it was killed.
    pub(super) async fn supervised(&self, program: &Program, spec: &Spec) -> End {
        let limits = spec.limits;
        // Questions are short and asked often: they get a unit of their own only for what else could not be held.
        let wants_unit = spec.fence.is_some() || limits.cpu_percent.is_some() || limits.memory_bytes.is_some();
        let systemd_run = self.settings.systemd_run.as_deref().filter(|_| wants_unit);
        let unit = systemd_run.map(|systemd_run| Unit::of(systemd_run, &program.dir, spec));
        let end = program.run(&self.settings.agent, unit.as_ref(), spec).await;
        if let Some(secrets) = &spec.secrets {
            credentials::take_away(secrets);
        }
        end
    }
}

pub(super) fn unhealthy(message: String) -> Probe {
    Probe {
        healthy: false,
        message,
    }
}
