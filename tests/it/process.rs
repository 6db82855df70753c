//! The real process: three of them on loopback form a fleet, are killed, paused, starved of disk and told to stop.
//!
//! Nothing is simulated here but the outside world, which this build does not reach.

mod bound;
mod command_line;
mod databases;
mod fleet;
mod history;
mod leadership;
mod refusals;
