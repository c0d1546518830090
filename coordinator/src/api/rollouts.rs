//! Rollouts: started, steered, watched, explained, accounted for.

mod act;
mod blame;
mod report;
mod watch;

use echelon_engine::{
    Reply, State,
    command::{Command, IfRunning, Start, What},
    rollout::Rollout,
    view,
};
use echelon_proto::{App, Person, PlanId, RolloutId, Time, wire::control as wire};
use tonic::Status;

use super::{Control, field, page, page::Page, plans, status};
use crate::{driver::Line, runner::prefetch::Prefetch};

pub(super) use act::act;
pub(super) use report::report;
pub(super) use watch::watch;

pub(super) async fn create(
    control: &Control,
    by: Person,
    request: wire::CreateRolloutRequest,
) -> Result<wire::Rollout, Status> {
    let dry = request.validate_only;
    let command = Command::StartRollout(start(request)?);
    let (reply, state) = control.wish(by, command, dry).await?;
    answer(control, &reply, &state)
}

fn start(request: wire::CreateRolloutRequest) -> Result<Start, Status> {
    let if_running = match request.if_running() {
        wire::IfRunning::Unspecified | wire::IfRunning::Queue => IfRunning::Queue,
        wire::IfRunning::Supersede => IfRunning::Supersede,
        wire::IfRunning::Refuse => IfRunning::Refuse,
        wire::IfRunning::Attach => IfRunning::Attach,
    };
    let what = match (request.plan.as_str(), &request.what) {
        // Which hosts have drifted is for somebody to look at first; and asked for twice by one id, it would be nothing the
        // second time.
        ("", Some(what)) if what.converge => {
            let text = "is for CreatePlan: make the plan, look at it, and start it by its id";
            return Err(status::invalid("what.converge", text));
        }
        ("", Some(what)) => What::Request(plans::named(what)?),
        ("", None) => return Err(status::invalid("plan", "is empty, and so is `what`: name one of them")),
        (_, Some(_)) => return Err(status::invalid("what", "is given beside a plan: name one of them")),
        (plan, None) => {
            let id = plan.strip_prefix("plans/").unwrap_or(plan);
            What::Plan(field::parsed("plan", PlanId::new(id))?)
        }
    };
    Ok(Start {
        what,
        at: field::time("start_time", request.start_time)?,
        request_id: field::request_id(&request.request_id)?,
        if_running,
        reason: field::reason(request.reason)?,
    })
}

/// The rollout that a wish was answered with.
fn answer(control: &Control, reply: &Reply, state: &State) -> Result<wire::Rollout, Status> {
    let Reply::Rollout(id) = reply else {
        return Err(Status::internal("a rollout was asked for and none was given"));
    };
    let now = control.latest().1;
    shown(&control.known.hands.prefetch, state, find(state, None, id)?, now)
}

pub(super) fn get(control: &Control, request: &wire::GetRolloutRequest) -> Result<wire::Rollout, Status> {
    let (state, now, id) = named(control, &request.name)?;
    shown(&control.known.hands.prefetch, &state, find(&state, None, &id)?, now)
}

/// The rollout as people see it now.
fn shown(prefetch: &Prefetch, state: &State, rollout: &Rollout, now: Time) -> Result<wire::Rollout, Status> {
    let id = &rollout.id;
    let seen = echelon_shape::rollout(state, id, now).ok_or_else(|| Status::internal(format!("{id} has no view")))?;
    let ahead = prefetch.tally(state, id, now).map(|tally| wire::Ahead {
        hosts: tally.hosts,
        ready: tally.ready,
        fetching: tally.fetching,
        failed: tally.failed,
        unreachable: tally.unreachable,
    });
    Ok(wire::Rollout { ahead, ..seen })
}

fn told(line: &Line) -> wire::Event {
    echelon_shape::event(line.sequence, &line.view)
}

/// The rollout of a resource name, once it is sure that there is one.
fn named(control: &Control, name: &str) -> Result<(State, Time, RolloutId), Status> {
    let (app, id) = field::rollout(name)?;
    let (state, now) = control.latest();
    find(&state, app, &id)?;
    Ok((state, now, id))
}

fn find<'a>(state: &'a State, app: Option<&str>, id: &RolloutId) -> Result<&'a Rollout, Status> {
    let found = state
        .rollouts
        .get(id)
        .filter(|rollout| app.is_none_or(|app| rollout.app.as_str() == app));
    found.ok_or_else(|| {
        let of = app.map(|app| format!(" of app {app}")).unwrap_or_default();
        let text = format!(
            "there is no rollout {id}{of}, or it is no longer kept; `echelon rollout list` shows those that are"
        );
        status::not_found(&text)
    })
}

pub(super) fn list(
    control: &Control,
    request: &wire::ListRolloutsRequest,
) -> Result<wire::ListRolloutsResponse, Status> {
    let page = Page::new(request.page_size, &request.page_token)?;
    let app: Option<App> = field::optional("app", &request.app)?;
    let after = page.after.as_deref().map(str::parse::<u64>).transpose();
    let after = field::parsed("page_token", after)?;
    let (state, now) = control.latest();
    let is_wanted = |rollout: &&Rollout| {
        app.as_ref().is_none_or(|app| rollout.app == *app)
            && !(request.active_only && rollout.status.is_over())
            && after.is_none_or(|after| rollout.number < after)
    };
    let mut newest_first: Vec<_> = state.rollouts.values().filter(is_wanted).collect();
    newest_first.sort_by_key(|rollout| std::cmp::Reverse(rollout.number));
    let (rollouts, next_page_token) = page.take(newest_first, |rollout| rollout.number.to_string());
    let rollouts = rollouts
        .into_iter()
        .map(|rollout| shown(&control.known.hands.prefetch, &state, rollout, now));
    Ok(wire::ListRolloutsResponse {
        rollouts: rollouts.collect::<Result<_, _>>()?,
        next_page_token,
    })
}

pub(super) fn events(
    control: &Control,
    request: &wire::ListRolloutEventsRequest,
) -> Result<wire::ListRolloutEventsResponse, Status> {
    let size = page::size(request.page_size)?;
    let (_, _, id) = named(control, &request.name)?;
    let page = control.reader.story().page(&id, request.from_sequence, size);
    Ok(wire::ListRolloutEventsResponse {
        events: page.lines.iter().map(|line| told(line)).collect(),
        next_sequence: page.next.unwrap_or(0),
    })
}

pub(super) fn explain(
    control: &Control,
    request: &wire::ExplainRolloutRequest,
) -> Result<wire::ExplainRolloutResponse, Status> {
    let (state, now, id) = named(control, &request.name)?;
    let explanations = view::explain(&state, &control.reader.config(), &id, now).into_iter();
    let explanations = explanations.map(|said| wire::Explanation {
        subject: said.subject,
        text: said.text,
        who: said.who,
        command: said.command,
        suspects: Vec::new(),
    });
    let blamed = blame::explain(&state, &id, now);
    let tally = control.known.hands.prefetch.tally(&state, &id, now);
    let ahead = tally.map(|tally| wire::Explanation {
        text: format!("its artifact is {}", tally.text()),
        ..wire::Explanation::default()
    });
    Ok(wire::ExplainRolloutResponse {
        explanations: explanations.chain(blamed).chain(ahead).collect(),
    })
}
