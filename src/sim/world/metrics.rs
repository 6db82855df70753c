//! What AWS itself tells CloudWatch: lag of replication, sampled once a period, under AWS's names and dimensions.
//!
//! A dead Region emits nothing. Who emits: `AuroraGlobalDBReplicationLag` and RDS's `ReplicaLag` the secondary's
//! Region, DynamoDB's `ReplicationLatency` the source's, S3's replication metrics the destination's, for rules that
//! have metrics.

use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::word_weight;

use super::aurora::AuroraCluster;
use super::buckets::BucketRule;
use super::refusal::Refusal;
use super::series::{Series, StatisticSet};
use super::{SimulatedAws, World};
use crate::ports::Figure;

/// Under which the fleet's own figures stand.
const OWN_NAMESPACE: &str = "failoverd";
const MILLISECONDS: &str = "Milliseconds";
const SECONDS: &str = "Seconds";

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

/// When the next points are due.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    next_sample_ms: u64,
}

/// One point, before it is put.
struct Emitted {
    by: Region,
    series: Series,
    value: f64,
    unit: &'static str,
}

fn aurora_series(cluster: &str, source: &Region) -> Series {
    let dimensions = [("DBClusterIdentifier", cluster.to_owned()), ("SourceRegion", source.to_string())];
    Series::new("AWS/RDS", "AuroraGlobalDBReplicationLag", dimensions)
}

fn instance_series(instance: &str) -> Series {
    Series::new("AWS/RDS", "ReplicaLag", [("DBInstanceIdentifier", instance.to_owned())])
}

fn table_series(table: &str, to: &Region) -> Series {
    let dimensions = [("TableName", table.to_owned()), ("ReceivingRegion", to.to_string())];
    Series::new("AWS/DynamoDB", "ReplicationLatency", dimensions)
}

fn bucket_series(name: &str, from: &str, rule: &BucketRule) -> Series {
    let to = rule.rule.to.clone();
    let dimensions = [("SourceBucket", from.to_owned()), ("DestinationBucket", to), ("RuleId", rule.id.clone())];
    Series::new("AWS/S3", name, dimensions)
}

#[expect(clippy::cast_precision_loss, reason = "a lag is small")]
const fn number(whole: u64) -> f64 {
    whole as f64
}

impl World {
    /// `PutMetricData` of the fleet's own figures, sent at `sent` by the world's clock.
    pub fn publish(&mut self, region: &Region, figures: &[Figure], sent: Timestamp) -> Result<(), Refusal> {
        for figure in figures {
            let series = Series::new(OWN_NAMESPACE, figure.name, figure.dimensions.iter().cloned());
            let (at_ms, count) = if figure.newest_decides { (sent.0, word_weight(sent)) } else { (self.now_ms, 1.0) };
            self.put_data_point(region, series, at_ms, StatisticSet::repeated(figure.value, count), None);
        }
        Ok(())
    }

