//! What agents say, bounded and checked, as events. It judges nothing: whether a report counts is the engine's to say.

use std::collections::BTreeMap;

use echelon_engine::{
    Event,
    event::{Hello, PhaseResult, Report},
    host::{Serving, Standing},
};
use echelon_proto::{
    App, Fence, HostId, Label, PhaseName, ReleaseName, RolloutId, StateName, limits,
    planted::{self, Plant},
    wire::link::{self as wire, PhaseResult as WireResult},
};
use tonic::Status;

use super::bound;

/// Apps on one host.
const STANDINGS_MAX: usize = 64;
/// A fact or a version.
const FACT_CHARS_MAX: usize = 256;
/// Disks that an agent tells of: state_dir's and apps_dir's.
const DISKS_MAX: usize = 4;
/// Attempts at once on one host: one a rollout.
const RUNNING_MAX: usize = 64;

pub(super) fn hello(host: &HostId, hello: wire::Hello) -> Result<Hello, Status> {
    if hello.protocol != limits::LINK_PROTOCOL {
        return Err(Status::failed_precondition(format!(
            "the agent speaks version {} of the link, this coordinator version {}: install a matching agent",
            hello.protocol,
            limits::LINK_PROTOCOL
        )));
    }
    bound::chars("hello.agent_version", &hello.agent_version, FACT_CHARS_MAX)?;
    near(&hello.agent_version, env!("CARGO_PKG_VERSION"))?;
    bound::count("hello.standings", hello.standings.len(), STANDINGS_MAX, "entries")?;
    bound::count("hello.running", hello.running.len(), RUNNING_MAX, "entries")?;
    for running in hello.running {
        fence(host, Some(running))?;
    }
    let mut standings = BTreeMap::new();
    for said in hello.standings {
        let app = bound::name("standing.app", App::new(&said.app))?;
        standings.extend(standing(said)?.map(|stands| (app, stands)));
    }
    Ok(Hello {
        version: hello.agent_version,
        labels: labels(hello.labels)?,
        facts: facts(hello.facts.unwrap_or_default())?,
        standings,
    })
}

/// Agents and coordinators are upgraded one after the other, so each talks to the minor version before its own and to the
/// one after it, and to no other.
fn near(agent: &str, own: &str) -> Result<(), Status> {
    let refused = |why: &str| {
        Err(Status::failed_precondition(format!(
            "the agent is of version {agent:?}, this coordinator of {own}: {why}"
        )))
    };
    match (minor(agent), minor(own)) {
        (None, _) => refused("that is no version of an agent"),
        (Some((of, agent)), Some((major, own))) if of != major || agent.abs_diff(own) > 1 => {
            refused("they may be one minor version apart; upgrade the older of them, one minor version at a time")
        }
        _ => Ok(()),
    }
}

/// `0.3.1` is minor version 3 of 0.
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn labels(said: std::collections::HashMap<String, String>) -> Result<BTreeMap<Label, String>, Status> {
    bound::count("hello.labels", said.len(), limits::LABELS_MAX, "entries")?;
    let mut labels = BTreeMap::new();
    for (key, value) in said {
        bound::chars("a label's value", &value, limits::LABEL_CHARS_MAX)?;
        labels.insert(bound::name("hello.labels", Label::new(key))?, value);
    }
    Ok(labels)
}

fn facts(facts: wire::Facts) -> Result<BTreeMap<String, String>, Status> {
    let said = [
        ("os", facts.os),
        ("kernel", facts.kernel),
        ("architecture", facts.architecture),
        ("cores", facts.cores.to_string()),
        ("memory_bytes", facts.memory_bytes.to_string()),
    ];
    for (key, value) in &said {
        bound::chars(key, value, FACT_CHARS_MAX)?;
    }
    bound::count("facts.disks", facts.disks.len(), DISKS_MAX, "entries")?;
    let mut all: BTreeMap<_, _> = said.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for disk in facts.disks {
        let folder = bound::name("facts.disks.folder", Label::new(&disk.folder))?;
        all.insert(format!("{folder}_disk_bytes"), disk.total_bytes.to_string());
        all.insert(format!("{folder}_disk_free_bytes"), disk.free_bytes.to_string());
    }
    Ok(all)
}

