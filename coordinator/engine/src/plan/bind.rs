//! What a request names: the release, and the playbook with the request's values for its parameters put in. The pushed text
//! is read again for that, with the text of its base as it was when it was pushed; what comes of it travels in the plan, so
//! that nothing is ever read again to carry out, replay or take back what was planned.

use std::{collections::BTreeMap, sync::Arc};

use echelon_playbooks::{BaseName, Faults, Given, Playbook, Severity, read_with};
use echelon_proto::ParamName;

use crate::{
    command::{Artifact, PlanRequest},
    refusal::{Reason, Refusal},
    state::{Pushed, State},
};

/// The release and the playbook of a request.
pub(super) struct Bound<'a> {
    pub(super) artifact: &'a Artifact,
    pushed: &'a Pushed,
    /// The playbook with its values, where it has parameters.
    pub(super) with_values: Option<Arc<Playbook>>,
}

impl<'a> Bound<'a> {
    /// Finds what the request names, or says that it is not there, or what is wrong with a value.
    pub(super) fn find(state: &'a State, request: &PlanRequest) -> Result<Self, Refusal> {
        let PlanRequest {
            app,
            release,
            playbook: name,
            version,
            params,
            ..
        } = request;
        let artifact = state
            .release(app, release)
            .map(|known| &known.artifact)
            .ok_or_else(|| {
                Reason::NotFound.refusal(format!(
                "there is no release {release} of {app}: make it known with `echelon release create {app} {release}`"
            ))
            })?;
        let pushed = state.playbook(name, *version).ok_or_else(|| {
            let version = version.map(|version| format!("@{version}")).unwrap_or_default();
            Reason::NotFound.refusal(format!(
                "there is no playbook {name}{version}: push it with `echelon playbook push FILE`"
            ))
        })?;
        Ok(Self {
            artifact,
            pushed,
            with_values: bind(pushed, params)?.map(Arc::new),
        })
    }

    /// What is rolled by.
    pub(super) fn playbook(&self) -> &Playbook {
        self.with_values.as_deref().unwrap_or(&self.pushed.playbook)
    }

    /// The value of each parameter, given or default.
    pub(super) fn values(&self) -> BTreeMap<ParamName, String> {
        let params = self.playbook().params.iter();
        params
            .filter_map(|(name, param)| Some((name.clone(), param.value.clone()?)))
            .collect()
    }
}

/// The playbook with these values; `None` where it has no parameters.
fn bind(pushed: &Pushed, params: &BTreeMap<ParamName, String>) -> Result<Option<Playbook>, Refusal> {
    let Playbook { name, version, .. } = &pushed.playbook;
    if pushed.playbook.params.is_empty() {
        return match params.keys().next() {
            None => Ok(None),
            Some(param) => Err(Reason::Invalid.refusal(format!(
                "playbook {name}@{version} has no parameters: leave `--param {param}=...` away"
            ))),
        };
    }
    let bases = |_: &BaseName| pushed.base.clone();
    let given = Given {
        params: params.clone(),
        bases: Some(&bases),
    };
    let bound = read_with(&pushed.text, &given)
        .map_err(|faults| Reason::Invalid.refusal(wrong(&pushed.playbook, &faults)))?
        .playbook;
    let unset: Vec<String> = bound
        .unset()
        .map(|(param, what)| format!("`--param {param}=...` ({})", what.wanted()))
        .collect();
    match unset.is_empty() {
        true => Ok(Some(bound)),
        false => Err(Reason::Invalid.refusal(format!("playbook {name}@{version} needs {}", unset.join(", ")))),
    }
}

/// The first error, which a value of the request has caused: without it the text was read when it was pushed.
fn wrong(playbook: &Playbook, faults: &Faults) -> String {
    let Playbook { name, version, .. } = playbook;
    let mut errors = faults.0.iter().filter(|fault| fault.severity == Severity::Error);
    let Some(first) = errors.next() else {
        return format!("playbook {name}@{version} cannot be read with these parameters");
    };
    let more = match errors.count() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let place = first
        .source
        .as_ref()
        .map(|source| format!(" of {source}"))
        .unwrap_or_default();
    format!(
        "playbook {name}@{version} cannot be used so: {} (line {}{place}; {}){more}",
        first.message, first.line, first.help
    )
}