    /// What the fleet has published in a Region: the newest of each figure.
    pub fn published<'a>(&'a self, region: &'a Region) -> impl Iterator<Item = (&'a Series, f64)> {
        let own = self.all_series(region).filter(|series| series.namespace == OWN_NAMESPACE);
        own.filter_map(|series| self.newest_point(region, series).map(|(_, value)| (series, value)))
    }

    /// Emits one data point a period for each copy that is replicated to, and looks at the alarms.
    pub(super) fn sample_metrics(&mut self) {
        if self.now_ms >= self.metrics.next_sample_ms {
            let period_ms = self.timing.metric_period_ms.max(1);
            let at_ms = self.now_ms - self.now_ms % period_ms;
            self.metrics.next_sample_ms = at_ms + period_ms;
            for Emitted { by, series, value, unit } in self.emissions() {
                self.put_data_point(&by, series, at_ms, StatisticSet::of(value), Some(unit));
            }
        }
        self.look_at_alarms();
    }

    fn emissions(&self) -> Vec<Emitted> {
        let mut all = Vec::new();
        self.clusters.values().for_each(|cluster| self.emit_cluster(cluster, &mut all));
        self.emit_instances(&mut all);
        self.emit_tables(&mut all);
        self.emit_buckets(&mut all);
        all.retain(|emitted| self.faults.is_up(&emitted.by));
        all
    }

    /// What arrives takes `lag_ms`; what does not arrive grows older.
    fn age_ms(&self, oldest_ms: Option<u64>, lag_ms: u64) -> u64 {
        oldest_ms.map_or(lag_ms, |oldest_ms| lag_ms.max(self.now_ms.saturating_sub(oldest_ms)))
    }

    fn emit_cluster(&self, cluster: &AuroraCluster, all: &mut Vec<Emitted>) {
        let writer = cluster.members.iter().find(|(_, member)| member.is_writer).map(|(region, _)| region);
        let Some(writer) = writer else { return };
        for (to, member) in cluster.members.iter().filter(|(_, member)| !member.is_writer) {
            let lag_ms = cluster.lag_ms(to, self.timing.aurora_lag_ms);
            let value = number(self.age_ms(cluster.rows.undelivered_to(to.as_str()).oldest_ms, lag_ms));
            let series = aurora_series(&member.cluster, writer);
            all.push(Emitted { by: to.clone(), series, value, unit: MILLISECONDS });
        }
    }

    fn emit_instances(&self, all: &mut Vec<Emitted>) {
        for replica in self.instances.all.values().filter(|instance| instance.source.is_some()) {
            let lag_ms = replica.lag_ms.unwrap_or(self.timing.instance_lag_ms);
            let value_ms = self.age_ms(self.instances.rows.undelivered_to(&replica.place).oldest_ms, lag_ms);
            let series = instance_series(&replica.id);
            all.push(Emitted { by: replica.region.clone(), series, value: number(value_ms) / 1_000.0, unit: SECONDS });
        }
    }

    fn emit_tables(&self, all: &mut Vec<Emitted>) {
        for (name, table) in self.tables.iter().filter(|(_, table)| !table.strong) {
            for to in table.replicas.keys().filter(|to| table.is_active(to)) {
                let lag_ms = table.lags_ms.get(to).copied().unwrap_or(self.timing.table_lag_ms);
                let value = number(self.age_ms(table.items.undelivered_to(to.as_str()).oldest_ms, lag_ms));
                for by in table.replicas.keys().filter(|by| *by != to && table.is_active(by)).cloned() {
                    all.push(Emitted { by, series: table_series(name, to), value, unit: MILLISECONDS });
                }
            }
        }
    }

    fn emit_buckets(&self, all: &mut Vec<Emitted>) {
        for (from, bucket) in self.buckets.iter() {
            for rule in bucket.rules.iter().filter(|held| held.rule.enabled && held.metrics) {
                let to = &rule.rule.to;
                let Some(destination) = self.buckets.buckets.get(to) else { continue };
                let (pending, bytes) = self.buckets.objects.undelivered_between(from, to);
                let lag_ms = self.buckets.lags_ms.get(to).copied().unwrap_or(self.timing.bucket_lag_ms);
                let latency = number(self.age_ms(pending.oldest_ms, lag_ms)) / 1_000.0;
                let mut emit = |name: &str, value: f64, unit| {
                    let series = bucket_series(name, from, rule);
                    all.push(Emitted { by: destination.region.clone(), series, value, unit });
                };
                emit("ReplicationLatency", latency, SECONDS);
                emit("OperationsPendingReplication", number(pending.writes), "Count");
                emit("BytesPendingReplication", number(bytes), "Bytes");
            }
        }
    }

    /// The newest data point that `emitter` has of a store's lag towards `to`: value and age, milliseconds.
    #[must_use]
    pub fn lag_point(&self, store: &StoreId, emitter: &Region, to: &Region) -> Option<(u64, u64)> {
        let (series, unit_ms) = self.lag_series(store, to);
        let newest = series.iter().filter_map(|series| self.newest_point(emitter, series)).max_by_key(|(at, _)| *at)?;
        let (at_ms, value) = newest;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a lag is small and not negative")]
        let value_ms = (value * unit_ms).round() as u64;
        Some((value_ms, self.now_ms.saturating_sub(at_ms)))
    }

    /// Series that tell a store's lag, and what one of their units is in milliseconds.
    fn lag_series(&self, store: &StoreId, to: &Region) -> (Vec<Series>, f64) {
        match store {
            StoreId::Aurora(id) => {
                let Some(cluster) = self.clusters.get(id) else { return (Vec::new(), 1.0) };
                let Some(member) = cluster.members.get(to) else { return (Vec::new(), 1.0) };
                let sources = cluster.members.keys().filter(|source| *source != to);
                (sources.map(|source| aurora_series(&member.cluster, source)).collect(), 1.0)
            }
            StoreId::Table(name) => (vec![table_series(name, to)], 1.0),
            StoreId::Instance(id) => (vec![instance_series(id)], 1_000.0),
            StoreId::Bucket(name) => {
                let rules =
                    self.buckets.iter().flat_map(|(from, bucket)| bucket.rules.iter().map(move |rule| (from, rule)));
                let here = rules.filter(|(_, rule)| rule.rule.to == *name);
                (here.map(|(from, rule)| bucket_series("ReplicationLatency", from, rule)).collect(), 1_000.0)
            }
        }
    }
}

impl SimulatedAws {
    /// Sets the replication lag of a store towards a Region (a bucket names its own).
    pub fn set_lag(&self, store: &StoreId, to: &Region, lag_ms: u64) {
        self.with(|world| match store {
            StoreId::Aurora(id) => world.clusters.get_mut(id).and_then(|c| c.lags_ms.insert(to.clone(), lag_ms)),
            StoreId::Table(name) => world.tables.first_mut(name).and_then(|t| t.lags_ms.insert(to.clone(), lag_ms)),
            StoreId::Instance(id) => world.instances.get_mut(to, id).and_then(|i| i.lag_ms.replace(lag_ms)),
            StoreId::Bucket(name) => world.buckets.lags_ms.insert(name.clone(), lag_ms),
        });
    }
}
