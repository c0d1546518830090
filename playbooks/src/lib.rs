//! The language in which people say how to roll: the checked form of a playbook ([`Playbook`]), its reader and linter,
//! the shortest-path planner over its machine, and the shipped library. Deliberately no IO: text goes in, a playbook or
//! every fault of the text comes out.

pub mod model;
mod path;
pub mod selector;
pub mod template;

pub use model::Playbook;
