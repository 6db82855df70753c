//! What AWS says about a store when asked: plain values that adapters fill in and the engine reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Region;

/// An Aurora global cluster, as one Region's API describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalCluster {
    /// Identifier.
    pub id: String,
    /// Member clusters by Region.
    pub members: BTreeMap<Region, ClusterMember>,
    /// A switchover or failover that is under way, and where to.
    pub moving_to: Option<Region>,
}

impl GlobalCluster {
    /// The Region of the writer, while exactly one member says it writes and nothing is moving.
    #[must_use]
    pub fn writer(&self) -> Option<&Region> {
        let mut writers = self.members.iter().filter(|(_, member)| member.is_writer).map(|(region, _)| region);
        match (writers.next(), writers.next()) {
            (Some(region), None) => Some(region),
            _ => None,
        }
    }
}

/// One member of a global cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterMember {
    /// Cluster identifier.
    pub cluster: String,
    /// Whether it takes writes.
    pub is_writer: bool,
    /// Whether it holds a usable copy: `false` while it is being (re)built. That its writer is away does not unmake the
    /// copy; how old it is, lag and canary say.
    pub in_sync: bool,
    /// DB instances; a headless secondary (0) cannot be promoted.
    pub instances: u32,
    /// Engine version; must match to the minor.
    pub engine_version: String,
}

/// A DynamoDB global table as one Region's API describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalTable {
    /// Table name.
    pub table: String,
    /// Replica state by Region, the asked Region included.
    pub replicas: BTreeMap<Region, ReplicaStatus>,
}

/// State of a DynamoDB replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaStatus {
    /// Being made.
    Creating,
    /// Usable.
    Active,
    /// Going away.
    Deleting,
    /// Key or Region trouble; AWS's word is in the text of the error that follows.
    Inaccessible,
}

/// Replication of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketState {
    /// Bucket name.
    pub bucket: String,
    /// Replication needs it on both sides.
    pub versioning: bool,
    /// Buckets that this one replicates to.
    pub replicates_to: Vec<String>,
    /// Objects whose replication is still pending, where known.
    pub pending: Option<u64>,
    /// Objects whose replication failed, where known.
    pub failed: Option<u64>,
}
