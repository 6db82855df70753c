//! What a daemon's consensus must be told, and why it may refuse to start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::Role;
use failoverd_domain::format::Format;
use failoverd_domain::ids::{FleetId, Generation, Region};
use failoverd_domain::traffic::SwitchEndpoint;
use openraft::SnapshotPolicy;

use super::disk::OpenError;
use super::identity::Whose;
use super::types::{NodeId, node_id};

/// What a daemon's consensus must be told.
#[derive(Clone, Debug)]
pub struct ConsensusConfig {
    /// This daemon.
    pub me: Region,
    /// The fleet.
    pub fleet: FleetId,
    /// An empty disk waits to be added to the fleet of this generation, instead of forming one with the others. A disk
    /// that was used says its generation itself.
    pub join: Option<Generation>,
    /// Every daemon of a new fleet, this one included. A fleet that exists already knows its own; others are where it could
    /// be added.
    pub members: BTreeMap<Region, Role>,
    /// Where Route 53's checkers reach this daemon.
    pub switch: Option<SwitchEndpoint>,
    /// Between the leader's signs of life. Must exceed the worst round trip between the Regions, as a message to
    /// a follower has no longer to be answered.
    pub heartbeat: Duration,
    /// After this much silence at least, beyond the leader's lease, a follower stands for election.
    pub election_timeout_min: Duration,
    /// At most; also the leader's lease.
    pub election_timeout_max: Duration,
    /// Entries between two snapshots.
    pub snapshot_every: u64,
    /// The newest format that this daemon reads; its build's own, except in simulations of upgrades.
    pub reads: Format,
}

/// Why consensus did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The disk was refused.
    #[error(transparent)]
    Disk(#[from] OpenError),
    /// The configuration contradicts itself.
    #[error("consensus configuration: {0}")]
    Config(String),
    /// What is on the disk cannot be continued from.
    #[error("{place} cannot be continued from: {cause}")]
    Log {
        /// Where.
        place: String,
        /// Why.
        cause: String,
    },
}

impl ConsensusConfig {
    pub(super) fn whose(&self) -> Whose {
        let (fleet, region) = (self.fleet.clone(), self.me.clone());
        Whose { fleet, region, generation: self.join, joins: self.join.is_some() }
    }

    /// How long a proposal may take before its outcome is unknown.
    pub(super) fn propose_deadline(&self) -> Duration {
        self.election_timeout_max * 2
    }

    /// The members as openraft wants them.
    pub(super) fn nodes(&self) -> Result<BTreeMap<NodeId, Region>, StartError> {
        if !self.members.contains_key(&self.me) {
            return Err(StartError::Config(format!("{} is not among the members of its own fleet", self.me)));
        }
        let mut nodes = BTreeMap::new();
        for region in self.members.keys() {
            if let Some(other) = nodes.insert(node_id(region), region.clone()) {
                return Err(StartError::Config(format!("{region} and {other} have the same number, rename one")));
            }
        }
        Ok(nodes)
    }

    pub(super) fn openraft(&self) -> Result<Arc<openraft::Config>, StartError> {
        let config = openraft::Config {
            cluster_name: self.fleet.to_string(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_timeout_min),
            election_timeout_max: millis(self.election_timeout_max),
            install_snapshot_timeout: millis(self.election_timeout_max.max(Duration::from_secs(5))),
            max_payload_entries: 128,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_every),
            replication_lag_threshold: self.snapshot_every.saturating_mul(2),
            max_in_snapshot_log_to_keep: self.snapshot_every,
            snapshot_max_chunk_size: 256 * 1024,
            ..openraft::Config::default()
        };
        if config.heartbeat_interval == 0 || self.snapshot_every == 0 {
            return Err(StartError::Config("heartbeat and snapshot_every must not be zero".to_owned()));
        }
        config.validate().map(Arc::new).map_err(|error| StartError::Config(error.to_string()))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
