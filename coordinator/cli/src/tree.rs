//! A rollout as a tree of lines: what stands where, what runs, what waits and for whom, what failed. A pure function of
//! the rollout, the width and the time, so that the live screen, a single `status` and the tests show the same.

mod tally;

use echelon_proto::wire::control::{Gate, HostFailure, Lane, Rollout, RolloutState, Wave};
use jiff::Timestamp;

use crate::{
    line::{Line, Style, harmless},
    name, when,
};

pub(crate) use tally::Tally;

/// Columns of a lane's bar.
const BAR_COLUMNS: usize = 20;
/// Last lines of a failed phase's output that are shown.
const TAIL_LINES_MAX: usize = 5;
/// Failures shown whole; of the others the first line.
const WHOLE_FAILURES_MAX: usize = 3;

/// What a glyph says, with its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Good,
    Bad,
    Active,
    Warn,
    Pending,
}

impl Mark {
    const fn glyph(self) -> &'static str {
        match self {
            Self::Good => "✔",
            Self::Bad => "✖",
            Self::Active => "◌",
            Self::Warn => "⚠",
            Self::Pending => "•",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Good => Style::Good,
            Self::Bad => Style::Bad,
            Self::Active => Style::Active,
            Self::Warn => Style::Warn,
            Self::Pending => Style::Dim,
        }
    }

    /// Of the words that lanes, waves and gates use for their states.
    fn of(state: &str) -> Self {
        match state {
            "done" | "passed" => Self::Good,
            "failed" | "stopped" => Self::Bad,
            "rolling" | "baking" | "gating" | "stopping" | "rolling back" | "waiting" => Self::Active,
            "held" | "rolled back" => Self::Warn,
            _ => Self::Pending,
        }
    }

    fn of_rollout(state: RolloutState) -> Self {
        match state {
            RolloutState::Succeeded => Self::Good,
            RolloutState::Failed | RolloutState::Aborted | RolloutState::Expired => Self::Bad,
            RolloutState::Running | RolloutState::RollingBack => Self::Active,
            RolloutState::AwaitingApproval
            | RolloutState::Held
            | RolloutState::RolledBack
            | RolloutState::SucceededWithDebt => Self::Warn,
            RolloutState::Unspecified | RolloutState::Scheduled | RolloutState::Queued => Self::Pending,
        }
    }

    fn line(self, indent: usize) -> Line {
        Line::new()
            .plain(" ".repeat(indent))
            .push(self.style(), self.glyph())
            .plain(" ")
    }
}

/// The word for a state: `ROLLING BACK`.
#[must_use]
pub(crate) fn state_word(state: RolloutState) -> String {
    state
        .as_str_name()
        .trim_start_matches("ROLLOUT_STATE_")
        .replace('_', " ")
}

/// The whole tree, no line wider than `width`.
#[must_use]
pub fn tree(rollout: &Rollout, width: usize, now: Timestamp) -> Vec<Line> {
    let mut lines = vec![headline(rollout, now)];
    lines.extend(reasons(rollout));
    lines.extend(ahead(rollout));
    let widest = |len: &dyn Fn(&Lane) -> usize| rollout.lanes.iter().map(len).max().unwrap_or(0);
    let names = widest(&|lane| lane.datacenter.chars().count());
    let states = widest(&|lane| lane.state.chars().count());
    for lane in &rollout.lanes {
        lines.push(lane_line(lane, names, states, now));
        lines.extend(waves(lane, now));
    }
    lines.extend(waiting(rollout));
    lines.extend(failures(rollout, WHOLE_FAILURES_MAX));
    lines.into_iter().map(|line| line.cut(width)).collect()
}

/// One line of the rollout as a whole.
#[must_use]
pub(crate) fn headline(rollout: &Rollout, now: Timestamp) -> Line {
    let state = rollout.state();
    let mark = Mark::of_rollout(state);
    let tally = Tally::of_rollout(rollout);
    let line = mark
        .line(0)
        .push(Style::Bold, name_of(rollout))
        .plain(format!("  {} {}  ", rollout.app, rollout.release))
        .push(mark.style(), state_word(state))
        .push(Style::Dim, format!("  {}  ", rollout.playbook))
        .plain(tally.hosts_word());
    let line = counts(line, tally);
    match elapsed(rollout, now) {
        Some(elapsed) => line.push(Style::Dim, format!("  {elapsed}")),
        None => line,
    }
}

/// How far the artifact is with the hosts that wait.
fn ahead(rollout: &Rollout) -> Option<Line> {
    let ahead = rollout.ahead?;
    let mut text = format!("  artifact on {} of {} hosts that wait", ahead.ready, ahead.hosts);
    for (hosts, what) in [
        (ahead.fetching, "fetch it"),
        (ahead.failed, "could not"),
        (ahead.unreachable, "cannot be reached"),
    ] {
        if hosts > 0 {
            text += &format!(", {hosts} {what}");
        }
    }
    Some(Line::new().push(Style::Dim, text))
}

/// A rollout that is only rehearsed has no name.
fn name_of(rollout: &Rollout) -> &str {
    match name::id(&rollout.name) {
        "" => "rehearsal",
        id => id,
    }
}

fn elapsed(rollout: &Rollout, now: Timestamp) -> Option<String> {
    let started = when::stamp(rollout.start_time.as_ref());
    if let (None, Some(at)) = (started, when::stamp(rollout.schedule_time.as_ref())) {
        if rollout.end_time.is_some() {
            return None;
        }
        return Some(if at > now {
            format!("starts in {}", when::took(now, at))
        } else {
            "due".into()
        });
    }
    let end = when::stamp(rollout.end_time.as_ref()).unwrap_or(now);
    started.map(|started| when::took(started, end))
}

