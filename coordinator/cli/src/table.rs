//! Lists and things as tables for the eye. Which columns a thing has is said here, in one place a thing.

use comfy_table::{ContentArrangement, Table, presets};
use echelon_proto::wire::control::{Host, Plan, PlannedLane, Playbook, Release, Rollout, Sample};
use jiff::Timestamp;

use crate::{
    line::{Line, counted, harmless},
    name::id,
    tree::{Tally, state_word},
    when,
};

/// A thing that can stand in a list.
pub(crate) trait Row {
    /// The columns; those after the first `narrow` are only for `wide`.
    const COLUMNS: &'static [&'static str];
    /// How many of them a plain table has.
    const NARROW: usize;
    /// One cell a column.
    fn cells(&self, now: Timestamp) -> Vec<String>;
}

/// The table, without trailing blanks, no wider than `columns` where it can be helped.
#[must_use]
pub(crate) fn rows<R: Row>(things: &[R], wide: bool, columns: Option<usize>, now: Timestamp) -> String {
    let shown = if wide { R::COLUMNS.len() } else { R::NARROW };
    let mut table = grid(columns);
    table.set_header(R::COLUMNS.iter().take(shown));
    for thing in things {
        table.add_row(thing.cells(now).iter().take(shown).map(|cell| harmless(cell)));
    }
    finished(&table)
}

/// One thing: a line for each of its columns that has something in it.
#[must_use]
pub(crate) fn details<R: Row>(thing: &R, now: Timestamp) -> String {
    let mut table = grid(None);
    for (column, cell) in R::COLUMNS.iter().zip(thing.cells(now)) {
        if !cell.is_empty() {
            table.add_row([(*column).to_owned(), harmless(&cell)]);
        }
    }
    finished(&table)
}

/// A table of what is no thing of the wire: no more than its header and its cells.
#[must_use]
pub(crate) fn plain(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = grid(None);
    table.set_header(header);
    table.add_rows(rows.iter().map(|cells| cells.iter().map(|cell| harmless(cell))));
    finished(&table)
}

fn grid(columns: Option<usize>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match columns.and_then(|columns| u16::try_from(columns).ok()) {
        Some(columns) => table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(columns),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table
}

fn finished(table: &Table) -> String {
    table
        .lines()
        .map(|line| line.trim_end().strip_prefix(' ').unwrap_or("").to_owned() + "\n")
        .collect()
}

impl Row for Rollout {
    const COLUMNS: &'static [&'static str] = &[
        "ROLLOUT",
        "APP",
        "RELEASE",
        "STATE",
        "DONE",
        "FAILED",
        "AGE",
        "WAITS FOR",
        "PLAYBOOK",
        "BY",
        "REASON",
    ];
    const NARROW: usize = 8;

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let tally = Tally::of_rollout(self);
        let age = when::stamp(self.create_time.as_ref()).map(|created| when::took(created, now));
        let waits = match self.waiting.as_slice() {
            [] => String::new(),
            [what] => what.clone(),
            [what, more @ ..] => format!("{what} (and {} more)", more.len()),
        };
        vec![
            id(&self.name).into(),
            self.app.clone(),
            self.release.clone(),
            state_word(self.state()),
            tally.fraction(),
            tally.failed.to_string(),
            age.unwrap_or_default(),
            waits,
            self.playbook.clone(),
            self.created_by.clone(),
            self.reason.clone(),
        ]
    }
}

impl Row for Release {
    const COLUMNS: &'static [&'static str] = &["APP", "RELEASE", "SHA256", "SIZE", "CREATED", "BY", "URL"];
    const NARROW: usize = 6;

    fn cells(&self, _: Timestamp) -> Vec<String> {
        let size = if self.size_bytes == 0 {
            String::new()
        } else {
            self.size_bytes.to_string()
        };
        vec![
            self.app.clone(),
            self.release.clone(),
            self.sha256.chars().take(12).collect(),
            size,
            when::shown(self.create_time.as_ref()),
            self.created_by.clone(),
            self.url.clone(),
        ]
    }
}

impl Row for Playbook {
    const COLUMNS: &'static [&'static str] = &["PLAYBOOK", "VERSION", "CREATED", "BY", "DIGEST"];
    const NARROW: usize = 4;

    fn cells(&self, _: Timestamp) -> Vec<String> {
        vec![
            self.playbook.clone(),
            self.version.to_string(),
            when::shown(self.create_time.as_ref()),
            self.created_by.clone(),
            self.digest.clone(),
        ]
    }
}

