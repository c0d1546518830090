//! The hosts' side of the world: agents that connect, hear, begin programs and report; connections that break.

use std::sync::Arc;

use echelon_agent::{
    executor::Work,
    link as agent,
    machine::Input,
    order::{Action, Outcome, PhaseResult, Report},
};
use echelon_coordinator::{link, sessions};
use echelon_engine::effect::Effect;
use echelon_proto::{Span, wire::link::coordinator_message::Body};

use super::{Happening, Said, World};
use crate::{
    center::Item,
    fault::Fault,
    host::{Key, Moved, Program, Progress, key},
    net::{Way, Word},
    story::{Held, must},
};

impl World {
    pub(crate) fn agent_starts(&mut self, host: usize) -> Held {
        if self.hosts[host].agent.is_some() || !self.hosts[host].joined {
            return Ok(());
        }
        let moved = self.hosts[host].start(self.now);
        self.follow(host, moved)?;
        self.connects(host)
    }

    /// The agent dies; its host lives on.
    pub(crate) fn agent_dies(&mut self, host: usize, away: Span) {
        self.hosts[host].agent = None;
        self.hosts[host].unwatched();
        if let Some(link) = self.hosts[host].link.take() {
            self.breaks(link, 15_000);
        }
        self.foresee(away, Happening::AgentStarts { host });
    }

    pub(crate) fn connects(&mut self, host: usize) -> Held {
        if self.hosts[host].link.is_some() || self.hosts[host].agent.is_none() {
            return Ok(());
        }
        if self.is_cut(host) || self.center.process.is_none() {
            let pause = self.span(500, 5000);
            self.foresee(pause, Happening::Connects { host });
            return Ok(());
        }
        if self.trouble.strikes(Fault::LateOrder, &mut self.chance) {
            self.deposed(host)?;
        }
        let Some(hello) = self.hosts[host].hello() else {
            return Ok(());
        };
        let link = self.net.open(host, self.now);
        self.hosts[host].link = Some(link);
        self.hosts[host].watches.clear();
        self.say(link, Word::Hello(hello));
        let waiting = self.hosts[host]
            .agent
            .as_ref()
            .map(|agent| agent.reports())
            .unwrap_or_default();
        for report in waiting {
            self.report(host, &report);
        }
        Ok(())
    }

    fn report(&mut self, host: usize, report: &Report) {
        let Some(link) = self.hosts[host].link else { return };
        let message = Box::new(agent::report(report));
        if self.trouble.strikes(Fault::Duplicate, &mut self.chance) {
            let id = self.hosts[host].id.clone();
            self.story.fault(self.now, Fault::Duplicate, id);
            self.say(link, Word::Report(message.clone()));
        }
        self.say(link, Word::Report(message));
        if self.trouble.strikes(Fault::LastWord, &mut self.chance) {
            let id = self.hosts[host].id.clone();
            self.story.fault(self.now, Fault::LastWord, id);
            self.breaks(link, 10);
        }
    }

    pub(crate) fn say(&mut self, link: u64, word: Word) {
        let extra = self.delay();
        if let Some(at) = self.net.arrival(link, Way::Up, self.now, extra, &mut self.chance) {
            self.foresee_at(at, Happening::Up { link, word });
        }
    }

    /// How much longer than usual a message takes.
    pub(crate) fn delay(&mut self) -> Span {
        if !self.trouble.strikes(Fault::Delay, &mut self.chance) {
            return Span::ZERO;
        }
        self.story.fault(self.now, Fault::Delay, "a message");
        self.span(100, 20_000)
    }

    /// A connection breaks; each side notices within so many milliseconds.
    pub(crate) fn breaks(&mut self, link: u64, within: u64) {
        let Some(held) = self.net.get_mut(link) else { return };
        held.broken = true;
        let host = held.host;
        let (there, here) = (self.span(0, within), self.span(0, within));
        self.foresee(there, Happening::Gone { link });
        self.foresee(here, Happening::Lost { host, link });
    }

    /// The agent notices that its connection is gone.
    pub(crate) fn lost(&mut self, host: usize, link: u64) -> Held {
        if self.hosts[host].link != Some(link) {
            return Ok(());
        }
        self.hosts[host].link = None;
        let moved = self.hosts[host].take(Input::Detached, self.now);
        self.follow(host, moved)?;
        let pause = self.span(10, 3000);
        self.foresee(pause, Happening::Connects { host });
        Ok(())
    }

