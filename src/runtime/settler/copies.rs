//! The copies of a service's stores: replicas that are missing, rules the other way, a fence where the service serves.
//!
//! What takes hours (an Aurora secondary that is rebuilt) is waited for by looking, never by blocking.

use failoverd_domain::data::store::ReplicaStatus;
use failoverd_domain::fleet::ServiceState;
use failoverd_domain::ids::Region;
use failoverd_domain::service::{Fence, Store, StoreKind};

use super::{Settler, Unsettled};
use crate::ports::{Effect, ReplicationWish};

/// One thing to mend.
enum Mend<'a> {
    Unfence { store: &'a Store, fence: &'a Fence },
    AddReplica { table: &'a str, region: &'a Region },
    Replicate(ReplicationWish<'a>),
}

impl Settler {
    /// Lets the serving Region's copies take writes again where they were fenced once. Only what AWS itself calls the
    /// writer is let go: an old writer must stay fenced whatever this fleet believes (I1).
    pub(super) async fn free_writers(&self, service: &ServiceState) -> Result<(), Unsettled> {
        for store in &service.spec.data {
            let Some(fence) = &store.fence else { continue };
            if !self.world.fences.is_fenced(&service.primary, store, fence).await? {
                continue;
            }
            self.writes_there(service, store).await?;
            self.carry_out(service, Mend::Unfence { store, fence }).await?;
        }
        Ok(())
    }

    async fn writes_there(&self, service: &ServiceState, store: &Store) -> Result<(), Unsettled> {
        let StoreKind::Aurora { global_cluster, .. } = &store.kind else { return Ok(()) };
        let cluster = self.world.aurora.describe(&service.primary, global_cluster).await?;
        if cluster.moving_to.is_none() && cluster.writer() == Some(&service.primary) {
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

    pub(super) async fn settle_copies(&self, service: &ServiceState) -> Result<(), Unsettled> {
        for store in &service.spec.data {
            if let Some(mend) = self.needed(service, store).await? {
                self.carry_out(service, mend).await?;
            }
        }
        Ok(())
    }

    async fn needed<'a>(&self, service: &'a ServiceState, store: &'a Store) -> Result<Option<Mend<'a>>, Unsettled> {
        let primary = &service.primary;
        match &store.kind {
            StoreKind::Dynamodb { table, ensure_replicas: true, .. } => {
                let replicas = self.world.tables.describe(primary, table).await?.replicas;
                if replicas.values().any(|status| *status == ReplicaStatus::Creating) {
                    // One at a time.
                    return Ok(None);
                }
                let missing = service.spec.regions.iter().find(|region| !replicas.contains_key(*region));
                Ok(missing.map(|region| Mend::AddReplica { table, region }))
            }
            StoreKind::S3 { buckets, bidirectional, role_arn, time_control } => {
                let (Some(from), Some(standby)) = (buckets.get(primary), service.standby()) else { return Ok(None) };
                let Some(to) = buckets.get(standby) else { return Ok(None) };
                let needs_rule = *bidirectional || service.spec.regions.first() == Some(primary);
                let has_rule = self.world.buckets.describe(primary, from).await?.replicates_to(to);
                let rule = Mend::Replicate(ReplicationWish {
                    from,
                    to,
                    role_arn: role_arn.as_deref(),
                    both_ways: *bidirectional,
                    time_control: *time_control,
                });
                Ok((needs_rule && !has_rule).then_some(rule))
            }
            StoreKind::Aurora { .. } | StoreKind::Rds { .. } | StoreKind::Dynamodb { .. } => Ok(None),
        }
    }

    async fn mend(&self, service: &ServiceState, mend: Mend<'_>) -> Result<(), Unsettled> {
        let primary = &service.primary;
        match mend {
            Mend::Unfence { store, fence } => self.world.fences.unfence(primary, store, fence).await?,
            Mend::AddReplica { table, region } => self.world.tables.add_replica(primary, table, region).await?,
            Mend::Replicate(wish) => self.world.buckets.replicate(primary, &wish).await?,
        }
        Ok(())
    }
}

fn describe(mend: &Mend<'_>, primary: &Region) -> String {
    match mend {
        Mend::Unfence { store, .. } => format!("let {} in {primary} take writes again: it serves", store.name),
        Mend::AddReplica { table, region } => format!("add the replica of {table} in {region}"),
        Mend::Replicate(ReplicationWish { from, to, .. }) => format!("replicate {from} to {to}"),
    }
}
