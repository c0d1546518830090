//! Word to the outside by webhooks: what is owed is posted to everyone who wants to hear of it, then called settled. A
//! receiver may hear twice of the same number (after a restart), never of fewer than there were.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use echelon_engine::{
    Event,
    effect::{Effect, Key, Notification},
};
use echelon_failpoint as failpoint;
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync;

use super::webhook::Webhook;
use crate::{
    config::WebhookConfig,
    driver::{Change, Inbox},
};

/// Notifications on their way at once: a receiver that is dead holds a few up, not all behind them.
const UNDER_WAY_MAX: usize = 8;

/// Posts what is owed.
#[derive(Debug)]
pub struct Notify {
    receivers: Vec<WebhookConfig>,
    webhook: Webhook,
    inbox: Inbox,
    /// Owed and not yet begun; as many as the state owes.
    waiting: Mutex<BTreeMap<u64, Arc<Effect>>>,
    wake: sync::Notify,
}

impl Notify {
    /// For these receivers.
    #[must_use]
    pub fn new(receivers: Vec<WebhookConfig>, webhook: Webhook, inbox: Inbox) -> Arc<Self> {
        Arc::new(Self {
            receivers,
            webhook,
            inbox,
            waiting: Mutex::default(),
            wake: sync::Notify::new(),
        })
    }

    /// Something is owed differently. What is not word to the outside is left to others.
    pub fn changed(&self, changes: &[Change]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, effect) in changes {
            match (key, effect) {
                (Key::Notify(number), Some(effect)) => {
                    waiting.insert(*number, effect.clone());
                }
                (Key::Notify(number), None) => {
                    waiting.remove(number);
                }
                (Key::Order(..) | Key::Watch(..) | Key::Monitor(..) | Key::Canary(..), _) => {}
            }
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Posts for ever.
    pub async fn run(self: Arc<Self>) {
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < UNDER_WAY_MAX
                && let Some((number, effect)) = self.take()
            {
                under_way.push(self.tell(number, effect));
            }
            tokio::select! {
                () = self.wake.notified() => {}
                Some(()) = under_way.next() => {}
            }
        }
    }

    fn take(&self) -> Option<(u64, Arc<Effect>)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_first()
    }

    async fn tell(&self, number: u64, effect: Arc<Effect>) {
        let Effect::Notify(notification) = effect.as_ref() else {
            return;
        };
        let mut delivered = true;
        for receiver in self.receivers.iter().filter(|receiver| wants(receiver, notification)) {
            if let Err(error) = self.webhook.post(&receiver.url, notification).await {
                tracing::warn!(%error, kind = %notification.kind, rollout = %notification.rollout, "not told");
                delivered = false;
            }
        }
        failpoint::pass("notice", "told");
        self.inbox
            .post(Event::NotificationSettled { number, delivered }, Box::new(drop))
            .await;
    }
}

fn wants(receiver: &WebhookConfig, notification: &Notification) -> bool {
    receiver.events.is_empty() || receiver.events.contains(&notification.kind)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use echelon_engine::notice::Occasion;
    use echelon_proto::{App, ReleaseName, RolloutId};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::timeout,
    };

    use super::*;
    use crate::{driver::Letter, runner::webhook::Patience};

    fn owed(number: u64, kind: Occasion) -> Change {
        let notification = Notification {
            number,
            rollout: RolloutId::new("r1").unwrap(),
            app: App::new("web").unwrap(),
            release: ReleaseName::new("1.0.0").unwrap(),
            kind,
            text: "it began".into(),
        };
        (Key::Notify(number), Some(Arc::new(Effect::Notify(notification))))
    }

    #[tokio::test]
    async fn what_is_wanted_is_posted_and_everything_is_settled() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let receivers = vec![WebhookConfig {
            url,
            events: vec![Occasion::RolloutStarted],
        }];
        let (inbox, mut letters) = Inbox::new();
        let patience = Patience {
            tries: 1,
            ..Patience::default()
        };
        let notify = Notify::new(receivers, Webhook::new(patience).unwrap(), inbox);
        let running = tokio::spawn(notify.clone().run());
        notify.changed(&[owed(1, Occasion::RolloutStarted), owed(2, Occasion::RolloutEnded)]);

        let (mut stream, _) = timeout(Duration::from_secs(30), listener.accept())
            .await
            .unwrap()
            .unwrap();
        let mut request = String::new();
        while !request.ends_with('}') {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "cut off: {request}");
            request.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        assert!(
            request.contains("\"number\":1") && request.contains("rollout_started"),
            "{request}"
        );
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();

        let mut settled = Vec::new();
        for _ in 0..2 {
            let letter = timeout(Duration::from_secs(30), letters.recv()).await.unwrap().unwrap();
            let Letter::Event(event, _) = letter else {
                panic!("{letter:?}")
            };
            let Event::NotificationSettled { number, delivered } = *event else {
                panic!("{event:?}")
            };
            settled.push((number, delivered));
        }
        settled.sort_unstable();
        assert_eq!(settled, [(1, true), (2, true)]);
        running.abort();
    }
}
