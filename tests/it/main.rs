//! Integration tests: one binary, so that they link once.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod active_active;
mod aws;
mod chart;
mod drills;
mod examples;
mod fuzzed;
mod gamedays;
mod groups;
mod history;
mod metrics;
mod outages;
mod process;
mod readiness;
#[cfg(debug_assertions)]
mod sabotage;
mod sandbox;
mod simulation;
mod upgrade;
mod verification;
