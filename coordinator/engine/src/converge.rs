//! The question: which plan brings drifted hosts of an app to where they should be?
//!
//! The rule: an ordinary plan, by the playbook, version and operation by which the rest of the fleet came there, over the
//! drifted hosts alone: waves, gates, floors and rollback as ever. A plan goes to one release by one playbook's operation, so
//! hosts that should stand on different things need a plan each: it is refused, naming them and what to type.
//!
//! Left out, each with its reason: hosts that are unreachable, on which nothing is desired, that a rollout has in its plan,
//! that the playbook now excludes, that came there with other parameters than the newest rollout's, that stand where they
//! should but with an error (there is no way to go), and those whose operation keeps the release while it is the release that
//! is wrong.

use std::collections::{BTreeMap, BTreeSet};

use echelon_proto::{App, Datacenter, HostId, OperationName, PlaybookName, ReleaseName};

use crate::{
    command::PlanRequest,
    desired::{Goal, Wish, Wishes},
    drift::{self, Filter, Row, Verdict, place},
    refusal::{Reason, Refusal},
    state::State,
};

/// Names that a text lists before it says how many more there are.
const NAMES_MAX: usize = 5;

/// What to bring in line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converge {
    /// Of what.
    pub app: App,
    /// Only hosts that should stand on this release.
    pub release: Option<ReleaseName>,
    /// Only hosts that should be brought there by this playbook.
    pub playbook: Option<PlaybookName>,
    /// Only hosts that should be brought there by this operation.
    pub operation: Option<OperationName>,
    /// Only there. Empty: everywhere.
    pub datacenters: Vec<Datacenter>,
    /// Only these. Empty: all.
    pub hosts: Vec<HostId>,
}

/// What to plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converged {
    /// For the hosts that a plan can mend.
    pub request: PlanRequest,
    /// The others that have drifted, or were asked for by name.
    pub left_out: Vec<LeftOut>,
}

/// A host that the plan leaves alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which.
    pub host: HostId,
    /// Why.
    pub why: String,
}

/// By what a host is brought to where it should be: hosts of one are one plan.
type Way = (Option<ReleaseName>, PlaybookName, OperationName);

/// What gives the plan.
pub fn converge(state: &State, wish: &Converge) -> Result<Converged, Refusal> {
    known(state, wish)?;
    let wishes = Wishes::of(state, &wish.app);
    let mut left_out = Vec::new();
    let mut ways: BTreeMap<Way, Vec<(HostId, Wish)>> = BTreeMap::new();
    for row in rows(state, wish) {
        match mendable(&row, &wishes) {
            Ok((way, to)) if wish.takes(&way) => ways.entry(way).or_default().push((row.host.id.clone(), to)),
            Ok((_, to)) => left_out.push(LeftOut::new(&row, format!("should stand {}", place(&to)))),
            Err(why) => left_out.push(LeftOut::new(&row, why)),
        }
    }
    if ways.len() > 1 {
        return Err(several(&wish.app, &ways));
    }
    let Some(((release, ..), hosts)) = ways.pop_first() else {
        return Err(nothing(wish, &left_out));
    };
    // They may have come there by several versions of the playbook; the newest rollout's is the one to go by.
    let newest = hosts.iter().map(|(_, wish)| wish).max_by_key(|wish| wish.order);
    let Some(goal) = newest.map(|wish| wish.goal.clone()) else {
        return Err(nothing(wish, &left_out));
    };
    let (hosts, others): (Vec<_>, Vec<_>) = hosts
        .into_iter()
        .partition(|(_, wish)| wish.goal.request.params == goal.request.params);
    left_out.extend(others.into_iter().map(|(host, _)| LeftOut {
        why: format!("came there with other parameters: a plan of its own brings it back, `--host {host}`"),
        host,
    }));
    let (going, other): (Vec<_>, Vec<_>) = hosts
        .into_iter()
        .map(|(host, _)| host)
        .partition(|host| state.hosts.get(host).is_some_and(|host| goal.selects(host)));
    left_out.extend(other.into_iter().map(|host| LeftOut {
        why: format!(
            "version {} of {} leaves it out",
            goal.playbook.version, goal.playbook.name
        ),
        host,
    }));
    let request = PlanRequest {
        release: release.unwrap_or_else(|| goal.request.release.clone()),
        datacenters: Vec::new(),
        hosts: going,
        ..goal.request.clone()
    };
    Ok(Converged { request, left_out })
}

impl Converge {
    fn takes(&self, (release, playbook, operation): &Way) -> bool {
        self.release.as_ref().is_none_or(|only| release.as_ref() == Some(only))
            && self.playbook.as_ref().is_none_or(|only| only == playbook)
            && self.operation.as_ref().is_none_or(|only| only == operation)
    }
}

impl LeftOut {
    fn new(row: &Row<'_>, why: String) -> Self {
        Self {
            host: row.host.id.clone(),
            why,
        }
    }
}

