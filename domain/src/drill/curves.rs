//! What was seen while a run or a drill went on: for the curves of its report. Bounded, whatever it lasted.

use serde::{Deserialize, Serialize};

use crate::health::Status;
use crate::ids::Region;
use crate::time::Timestamp;

/// Everything seen of one service over a stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// When the first points were taken, by the clock of the daemon that recorded.
    pub from: Timestamp,
    /// One for each observer, Region and signal; those through the public name have no Region.
    pub curves: Vec<Curve>,
    /// What users would have seen, where the service was asked by its public name.
    pub through: Option<ThroughSeen>,
}

/// Readings of one observer over time. The lists are of equal length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Who looked.
    pub observer: Region,
    /// Where; absent for what was asked by the public name.
    pub region: Option<Region>,
    /// Which signal.
    pub signal: String,
    /// Milliseconds after `from`, rising.
    pub at_ms: Vec<u64>,
    /// How each reading was.
    pub status: Vec<Status>,
    /// How long each answer took, milliseconds.
    pub latency_ms: Vec<Option<u64>>,
}

/// Errors that somebody who asks by the public name would have had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThroughSeen {
    /// Questions.
    pub asked: u64,
    /// Those that were not answered well.
    pub errors: u64,
    /// The longest time without a good answer, as the worst placed observer had it, milliseconds.
    pub longest_gap_ms: u64,
    /// When the last bad answer was followed by a good one, for whoever was bad last.
    pub well_since: Option<Timestamp>,
}
