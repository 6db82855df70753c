//! The copies of a service's stores: replicas that are missing, rules the other way, a fence where the service serves.
//!
//! What takes hours (an Aurora secondary that is rebuilt) is waited for by looking, never by blocking.

use std::collections::BTreeMap;

use failoverd_domain::data::additions::needs_rules;
use failoverd_domain::data::store::DbInstance;
use failoverd_domain::fleet::{Command, ServiceState};
use failoverd_domain::ids::{Epoch, Region};
use failoverd_domain::service::{Fence, NewTable, Store, StoreKind};

use super::{Settler, Unsettled};
use crate::ports::{Effect, ReplicationWish};

/// One thing to mend.
pub(super) enum Mend<'a> {
    Fence { store: &'a Store, fence: &'a Fence, region: &'a Region },
    Unfence { store: &'a Store, fence: &'a Fence },
    CreateTable { table: &'a str, create: &'a NewTable },
    EnableStreams { table: &'a str },
    AddReplica { table: &'a str, region: &'a Region },
    Replicate { region: &'a Region, wish: ReplicationWish<'a> },
    PutAside { instance: &'a str, region: &'a Region, aside: String },
    CreateReplica { instance: &'a str, region: &'a Region, source: DbInstance },
}

impl Settler {
    /// Lets the serving Region's copies take writes again where they were fenced once. Only what AWS itself calls the
    /// writer is let go: an old writer must stay fenced whatever this fleet believes (I1).
    pub(super) async fn free_writers(&self, service: &ServiceState) -> Result<(), Unsettled> {
        for store in &service.spec.data {
            let Some(fence) = &store.fence else { continue };
            if !self.world_of(service).fences.is_fenced(&service.primary, store, fence).await? {
                continue;
            }
            self.writes_there(service, store).await?;
            self.carry_out(service, Mend::Unfence { store, fence }).await?;
        }
        Ok(())
    }

    async fn writes_there(&self, service: &ServiceState, store: &Store) -> Result<(), Unsettled> {
        let world = self.world_of(service);
        let writes = match &store.kind {
            StoreKind::Aurora { global_cluster, .. } => {
                let cluster = world.aurora.describe(&service.primary, global_cluster).await?;
                cluster.moving_to.is_none() && cluster.writer() == Some(&service.primary)
            }
            StoreKind::Rds { instances, .. } => {
                let id = instances.get(&service.primary).map_or("", String::as_str);
                let instance = world.instances.describe(&service.primary, id).await?;
                instance.is_some_and(|instance| instance.is_writer())
            }
            StoreKind::Dynamodb { .. } | StoreKind::S3 { .. } => true,
        };
        if writes {
            return Ok(());
        }
        Err(Unsettled::Stuck(format!("{} in {} is fenced and is not the writer", store.name, service.primary)))
    }

    async fn carry_out(&self, service: &ServiceState, mend: Mend<'_>) -> Result<(), Unsettled> {
        self.intend(service, vec![describe(&mend, &service.primary)]).await?;
        match self.mend(service, mend).await {
            // The next round looks again.
            Err(Unsettled::Call(error)) if error.effect == Effect::Unknown => Ok(()),
            other => other,
        }
    }

    /// The next thing that each store lacks. A store that cannot be asked holds no other up; where something was mended
    /// or takes its time, the next round comes soon.
    pub(super) async fn settle_copies(&self, service: &ServiceState) -> Result<(), Unsettled> {
        let mut ended = Ok(());
        for store in &service.spec.data {
            let round = match self.needed(service, store).await {
                Ok(None) => Ok(()),
                Ok(Some(mend)) => match self.carry_out(service, mend).await {
                    Ok(()) => Err(Unsettled::Yield(format!("{} is being mended", store.name))),
                    failed => failed,
                },
                Err(problem) => Err(problem),
            };
            ended = ended.and(round).and(self.note_lost_writes(service, store).await);
        }
        ended
    }

    /// Puts on record which snapshots AWS has kept of what a forced promotion lost. They appear in the Region that lost
    /// it when that is back; one that cannot be asked is asked again in a later round.
    async fn note_lost_writes(&self, service: &ServiceState, store: &Store) -> Result<(), Unsettled> {
        let StoreKind::Aurora { clusters, .. } = &store.kind else { return Ok(()) };
        let has_moved = service.epoch > Epoch(1);
        for (region, cluster) in clusters.iter().filter(|(region, _)| has_moved && **region != service.primary) {
            let found = match self.world_of(service).aurora.lost_writes(region, cluster).await {
                Ok(found) => found,
                Err(error) if error.effect == Effect::NoneRetryable => continue,
                Err(error) => return Err(error.into()),
            };
            let known = service.lost_writes.get(&store.name);
            let snapshots: Vec<String> =
                found.into_iter().filter(|name| known.is_none_or(|known| !known.contains(name))).collect();
            if !snapshots.is_empty() {
                let (name, store) = (service.spec.name.clone(), store.name.clone());
                self.propose(Command::LostWrites { service: name, store, region: region.clone(), snapshots }).await?;
            }
        }
        Ok(())
    }

    async fn needed<'a>(&self, service: &'a ServiceState, store: &'a Store) -> Result<Option<Mend<'a>>, Unsettled> {
        match &store.kind {
            StoreKind::Dynamodb { table, ensure_replicas: true, replicas, create } => {
                self.table_lacks(service, table, replicas, create.as_ref()).await
            }
            StoreKind::S3 { buckets, bidirectional, role_arn, time_control } => {
                let missing = self.rule_lacks(service, buckets, *bidirectional).await?;
                Ok(missing.map(|(region, from, to)| {
                    let role_arn = role_arn.as_deref();
                    let (both_ways, time_control) = (*bidirectional, *time_control);
                    Mend::Replicate { region, wish: ReplicationWish { from, to, role_arn, both_ways, time_control } }
                }))
            }
            StoreKind::Rds { .. } => self.instance_lacks(service, store).await,
            StoreKind::Aurora { .. } | StoreKind::Dynamodb { .. } => Ok(None),
        }
    }

    /// The first rule that is missing: its Region and the two buckets. A Region that cannot be asked and does not serve
    /// is passed over: it may be gone, and its rule is made when it is back.
    async fn rule_lacks<'a>(
        &self,
        service: &'a ServiceState,
        buckets: &'a BTreeMap<Region, String>,
        both_ways: bool,
    ) -> Result<Option<(&'a Region, &'a str, &'a str)>, Unsettled> {
        let world = self.world_of(service);
        for (region, from) in buckets {
            if !needs_rules(&service.spec, &service.primary, region, both_ways) {
                continue;
            }
            let held = match world.buckets.describe(region, from).await {
                Ok(held) => held,
                Err(error) if error.effect == Effect::NoneRetryable && *region != service.primary => continue,
                Err(error) => return Err(error.into()),
            };
            let mut others = buckets.iter().filter(|(other, _)| *other != region).map(|(_, bucket)| bucket);
            if let Some(to) = others.find(|to| !held.replicates_to(to)) {
                return Ok(Some((region, from, to)));
            }
        }
        Ok(None)
    }

    async fn mend(&self, service: &ServiceState, mend: Mend<'_>) -> Result<(), Unsettled> {
        let primary = &service.primary;
        let world = self.world_of(service);
        match mend {
            Mend::Fence { store, fence, region } => world.fences.fence(region, store, fence).await?,
            Mend::Unfence { store, fence } => world.fences.unfence(primary, store, fence).await?,
            Mend::CreateTable { table, create } => world.tables.create(primary, table, create).await?,
            Mend::EnableStreams { table } => world.tables.enable_streams(primary, table).await?,
            Mend::AddReplica { table, region } => world.tables.add_replica(primary, table, region).await?,
            Mend::Replicate { region, wish } => world.buckets.replicate(region, &wish).await?,
            Mend::PutAside { instance, region, aside } => world.instances.put_aside(region, instance, &aside).await?,
            Mend::CreateReplica { instance, region, source } => {
                world.instances.create_replica(region, instance, &source).await?;
            }
        }
        Ok(())
    }
}

fn describe(mend: &Mend<'_>, primary: &Region) -> String {
    match mend {
        Mend::Unfence { store, .. } => format!("let {} in {primary} take writes again: it serves", store.name),
        Mend::Fence { store, region, .. } => {
            format!("keep the old primary of {} in {region} from taking writes", store.name)
        }
        Mend::CreateTable { table, .. } => format!("make the table {table} in {primary}"),
        Mend::EnableStreams { table } => format!("turn the streams of {table} on"),
        Mend::AddReplica { table, region } => format!("add the replica of {table} in {region}"),
        Mend::PutAside { instance, region, aside } => {
            format!("put the old primary {instance} in {region} aside, as {aside}: nothing of it is deleted")
        }
        Mend::CreateReplica { instance, region, source } => {
            format!("make {instance} in {region} a replica of {}", source.id)
        }
        Mend::Replicate { wish: ReplicationWish { from, to, .. }, .. } => format!("replicate {from} to {to}"),
    }
}
