//! Readings, and what they mean by quorum.

mod diagnosis;
mod matrix;
mod reading;

pub use diagnosis::{Diagnosis, Finding, Opinion, View, diagnose};
pub use matrix::{Matrix, Received};
pub use reading::{CanaryReading, ReplicaReadiness, Report, Route53Reading, SignalReading, Status, StoreReading, Vote};
