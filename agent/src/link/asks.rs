//! Questions of people about the host, asked in a session and answered in it. Of one session: they end with it, and whoever
//! asks learns that from the coordinator. Answers go out only where nothing else is to be sent (`session` sees to that), one at
//! a time. Deliberately no answer of its own.

use std::{collections::HashMap, sync::Arc};

use echelon_proto::wire::link::{AgentMessage, Ask};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::wire;
use crate::{
    executor::Executor,
    order::{self, Answer},
};

/// Questions at once: a few people look at one host, and each follows a log or two.
const ASKS_MAX: usize = 8;

/// Those that are being answered.
#[derive(Debug)]
pub(super) struct Asks {
    under_way: HashMap<u64, AbortHandle>,
    answers: mpsc::Sender<AgentMessage>,
}

impl Asks {
    /// And where the answers come out. One waits: whoever answers waits for the line.
    pub(super) fn new() -> (Self, mpsc::Receiver<AgentMessage>) {
        let (answers, out) = mpsc::channel(1);
        let asks = Self {
            under_way: HashMap::new(),
            answers,
        };
        (asks, out)
    }

    /// Takes a question up, or gives why not.
    pub(super) fn hear<E: Executor>(
        &mut self,
        executor: &Arc<E>,
        ask: Ask,
        tasks: &mut JoinSet<()>,
    ) -> Option<AgentMessage> {
        let number = ask.number;
        self.under_way.retain(|_, task| !task.is_finished());
        let wanted = match wire::ask_in(ask) {
            Ok(Some(wanted)) if self.under_way.len() < ASKS_MAX => wanted,
            Ok(Some(_)) => return Some(refused(number, format!("{ASKS_MAX} questions are asked of it already"))),
            Ok(None) => {
                if let Some(task) = self.under_way.remove(&number) {
                    task.abort();
                }
                return None;
            }
            Err(why) => return Some(refused(number, format!("the question cannot be read: {why}"))),
        };
        let work = answer(executor.clone(), number, wanted, self.answers.clone());
        self.under_way.insert(number, tasks.spawn(work));
        None
    }
}

fn refused(number: u64, why: String) -> AgentMessage {
    wire::answer(number, Some(Answer::Refused(why)), true)
}

async fn answer<E: Executor>(executor: Arc<E>, number: u64, wanted: order::Ask, out: mpsc::Sender<AgentMessage>) {
    let (pieces, mut told) = mpsc::channel(1);
    let telling = async {
        while let Some(piece) = told.recv().await {
            if out.send(wire::answer(number, Some(piece), false)).await.is_err() {
                return;
            }
        }
        // Nobody hears it when the session is over.
        drop(out.send(wire::answer(number, None, true)).await);
    };
    tokio::join!(executor.ask(wanted, pieces), telling);
}
