//! Phases that the coordinator runs: it does its part at the load balancer, then lets the order go on to the host's agent,
//! which runs nothing and takes down where the host now stands. So the agent's ledger stays the truth of what stands on a
//! host, and the report comes to the engine the usual way.
//!
//! ```text
//! owed -> working at the balancer -> done: the order goes to the dispatch runner -> the agent's report
//!                                 -> failed, or its time is over: reported from here
//! ```
//!
//! Killed in between, all of it is done again: telling a balancer twice is telling it once. An order that is no longer
//! owed is dropped where it is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use echelon_engine::{
    Event,
    effect::{Effect, Key, Order},
    event::{PhaseResult, Report},
};
use echelon_playbooks::model::{Action, Place};
use tokio::{runtime::Handle, task::AbortHandle, time};

use super::dispatch::Dispatch;
use crate::{
    balancer::{Balancers, Error},
    driver::{Change, Inbox},
};

/// Before a balancer that cannot be reached is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Works at load balancers, before the dispatch runner.
#[derive(Debug)]
pub struct Balance {
    balancers: Balancers,
    dispatch: Arc<Dispatch>,
    inbox: Inbox,
    runtime: Handle,
    /// At most one of a key, and no more than the engine has phases running.
    working: Mutex<BTreeMap<Key, Working>>,
}

#[derive(Debug)]
struct Working {
    order: Arc<Effect>,
    task: AbortHandle,
}

impl Balance {
    /// In front of this dispatch runner. To be called within the runtime.
    #[must_use]
    pub fn new(balancers: Balancers, dispatch: Arc<Dispatch>, inbox: Inbox) -> Arc<Self> {
        Arc::new(Self {
            balancers,
            dispatch,
            inbox,
            runtime: Handle::current(),
            working: Mutex::default(),
        })
    }

    /// Something is owed differently. What is not for a balancer goes on to the dispatch runner at once.
    pub fn changed(self: &Arc<Self>, changes: Vec<Change>) {
        let mut on = Vec::with_capacity(changes.len());
        let mut working = self.lock();
        for (key, effect) in changes {
            if working
                .get(&key)
                .is_some_and(|work| effect.as_ref() == Some(&work.order))
            {
                continue;
            }
            if let Some(before) = working.remove(&key) {
                before.task.abort();
            }
            let mine = effect.as_ref().filter(|effect| is_for_a_balancer(effect)).cloned();
            if let Some(order) = &mine {
                let task = self.clone().work(key.clone(), order.clone());
                let task = self.runtime.spawn(task).abort_handle();
                let order = order.clone();
                working.insert(key.clone(), Working { order, task });
            }
            // What was owed of this key before, a watch perhaps, is not any more.
            on.push((key, effect.filter(|_| mine.is_none())));
        }
        drop(working);
        self.dispatch.changed(&on);
    }

    async fn work(self: Arc<Self>, key: Key, effect: Arc<Effect>) {
        let Effect::Order(order) = effect.as_ref() else { return };
        let outcome = self.carry_out(order).await;
        // Whoever replaced this task has taken the entry already.
        let mine = {
            let mut working = self.lock();
            let mine = working.get(&key).is_some_and(|work| work.order == effect);
            if mine && outcome.is_ok() {
                // Kept, so that the same order said again is not worked on again.
                self.dispatch.changed(&[(key, Some(effect.clone()))]);
            } else if mine {
                working.remove(&key);
            }
            mine
        };
        if let (true, Err((result, message))) = (mine, outcome) {
            let report = Report {
                fence: order.fence.clone(),
                result,
                exit_code: None,
                signal: None,
                message,
                tail: String::new(),
                leftovers: Vec::new(),
                standing: None,
            };
            self.inbox.post(Event::HostReported(report), Box::new(drop)).await;
        }
    }

