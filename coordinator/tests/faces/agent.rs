//! An agent by hand: every message of the link is said and heard by the test itself, or by a script that does what it is
//! ordered.

use std::collections::VecDeque;

use echelon_coordinator::driver::wall;
use echelon_proto::{
    limits::LINK_PROTOCOL,
    wire::link::{
        self as wire, AgentMessage, CoordinatorMessage, Hello, Order, PhaseResult, Report, agent_message,
        coordinator_message::Body,
    },
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Duration, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::house::{House, Joined, LONG};

pub(crate) struct Agent {
    messages: mpsc::Sender<AgentMessage>,
    inbound: Streaming<CoordinatorMessage>,
    pub(crate) term: u64,
    reports: u64,
    /// Orders that came while something else was awaited.
    orders: VecDeque<Order>,
}

impl Agent {
    pub(crate) async fn attach(house: &House, host: &Joined) -> Result<Self, Status> {
        Self::attach_with(house, host, hello()).await
    }

    pub(crate) async fn attach_with(house: &House, host: &Joined, hello: Hello) -> Result<Self, Status> {
        let (messages, outbound) = mpsc::channel(256);
        messages.send(say(agent_message::Body::Hello(hello))).await.unwrap();
        let mut client = house.link(host).await;
        let inbound = timeout(LONG, client.attach(ReceiverStream::new(outbound)))
            .await
            .unwrap()?
            .into_inner();
        let mut agent = Self {
            messages,
            inbound,
            term: 0,
            reports: 0,
            orders: VecDeque::new(),
        };
        match agent.hear().await? {
            Body::Welcome(welcome) => agent.term = welcome.term,
            other => panic!("the first message is {other:?}"),
        }
        Ok(agent)
    }

    /// The next message that is no heartbeat.
    pub(crate) async fn hear(&mut self) -> Result<Body, Status> {
        loop {
            let message = timeout(LONG, self.inbound.message())
                .await
                .expect("the coordinator says something")?;
            match message
                .ok_or_else(|| Status::cancelled("the stream has ended"))?
                .body
                .unwrap()
            {
                Body::Heartbeat(_) => self.say(agent_message::Body::Heartbeat(wire::Heartbeat {})).await,
                body => return Ok(body),
            }
        }
    }

    pub(crate) async fn order(&mut self) -> Order {
        if let Some(order) = self.orders.pop_front() {
            return order;
        }
        match self.hear().await.unwrap() {
            Body::Order(order) => order,
            other => panic!("{other:?} where an order was awaited"),
        }
    }

    /// Whether it says nothing but heartbeats for a while.
    pub(crate) async fn hears_nothing(&mut self) -> bool {
        timeout(Duration::from_millis(700), self.hear()).await.is_err()
    }

    pub(crate) async fn say(&self, body: agent_message::Body) {
        // The coordinator may be gone; what is heard next tells.
        let _gone = self.messages.send(say(body)).await;
    }

    /// Says twice a second what it measures, until the coordinator is gone. Oftener is not taken.
    pub(crate) fn measure(&self, name: &'static str, value: f64) {
        let messages = self.messages.clone();
        tokio::spawn(async move {
            loop {
                let samples = wire::Samples {
                    at_ms: i64::try_from(wall().0).unwrap(),
                    values: [(name.to_owned(), value)].into(),
                };
                if messages.send(say(agent_message::Body::Samples(samples))).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(510)).await;
            }
        });
    }

    /// Reports and gives the report's sequence.
    pub(crate) async fn report(&mut self, order: &Order, result: PhaseResult) -> u64 {
        self.reports += 1;
        let report = report(order, self.reports, result);
        self.say(agent_message::Body::Report(report)).await;
        self.reports
    }

    /// Reports, and waits until that is durable.
    pub(crate) async fn report_and_wait(&mut self, order: &Order, result: PhaseResult) {
        let sequence = self.report(order, result).await;
        loop {
            match self.hear().await.unwrap() {
                Body::Ack(ack) if ack.sequence >= sequence => return,
                Body::Ack(_) | Body::Watch(_) | Body::Unwatch(_) => {}
                Body::Order(order) => self.orders.push_back(order),
                other => panic!("{other:?} where an ack was awaited"),
            }
        }
    }

    /// Does what it is ordered until the coordinator is gone: each phase ends as `result` says, each probe holds.
    pub(crate) fn obey(mut self, result: impl Fn(&Order) -> PhaseResult + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(async move {
            for order in std::mem::take(&mut self.orders) {
                self.report(&order, result(&order)).await;
            }
            while let Ok(body) = self.hear().await {
                match body {
                    Body::Order(order) => {
                        let result = result(&order);
                        self.report(&order, result).await;
                    }
                    Body::Watch(watch) => {
                        let health = wire::Health {
                            watch: watch.watch,
                            healthy: true,
                            message: "200".into(),
                        };
                        self.say(agent_message::Body::Health(health)).await;
                    }
                    Body::Welcome(_)
                    | Body::Ack(_)
                    | Body::Unwatch(_)
                    | Body::Heartbeat(_)
                    | Body::Prefetch(_)
                    | Body::Ask(_) => {}
                }
            }
        })
    }
}

pub(crate) fn hello() -> Hello {
    Hello {
        protocol: LINK_PROTOCOL,
        agent_version: "0.1.0".into(),
        ..Hello::default()
    }
}

fn say(body: agent_message::Body) -> AgentMessage {
    AgentMessage { body: Some(body) }
}

fn report(order: &Order, sequence: u64, result: PhaseResult) -> Report {
    let is_good = result == PhaseResult::Done;
    Report {
        sequence,
        fence: order.fence.clone(),
        result: result.into(),
        exit_code: Some(if is_good { 0 } else { 7 }),
        message: if is_good { String::new() } else { "it went wrong".into() },
        tail: if is_good { String::new() } else { "last words".into() },
        standing: order.after.clone().filter(|_| is_good),
        ..Report::default()
    }
}
