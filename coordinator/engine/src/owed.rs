//! What the state owes the world. [`effect`] is the definition; the index beside the state is kept by asking it again for
//! the keys that a record can have changed.

use std::{collections::BTreeMap, sync::Arc};

use echelon_playbooks::{
    model::{Action, ArtifactVerb, Content, GateKind, Phase, Place, WhichRelease},
    template::Scope,
};
use echelon_proto::{Fence, GateName, HostId, ReleaseName, WaveName};

use crate::{
    canary,
    command::Artifact,
    effect::{Effect, Key, Order, Watch},
    engine::Engine,
    invariant, monitor,
    rollout::{Current, LaneStage, Note, Rollout, Run, Settled},
    state::State,
};

impl Engine {
    /// All that is owed, computed from the state alone: what [`Engine::owed`] must equal at any time.
    #[must_use]
    pub fn owed_from_scratch(&self) -> BTreeMap<Key, Arc<Effect>> {
        let keys = self.state.active().flat_map(|rollout| {
            rollout.runs.keys().flat_map(|host| {
                [
                    Key::Order(host.clone(), rollout.id.clone()),
                    Key::Watch(host.clone(), rollout.id.clone()),
                ]
            })
        });
        let canaries = self
            .state
            .active()
            .flat_map(|rollout| (0..rollout.lanes.len()).flat_map(|lane| canary::keys(rollout, lane)));
        let notify = self.state.notifications.keys().map(|number| Key::Notify(*number));
        keys.chain(notify)
            .chain(canaries)
            .chain(monitor::keys(&self.state))
            .filter_map(|key| effect(&self.state, &key).map(|effect| (key, Arc::new(effect))))
            .collect()
    }

    /// Asks again what is owed under this key.
    pub(crate) fn refresh(&mut self, key: Key) {
        let owed = effect(&self.state, &key);
        if self.owed.get(&key).map(|is| is.as_ref()) == owed.as_ref() {
            return;
        }
        match owed {
            Some(effect) => self.owed.insert(key.clone(), Arc::new(effect)),
            None => self.owed.remove(&key),
        };
        self.changed.insert(key);
    }
}

/// What is owed under this key.
fn effect(state: &State, key: &Key) -> Option<Effect> {
    match key {
        Key::Order(host, rollout) => order(state, host, state.rollouts.get(rollout)?).map(Effect::Order),
        Key::Watch(host, rollout) => watch(state, host, state.rollouts.get(rollout)?).map(Effect::Watch),
        Key::Monitor(host, app) => monitor::watch(state, host, app).map(Effect::Watch),
        Key::Canary(rollout, datacenter, gate) => {
            canary::comparison(state, state.rollouts.get(rollout)?, datacenter, gate).map(Effect::Canary)
        }
        Key::Notify(number) => state.notifications.get(number).cloned().map(Effect::Notify),
    }
}

fn order(state: &State, host: &HostId, rollout: &Rollout) -> Option<Order> {
    let run = rollout.runs.get(host)?;
    let current = run.current.as_ref()?;
    let phase = rollout.playbook.machine.phase(&current.phase)?;
    order_for(state, host, rollout, run, current, phase)
}

/// The order of a phase for a host. `None` only when the host has lost a label since its phase began.
pub(crate) fn order_for(
    state: &State,
    host: &HostId,
    rollout: &Rollout,
    run: &Run,
    current: &Current,
    phase: &Phase,
) -> Option<Order> {
    let release = artifact_for(state, rollout, run, current, phase);
    let planned = rollout.plan.lanes.get(run.lane)?.waves.get(run.wave)?;
    let name = release.as_ref().map(|artifact| &artifact.release);
    let scope = scope(state, host, rollout, &planned.name, name, release.as_ref())?;
    // Of a phase that is not run the agent takes down the end alone, whoever would have run it.
    let (doing, verify, on) = match current.note {
        None => (Some(&phase.action), phase.verify.as_ref(), phase.on),
        Some(Note::PassedOver | Note::CountsAsDone | Note::Asks) => (None, None, Place::Host),
    };
    let after = match current.note {
        Some(Note::Asks) => &current.from,
        Some(Note::PassedOver | Note::CountsAsDone) | None => &current.after,
    };
    let render = |action: &Action| action.render(&scope).ok();
    let guards = invariant::guards(rollout).filter(|_| current.guarded);
    let guards = guards.map(|(name, ask)| Some((name.clone(), render(ask)?)));
    Some(Order {
        fence: Fence {
            term: state.term,
            rollout: rollout.id.clone(),
            host: host.clone(),
            phase: current.phase.clone(),
            attempt: current.attempt,
        },
        app: rollout.app.clone(),
        action: match doing {
            Some(action) => Some(render(action)?),
            None => None,
        },
        verify: match verify {
            Some(verify) => Some(render(verify)?),
            None => None,
        },
        guards: guards.collect::<Option<_>>()?,
        variables: doing
            .filter(|action| reads_template(action))
            .map(|_| scope.variables())
            .unwrap_or_default(),
        release,
        timeout: phase.timeout,
        leftovers: phase.leftovers,
        from: current.from.state.clone(),
        after: after.clone(),
        on,
    })
}

