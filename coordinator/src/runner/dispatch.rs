//! Orders and watches to the agents they are for. What is owed to each host is kept here, so that a host that attaches
//! again is sent all of it again; an agent answers a repeated order from its ledger. Nothing here waits: an agent that
//! does not read is ended, and comes again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use echelon_engine::effect::{Effect, Key};
use echelon_proto::HostId;

use crate::{
    driver::Change,
    sessions::{Closed, Item, Session, Sessions},
};

/// Sends what is owed to hosts.
#[derive(Debug)]
pub struct Dispatch {
    sessions: Arc<Sessions>,
    term: u64,
    owed: Mutex<HashMap<HostId, BTreeMap<Key, Arc<Effect>>>>,
}

impl Dispatch {
    /// For the sessions of a coordinator in this term.
    #[must_use]
    pub fn new(sessions: Arc<Sessions>, term: u64) -> Arc<Self> {
        Arc::new(Self {
            sessions,
            term,
            owed: Mutex::default(),
        })
    }

    /// Something is owed differently. What is not for a host is left to others.
    pub fn changed(&self, changes: &[Change]) {
        let mut owed = self.lock();
        for (key, effect) in changes {
            let Some(host) = host_of(key) else { continue };
            let of_host = owed.entry(host.clone()).or_default();
            let before = match effect {
                Some(effect) => of_host.insert(key.clone(), effect.clone()),
                None => of_host.remove(key),
            };
            if of_host.is_empty() {
                owed.remove(host);
            }
            for item in difference(before.as_deref(), effect.as_ref()) {
                self.send(host, item);
            }
        }
    }

    /// A session's attach is durable: it is the host's from now on, and is sent all that is owed.
    pub fn attached(&self, session: &Arc<Session>) {
        let owed = self.lock();
        if !self.sessions.enter(session) {
            return;
        }
        let effects = owed.get(session.host()).into_iter().flat_map(BTreeMap::values);
        let items = effects.map(|effect| Item::Owed(effect.clone()));
        for item in std::iter::once(Item::Welcome { term: self.term }).chain(items) {
            if !session.send(item) {
                self.sessions.end(session, Closed::Slow);
                return;
            }
        }
    }

    fn send(&self, host: &HostId, item: Item) {
        let Some(session) = self.sessions.of(host) else { return };
        if !session.send(item) {
            tracing::warn!(%host, "the agent does not read what it is sent; its session is ended");
            self.sessions.end(&session, Closed::Slow);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HostId, BTreeMap<Key, Arc<Effect>>>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn host_of(key: &Key) -> Option<&HostId> {
    match key {
        Key::Order(host, _) | Key::Watch(host, _) | Key::Monitor(host, _) => Some(host),
        Key::Canary(..) | Key::Notify(_) => None,
    }
}

/// What a session is to be sent when what is owed of one key changes. An order that is no longer owed is not called
/// back: its report has come, or does not count.
fn difference(before: Option<&Effect>, now: Option<&Arc<Effect>>) -> Vec<Item> {
    if before == now.map(Arc::as_ref) {
        return Vec::new();
    }
    let name = |effect: &Effect| match effect {
        Effect::Watch(watch) => Some(watch.id.clone()),
        Effect::Order(_) | Effect::Canary(_) | Effect::Notify(_) => None,
    };
    let gone = before.and_then(name);
    let kept = now.and_then(|effect| name(effect));
    let unwatch = gone.filter(|gone| kept.as_ref() != Some(gone)).map(Item::Unwatch);
    unwatch
        .into_iter()
        .chain(now.map(|effect| Item::Owed(effect.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use echelon_engine::effect::Watch;
    use echelon_playbooks::model::{Action, Repeat, TcpCheck};
    use echelon_proto::{RolloutId, Span};

    use super::*;
    use crate::driver::Inbox;

    fn watch(host: &str, id: &str) -> (Key, Arc<Effect>) {
        let repeat = Repeat {
            consecutive: 1,
            interval: Span::secs(1),
        };
        let watch = Watch {
            id: id.into(),
            host: HostId::new(host).unwrap(),
            probe: Action::Tcp(TcpCheck {
                address: "127.0.0.1:1".into(),
                repeat,
            }),
            every: Span::secs(1),
            unhealthy_after: 1,
        };
        let rollout = RolloutId::new("r1").unwrap();
        (Key::Watch(watch.host.clone(), rollout), Arc::new(Effect::Watch(watch)))
    }

    fn all(session: &Session) -> Vec<Item> {
        std::iter::from_fn(|| session.poll().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_host_that_attaches_again_is_sent_again_what_is_still_owed() {
        let (inbox, _letters) = Inbox::new();
        let sessions = Sessions::new(inbox, Duration::from_secs(5));
        let dispatch = Dispatch::new(sessions.clone(), 7);
        let (key, health) = watch("h1", "r1/health");
        dispatch.changed(&[(key.clone(), Some(health.clone()))]);

        let first = sessions.begin(HostId::new("h1").unwrap());
        dispatch.attached(first.session());
        let welcome = Item::Welcome { term: 7 };
        assert_eq!(all(first.session()), [welcome.clone(), Item::Owed(health.clone())]);
        dispatch.changed(&[(key.clone(), Some(health.clone()))]);
        assert_eq!(
            all(first.session()),
            [],
            "what has not changed is not sent again in the same session"
        );

        let second = sessions.begin(HostId::new("h1").unwrap());
        dispatch.attached(second.session());
        assert_eq!(all(second.session()), [welcome.clone(), Item::Owed(health)]);

        dispatch.changed(&[(key, None)]);
        assert_eq!(all(second.session()), [Item::Unwatch("r1/health".into())]);
        let third = sessions.begin(HostId::new("h1").unwrap());
        dispatch.attached(third.session());
        assert_eq!(all(third.session()), [welcome]);
    }

    #[tokio::test]
    async fn a_watch_that_gives_way_to_another_is_taken_back_first() {
        let (inbox, _letters) = Inbox::new();
        let sessions = Sessions::new(inbox, Duration::from_secs(5));
        let dispatch = Dispatch::new(sessions.clone(), 1);
        let session = sessions.begin(HostId::new("h1").unwrap());
        dispatch.attached(session.session());
        let (key, health) = watch("h1", "r1/health");
        let (_, smoke) = watch("h1", "r1/smoke");
        dispatch.changed(&[(key.clone(), Some(health))]);
        all(session.session());
        dispatch.changed(&[(key, Some(smoke.clone()))]);
        assert_eq!(
            all(session.session()),
            [Item::Unwatch("r1/health".into()), Item::Owed(smoke)]
        );
    }

    #[tokio::test]
    async fn an_agent_that_does_not_read_is_ended_and_the_others_go_on() {
        let (inbox, _letters) = Inbox::new();
        let sessions = Sessions::new(inbox, Duration::from_secs(5));
        let dispatch = Dispatch::new(sessions.clone(), 1);
        let (slow, fine) = (
            sessions.begin(HostId::new("h1").unwrap()),
            sessions.begin(HostId::new("h2").unwrap()),
        );
        dispatch.attached(slow.session());
        dispatch.attached(fine.session());
        for n in 0..100 {
            let (a, b) = (watch("h1", &format!("r1/{n}")), watch("h2", &format!("r1/{n}")));
            dispatch.changed(&[(a.0, Some(a.1)), (b.0, Some(b.1))]);
            all(fine.session());
        }
        assert_eq!(slow.session().poll(), Err(Closed::Slow));
        assert!(sessions.of(fine.session().host()).is_some());
        assert!(sessions.of(slow.session().host()).is_none());
    }
}
