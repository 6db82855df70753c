//! The real process: three of them on loopback form a fleet, are killed, paused, starved of disk and told to stop.
//!
//! Nothing is simulated here; AWS is not reached, but in the end-to-end test beside this one.

mod backup;
pub mod bound;
mod command_line;
pub mod databases;
mod doors;
pub mod fleet;
pub mod history;
mod leadership;
mod recovery;
mod refusals;
mod resizing;
pub mod security;
