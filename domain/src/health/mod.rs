//! Readings, and what they mean by quorum.

mod diagnosis;
mod hysteresis;
mod matrix;
mod opinion;
pub mod readiness;
mod reading;
mod sense;
mod sentence;
mod sheets;
#[cfg(test)]
pub(crate) mod tests;

pub use diagnosis::{Diagnosis, Finding, Opinion, View, diagnose};
pub use hysteresis::{Counts, Limits, SignalTracker};
pub use matrix::{Matrix, Received};
pub use reading::{
    CanaryReading, Rehearsal, ReplicaReadiness, Report, Route53Reading, SignalReading, Status, StoreReading,
    ThroughReading, Vote,
};
pub use sheets::SeenCheck;
