//! The seam between the agent's protocol (link, machine, ledger) and what is done on a host. It has two real forms: the
//! host itself (`host::Host`) and the testbed's fleet of thousands in one process. Deliberately no behaviour.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use echelon_proto::Time;
use tokio::sync::mpsc;

use crate::{
    order::{Action, Answer, Ask, Order, Outcome, Prefetch, Probe},
    output::Outputs,
};

/// One attempt to carry out.
#[derive(Debug, Clone)]
pub struct Work {
    /// What to do.
    pub order: Arc<Order>,
    /// When the attempt began, by this host's clock.
    pub started: Time,
    /// The agent that began it is gone: take it up where it is, run nothing twice.
    pub resumed: bool,
}

/// Carries out orders and answers probes.
pub trait Executor: Send + Sync + 'static {
    /// Carries out one attempt to its end. Never fails: trouble is an outcome. Not called again for the same attempt,
    /// but by a later agent with `resumed`.
    fn execute(&self, work: Work) -> impl Future<Output = Outcome> + Send;

    /// Asks once.
    fn probe(&self, probe: &Action) -> impl Future<Output = Probe> + Send;

    /// Fetches a release's artifact before it is ordered. An error says why it is not here. May be dropped at any time.
    fn prefetch(&self, _wanted: &Prefetch) -> impl Future<Output = Result<(), String>> + Send {
        std::future::ready(Ok(()))
    }

    /// The coordinator has welcomed this agent, its ledger is read, and a message has come after the welcome. Said once a
    /// session.
    fn proven(&self) {}

    /// What can be measured of the host now: name to value. Empty: this executor measures nothing.
    fn measure(&self) -> impl Future<Output = BTreeMap<String, f64>> + Send {
        std::future::ready(BTreeMap::new())
    }

    /// Answers a question of a person about the host, piece by piece. May be dropped at any time.
    fn ask(&self, _ask: Ask, answers: mpsc::Sender<Answer>) -> impl Future<Output = ()> + Send {
        let none = Answer::Refused("there is nothing behind this agent that could be asked".to_owned());
        async move { drop(answers.send(none).await) }
    }

    /// The output that waits to be sent. None: this executor keeps none, and no stream is opened for it.
    fn outputs(&self) -> Option<Arc<Outputs>> {
        None
    }
}
