//! How fast things are in a simulated fleet.

use std::time::Duration;

use crate::runtime::Timing;
use crate::sim::world::Timing as WorldTiming;

/// Faster than real Regions, in the same proportions.
pub(super) fn world_timing() -> WorldTiming {
    WorldTiming {
        call_ms: 5,
        far_call_ms: 60,
        dns_propagation_ms: 3_000,
        checker_interval_percent: 20,
        checker_timeout_ms: 1_000,
        switchover_ms: 6_000,
        failover_ms: 6_000,
        rebuild_ms: 20_000,
        late_fence_ms: 3_000,
        cluster_create_ms: 10_000,
        cluster_modify_ms: 2_000,
        instance_create_ms: 20_000,
        instance_backup_ms: 5_000,
        instance_modify_ms: 2_000,
        instance_rename_ms: 5_000,
        instance_reboot_ms: 3_000,
        instance_promote_ms: 5_000,
        instance_delete_ms: 5_000,
        replica_create_ms: 10_000,
        metric_period_ms: 15_000,
        ..WorldTiming::default()
    }
}

/// How often daemons do what they do again and again.
pub(super) fn timing() -> Timing {
    Timing {
        look: Duration::from_secs(3),
        tick: Duration::from_millis(250),
        settle: Duration::from_secs(1),
        stale_after: Duration::from_secs(5),
        ..Timing::default()
    }
}
