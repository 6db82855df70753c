//! What checks are called, for users and scripts.

/// The copy exists, under the name that the manifest gives.
pub const REPLICA_PRESENT: &str = "replica-present";
/// AWS calls it usable.
pub const REPLICA_ACTIVE: &str = "replica-active";
/// Its instances are of the class of those that serve.
pub const INSTANCE_CLASS: &str = "instance-class";
/// Its engine's version lets it be promoted.
pub const ENGINE_VERSION: &str = "engine-version";
/// It has an instance to promote.
pub const HEADLESS: &str = "headless";
/// What it replicates from reaches it.
pub const REPLICATION_HEALTHY: &str = "replication-healthy";
/// No more would be lost than the objective allows.
pub const LAG_IN_BUDGET: &str = "lag-in-budget";
/// New and old images are streamed.
pub const STREAMS_ON: &str = "streams-on";
/// The table is of a kind that can be looked after.
pub const TABLE_KIND: &str = "table-kind";
/// A strongly consistent table has its three Regions.
pub const MRSC_REGIONS: &str = "mrsc-regions";
/// The bucket keeps versions, as replication needs.
pub const VERSIONING: &str = "versioning";
/// Buckets replicate to each other as the manifest says.
pub const REPLICATION_RULE: &str = "replication-rule";
/// What a new rule would leave behind.
pub const EXISTING_OBJECTS: &str = "existing-objects";
/// Automatic backups are kept.
pub const BACKUPS_ON: &str = "backups-on";
/// The hosted zone is there, public, and the only one of its name.
pub const ZONE_FOUND: &str = "zone-found";
/// Every health check that the service needs exists.
pub const HEALTH_CHECKS_PRESENT: &str = "health-checks-present";
/// They ask what the committed switches and endpoints say.
pub const HEALTH_CHECKS_AGREE: &str = "health-checks-agree";
/// The account may have the health checks that are still to be made.
pub const CHECK_QUOTA: &str = "check-quota";
/// The zone may hold the records that are still to be made.
pub const RECORD_QUOTA: &str = "record-quota";
/// The role may do what the service needs.
pub const PERMISSIONS: &str = "permissions";
/// Nobody else changed, and nothing stands in the way of, what failoverd keeps in AWS.
pub const RECORDS_DRIFT: &str = "records-drift";

/// Whether a copy of which this is not known cannot be called ready. The others say no, or nothing: they are told by
/// Regions that an outage takes away.
#[must_use]
pub fn is_vital(name: &str) -> bool {
    [REPLICA_PRESENT, REPLICA_ACTIVE, VERSIONING].contains(&name)
}

/// What a sheet of checks is about.
pub mod topics {
    /// A copy of a store.
    pub const COPY: &str = "copy";
    /// The zone, its records and health checks, and their quotas.
    pub const TRAFFIC: &str = "traffic";
    /// What a daemon's role may.
    pub const ROLE: &str = "role";
    /// What the settler says.
    pub const SETTLEMENT: &str = "settlement";
}