/// A report as an event.
///
/// # Errors
/// It is beyond its bounds, speaks of another host, or has a name that is none.
pub fn report(host: &HostId, report: wire::Report) -> Result<Event, Status> {
    bound::chars("report.message", &report.message, limits::MESSAGE_CHARS_MAX)?;
    bound::bytes("report.tail", report.tail.as_bytes(), limits::TAIL_BYTES_MAX)?;
    bound::count(
        "report.leftovers",
        report.leftovers.len(),
        limits::LEFTOVERS_MAX,
        "entries",
    )?;
    for leftover in &report.leftovers {
        bound::chars("report.leftovers", leftover, limits::LEFTOVER_CHARS_MAX)?;
    }
    let result = match report.result() {
        WireResult::Unspecified => {
            return Err(Status::invalid_argument(format!(
                "report.result {} is not known",
                report.result
            )));
        }
        WireResult::Done => PhaseResult::Done,
        WireResult::AlreadyDone => PhaseResult::AlreadyDone,
        WireResult::Failed => PhaseResult::Failed,
        WireResult::TimedOut => PhaseResult::TimedOut,
        WireResult::Refused => PhaseResult::Refused,
        WireResult::Lost => PhaseResult::Lost,
        WireResult::HeldBack => PhaseResult::HeldBack,
    };
    Ok(Event::HostReported(Report {
        fence: fence(host, report.fence)?,
        result,
        exit_code: report.exit_code,
        signal: report.signal,
        message: report.message,
        tail: report.tail,
        leftovers: report.leftovers,
        standing: report.standing.map(standing).transpose()?.flatten(),
    }))
}

pub(super) fn health(host: &HostId, health: wire::Health) -> Result<Event, Status> {
    bound::chars("health.watch", &health.watch, limits::NAME_CHARS_MAX * 2 + 1)?;
    bound::chars("health.message", &health.message, limits::MESSAGE_CHARS_MAX)?;
    Ok(Event::HealthReported {
        host: host.clone(),
        watch: health.watch,
        healthy: health.healthy,
        message: health.message,
    })
}

/// Of which release of which app, and why it is not there if it is not.
pub(super) fn prefetched(said: wire::Prefetched) -> Result<(App, ReleaseName, Result<(), String>), Status> {
    bound::chars("prefetched.message", &said.message, limits::MESSAGE_CHARS_MAX)?;
    let app = bound::name("prefetched.app", App::new(&said.app))?;
    let release = bound::name("prefetched.release", ReleaseName::new(&said.release))?;
    Ok((app, release, if said.ready { Ok(()) } else { Err(said.message) }))
}

/// A fence of this host; another's is refused.
pub(super) fn fence(host: &HostId, fence: Option<wire::Fence>) -> Result<Fence, Status> {
    let fence = fence.ok_or_else(|| Status::invalid_argument("the message has no fence"))?;
    if fence.host != host.as_str() && !planted::is(Plant::OtherHostsWord) {
        let named: String = fence.host.chars().take(64).collect();
        return Err(Status::permission_denied(format!(
            "{host} spoke of {named:?}: a host may speak of itself only"
        )));
    }
    Ok(Fence {
        term: fence.term,
        rollout: bound::name("fence.rollout", RolloutId::new(&fence.rollout))?,
        host: host.clone(),
        phase: bound::name("fence.phase", PhaseName::new(&fence.phase))?,
        attempt: fence.attempt,
    })
}

