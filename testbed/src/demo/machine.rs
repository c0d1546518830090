//! Machines that the demo can show besides the storefront's own: two that are shipped and one that a team wrote for itself,
//! each with what is done with it and what every touched host must have been asked for. Deliberately data only.

use clap::ValueEnum;
use echelon_cli::exit::Exit;

use super::scene::APP;
use crate::sample::BAD_RELEASE;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Machine {
    /// install, configure, start, stop, unconfigure, as glu had it
    GluDefault,
    /// take_oos, session_drain, stop, install, start, health_check, take_is, as Edge had it, with its hard ways
    EdgeDc,
    /// A machine of one's own, that of playbooks/README.md: warming and shadow before it serves
    Recommender,
}

/// One rollout.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) title: &'static str,
    pub(super) release: &'static str,
    pub(super) operation: &'static str,
    pub(super) exit: Exit,
    /// The phases whose programs ran on each touched host, in order.
    pub(super) asked: Asked,
    /// What all services answer afterwards.
    pub(super) serves: &'static str,
}

/// What ran on a host.
#[derive(Debug)]
pub(super) enum Asked {
    /// These and no others.
    Exactly(&'static str),
    /// Whatever was tried and taken back before: these at last.
    AtLast(&'static str),
}

impl Asked {
    pub(super) fn holds(&self, ran: &str) -> bool {
        match self {
            Self::Exactly(phases) => ran == *phases,
            Self::AtLast(phases) => ran.ends_with(phases),
        }
    }

    pub(super) const fn phases(&self) -> &'static str {
        match self {
            Self::Exactly(phases) | Self::AtLast(phases) => phases,
        }
    }
}

impl Machine {
    /// Its file in the repository.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::GluDefault => "playbooks/library/glu-default.yaml",
            Self::EdgeDc => "playbooks/library/edge-dc.yaml",
            Self::Recommender => "playbooks/tests/good/recommender.yaml",
        }
    }

    /// The name in that file.
    pub(super) const fn playbook(self) -> &'static str {
        match self {
            Self::GluDefault => "glu-default",
            Self::EdgeDc => "edge-dc",
            Self::Recommender => "recommender",
        }
    }

    pub(super) const fn app(self) -> &'static str {
        match self {
            Self::GluDefault | Self::EdgeDc => APP,
            Self::Recommender => "recommender",
        }
    }

    /// The waits of real life are minutes; two hosts a datacenter cannot keep nine tenths in service.
    pub(super) const fn params(self) -> &'static [&'static str] {
        match self {
            Self::GluDefault => &["bake=0s", "settled=1s", "max_unavailable=50%"],
            Self::EdgeDc => &["bake=0s", "settled=1s", "max_unavailable=50%", "well_within=4s"],
            Self::Recommender => &["bake=0s", "compare_within=12s", "max_unavailable=50%"],
        }
    }

    /// A day when its first release goes out, as `simulate` takes it.
    pub(super) const fn bad_day(self) -> [&'static str; 2] {
        match self {
            Self::GluDefault => ["--fail", "*:configure:1"],
            Self::EdgeDc => ["--slow", "session_drain=4m"],
            Self::Recommender => ["--slow", "warm=12m"],
        }
    }

    /// What is done with it.
    pub(super) fn acts(self) -> Vec<Act> {
        match self {
            Self::GluDefault => glu(),
            Self::EdgeDc => edge(),
            Self::Recommender => own(),
        }
    }
}

const fn deploy(title: &'static str, release: &'static str, asked: &'static str) -> Act {
    Act {
        title,
        release,
        operation: "deploy",
        exit: Exit::Done,
        asked: Asked::Exactly(asked),
        serves: release,
    }
}

const fn same(title: &'static str, operation: &'static str, asked: &'static str) -> Act {
    Act {
        operation,
        ..deploy(title, "1.1.0", asked)
    }
}

const fn bad(title: &'static str, exit: Exit, asked: Asked, serves: &'static str) -> Act {
    Act {
        exit,
        asked,
        serves,
        ..deploy(title, BAD_RELEASE, "")
    }
}

fn glu() -> Vec<Act> {
    let there_and_back = "stop unconfigure configure start stop unconfigure configure start";
    vec![
        deploy("1.0.0 is installed on empty hosts", "1.0.0", "configure start"),
        deploy(
            "1.1.0 goes over it: down to `installed`, and up again",
            "1.1.0",
            "stop unconfigure configure start",
        ),
        same(
            "`restart` goes by way of `stopped`, and keeps the release",
            "restart",
            "stop start",
        ),
        bad(
            "1.2.0 is unwell: its canaries go the whole way back",
            Exit::RolledBack,
            Asked::Exactly(there_and_back),
            "1.1.0",
        ),
    ]
}

fn edge() -> Vec<Act> {
    vec![
        deploy("1.0.0 is installed on empty hosts", "1.0.0", "start take_is"),
        deploy(
            "1.1.0: out of service, drained, stopped, installed, started, well, in service",
            "1.1.0",
            "take_oos stop start take_is",
        ),
        same(
            "`restart` does the same without a release",
            "restart",
            "take_oos stop start take_is",
        ),
        same(
            "`hard-restart` goes past the load balancer",
            "hard-restart",
            "stop start take_is",
        ),
        Act {
            operation: "hard-deploy",
            ..deploy(
                "`hard-deploy` does, with a release: back to 1.0.0",
                "1.0.0",
                "stop start take_is",
            )
        },
        bad(
            "1.2.0 is never well: no canary comes into service, each goes back",
            Exit::RolledBack,
            Asked::AtLast("start take_is"),
            "1.0.0",
        ),
    ]
}

fn own() -> Vec<Act> {
    vec![
        deploy("1.0.0 is installed on empty hosts", "1.0.0", "start"),
        deploy(
            "1.1.0: stopped, installed, started, its model warmed, its answers compared",
            "1.1.0",
            "stop start",
        ),
        same(
            "`restart` warms and compares again, with the same release",
            "restart",
            "stop start",
        ),
        bad(
            "1.2.0 answers otherwise than 1.1.0 did: it is held, and a person takes it back",
            Exit::WaitsForPerson,
            Asked::AtLast("stop start"),
            "1.1.0",
        ),
    ]
}
