//! The language in which people say how to roll: the checked form of a playbook ([`Playbook`]), its reader and linter
//! ([`read`]), the shortest-path planner over its machine, and the shipped library. Deliberately no IO: text goes in, a
//! playbook or every fault of the text comes out.

mod check;
mod copy;
mod diff;
pub mod fault;
pub mod given;
pub mod graph;
pub mod library;
pub mod model;
mod path;
mod render;
#[cfg(feature = "schema")]
pub mod schema;
pub mod selector;
pub mod template;
mod text;

pub use check::{Checked, flatten, read, read_with};
pub use copy::{SCHEMA_FILE, copy};
pub use diff::{Change, Turn, diff};
pub use fault::{Fault, Faults, Severity};
pub use given::{BaseName, Given};
pub use graph::Graph;
pub use library::LIBRARY;
pub use model::Playbook;
pub use render::render;
