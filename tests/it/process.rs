//! The real process: three of them on loopback form a fleet, are killed, paused, starved of disk and told to stop.
//!
//! Nothing is simulated here; AWS is not reached, but in the end-to-end test beside this one.

pub mod bound;
mod command_line;
pub mod databases;
pub mod fleet;
mod history;
mod leadership;
mod refusals;
mod security;
