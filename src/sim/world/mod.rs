//! A simulated AWS: a deterministic state machine on the caller's time.
//!
//! Whatever takes time is worked out when somebody looks (`advance`): the world has no tasks of its own except the
//! health checkers' driver, and its randomness comes from a seed. Where AWS leaves a choice it does what AWS documents.

mod alarms;
mod aurora;
mod aurora_calls;
mod aurora_members;
mod aurora_moves;
mod bucket_objects;
mod buckets;
mod checkers;
mod checks;
mod clock;
mod draws;
mod effects;
mod fault_switches;
mod faults;
mod instances;
mod instances_calls;
mod instances_rows;
mod labels;
mod metrics;
mod networks;
mod phases;
mod provision;
mod rds_events;
mod rds_names;
mod rds_views;
mod refusal;
mod replication;
mod security_groups;
mod series;
mod stored_object;
mod table_calls;
mod table_items;
mod tables;
mod timing;
mod zone_rules;
mod zones;

#[cfg(test)]
mod alarms_tests;
#[cfg(test)]
mod aurora_tests;
#[cfg(test)]
mod buckets_tests;
#[cfg(test)]
mod checks_tests;
#[cfg(test)]
mod data_tests;
#[cfg(test)]
mod instances_tests;
#[cfg(test)]
mod tables_tests;
#[cfg(test)]
pub(crate) mod test_ground;
#[cfg(test)]
mod zones_tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::time::Timestamp;

use crate::ports::Clock;

pub use alarms::{AlarmActions, AlarmRule, AlarmView};
pub use aurora::{AuroraCluster, LostWrites};
pub use aurora_members::{ClusterChanges, NewCluster, NewGlobalCluster};
pub use bucket_objects::{Deleted, ListedVersion, NewObject};
pub use buckets::{BucketRule, Buckets, Replicated, Versioning};
pub use checkers::{Fetch, run_checkers};
pub use checks::{Checks, Poll, SITES};
pub use clock::TokioClock;
pub use draws::Draws;
pub use effects::EffectRecord;
pub use faults::{Faults, Gate, Plane, ROUTE53_REGION, Service};
pub use instances::{Instance, Instances, PendingValues};
pub use instances_calls::{InstanceChanges, NewInstance};
pub use labels::Labels;
pub use metrics::{Metrics, StoreId};
pub use networks::{NETWORKS, place_of};
pub use rds_events::RdsEvent;
pub use rds_names::{CLOSED_GROUP, OPEN_GROUP, cluster_arn, global_arn, instance_arn, new_identifier, parse_arn};
pub use rds_views::{
    ClusterSnapshot, ClusterView, GlobalClusterView, GlobalMemberView, InstanceView, MoveView, NodeView,
};
pub use refusal::Refusal;
pub use replication::{Payload, Replication, Undelivered, Written};
pub use series::{Period, Series, StatisticSet, Watch};
pub use stored_object::StoredObject;
pub use table_calls::TableWish;
pub use tables::{Billing, TableDetails, Tables};
pub use timing::Timing;
pub use zones::{Resolution, Zone};

/// The only account.
pub const ACCOUNT: &str = "123456789012";

/// The state of the simulated AWS.
#[derive(Debug)]
pub struct World {
    pub(super) now_ms: u64,
    /// Durations.
    pub timing: Timing,
    /// What is broken.
    pub faults: Faults,
    pub(super) draws: Draws,
    pub(super) effects: Vec<EffectRecord>,
    pub(super) zones: BTreeMap<String, Zone>,
    pub(super) changes: u64,
    /// Addresses of load balancers: what an alias to one is answered with.
    pub(super) load_balancers: BTreeMap<String, Vec<IpAddr>>,
    /// Health checks.
    pub checks: Checks,
    /// What strangers wrote on Route 53's things.
    pub labels: Labels,
    pub(super) clusters: BTreeMap<String, AuroraCluster>,
    /// Aurora clusters that belong to no global cluster.
    pub(super) lone_clusters: BTreeMap<(Region, String), AuroraCluster>,
    /// DB instances.
    pub instances: Instances,
    pub(super) rds_events: Vec<RdsEvent>,
    /// Security groups that let nobody in.
    pub(super) closed_groups: BTreeSet<String>,
    /// DynamoDB.
    pub tables: Tables,
    /// S3.
    pub buckets: Buckets,
    /// CloudWatch.
    pub metrics: Metrics,
    /// What strangers made in CloudWatch.
    pub watch: Watch,
    pub(super) bad_endpoints: BTreeSet<(Region, ServiceName)>,
}

