//! What the readings mean, by quorum of fresh observers.

use serde::{Deserialize, Serialize};

use super::matrix::Matrix;
use super::reading::Status;
use crate::ids::Region;
use crate::service::ServiceSpec;
use crate::time::Timestamp;

/// What the readings mean for one service in one Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Diagnosis {
    /// All required signals good by quorum.
    Healthy,
    /// Something is bad, but not all that is required, or not by quorum.
    Degraded,
    /// All required signals bad by quorum; the Region itself still answers.
    ServiceDown,
    /// All required signals bad by quorum, and the Region's daemon is silent or its control plane away too.
    RegionDown,
    /// The service is fine; the Region's AWS API is not.
    ControlPlaneOnly,
    /// The one who asks sees neither peers nor references: its view counts for nothing.
    ObserverIsolated,
    /// Not enough fresh readings to tell.
    Unknown,
}

impl Diagnosis {
    /// Whether this is a proven breach.
    #[must_use]
    pub const fn is_breach(self) -> bool {
        matches!(self, Self::ServiceDown | Self::RegionDown)
    }

    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::ServiceDown => "service-down",
            Self::RegionDown => "region-down",
            Self::ControlPlaneOnly => "control-plane-only",
            Self::ObserverIsolated => "observer-isolated",
            Self::Unknown => "unknown",
        }
    }
}

/// A diagnosis with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The verdict.
    pub diagnosis: Diagnosis,
    /// One sentence: why.
    pub because: String,
    /// How long the weakest of the agreeing observers has seen it so, milliseconds.
    pub held_ms: u64,
    /// What each observer of the fleet says.
    pub opinions: Vec<Opinion>,
}

/// What one observer says of one service in one Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// Observer.
    pub observer: Region,
    /// Bad only when all required signals are bad past hysteresis.
    pub status: Status,
    /// Whether it counts (fresh and not isolated).
    pub counts: bool,
    /// Its signals in short, or why it does not count.
    pub detail: String,
    /// How long it has been so.
    pub held_ms: u64,
}

/// Who looks at the matrix, and by which limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The daemon that asks.
    pub me: Region,
    /// Every daemon of the fleet.
    pub members: Vec<Region>,
    /// Reports and readings older than this do not count.
    pub stale_after_ms: u64,
}

impl View {
    /// How many of the fleet are a majority.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }
}

/// Judges one service in one Region.
#[must_use]
pub fn diagnose(_now: Timestamp, _view: &View, _spec: &ServiceSpec, _region: &Region, _matrix: &Matrix) -> Finding {
    todo!()
}
