//! `report`: what a rollout did, to whom, how long, and who decided.

use std::collections::HashMap;

use echelon_proto::wire::control::{Decision, GetReportRequest, HostReport, PhaseTime, Report};
use jiff::Timestamp;

use super::{Outcome, Session, rollout::lost};
use crate::{
    args::{self, ReportFormat},
    client::ask,
    console::Format,
    exit::Exit,
    follow::event_line,
    line::{Line, Style},
    tree, when,
};

pub(super) async fn run(args: &args::Report, mut session: Session<'_>) -> Outcome {
    let request = ask(GetReportRequest {
        name: args.rollout.resource(),
    });
    let report = session.client.get_report(request).await.map_err(lost)?.into_inner();
    match args.output {
        ReportFormat::Json => session.console.json(&report, Format::Json)?,
        ReportFormat::Text => session.console.lines(&text(&report, Timestamp::now()))?,
    }
    Ok(Exit::Done)
}

fn text(report: &Report, now: Timestamp) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(rollout) = &report.rollout {
        lines.push(tree::headline(rollout, now));
        let times = [
            ("created", when::shown(rollout.create_time.as_ref())),
            ("by", rollout.created_by.clone()),
            ("started", when::shown(rollout.start_time.as_ref())),
            ("ended", when::shown(rollout.end_time.as_ref())),
            ("reason", rollout.reason.clone()),
            ("state", rollout.state_reason.clone()),
        ];
        let said = times.into_iter().filter(|(_, value)| !value.is_empty());
        lines.extend(said.map(|(what, value)| Line::new().plain(format!("  {what:8} {value}"))));
    }
    section(&mut lines, "Hosts by outcome", counts(&report.outcomes));
    section(&mut lines, "Where the time went", accounts(&report.time_account_ms));
    section(&mut lines, "Phases", phases(&report.phase_times));
    section(&mut lines, "Decisions", report.decisions.iter().map(decision).collect());
    let people = report.human_actions.iter().map(|event| indented(&event_line(event)));
    section(&mut lines, "What people did", people.collect());
    section(&mut lines, "Hosts", report.hosts.iter().map(host).collect());
    if let Some(rollout) = &report.rollout {
        section(&mut lines, "First failures", tree::failures(rollout, usize::MAX));
    }
    lines
}

fn section(lines: &mut Vec<Line>, title: &str, body: Vec<Line>) {
    if !body.is_empty() {
        lines.push(Line::new());
        lines.push(Line::new().push(Style::Bold, title));
        lines.extend(body);
    }
}

fn indented(line: &Line) -> Line {
    Line::new().plain("  ").plain(line.text())
}

fn counts(outcomes: &HashMap<String, u32>) -> Vec<Line> {
    let mut outcomes: Vec<_> = outcomes.iter().collect();
    outcomes.sort();
    let line = |(outcome, hosts): (&String, &u32)| Line::new().plain(format!("  {:14} {hosts:>6}", words(outcome)));
    outcomes.into_iter().map(line).collect()
}

fn accounts(accounts: &HashMap<String, u64>) -> Vec<Line> {
    let total: u64 = accounts.values().sum();
    let mut accounts: Vec<_> = accounts.iter().filter(|(_, ms)| **ms > 0).collect();
    accounts.sort_by_key(|(what, ms)| (std::cmp::Reverse(**ms), *what));
    let line = |(what, ms): (&String, &u64)| {
        let share = ms * 100 / total.max(1);
        Line::new().plain(format!("  {:20} {:>10} {share:>4} %", words(what), millis(*ms)))
    };
    accounts.into_iter().map(line).collect()
}

fn phases(times: &[PhaseTime]) -> Vec<Line> {
    if times.is_empty() {
        return Vec::new();
    }
    let row = |phase: &str, cells: [&str; 4]| {
        let [count, p50, p95, max] = cells;
        Line::new().plain(format!("  {phase:20} {count:>6} {p50:>10} {p95:>10} {max:>10}"))
    };
    let mut lines = vec![row("", ["hosts", "p50", "p95", "max"])];
    lines.extend(times.iter().map(|time| {
        let cells = [
            time.count.to_string(),
            millis(time.p50_ms),
            millis(time.p95_ms),
            millis(time.max_ms),
        ];
        row(&time.phase, cells.each_ref().map(String::as_str))
    }));
    lines
}

