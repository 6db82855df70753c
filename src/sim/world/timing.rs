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
            aurora_lag_ms: 300,
            table_lag_ms: 800,
            bucket_lag_ms: 5_000,
            replica_create_ms: 120_000,
            metric_period_ms: 60_000,
            health_check_quota: 200,
        }
    }
}