    async fn carry_out(&self, order: &Order) -> Result<(), (PhaseResult, String)> {
        let Some(Action::Balancer(step)) = &order.action else {
            return Ok(());
        };
        let last = Mutex::new(String::new());
        let note = |text: String| *last.lock().unwrap_or_else(PoisonError::into_inner) = text;
        let trying = async {
            loop {
                match self
                    .balancers
                    .carry_out(step, |waiting| note(waiting.to_string()))
                    .await
                {
                    Err(error) if error.is_passing() => note(error.to_string()),
                    done => return done,
                }
                time::sleep(TRY_AGAIN_AFTER).await;
            }
        };
        match time::timeout(order.timeout.duration(), trying).await {
            Ok(done) => done.map_err(|error: Error| (PhaseResult::Failed, error.to_string())),
            Err(_) => {
                let last = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let message = format!("not done within {}: {last}", order.timeout);
                Err((PhaseResult::TimedOut, message))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Working>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_for_a_balancer(effect: &Effect) -> bool {
    match effect {
        Effect::Order(order) => order.on == Place::Coordinator,
        Effect::Watch(_) | Effect::Canary(_) | Effect::Notify(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap as Map,
        sync::atomic::{AtomicBool, Ordering},
    };

    use echelon_engine::host::{Serving, Standing};
    use echelon_playbooks::model::{Balance as Step, BalancerVerb, Leftovers};
    use echelon_proto::{App, Fence, HostId, PhaseName, RolloutId, Span, StateName};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        sync::mpsc,
    };

    use super::*;
    use crate::{
        config::BalancerConfig,
        driver::Letter,
        sessions::{Guard, Item, Sessions},
    };

    const WITHIN: Duration = Duration::from_secs(30);

    /// What HAProxy would say, without one: the real one is asked in the testbed.
    async fn haproxy(up: Arc<AtomicBool>) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut command = [0; 256];
                let count = stream.read(&mut command).await.unwrap();
                let command = String::from_utf8_lossy(&command[..count]).into_owned();
                let status = if up.load(Ordering::SeqCst) { "UP" } else { "DOWN" };
                let answer = match command.as_str() {
                    "show stat web 4 -1\n" => format!("# svname,qcur,scur,status\nh1,0,0,{status}\n\n"),
                    "set server web/h1 state ready\n" => "\n".to_owned(),
                    _ => "No such server.\n".to_owned(),
                };
                let _gone = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    fn owed(server: &str, attempt: u32, timeout: Span) -> Change {
        let (host, rollout) = (HostId::new("h1").unwrap(), RolloutId::new("r1").unwrap());
        let order = Order {
            fence: Fence {
                term: 1,
                rollout: rollout.clone(),
                host: host.clone(),
                phase: PhaseName::new("admit").unwrap(),
                attempt,
            },
            app: App::new("web").unwrap(),
            release: None,
            action: Some(Action::Balancer(Step {
                verb: BalancerVerb::Admit,
                balancer: "edge".into(),
                backend: "web".into(),
                server: server.into(),
            })),
            timeout,
            verify: None,
            from: StateName::new("healthy").unwrap(),
            after: Standing {
                state: StateName::new("serving").unwrap(),
                release: None,
                previous: None,
                error: None,
                traffic: Serving::Full,
            },
            on: Place::Coordinator,
            guards: Vec::new(),
            leftovers: Leftovers::Leave,
            variables: Map::new(),
        };
        (Key::Order(host, rollout), Some(Arc::new(Effect::Order(order))))
    }

    struct Bench {
        balance: Arc<Balance>,
        letters: mpsc::Receiver<Letter>,
        session: Guard,
        up: Arc<AtomicBool>,
    }

    async fn bench() -> Bench {
        let up = Arc::new(AtomicBool::new(false));
        let balancers = Balancers::new(&[BalancerConfig {
            name: "edge".into(),
            haproxy: vec![haproxy(up.clone()).await.to_string().parse().unwrap()],
        }]);
        let (inbox, letters) = Inbox::new();
        let sessions = Sessions::new(inbox.clone(), Duration::from_secs(5));
        let dispatch = Dispatch::new(sessions.clone(), 1);
        let session = sessions.begin(HostId::new("h1").unwrap());
        dispatch.attached(session.session());
        assert_eq!(session.session().poll(), Ok(Some(Item::Welcome { term: 1 })));
        Bench {
            balance: Balance::new(balancers, dispatch, inbox),
            letters,
            session,
            up,
        }
    }

    async fn next(bench: &Bench) -> Item {
        let sent = async {
            loop {
                if let Some(item) = bench.session.session().poll().unwrap() {
                    return item;
                }
                time::sleep(Duration::from_millis(10)).await;
            }
        };
        time::timeout(WITHIN, sent).await.unwrap()
    }

    async fn report(bench: &mut Bench) -> Report {
        let letter = time::timeout(WITHIN, bench.letters.recv()).await.unwrap().unwrap();
        let Letter::Event(event, _) = letter else {
            panic!("{letter:?}")
        };
        let Event::HostReported(report) = *event else {
            panic!("{event:?}")
        };
        report
    }

    #[tokio::test]
    async fn the_agent_hears_of_a_phase_only_when_the_balancer_has_done_its_part() {
        let bench = bench().await;
        let (key, order) = owed("h1", 1, Span::secs(60));
        bench.balance.changed(vec![(key.clone(), order.clone())]);
        time::sleep(Duration::from_millis(50)).await;
        assert_eq!(bench.session.session().poll(), Ok(None), "it is not up yet");
        bench.up.store(true, Ordering::SeqCst);
        assert_eq!(next(&bench).await, Item::Owed(order.clone().unwrap()));
        bench.balance.changed(vec![(key, order)]);
        time::sleep(Duration::from_millis(50)).await;
        assert_eq!(bench.session.session().poll(), Ok(None), "said twice is done once");
    }

    #[tokio::test]
    async fn a_step_that_is_refused_or_takes_too_long_is_reported_and_the_agent_hears_nothing() {
        let mut bench = bench().await;
        bench.balance.changed(vec![owed("h9", 1, Span::secs(60))]);
        let refused = report(&mut bench).await;
        assert_eq!((refused.result, refused.fence.attempt), (PhaseResult::Failed, 1));
        assert!(refused.message.contains("No such server"), "{}", refused.message);

        bench.balance.changed(vec![owed("h1", 2, Span(300))]);
        let late = report(&mut bench).await;
        assert_eq!((late.result, late.fence.attempt), (PhaseResult::TimedOut, 2));
        assert!(late.message.contains("is DOWN, awaited is UP"), "{}", late.message);
        assert_eq!(bench.session.session().poll(), Ok(None));
    }

    #[tokio::test]
    async fn what_is_no_longer_owed_is_dropped_where_it_is() {
        let mut bench = bench().await;
        let (key, order) = owed("h1", 1, Span(200));
        bench.balance.changed(vec![(key.clone(), order)]);
        bench.balance.changed(vec![(key, None)]);
        bench.up.store(true, Ordering::SeqCst);
        time::sleep(Duration::from_millis(600)).await;
        assert_eq!(bench.session.session().poll(), Ok(None));
        assert!(bench.letters.try_recv().is_err());
    }
}
