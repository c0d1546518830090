//! The people of a seed: who makes releases and playbooks known, starts rollouts, and does to them whatever can be done,
//! at any time, twice, and two at once. A refusal is as good an answer as any. Deliberately no good sense.

use echelon_engine::{
    Reply,
    command::{Act, Artifact, Command, Grant, IfRunning, PlanRequest, Start, Verb, What},
};
use echelon_proto::{Datacenter, Digest, PlanId, RequestId, RolloutId, Span};

use crate::{
    fault::Fault,
    playbook,
    size::Size,
    story::{Held, Violation},
    world::{DATACENTERS, Happening, World, name},
};

const APPS: [(&str, usize); 2] = [("web", 3), ("api", 2)];
const RELEASES: [&str; 4] = ["1.0", "1.1", "1.2", "1.3"];
const VERBS: [(u32, Verb); 9] = [
    (8, Verb::Approve),
    (1, Verb::Reject),
    (3, Verb::Pause),
    (5, Verb::Resume),
    (3, Verb::Promote),
    (4, Verb::Retry),
    (3, Verb::Skip),
    (1, Verb::Abort),
    (2, Verb::Rollback),
];

/// What people remember.
#[derive(Debug, Default)]
pub(crate) struct People {
    /// Of each app, its playbooks.
    playbooks: Vec<(&'static str, String)>,
    requests: u64,
    /// A plan that somebody looked at.
    plan: Option<PlanId>,
    /// They wish nothing more of their own.
    quiet: bool,
}

impl People {
    /// Nobody begins anything any more.
    pub(crate) fn quiet(&mut self) {
        self.quiet = true;
    }
}

impl World {
    /// The first day: releases, playbooks, hosts.
    pub(crate) fn begin(&mut self) -> Held {
        self.center_starts()?;
        for (app, playbooks) in APPS {
            for release in RELEASES {
                let artifact = Artifact {
                    app: name(app),
                    release: name(release),
                    url: format!("http://repo/{app}-{release}.tar.gz"),
                    sha256: Some(Digest::of(release.as_bytes())),
                    size_bytes: 1,
                };
                self.ask("root", Command::CreateRelease(artifact))?;
            }
            for number in 0..playbooks {
                self.push(app, format!("{app}-{number}"))?;
            }
        }
        let late = if self.chance.permille(300) {
            1 + self.hosts.len() / 10
        } else {
            0
        };
        for host in 0..self.hosts.len() {
            if self.hosts[host].joined {
                let after = self.span(5, 60_000);
                self.foresee(after, Happening::AgentStarts { host });
            } else if host < self.hosts.len() - late {
                self.joins(host)?;
            } else {
                let after = self.span(60_000, 600_000);
                self.foresee(after, Happening::Joins { host });
            }
        }
        let (first, mischief) = (self.span(500, 5000), self.span(500, 60_000));
        self.foresee(first, Happening::Wish);
        self.foresee(mischief, Happening::Mischief);
        Ok(())
    }

    fn push(&mut self, app: &'static str, called: String) -> Held {
        let (checked, text) = playbook::draw(&mut self.chance, &called, app);
        let command = Command::PushPlaybook {
            playbook: Box::new(checked.playbook),
            text,
            base: checked.base,
        };
        self.ask("root", command)?;
        self.people.playbooks.push((app, called));
        Ok(())
    }

    /// A host gets a token, joins and starts its agent.
    pub(crate) fn joins(&mut self, host: usize) -> Held {
        let (id, token) = (
            self.hosts[host].id.clone(),
            Digest::of(self.hosts[host].id.as_str().as_bytes()),
        );
        let grant = Grant {
            host: id.clone(),
            datacenter: self.hosts[host].datacenter.clone(),
            pool: self.hosts[host].pool.clone(),
            labels: self.hosts[host].labels.clone(),
            expires: self.now + Span::secs(600),
        };
        let granted = self.ask("root", Command::CreateToken { token, grant })?;
        if !matches!(granted, Some(Ok(_))) || self.center.process.is_none() {
            self.foresee(Span::secs(5), Happening::Joins { host });
            return Ok(());
        }
        if self.story.events > 0 {
            self.story.fault(self.now, Fault::HostJoinsLate, &id);
        }
        if let Some(process) = &mut self.center.process {
            process.inbox.push((
                echelon_engine::Event::HostJoining { host: id, token },
                crate::center::To::Nobody,
            ));
        }
        self.turn()?;
        self.hosts[host].joined = true;
        let after = self.span(5, 500);
        self.foresee(after, Happening::AgentStarts { host });
        Ok(())
    }

    /// Somebody wishes something, and the next wish is foreseen.
    pub(crate) fn wish(&mut self) -> Held {
        if self.people.quiet {
            return Ok(());
        }
        let (from, to) = Size::of(self.hosts.len()).wish;
        let next = self.span(from, to);
        self.foresee(next, Happening::Wish);
        match self.chance.below(40) {
            0..12 => self.start(),
            12..16 => self.plan(),
            16 => self.asks_host(),
            17 => self.labels_host(),
            _ => self.act(),
        }
    }

    fn asks_host(&mut self) -> Held {
        let host = self.chance.below(self.hosts.len());
        let host = self.hosts[host].id.clone();
        let what = "diagnose".to_owned();
        self.ask("alice", Command::AskHost { host, what }).map(drop)
    }

