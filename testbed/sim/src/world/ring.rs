//! The coordinator's side of the world: what arrives there, its turns, what it sends, how it dies and comes back.

use echelon_coordinator::{
    driver::{Snapshot, Turn},
    journal, link,
};
use echelon_engine::{Event, Refusal, Reply, command::Command, effect::Effect};
use echelon_proto::{HostId, Person, Span, wire::link::agent_message::Body};

use super::{Happening, Said, World, name};
use crate::{
    center::{Item, Process, To},
    clock,
    fault::Fault,
    net::{Way, Word},
    story::{Held, Violation, must},
};

/// Orders of each host that are remembered, to come again late.
const ORDERED_MAX: usize = 6;

/// The longest that what arrives waits for its turn, in milliseconds: the one before has a disk to wait for.
const TURN_MS: u64 = 4;
/// And one more for each so many hosts: the more there are, the more is in each turn.
const HOSTS_A_MS: u64 = 40;

impl World {
    pub(crate) fn center_starts(&mut self) -> Held {
        if self.center.process.is_some() {
            return Ok(());
        }
        let wall = clock::wall(self.now, self.center.off);
        if let Err(error) = self.center.start(self.now, wall) {
            must(
                matches!(error, journal::Error::Database { .. }),
                "12 acknowledged",
                || format!("the coordinator does not start over its journal: {error}"),
            )?;
            // The disk fails still: whoever keeps it running tries again.
            self.center.disk.fail_after(None);
            self.center_goes();
            return Ok(());
        }
        self.story.tell(self.now, || "the coordinator runs".to_owned());
        self.watch.follow(&self.center.disk, None, &mut self.story)?;
        if let Some(process) = &self.center.process {
            self.watch.back(process.driver.sequence())?;
            self.watch.compare_all(&process.driver)?;
        }
        self.turn()
    }

    /// It is down, and comes again.
    pub(crate) fn center_goes(&mut self) {
        self.center.process = None;
        self.net.orphan_all();
        for link in self.net_links() {
            self.breaks(link, 2000);
        }
        let away = self.span(200, 8000);
        self.foresee(away, Happening::CenterStarts);
    }

    fn net_links(&self) -> Vec<u64> {
        self.hosts.iter().filter_map(|host| host.link).collect()
    }

    /// An agent's word is here.
    pub(crate) fn heard(&mut self, link: u64, word: Word) -> Held {
        let Some(held) = self.net.get_mut(link).filter(|held| !held.orphaned) else {
            return Ok(());
        };
        if held.broken {
            if !self.chance.permille(500) || self.center.process.is_none() {
                return Ok(());
            }
            let host = self.net.get(link).map_or(0, |link| link.host);
            let id = self.hosts[host].id.clone();
            self.story.fault(self.now, Fault::LateWord, id);
        }
        let Some(process) = &mut self.center.process else {
            return Ok(());
        };
        let Some(held) = self.net.get_mut(link) else {
            return Ok(());
        };
        let host = self.hosts[held.host].id.clone();
        if !held.attached && !matches!(word, Word::Hello(_)) {
            // Read only once the attach is durable.
            held.early.push(word);
            return Ok(());
        }
        match event_of(&host, word, link, process) {
            Ok((event, to)) => {
                if let To::Attach { session, .. } = to {
                    held.session = Some((self.center.generation, session));
                }
                process.inbox.push((event, to));
            }
            Err(why) => {
                return Err(Violation {
                    invariant: "6 attempt",
                    text: format!("{host}'s word is not taken: {why}"),
                });
            }
        }
        self.turn_soon(Span(0));
        Ok(())
    }

    /// A turn, in a moment: what comes meanwhile is part of it.
    pub(crate) fn turn_soon(&mut self, extra: Span) {
        let long = TURN_MS + self.hosts.len() as u64 / HOSTS_A_MS;
        let wait = Span(self.chance.between(0, long)) + extra;
        let at = self.now + wait;
        let generation = self.center.generation;
        let Some(process) = &mut self.center.process else {
            return;
        };
        if process.turn_at.is_none_or(|due| at < due) {
            process.turn_at = Some(at);
            self.foresee_at(at, Happening::Turn { generation });
        }
    }

    pub(crate) fn turn_due(&mut self, generation: u64) -> Held {
        if generation != self.center.generation {
            return Ok(());
        }
        let Some(process) = &mut self.center.process else {
            return Ok(());
        };
        if process.turn_at.is_none_or(|due| due > self.now) {
            return Ok(());
        }
        process.turn_at = None;
        self.turn()
    }

