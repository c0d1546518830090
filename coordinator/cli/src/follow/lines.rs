//! A rollout as lines for a pipe or a job's console: one line a change, and a sign of life each minute in which nothing
//! changed. Never a cursor movement.

use std::time::Duration;

use echelon_proto::wire::control::{Event, Rollout, WatchRolloutResponse};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    line::{Line, Style},
    tree, when,
};

const HEARTBEAT: Duration = Duration::from_secs(60);

/// What was said so far.
#[derive(Debug)]
pub(super) struct Lines {
    spoke: Instant,
    waiting: Vec<String>,
}

impl Lines {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            spoke: now,
            waiting: Vec::new(),
        }
    }

    /// The new events, and what waits for a person when that has changed.
    pub(super) fn change(&mut self, change: &WatchRolloutResponse, now: Instant) -> Vec<Line> {
        let mut lines: Vec<_> = change.events.iter().map(event_line).collect();
        if let Some(rollout) = &change.rollout
            && rollout.waiting != self.waiting
        {
            self.waiting.clone_from(&rollout.waiting);
            lines.extend(tree::waiting(rollout));
        }
        if !lines.is_empty() {
            self.spoke = now;
        }
        lines
    }

    /// The sign of life, when it is due.
    pub(super) fn heartbeat(&mut self, rollout: &Rollout, now: Instant, time: Timestamp) -> Option<Line> {
        if now.duration_since(self.spoke) < HEARTBEAT {
            return None;
        }
        self.spoke = now;
        let stamp = Line::new().push(Style::Dim, format!("{time:.0}  "));
        Some(stamp.plain(tree::headline(rollout, time).text()))
    }
}

/// `2026-11-21T12:00:03Z  dc1/canary/web-3  install  phase ended: done  (by ann)`
#[must_use]
pub(crate) fn event_line(event: &Event) -> Line {
    let place: Vec<_> = [&event.datacenter, &event.wave, &event.host]
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(String::as_str)
        .collect();
    let mut line = Line::new().push(Style::Dim, when::shown(event.time.as_ref()));
    for (style, part) in [(Style::Bold, place.join("/").as_str()), (Style::Active, &event.phase)] {
        if !part.is_empty() {
            line = line.plain("  ").push(style, part);
        }
    }
    let said = if event.text.is_empty() {
        event.kind.replace('_', " ")
    } else {
        event.text.clone()
    };
    line = line.plain("  ").plain(said);
    if event.actor.is_empty() {
        line
    } else {
        line.push(Style::Dim, format!("  (by {})", event.actor))
    }
}

#[cfg(test)]
mod tests {
    use echelon_proto::wire::control::RolloutState;

    use super::*;

    fn event() -> Event {
        Event {
            sequence: 4,
            time: Some(prost_types::Timestamp {
                seconds: 1_795_262_403,
                nanos: 0,
            }),
            kind: "phase_ended".into(),
            datacenter: "dc1".into(),
            wave: "canary".into(),
            host: "web-3".into(),
            phase: "install".into(),
            text: "failed: exit code 1".into(),
            actor: String::new(),
        }
    }

    #[test]
    fn an_event_is_one_line() {
        let act = Event {
            datacenter: String::new(),
            wave: String::new(),
            host: String::new(),
            phase: String::new(),
            kind: "rollout_paused".into(),
            text: String::new(),
            actor: "ann".into(),
            ..event()
        };
        assert_eq!(
            event_line(&event()).text(),
            "2026-11-21T12:00:03Z  dc1/canary/web-3  install  failed: exit code 1"
        );
        assert_eq!(
            event_line(&act).text(),
            "2026-11-21T12:00:03Z  rollout paused  (by ann)"
        );
    }

    #[test]
    fn a_quiet_minute_gets_a_sign_of_life_and_a_busy_one_none() {
        let start = Instant::now();
        let mut lines = Lines::new(start);
        let rollout = Rollout {
            name: "apps/web/rollouts/r7".into(),
            state: RolloutState::Running.into(),
            ..Rollout::default()
        };
        let time = Timestamp::UNIX_EPOCH;
        let after = |secs| start + Duration::from_secs(secs);
        assert!(lines.heartbeat(&rollout, after(59), time).is_none());
        assert!(lines.heartbeat(&rollout, after(60), time).is_some());
        assert!(lines.heartbeat(&rollout, after(61), time).is_none());
        let change = WatchRolloutResponse {
            rollout: None,
            events: vec![event()],
        };
        assert_eq!(lines.change(&change, after(110)).len(), 1);
        assert!(lines.heartbeat(&rollout, after(130), time).is_none());
        let beat = lines.heartbeat(&rollout, after(171), time).unwrap().text();
        assert!(beat.contains("r7") && beat.contains("RUNNING"), "{beat}");
    }

    #[test]
    fn what_waits_for_a_person_is_said_once() {
        let now = Instant::now();
        let mut lines = Lines::new(now);
        let change = WatchRolloutResponse {
            rollout: Some(Rollout {
                waiting: vec!["approve: go in dc1".into()],
                ..Rollout::default()
            }),
            events: vec![],
        };
        assert!(lines.change(&change, now)[0].text().contains("approve: go in dc1"));
        assert!(lines.change(&change, now).is_empty());
    }
}
