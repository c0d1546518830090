//! The agent's mind, pure: what an order, an end, an acknowledgement or a new term means for the ledger, and what is to be
//! begun and reported. No IO, no clock, no wire: time is handed in, and the caller saves the ledger when asked to.
//!
//! ```text
//! an order is                                  then
//!   for another host, of an older term         refused
//!   of an attempt older than one known         refused
//!   of an attempt that runs or waits           nothing: it is under way
//!   of an attempt that ended                   its report again, from the ledger
//!   new, its app or all places taken           waits (bounded), dropped when the session ends
//!   new, of the agent's own upgrade            waits for all that runs, and all others for it
//!   new, the app not in `from_state`           refused, naming both; remembered
//!   new                                        Running: saved, then begun
//! an attempt is   Running -> Ended (saved, then reported) -> Acknowledged (bounded, the last of each rollout)
//! ```
//!
//! Rule of use: after each [`Machine::on`], while [`Machine::unsaved`] gives a ledger, save it and say
//! [`Machine::saved`] or [`Machine::not_saved`]; then carry out [`Machine::effects`]. Nothing is begun and nothing
//! reported before the ledger that says so is durable, save refusals: of these the coordinator's repeated order is the memory.

use std::{collections::VecDeque, sync::Arc};

use echelon_proto::{
    App, Fence, HostId, StateName, Time,
    limits::{LEFTOVERS_MAX, MESSAGE_CHARS_MAX, TAIL_BYTES_MAX},
    planted::{self, Plant},
};

use crate::{
    executor::Work,
    ledger::{Attempt, Ledger, Progress},
    order::{Order, Outcome, PhaseResult, Report, Standing},
    upgrade,
};

/// Attempts under way at once: one an app, and a host with more busy apps than this gains nothing from more at once.
pub const RUNNING_MAX: usize = 16;
/// Orders that wait for their app: the coordinator sends one a rollout, so this is already a misbehaving coordinator.
pub const WAITING_MAX: usize = 16;
/// Acknowledged attempts kept to recognise old orders; also the most reports that wait for their acknowledgement.
pub const ATTEMPTS_MAX: usize = 256;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The coordinator ordered a phase.
    Order(Box<Order>),
    /// The coordinator sent something that is no order; the fence could be read.
    Malformed {
        /// Which attempt it speaks of.
        fence: Fence,
        /// The app, when it could be read.
        app: App,
        /// What is wrong with it.
        why: String,
    },
    /// The executor is done with an attempt.
    Ended {
        /// Which.
        fence: Fence,
        /// How.
        outcome: Outcome,
    },
    /// The coordinator holds this report and all before it.
    Acked(u64),
    /// A coordinator said its term.
    Term(u64),
    /// The session is over: what was ordered and not begun is forgotten; it comes again if it is still wanted.
    Detached,
}

/// What to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Carry this out and say `Ended`.
    Start(Work),
    /// Send this, if there is a session; if not, [`Machine::reports`] has it at the next one.
    Report(Box<Report>),
}

/// The state.
#[derive(Debug)]
pub struct Machine {
    host: HostId,
    ledger: Ledger,
    /// Why no order is taken; set while the ledger cannot be read.
    closed: Option<String>,
    waiting: VecDeque<Arc<Order>>,
    /// Refusals that the ledger does not hold.
    refusals: Vec<Report>,
    /// Begun in the ledger but not saved yet.
    held: Vec<Work>,
    effects: Vec<Effect>,
    dirty: bool,
    /// The term that the durable ledger has.
    saved_term: u64,
    /// `ledger.sequence` before the reports of this save were numbered.
    numbered_from: u64,
}

