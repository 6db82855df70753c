//! What Route 53 answers, and why.

use serde::{Deserialize, Serialize};

use super::record::{RecordSet, RecordType};
use crate::ids::{HealthCheckId, Region};

/// A question to a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Name without a trailing dot, lower case.
    pub name: String,
    /// Type.
    pub record_type: RecordType,
    /// Where it is asked from.
    pub from: Place,
    /// Decides among weights: 0.0 up to but not including 1.0, drawn by the caller.
    pub draw: u32,
}

/// Where a question comes from, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Nearest AWS Region first, for latency routing.
    pub regions_by_latency: Vec<Region>,
    /// Continent code.
    pub continent: Option<String>,
    /// Country code.
    pub country: Option<String>,
    /// Subdivision code.
    pub subdivision: Option<String>,
}

/// What Route 53 answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Values; empty when there is no answer.
    pub values: Vec<String>,
    /// TTL in seconds.
    pub ttl_s: u32,
    /// The record sets that were followed, outermost first, by set identifier.
    pub path: Vec<String>,
    /// Why this answer.
    pub because: String,
    /// Every candidate, and why it was not chosen.
    pub considered: Vec<Considered>,
}

/// One candidate of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// Record name.
    pub name: String,
    /// Set identifier, if any.
    pub set_identifier: Option<String>,
    /// Its health as evaluated.
    pub healthy: bool,
    /// Why it was passed over; absent for the chosen one.
    pub rejected_because: Option<String>,
}

/// Answers `query` from the records of one zone; `healthy` says the state of a health check.
#[must_use]
pub fn answer(_records: &[RecordSet], _healthy: &dyn Fn(&HealthCheckId) -> bool, _query: &Query) -> Answer {
    todo!()
}
