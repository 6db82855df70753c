//! RDS events: what happened to databases, in AWS's words ("Amazon RDS event categories and event messages").

use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;

use super::rds_names::{cluster_arn, instance_arn};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdsEvent {
    /// When.
    pub at: Timestamp,
    /// The Region that recorded it.
    pub region: Region,
    /// `db-instance` or `db-cluster`.
    pub source_type: &'static str,
    /// Identifier of what it is about.
    pub source: String,
    /// Its ARN.
    pub arn: String,
    /// `RDS-EVENT-0390` …; the API does not tell it.
    pub id: &'static str,
    /// `notification`, `global failover` …
    pub categories: Vec<&'static str>,
    /// AWS's words.
    pub message: String,
}

impl RdsEvent {
    pub(super) fn of_instance(
        at_ms: u64,
        region: &Region,
        instance: &str,
        id: &'static str,
        categories: &[&'static str],
        message: impl Into<String>,
    ) -> Self {
        Self {
            at: Timestamp(at_ms),
            region: region.clone(),
            source_type: "db-instance",
            source: instance.to_owned(),
            arn: instance_arn(region, instance),
            id,
            categories: categories.to_vec(),
            message: message.into(),
        }
    }

    pub(super) fn of_cluster(
        at_ms: u64,
        region: &Region,
        cluster: &str,
        id: &'static str,
        categories: &[&'static str],
        message: impl Into<String>,
    ) -> Self {
        Self {
            source_type: "db-cluster",
            arn: cluster_arn(region, cluster),
            ..Self::of_instance(at_ms, region, cluster, id, categories, message)
        }
    }
}
