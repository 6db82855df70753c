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
    /// AWS's own word for its state: `available`, `switching-over`, `failing-over` …
    pub status: String,
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
    /// Whether it holds a copy that replication can go on with (AWS: `connected`); `false` while it has to be rebuilt
    /// (`pending-resync`). That its writer's Region is gone does not make it false: then it is the one to promote.
    pub in_sync: bool,
    /// DB instances; a headless secondary (0) cannot be promoted.
    pub instances: u32,
    /// Engine version; must match to the minor.
    pub engine_version: String,
    /// AWS's own word for the cluster's state; empty where the asked Region does not tell.
    pub status: String,
    /// Class of each instance, sorted; empty where the asked Region does not tell.
    pub instance_classes: Vec<String>,
}

/// A DB instance that is, or was, one end of a cross-Region replication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DbInstance {
    /// Identifier in its Region.
    pub id: String,
    /// ARN.
    pub arn: String,
    /// AWS's own word for its state: `available`, `modifying`, `rebooting` …
    pub status: String,
    /// ARN (or identifier, in one Region) of the instance it replicates from; absent once it is promoted.
    pub replica_of: Option<String>,
    /// ARNs (or identifiers) of the replicas that it feeds.
    pub replicas: Vec<String>,
    /// `db.r6g.large` …
    pub class: String,
    /// Engine version; a replica must match to the major and not be older.
    pub engine_version: String,
    /// Days for which automatic backups are kept; a replica should have some before it is promoted.
    pub backup_days: u32,
    /// Whether replication is broken, in AWS's words (`replicating` is not).
    pub replication_problem: Option<String>,
}

impl DbInstance {
    /// Whether it takes writes by its role; a fence may stop them all the same.
    #[must_use]
    pub const fn is_writer(&self) -> bool {
        self.replica_of.is_none()
    }

    /// Whether AWS calls it usable.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.status == "available"
    }
}

/// A DynamoDB global table as one Region's API describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalTable {
    /// Table name.
    pub table: String,
    /// Replica state by Region, the asked Region included.
    pub replicas: BTreeMap<Region, ReplicaStatus>,
    /// What kind of table it is.
    pub kind: TableKind,
    /// How replicas agree.
    pub consistency: Consistency,
    /// The Region that only witnesses, of a strongly consistent table.
    pub witness: Option<Region>,
    /// Whether new and old images are streamed, as replication needs.
    pub streams: bool,
    /// Whether the table itself can be changed now (AWS: `ACTIVE`).
    pub is_active: bool,
}

/// What kind of table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// In one Region only; a replica makes it global.
    Single,
    /// Global table of version 2019.11.21.
    Global,
    /// Global table of version 2017.11.29, made by `CreateGlobalTable`: has to be upgraded first.
    Legacy,
}

/// How replicas of a global table agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// The last writer wins.
    Eventual,
    /// Three Regions agree on each write (`MultiRegionConsistency: STRONG`).
    Strong,
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
    /// Its key cannot be used (AWS: `INACCESSIBLE_ENCRYPTION_CREDENTIALS`).
    Inaccessible,
    /// The account has switched the Region off (AWS: `REGION_DISABLED`).
    RegionDisabled,
    /// It could not be made (AWS: `CREATION_FAILED`).
    Failed,
}

/// Replication of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketState {
    /// Bucket name.
    pub bucket: String,
    /// Replication needs it on both sides.
    pub versioning: bool,
    /// Its replication rules.
    pub rules: Vec<ReplicationRule>,
    /// Whether anything is in it: a new rule copies nothing that is there already.
    pub has_objects: bool,
    /// Objects whose replication is still pending, where known: of the canary alone, where nobody counts the others.
    pub pending: Option<u64>,
    /// Objects whose replication failed, where known: of the canary alone, where nobody counts the others.
    pub failed: Option<u64>,
}

impl BucketState {
    /// Whether an enabled rule replicates everything to that bucket.
    #[must_use]
    pub fn replicates_to(&self, bucket: &str) -> bool {
        self.rules.iter().any(|rule| rule.to == bucket && rule.enabled && rule.is_whole)
    }
}

/// One replication rule of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationRule {
    /// Destination bucket.
    pub to: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// Whether it covers every object: no prefix, no tag.
    pub is_whole: bool,
    /// Whether changes of a replica's metadata are replicated too, as rules both ways need.
    pub replica_modifications: bool,
    /// Whether delete markers are replicated.
    pub delete_markers: bool,
    /// Replication time control, which brings the metrics along.
    pub time_control: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_global_cluster_has_a_writer_while_one_alone_says_so() {
        let member = |is_writer| ClusterMember {
            cluster: "c".into(),
            is_writer,
            in_sync: true,
            instances: 1,
            engine_version: "16.4".into(),
            status: "available".into(),
            instance_classes: vec![],
        };
        let writer = |us, eu| {
            let members = [("us-east-1".into(), member(us)), ("eu-west-1".into(), member(eu))].into();
            let found = GlobalCluster { id: "g".into(), members, moving_to: None, status: "available".into() };
            found.writer().map(|region| region.to_string())
        };
        assert_eq!(writer(true, false).as_deref(), Some("us-east-1"));
        assert_eq!(writer(false, true).as_deref(), Some("eu-west-1"));
        assert_eq!((writer(false, false), writer(true, true)), (None, None));
    }

    #[test]
    fn an_instance_writes_once_it_follows_nobody() {
        let instance = |replica_of: Option<&str>, status: &str| DbInstance {
            id: "books".into(),
            arn: "arn".into(),
            status: status.into(),
            replica_of: replica_of.map(str::to_owned),
            replicas: vec![],
            class: "db.r6g.large".into(),
            engine_version: "16.4".into(),
            backup_days: 7,
            replication_problem: None,
        };
        let (alone, follows) = (instance(None, "available"), instance(Some("arn:other"), "modifying"));
        assert_eq!((alone.is_writer(), follows.is_writer()), (true, false));
        assert_eq!((alone.is_available(), follows.is_available()), (true, false));
    }

    #[test]
    fn a_bucket_replicates_by_a_rule_that_is_in_force_and_leaves_nothing_out() {
        let replicates = |to: &str, enabled, is_whole| {
            let rule = ReplicationRule {
                to: to.into(),
                enabled,
                is_whole,
                replica_modifications: true,
                delete_markers: true,
                time_control: false,
            };
            let bucket = BucketState {
                bucket: "media-us".into(),
                versioning: true,
                rules: vec![rule],
                has_objects: false,
                pending: None,
                failed: None,
            };
            bucket.replicates_to("media-eu")
        };
        assert!(replicates("media-eu", true, true));
        assert!(!replicates("media-ap", true, true));
        assert!(!replicates("media-eu", false, true));
        assert!(!replicates("media-eu", true, false));
    }
}
