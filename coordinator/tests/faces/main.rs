//! The coordinator's two faces from the outside: the real program, real sockets, real certificates; agents and people
//! are clients of the generated code alone. No policy is tested here: that is the engine's scenarios.

mod agent;
mod ahead;
mod asks;
mod blame;
mod canary;
mod drift;
mod hosts;
mod house;
mod joining;
mod params;
mod people;
mod restart;
mod rollouts;
mod watching;
