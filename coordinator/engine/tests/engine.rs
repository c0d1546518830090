//! The engine from the outside: scripts with golden answers, chance with invariants, and properties over made-up fleets.
//! Nothing here reaches inside.

#[path = "engine/beside.rs"]
mod beside;
#[path = "engine/canary.rs"]
mod canary;
#[path = "engine/capacity.rs"]
mod capacity;
#[path = "engine/chaos.rs"]
mod chaos;
#[path = "engine/desired.rs"]
mod desired;
#[path = "engine/labels.rs"]
mod labels;
#[path = "engine/late.rs"]
mod late;
#[path = "engine/monitor.rs"]
mod monitor;
#[path = "engine/older.rs"]
mod older;
#[path = "engine/rules.rs"]
mod rules;
#[path = "engine/scenarios.rs"]
mod scenarios;
#[path = "engine/symptoms.rs"]
mod symptoms;
#[path = "engine/tuning.rs"]
mod tuning;
#[path = "engine/waves.rs"]
mod waves;
#[path = "engine/world.rs"]
mod world;