impl Machine {
    /// From a ledger that was read. What it says is running is an effect at once: to be taken up again.
    #[must_use]
    pub fn new(host: HostId, ledger: Ledger) -> Self {
        let effects = ledger
            .attempts
            .iter()
            .filter_map(|attempt| match &attempt.progress {
                Progress::Running(_) if planted::is(Plant::RunForgotten) => None,
                Progress::Running(order) => Some(Effect::Start(Work {
                    order: Arc::new((**order).clone()),
                    started: attempt.started,
                    resumed: true,
                })),
                Progress::Ended(_) | Progress::Acknowledged(_) => None,
            })
            .collect();
        Self {
            host,
            saved_term: ledger.term,
            ledger,
            closed: None,
            waiting: VecDeque::new(),
            refusals: Vec::new(),
            held: Vec::new(),
            effects,
            dirty: false,
            numbered_from: 0,
        }
    }

    /// With a ledger that cannot be read: refuses every order, saying why.
    #[must_use]
    pub fn closed(host: HostId, why: String) -> Self {
        Self {
            closed: Some(why),
            ..Self::new(host, Ledger::default())
        }
    }

    /// Whether no order is taken because the ledger could not be read.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// The highest term obeyed.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.ledger.term
    }

    /// Whether the last save failed and is to be tried again.
    #[must_use]
    pub const fn is_unsaved(&self) -> bool {
        self.dirty && self.closed.is_none()
    }

    /// What stands on the host, one for each app known.
    pub fn standings(&self) -> impl Iterator<Item = &Standing> {
        self.ledger.apps.values()
    }

    /// Attempts begun and not ended.
    pub fn running(&self) -> impl Iterator<Item = &Fence> {
        self.ledger
            .attempts
            .iter()
            .filter(|attempt| matches!(attempt.progress, Progress::Running(_)))
            .map(|attempt| &attempt.fence)
    }

    /// Every report that is durable here and not acknowledged, in order: what follows a Hello.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        let mut reports: Vec<Report> = self.unacknowledged().filter(|r| r.sequence != 0).cloned().collect();
        reports.extend(self.refusals.iter().cloned());
        reports.sort_by_key(|report| report.sequence);
        reports
    }

    /// Takes one input.
    pub fn on(&mut self, input: Input, now: Time) {
        match input {
            Input::Order(order) => self.order(Arc::new(*order), now),
            Input::Malformed { fence, app, why } => self.refuse(&fence, app, why, now),
            Input::Ended { fence, outcome } => self.ended(&fence, outcome, now),
            Input::Acked(sequence) => self.acked(sequence),
            Input::Term(term) => self.raise_term(term),
            Input::Detached => {
                self.waiting.clear();
                self.refusals.clear();
            }
        }
    }

    /// The ledger that must be made durable before anything else happens, if it changed.
    pub fn unsaved(&mut self) -> Option<&Ledger> {
        if !self.dirty || self.is_closed() {
            return None;
        }
        self.numbered_from = self.ledger.sequence;
        for attempt in &mut self.ledger.attempts {
            if let Progress::Ended(report) = &mut attempt.progress
                && report.sequence == 0
            {
                self.ledger.sequence += 1;
                report.sequence = self.ledger.sequence;
            }
        }
        Some(&self.ledger)
    }

    /// The ledger last given by `unsaved` is durable.
    pub fn saved(&mut self) {
        self.dirty = false;
        self.saved_term = self.ledger.term;
        let fresh: Vec<Report> = self
            .unacknowledged()
            .filter(|report| report.sequence > self.numbered_from)
            .cloned()
            .collect();
        self.effects
            .extend(fresh.into_iter().map(|r| Effect::Report(Box::new(r))));
        if planted::is(Plant::EndNotKept) {
            self.ledger
                .attempts
                .retain(|attempt| !matches!(attempt.progress, Progress::Ended(_)));
        }
        self.effects.extend(self.held.drain(..).map(Effect::Start));
    }

    /// It could not be saved. What was about to begin is refused; ends wait for room: try again later.
    pub fn not_saved(&mut self, why: &str, now: Time) {
        self.ledger.sequence = self.numbered_from;
        for attempt in &mut self.ledger.attempts {
            if let Progress::Ended(report) = &mut attempt.progress
                && report.sequence > self.numbered_from
            {
                report.sequence = 0;
            }
        }
        for work in std::mem::take(&mut self.held) {
            let order = work.order;
            self.ledger.attempts.retain(|a| a.fence != order.fence);
            self.refuse(&order.fence, order.app.clone(), why.to_owned(), now);
        }
        // None of these could be begun either.
        for order in std::mem::take(&mut self.waiting) {
            self.refuse(&order.fence, order.app.clone(), why.to_owned(), now);
        }
        let waits = self.unacknowledged().any(|report| report.sequence == 0);
        // A term is said once in a session: nothing else would have it saved.
        self.dirty = waits || (self.ledger.term > self.saved_term && !planted::is(Plant::TermNotSaved));
    }

    /// What is to be done now.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn unacknowledged(&self) -> impl Iterator<Item = &Report> {
        self.ledger
            .attempts
            .iter()
            .filter_map(|attempt| match &attempt.progress {
                Progress::Ended(report) => Some(&**report),
                Progress::Running(_) | Progress::Acknowledged(_) => None,
            })
    }

    fn raise_term(&mut self, term: u64) {
        if term > self.ledger.term {
            self.ledger.term = term;
            self.dirty |= !planted::is(Plant::TermNotSaved);
        }
    }

    fn order(&mut self, order: Arc<Order>, now: Time) {
        if let Some(why) = self.objection(&order) {
            return self.refuse(&order.fence, order.app.clone(), why, now);
        }
        self.raise_term(order.fence.term);
        if self.is_known(&order.fence) {
            return self.repeat(&order.fence);
        }
        if self.unacknowledged().count() >= ATTEMPTS_MAX {
            let why = format!("{ATTEMPTS_MAX} reports wait for the coordinator to acknowledge them");
            return self.refuse(&order.fence, order.app.clone(), why, now);
        }
        // A newer attempt of the same rollout takes the place of one that has not begun.
        self.waiting
            .retain(|waiting| waiting.fence.rollout != order.fence.rollout);
        if self.may_begin(&order.app) {
            return self.begin(order, now);
        }
        if self.waiting.len() >= WAITING_MAX {
            let why = format!("{WAITING_MAX} orders wait already on this host; order it again when some have ended");
            return self.refuse(&order.fence, order.app.clone(), why, now);
        }
        self.waiting.push_back(order);
    }

    /// Why this order is not even looked at.
    fn objection(&self, order: &Order) -> Option<String> {
        let fence = &order.fence;
        if let Some(why) = &self.closed {
            return Some(why.clone());
        }
        if fence.host != self.host {
            return Some(format!("the order is for host {}, this is {}", fence.host, self.host));
        }
        if fence.term < self.ledger.term && !planted::is(Plant::OlderTermObeyed) {
            return Some(format!(
                "the order is of term {}, this host obeys term {}: another coordinator has taken over",
                fence.term, self.ledger.term
            ));
        }
        let newest = self
            .fences()
            .filter(|f| f.rollout == fence.rollout)
            .max_by_key(|f| f.attempt);
        if let Some(newest) = newest
            && !planted::is(Plant::OlderAttemptRun)
            && (fence.attempt < newest.attempt || (fence.attempt == newest.attempt && fence.phase != newest.phase))
        {
            return Some(format!(
                "attempt {fence} is older than {newest}, which this host has taken"
            ));
        }
        None
    }

    fn fences(&self) -> impl Iterator<Item = &Fence> {
        let begun = self.ledger.attempts.iter().map(|attempt| &attempt.fence);
        begun.chain(self.waiting.iter().map(|order| &order.fence))
    }

    fn is_known(&self, fence: &Fence) -> bool {
        self.fences().any(|known| known.same_attempt(fence)) && !planted::is(Plant::DuplicateRun)
    }

    /// An order that came again: answers if it has ended.
    fn repeat(&mut self, fence: &Fence) {
        let Some(attempt) = self.ledger.attempts.iter_mut().find(|a| a.fence.same_attempt(fence)) else {
            return;
        };
        match &mut attempt.progress {
            Progress::Running(_) => {}
            Progress::Ended(report) => {
                if report.sequence != 0 {
                    self.effects.push(Effect::Report(report.clone()));
                }
            }
            Progress::Acknowledged(report) => {
                // Asked for although it was acknowledged: a new report, so that no number is used twice.
                let mut again = report.clone();
                again.sequence = 0;
                attempt.progress = Progress::Ended(again);
                self.dirty = true;
            }
        }
    }

    /// One attempt an app; and the agent's own upgrade alone, which nobody may keep waiting for ever.
    fn may_begin(&self, app: &App) -> bool {
        let running = self.ledger.attempts.iter();
        let running = running.filter(|attempt| matches!(attempt.progress, Progress::Running(_)));
        let running: Vec<&App> = running.map(|attempt| &attempt.app).collect();
        if is_own(app) {
            return running.is_empty();
        }
        let own_waits = self.waiting.iter().any(|order| is_own(&order.app));
        let is_busy = running.iter().any(|busy| *busy == app || is_own(busy));
        !own_waits && running.len() < RUNNING_MAX && (!is_busy || planted::is(Plant::AppsCollide))
    }

    fn begin(&mut self, order: Arc<Order>, now: Time) {
        let progress = match self.misplaced(&order) {
            Some(why) => Progress::Ended(Box::new(Report {
                sequence: 0,
                fence: order.fence.clone(),
                outcome: Outcome::of(PhaseResult::Refused, why),
                started: now,
                ended: now,
                standing: self.standing(order.app.clone()),
            })),
            None => {
                let work = Work {
                    order: order.clone(),
                    started: now,
                    resumed: false,
                };
                if planted::is(Plant::BeginsUnsaved) {
                    self.effects.push(Effect::Start(work));
                } else {
                    self.held.push(work);
                }
                Progress::Running(Box::new((*order).clone()))
            }
        };
        self.ledger.attempts.push(Attempt {
            fence: order.fence.clone(),
            app: order.app.clone(),
            started: now,
            progress,
        });
        self.dirty |= !planted::is(Plant::BeginsUnsaved);
        self.prune();
    }

    /// Why the order makes no sense where the app stands.
    fn misplaced(&self, order: &Order) -> Option<String> {
        let wanted = order.from_state.as_ref()?;
        let stands = self.ledger.apps.get(&order.app)?.state.as_ref()?;
        (stands != wanted && !planted::is(Plant::StateNotCompared)).then(|| {
            let app = &order.app;
            format!("{app} stands in state {stands} on this host, the order is for one in state {wanted}")
        })
    }

    fn ended(&mut self, fence: &Fence, outcome: Outcome, now: Time) {
        let Some(at) = self.ledger.attempts.iter().position(|a| a.fence == *fence) else {
            return;
        };
        let Progress::Running(order) = &self.ledger.attempts[at].progress else {
            return;
        };
        let order = order.clone();
        let outcome = clipped(outcome);
        let standing = self.standing_after(&order, &outcome);
        let attempt = &mut self.ledger.attempts[at];
        attempt.progress = Progress::Ended(Box::new(Report {
            sequence: 0,
            fence: fence.clone(),
            outcome,
            started: attempt.started,
            ended: now,
            standing: standing.clone(),
        }));
        self.ledger.apps.insert(order.app, standing);
        self.dirty = true;
        self.begin_waiting(now);
    }

    fn begin_waiting(&mut self, now: Time) {
        while let Some(at) = self.waiting.iter().position(|order| self.may_begin(&order.app)) {
            let order = self.waiting.remove(at).expect("the position was just found");
            self.begin(order, now);
        }
    }

    fn standing(&self, app: App) -> Standing {
        let known = self.ledger.apps.get(&app).cloned();
        known.unwrap_or_else(|| Standing::unknown(app))
    }

    fn standing_after(&self, order: &Order, outcome: &Outcome) -> Standing {
        if outcome.result.is_success() {
            return Standing {
                app: order.app.clone(),
                error: String::new(),
                ..order.after.clone()
            };
        }
        let mut standing = self.standing(order.app.clone());
        // First contact: where the coordinator says it stands is all anybody knows.
        let from: Option<StateName> = order.from_state.clone();
        standing.state = standing.state.or(from);
        // Of what was not begun nothing can have gone wrong.
        if !matches!(outcome.result, PhaseResult::Refused | PhaseResult::HeldBack) {
            standing.error = if outcome.message.is_empty() {
                format!("{} {}", order.fence.phase, outcome.result)
            } else {
                outcome.message.clone()
            };
        }
        standing
    }

    /// A refusal that the ledger need not hold: the same order would be refused again.
    fn refuse(&mut self, fence: &Fence, app: App, why: String, now: Time) {
        self.ledger.sequence += 1;
        let report = Report {
            sequence: self.ledger.sequence,
            fence: fence.clone(),
            outcome: clipped(Outcome::of(PhaseResult::Refused, why)),
            started: now,
            ended: now,
            standing: self.standing(app),
        };
        // A coordinator that never acknowledges must not fill this host's memory.
        if self.refusals.len() >= ATTEMPTS_MAX {
            self.refusals.remove(0);
        }
        self.refusals.push(report.clone());
        self.effects.push(Effect::Report(Box::new(report)));
    }

    fn acked(&mut self, sequence: u64) {
        self.refusals.retain(|report| report.sequence > sequence);
        for attempt in &mut self.ledger.attempts {
            if let Progress::Ended(report) = &mut attempt.progress
                && report.sequence != 0
                && report.sequence <= sequence
            {
                report.outcome.tail.clear();
                report.outcome.leftovers.clear();
                attempt.progress = Progress::Acknowledged(report.clone());
            }
        }
        // Not worth a write of its own: were it lost, the report would only be sent once more.
        self.prune();
    }

    /// Of acknowledged attempts, only the last of each rollout says anything; of those, the newest are kept. One that is not
    /// saved yet may come to nothing, and says nothing.
    fn prune(&mut self) {
        let attempts = &self.ledger.attempts;
        let is_saved = |fence: &Fence| self.held.iter().all(|work| work.order.fence != *fence);
        let spent = |at: usize| {
            let (this, acked) = (&attempts[at], is_acknowledged(&attempts[at]));
            let newer = |other: &Attempt| {
                let (this, other) = (&this.fence, &other.fence);
                other.rollout == this.rollout && other.attempt > this.attempt && is_saved(other)
            };
            acked && attempts.iter().any(newer)
        };
        let mut keep: Vec<bool> = (0..attempts.len()).map(|at| !spent(at)).collect();
        let acknowledged = (0..attempts.len()).filter(|at| keep[*at] && is_acknowledged(&attempts[*at]));
        let acknowledged: Vec<usize> = acknowledged.collect();
        for at in acknowledged
            .iter()
            .take(acknowledged.len().saturating_sub(ATTEMPTS_MAX))
        {
            keep[*at] = false;
        }
        let mut keep = keep.into_iter();
        self.ledger.attempts.retain(|_| keep.next().unwrap_or(true));
    }
}

fn is_own(app: &App) -> bool {
    app.as_str() == upgrade::APP
}

const fn is_acknowledged(attempt: &Attempt) -> bool {
    matches!(attempt.progress, Progress::Acknowledged(_))
}

/// Holds message and tail to what the link promises.
fn clipped(mut outcome: Outcome) -> Outcome {
    if let Some((cut, _)) = outcome.message.char_indices().nth(MESSAGE_CHARS_MAX) {
        outcome.message.truncate(cut);
    }
    if outcome.tail.len() > TAIL_BYTES_MAX {
        let mut from = outcome.tail.len() - TAIL_BYTES_MAX;
        while !outcome.tail.is_char_boundary(from) {
            from += 1;
        }
        outcome.tail.drain(..from);
    }
    outcome.leftovers.truncate(LEFTOVERS_MAX);
    outcome
}

#[cfg(test)]
mod tests;
