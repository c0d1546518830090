//! Releases and playbooks. Both are immutable: the same again is done already, something else under the same name is
//! refused.

use echelon_playbooks::Playbook;
use echelon_proto::{
    Person,
    limits::{ARTIFACT_SCHEMES, PLAYBOOK_BYTES_MAX},
};

use crate::{
    command::Artifact,
    engine::Engine,
    record::Record,
    refusal::{Reason, Refusal},
};

pub(super) fn release(engine: &Engine, by: &Person, artifact: &Artifact) -> Result<Vec<Record>, Refusal> {
    let can_be_fetched = ARTIFACT_SCHEMES.iter().any(|scheme| artifact.url.starts_with(scheme));
    match (artifact.url.is_empty(), artifact.sha256) {
        (false, Some(_)) if can_be_fetched => {}
        (true, None) => {}
        (false, None) => return Err(Reason::Invalid.refusal("a release with a url needs its sha256")),
        (true, Some(_)) => return Err(Reason::Invalid.refusal("a sha256 without a url: say where the archive is")),
        (false, Some(_)) => {
            return Err(Reason::Invalid.refusal(format!(
                "url {:?} begins with none of {}",
                artifact.url,
                ARTIFACT_SCHEMES.join(", ")
            )));
        }
    }
    match engine.state().release(&artifact.app, &artifact.release) {
        None => Ok(vec![Record::ReleaseCreated { artifact: artifact.clone(), by: by.clone() }]),
        Some(known) if known.artifact == *artifact => Ok(Vec::new()),
        Some(known) => Err(Reason::AlreadyExists.refusal(format!(
            "release {} of {} is known since {} with another archive ({}): a release never changes, give this one a new name",
            artifact.release, artifact.app, known.at, known.artifact.url
        ))),
    }
}

pub(super) fn playbook(
    engine: &Engine,
    by: &Person,
    playbook: &Playbook,
    (text, base): (&str, Option<&str>),
) -> Result<Vec<Record>, Refusal> {
    if text.len().max(base.map_or(0, str::len)) > PLAYBOOK_BYTES_MAX {
        return Err(Reason::Invalid.refusal(format!("a playbook is at most {PLAYBOOK_BYTES_MAX} bytes")));
    }
    let versions = engine.state().playbooks.get(&playbook.name);
    match versions.and_then(|versions| versions.get(&playbook.version)) {
        Some(known) if known.playbook.digest == playbook.digest && known.playbook.base == playbook.base => Ok(Vec::new()),
        // Echelon's own library has changed since.
        Some(known) if known.playbook.digest == playbook.digest => Err(Reason::AlreadyExists.refusal(format!(
            "playbook {}@{} is known since {} with another text of what it extends, and keeps that: to take over the new one, \
             give it a new version",
            playbook.name, playbook.version, known.at
        ))),
        Some(known) => {
            let newest = versions
                .and_then(|versions| versions.keys().last())
                .copied()
                .unwrap_or(known.playbook.version);
            Err(Reason::AlreadyExists.refusal(format!(
                "playbook {}@{} is another text, pushed by {}: a version never changes, call this one version {}",
                playbook.name,
                playbook.version,
                known.by,
                newest + 1
            )))
        }
        None => Ok(vec![Record::PlaybookPushed {
            playbook: Box::new(playbook.clone()),
            text: text.into(),
            base: base.map(str::to_owned),
            by: by.clone(),
        }]),
    }
}
