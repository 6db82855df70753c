//! Integration tests: one binary, so that they link once.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod history;
mod process;
mod outages;
mod simulation;
