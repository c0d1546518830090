//! Traffic: each service has one request after the other, as long as the load is on. What a request comes to is the
//! service's to count.

use std::time::Duration;

use tokio::{sync::watch, task::JoinSet, time};

use crate::visit::get;

/// Before the next try of a service that does not answer.
const PAUSE: Duration = Duration::from_millis(100);

/// Traffic that can be turned off; ends when dropped.
#[derive(Debug)]
pub(super) struct Load {
    on: watch::Sender<bool>,
    _visitors: JoinSet<()>,
}

impl Load {
    /// Of services at these ports; on.
    pub(super) fn start(ports: impl Iterator<Item = u16>) -> Self {
        let (on, is_on) = watch::channel(true);
        let mut visitors = JoinSet::new();
        for port in ports {
            visitors.spawn(visit(port, is_on.clone()));
        }
        Self {
            on,
            _visitors: visitors,
        }
    }

    /// No request more.
    pub(super) fn stop(&self) {
        self.on.send_replace(false);
    }
}

async fn visit(port: u16, mut is_on: watch::Receiver<bool>) {
    while is_on.wait_for(|on| *on).await.is_ok() {
        if get(port, "/work").await.is_err() {
            time::sleep(PAUSE).await;
        }
    }
}
