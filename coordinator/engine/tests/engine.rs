//! The engine from the outside: scripts with golden answers, and chance with invariants. Nothing here reaches inside.

#[path = "engine/chaos.rs"]
mod chaos;
#[path = "engine/desired.rs"]
mod desired;
#[path = "engine/older.rs"]
mod older;
#[path = "engine/scenarios.rs"]
mod scenarios;
#[path = "engine/world.rs"]
mod world;
