//! Canaries, fences and lag figures of the stores.

use async_trait::async_trait;
use failoverd_domain::ids::Region;
use failoverd_domain::service::{Canary, Fence, Store, StoreKind};

use super::{Ask, SimulatedPorts};
use crate::ports::{Call, Canaries, CanaryAt, Fences, Figure, Metrics};
use crate::sim::world::{Plane, Service, StoreId};

/// Where a canary really is: what to ask, and the name of the row, item or object.
enum Place<'a> {
    Row(&'a str),
    Item(&'a str),
    Object(&'a str),
}

impl Place<'_> {
    fn of<'a>(at: &CanaryAt<'a>) -> Option<(Place<'a>, String)> {
        let key = format!("{}/{}", at.service, at.store.name);
        match (at.canary, &at.store.kind) {
            (Canary::Dsn { .. }, StoreKind::Aurora { global_cluster, .. }) => Some((Place::Row(global_cluster), key)),
            (Canary::Table { table }, _) => Some((Place::Item(table), key)),
            (Canary::Prefix { prefix }, StoreKind::S3 { buckets, .. }) => {
                buckets.get(at.region).map(|bucket| (Place::Object(bucket), format!("{prefix}{key}")))
            }
            _ => None,
        }
    }

    const fn ask<'a>(&self, region: &'a Region, mutates: bool) -> Ask<'a> {
        let (service, operation) = match (self, mutates) {
            (Self::Row(_), true) => (Service::Database, "INSERT"),
            (Self::Row(_), false) => (Service::Database, "SELECT"),
            (Self::Item(_), true) => (Service::Dynamodb, "PutItem"),
            (Self::Item(_), false) => (Service::Dynamodb, "GetItem"),
            (Self::Object(_), true) => (Service::S3, "PutObject"),
            (Self::Object(_), false) => (Service::S3, "GetObject"),
        };
        Ask { service, operation, region, plane: Plane::Data, mutates }
    }
}

const NO_PLACE: &str = "this canary does not fit its store in this Region";

#[async_trait]
impl Canaries for SimulatedPorts {
    async fn write(&self, at: &CanaryAt<'_>, version: u64) -> Call<()> {
        let Some((place, key)) = Place::of(at) else {
            return Err(Ask::change(Service::Database, "WriteCanary", at.region, Plane::Data).not_configured(NO_PLACE));
        };
        let region = at.region;
        self.call(place.ask(region, true), move |world| match place {
            Place::Row(cluster) => world.write_row(region, cluster, &key, version),
            Place::Item(table) => world.put_item(region, table, &key, version),
            Place::Object(bucket) => world.put_object(region, bucket, &key, version),
        })
        .await
    }

    async fn read(&self, at: &CanaryAt<'_>) -> Call<Option<u64>> {
        let Some((place, key)) = Place::of(at) else {
            return Err(Ask::read(Service::Database, "ReadCanary", at.region, Plane::Data).not_configured(NO_PLACE));
        };
        let region = at.region;
        self.call(place.ask(region, false), move |world| match place {
            Place::Row(cluster) => world.read_row(region, cluster, &key),
            Place::Item(table) => world.get_item(region, table, &key),
            Place::Object(bucket) => world.get_object(region, bucket, &key),
        })
        .await
    }
}

/// The global cluster that a fence in a Region is about, if the manifest names a security group there.
fn fenced_cluster<'a>(ask: &Ask<'_>, store: &'a Store, fence: &Fence) -> Call<&'a str> {
    let Fence::SecurityGroup(groups) = fence;
    match &store.kind {
        StoreKind::Aurora { global_cluster, .. } if groups.contains_key(ask.region) => Ok(global_cluster),
        StoreKind::Aurora { .. } => Err(ask.not_configured("no security group is named for this Region")),
        _ => Err(ask.not_configured("only a database can be fenced by security group")),
    }
}

impl SimulatedPorts {
    async fn set_fence(&self, region: &Region, store: &Store, fence: &Fence, fenced: bool) -> Call<()> {
        let ask = Ask::change(Service::Rds, "ModifyDBCluster", region, Plane::Control);
        let cluster = fenced_cluster(&ask, store, fence)?;
        self.call(ask, |world| world.set_fenced(region, cluster, fenced)).await
    }
}

#[async_trait]
impl Fences for SimulatedPorts {
    async fn fence(&self, region: &Region, store: &Store, fence: &Fence) -> Call<()> {
        self.set_fence(region, store, fence, true).await
    }

    async fn is_fenced(&self, region: &Region, store: &Store, fence: &Fence) -> Call<bool> {
        let ask = Ask::read(Service::Rds, "DescribeDBClusters", region, Plane::Control);
        let cluster = fenced_cluster(&ask, store, fence)?;
        self.call(ask, |world| world.is_fenced(region, cluster)).await
    }

    async fn unfence(&self, region: &Region, store: &Store, fence: &Fence) -> Call<()> {
        self.set_fence(region, store, fence, false).await
    }
}

/// The store's id, and the Regions that emit its lag metric towards `region` (see `world::Metrics`).
fn emitters(store: &StoreKind, region: &Region, replicas: Vec<Region>) -> Option<(StoreId, Vec<Region>)> {
    match store {
        StoreKind::Aurora { global_cluster, .. } => {
            Some((StoreId::Aurora(global_cluster.clone()), vec![region.clone()]))
        }
        StoreKind::Rds { instances, .. } => {
            instances.get(region).map(|instance| (StoreId::Instance(instance.clone()), vec![region.clone()]))
        }
        StoreKind::Dynamodb { table, .. } => Some((StoreId::Table(table.clone()), replicas)),
        StoreKind::S3 { buckets, .. } => {
            buckets.get(region).map(|bucket| (StoreId::Bucket(bucket.clone()), vec![region.clone()]))
        }
    }
}

#[async_trait]
impl Metrics for SimulatedPorts {
    async fn replication_lag(&self, region: &Region, store: &Store) -> Call<Option<(u64, u64)>> {
        let sources = self.aws.with(|world| match &store.kind {
            StoreKind::Dynamodb { table, .. } => world.replicas_but(table, region),
            _ => Vec::new(),
        });
        let Some((id, emitters)) = emitters(&store.kind, region, sources) else { return Ok(None) };
        let mut newest: Option<(u64, u64)> = None;
        let mut failure = None;
        for emitter in &emitters {
            let ask = Ask::read(Service::Cloudwatch, "GetMetricData", emitter, Plane::Data);
            match self.call(ask, |world| Ok(world.lag_point(&id, emitter, region))).await {
                Ok(point) => newest = newest.into_iter().chain(point).min_by_key(|(_, age_ms)| *age_ms),
                Err(error) => failure = Some(error),
            }
        }
        match (newest, failure) {
            (None, Some(error)) => Err(error),
            (newest, _) => Ok(newest),
        }
    }

    async fn alarm(&self, region: &Region, name: &str) -> Call<Option<bool>> {
        let ask = Ask::read(Service::Cloudwatch, "DescribeAlarms", region, Plane::Data);
        self.call(ask, |world| Ok(world.metrics.alarm(region, name))).await
    }

    async fn publish(&self, region: &Region, figures: &[Figure]) -> Call<()> {
        let ask = Ask::change(Service::Cloudwatch, "PutMetricData", region, Plane::Data);
        self.call(ask, |world| world.publish(region, figures)).await
    }
}
