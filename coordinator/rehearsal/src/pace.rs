//! The question: how long does a phase take on a made-up day?
//!
//! The rule: as long as `--slow` says, else as its kind usually does, half as long or half as long again, drawn for this
//! host, phase and attempt. Whole seconds, because nobody plans a night by milliseconds, and because hosts that end
//! together are one turn of the engine, as they are on a busy coordinator.
//!
//! Worked example: an install usually takes 30 s, so 15 to 45. With a timeout of 40 s a draw of 43 becomes 36: chance
//! alone never makes a phase time out. `--slow install=1m` does: the phase ends at its timeout, as one that hangs.

use echelon_engine::{effect::Order, event::PhaseResult};
use echelon_playbooks::model::{Action, ArtifactVerb, BalancerVerb, Repeat};
use echelon_proto::Span;

use crate::chance::draw;

/// An order with which nothing is run is only taken down.
const NOTHING_RUNS: Span = Span::secs(1);

/// How long the phase takes, and whether it ends by itself.
pub(crate) fn of(order: &Order, slow: Option<Span>, seed: u64) -> (Span, PhaseResult) {
    let Some(action) = &order.action else {
        return (NOTHING_RUNS, PhaseResult::Done);
    };
    let took = slow.unwrap_or_else(|| drawn(order, action, seed));
    if took < order.timeout {
        (took, PhaseResult::Done)
    } else {
        (order.timeout, PhaseResult::TimedOut)
    }
}

fn drawn(order: &Order, action: &Action<String>, seed: u64) -> Span {
    let fence = &order.fence;
    let percent = 50 + draw(seed, &[fence.host.as_str(), fence.phase.as_str()], fence.attempt) % 101;
    let took = Span(usual(action).0.saturating_mul(percent) / 100);
    let whole = Span::secs((took.0 / 1000).max(1));
    if whole < order.timeout {
        whole
    } else {
        Span((order.timeout.0 * 9 / 10).max(1))
    }
}

/// What such a thing usually takes. Nobody's measurement: a figure to begin with, which `--slow` replaces.
fn usual(action: &Action<String>) -> Span {
    match action {
        Action::Run(_) => Span::secs(8),
        Action::Http(check) => repeated(check.repeat),
        Action::Tcp(check) => repeated(check.repeat),
        Action::Systemd { .. } => Span::secs(4),
        // It holds at the third time it is asked.
        Action::Poll(poll) => Span(2000 + poll.every.0.saturating_mul(2)),
        Action::File(_) => Span::secs(1),
        Action::Balancer(place) => match place.verb {
            BalancerVerb::Drain => Span::secs(2),
            BalancerVerb::AwaitSessions { .. } => Span::secs(30),
            BalancerVerb::Admit => Span::secs(5),
        },
        Action::Artifact { verb, .. } => match verb {
            ArtifactVerb::Fetch | ArtifactVerb::Install => Span::secs(30),
            ArtifactVerb::Activate => Span::secs(2),
            ArtifactVerb::Remove | ArtifactVerb::Prune => Span::secs(5),
        },
    }
}

/// Until it holds for the first time, then as often as it must.
fn repeated(repeat: Repeat) -> Span {
    Span(2000 + repeat.interval.0 * u64::from(repeat.consecutive))
}
