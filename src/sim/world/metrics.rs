//! CloudWatch: lag metrics that are sampled once a period.
//!
//! A dead Region emits nothing. Who emits: `AuroraGlobalDBReplicationLag` and RDS's `ReplicaLag` the secondary's
//! Region, DynamoDB's `ReplicationLatency` the source's, S3's replication metrics the destination's.

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;

use super::refusal::Refusal;
use super::{SimulatedAws, World};
use crate::ports::Figure;

/// A store as the simulated AWS knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreId {
    /// A global cluster.
    Aurora(String),
    /// A global table.
    Table(String),
    /// A read replica by identifier.
    Instance(String),
    /// A bucket that is replicated to (its name tells the Region).
    Bucket(String),
}

/// Data points and alarms.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// By store, the Region that emitted it and the Region that it is about.
    points: BTreeMap<(StoreId, Region, Region), Point>,
    next_sample_ms: u64,
    /// The newest of each of the fleet's own figures.
    published: BTreeMap<Region, Vec<Figure>>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    value_ms: u64,
    at_ms: u64,
}

impl World {
    /// `PutMetricData` of the fleet's own figures.
    pub fn publish(&mut self, region: &Region, figures: &[Figure]) -> Result<(), Refusal> {
        let held = self.metrics.published.entry(region.clone()).or_default();
        for figure in figures {
            held.retain(|other| other.name != figure.name || other.dimensions != figure.dimensions);
            held.push(figure.clone());
        }
        Ok(())
    }

    /// What the fleet has published in a Region: the newest of each figure.
    #[must_use]
    pub fn published(&self, region: &Region) -> &[Figure] {
        self.metrics.published.get(region).map_or(&[], Vec::as_slice)
    }

    /// Emits one data point a period for each copy that is replicated to.
    pub(super) fn sample_metrics(&mut self) {
        if self.now_ms < self.metrics.next_sample_ms {
            return;
        }
        let period_ms = self.timing.metric_period_ms.max(1);
        let at_ms = self.now_ms - self.now_ms % period_ms;
        self.metrics.next_sample_ms = at_ms + period_ms;
        for (store, emitter, to, value_ms) in self.lags() {
            if self.faults.is_up(&emitter) {
                self.metrics.points.insert((store, emitter, to), Point { value_ms, at_ms });
            }
        }
    }

    /// Store, emitting Region, destination Region, lag now.
    fn lags(&self) -> Vec<(StoreId, Region, Region, u64)> {
        let age =
            |oldest_ms: Option<u64>, lag_ms: u64| oldest_ms.map_or(lag_ms, |oldest| lag_ms.max(self.now_ms - oldest));
        let mut lags = Vec::new();
        for cluster in self.clusters.values() {
            for (to, _) in cluster.members.iter().filter(|(_, member)| !member.is_writer) {
                let lag_ms = cluster.lag_ms(to, self.timing.aurora_lag_ms);
                let value_ms = age(cluster.rows.undelivered_to(to.as_str()).oldest_ms, lag_ms);
                lags.push((StoreId::Aurora(cluster.id.clone()), to.clone(), to.clone(), value_ms));
            }
        }
        for replica in self.instances.all.values().filter(|instance| instance.source.is_some()) {
            let lag_ms = replica.lag_ms.unwrap_or(self.timing.instance_lag_ms);
            let value_ms = age(self.instances.rows.undelivered_to(&replica.place).oldest_ms, lag_ms);
            let store = StoreId::Instance(replica.id.clone());
            lags.push((store, replica.region.clone(), replica.region.clone(), value_ms));
        }
        for (name, table) in self.tables.iter() {
            for to in table.replicas.keys() {
                let lag_ms = table.lags_ms.get(to).copied().unwrap_or(self.timing.table_lag_ms);
                let value_ms = age(table.items.undelivered_to(to.as_str()).oldest_ms, lag_ms);
                let sources = table.replicas.keys().filter(|source| *source != to);
                lags.extend(sources.map(|source| (StoreId::Table(name.clone()), source.clone(), to.clone(), value_ms)));
            }
        }
        for (name, bucket) in self.buckets.iter() {
            let lag_ms = self.buckets.lags_ms.get(name).copied().unwrap_or(self.timing.bucket_lag_ms);
            if self.buckets.iter().any(|(_, source)| source.replicates_to(name)) {
                let value_ms = age(self.buckets.objects.undelivered_to(name).oldest_ms, lag_ms);
                lags.push((StoreId::Bucket(name.clone()), bucket.region.clone(), bucket.region.clone(), value_ms));
            }
        }
        lags
    }

    /// The newest data point that `emitter` has of a store's lag towards `to`: value and age, milliseconds.
    #[must_use]
    pub fn lag_point(&self, store: &StoreId, emitter: &Region, to: &Region) -> Option<(u64, u64)> {
        let point = self.metrics.points.get(&(store.clone(), emitter.clone(), to.clone()))?;
        Some((point.value_ms, self.now_ms - point.at_ms))
    }
}

impl SimulatedAws {
    /// Sets the replication lag of a store towards a Region (a bucket names its own).
    pub fn set_lag(&self, store: &StoreId, to: &Region, lag_ms: u64) {
        self.with(|world| match store {
            StoreId::Aurora(id) => world.clusters.get_mut(id).and_then(|c| c.lags_ms.insert(to.clone(), lag_ms)),
            StoreId::Table(name) => world.tables.get_mut(name).and_then(|t| t.lags_ms.insert(to.clone(), lag_ms)),
            StoreId::Instance(id) => world.instances.get_mut(to, id).and_then(|i| i.lag_ms.replace(lag_ms)),
            StoreId::Bucket(name) => world.buckets.lags_ms.insert(name.clone(), lag_ms),
        });
    }
}