    /// The coordinator's word is here.
    pub(crate) fn told(&mut self, link: u64, said: Said) -> Held {
        let Some(held) = self.net.get(link).filter(|link| !link.broken) else {
            return Ok(());
        };
        let host = held.host;
        if self.hosts[host].link != Some(link) {
            return Ok(());
        }
        let term = match said {
            Said::Welcome { term } => Some(term),
            Said::Ack(_) | Said::Item(_) => None,
        };
        let input = match said {
            Said::Welcome { term } => Input::Term(term),
            Said::Ack(sequence) => Input::Acked(sequence),
            Said::Item(Item::Unwatch(watch)) => {
                self.hosts[host].watches.remove(&watch);
                return Ok(());
            }
            Said::Item(Item::Owed(effect)) => match effect.as_ref() {
                Effect::Watch(watch) => {
                    self.watches(host, link, watch.id.clone());
                    return Ok(());
                }
                Effect::Order(_) | Effect::Notify(_) | Effect::Canary(_) => {
                    let Some(input) = order_in(effect) else { return Ok(()) };
                    input
                }
            },
        };
        let moved = self.hosts[host].take(input, self.now);
        if let Some(term) = term.filter(|_| !moved.died && !moved.save_again) {
            let id = self.hosts[host].id.clone();
            self.watch.obeys(&id, term, self.hosts[host].ledger.term)?;
        }
        self.follow(host, moved)
    }

    /// For a moment the agent was connected to a coordinator that another has taken over from, and that ordered what it
    /// had ordered before. What the agent says to it nobody hears.
    fn deposed(&mut self, host: usize) -> Held {
        let ordered: Vec<_> = self.hosts[host].ordered.iter().cloned().collect();
        let Some(effect) = self.chance.of(&ordered).cloned() else {
            return Ok(());
        };
        let Effect::Order(order) = effect.as_ref() else {
            return Ok(());
        };
        if !self.watch.is_stale(&order.fence) {
            return Ok(());
        }
        let fence = order.fence.clone();
        self.story.fault(self.now, Fault::LateOrder, &fence);
        let Some(input) = order_in(effect) else { return Ok(()) };
        let mut moved = self.hosts[host].take(input, self.now);
        moved.reports.clear();
        self.follow(host, moved)?;
        let moved = self.hosts[host].take(Input::Detached, self.now);
        self.follow(host, moved)
    }

    fn watches(&mut self, host: usize, link: u64, watch: String) {
        self.hosts[host].watches.insert(watch.clone(), None);
        let first = self.span(5, 2500);
        self.foresee(first, Happening::Answers { host, link, watch });
    }

    /// A probe answers; it is asked again from time to time.
    pub(crate) fn answers(&mut self, host: usize, link: u64, watch: &str) -> Held {
        if self.hosts[host].link != Some(link) {
            return Ok(());
        }
        let Some(told) = self.hosts[host].watches.get(watch).copied() else {
            return Ok(());
        };
        let ails = self.trouble.strikes(Fault::ProbeFails, &mut self.chance);
        if ails {
            let id = self.hosts[host].id.clone();
            let monitor = watch.starts_with("monitor/");
            let fault = if monitor {
                Fault::MonitorFails
            } else {
                Fault::ProbeFails
            };
            self.story.fault(self.now, fault, id);
        }
        if told != Some(!ails) {
            self.hosts[host].watches.insert(watch.to_owned(), Some(!ails));
            self.say(
                link,
                Word::Health {
                    watch: watch.to_owned(),
                    healthy: !ails,
                },
            );
        }
        if !ails && !self.trouble.may_strike(Fault::ProbeFails) {
            // It will say the same for ever.
            return Ok(());
        }
        let again = self.span(20_000, 120_000);
        let watch = watch.to_owned();
        self.foresee(again, Happening::Answers { host, link, watch });
        Ok(())
    }

    /// What an input led to on a host.
    pub(crate) fn follow(&mut self, host: usize, moved: Moved) -> Held {
        if moved.died {
            let id = self.hosts[host].id.clone();
            self.story.fault(self.now, Fault::AgentCrashAtSave, id);
            let away = self.span(100, 10_000);
            self.agent_dies(host, away);
            return Ok(());
        }
        if moved.save_again {
            self.foresee(Span::secs(1), Happening::SaveAgain { host });
        }
        for report in &moved.reports {
            self.report(host, report);
        }
        for work in moved.begin {
            self.carry_out(host, work)?;
        }
        Ok(())
    }

