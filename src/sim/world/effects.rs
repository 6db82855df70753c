//! Every mutating call that was accepted, so that a test can show that no effect happened twice.
//!
//! Canary writes are not listed: they come once a second and store, and their copies tell themselves.

use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;

use super::faults::Service;

/// One accepted mutating call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectRecord {
    /// When it took effect.
    pub at: Timestamp,
    /// Who was asked.
    pub service: Service,
    /// AWS's name of the call.
    pub operation: &'static str,
    /// The Region asked.
    pub region: Region,
    /// Its arguments, for people and for comparing.
    pub arguments: String,
    /// Whether anything was different afterwards; `false` for an idempotent repetition.
    pub changed: bool,
}