impl Row for Host {
    const COLUMNS: &'static [&'static str] = &[
        "HOST",
        "DC",
        "POOL",
        "AGENT",
        "SERVICE",
        "STANDS AT",
        "RUNNING",
        "LAST SEEN",
        "VERSION",
        "LABELS",
        "FACTS",
        "SAMPLES",
    ];
    const NARROW: usize = 7;

    fn cells(&self, _: Timestamp) -> Vec<String> {
        let pairs = |map: &std::collections::HashMap<String, String>| {
            let mut pairs: Vec<_> = map.iter().map(|(key, value)| format!("{key}={value}")).collect();
            pairs.sort();
            pairs.join(",")
        };
        let stands = self.standings.iter().map(|standing| {
            let mut text = format!("{} {} {}", standing.app, standing.release, standing.state);
            if !standing.error.is_empty() {
                text += &format!(" ✖ {}", standing.error);
            }
            text
        });
        vec![
            self.host.clone(),
            self.datacenter.clone(),
            self.pool.clone(),
            if self.attached { "✔ attached" } else { "✖ gone" }.into(),
            if self.in_service { "✔ in" } else { "⚠ out" }.into(),
            stands.collect::<Vec<_>>().join("; "),
            self.running.clone(),
            when::shown(self.last_seen_time.as_ref()),
            self.agent_version.clone(),
            pairs(&self.labels),
            pairs(&self.facts),
            measured(&self.samples),
        ]
    }
}

/// The newest measurements, and when the last of them was.
fn measured(samples: &[Sample]) -> String {
    let values: Vec<_> = samples
        .iter()
        .map(|sample| format!("{}={:.1}", sample.name, sample.value))
        .collect();
    let newest = samples
        .iter()
        .filter_map(|sample| sample.time.as_ref())
        .max_by_key(|time| (time.seconds, time.nanos));
    match newest {
        Some(time) => format!("{} at {}", values.join(","), when::shown(Some(time))),
        None => values.join(","),
    }
}

/// A plan: lanes, their waves, the hosts of each with where they stand and the phases they would go through.
#[must_use]
pub(crate) fn plan(plan: &Plan, wide: bool) -> Vec<Line> {
    let hosts: usize = plan
        .lanes
        .iter()
        .flat_map(|lane| &lane.waves)
        .map(|wave| wave.hosts.len())
        .sum();
    let mut lines = vec![Line::new().plain(format!(
        "plan {}: {} {} by {} {}: {} in {}, {} already there",
        id(&plan.name),
        plan.app,
        plan.release,
        plan.playbook,
        plan.operation,
        counted(hosts, "host"),
        counted(plan.lanes.len(), "datacenter"),
        plan.skipped_hosts.len()
    ))];
    if !plan.params.is_empty() {
        let mut params: Vec<String> = plan
            .params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        params.sort();
        lines.push(Line::new().plain(format!("  with {}", params.join(", "))));
    }
    for lane in &plan.lanes {
        lines.extend(planned_lane(lane, wide));
    }
    lines
}

fn planned_lane(lane: &PlannedLane, wide: bool) -> Vec<Line> {
    let pace = match lane.max_parallel {
        0 => String::new(),
        hosts => format!("  at most {} at once", counted(hosts as usize, "host")),
    };
    let mut lines = vec![Line::new().plain(format!("  {}{pace}", lane.datacenter))];
    lines.extend(lane.capacity.iter().map(|pool| {
        Line::new().plain(format!(
            "    pool {}: {} hosts, {} out of service, at most {} may be",
            pool.pool, pool.hosts, pool.out_of_service, pool.max_unavailable
        ))
    }));
    for wave in &lane.waves {
        let gates = if wave.gates.is_empty() {
            String::new()
        } else {
            format!("  then {}", wave.gates.join(", "))
        };
        lines.push(Line::new().plain(format!(
            "    {}: {}{gates}",
            wave.wave,
            counted(wave.hosts.len(), "host")
        )));
        let shown = if wide { usize::MAX } else { HOSTS_MAX };
        lines.extend(wave.hosts.iter().take(shown).map(|host| {
            let from = if host.from_release.is_empty() {
                host.from_state.clone()
            } else {
                format!("{} {}", host.from_state, host.from_release)
            };
            Line::new().plain(format!("      {}  from {from}: {}", host.host, host.phases.join(" → ")))
        }));
        if wave.hosts.len() > shown {
            let more = wave.hosts.len() - shown;
            lines.push(Line::new().plain(format!("      … {} more: --output wide", counted(more, "host"))));
        }
    }
    lines
}