    pub(crate) fn save_again(&mut self, host: usize) -> Held {
        if !self.hosts[host].agent.as_ref().is_some_and(|agent| agent.is_unsaved()) {
            return Ok(());
        }
        let moved = self.hosts[host].settle(self.now);
        self.follow(host, moved)
    }

    /// An attempt begins, or is taken up again by a later agent.
    fn carry_out(&mut self, host: usize, work: Work) -> Held {
        let fence = work.order.fence.clone();
        let at = key(&fence);
        if work.resumed
            && let Some(program) = self.hosts[host].programs.get_mut(&at)
        {
            program.watched = true;
            // What runs is heard of when it ends.
            let Some(outcome) = self.hosts[host].found(&fence) else {
                return Ok(());
            };
            self.watch.ended(&fence, outcome.result);
            let moved = self.hosts[host].take(Input::Ended { fence, outcome }, self.now);
            return self.follow(host, moved);
        }
        self.may_begin(host, &work)?;
        self.story.tell(self.now, || format!("begins {fence}"));
        let (takes, outcome) = self.fate(host, &work);
        let program = Program {
            order: work.order,
            progress: Progress::Runs(outcome),
            watched: true,
        };
        self.hosts[host].programs.insert(at.clone(), program);
        self.foresee(takes, Happening::ProgramEnds { host, key: at });
        Ok(())
    }

    /// What must hold when a program begins.
    fn may_begin(&mut self, host: usize, work: &Work) -> Held {
        let (fence, host) = (&work.order.fence, &self.hosts[host]);
        must(host.says_that_it_runs(fence), "3 durable first", || {
            format!("{fence} begins, and its host's ledger does not say so")
        })?;
        let stands = host
            .ledger
            .apps
            .get(&work.order.app)
            .and_then(|standing| standing.state.as_ref());
        let wanted = work.order.from_state.as_ref();
        must(
            work.resumed || stands.is_none() || wanted.is_none() || stands == wanted,
            "7 once",
            || format!("{fence} begins from {wanted:?}, and its host stands in {stands:?}"),
        )?;
        self.watch.begins(fence, host.is_free(&work.order.app))
    }

    /// How long it takes and how it ends.
    fn fate(&mut self, host: usize, work: &Work) -> (Span, Outcome) {
        if work.order.action == Action::Note {
            // No program: the ledger takes it down.
            return (Span(1), Outcome::done());
        }
        let id = self.hosts[host].id.clone();
        if !work.order.guards.is_empty() && self.trouble.strikes(Fault::GuardFails, &mut self.chance) {
            self.story.fault(self.now, Fault::GuardFails, id);
            let outcome = Outcome::of(PhaseResult::HeldBack, "settled".to_owned());
            return (self.span(5, 50), outcome);
        }
        if self.trouble.strikes(Fault::PhaseHangs, &mut self.chance) {
            self.story.fault(self.now, Fault::PhaseHangs, id);
            return (
                work.order.timeout,
                Outcome::of(PhaseResult::TimedOut, "did not end".to_owned()),
            );
        }
        let takes = self.span(20, 8000).min(work.order.timeout);
        if self.trouble.strikes(Fault::PhaseFails, &mut self.chance) {
            self.story.fault(self.now, Fault::PhaseFails, id);
            return (takes, Outcome::failed("made to fail"));
        }
        let already = self.chance.permille(20);
        let result = if already {
            PhaseResult::AlreadyDone
        } else {
            PhaseResult::Done
        };
        (takes, Outcome::of(result, String::new()))
    }

    pub(crate) fn program_ends(&mut self, host: usize, at: &Key) -> Held {
        let Some(program) = self.hosts[host].programs.get_mut(at) else {
            return Ok(());
        };
        let Progress::Runs(outcome) = &program.progress else {
            return Ok(());
        };
        let (fence, outcome, watched) = (program.order.fence.clone(), outcome.clone(), program.watched);
        program.progress = Progress::Ended(outcome.clone());
        self.watch.ended(&fence, outcome.result);
        if !watched {
            return Ok(());
        }
        let moved = self.hosts[host].take(Input::Ended { fence, outcome }, self.now);
        self.follow(host, moved)
    }
}

/// An effect as the agent reads it from the wire.
fn order_in(effect: Arc<Effect>) -> Option<Input> {
    match link::message(&sessions::Item::Owed(effect), 5000).body {
        Some(Body::Order(order)) => agent::order_in(order).ok(),
        _ => None,
    }
}
