//! The world as ports, directly: what a daemon in one Region gets from the simulated AWS without any wire.
//!
//! Latency, silence, throttling and lost answers come from the world's faults; time passes through tokio's timers, so
//! a paused runtime makes it virtual. Nothing here decides anything: it asks the world and puts its words into `CallError`.

mod outside;
mod stores;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::data::store::{BucketState, DbInstance, GlobalCluster, GlobalTable};
use failoverd_domain::ids::Region;
use failoverd_domain::route53::{Change, HealthCheck, HealthCheckConfig, RecordSet};
use failoverd_domain::service::NewTable;
use failoverd_domain::traffic::{MOST_LIVES, reference_for_life};
use tokio::time::sleep;

use super::tripwire::{Mishap, Side, Tripwire};
use super::world::{
    ACCOUNT, Gate, Plane, ROUTE53_REGION, Refusal, Service, SimulatedAws, World as SimulatedWorld, Zone,
};
use crate::ports::{
    Action, Age, AuroraGlobal, Buckets, Call, CallError, DbInstances, Effect, GlobalTables, HealthChecks, Identity,
    Permissions, Quota, Records, ReplicationWish, Roles, World, ZoneInfo,
};

/// The simulated AWS as seen by the daemon of one Region.
#[derive(Clone)]
pub struct SimulatedPorts {
    aws: SimulatedAws,
    caller: Region,
    tripwire: Tripwire,
}

