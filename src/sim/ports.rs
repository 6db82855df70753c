//! The world as ports, directly: what a daemon in one Region gets from the simulated AWS without any wire.
//!
//! Latency, silence, throttling and lost answers come from the world's faults; time passes through tokio's timers, so a
//! paused runtime makes it virtual. Nothing here decides anything: it asks the world and puts its words into `CallError`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::data::store::{BucketState, GlobalCluster, GlobalTable};
use failoverd_domain::ids::Region;
use failoverd_domain::route53::{Change, HealthCheck, HealthCheckConfig, RecordSet, RecordType};
use failoverd_domain::service::{Canary, Fence, ProbeSpec, Store, StoreKind};
use tokio::time::sleep;

use super::world::{
    Gate, Plane, ROUTE53_REGION, Refusal, Resolution, Service, SimulatedAws, StoreId, World as SimulatedWorld,
};
use crate::ports::{
    AuroraGlobal, Buckets, Call, CallError, Canaries, CanaryAt, Dns, Effect, Fences, GlobalTables, HealthChecks,
    Metrics, Prober, Records, World,
};

/// The simulated AWS as seen by the daemon of one Region.
#[derive(Clone)]
pub struct SimulatedPorts {
    aws: SimulatedAws,
    caller: Region,
}

impl SimulatedAws {
    /// The ports of a daemon in `caller`. Time is the world's own, whatever the daemon's clock says.
    #[must_use]
    pub fn ports(&self, caller: Region) -> SimulatedPorts {
        SimulatedPorts { aws: self.clone(), caller }
    }
}

/// One call, before it is made.
struct Ask<'a> {
    service: Service,
    operation: &'static str,
    region: &'a Region,
    plane: Plane,
    mutates: bool,
}

impl<'a> Ask<'a> {
    const fn read(service: Service, operation: &'static str, region: &'a Region, plane: Plane) -> Self {
        Self { service, operation, region, plane, mutates: false }
    }

    const fn change(service: Service, operation: &'static str, region: &'a Region, plane: Plane) -> Self {
        Self { service, operation, region, plane, mutates: true }
    }

    fn error(&self, code: &str, message: impl Into<String>, effect: Effect) -> CallError {
        CallError {
            service: self.service.name(),
            operation: self.operation,
            region: self.region.clone(),
            code: code.to_owned(),
            message: message.into(),
            effect,
        }
    }

    fn refused(&self, refusal: Refusal) -> CallError {
        let effect = if refusal.retryable { Effect::NoneRetryable } else { Effect::None };
        self.error(refusal.code, refusal.message, effect)
    }

    /// Nothing came back: a change may have happened all the same.
    fn timeout(&self) -> CallError {
        let effect = if self.mutates { Effect::Unknown } else { Effect::NoneRetryable };
        self.error("Timeout", "no answer in time", effect)
    }

    fn not_configured(&self, message: &str) -> CallError {
        self.error("NotConfigured", message, Effect::None)
    }
}

/// A call under way. Whoever gives up on it, or dies, does not call it back: half of them arrive all the same.
struct OnTheWire<'a, T, F: FnOnce(&mut SimulatedWorld) -> Result<T, Refusal>> {
    ports: &'a SimulatedPorts,
    ask: &'a Ask<'a>,
    act: Option<F>,
}

impl<T, F: FnOnce(&mut SimulatedWorld) -> Result<T, Refusal>> Drop for OnTheWire<'_, T, F> {
    fn drop(&mut self) {
        let Some(act) = self.act.take().filter(|_| self.ask.mutates) else { return };
        if !matches!(self.ports.gate(self.ask), Gate::Open { .. }) {
            return;
        }
        self.ports.aws.with(|world| {
            if world.draws.next_u64().is_multiple_of(2) {
                // Nobody is left to hear what came of it.
                drop(act(world));
            }
        });
    }
}

impl SimulatedPorts {
    /// All of it, as the runtime takes it.
    #[must_use]
    pub fn into_world(self) -> World {
        let all = Arc::new(self);
        World {
            records: all.clone(),
            health_checks: all.clone(),
            aurora: all.clone(),
            tables: all.clone(),
            buckets: all.clone(),
            canaries: all.clone(),
            fences: all.clone(),
            metrics: all.clone(),
            dns: all.clone(),
            prober: all,
        }
    }

