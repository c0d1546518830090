//! The figures of one run, and the one formula among them.
//!
//! The critical path is what a perfect coordinator would need: a lane's waves in turn, each
//! `ceil(hosts in it / max_parallel)` times the host's phases times the time of a phase; lanes at once, so the longest
//! lane counts. There are no bakes. 2,000 hosts in four lanes with `1, 10 %, 50 %, 100 %` and 50 at once are waves of
//! 1, 49, 200 and 250: 1 + 1 + 4 + 5 rounds of three phases, 33 s with phases of one second. With instant phases it is
//! zero, and there is no ratio.

use std::{fmt::Write as _, time::Duration};

use echelon_proto::wire::control::Plan;
use serde::Serialize;

use super::{Arguments, machine, rollout::Ran};

/// All that was measured. Seconds, milliseconds and bytes as the names say.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// From the first connection to the last agent that the coordinator says is attached.
    pub attach_s: f64,
    /// One phase on all hosts at once: from the start's acknowledgement to the outcome.
    pub order_all_ms: f64,
    /// Full rollout with the stated time of a phase; with instant phases when none was stated.
    pub makespan_s: f64,
    /// Of that rollout.
    pub critical_path_s: f64,
    /// None with instant phases.
    pub makespan_ratio: Option<f64>,
    /// Phases begun and ended, over the wall clock of the rollout with instant phases.
    pub transitions_per_s: f64,
    /// Resident memory with all attached less that of the empty coordinator, for each host: everything a host costs.
    pub coordinator_bytes_per_agent: u64,
    /// From the kill -9 of the coordinator to the last agent that is attached again.
    pub reattach_s: f64,
    /// Agents.
    pub hosts: usize,
    /// Of this machine, shared by both ends.
    pub cores: usize,
    /// Full rollout with instant phases.
    pub instant_makespan_s: f64,
    /// Time of a phase in `makespan_s`.
    pub phase_time_s: f64,
    /// Hosts at once in a lane.
    pub max_parallel: usize,
    /// Lanes.
    pub datacenters: usize,
    /// Of `coordinator_bytes_per_agent`, what being attached costs a host that has joined.
    pub attached_bytes_per_agent: u64,
    /// From the kill -9 to the first answer of the new coordinator.
    pub restart_s: f64,
    /// Of the machine in the minute before.
    pub load_before: f64,
    /// cargo's profile of all programs.
    pub profile: String,
}

impl Figures {
    pub(super) fn begin(arguments: &Arguments, profile: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(
            arguments.hosts > 0 && arguments.datacenters > 0,
            "a bench needs hosts and datacenters"
        );
        let lane = arguments.hosts.div_ceil(arguments.datacenters);
        Ok(Self {
            hosts: arguments.hosts,
            datacenters: arguments.datacenters,
            max_parallel: arguments.max_parallel.unwrap_or(lane.div_ceil(10)).max(1),
            cores: machine::cores(),
            load_before: machine::load(),
            profile: profile.to_owned(),
            ..Self::default()
        })
    }

    pub(super) fn remember(&mut self, empty: u64, joined: u64, attached: u64) {
        let hosts = self.hosts as u64;
        self.coordinator_bytes_per_agent = attached.saturating_sub(empty) / hosts;
        self.attached_bytes_per_agent = attached.saturating_sub(joined) / hosts;
    }

    pub(super) fn instant(&mut self, ran: &Ran) {
        self.instant_makespan_s = ran.makespan.as_secs_f64();
        self.makespan_s = self.instant_makespan_s;
        self.transitions_per_s = ran.transitions as f64 / self.instant_makespan_s;
    }

    pub(super) fn timed(&mut self, ran: &Ran, phase_time: Duration) {
        let path = critical_path(&ran.plan, phase_time);
        self.makespan_s = ran.makespan.as_secs_f64();
        self.critical_path_s = path.as_secs_f64();
        self.phase_time_s = phase_time.as_secs_f64();
        self.makespan_ratio = Some(self.makespan_s / self.critical_path_s);
    }

    /// For the eye.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<34}{value}");
        };
        let kib = |bytes: u64| format!("{:.1} KiB", bytes as f64 / 1024.0);
        line("agents", format!("{} in {} datacenters", self.hosts, self.datacenters));
        line("attach of all", format!("{:.2} s", self.attach_s));
        line("one order to all and back", format!("{:.0} ms", self.order_all_ms));
        line(
            "full rollout, instant phases",
            format!("{:.2} s", self.instant_makespan_s),
        );
        line(
            "  durable transitions",
            format!("{:.0} a second", self.transitions_per_s),
        );
        match self.makespan_ratio {
            None => line(
                "  makespan / critical path",
                "no ratio: the critical path is zero; give --phase-time".to_owned(),
            ),
            Some(ratio) => {
                line(
                    &format!("full rollout, phases of {:.1} s", self.phase_time_s),
                    format!("{:.2} s", self.makespan_s),
                );
                let path = self.critical_path_s;
                line(
                    "  makespan / critical path",
                    format!("{ratio:.3} ({path:.1} s, {} at once a lane)", self.max_parallel),
                );
            }
        }
        let attached = kib(self.attached_bytes_per_agent);
        line(
            "coordinator's memory an agent",
            format!("{} ({attached} of it attached)", kib(self.coordinator_bytes_per_agent)),
        );
        line(
            "all back after kill -9",
            format!("{:.2} s (restart {:.2} s)", self.reattach_s, self.restart_s),
        );
        line(
            "machine",
            format!(
                "{} cores for both ends, load {:.1} before, {} build",
                self.cores, self.load_before, self.profile
            ),
        );
        text
    }
}

fn critical_path(plan: &Plan, phase_time: Duration) -> Duration {
    let lanes = plan.lanes.iter().map(|lane| {
        let rounds = lane.waves.iter().map(|wave| {
            let phases = wave.hosts.iter().map(|host| host.phases.len()).max().unwrap_or(0);
            wave.hosts.len().div_ceil(lane.max_parallel.max(1) as usize) * phases
        });
        rounds.sum::<usize>()
    });
    phase_time * u32::try_from(lanes.max().unwrap_or(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use echelon_proto::wire::control::{PlannedHost, PlannedLane, PlannedWave};

    use super::*;

    fn lane(waves: &[usize], max_parallel: u32) -> PlannedLane {
        let host = PlannedHost {
            phases: ["a", "b", "c"].map(str::to_owned).into(),
            ..PlannedHost::default()
        };
        let wave = |hosts: &usize| PlannedWave {
            hosts: vec![host.clone(); *hosts],
            ..PlannedWave::default()
        };
        PlannedLane {
            waves: waves.iter().map(wave).collect(),
            max_parallel,
            ..PlannedLane::default()
        }
    }

    #[test]
    fn the_critical_path_is_the_longest_lanes_rounds_of_phases() {
        let plan = Plan {
            lanes: vec![lane(&[1, 49, 200, 250], 50), lane(&[1, 1], 50)],
            ..Plan::default()
        };
        assert_eq!(critical_path(&plan, Duration::from_secs(1)), Duration::from_secs(33));
        assert_eq!(critical_path(&plan, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn without_a_time_of_a_phase_there_is_no_ratio_and_it_is_said() {
        let mut figures = Figures {
            hosts: 10,
            ..Figures::default()
        };
        assert!(figures.text().contains("no ratio"));
        assert!(
            serde_json::to_string(&figures)
                .unwrap()
                .contains("\"makespan_ratio\":null")
        );
        figures.makespan_ratio = Some(1.02);
        assert!(figures.text().contains("1.020"));
    }
}
