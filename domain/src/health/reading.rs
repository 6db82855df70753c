//! What one daemon reads, in the shape in which daemons tell each other.
//!
//! Clocks differ between daemons, so readings carry durations ("bad for 12 s, read 1 s ago"), never instants
//! to be compared with somebody else's clock. Canary versions are the writer's own and compared with each other only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::readiness::Sheet;
use crate::fleet::FleetSettings;
use crate::format::Build;
use crate::ids::{DrillRunId, LogIndex, Region, ServiceName, SignalName, StoreName, SwitchGroup};
use crate::time::Timestamp;

/// Everything one daemon sees, whole; the newest replaces the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Who looked.
    pub observer: Region,
    /// Its build, and what that reads.
    #[serde(default)]
    pub build: Build,
    /// What its file says of the whole fleet; absent from builds that knew nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<FleetSettings>,
    /// Rises with every report of one process.
    pub seq: u64,
    /// The observer's clock when it was sent; for skew only.
    pub sent_at: Timestamp,
    /// How far the observer has applied the log.
    pub applied: LogIndex,
    /// The newest log index whose events the observer's history holds; absent for a witness without one.
    pub history_confirmed: Option<LogIndex>,
    /// Peers whose reports are fresh here.
    pub reaches: Vec<Region>,
    /// Reference endpoints outside the fleet, by Region, and whether they answer.
    pub references: BTreeMap<Region, bool>,
    /// Signals, one for each service, Region and signal.
    pub signals: Vec<SignalReading>,
    /// Stores, one for each service, store and Region that this daemon looks at.
    pub stores: Vec<StoreReading>,
    /// What Route 53's own checkers say, read through DNS.
    pub route53: Vec<Route53Reading>,
    /// Regional control planes, and whether they answer.
    pub control_planes: BTreeMap<Region, Status>,
    /// What this daemon answers to Route 53's checkers, by group and the Region the bit belongs to.
    pub votes: Vec<(SwitchGroup, Region, Vote)>,
    /// Sheets of readiness checks, some of all in turn: whoever holds the report keeps those of earlier ones.
    #[serde(default)]
    pub checks: Vec<Sheet>,
    /// What drills show of Regions that are taken for lost. Never mixed with what is really read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rehearsals: Vec<Rehearsal>,
    /// Services that are being moved, asked by their public names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<ThroughReading>,
}

/// What a drill shows of one service in a Region that is taken for lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The execution of the drill.
    pub drill: DrillRunId,
    /// Service.
    pub service: ServiceName,
    /// The Region that is taken for lost.
    pub region: Region,
    /// One for each signal, as if it were read.
    pub signals: Vec<SignalReading>,
    /// Route 53's word, as if it were heard.
    pub route53: Option<Route53Reading>,
}

/// How a service answered somebody who asked by its public name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThroughReading {
    /// Service.
    pub service: ServiceName,
    /// How it answered.
    pub status: Status,
    /// How long the answer took, milliseconds.
    pub latency_ms: Option<u64>,
    /// How old the reading was, when it was sent.
    pub age_ms: u64,
    /// What was seen.
    pub detail: String,
}

/// Good, bad, or cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Cannot tell; never counts as bad.
    Unknown,
}

/// One reading of one signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalReading {
    /// Service asked about.
    pub service: ServiceName,
    /// Region asked about.
    pub region: Region,
    /// Which signal.
    pub signal: SignalName,
    /// The newest status.
    pub status: Status,
    /// How long it has been so without a break, when it was sent.
    pub held_ms: u64,
    /// How old the newest reading was, when it was sent.
    pub age_ms: u64,
    /// Whether it was bad and has not been good long enough since (hysteresis: set by the observer).
    pub breached: bool,
    /// Answers and errors since the observer began to watch; for error counts and curves.
    pub detail: String,
    /// How long the newest answer took, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

/// What one daemon knows of one store as seen in one Region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreReading {
    /// Service.
    pub service: ServiceName,
    /// Store.
    pub store: StoreName,
    /// Region of the copy that was looked at.
    pub region: Region,
    /// Whether the copy could take over (or serves already).
    pub readiness: ReplicaReadiness,
    /// Whether AWS says that this copy is the writer; absent where every copy writes or nobody could be asked.
    pub writer: Option<bool>,
    /// What the canary shows here.
    pub canary: Option<CanaryReading>,
    /// CloudWatch's lag, milliseconds, with the age of its data point.
    pub lag_ms: Option<(u64, u64)>,
    /// How old this look (readiness, writer, lag) was, when it was sent; the canary has its own ages.
    pub age_ms: u64,
}

/// What the canary of a store shows in one Region. Versions are milliseconds of the canary writer's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryReading {
    /// Newest version whose write was acknowledged here (this Region serves and this daemon writes).
    pub acknowledged: Option<u64>,
    /// How long ago that was, when it was sent, milliseconds.
    #[serde(default)]
    pub acknowledged_age_ms: u64,
    /// Newest version that can be read here.
    pub visible: Option<u64>,
    /// How long ago it was read, when it was sent, milliseconds.
    #[serde(default)]
    pub visible_age_ms: u64,
}

/// Whether a copy of a store could take over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaReadiness {
    /// It could, or it serves already.
    Ready,
    /// It could not, and why.
    NotReady(String),
    /// Nobody could be asked, and why.
    Unknown(String),
}

/// What Route 53's checkers say of one service in one Region, read from the canary record over DNS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route53Reading {
    /// Service.
    pub service: ServiceName,
    /// Region.
    pub region: Region,
    /// Good, bad, or no answer.
    pub status: Status,
    /// How old this reading was, when it was sent.
    pub age_ms: u64,
}

/// What a daemon answers for a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vote {
    /// `switch=on`.
    On,
    /// `switch=off`.
    Off,
    /// 503, or no answer at all: abstains.
    Silent,
}
