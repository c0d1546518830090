//! What the world is asked to do: one file for each kind of effect.

pub mod balance;
pub mod canary;
pub mod dispatch;
pub mod notify;
pub mod prefetch;
pub mod webhook;