fn reasons(rollout: &Rollout) -> Option<Line> {
    (!rollout.state_reason.is_empty()).then(|| Line::new().plain("  ").plain(&rollout.state_reason))
}

fn lane_line(lane: &Lane, names: usize, states: usize, now: Timestamp) -> Line {
    let mark = Mark::of(&lane.state);
    let tally = Tally::of_lane(lane);
    let filled = tally.filled(BAR_COLUMNS);
    let line = mark
        .line(2)
        .push(Style::Bold, format!("{:names$}", lane.datacenter))
        .push(mark.style(), format!("  {:states$}  ", lane.state))
        .push(mark.style(), "█".repeat(filled))
        .push(Style::Dim, "░".repeat(BAR_COLUMNS - filled))
        .plain(format!(" {}", tally.fraction()));
    let line = counts(line, tally);
    match tally::estimate(lane, now) {
        Some(left) => line.push(Style::Dim, format!("  ~{left} left")),
        None => line,
    }
}

fn counts(mut line: Line, tally: Tally) -> Line {
    for (count, word, style) in [
        (tally.failed, "✖ {} failed", Style::Bad),
        (tally.debt, "⚠ {} debt", Style::Warn),
        (tally.rolled_back, "⚠ {} rolled back", Style::Warn),
        (tally.skipped, "{} skipped", Style::Dim),
    ] {
        if count > 0 {
            line = line.plain("  ").push(style, word.replace("{}", &count.to_string()));
        }
    }
    line
}

fn waves(lane: &Lane, now: Timestamp) -> Vec<Line> {
    let names = lane
        .waves
        .iter()
        .map(|wave| wave.wave.chars().count())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for wave in &lane.waves {
        lines.push(wave_line(wave, names, now));
        let open = wave.gates.iter().filter(|gate| gate.state != "passed");
        let gating = matches!(wave.state.as_str(), "baking" | "gating" | "failed" | "held");
        lines.extend(open.filter(|gate| gating || gate.state == "failed").map(gate_line));
    }
    lines
}

fn wave_line(wave: &Wave, names: usize, now: Timestamp) -> Line {
    let mark = Mark::of(&wave.state);
    let tally = Tally::of_wave(wave);
    let mut line = mark
        .line(4)
        .plain(format!("{:names$}  {:>7}  ", wave.wave, tally.fraction()))
        .push(mark.style(), &wave.state);
    line = counts(line, tally);
    let mut phases: Vec<_> = wave.phases.iter().filter(|(_, hosts)| **hosts > 0).collect();
    phases.sort();
    if !phases.is_empty() {
        let running: Vec<_> = phases.iter().map(|(phase, hosts)| format!("{phase} {hosts}")).collect();
        line = line.push(Style::Active, format!("  {}", running.join(", ")));
    }
    if let (Some(end), "baking") = (when::stamp(wave.bake_end_time.as_ref()), wave.state.as_str()) {
        line = line.push(Style::Dim, format!("  bakes {} more", when::took(now, end)));
    }
    for gate in wave.gates.iter().filter(|gate| gate.state == "passed") {
        line = line.plain("  ").push(Style::Good, format!("✔ {}", gate.gate));
    }
    line
}

fn gate_line(gate: &Gate) -> Line {
    let mark = match (gate.kind.as_str(), gate.state.as_str()) {
        ("approval", "waiting") => Mark::Warn,
        (_, state) => Mark::of(state),
    };
    let line = mark
        .line(6)
        .push(mark.style(), format!("gate {}", gate.gate))
        .plain(format!(" {}", gate.state));
    if gate.detail.is_empty() {
        line
    } else {
        line.plain(format!(": {}", gate.detail))
    }
}

/// What the rollout waits for (people, mostly), and where to read who can act.
#[must_use]
pub(crate) fn waiting(rollout: &Rollout) -> Vec<Line> {
    let mut lines: Vec<_> = rollout
        .waiting
        .iter()
        .map(|what| Mark::Warn.line(2).push(Style::Warn, "waits: ").plain(what))
        .collect();
    if !lines.is_empty() && !rollout.name.is_empty() {
        let explain = format!("echelon rollout explain {}", name::id(&rollout.name));
        lines.push(Line::new().push(Style::Dim, "    who can act and how: ").plain(explain));
    }
    lines
}

/// The hosts that failed: phase, attempt, exit code and message, and for the first `whole` of them the last lines.
#[must_use]
pub(crate) fn failures(rollout: &Rollout, whole: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, failure) in rollout.failures.iter().enumerate() {
        lines.push(failure_line(failure));
        if at < whole {
            lines.extend(tail(&failure.tail));
        }
    }
    lines
}

fn failure_line(failure: &HostFailure) -> Line {
    let mut what = format!(
        " ({}) phase {} attempt {} {}",
        failure.datacenter,
        failure.phase,
        failure.attempt,
        failure.result.replace('_', " ")
    );
    if let Some(code) = failure.exit_code {
        what += &format!(", exit code {code}");
    }
    if let Some(signal) = failure.signal {
        what += &format!(", signal {signal}");
    }
    let line = Mark::Bad.line(2).push(Style::Bad, &failure.host).plain(what);
    if failure.message.is_empty() {
        line
    } else {
        line.plain(format!(": {}", failure.message))
    }
}

fn tail(text: &str) -> Vec<Line> {
    let lines: Vec<_> = text
        .lines()
        .map(harmless)
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = lines.len().saturating_sub(TAIL_LINES_MAX);
    lines[from..]
        .iter()
        .map(|line| Line::new().push(Style::Dim, "      │ ").plain(line))
        .collect()
}

#[cfg(test)]
mod tests;