/// What a part needs to know to move on in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) now_ms: u64,
    pub(super) faults: &'a Faults,
    pub(super) timing: &'a Timing,
}

impl World {
    fn new(now: Timestamp, seed: u64, timing: Timing) -> Self {
        Self {
            now_ms: now.0,
            timing,
            faults: Faults::default(),
            draws: Draws::new(seed),
            effects: Vec::new(),
            zones: BTreeMap::new(),
            changes: 0,
            load_balancers: BTreeMap::new(),
            checks: Checks::default(),
            labels: Labels::default(),
            clusters: BTreeMap::new(),
            lone_clusters: BTreeMap::new(),
            instances: Instances::default(),
            rds_events: Vec::new(),
            closed_groups: security_groups::closed_at_first(),
            tables: Tables::default(),
            buckets: Buckets::default(),
            metrics: Metrics::default(),
            watch: Watch::default(),
            bad_endpoints: BTreeSet::new(),
        }
    }

    /// The world's time.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        Timestamp(self.now_ms)
    }

    /// Lets everything that was due by `now` happen. Time never goes back.
    pub fn advance(&mut self, now: Timestamp) {
        self.now_ms = self.now_ms.max(now.0);
        let moment = Moment { now_ms: self.now_ms, faults: &self.faults, timing: &self.timing };
        self.zones.values_mut().for_each(|zone| zone.advance(self.now_ms));
        self.clusters.values_mut().for_each(|cluster| cluster.advance(moment));
        self.lone_clusters.values_mut().for_each(|cluster| cluster.advance(moment));
        let said = self.instances.advance(moment);
        self.tables.advance(moment);
        self.buckets.advance(moment);
        self.collect_rds(said);
        self.sample_metrics();
    }

    /// Notes a mutating call that was accepted.
    pub(super) fn note(
        &mut self,
        service: Service,
        operation: &'static str,
        region: &Region,
        arguments: String,
        changed: bool,
    ) {
        let (at, region) = (self.now(), region.clone());
        self.effects.push(EffectRecord { at, service, operation, region, arguments, changed });
    }
}

/// A handle on the simulated AWS; clones share it.
#[derive(Clone)]
pub struct SimulatedAws {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
}

impl SimulatedAws {
    /// An empty AWS. `clock` is the world's own: daemons may have others.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, seed: u64, timing: Timing) -> Self {
        let world = World::new(clock.now(), seed, timing);
        Self { world: Arc::new(Mutex::new(world)), clock }
    }

    /// Looks at the world, or changes it, as it is now.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        // A panic while holding the lock is a test's own failure; the state is still worth reading.
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(self.clock.now());
        act(&mut world)
    }

    /// Every mutating call accepted so far.
    #[must_use]
    pub fn effects(&self) -> Vec<EffectRecord> {
        self.with(|world| world.effects.clone())
    }

    /// Every mutating call accepted after the first `seen` ones.
    #[must_use]
    pub fn effects_from(&self, seen: usize) -> Vec<EffectRecord> {
        self.with(|world| world.effects.get(seen..).unwrap_or_default().to_vec())
    }

    /// Registers a load balancer: an alias to `dns_name` is answered with these addresses.
    pub fn set_load_balancer(&self, dns_name: &str, addresses: Vec<IpAddr>) {
        self.with(|world| world.load_balancers.insert(zones::canonical(dns_name), addresses));
    }
}
