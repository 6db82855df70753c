//! How long things take in the simulated AWS.
//!
//! Defaults resemble what AWS documents or users report; a sandbox shortens them.

/// Durations in milliseconds unless the name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// One call inside a Region.
    pub call_ms: u64,
    /// One call to another Region.
    pub far_call_ms: u64,
    /// How long a caller waits for an answer that does not come.
    pub call_timeout_ms: u64,
    /// From an accepted change to all name servers having it; `GetChange` says INSYNC then.
    pub dns_propagation_ms: u64,
    /// Health-check intervals in per cent of what the check says: 10 makes 10 s one second.
    pub checker_interval_percent: u64,
    /// Longest wait of a checker for an answer (Route 53: 4 s to connect, 2 s to answer).
    pub checker_timeout_ms: u64,
    /// `SwitchoverGlobalCluster`.
    pub switchover_ms: u64,
    /// `FailoverGlobalCluster`.
    pub failover_ms: u64,
    /// Rebuilding a secondary after an unplanned failover.
    pub rebuild_ms: u64,
    /// From the moment an old writer can be reached again until Aurora stops it: its fence is best effort.
    pub late_fence_ms: u64,
    /// Putting a switchover back that cannot go on.
    pub cancel_ms: u64,
    /// `CreateDBCluster`; a secondary has its rows then.
    pub cluster_create_ms: u64,
    /// `ModifyDBCluster`, and whatever changes the members of a global cluster.
    pub cluster_modify_ms: u64,
    /// `CreateDBInstance`, and the making of a read replica.
    pub instance_create_ms: u64,
    /// A first backup.
    pub instance_backup_ms: u64,
    /// `ModifyDBInstance`.
    pub instance_modify_ms: u64,
    /// From a new identifier being asked for to the instance having it.
    pub instance_rename_ms: u64,
    /// A reboot.
    pub instance_reboot_ms: u64,
    /// `PromoteReadReplica` up to the reboot.
    pub instance_promote_ms: u64,
    /// `DeleteDBInstance` and `DeleteDBCluster`.
    pub instance_delete_ms: u64,
    /// A read replica's lag, unless set for it.
    pub instance_lag_ms: u64,
    /// Aurora's replication lag, unless set for a copy.
    pub aurora_lag_ms: u64,
    /// DynamoDB's replication lag, unless set for a copy.
    pub table_lag_ms: u64,
    /// S3's replication lag, unless set for a copy.
    pub bucket_lag_ms: u64,
    /// Making a DynamoDB replica.
    pub replica_create_ms: u64,
    /// Period of CloudWatch metrics.
    pub metric_period_ms: u64,
    /// Health checks of the account ("Quotas on health checks").
    pub health_check_quota: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            call_ms: 10,
            far_call_ms: 90,
            call_timeout_ms: 2_000,
            dns_propagation_ms: 20_000,
            checker_interval_percent: 100,
            checker_timeout_ms: 2_000,
            switchover_ms: 60_000,
            failover_ms: 60_000,
            rebuild_ms: 600_000,
            late_fence_ms: 5_000,
            cancel_ms: 1_000,
            cluster_create_ms: 120_000,
            cluster_modify_ms: 10_000,
            instance_create_ms: 300_000,
            instance_backup_ms: 60_000,
            instance_modify_ms: 20_000,
            instance_rename_ms: 60_000,
            instance_reboot_ms: 30_000,
            instance_promote_ms: 90_000,
            instance_delete_ms: 120_000,
            instance_lag_ms: 1_000,
            aurora_lag_ms: 300,
            table_lag_ms: 800,
            bucket_lag_ms: 5_000,
            replica_create_ms: 120_000,
            metric_period_ms: 60_000,
            health_check_quota: 200,
        }
    }
}

impl Timing {
    /// Everything that takes minutes in AWS takes seconds; the order of things and who waits for whom stay.
    #[must_use]
    pub fn brisk() -> Self {
        Self {
            call_ms: 2,
            far_call_ms: 20,
            call_timeout_ms: 1_000,
            dns_propagation_ms: 1_000,
            checker_interval_percent: 10,
            checker_timeout_ms: 900,
            switchover_ms: 3_000,
            failover_ms: 3_000,
            rebuild_ms: 10_000,
            late_fence_ms: 1_000,
            cancel_ms: 500,
            cluster_create_ms: 3_000,
            cluster_modify_ms: 1_000,
            instance_create_ms: 5_000,
            instance_backup_ms: 2_000,
            instance_modify_ms: 1_000,
            instance_rename_ms: 2_000,
            instance_reboot_ms: 1_000,
            instance_promote_ms: 2_000,
            instance_delete_ms: 2_000,
            instance_lag_ms: 150,
            aurora_lag_ms: 120,
            table_lag_ms: 200,
            bucket_lag_ms: 900,
            replica_create_ms: 3_000,
            metric_period_ms: 1_000,
            ..Self::default()
        }
    }

    /// [`Self::brisk`], and what clients alone wait for takes a moment: nobody has to live with a service here.
    #[must_use]
    pub fn hasty() -> Self {
        Self {
            dns_propagation_ms: 300,
            switchover_ms: 2_000,
            failover_ms: 2_000,
            rebuild_ms: 2_000,
            cluster_create_ms: 1_000,
            cluster_modify_ms: 500,
            instance_create_ms: 1_000,
            instance_backup_ms: 500,
            instance_modify_ms: 500,
            instance_rename_ms: 700,
            instance_reboot_ms: 500,
            instance_promote_ms: 700,
            instance_delete_ms: 700,
            replica_create_ms: 1_200,
            ..Self::brisk()
        }
    }
}
