//! failoverd: keeps services alive when an AWS Region dies.
//!
//! `ARCHITECTURE.md` has the map. Arrows between these modules are held by `tests/tidy.rs`.

pub mod adapters;
pub mod api;
pub mod cli;
pub mod config;
pub mod consensus;
pub mod daemon;
pub mod ports;
pub mod process;
pub mod runtime;
pub mod sandbox;
pub mod sim;
pub mod survey;
pub mod telemetry;
