//! The copies of a service's stores: replicas that are missing, rules the other way, a fence where the service serves.
//!
//! What takes hours (an Aurora secondary that is rebuilt) is waited for by looking, never by blocking.

use failoverd_domain::data::store::ReplicaStatus;
use failoverd_domain::fleet::ServiceState;
use failoverd_domain::ids::Region;
use failoverd_domain::service::{Fence, Store, StoreKind};

use super::{Settler, Unsettled};
use crate::ports::Effect;

/// One thing to mend.
enum Mend<'a> {
    Unfence { store: &'a Store, fence: &'a Fence },
    AddReplica { table: &'a str, region: &'a Region },
    Replicate { from: &'a str, to: &'a str, role_arn: Option<&'a str> },
}

impl Settler {
    pub(super) async fn settle_copies(&self, service: &ServiceState) -> Result<(), Unsettled> {
        for store in &service.spec.data {
            let Some(mend) = self.needed(service, store).await? else { continue };
            self.intend(service, vec![describe(&mend, &service.primary)]).await?;
            match self.mend(service, mend).await {
                // The next round looks again.
                Err(Unsettled::Call(error)) if error.effect == Effect::Unknown => {}
                other => other?,
            }
        }
        Ok(())
    }

    async fn needed<'a>(&self, service: &'a ServiceState, store: &'a Store) -> Result<Option<Mend<'a>>, Unsettled> {
        let primary = &service.primary;
        if let Some(fence) = &store.fence
            && self.world.fences.is_fenced(primary, store, fence).await?
        {
            return Ok(Some(Mend::Unfence { store, fence }));
        }
        match &store.kind {
            StoreKind::Dynamodb { table, ensure_replicas: true } => {
                let replicas = self.world.tables.describe(primary, table).await?.replicas;
                if replicas.values().any(|status| *status == ReplicaStatus::Creating) {
                    // One at a time.
                    return Ok(None);
                }
                let missing = service.spec.regions.iter().find(|region| !replicas.contains_key(*region));
                Ok(missing.map(|region| Mend::AddReplica { table, region }))
            }
            StoreKind::S3 { buckets, bidirectional, role_arn } => {
                let (Some(from), Some(standby)) = (buckets.get(primary), service.standby()) else { return Ok(None) };
                let Some(to) = buckets.get(standby) else { return Ok(None) };
                let needs_rule = *bidirectional || service.spec.regions.first() == Some(primary);
                let has_rule = self.world.buckets.describe(primary, from).await?.replicates_to.contains(to);
                let rule = Mend::Replicate { from, to, role_arn: role_arn.as_deref() };
                Ok((needs_rule && !has_rule).then_some(rule))
            }
            StoreKind::Aurora { .. } | StoreKind::Dynamodb { .. } => Ok(None),
        }
    }

    async fn mend(&self, service: &ServiceState, mend: Mend<'_>) -> Result<(), Unsettled> {
        let primary = &service.primary;
        match mend {
            Mend::Unfence { store, fence } => self.world.fences.unfence(primary, store, fence).await?,
            Mend::AddReplica { table, region } => self.world.tables.add_replica(primary, table, region).await?,
            Mend::Replicate { from, to, role_arn } => self.world.buckets.replicate(primary, from, to, role_arn).await?,
        }
        Ok(())
    }
}

fn describe(mend: &Mend<'_>, primary: &Region) -> String {
    match mend {
        Mend::Unfence { store, .. } => format!("let {} in {primary} take writes again: it serves", store.name),
        Mend::AddReplica { table, region } => format!("add the replica of {table} in {region}"),
        Mend::Replicate { from, to, .. } => format!("replicate {from} to {to}"),
    }
}
