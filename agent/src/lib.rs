//! The host's side of Echelon: one stream to the coordinator, orders in, reports out, and nothing run twice.
//!
//! ```text
//! link (wire, session, output)  ->  machine (pure: what to begin, refuse, report)  ->  ledger (durable)
//!                                        |
//!                                        v
//!                                    Executor: host (programs under supervisors, checks, artifacts) or the testbed's fleet
//! ```
//!
//! [`link::run`] is the whole agent but for files: the testbed runs thousands of them in one process with its own
//! [`executor::Executor`] and ledgers in memory. Deliberately not here: any decision about the fleet.

pub mod arguments;
pub mod config;
pub mod doctor;
pub mod executor;
pub mod facts;
pub mod host;
pub mod identity;
pub mod ledger;
pub mod link;
pub mod machine;
pub mod order;
pub mod output;
pub mod upgrade;
