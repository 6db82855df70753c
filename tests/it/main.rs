//! Integration tests: one binary, so that they link once.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod active_active;
mod aws;
mod by_hand;
mod chart;
mod clocks;
mod crashes;
mod drills;
mod examples;
mod faults;
mod fuzzed;
mod gamedays;
mod glass;
mod groups;
mod history;
mod incidents;
mod linear;
mod metrics;
mod outages;
mod over_grpc;
mod ports;
mod process;
mod readiness;
mod recovery;
mod resizing;
#[cfg(debug_assertions)]
mod sabotage;
mod sandbox;
mod simulation;
mod supply;
mod upgrade;
mod verification;
