//! The command line as people type it. Only its shape and its help: what a verb does is in `commands`.

mod delta;
mod judge;
mod param;
mod playbook;
mod simulate;
mod thing;
mod verb;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use echelon_proto::Span;

use crate::{
    console::{Colour, Format},
    context::Context,
};

pub(crate) use delta::{Converge, Drift};
pub(crate) use judge::{Arms, Column, JudgeVerb, Live, Own, Score, Try};
pub(crate) use param::{Reading, by_name};
pub(crate) use playbook::{Diff, DiffFormat, Graph, GraphFormat, Lint, LintFormat, NewPlaybook, PlaybookVerb};
pub(crate) use simulate::{Simulate, SimulateFormat};
pub(crate) use thing::{ContextVerb, CreateRelease, HostVerb, Logs, ReleaseVerb, RolloutVerb};
pub(crate) use verb::{Act, Plan, Report, ReportFormat, Start, Status};

/// Roll software out over the fleet, watch it, and take it back.
#[derive(Debug, Parser)]
#[command(
    name = "echelon",
    version,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "`echelon help exit-codes` lists the exit codes. Ctrl-C while watching detaches: the rollout goes on."
)]
pub(crate) struct Cli {
    /// Which coordinator, as whom, and how to show it.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection and display")]
pub(crate) struct Global {
    /// File of contexts [env: ECHELON_CONFIG] [default: ~/.config/echelon/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Context to use instead of the current one [env: ECHELON_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The coordinator, https://host:port [env: ECHELON_COORDINATOR]
    #[arg(long, global = true, value_name = "URL")]
    pub coordinator: Option<String>,
    /// The name in the coordinator's certificate [env: ECHELON_SERVER_NAME] [default: echelon-coordinator]
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub server_name: Option<String>,
    /// PEM file of the CA that signed the coordinator's certificate [env: ECHELON_CA]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// PEM file of your certificate [env: ECHELON_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// PEM file of its key [env: ECHELON_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// How long a watch tries to get back to a coordinator that went away
    #[arg(long, global = true, value_name = "TIME", default_value = "60s")]
    pub connect_timeout: Span,
    /// When to colour; NO_COLOR turns it off too
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Colour,
}

impl Global {
    /// The part of a context that stands on the command line.
    #[must_use]
    pub(crate) fn flags(&self) -> Context {
        Context {
            coordinator: self.coordinator.clone(),
            server_name: self.server_name.clone(),
            ca: self.ca.clone(),
            certificate: self.cert.clone(),
            key: self.key.clone(),
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Those that speak to a coordinator.
    #[command(flatten)]
    Online(Online),
    /// Playbooks: new, lint, explain, render, graph, diff, schema, simulate, push, list, get
    #[command(subcommand)]
    Playbook(PlaybookVerb),
    /// Which coordinator, and as whom: show, set, use
    #[command(subcommand)]
    Context(ContextVerb),
    /// The judge of canaries over data of your own, or by a source: try, score
    #[command(subcommand)]
    Judge(JudgeVerb),
    /// Print the completions for a shell
    Completions {
        /// bash, zsh or fish
        #[arg(value_enum)]
        shell: CompletedShell,
    },
    /// List the exit codes
    #[command(name = "exit-codes", after_help = crate::exit::table())]
    ExitCodes,
}

/// The verbs that speak to a coordinator.
#[derive(Debug, Subcommand)]
pub(crate) enum Online {
    /// Show which hosts a release would go to, in which order; changes nothing
    Plan(Plan),
    /// Start a rollout, now or at a time
    Start(Box<Start>),
    /// Show what stands on hosts against what should, red and green
    Drift(Drift),
    /// Show the plan that brings drifted hosts to where they should be; changes nothing
    Converge(Converge),
    /// Show a rollout, or all that are active or wait for a person
    Status(Status),
    /// Approve what waits for an approval
    Approve(Act),
    /// Refuse what waits for an approval
    Reject(Act),
    /// Pass a gate by hand
    Promote(Act),
    /// Start nothing new; what runs is finished
    Pause(Act),
    /// Go on after a pause or a hold
    Resume(Act),
    /// Try failed hosts again
    Retry(Act),
    /// Leave failed hosts out and go on
    Skip(Act),
    /// Stop, and leave hosts where they are safe
    Abort(Act),
    /// Go back to the previous release on every host that was touched
    Rollback(Act),
    /// Rollouts: list, get, events, logs, explain
    #[command(subcommand)]
    Rollout(RolloutVerb),
    /// Releases: create, list, get
    #[command(subcommand)]
    Release(ReleaseVerb),
    /// Hosts: list, get, label, doctor, processes, releases, tail, and tokens with which new ones join
    #[command(subcommand)]
    Host(HostVerb),
    /// Report on a rollout: outcome, hosts, times, decisions
    Report(Report),
}

/// The shells that completions are made for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum CompletedShell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

impl From<CompletedShell> for Shell {
    fn from(shell: CompletedShell) -> Self {
        match shell {
            CompletedShell::Bash => Self::Bash,
            CompletedShell::Zsh => Self::Zsh,
            CompletedShell::Fish => Self::Fish,
        }
    }
}

/// In what shape.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// How to show it
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// How many.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Limit {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_start_names_either_a_plan_or_what_to_plan() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        assert!(parse("echelon start web --release 1.1.0 --playbook web@3"));
        assert!(parse("echelon start --plan p1 --wait --timeout 10m"));
        assert!(!parse("echelon start"));
        assert!(!parse("echelon start web --release 1.1.0"));
        assert!(!parse("echelon start web --plan p1"));
        assert!(!parse("echelon start --plan p1 --dc dc1"));
        assert!(!parse("echelon start --plan p1 --wait --detach"));
        assert!(!parse("echelon start --plan p1 --detach --timeout 10m"));
    }

    #[test]
    fn an_act_has_a_reason() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        assert!(parse("echelon skip r7 --host web-3 --reason broken-disk"));
        assert!(!parse("echelon skip r7 --host web-3"));
        assert!(!parse("echelon skip r/7 --reason x"));
    }
}