    /// Goes there, lets `act` happen, and comes back, unless something is in the way.
    async fn call<T>(
        &self,
        ask: Ask<'_>,
        act: impl FnOnce(&mut SimulatedWorld) -> Result<T, Refusal> + Send,
    ) -> Call<T> {
        let timeout_ms = self.aws.with(|world| world.timing.call_timeout_ms);
        let latency_ms = match self.gate(&ask) {
            Gate::Open { latency_ms } => latency_ms,
            Gate::Refused(refusal) => return Err(ask.refused(refusal)),
            Gate::Silent => {
                sleep(Duration::from_millis(timeout_ms)).await;
                return Err(ask.timeout());
            }
        };
        let waited_ms = latency_ms.min(timeout_ms);
        let mut wire = OnTheWire { ports: self, ask: &ask, act: Some(act) };
        sleep(Duration::from_millis(waited_ms)).await;
        let Some(act) = wire.act.take().filter(|_| self.gate(&ask) != Gate::Silent) else {
            sleep(Duration::from_millis(timeout_ms - waited_ms)).await;
            return Err(ask.timeout());
        };
        let (result, lost) = self.aws.with(|world| {
            let result = act(world);
            let lost = ask.mutates && result.is_ok() && world.faults.takes_answer(ask.service, ask.region);
            (result, lost)
        });
        if lost {
            sleep(Duration::from_millis(timeout_ms - waited_ms)).await;
        }
        if lost || latency_ms > timeout_ms {
            Err(ask.timeout())
        } else {
            result.map_err(|refusal| ask.refused(refusal))
        }
    }

    fn gate(&self, ask: &Ask<'_>) -> Gate {
        self.aws.with(|world| world.faults.gate(Some(&self.caller), ask.service, ask.region, ask.plane, &world.timing))
    }

    async fn route53<T>(
        &self,
        operation: &'static str,
        mutates: bool,
        act: impl FnOnce(&mut SimulatedWorld) -> Result<T, Refusal> + Send,
    ) -> Call<T> {
        let region = Region::from(ROUTE53_REGION);
        self.call(Ask { service: Service::Route53, operation, region: &region, plane: Plane::Control, mutates }, act)
            .await
    }
}

#[async_trait]
impl Records for SimulatedPorts {
    async fn list(&self, zone: &str) -> Call<Vec<RecordSet>> {
        self.route53("ListResourceRecordSets", false, |world| world.list_records(zone)).await
    }

    async fn change(&self, zone: &str, changes: Vec<Change>) -> Call<String> {
        self.route53("ChangeResourceRecordSets", true, move |world| world.change_records(zone, &changes)).await
    }

    async fn in_sync(&self, change: &str) -> Call<bool> {
        self.route53("GetChange", false, |world| world.change_in_sync(change)).await
    }
}

#[async_trait]
impl HealthChecks for SimulatedPorts {
    async fn list(&self) -> Call<Vec<HealthCheck>> {
        self.route53("ListHealthChecks", false, |world| Ok(world.checks.iter().cloned().collect())).await
    }

    async fn create(&self, caller_reference: &str, config: HealthCheckConfig) -> Call<HealthCheck> {
        self.route53("CreateHealthCheck", true, move |world| world.create_check(caller_reference, config)).await
    }

    async fn update(&self, check: &HealthCheck, config: HealthCheckConfig) -> Call<HealthCheck> {
        let version = check.version;
        self.route53("UpdateHealthCheck", true, move |world| world.update_check(&check.id, version, config)).await
    }
}

#[async_trait]
impl AuroraGlobal for SimulatedPorts {
    async fn describe(&self, asked_in: &Region, global_cluster: &str) -> Call<GlobalCluster> {
        let ask = Ask::read(Service::Rds, "DescribeGlobalClusters", asked_in, Plane::Control);
        self.call(ask, |world| world.describe_cluster(asked_in, global_cluster)).await
    }

    async fn switchover(&self, asked_in: &Region, global_cluster: &str, to: &Region) -> Call<()> {
        let ask = Ask::change(Service::Rds, "SwitchoverGlobalCluster", asked_in, Plane::Control);
        self.call(ask, |world| world.switchover_cluster(asked_in, global_cluster, to)).await
    }