impl SimulatedAws {
    /// The ports of a daemon in `caller`. Time is the world's own, whatever the daemon's clock says.
    #[must_use]
    pub fn ports(&self, caller: Region) -> SimulatedPorts {
        SimulatedPorts { aws: self.clone(), caller, tripwire: Tripwire::default() }
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

    /// As policies name it, where they call it as the API does.
    fn action(&self) -> String {
        format!("{}:{}", self.service.name(), self.operation)
    }

    fn not_authorized(&self) -> Refusal {
        Refusal::new("AccessDenied", format!("User is not authorized to perform: {}", self.action()))
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
    /// The same with a wire across every call that changes a resource.
    #[must_use]
    pub fn across(self, tripwire: Tripwire) -> Self {
        Self { tripwire, ..self }
    }

    /// The Region that an address is in.
    #[must_use]
    pub fn region_at(&self, address: IpAddr) -> Option<Region> {
        self.aws.with(|world| world.region_at(address))
    }

    /// All of it, as the runtime takes it.
    #[must_use]
    pub fn into_world(self) -> World {
        let all = Arc::new(self);
        World {
            records: all.clone(),
            health_checks: all.clone(),
            aurora: all.clone(),
            instances: all.clone(),
            tables: all.clone(),
            buckets: all.clone(),
            canaries: all.clone(),
            fences: all.clone(),
            metrics: all.clone(),
            alarms: all.clone(),
            permissions: all.clone(),
            roles: all.clone(),
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
        match self.passes(&ask, Side::Before).await {
            None | Some(Mishap::Death) => {}
            Some(Mishap::Refused) => return Err(ask.refused(Refusal::later("Throttling", "Rate exceeded"))),
            Some(Mishap::Denied) => return Err(ask.refused(ask.not_authorized())),
            Some(Mishap::Lost) => {
                sleep(Duration::from_millis(timeout_ms)).await;
                return Err(ask.timeout());
            }
        }
        let latency_ms = match self.gate(&ask) {
            Gate::Open { latency_ms } => latency_ms,
            Gate::Refused(refusal) => return Err(ask.refused(refusal)),
            Gate::Silent => {
                sleep(Duration::from_millis(timeout_ms)).await;
                return Err(ask.timeout());
            }
        };
        if self.aws.with(|world| world.faults.denies(&self.caller, &ask.action())) {
            return Err(ask.refused(ask.not_authorized()));
        }
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
        let lost = lost || result.is_ok() && self.passes(&ask, Side::After).await.is_some();
        if lost {
            sleep(Duration::from_millis(timeout_ms - waited_ms)).await;
        }
        if lost || latency_ms > timeout_ms {
            Err(ask.timeout())
        } else {
            result.map_err(|refusal| ask.refused(refusal))
        }
    }

    async fn passes(&self, ask: &Ask<'_>, side: Side) -> Option<Mishap> {
        if !ask.mutates || ask.plane != Plane::Control {
            return None;
        }
        self.tripwire.pass(&self.caller, || format!("call {}", ask.operation), side).await
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
    async fn zone(&self, zone: &str) -> Call<ZoneInfo> {
        self.route53("ListHostedZonesByName", false, |world| {
            world.public_zone(zone)?;
            world.zone_info(zone)
        })
        .await
    }

    async fn list(&self, zone: &str, _: Age) -> Call<Arc<Vec<RecordSet>>> {
        self.route53("ListResourceRecordSets", false, |world| world.public_zone(zone).map(Zone::listing)).await
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
    async fn list(&self, _: Age) -> Call<Arc<Vec<HealthCheck>>> {
        self.route53("ListHealthChecks", false, |world| Ok(Arc::new(world.checks.iter().cloned().collect()))).await
    }

    async fn create(&self, caller_reference: &str, config: HealthCheckConfig) -> Call<HealthCheck> {
        self.route53("CreateHealthCheck", true, move |world| {
            let life = (1..MOST_LIVES).find(|life| !world.was_deleted(&reference_for_life(caller_reference, *life)));
            world.create_check(&reference_for_life(caller_reference, life.unwrap_or(MOST_LIVES)), config)
        })
        .await
    }

    async fn update(&self, check: &HealthCheck, config: HealthCheckConfig) -> Call<HealthCheck> {
        let version = check.version;
        self.route53("UpdateHealthCheck", true, move |world| world.update_check(&check.id, version, config)).await
    }

    async fn delete(&self, check: &HealthCheck) -> Call<()> {
        let deleted = self.route53("DeleteHealthCheck", true, move |world| world.delete_check(&check.id)).await;
        // Gone already is as good.
        deleted.or_else(|error| if error.code == "NoSuchHealthCheck" { Ok(()) } else { Err(error) })
    }

    async fn quota(&self) -> Call<Quota> {
        self.route53("GetAccountLimit", false, |world| Ok(world.check_quota())).await
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

    async fn lost_writes(&self, region: &Region, cluster: &str) -> Call<Vec<String>> {
        let ask = Ask::read(Service::Rds, "DescribeDBClusterSnapshots", region, Plane::Control);
        self.call(ask, |world| Ok(world.lost_write_snapshots(region, cluster))).await
    }
}

#[async_trait]
impl DbInstances for SimulatedPorts {
    async fn describe(&self, region: &Region, instance: &str) -> Call<Option<DbInstance>> {
        let ask = Ask::read(Service::Rds, "DescribeDBInstances", region, Plane::Control);
        self.call(ask, |world| Ok(world.instance(region, instance))).await
    }

    async fn promote(&self, region: &Region, instance: &str) -> Call<()> {
        let ask = Ask::change(Service::Rds, "PromoteReadReplica", region, Plane::Control);
        self.call(ask, |world| world.promote_instance(region, instance)).await
    }

    async fn create_replica(&self, region: &Region, instance: &str, source: &DbInstance) -> Call<()> {
        let ask = Ask::change(Service::Rds, "CreateDBInstanceReadReplica", region, Plane::Control);
        self.call(ask, |world| world.create_replica(region, instance, &source.arn)).await
    }

    async fn put_aside(&self, region: &Region, instance: &str, new_name: &str) -> Call<()> {
        let ask = Ask::change(Service::Rds, "ModifyDBInstance", region, Plane::Control);
        self.call(ask, |world| world.rename_instance(region, instance, new_name)).await
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

    async fn create(&self, region: &Region, table: &str, new: &NewTable) -> Call<()> {
        let ask = Ask::change(Service::Dynamodb, "CreateTable", region, Plane::Control);
        self.call(ask, |world| world.make_table(region, table, new)).await
    }

    async fn enable_streams(&self, region: &Region, table: &str) -> Call<()> {
        let ask = Ask::change(Service::Dynamodb, "UpdateTable", region, Plane::Control);
        self.call(ask, |world| world.enable_streams(region, table)).await
    }

    async fn remove_replica(&self, asked_in: &Region, table: &str, region: &Region) -> Call<()> {
        let ask = Ask::change(Service::Dynamodb, "UpdateTable", asked_in, Plane::Control);
        self.call(ask, |world| world.remove_replica(asked_in, table, region)).await
    }
}

#[async_trait]
impl Buckets for SimulatedPorts {
    async fn describe(&self, region: &Region, bucket: &str) -> Call<BucketState> {
        let ask = Ask::read(Service::S3, "GetBucketReplication", region, Plane::Control);
        self.call(ask, |world| world.describe_bucket(region, bucket)).await
    }

    async fn replicate(&self, region: &Region, wish: &ReplicationWish<'_>) -> Call<()> {
        let ask = Ask::change(Service::S3, "PutBucketReplication", region, Plane::Control);
        self.call(ask, |world| world.replicate_bucket(region, wish)).await
    }
}

/// One account: whoever assumes a role acts in the same world.
impl Roles for SimulatedPorts {
    fn assuming(&self, _: &str) -> World {
        self.clone().into_world()
    }
}

#[async_trait]
impl Permissions for SimulatedPorts {
    async fn identity(&self) -> Call<Identity> {
        let account = ACCOUNT.to_owned();
        let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/failoverd/{}", self.caller);
        Ok(Identity { account, arn, partition: "aws".to_owned() })
    }

    async fn denied(&self, actions: &[Action]) -> Call<Vec<(Action, String)>> {
        Ok(self.aws.with(|world| world.faults.denied(&self.caller, actions)))
    }
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
