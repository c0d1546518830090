//! Drift for the eye: red and green, an app and its datacenters under it, in each the hosts that differ and why. What has
//! drifted is the coordinator's to say; here is only how it looks.

use echelon_proto::wire::control::{Drift, DriftSummary};

use crate::line::{Line, Style, counted};

/// Verdicts in the order in which they are counted out, with how each looks.
const VERDICTS: [(&str, Style); 8] = [
    ("in_line", Style::Good),
    ("in_progress", Style::Active),
    ("missing", Style::Bad),
    ("wrong_release", Style::Bad),
    ("wrong_state", Style::Bad),
    ("error", Style::Bad),
    ("unexpected", Style::Bad),
    ("unreachable", Style::Bad),
];

/// Verdicts that a plan can mend.
const MENDABLE: [&str; 4] = ["missing", "wrong_release", "wrong_state", "error"];

/// Whether `converge` may have something to plan there.
#[must_use]
pub(crate) fn can_converge(summary: &DriftSummary) -> bool {
    MENDABLE.iter().any(|verdict| summary.verdicts.contains_key(*verdict))
}

/// All of it, an app after the other.
#[must_use]
pub(crate) fn lines(summaries: &[DriftSummary], drifts: &[Drift], wide: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    for apps in summaries.chunk_by(|a, b| a.app == b.app) {
        let drifted = apps.iter().any(|summary| summary.drifted);
        let app = apps.first().map(|summary| summary.app.as_str()).unwrap_or_default();
        let (style, glyph) = mark(
            drifted,
            apps.iter().any(|summary| summary.verdicts.contains_key("in_progress")),
        );
        lines.push(Line::new().push(style, glyph).push(Style::Bold, app));
        for summary in apps {
            let here = |drift: &&Drift| drift.app == summary.app && drift.datacenter == summary.datacenter;
            let hosts: Vec<_> = drifts.iter().filter(here).collect();
            lines.push(datacenter(summary));
            lines.extend(rows(&hosts, wide));
        }
    }
    lines
}

fn mark(drifted: bool, moving: bool) -> (Style, &'static str) {
    match (drifted, moving) {
        (true, _) => (Style::Bad, "✖ "),
        (false, true) => (Style::Active, "◌ "),
        (false, false) => (Style::Good, "✔ "),
    }
}

/// `  ✖ dc1  6 hosts: 4 in line, 1 missing, 1 error`
fn datacenter(summary: &DriftSummary) -> Line {
    let (style, glyph) = mark(summary.drifted, summary.verdicts.contains_key("in_progress"));
    let hosts = counted(summary.hosts as usize, "host");
    let mut line = Line::new()
        .plain("  ")
        .push(style, glyph)
        .plain(format!("{}  {hosts}: ", summary.datacenter));
    let counts = VERDICTS.iter().filter_map(|(verdict, style)| {
        let hosts = summary.verdicts.get(*verdict)?;
        Some((format!("{hosts} {}", words(verdict)), *style))
    });
    for (index, (count, style)) in counts.enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        line = line.plain(comma).push(style, count);
    }
    line
}

/// The hosts of one datacenter, verdicts and whys under one another.
fn rows(drifts: &[&Drift], wide: bool) -> Vec<Line> {
    let widest = |text: fn(&Drift) -> String| {
        drifts
            .iter()
            .map(|drift| text(drift).chars().count())
            .max()
            .unwrap_or(0)
    };
    let (hosts, verdicts) = (
        widest(|drift| drift.host.clone()),
        widest(|drift| words(&drift.verdict)),
    );
    let row = |drift: &&Drift| {
        let (style, glyph) = look(&drift.verdict);
        let verdict = words(&drift.verdict);
        let line = Line::new()
            .plain("      ")
            .push(style, glyph)
            .plain(format!("{:hosts$}  ", drift.host))
            .push(style, format!("{verdict:verdicts$}"));
        match (drift.verdict.as_str(), wide) {
            ("in_line", false) => line.plain(format!("  {}", stands(&drift.live_state, &drift.live_release))),
            (_, false) => line.plain(format!("  {}", drift.why)),
            (_, true) => line.plain(everything(drift)),
        }
    };
    drifts.iter().map(row).collect()
}

