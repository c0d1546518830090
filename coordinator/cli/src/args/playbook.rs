//! Arguments of `playbook ...`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use echelon_proto::PlaybookName;

use super::{Limit, Output, Reading, Simulate};

/// `playbook ...`
#[derive(Debug, Subcommand)]
pub(crate) enum PlaybookVerb {
    /// Make a playbook of one's own from one that is there
    New(NewPlaybook),
    /// Show every fault of playbooks on this machine; needs no coordinator
    Lint(Lint),
    /// Say what the code of a fault means, and how to mend it
    Explain {
        /// E041; without it all codes are listed
        code: Option<String>,
    },
    /// Print a playbook as one text: what it extends, values of parameters and every default filled in
    Render {
        /// A file, `-` for what is piped in, `web@3` of the coordinator, or `library/NAME`
        playbook: String,
        /// What it is read with
        #[command(flatten)]
        reading: Reading,
    },
    /// Draw the states of a playbook and the phases between them
    Graph(Graph),
    /// Show what is different between two playbooks, and what it means for a rollout
    Diff(Diff),
    /// Print the JSON Schema of the language, for editors
    Schema {
        /// Write it here instead
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Rehearse a rollout in virtual time: how it goes, how long it takes, what stays in service; starts nothing
    Simulate(Box<Simulate>),
    /// Make a playbook known. The same text again is the same version
    Push {
        /// The file
        file: PathBuf,
        /// Check everything, store nothing
        #[arg(long)]
        dry_run: bool,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// List playbooks
    List {
        /// How many
        #[command(flatten)]
        limit: Limit,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// Print the text of a playbook
    Get {
        /// `web` for its newest version, or `web@3`
        playbook: String,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
}

/// `playbook new`
#[derive(Debug, Args)]
pub(crate) struct NewPlaybook {
    /// Its name
    #[arg(required_unless_present = "list", requires = "from")]
    pub name: Option<PlaybookName>,
    /// One of the library, a file, or `web@3` of the coordinator
    #[arg(long, value_name = "LIBRARY_NAME|FILE|NAME", requires = "name")]
    pub from: Option<String>,
    /// Where to write it, `-` for the screen [default: NAME.yaml]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// List the library
    #[arg(long, conflicts_with_all = ["name", "from", "output"])]
    pub list: bool,
}

/// `playbook lint`
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// The files; `-` for what is piped in
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What they are read with
    #[command(flatten)]
    pub reading: Reading,
    /// How to show it
    #[arg(
        long,
        short = 'o',
        alias = "output",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub format: LintFormat,
    /// Let a warning be as bad as an error
    #[arg(long)]
    pub deny_warnings: bool,
}

/// How faults of playbooks are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LintFormat {
    /// For the eye.
    #[default]
    Text,
    /// One array.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// `playbook graph`
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// A file, `-` for what is piped in, `web@3` of the coordinator, or `library/NAME`
    pub playbook: String,
    /// What it is read with
    #[command(flatten)]
    pub reading: Reading,
    /// For whom it is drawn
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: GraphFormat,
    /// Draw the ways back too, dashed
    #[arg(long)]
    pub undo: bool,
    /// Write it here instead of the screen
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// For whom a machine is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Graphviz.
    #[default]
    Dot,
    /// Mermaid, which READMEs and wikis draw.
    Mermaid,
    /// A picture.
    Svg,
}

/// `playbook diff`
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The old one: a file, `-`, `web@3` of the coordinator, or `library/NAME`
    pub old: String,
    /// The new one
    pub new: String,
    /// What both are read with; each takes the values of the parameters that it has
    #[command(flatten)]
    pub reading: Reading,
    /// Compare the lines and not the meaning
    #[arg(long, conflicts_with = "format")]
    pub text: bool,
    /// How to show it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: DiffFormat,
    /// Exit with 10 if there is a difference
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// How differences are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum DiffFormat {
    /// For the eye.
    #[default]
    Text,
    /// One array.
    Json,
}