fn decision(decision: &Decision) -> Line {
    let (glyph, style) = match decision.verdict.as_str() {
        "pass" => ("✔", Style::Good),
        "fail" => ("✖", Style::Bad),
        _ => ("⚠", Style::Warn),
    };
    let line = Line::new()
        .plain("  ")
        .push(style, glyph)
        .push(Style::Dim, format!(" {}  ", when::shown(decision.time.as_ref())))
        .plain(format!(
            "{}/{} gate {}: {}",
            decision.datacenter, decision.wave, decision.gate, decision.verdict
        ));
    let line = if decision.rule.is_empty() {
        line
    } else {
        line.plain(format!(" → {}", decision.rule))
    };
    if decision.evidence.is_empty() {
        line
    } else {
        line.push(Style::Dim, format!("  ({})", decision.evidence))
    }
}

fn host(host: &HostReport) -> Line {
    let (glyph, style) = match host.outcome.as_str() {
        "done" => ("✔", Style::Good),
        "failed" => ("✖", Style::Bad),
        "skipped" | "debt" | "rolled_back" | "unfinished" => ("⚠", Style::Warn),
        _ => ("•", Style::Dim),
    };
    let from = if host.from_release.is_empty() {
        "nothing"
    } else {
        &host.from_release
    };
    let now = if host.release.is_empty() {
        "nothing"
    } else {
        &host.release
    };
    let line = Line::new().plain("  ").push(style, glyph).plain(format!(
        " {}  {}/{}  {}  {from} → {now} ({})",
        host.host,
        host.datacenter,
        host.wave,
        words(&host.outcome),
        host.state
    ));
    if host.message.is_empty() {
        line
    } else {
        line.plain(format!("  {}", host.message))
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// `850ms`, `1.2s`, `4m12s`.
fn millis(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => {
            let end = i64::try_from(ms / 1000)
                .ok()
                .and_then(|secs| Timestamp::from_second(secs).ok());
            end.map_or_else(|| format!("{ms}ms"), |end| when::took(Timestamp::UNIX_EPOCH, end))
        }
    }
}

#[cfg(test)]
mod tests {
    use echelon_proto::wire::control::{Event, Rollout, RolloutState};

    use super::*;

    #[test]
    fn a_report_as_people_read_it() {
        let at = |secs: i64| Some(when::wire(Timestamp::from_second(1_795_262_400 + secs).unwrap()));
        let host = |name: &str, outcome: &str, message: &str| HostReport {
            host: name.into(),
            datacenter: "dc1".into(),
            wave: "canary".into(),
            outcome: outcome.into(),
            from_release: "1.0.0".into(),
            release: "1.1.0".into(),
            state: "serving".into(),
            message: message.into(),
        };
        let report = Report {
            rollout: Some(Rollout {
                name: "apps/web/rollouts/r7".into(),
                app: "web".into(),
                release: "1.1.0".into(),
                playbook: "web@3".into(),
                state: RolloutState::Succeeded.into(),
                create_time: at(0),
                start_time: at(1),
                end_time: at(253),
                created_by: "ann".into(),
                reason: "the fix for 4711".into(),
                ..Rollout::default()
            }),
            outcomes: [("done".into(), 19), ("rolled_back".into(), 1)].into(),
            phase_times: vec![PhaseTime {
                phase: "install".into(),
                count: 20,
                p50_ms: 850,
                p95_ms: 1250,
                max_ms: 252_000,
            }],
            time_account_ms: [
                ("working".into(), 63_000),
                ("waiting_for_people".into(), 189_000),
                ("queued".into(), 0),
            ]
            .into(),
            decisions: vec![Decision {
                time: at(60),
                datacenter: "dc1".into(),
                wave: "canary".into(),
                gate: "health".into(),
                verdict: "pass".into(),
                rule: "proceed".into(),
                evidence: "1 of 1 hosts healthy".into(),
            }],
            human_actions: vec![Event {
                time: at(249),
                text: "approved go: looks fine".into(),
                actor: "bob".into(),
                ..Event::default()
            }],
            hosts: vec![host("web-1", "done", ""), host("web-2", "failed", "exit code 1")],
        };
        let shown: String = text(&report, Timestamp::UNIX_EPOCH)
            .iter()
            .map(|line| line.text() + "\n")
            .collect();
        insta::assert_snapshot!(shown);
    }
}
