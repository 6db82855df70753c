//! Looks at every copy of every store, and keeps the canaries flying.

use std::collections::BTreeSet;

use failoverd_domain::data::store::ReplicaStatus;
use failoverd_domain::fleet::FleetState;
use failoverd_domain::health::ReplicaReadiness;
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::service::{Pattern, Store, StoreKind};
use failoverd_domain::time::Timestamp;
use futures_util::StreamExt;
use futures_util::stream;

use super::Observer;
use super::sheet::{Copy, CopyKey, Sheet};
use crate::ports::{CallError, CanaryAt};

/// Looks under way at once.
const MOST_AT_ONCE: usize = 64;

/// One copy of one store.
#[derive(Clone)]
struct CopyAt {
    service: ServiceName,
    store: Store,
    region: Region,
    /// Whether this copy is where the service writes.
    serves: bool,
}

impl CopyAt {
    fn key(&self) -> CopyKey {
        (self.service.clone(), self.store.name.clone(), self.region.clone())
    }

    fn canary(&self) -> Option<CanaryAt<'_>> {
        let canary = self.store.canary.as_ref()?;
        Some(CanaryAt { service: &self.service, store: &self.store, canary, region: &self.region })
    }
}

fn copies(state: &FleetState) -> Vec<CopyAt> {
    let mut copies = Vec::new();
    for service in state.services.values() {
        let spec = &service.spec;
        for store in &spec.data {
            copies.extend(spec.regions.iter().map(|region| CopyAt {
                service: spec.name.clone(),
                store: store.clone(),
                region: region.clone(),
                serves: spec.pattern == Pattern::ActiveActive || &service.primary == region,
            }));
        }
    }
    copies
}