/// Names that are not there are a mistake, not an empty answer.
fn known(state: &State, wish: &Converge) -> Result<(), Refusal> {
    if let Some(host) = wish.hosts.iter().find(|host| !state.hosts.contains_key(*host)) {
        return Err(Reason::NotFound.refusal(format!("no host {host} has ever joined: see `echelon host list`")));
    }
    let is_there = |datacenter: &Datacenter| state.hosts.values().any(|host| host.datacenter == *datacenter);
    if let Some(datacenter) = wish.datacenters.iter().find(|datacenter| !is_there(datacenter)) {
        return Err(Reason::NotFound.refusal(format!(
            "no host is in datacenter {datacenter}: see `echelon host list`"
        )));
    }
    match Wishes::of(state, &wish.app).is_empty() {
        false => Ok(()),
        true => Err(Reason::NotFound.refusal(format!(
            "nothing says yet where {app} should stand: a rollout that succeeds does, `echelon start {app}`",
            app = wish.app
        ))),
    }
}

/// What has drifted, and what was asked for by name.
fn rows<'a>(state: &'a State, wish: &Converge) -> impl Iterator<Item = Row<'a>> {
    let filter = Filter {
        app: Some(wish.app.clone()),
        ..Filter::default()
    };
    let there = |row: &Row<'_>| wish.datacenters.is_empty() || wish.datacenters.contains(&row.host.datacenter);
    let named = |row: &Row<'_>| wish.hosts.contains(&row.host.id);
    let mut rows = drift::rows(state, &filter);
    rows.retain(|row| there(row) && (named(row) || (wish.hosts.is_empty() && row.verdict.is_drift())));
    rows.into_iter()
}

/// By what the host gets where it should be, or why it does not by a plan.
fn mendable(row: &Row<'_>, wishes: &Wishes<'_>) -> Result<(Way, Wish), String> {
    if let Some(rollout) = wishes.claimed_by(&row.host.id) {
        return Err(format!("{rollout} has it in its plan and is not over"));
    }
    let wish = match (row.verdict, &row.wish) {
        (Verdict::InLine, _) => return Err("it is in line".into()),
        (Verdict::InProgress | Verdict::Unreachable | Verdict::Unexpected, _) | (_, None) => {
            return Err(row.why.clone());
        }
        (Verdict::Missing | Verdict::WrongRelease | Verdict::WrongState | Verdict::Error, Some(wish)) => wish.clone(),
    };
    let goal = &wish.goal;
    if !goal.selects(row.host) {
        return Err(format!("playbook {} leaves it out", goal.playbook.name));
    }
    let release = row.live.and_then(|live| live.release.as_ref());
    if !goal.sets_release && !goal.is_absence() && release != wish.release.as_ref() {
        return Err(format!("{}, which {} does not change", row.why, operation(goal)));
    }
    let is_there = row.live.is_some_and(|live| live.state == wish.state) && release == wish.release.as_ref();
    if is_there || (goal.is_absence() && row.live.is_none()) {
        return Err(format!("stands where it should, but: {}", row.why));
    }
    let way = (
        wish.release.clone(),
        goal.playbook.name.clone(),
        operation(goal).clone(),
    );
    Ok((way, wish))
}

fn operation(goal: &Goal) -> &OperationName {
    let stage = goal.playbook.stages.first();
    let default = stage.map(|stage| &stage.deploy.operation);
    goal.request
        .operation
        .as_ref()
        .or(default)
        .expect("a playbook has a stage")
}

fn several(app: &App, ways: &BTreeMap<Way, Vec<(HostId, Wish)>>) -> Refusal {
    let differ = |of: fn(&Way) -> String| {
        let all: BTreeSet<_> = ways.keys().map(of).collect();
        all.len() > 1
    };
    let by_playbook = differ(|(_, playbook, _)| playbook.to_string());
    let by_operation = differ(|(_, _, operation)| operation.to_string());
    let choice = |((release, playbook, operation), hosts): (&Way, &Vec<(HostId, Wish)>)| {
        let mut command = format!("`echelon converge {app}");
        if let Some(release) = release {
            command.push_str(&format!(" --release {release}"));
        }
        if by_playbook {
            command.push_str(&format!(" --playbook {playbook}"));
        }
        if by_operation {
            command.push_str(&format!(" --operation {operation}"));
        }
        format!("{command}` ({})", names(hosts.iter().map(|(host, _)| host.to_string())))
    };
    let choices: Vec<_> = ways.iter().map(choice).collect();
    Reason::Invalid.refusal(format!(
        "drifted hosts of {app} should come to different places, and a plan goes to one: say which, {}",
        choices.join(", ")
    ))
}

fn nothing(wish: &Converge, left_out: &[LeftOut]) -> Refusal {
    let app = &wish.app;
    Reason::NothingToDo.refusal(match left_out.is_empty() {
        true => format!("nothing of {app} that was asked for has drifted"),
        false => format!(
            "no plan can mend what has drifted of {app}: {}",
            names(left_out.iter().map(|left| format!("{} ({})", left.host, left.why)))
        ),
    })
}

fn names(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<_> = all.collect();
    let more = all.len().saturating_sub(NAMES_MAX);
    all.truncate(NAMES_MAX);
    all.extend((more > 0).then(|| format!("and {more} more")));
    all.join(", ")
}
