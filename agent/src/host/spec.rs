//! What a supervisor is told of a program: its environment, folder, time, limits and secrets. Deliberately runs nothing.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use super::{
    Host,
    program::{Program, Spec},
    release::Releases,
};
use crate::order::{Leftovers, Order, Run};

/// A program that answers a question.
pub(super) const PROBE_WITHIN: Duration = Duration::from_secs(30);
/// Of the agent's own environment, what a program may see.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME"];

impl Host {
    fn environment(&self, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let passed = PASSED_ON
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), std::env::var(key).ok()?)));
        let mut env: BTreeMap<String, String> = passed.collect();
        env.extend(own.clone());
        env.insert("ECHELON_HOST".to_owned(), self.settings.host.to_string());
        for (label, value) in &self.settings.labels {
            let key: String = label
                .as_str()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                .collect();
            env.insert(format!("ECHELON_LABEL_{}", key.to_ascii_uppercase()), value.clone());
        }
        env
    }

    /// What the supervisor is told; makes the app's folder, and the one that secrets are handed over in.
    pub(super) fn spec(&self, order: &Order, run: &Run, left: Duration, program: &Program) -> Result<Spec, String> {
        let app_dir = self.app_dir(&order.app);
        fs::create_dir_all(&app_dir).map_err(|error| format!("{}: {error}", app_dir.display()))?;
        let releases = Releases::of(app_dir.clone());
        let mut env = self.environment(&run.env);
        let mut set = |key: &str, value: String| env.insert(key.to_owned(), value);
        set("ECHELON_APP", order.app.to_string());
        set("ECHELON_APP_DIR", app_dir.display().to_string());
        set("ECHELON_CURRENT", releases.current().display().to_string());
        set("ECHELON_ROLLOUT", order.fence.rollout.to_string());
        set("ECHELON_PHASE", order.fence.phase.to_string());
        set("ECHELON_ATTEMPT", order.fence.attempt.to_string());
        let release = order.release.as_ref();
        set(
            "ECHELON_RELEASE",
            release.map(|release| release.name.to_string()).unwrap_or_default(),
        );
        let folder = release.map(|release| releases.folder(&release.name).display().to_string());
        set("ECHELON_RELEASE_DIR", folder.unwrap_or_default());
        let cwd = app_dir.join(run.cwd.as_deref().unwrap_or_default());
        self.spec_with(run, (env, cwd), left, program)
    }

    /// The same for a program of no order.
    pub(super) fn spec_of_probe(&self, run: &Run, program: &Program) -> Result<Spec, String> {
        let cwd = self.settings.apps_dir.join(run.cwd.as_deref().unwrap_or_default());
        self.spec_with(run, (self.environment(&run.env), cwd), PROBE_WITHIN, program)
    }

    fn spec_with(
        &self,
        run: &Run,
        (mut env, cwd): (BTreeMap<String, String>, PathBuf),
        left: Duration,
        program: &Program,
    ) -> Result<Spec, String> {
        let secrets = self.credentials.of(run, program)?;
        if let Some(secrets) = &secrets {
            let folder = secrets.into.display().to_string();
            env.insert("CREDENTIALS_DIRECTORY".to_owned(), folder);
        }
        Ok(Spec {
            argv: run.argv.clone(),
            env,
            cwd,
            user: run.user.clone(),
            timeout_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            fence: None,
            limits: run.limits,
            secrets,
            leftovers: Leftovers::Leave,
        })
    }
}