impl Observer {
    pub(super) async fn watch_stores(&self, sheet: &Sheet) {
        let mut ticks = tokio::time::interval(self.timing.look);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let state = self.state();
            let keys: BTreeSet<CopyKey> = copies(&state).iter().map(CopyAt::key).collect();
            sheet.open().stores.retain(|key, _| keys.contains(key));
            let looks = copies(&state).into_iter().map(|copy| async move { self.look(sheet, &copy).await });
            stream::iter(looks).buffer_unordered(MOST_AT_ONCE).collect::<()>().await;
        }
    }

    async fn look(&self, sheet: &Sheet, copy: &CopyAt) {
        let (readiness, writer) = self.readiness(copy).await;
        let lag_ms = self.world.metrics.replication_lag(&copy.region, &copy.store).await.ok().flatten();
        let now = self.clock.now();
        let mut pages = sheet.open();
        let held = pages.stores.entry(copy.key()).or_insert_with(|| Copy::unread(now));
        (held.readiness, held.writer, held.lag_ms, held.at) = (readiness, writer, lag_ms, now);
    }

    async fn readiness(&self, copy: &CopyAt) -> (ReplicaReadiness, Option<bool>) {
        match &copy.store.kind {
            StoreKind::Aurora { global_cluster, .. } => self.aurora(&copy.region, global_cluster).await,
            StoreKind::Rds { instances, .. } => {
                self.instance(&copy.region, instances.get(&copy.region).map_or("", String::as_str)).await
            }
            StoreKind::Dynamodb { table, .. } => (self.table(&copy.region, table).await, None),
            StoreKind::S3 { buckets, .. } => {
                let bucket = buckets.get(&copy.region).map_or("", String::as_str);
                (self.bucket(&copy.region, bucket).await, None)
            }
        }
    }

    async fn aurora(&self, region: &Region, global_cluster: &str) -> (ReplicaReadiness, Option<bool>) {
        let cluster = match self.world.aurora.describe(region, global_cluster).await {
            Ok(cluster) => cluster,
            Err(error) => return (unreadable(&error), None),
        };
        let Some(member) = cluster.members.get(region) else {
            return (ReplicaReadiness::NotReady(format!("{global_cluster} has no cluster in {region}")), None);
        };
        let versions_match =
            cluster.members.values().all(|other| minor(&other.engine_version) == minor(&member.engine_version));
        let readiness = match () {
            () if member.is_writer => ReplicaReadiness::Ready,
            () if member.instances == 0 => {
                ReplicaReadiness::NotReady(format!("{} is headless: it has no instance to promote", member.cluster))
            }
            () if !versions_match => {
                ReplicaReadiness::NotReady(format!("{} has another engine version", member.cluster))
            }
            () if !member.in_sync && cluster.writer().is_some() => {
                ReplicaReadiness::NotReady(format!("{} has to be rebuilt first", member.cluster))
            }
            () => ReplicaReadiness::Ready,
        };
        (readiness, Some(member.is_writer))
    }

    async fn instance(&self, region: &Region, instance: &str) -> (ReplicaReadiness, Option<bool>) {
        match self.world.instances.describe(region, instance).await {
            Ok(Some(found)) if found.is_available() && found.replication_problem.is_none() => {
                (ReplicaReadiness::Ready, Some(found.is_writer()))
            }
            Ok(Some(found)) => {
                let problem = found.replication_problem.clone().unwrap_or_else(|| found.status.clone());
                (ReplicaReadiness::NotReady(format!("{instance} is {problem}")), Some(found.is_writer()))
            }
            Ok(None) => (ReplicaReadiness::NotReady(format!("there is no instance {instance} in {region}")), None),
            Err(error) => (unreadable(&error), None),
        }
    }

    async fn table(&self, region: &Region, table: &str) -> ReplicaReadiness {
        match self.world.tables.describe(region, table).await {
            Ok(described) => match described.replicas.get(region) {
                Some(ReplicaStatus::Active) => ReplicaReadiness::Ready,
                Some(status) => ReplicaReadiness::NotReady(format!("the replica of {table} is {status:?}")),
                None => ReplicaReadiness::NotReady(format!("{table} has no replica in {region}")),
            },
            Err(error) => unreadable(&error),
        }
    }

    async fn bucket(&self, region: &Region, bucket: &str) -> ReplicaReadiness {
        match self.world.buckets.describe(region, bucket).await {
            Ok(state) if state.versioning => ReplicaReadiness::Ready,
            Ok(_) => ReplicaReadiness::NotReady(format!("{bucket} is not versioned: nothing can be replicated to it")),
            Err(error) => unreadable(&error),
        }
    }

    /// The serving Region's own daemon writes; where that one is silent, the leader does.
    pub(super) async fn write_canaries(&self, sheet: &Sheet) {
        let mut ticks = tokio::time::interval(self.timing.canary);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let state = self.state();
            let flights = copies(&state).into_iter().map(|copy| async move { self.fly(sheet, &copy).await });
            let all = stream::iter(flights).buffer_unordered(MOST_AT_ONCE).collect::<()>();
            // A Region that hangs must not hold up the canaries of the others for long.
            let _ = tokio::time::timeout(self.timing.canary * 3, all).await;
        }
    }

    async fn fly(&self, sheet: &Sheet, copy: &CopyAt) {
        let Some(at) = copy.canary() else { return };
        if copy.serves && self.writes(&copy.region) {
            let version = self.clock.now().0;
            match self.world.canaries.write(&at, version).await {
                Ok(()) => {
                    tracing::trace!(store = %copy.store.name, version, "canary written");
                    self.keep(sheet, copy, |held, now| held.acknowledged = held.acknowledged.max(Some((version, now))));
                }
                Err(error) => {
                    tracing::debug!(service = %copy.service, store = %copy.store.name, %error, "canary not written")
                }
            }
        }
        match self.world.canaries.read(&at).await {
            Ok(visible) => {
                self.keep(sheet, copy, |held, now| held.visible = visible.map(|version| (version, now)));
            }
            Err(error) => tracing::debug!(service = %copy.service, store = %copy.store.name, %error, "canary not read"),
        }
    }

    fn keep(&self, sheet: &Sheet, copy: &CopyAt, change: impl FnOnce(&mut Copy, Timestamp)) {
        let now = self.clock.now();
        let mut pages = sheet.open();
        let held = pages.stores.entry(copy.key()).or_insert_with(|| Copy::unread(now));
        change(held, now);
    }

    fn writes(&self, region: &Region) -> bool {
        if region == &self.view.me {
            return true;
        }
        let theirs = self.matrix.borrow().fresh(self.clock.now(), region, self.view.stale_after_ms).is_some();
        !theirs && self.agreement.leadership().borrow().is_me
    }
}

fn unreadable(error: &CallError) -> ReplicaReadiness {
    ReplicaReadiness::Unknown(error.to_string())
}

/// `16.4` of `16.4.2`: what must be equal for a promotion.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}