/// `  pool front  should: serving 1.1 (r7)  stands: stopped 1.0  why`
fn everything(drift: &Drift) -> String {
    let should = if drift.desired_state.is_empty() {
        "-".to_owned()
    } else {
        let place = stands(&drift.desired_state, &drift.desired_release);
        format!("{place} ({})", drift.desired_by)
    };
    let stands = if drift.live_state.is_empty() {
        "-".to_owned()
    } else {
        stands(&drift.live_state, &drift.live_release)
    };
    // Of those that stand otherwise than they should, the two places have said it.
    let said = ["missing", "wrong_release", "wrong_state"].contains(&drift.verdict.as_str());
    let why = if drift.why.is_empty() || said {
        String::new()
    } else {
        format!("  {}", drift.why)
    };
    format!("  pool {}  should: {should}  stands: {stands}{why}", drift.pool)
}

/// `serving 1.1`
fn stands(state: &str, release: &str) -> String {
    format!("{state} {release}").trim_end().to_owned()
}

fn look(verdict: &str) -> (Style, &'static str) {
    let known = VERDICTS.iter().find(|(known, _)| *known == verdict);
    // One that a newer coordinator knows and we do not is no good news.
    match known.map_or(Style::Bad, |(_, style)| *style) {
        Style::Good => (Style::Good, "✔ "),
        Style::Active => (Style::Active, "◌ "),
        style => (style, "✖ "),
    }
}

fn words(verdict: &str) -> String {
    verdict.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift(datacenter: &str, host: &str, verdict: &str, why: &str, live: (&str, &str)) -> Drift {
        Drift {
            app: "web".into(),
            datacenter: datacenter.into(),
            pool: "front".into(),
            host: host.into(),
            verdict: verdict.into(),
            why: why.into(),
            desired_state: if verdict == "unexpected" { "" } else { "serving" }.into(),
            desired_release: if verdict == "unexpected" { "" } else { "1.1" }.into(),
            desired_by: "r7".into(),
            live_state: live.0.into(),
            live_release: live.1.into(),
            live_error: String::new(),
        }
    }

    fn summary(app: &str, datacenter: &str, drifted: bool, verdicts: &[(&str, u32)]) -> DriftSummary {
        DriftSummary {
            app: app.into(),
            datacenter: datacenter.into(),
            hosts: verdicts.iter().map(|(_, hosts)| hosts).sum(),
            verdicts: verdicts
                .iter()
                .map(|(name, hosts)| ((*name).to_owned(), *hosts))
                .collect(),
            drifted,
        }
    }

    #[test]
    fn every_verdict_has_its_glyph_and_its_reason() {
        let drifts = [
            drift(
                "dc1",
                "web-1",
                "missing",
                "should stand in serving on 1.1 by r7",
                ("", ""),
            ),
            drift(
                "dc1",
                "web-2",
                "wrong_release",
                "stands in serving on 1.0",
                ("serving", "1.0"),
            ),
            drift(
                "dc1",
                "web-3",
                "wrong_state",
                "stands in stopped on 1.1",
                ("stopped", "1.1"),
            ),
            drift("dc1", "web-4", "error", "start: exit\x1b[2J code 1", ("stopped", "1.1")),
            drift(
                "dc1",
                "web-10",
                "unexpected",
                "nothing says that it should be there",
                ("serving", "0.9"),
            ),
            drift("dc2", "web-5", "in_progress", "r8 is at work on it", ("stopped", "1.0")),
            drift("dc2", "web-6", "in_line", "", ("serving", "1.1")),
            drift(
                "dc3",
                "web-7",
                "unreachable",
                "not reachable since 14:00",
                ("serving", "1.1"),
            ),
        ];
        let summaries = [
            summary("api", "dc1", false, &[("in_line", 3)]),
            summary(
                "web",
                "dc1",
                true,
                &[
                    ("in_line", 4),
                    ("missing", 1),
                    ("wrong_release", 1),
                    ("wrong_state", 1),
                    ("error", 1),
                    ("unexpected", 1),
                ],
            ),
            summary("web", "dc2", false, &[("in_line", 1), ("in_progress", 1)]),
            summary("web", "dc3", true, &[("unreachable", 1)]),
        ];
        let text = |wide| {
            lines(&summaries, &drifts, wide)
                .iter()
                .map(|line| line.text() + "\n")
                .collect::<String>()
        };
        insta::assert_snapshot!(format!("{}\n{}", text(false), text(true)));
    }

    #[test]
    fn drift_is_red_and_what_is_in_line_green() {
        let paint = |drifted, verdict| {
            let all = lines(&[summary("web", "dc1", drifted, &[(verdict, 1)])], &[], false);
            all.iter().map(|line| line.paint(true)).collect::<String>()
        };
        let (red, green) = ("\x1b[31m", "\x1b[32m");
        assert!(paint(true, "missing").contains(red) && !paint(true, "missing").contains(green));
        assert!(paint(false, "in_line").contains(green) && !paint(false, "in_line").contains(red));
    }
}