/// Hosts of a wave that a plain plan shows.
pub(crate) const HOSTS_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use echelon_proto::wire::control::{PlannedCapacity, PlannedHost, PlannedWave, RolloutState, Standing, Wave};

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_795_262_400).unwrap()
    }

    fn at(secs: i64) -> Option<prost_types::Timestamp> {
        Some(when::wire(Timestamp::from_second(1_795_262_400 + secs).unwrap()))
    }

    #[test]
    fn rollouts_in_a_table() {
        let rollout = |name: &str, state: RolloutState, waiting: &[&str]| Rollout {
            name: format!("apps/checkout/rollouts/{name}"),
            app: "checkout".into(),
            release: "1.1.0".into(),
            playbook: "web@3".into(),
            state: state.into(),
            waiting: waiting.iter().map(ToString::to_string).collect(),
            create_time: at(-3_725),
            created_by: "ann".into(),
            lanes: vec![echelon_proto::wire::control::Lane {
                waves: vec![Wave {
                    hosts: 20,
                    done: 4,
                    failed: 1,
                    ..Wave::default()
                }],
                ..Default::default()
            }],
            ..Rollout::default()
        };
        let rollouts = [
            rollout(
                "r10",
                RolloutState::Running,
                &["approve: go in dc1", "approve: go in dc2"],
            ),
            rollout("r7", RolloutState::SucceededWithDebt, &[]),
        ];
        let narrow = rows(&rollouts, false, None, now());
        let wide = rows(&rollouts, true, None, now());
        insta::assert_snapshot!(format!("{narrow}\n{wide}"));
    }

    #[test]
    fn a_host_with_all_that_is_known_of_it() {
        let host = Host {
            host: "web-3".into(),
            datacenter: "dc1".into(),
            pool: "front".into(),
            labels: [("app".into(), "web".into()), ("a".into(), "1".into())].into(),
            attached: true,
            standings: vec![Standing {
                app: "web".into(),
                state: "serving".into(),
                release: "1.0.0".into(),
                error: "disk\x1b[2J full".into(),
                ..Standing::default()
            }],
            last_seen_time: at(0),
            ..Host::default()
        };
        insta::assert_snapshot!(details(&host, now()));
    }

    #[test]
    fn a_plan_shows_lanes_waves_and_paths() {
        let host = |name: usize| PlannedHost {
            host: format!("web-{name}"),
            pool: "front".into(),
            from_state: "serving".into(),
            from_release: "1.0.0".into(),
            phases: ["drain", "install", "start"].map(Into::into).into(),
        };
        let plan_message = Plan {
            name: "plans/p1".into(),
            app: "web".into(),
            release: "1.1.0".into(),
            playbook: "web@3".into(),
            operation: "deploy".into(),
            skipped_hosts: vec!["web-0".into()],
            params: [
                ("tier".to_owned(), "gold".to_owned()),
                ("port".to_owned(), "8080".to_owned()),
            ]
            .into(),
            lanes: vec![PlannedLane {
                datacenter: "dc1".into(),
                max_parallel: 2,
                capacity: vec![PlannedCapacity {
                    pool: "front".into(),
                    hosts: 9,
                    out_of_service: 0,
                    max_unavailable: 2,
                }],
                waves: vec![
                    PlannedWave {
                        wave: "canary".into(),
                        hosts: vec![host(1)],
                        gates: vec!["health".into(), "go".into()],
                    },
                    PlannedWave {
                        wave: "rest".into(),
                        hosts: (2..9).map(host).collect(),
                        gates: vec![],
                    },
                ],
            }],
            ..Plan::default()
        };
        let shown: String = plan(&plan_message, false)
            .iter()
            .map(|line| line.text() + "\n")
            .collect();
        insta::assert_snapshot!(shown);
        assert!(
            plan(&plan_message, true)
                .iter()
                .any(|line| line.text().contains("web-8"))
        );
    }
}