    async fn failover(&self, asked_in: &Region, global_cluster: &str, to: &Region) -> Call<()> {
        let ask = Ask::change(Service::Rds, "FailoverGlobalCluster", asked_in, Plane::Control);
        self.call(ask, |world| world.failover_cluster(asked_in, global_cluster, to)).await
    }
}

#[async_trait]
impl GlobalTables for SimulatedPorts {
    async fn describe(&self, asked_in: &Region, table: &str) -> Call<GlobalTable> {
        let ask = Ask::read(Service::Dynamodb, "DescribeTable", asked_in, Plane::Control);
        self.call(ask, |world| world.describe_table(asked_in, table)).await
    }

    async fn add_replica(&self, asked_in: &Region, table: &str, region: &Region) -> Call<()> {
        let ask = Ask::change(Service::Dynamodb, "UpdateTable", asked_in, Plane::Control);
        self.call(ask, |world| world.add_replica(asked_in, table, region)).await
    }
}

#[async_trait]
impl Buckets for SimulatedPorts {
    async fn describe(&self, region: &Region, bucket: &str) -> Call<BucketState> {
        let ask = Ask::read(Service::S3, "GetBucketReplication", region, Plane::Control);
        self.call(ask, |world| world.describe_bucket(region, bucket)).await
    }

    async fn replicate(&self, region: &Region, from: &str, to: &str, role_arn: Option<&str>) -> Call<()> {
        let ask = Ask::change(Service::S3, "PutBucketReplication", region, Plane::Control);
        self.call(ask, |world| world.replicate_bucket(region, from, to, role_arn)).await
    }
}

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
}

#[async_trait]
impl Dns for SimulatedPorts {
    async fn ask(&self, name: &str, record_type: RecordType) -> Result<Vec<String>, String> {
        let (reachable, latency_ms, timeout_ms) = self
            .aws
            .with(|world| (world.faults.has_dns(&self.caller), world.timing.call_ms, world.timing.call_timeout_ms));
        sleep(Duration::from_millis(if reachable { latency_ms } else { timeout_ms })).await;
        if !reachable {
            return Err("no name server answered".to_owned());
        }
        match self.aws.with(|world| world.resolve(name, record_type, None)) {
            Resolution::NotAuthoritative => Err(format!("{name}: REFUSED")),
            Resolution::NoSuchName(_) => Ok(Vec::new()),
            Resolution::Found(_, mut answer) => {
                answer.values.sort();
                Ok(answer.values)
            }
        }
    }
}

#[async_trait]
impl Prober for SimulatedPorts {
    async fn probe(&self, probe: &ProbeSpec, region: &Region) -> Result<String, String> {
        let target = probe.target_in(region);
        if matches!(probe, ProbeSpec::CloudwatchAlarm { .. }) {
            return match self.alarm(region, &target).await {
                Ok(Some(true)) => Err(format!("{target} is in ALARM")),
                Ok(Some(false)) => Ok(format!("{target} is OK")),
                Ok(None) => Ok(format!("{target} has insufficient data")),
                Err(error) => Err(error.to_string()),
            };
        }
        let timeout_ms = match probe {
            ProbeSpec::Http { timeout_ms, .. } | ProbeSpec::Tcp { timeout_ms, .. } => *timeout_ms,
            ProbeSpec::CloudwatchAlarm { .. } => 0,
        };
        if !self.reference(region).await {
            sleep(Duration::from_millis(timeout_ms)).await;
            return Err(format!("{target}: no answer in {timeout_ms} ms"));
        }
        match (self.aws.with(|world| world.endpoint_is_bad(region, &target)), probe) {
            (false, ProbeSpec::Http { expect_status, .. }) => Ok(format!("{target}: {expect_status}")),
            (false, _) => Ok(format!("{target}: connected")),
            (true, ProbeSpec::Http { .. }) => Err(format!("{target}: 503")),
            (true, _) => Err(format!("{target}: connection refused")),
        }
    }

    async fn reference(&self, region: &Region) -> bool {
        let (good, latency_ms) = self.aws.with(|world| {
            let near = &self.caller == region;
            let latency_ms = if near { world.timing.call_ms } else { world.timing.far_call_ms };
            (world.faults.is_up(region) && world.faults.reaches(&self.caller, region), latency_ms)
        });
        sleep(Duration::from_millis(latency_ms)).await;
        good
    }
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