/// What a phase works with.
fn artifact_for(state: &State, rollout: &Rollout, run: &Run, current: &Current, phase: &Phase) -> Option<Artifact> {
    let origin = run.touched.as_ref().and_then(|touch| touch.origin.release.as_ref());
    let release = match &phase.action {
        Action::Artifact {
            release: WhichRelease::Previous,
            ..
        } => origin,
        Action::Artifact {
            verb: ArtifactVerb::Remove | ArtifactVerb::Prune,
            ..
        } => current.from.release.as_ref(),
        Action::Artifact { .. }
        | Action::Run(_)
        | Action::Http(_)
        | Action::Tcp(_)
        | Action::Systemd { .. }
        | Action::Poll(_)
        | Action::File(_)
        | Action::Balancer(_) => current.release.as_ref(),
    };
    Some(state.release(&rollout.app, release?)?.artifact.clone())
}

/// Whether the host replaces variables itself, in a file of its own.
fn reads_template(action: &Action) -> bool {
    match action {
        Action::File(file) => match file.content {
            Content::Template(_) => true,
            Content::Text(_) => false,
        },
        Action::Run(_)
        | Action::Http(_)
        | Action::Tcp(_)
        | Action::Systemd { .. }
        | Action::Artifact { .. }
        | Action::Poll(_)
        | Action::Balancer(_) => false,
    }
}

fn scope<'a>(
    state: &'a State,
    host: &HostId,
    rollout: &'a Rollout,
    wave: &'a WaveName,
    release: Option<&'a ReleaseName>,
    artifact: Option<&Artifact>,
) -> Option<Scope<'a>> {
    let host = state.hosts.get(host)?.subject();
    Some(Scope {
        host,
        wave,
        app: &rollout.app,
        release,
        sha256: artifact.and_then(|artifact| artifact.sha256),
    })
}

fn watch(state: &State, host: &HostId, rollout: &Rollout) -> Option<Watch> {
    let run = rollout.runs.get(host)?;
    let lane = rollout.lanes.get(run.lane)?;
    let arrived = run.settled == Some(Settled::Done) && run.wave == lane.wave;
    if !arrived || lane.stage != LaneStage::Gating || rollout.status.is_over() || rollout.aborting.is_some() {
        return None;
    }
    let (gate, kind) = health_gate(rollout, run)?;
    let GateKind::Health {
        probe,
        every,
        unhealthy_after,
        ..
    } = kind
    else {
        return None;
    };
    let planned = rollout.plan.lanes.get(run.lane)?.waves.get(run.wave)?;
    let artifact = &state.release(&rollout.app, &rollout.release)?.artifact;
    let scope = scope(
        state,
        host,
        rollout,
        &planned.name,
        Some(&rollout.release),
        Some(artifact),
    )?;
    Some(Watch {
        id: format!("{}/{gate}", rollout.id),
        host: host.clone(),
        probe: probe.render(&scope).ok()?,
        every: *every,
        unhealthy_after: *unhealthy_after,
    })
}

/// The wave's health gate, while it has said nothing.
fn health_gate<'a>(rollout: &'a Rollout, run: &Run) -> Option<(&'a GateName, &'a GateKind)> {
    let planned = rollout.plan.lanes.get(run.lane)?.waves.get(run.wave)?;
    let wave = rollout.lanes.get(run.lane)?.waves.get(run.wave)?;
    planned.gates.iter().find_map(|name| {
        let undecided = wave
            .gates
            .get(name)
            .is_some_and(|gate| gate.verdict.is_none() && !gate.overruled);
        let kind = &rollout.playbook.gates.get(name)?.kind;
        (undecided && matches!(kind, GateKind::Health { .. })).then_some((name, kind))
    })
}
