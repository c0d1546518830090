//! Answers to what people ask about this host from afar. Nothing changes by them. Deliberately no wire, and no question of who
//! may ask: the coordinator has looked at that, and has written it down.

mod processes;
mod tail;

use std::{fs, io, time::UNIX_EPOCH};

use echelon_proto::{App, Time};
use tokio::sync::mpsc;

use self::tail::Shown;
use super::{Host, release::Releases};
use crate::{
    doctor,
    link::now,
    order::{Answer, Ask, OnDisk},
};

/// Releases of one answer.
const RELEASES_MAX: usize = 1000;

impl Host {
    /// Answers one question; ends early when nobody hears it any more.
    pub(super) async fn tell(&self, ask: Ask, answers: mpsc::Sender<Answer>) {
        let settings = self.settings.clone();
        let answer = match ask {
            Ask::Tail(wanted) => {
                let never = [&settings.state_dir, &settings.secrets_dir, &settings.runtime_dir];
                let never = never.into_iter().cloned().collect();
                let shown = Shown::new(settings.shown.as_deref(), &settings.apps_dir, never);
                return tail::tail(shown, wanted, answers).await;
            }
            Ask::Doctor { now: theirs } => {
                let ours = now();
                blocking(move || {
                    let millis = |time: Time| i64::try_from(time.0).unwrap_or(i64::MAX);
                    let clock = doctor::clock(millis(ours) - millis(theirs));
                    let findings = std::iter::once(clock).chain(doctor::look(&settings));
                    Answer::Findings(findings.collect())
                })
                .await
            }
            Ask::Processes(app) => {
                let folder = self.app_dir(&app);
                blocking(move || Answer::Processes(processes::of_app(&app, &folder))).await
            }
            Ask::Releases(app) => {
                blocking(move || match on_disk(&settings.apps_dir, app.as_ref()) {
                    Ok(releases) => Answer::Releases(releases),
                    Err(error) => Answer::Refused(format!("{}: {error}", settings.apps_dir.display())),
                })
                .await
            }
        };
        // Nobody hears it: then nobody wants it.
        drop(answers.send(answer).await);
    }
}

async fn blocking(look: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let looked = tokio::task::spawn_blocking(look).await;
    looked.unwrap_or_else(|error| Answer::Refused(format!("the agent itself failed: {error}")))
}

fn on_disk(apps_dir: &std::path::Path, only: Option<&App>) -> io::Result<Vec<OnDisk>> {
    let mut found = Vec::new();
    for app in fs::read_dir(apps_dir)?.flatten() {
        let name = app.file_name().to_string_lossy().into_owned();
        if App::new(&name).is_err() || only.is_some_and(|only| only.as_str() != name) {
            continue;
        }
        let current = fs::read_link(Releases::of(app.path()).current()).ok();
        let current = current.as_deref().and_then(|to| to.file_name());
        for release in fs::read_dir(app.path().join("releases"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let file_name = release.file_name();
            let installed = release.metadata().and_then(|meta| meta.modified()).ok();
            let installed = installed.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let text = file_name.to_string_lossy().into_owned();
            // Folders on their way in or out are none.
            if !text.starts_with('.') {
                found.push(OnDisk {
                    app: name.clone(),
                    current: current == Some(&file_name),
                    release: text,
                    installed: installed.map(|at| Time(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))),
                });
            }
        }
    }
    found.sort_by(|one, other| (&one.app, &one.release).cmp(&(&other.app, &other.release)));
    found.truncate(RELEASES_MAX);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn releases_on_the_disk_are_listed_with_the_one_that_stands() {
        let apps = tempfile::tempdir().unwrap();
        for folder in [
            "web/releases/1.0",
            "web/releases/1.1",
            "web/releases/.echelon-scrap-1",
            "db/releases/9",
            "a b",
        ] {
            fs::create_dir_all(apps.path().join(folder)).unwrap();
        }
        symlink("releases/1.1", apps.path().join("web/current")).unwrap();
        let names = |only: Option<&App>| -> Vec<(String, String, bool)> {
            let found = on_disk(apps.path(), only).unwrap().into_iter();
            found.map(|one| (one.app, one.release, one.current)).collect()
        };
        let row = |app: &str, release: &str, current| (app.to_owned(), release.to_owned(), current);
        let web = [row("web", "1.0", false), row("web", "1.1", true)];
        assert_eq!(names(Some(&App::new("web").unwrap())), web);
        assert_eq!(names(None)[0], row("db", "9", false));
        assert_eq!(names(None).len(), 3);
    }
}