    /// One turn of the driver, and what the process does about it.
    pub(crate) fn turn(&mut self) -> Held {
        let wall = clock::wall(self.now, self.center.off);
        let Some(process) = &mut self.center.process else {
            return Ok(());
        };
        let events = std::mem::take(&mut process.inbox);
        let at = process.clock.read(self.now, wall);
        if self.watch.is_due() {
            self.watch.sleeps(&process.driver, at)?;
        }
        match process.driver.turn(at, events) {
            Ok(turn) => self.turned(turn),
            Err(_) => {
                self.fails();
                Ok(())
            }
        }
    }

    /// The journal cannot be written: the process ends. What was written and not synced is there again, or not.
    fn fails(&mut self) {
        self.center.disk.fail_after(None);
        if self.chance.permille(500) {
            self.center.disk.lose_unflushed();
        }
        self.center_goes();
    }

    fn turned(&mut self, turn: Turn<To>) -> Held {
        let live = self.center.process.as_ref().map(|process| process.driver.state());
        self.watch.follow(&self.center.disk, live, &mut self.story)?;
        let Some(process) = &mut self.center.process else {
            return Ok(());
        };
        let changes = process.driver.take_changes();
        let items = process.changed(changes);
        let unsent = std::mem::take(&mut process.unsent);
        let unlooked = std::mem::take(&mut process.unlooked);
        let unlooked = unlooked
            .into_iter()
            .filter_map(|key| Some((key.clone(), process.compared.get(&key)?.clone())));
        for (key, effect) in unlooked.collect::<Vec<_>>() {
            if let Effect::Canary(owed) = effect.as_ref() {
                self.compares(key, owed);
            }
        }
        for (host, item) in items {
            self.send_to(&host, item);
        }
        let generation = self.center.generation;
        for number in unsent {
            let takes = self.span(20, 3000);
            self.foresee(takes, Happening::Notified { generation, number });
        }
        for (to, answer) in turn.answers {
            self.answer(to, answer.is_ok())?;
        }
        if let Some(process) = &self.center.process {
            self.watch.compare(process, process.driver.now())?;
        }
        self.snapshot();
        self.wake();
        Ok(())
    }

    fn answer(&mut self, to: To, taken: bool) -> Held {
        let Some(process) = &mut self.center.process else {
            return Ok(());
        };
        let sequence = process.driver.sequence();
        match to {
            To::Nobody => Ok(()),
            To::Person => self.watch.tell(sequence, &self.center.disk),
            To::Report { link, sequence: report } => {
                self.watch.tell(sequence, &self.center.disk)?;
                self.send(link, Said::Ack(report));
                Ok(())
            }
            To::Attach { link, session } => {
                self.watch.tell(sequence, &self.center.disk)?;
                if taken { self.attached(link, session) } else { Ok(()) }
            }
        }
    }

    fn attached(&mut self, link: u64, session: u64) -> Held {
        let Some(process) = &mut self.center.process else {
            return Ok(());
        };
        let Some(held) = self.net.get_mut(link) else {
            return Ok(());
        };
        held.attached = true;
        let early = std::mem::take(&mut held.early);
        let host = self.hosts[held.host].id.clone();
        let newest = process.live.get(&host).is_none_or(|(before, _)| *before < session);
        if !newest {
            return Ok(());
        }
        let before = process.live.insert(host.clone(), (session, link));
        let term = process.driver.state().term;
        let owed = process.all_owed(&host);
        // As `Sessions::enter`: also one that is sound gives way, to a late hello.
        if let Some((_, before)) = before
            && self.net.get(before).is_some_and(|held| !held.broken)
        {
            self.breaks(before, 2000);
        }
        self.send(link, Said::Welcome { term });
        for item in owed {
            self.send(link, Said::Item(item));
        }
        for word in early {
            self.heard(link, word)?;
        }
        Ok(())
    }

    fn send_to(&mut self, host: &HostId, item: Item) {
        let live = self.center.process.as_ref().and_then(|process| process.live.get(host));
        if let Some((_, link)) = live.copied() {
            self.send(link, Said::Item(item));
        }
    }

    fn send(&mut self, link: u64, said: Said) {
        if let (Said::Item(Item::Owed(effect)), Some(held)) = (&said, self.net.get(link))
            && matches!(effect.as_ref(), Effect::Order(_))
        {
            let ordered = &mut self.hosts[held.host].ordered;
            ordered.push_back(effect.clone());
            if ordered.len() > ORDERED_MAX {
                ordered.pop_front();
            }
        }
        let extra = self.delay();
        if let Some(at) = self.net.arrival(link, Way::Down, self.now, extra, &mut self.chance) {
            self.foresee_at(at, Happening::Down { link, said });
        }
    }

    /// When something is due by itself.
    pub(crate) fn wake(&mut self) {
        let wall = clock::wall(self.now, self.center.off);
        let Some(process) = &mut self.center.process else {
            return;
        };
        let Some(due) = process.driver.wake_at() else { return };
        let wait = clock::until(due, process.clock.read(self.now, wall));
        let at = self.now + wait.max(Span(1));
        if process.turn_at.is_none_or(|foreseen| at < foreseen) {
            process.turn_at = Some(at);
            let generation = self.center.generation;
            self.foresee_at(at, Happening::Turn { generation });
        }
    }

