//! A rollout rehearsed: the very engine that the coordinator drives, in virtual time, on a made-up or a given fleet, with
//! hosts that take their time and fail as they are told. It ends in seconds what takes hours, and says how it would go.
//! Deliberately no second opinion: nothing here decides what happens next, and nothing here has IO, a clock or chance
//! of its own. The same script gives the same rehearsal to the byte.

mod chance;
mod fleet;
mod forecast;
mod pace;
mod trouble;
mod world;

use std::collections::BTreeMap;

use echelon_engine::{Refusal, State, outcome::Outcome};
use echelon_playbooks::Playbook;
use echelon_proto::{
    App, Datacenter, GateName, OperationName, ParamName, ReleaseName, RolloutId, Span, Time, WaveName,
};
use serde::Serialize;

pub use echelon_engine::view::EventView;
pub use fleet::{Fleet, Host, MadeUp, Standing};
pub use forecast::{Forecast, LaneForecast, PoolForecast, SERIES_POINTS_MAX, SourceForecast};
pub use trouble::{Fail, Invalid, Slow};

/// When a rehearsal begins whose time of day does not matter: 2000-01-01T00:00:00Z, a Saturday, whatever the clock says.
pub const BEGIN: Time = Time(946_684_800_000);

/// A rehearsal that has no end by then is left there. Bakes and deadlines of a playbook are at most days.
pub const VIRTUAL_TIME_MAX: Span = Span::secs(60 * 24 * 3600);

/// What is rehearsed, and how the world behaves.
#[derive(Debug, Clone)]
pub struct Script {
    /// By which playbook.
    pub playbook: Playbook,
    /// What that was read from.
    pub text: String,
    /// The text of the playbook that it extends.
    pub base: Option<String>,
    /// Values for its parameters.
    pub params: BTreeMap<ParamName, String>,
    /// Of what; [`app`] says which the playbook is for.
    pub app: App,
    /// To which version.
    pub release: ReleaseName,
    /// `None`: the one that the playbook's stage names.
    pub operation: Option<OperationName>,
    /// On which hosts.
    pub fleet: Fleet,
    /// What goes wrong.
    pub fails: Vec<Fail>,
    /// What takes longer, or shorter.
    pub slows: Vec<Slow>,
    /// When it begins: windows ask for the time of day.
    pub begin: Time,
    /// From which everything that is left to chance is drawn.
    pub seed: u64,
    /// How long made-up people think before they approve.
    pub think: Span,
}

/// How it went.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// All that is known at the end: any view can be taken of it.
    pub state: State,
    /// Of which rollout.
    pub rollout: RolloutId,
    /// When it began, in virtual time.
    pub begin: Time,
    /// When it ended.
    pub now: Time,
    /// How it ended.
    pub end: End,
    /// Its story, oldest first.
    pub events: Vec<EventView>,
    /// Who was taken to approve what.
    pub approvals: Vec<Approval>,
    /// Hosts that a phase of another rollout runs on, taken to be idle.
    pub taken_as_idle: u32,
    /// What is to be expected.
    pub forecast: Forecast,
}

/// How a rehearsal ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The rollout is over.
    Outcome(Outcome),
    /// Nothing more happens before a person acts: what for, one line each.
    Waits(Vec<String>),
    /// [`VIRTUAL_TIME_MAX`] has passed.
    Late,
}

/// An approval that nobody gave: the rehearsal took it for given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// Where.
    pub datacenter: Datacenter,
    /// After which wave.
    pub wave: WaveName,
    /// Of which gate.
    pub gate: GateName,
    /// How many approved.
    pub approvers: u32,
    /// Milliseconds from the start until they were asked.
    pub asked_ms: Span,
    /// Milliseconds from the start until they approved.
    pub given_ms: Span,
}

/// Why there is no rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine does not take the playbook, the release or the plan: it would not on the day either.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// A fleet that cannot be made up for this playbook.
    #[error("{0}")]
    Fleet(String),
    /// Trouble is wished for a host, phase or gate that there is not.
    #[error("there is no {what} {given} to {verb}: there {}", is_or_are(known))]
    Unknown {
        /// host, phase, gate
        what: &'static str,
        /// As given.
        given: String,
        /// fail, slow down
        verb: &'static str,
        /// Those there are, the first of them.
        known: Vec<String>,
    },
}

fn is_or_are(known: &[String]) -> String {
    match known {
        [] => "is none".into(),
        [one] => format!("is {one}"),
        several => format!("are {}", several.join(", ")),
    }
}

/// Rehearses it.
///
/// # Errors
/// [`Error`]: what is asked for makes no sense, or the engine refuses it.
pub fn rehearse(script: &Script) -> Result<Rehearsal, Error> {
    let hosts = script.fleet.hosts(&script.playbook, &script.app, &script.release)?;
    trouble::check(script, &hosts)?;
    world::World::new(script, &hosts)?.run()
}

/// The app that a playbook is for: the one that its selector names, or the one that is called as it is.
///
/// # Panics
/// Never: a playbook's name is a name.
#[must_use]
pub fn app(playbook: &Playbook) -> App {
    let named = playbook.hosts.selector.value("app").and_then(|app| App::new(app).ok());
    named.unwrap_or_else(|| App::new(playbook.name.as_str()).expect("a name is a name"))
}
