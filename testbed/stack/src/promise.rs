//! What people were told is done: it must be known to every later coordinator. Deliberately from their answers alone.

use std::collections::BTreeMap;

use echelon_engine::State;
use echelon_proto::{App, PlaybookName, ReleaseName, RequestId, RolloutId};
use echelon_sim::{Held, Violation, must};

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    releases: Vec<(App, ReleaseName)>,
    playbooks: Vec<PlaybookName>,
    rollouts: BTreeMap<RolloutId, u64>,
    starts: BTreeMap<RequestId, RolloutId>,
}

impl Promises {
    pub(crate) fn release(&mut self, app: App, release: ReleaseName) {
        self.releases.push((app, release));
    }

    pub(crate) fn playbook(&mut self, playbook: PlaybookName) {
        self.playbooks.push(playbook);
    }

    /// A rollout is there, and so much has been done to it.
    pub(crate) fn rollout(&mut self, rollout: RolloutId, etag: u64) {
        let known = self.rollouts.entry(rollout).or_default();
        *known = etag.max(*known);
    }

    /// A start with this id was answered with this rollout.
    pub(crate) fn started(&mut self, request: RequestId, rollout: RolloutId) -> Held {
        let before = self.starts.entry(request.clone()).or_insert_with(|| rollout.clone());
        must(*before == rollout, "12 acknowledged", || {
            format!("request {request} was answered with {before} and with {rollout}")
        })
    }

    /// Rollouts that somebody was told of.
    pub(crate) fn rollouts(&self) -> Vec<RolloutId> {
        self.rollouts.keys().cloned().collect()
    }

    /// Whether the state knows all of it.
    pub(crate) fn kept(&self, state: &State) -> Held {
        for (app, release) in &self.releases {
            let known = state.releases.get(app).is_some_and(|known| known.contains_key(release));
            must(known, "12 acknowledged", || {
                format!("release {release} of {app} is forgotten")
            })?;
        }
        for playbook in &self.playbooks {
            must(state.playbooks.get(playbook).is_some(), "12 acknowledged", || {
                format!("playbook {playbook} is forgotten")
            })?;
        }
        for (rollout, etag) in &self.rollouts {
            let known = state.rollouts.get(rollout).map(|known| known.etag);
            must(known.is_some_and(|known| known >= *etag), "12 acknowledged", || {
                format!("{rollout} was told of at etag {etag}; what is known is {known:?}")
            })?;
        }
        for (request, rollout) in &self.starts {
            let mut by = state
                .rollouts
                .values()
                .filter(|known| known.request_id.as_ref() == Some(request));
            let first = by.next().map(|known| &known.id);
            must(first == Some(rollout) && by.next().is_none(), "12 acknowledged", || {
                format!("request {request} was answered with {rollout}; what is known of it is {first:?}, or more")
            })?;
        }
        Ok(())
    }
}

/// A name that an answer holds.
pub(crate) fn read<T: std::str::FromStr>(text: &str) -> Result<T, Violation> {
    text.parse().map_err(|_| Violation {
        invariant: "12 acknowledged",
        text: format!("an answer names {text:?}"),
    })
}