    fn snapshot(&mut self) {
        let generation = self.center.generation;
        let due = self
            .center
            .process
            .as_mut()
            .and_then(|process| process.driver.snapshot_due());
        if let Some(due) = due {
            let takes = self.span(0, 3000);
            let snapshot = Box::new(due.encode());
            self.foresee(takes, Happening::Encoded { generation, snapshot });
        }
    }

    pub(crate) fn encoded(&mut self, generation: u64, snapshot: Snapshot) -> Held {
        if generation != self.center.generation {
            return Ok(());
        }
        let Some(process) = &mut self.center.process else {
            return Ok(());
        };
        if process.driver.save(snapshot).is_err() {
            self.fails();
        }
        Ok(())
    }

    pub(crate) fn notified(&mut self, generation: u64, number: u64) -> Held {
        let delivered = self.chance.permille(900);
        if generation == self.center.generation
            && let Some(process) = &mut self.center.process
        {
            process
                .inbox
                .push((Event::NotificationSettled { number, delivered }, To::Nobody));
            self.turn_soon(Span(0));
        }
        Ok(())
    }

    /// The coordinator notices that a connection is gone: also one that has given way to a newer one.
    pub(crate) fn gone(&mut self, link: u64) -> Held {
        let Some(held) = self.net.get(link) else { return Ok(()) };
        let (host, session) = (held.host, held.session);
        let id = self.hosts[host].id.clone();
        if self.hosts[host].link != Some(link) {
            self.net.close(link);
        }
        let Some(process) = &mut self.center.process else {
            return Ok(());
        };
        let Some((generation, session)) = session else {
            return Ok(());
        };
        if generation != self.center.generation {
            return Ok(());
        }
        if process.live.get(&id).is_some_and(|(_, live)| *live == link) {
            process.live.remove(&id);
        }
        process
            .inbox
            .push((Event::HostDetached { host: id, session }, To::Nobody));
        self.turn_soon(Span(0));
        Ok(())
    }

    /// A person's wish, in a turn of its own, so that a refusal can be seen to write nothing. `None`: nobody is there.
    pub(crate) fn ask(&mut self, by: &str, command: Command) -> Result<Option<Result<Reply, Refusal>>, Violation> {
        self.turn()?;
        let wall = clock::wall(self.now, self.center.off);
        let Some(process) = &mut self.center.process else {
            return Ok(None);
        };
        let before = process.driver.sequence();
        // A whole look costs as much as the whole comparison, and goes with it.
        let state = self.watch.is_due().then(|| process.driver.state().clone());
        let by: Person = name(by);
        let at = process.clock.read(self.now, wall);
        let line = self.story.is_told().then(|| format!("{by} wishes {command:?}"));
        let event = Event::Commanded { by, command };
        let Ok(mut turn) = process.driver.turn(at, [(event, To::Person)]) else {
            self.fails();
            return Ok(None);
        };
        let answer = turn.answers.pop().map(|(_, answer)| answer);
        if let Some(line) = line {
            let line: String = line.chars().take(300).collect();
            self.story.tell(self.now, || format!("{line} -> {answer:?}"));
        }
        if let Some(Err(refusal)) = &answer {
            let same =
                process.driver.sequence() == before && state.is_none_or(|state| *process.driver.state() == state);
            must(same, "11 refusal", || format!("{refusal}: and something was written"))?;
        }
        self.turned(turn)?;
        if let (Some(Ok(_)), Some(process)) = (&answer, &self.center.process) {
            let sequence = process.driver.sequence();
            self.watch.tell(sequence, &self.center.disk)?;
        }
        Ok(answer)
    }
}

fn event_of(host: &HostId, word: Word, link: u64, process: &mut Process) -> Result<(Event, To), String> {
    match word {
        Word::Hello(hello) => {
            process.sessions += 1;
            let session = process.sessions;
            let host = host.clone();
            Ok((
                Event::HostAttached { host, session, hello },
                To::Attach { link, session },
            ))
        }
        Word::Report(message) => {
            let Some(Body::Report(report)) = message.body else {
                return Err("no report".to_owned());
            };
            let sequence = report.sequence;
            let event = link::report(host, report).map_err(|status| status.message().to_owned())?;
            Ok((event, To::Report { link, sequence }))
        }
        Word::Health { watch, healthy } => {
            let host = host.clone();
            let message = String::new();
            Ok((
                Event::HealthReported {
                    host,
                    watch,
                    healthy,
                    message,
                },
                To::Nobody,
            ))
        }
    }
}