    /// To another shard, or to another role, or to none.
    fn labels_host(&mut self) -> Held {
        let host = self.chance.below(self.hosts.len());
        let host = self.hosts[host].id.clone();
        let (label, value) = *self.chance.one(&[
            ("shard", Some("s1")),
            ("shard", Some("s2")),
            ("role", Some("leader")),
            ("role", Some("follower")),
            ("api", Some("yes")),
            ("rack", Some("r1")),
            ("rack", None),
        ]);
        let labels = [(name(label), value.map(str::to_owned))].into();
        self.ask("alice", Command::LabelHost { host, labels }).map(drop)
    }

    fn request(&mut self) -> Option<PlanRequest> {
        let (app, called) = self.chance.of(&self.people.playbooks)?.clone();
        let operation = match self.chance.below(12) {
            0 => Some(name("restart")),
            1 => Some(name("park")),
            2 => Some(name("remove")),
            _ => None,
        };
        let datacenters = if self.chance.permille(Size::of(self.hosts.len()).local) {
            vec![self.datacenter()]
        } else {
            Vec::new()
        };
        Some(PlanRequest {
            app: name(app),
            release: name(self.chance.one::<&str, 4>(&RELEASES)),
            playbook: name(&called),
            version: None,
            operation,
            datacenters,
            hosts: Vec::new(),
            params: Default::default(),
        })
    }

    fn datacenter(&mut self) -> Datacenter {
        name(self.chance.one::<&str, 4>(&DATACENTERS))
    }

    fn plan(&mut self) -> Held {
        let Some(request) = self.request() else { return Ok(()) };
        if let Some(Ok(Reply::Plan(plan))) = self.ask("alice", Command::CreatePlan(request))? {
            self.people.plan = Some(plan);
        }
        Ok(())
    }

    fn start(&mut self) -> Held {
        let what = match self.people.plan.take() {
            Some(plan) => What::Plan(plan),
            None => match self.request() {
                Some(request) => What::Request(request),
                None => return Ok(()),
            },
        };
        let request_id = self.request_id();
        let start = Start {
            what,
            at: self.chance.permille(200).then(|| self.now + Span::secs(90)),
            request_id: request_id.clone(),
            if_running: *self.chance.one(&[
                IfRunning::Queue,
                IfRunning::Refuse,
                IfRunning::Supersede,
                IfRunning::Attach,
            ]),
            reason: "made up".into(),
        };
        let first = self.ask("alice", Command::StartRollout(start.clone()))?;
        if request_id.is_some() && self.chance.permille(300) {
            self.story.fault(self.now, Fault::SaidTwice, "start");
            let again = self.ask("jenkins", Command::StartRollout(start))?;
            same_answer(first.as_ref(), again.as_ref())?;
        }
        Ok(())
    }

    fn request_id(&mut self) -> Option<RequestId> {
        if !self.chance.permille(500) {
            return None;
        }
        self.people.requests += 1;
        Some(name(&format!("q{}", self.people.requests)))
    }

    fn act(&mut self) -> Held {
        let active: Vec<RolloutId> = self.watch.state().active().map(|rollout| rollout.id.clone()).collect();
        let Some(rollout) = self.chance.of(&active).cloned() else {
            return Ok(());
        };
        let Some(verb) = self.chance.weighted(&VERBS) else {
            return Ok(());
        };
        let host = self.chance.below(self.hosts.len());
        let request_id = self.request_id();
        let mut act = Act {
            verb,
            rollout,
            datacenter: self
                .chance
                .permille(300)
                .then(|| name(DATACENTERS[host % DATACENTERS.len()])),
            host: self.chance.permille(400).then(|| self.hosts[host].id.clone()),
            reason: "made up".into(),
            etag: None,
            request_id,
        };
        let done = matches!(self.ask("alice", Command::Act(act.clone()))?, Some(Ok(_)));
        if done && act.request_id.is_some() && self.chance.permille(400) {
            self.story.fault(self.now, Fault::SaidTwice, "act");
            self.again(act.clone())?;
        }
        if self.chance.permille(200) {
            self.story.fault(self.now, Fault::TwoPeople, "act");
            act.verb = self.chance.weighted(&VERBS).unwrap_or(Verb::Pause);
            act.request_id = None;
            self.ask("bob", Command::Act(act))?;
        }
        Ok(())
    }

    /// The same request once more: whatever it is answered, it must not be done again.
    fn again(&mut self, act: Act) -> Held {
        let before = self
            .watch
            .state()
            .rollouts
            .get(&act.rollout)
            .map(|rollout| rollout.etag);
        let Some(Ok(_)) = self.ask("alice", Command::Act(act.clone()))? else {
            return Ok(());
        };
        let after = self
            .watch
            .state()
            .rollouts
            .get(&act.rollout)
            .map(|rollout| rollout.etag);
        if before == after {
            return Ok(());
        }
        Err(Violation {
            invariant: "12 acknowledged",
            text: format!(
                "{:?} of {} was asked for twice by one id, and done twice",
                act.verb, act.rollout
            ),
        })
    }
}

type Answer = Result<Reply, echelon_engine::Refusal>;

/// One request id names one rollout.
fn same_answer(first: Option<&Answer>, again: Option<&Answer>) -> Held {
    match (first, again) {
        (Some(Ok(first)), Some(Ok(again))) if first != again => Err(Violation {
            invariant: "12 acknowledged",
            text: format!("one request id was answered with {first:?} and with {again:?}"),
        }),
        _ => Ok(()),
    }
}
