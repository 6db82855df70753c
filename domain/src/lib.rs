//! The pure heart of failoverd: what the words mean and what follows from what.
//!
//! Nothing here reads a clock, draws a random number, does I/O or knows an SDK: time and readings come in as
//! arguments, decisions go out as values. That is what lets a simulation run years of outages in minutes, and
//! a replay of the log reach the same state on every daemon.

pub mod by_hand;
pub mod data;
pub mod drill;
pub mod fleet;
pub mod format;
pub mod freeze;
pub mod glass;
pub mod health;
pub mod iam;
pub mod ids;
pub mod invariant;
pub mod manifest;
pub mod plan;
pub mod report;
pub mod route53;
pub mod sabotage;
pub mod service;
pub mod switch_groups;
pub mod time;
pub mod traffic;
