//! The question: does what stands on each host stand where it should? Desired ([`crate::desired`]) against live, which is
//! what agents last said. A pure view: nothing here changes anything, and what to do about it is [`crate::converge`]'s.
//!
//! The rule, of which the first that holds is the verdict:
//!
//! | verdict | when |
//! |---|---|
//! | in progress | a rollout is at work on the host: what stands there is about to change |
//! | unreachable | the host has no session: what is known is old |
//! | unexpected | the app stands there and nothing says that it should |
//! | error | its last phase failed there, or the monitor of its state fails |
//! | missing | it should stand there and does not |
//! | wrong release | it stands on another release, in whatever state |
//! | wrong state | it stands on the release, in another state; or stands there and was removed |
//! | in line | otherwise |
//!
//! A host on which nothing is desired and nothing stands has no row, and neither has one from which the app was removed.

use std::collections::BTreeSet;

use echelon_proto::{App, Datacenter, HostId};

use crate::{
    desired::{Wish, Wishes},
    host::{self, Host, Serving, Standing, Unwell},
    state::State,
};

/// What to look at. Empty: everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this app.
    pub app: Option<App>,
    /// Only hosts there.
    pub datacenter: Option<Datacenter>,
    /// Only this host.
    pub host: Option<HostId>,
}

/// One app on one host.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// Which app.
    pub app: &'a App,
    /// On which host.
    pub host: &'a Host,
    /// What should stand there.
    pub wish: Option<Wish>,
    /// What does, or last did.
    pub live: Option<&'a Standing>,
    /// How the two compare.
    pub verdict: Verdict,
    /// In words; empty when it is in line.
    pub why: String,
}

/// How desired and live compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    InLine,
    /// A rollout is at work on it.
    InProgress,
    /// Nothing stands there.
    Missing,
    /// Another release.
    WrongRelease,
    /// Another state.
    WrongState,
    /// Its last phase failed.
    Error,
    /// Nothing says that it should be there.
    Unexpected,
    /// The host is out of reach.
    Unreachable,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::InLine,
        Self::InProgress,
        Self::Missing,
        Self::WrongRelease,
        Self::WrongState,
        Self::Error,
        Self::Unexpected,
        Self::Unreachable,
    ];

    /// `wrong_release`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InLine => "in_line",
            Self::InProgress => "in_progress",
            Self::Missing => "missing",
            Self::WrongRelease => "wrong_release",
            Self::WrongState => "wrong_state",
            Self::Error => "error",
            Self::Unexpected => "unexpected",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether it is drift: neither as it should be nor on its way.
    #[must_use]
    pub fn is_drift(self) -> bool {
        match self {
            Self::InLine | Self::InProgress => false,
            Self::Missing
            | Self::WrongRelease
            | Self::WrongState
            | Self::Error
            | Self::Unexpected
            | Self::Unreachable => true,
        }
    }
}

/// By app, then datacenter, then host.
#[must_use]
pub fn rows<'a>(state: &'a State, filter: &Filter) -> Vec<Row<'a>> {
    let mut hosts: Vec<&Host> = match &filter.host {
        Some(id) => state.hosts.get(id).into_iter().collect(),
        None => state.hosts.values().collect(),
    };
    hosts.retain(|host| filter.datacenter.as_ref().is_none_or(|only| *only == host.datacenter));
    hosts.sort_by(|a, b| (&a.datacenter, &a.id).cmp(&(&b.datacenter, &b.id)));
    let mut rows = Vec::new();
    for app in apps(state, filter) {
        let wishes = Wishes::of(state, app);
        rows.extend(hosts.iter().filter_map(|host| row(app, host, &wishes)));
    }
    rows
}

/// Apps of which something is desired, stands somewhere, or is being rolled.
fn apps<'a>(state: &'a State, filter: &Filter) -> BTreeSet<&'a App> {
    let standing = state.hosts.values().flat_map(|host| host.standings.keys());
    let rolled = state.active().map(|rollout| &rollout.app);
    let all = state.desired.keys().chain(standing).chain(rolled);
    all.filter(|app| filter.app.as_ref().is_none_or(|only| only == *app))
        .collect()
}

fn row<'a>(app: &'a App, host: &'a Host, wishes: &Wishes<'_>) -> Option<Row<'a>> {
    let wish = wishes.on(host);
    let known = host.standings.get(app);
    let live = known.filter(|standing| is_there(standing, wish.as_ref()));
    let is_wished = wish.as_ref().is_some_and(|wish| !wish.goal.is_absence());
    let working = wishes.at_work(&host.id);
    if live.is_none() && !is_wished && working.is_none() {
        return None;
    }
    let (verdict, why) = match working {
        Some(rollout) => (Verdict::InProgress, format!("{rollout} is at work on it")),
        None if !host.is_attached() => (Verdict::Unreachable, format!("not reachable since {}", host.since)),
        None => judge(wish.as_ref(), known, live, host.unwell(app)),
    };
    Some(Row {
        app,
        host,
        wish,
        live,
        verdict,
        why,
    })
}

/// Whether a standing is more than the word that nothing is there.
fn is_there(standing: &Standing, wish: Option<&Wish>) -> bool {
    let initial = wish.map(|wish| &wish.goal.playbook.machine.initial);
    standing.traffic != Serving::Absent && initial != Some(&standing.state)
}

/// What is known of a reachable host that no rollout works on. `live` is `known` where it is more than nothing.
fn judge(
    wish: Option<&Wish>,
    known: Option<&Standing>,
    live: Option<&Standing>,
    unwell: Option<&Unwell>,
) -> (Verdict, String) {
    let Some(wish) = wish else {
        return (Verdict::Unexpected, "nothing says that it should be there".into());
    };
    if let Some(error) = known.and_then(|standing| standing.error.as_ref()) {
        return (Verdict::Error, error.clone());
    }
    if let Some(unwell) = unwell {
        return (
            Verdict::Error,
            format!("its monitor fails since {}: {}", unwell.since, unwell.message),
        );
    }
    let Some(live) = live else {
        return (
            Verdict::Missing,
            format!("should stand {} by {}", place(wish), wish.goal.rollout),
        );
    };
    if wish.goal.is_absence() {
        let why = format!("stands {}, but {} removed it", live.place(), wish.goal.rollout);
        return (Verdict::WrongState, why);
    }
    let why = || format!("stands {} and should {}", live.place(), place(wish));
    if wish.release.is_some() && live.release != wish.release {
        (Verdict::WrongRelease, why())
    } else if live.state != wish.state {
        (Verdict::WrongState, why())
    } else {
        (Verdict::InLine, String::new())
    }
}

/// `in serving on 1.1`
pub(crate) fn place(wish: &Wish) -> String {
    host::place(&wish.state, wish.release.as_ref())
}