/// Whether the state serves is not the agent's to say. `None`: it does not know the app's state, as one that refuses its
/// very first order.
fn standing(said: wire::Standing) -> Result<Option<Standing>, Status> {
    bound::chars("standing.error", &said.error, limits::MESSAGE_CHARS_MAX)?;
    if said.state.is_empty() {
        return Ok(None);
    }
    Ok(Some(Standing {
        state: bound::name("standing.state", StateName::new(&said.state))?,
        release: bound::optional("standing.release", &said.release)?,
        previous: bound::optional("standing.previous", &said.previous)?,
        error: Some(said.error).filter(|error| !error.is_empty()),
        traffic: Serving::default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostId {
        HostId::new("web-1").unwrap()
    }

    fn wire_fence() -> wire::Fence {
        wire::Fence {
            term: 1,
            rollout: "r1".into(),
            host: "web-1".into(),
            phase: "install".into(),
            attempt: 1,
        }
    }

    fn wire_hello() -> wire::Hello {
        wire::Hello {
            protocol: limits::LINK_PROTOCOL,
            agent_version: "0.1.0".into(),
            ..Default::default()
        }
    }

    fn wire_report() -> wire::Report {
        wire::Report {
            fence: Some(wire_fence()),
            result: WireResult::Done.into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_host_that_speaks_of_another_is_refused() {
        let other = wire::Fence {
            host: "web-2".into(),
            ..wire_fence()
        };
        let code = |result: Result<_, Status>| result.map(drop).unwrap_err().code();
        let said = wire::Report {
            fence: Some(other.clone()),
            ..wire_report()
        };
        assert_eq!(code(report(&host(), said).map(drop)), tonic::Code::PermissionDenied);
        let said = wire::Hello {
            running: vec![other],
            ..wire_hello()
        };
        assert_eq!(code(hello(&host(), said).map(drop)), tonic::Code::PermissionDenied);
        assert!(report(&host(), wire_report()).is_ok());
    }

    #[test]
    fn an_agent_one_minor_version_apart_is_taken_either_way_and_no_other() {
        for agent in ["1.3.0", "1.4.9", "1.4.0-rc.1", "1.5.2"] {
            assert!(near(agent, "1.4.1").is_ok(), "{agent}");
        }
        for agent in ["1.2.9", "1.6.0", "0.4.1", "2.4.1"] {
            let status = near(agent, "1.4.1").unwrap_err();
            assert_eq!(status.code(), tonic::Code::FailedPrecondition);
            assert!(
                status.message().contains(agent) && status.message().contains("one minor version"),
                "{status}"
            );
        }
        assert!(near("", "1.4.1").unwrap_err().message().contains("no version"));
        let far = wire::Hello {
            agent_version: "99.0.0".into(),
            ..wire_hello()
        };
        let status = hello(&host(), far).unwrap_err();
        assert!(status.message().contains(env!("CARGO_PKG_VERSION")), "{status}");
    }

    #[test]
    fn a_host_that_does_not_know_where_an_app_stands_may_say_so() {
        let unknown = wire::Standing {
            app: "web".into(),
            ..Default::default()
        };
        let said = wire::Report {
            standing: Some(unknown.clone()),
            ..wire_report()
        };
        let Ok(Event::HostReported(report)) = report(&host(), said) else {
            panic!("the refusal of a first order is not heard");
        };
        assert_eq!(report.standing, None);
        let said = wire::Hello {
            standings: vec![unknown],
            ..wire_hello()
        };
        assert!(hello(&host(), said).unwrap().standings.is_empty());
    }

    #[test]
    fn each_field_beyond_its_bound_is_named_with_the_bound() {
        let reports = [
            wire::Report {
                tail: "x".repeat(limits::TAIL_BYTES_MAX + 1),
                ..wire_report()
            },
            wire::Report {
                message: "x".repeat(limits::MESSAGE_CHARS_MAX + 1),
                ..wire_report()
            },
            wire::Report {
                leftovers: vec![String::new(); limits::LEFTOVERS_MAX + 1],
                ..wire_report()
            },
            wire::Report {
                leftovers: vec!["x".repeat(limits::LEFTOVER_CHARS_MAX + 1)],
                ..wire_report()
            },
            wire::Report {
                result: 99,
                ..wire_report()
            },
            wire::Report {
                fence: None,
                ..wire_report()
            },
        ];
        for (said, named) in reports
            .into_iter()
            .zip(["4097", "1025", "has 33", "129", "99", "fence"])
        {
            let status = report(&host(), said).unwrap_err();
            assert!(status.message().contains(named), "{status}");
        }
        let many = (0..=limits::LABELS_MAX)
            .map(|n| (format!("l{n}"), String::new()))
            .collect();
        let hellos = [
            wire::Hello {
                labels: many,
                ..wire_hello()
            },
            wire::Hello {
                labels: [("a b".into(), String::new())].into(),
                ..wire_hello()
            },
            wire::Hello {
                standings: vec![wire::Standing::default(); STANDINGS_MAX + 1],
                ..wire_hello()
            },
            wire::Hello {
                protocol: 9,
                ..wire_hello()
            },
        ];
        for (said, named) in hellos.into_iter().zip(["65", "a b", "65", "version 9"]) {
            let status = hello(&host(), said).unwrap_err();
            assert!(status.message().contains(named), "{status}");
        }
    }
}
