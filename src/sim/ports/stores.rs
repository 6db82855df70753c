//! Canaries, fences and lag figures of the stores.

use async_trait::async_trait;
use failoverd_domain::ids::Region;
use failoverd_domain::service::{Canary, Fence, Store, StoreKind};
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::SwitchAlarm;

use super::{Ask, SimulatedPorts};
use crate::ports::{Alarms, Call, Canaries, CanaryAt, Fences, Figure, Metrics, StandingAlarm};
use crate::sim::world::{AlarmRule, Plane, Service, StoreId};

/// Where a canary really is: what to ask, and the name of the row, item or object.
enum Place<'a> {
    Row(&'a str),
    InstanceRow(&'a str),
    Item(&'a str),
    Object(&'a str),
}

impl Place<'_> {
    fn of<'a>(at: &CanaryAt<'a>) -> Option<(Place<'a>, String)> {
        let key = format!("{}/{}", at.service, at.store.name);
        match (at.canary, &at.store.kind) {
            (Canary::Dsn { .. }, StoreKind::Aurora { global_cluster, .. }) => Some((Place::Row(global_cluster), key)),
            (Canary::Dsn { .. }, StoreKind::Rds { instances, .. }) => {
                instances.get(at.region).map(|instance| (Place::InstanceRow(instance), key))
            }
            (Canary::Table { table }, _) => Some((Place::Item(table), key)),
            (Canary::Prefix { prefix }, StoreKind::S3 { buckets, .. }) => {
                buckets.get(at.region).map(|bucket| (Place::Object(bucket), format!("{prefix}{key}")))
            }
            _ => None,
        }
    }

    const fn ask<'a>(&self, region: &'a Region, mutates: bool) -> Ask<'a> {
        let (service, operation) = match (self, mutates) {
            (Self::Row(_) | Self::InstanceRow(_), true) => (Service::Database, "INSERT"),
            (Self::Row(_) | Self::InstanceRow(_), false) => (Service::Database, "SELECT"),
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
            Place::InstanceRow(instance) => world.write_instance_row(region, instance, &key, version),
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
            Place::InstanceRow(instance) => world.read_instance_row(region, instance, &key),
            Place::Item(table) => world.get_item(region, table, &key),
            Place::Object(bucket) => world.get_object(region, bucket, &key),
        })
        .await
    }
}

/// What a fence in a Region is about, and the security group that lets nobody in.
#[derive(Clone, Copy)]
enum Fenced<'a> {
    Cluster { global: &'a str, group: &'a str },
    Instance { id: &'a str, group: &'a str },
}

impl<'a> Fenced<'a> {
    fn of(region: &Region, store: &'a Store, fence: &'a Fence) -> Result<Self, &'static str> {
        let Fence::SecurityGroup(groups) = fence;
        let group = groups.get(region).ok_or("no security group is named for this Region");
        match &store.kind {
            StoreKind::Aurora { global_cluster, .. } => Ok(Self::Cluster { global: global_cluster, group: group? }),
            StoreKind::Rds { instances, .. } => {
                let id = instances.get(region).ok_or("no instance is named for this Region")?;
                Ok(Self::Instance { id, group: group? })
            }
            _ => Err("only a database can be fenced by security group"),
        }
    }

    const fn operation(fenced: &Result<Self, &'static str>, changes: bool) -> &'static str {
        match (fenced, changes) {
            (Ok(Self::Instance { .. }), true) => "ModifyDBInstance",
            (Ok(Self::Instance { .. }), false) => "DescribeDBInstances",
            (_, true) => "ModifyDBCluster",
            (_, false) => "DescribeDBClusters",
        }
    }
}

impl SimulatedPorts {
    async fn set_fence(&self, region: &Region, store: &Store, fence: &Fence, on: bool) -> Call<()> {
        let fenced = Fenced::of(region, store, fence);
        let ask = Ask::change(Service::Rds, Fenced::operation(&fenced, true), region, Plane::Control);
        let fenced = fenced.map_err(|why| ask.not_configured(why))?;
        self.call(ask, |world| match fenced {
            Fenced::Cluster { global, group } => world.set_cluster_fence(region, global, group, on),
            Fenced::Instance { id, group } => world.set_instance_fence(region, id, group, on),
        })
        .await
    }
}

#[async_trait]
impl Fences for SimulatedPorts {
    async fn fence(&self, region: &Region, store: &Store, fence: &Fence) -> Call<()> {
        self.set_fence(region, store, fence, true).await
    }

    async fn is_fenced(&self, region: &Region, store: &Store, fence: &Fence) -> Call<bool> {
        let fenced = Fenced::of(region, store, fence);
        let ask = Ask::read(Service::Rds, Fenced::operation(&fenced, false), region, Plane::Control);
        let fenced = fenced.map_err(|why| ask.not_configured(why))?;
        self.call(ask, |world| match fenced {
            Fenced::Cluster { global, group } => world.cluster_has_fence(region, global, group),
            Fenced::Instance { id, group } => world.instance_has_fence(region, id, group),
        })
        .await
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
        self.call(ask, |world| Ok(world.alarm_state(region, name))).await
    }

    async fn publish(&self, region: &Region, figures: &[Figure]) -> Call<()> {
        let ask = Ask::change(Service::Cloudwatch, "PutMetricData", region, Plane::Data);
        // What comes late was said no later for it.
        let sent = Timestamp(self.aws.with(|world| world.now_ms));
        self.call(ask, |world| world.publish(region, figures, sent)).await
    }
}

#[async_trait]
impl Alarms for SimulatedPorts {
    async fn describe(&self, region: &Region, names: &[String]) -> Call<Vec<StandingAlarm>> {
        let ask = Ask::read(Service::Cloudwatch, "DescribeAlarms", region, Plane::Data);
        self.call(ask, |world| Ok(world.switch_alarms(region, names))).await
    }

    async fn put(&self, region: &Region, alarm: &SwitchAlarm) -> Call<()> {
        let ask = Ask::change(Service::Cloudwatch, "PutMetricAlarm", region, Plane::Data);
        self.call(ask, |world| {
            world.put_alarm(region, &alarm.name, AlarmRule::of_switch(alarm));
            Ok(())
        })
        .await
    }
}
