//! Operations on DB instances.

use super::params::{Page, Params, local_id};
use super::{Asked, Inside, shapes};
use crate::sim::world::{InstanceChanges, InstanceView, NewInstance, PendingValues, Refusal, World};

fn id_of(asked: &Asked<'_>) -> Result<String, Refusal> {
    let given = asked.params.required("DBInstanceIdentifier")?;
    let not_found = || Refusal::new("DBInstanceNotFound", format!("DBInstance {given} not found."));
    local_id(given, "db", asked.region).ok_or_else(not_found)
}

fn one(world: &World, asked: &Asked<'_>, id: &str) -> Inside {
    let view = world.view_instance(asked.region, id)?;
    Ok(vec![shapes::instance(&view)])
}

pub(super) fn describe(world: &mut World, asked: &Asked<'_>) -> Inside {
    const FILTERS: &[&str] = &["db-cluster-id", "db-instance-id", "dbi-resource-id", "engine"];
    let filters = asked.params.filters(FILTERS)?;
    let mut found = match asked.params.get("DBInstanceIdentifier") {
        Some(_) => vec![world.view_instance(asked.region, &id_of(asked)?)?],
        None => world.instance_views(asked.region),
    };
    found.retain(|instance: &InstanceView| {
        let cluster = instance.cluster.as_deref().unwrap_or_default();
        let cluster_arn = crate::sim::world::cluster_arn(asked.region, cluster);
        filters.pass("db-cluster-id", &[cluster, &cluster_arn])
            && filters.pass("db-instance-id", &[&instance.id, &instance.arn])
            && filters.pass("dbi-resource-id", &[&instance.resource_id])
            && filters.pass("engine", &[&instance.engine])
    });
    let page = Page::of(&asked.params, found, |instance| instance.id.clone())?;
    Ok(page.told("DBInstances", shapes::instance))
}

fn wanted(params: &Params) -> Result<NewInstance, Refusal> {
    Ok(NewInstance {
        class: params.owned("DBInstanceClass"),
        engine: params.owned("Engine"),
        engine_version: params.owned("EngineVersion"),
        cluster: params.get("DBClusterIdentifier").map(str::to_ascii_lowercase),
        backup_days: params.int("BackupRetentionPeriod")?,
        multi_az: params.flag("MultiAZ")?,
        groups: params.list("VpcSecurityGroupIds"),
        tags: params.tags(),
        deletion_protection: params.flag("DeletionProtection")?,
        promotion_tier: params.int("PromotionTier")?,
        storage_gb: params.int("AllocatedStorage")?,
    })
}

pub(super) fn create(world: &mut World, asked: &Asked<'_>) -> Inside {
    let id = asked.params.required("DBInstanceIdentifier")?;
    asked.params.required("DBInstanceClass")?;
    asked.params.required("Engine")?;
    world.create_instance(asked.region, id, wanted(&asked.params)?)?;
    one(world, asked, &id.to_ascii_lowercase())
}

/// SDKs add `PreSignedUrl` for a source in another Region; its ARN says the same.
pub(super) fn create_replica(world: &mut World, asked: &Asked<'_>) -> Inside {
    let id = asked.params.required("DBInstanceIdentifier")?;
    let source = asked.params.required("SourceDBInstanceIdentifier")?;
    world.create_replica_as(asked.region, id, source, wanted(&asked.params)?)?;
    one(world, asked, &id.to_ascii_lowercase())
}

pub(super) fn modify(world: &mut World, asked: &Asked<'_>) -> Inside {
    let (id, params) = (id_of(asked)?, &asked.params);
    let groups = params.list("VpcSecurityGroupIds");
    let changes = InstanceChanges {
        now: params.flag("ApplyImmediately")?,
        values: PendingValues {
            id: params.owned("NewDBInstanceIdentifier"),
            class: params.owned("DBInstanceClass"),
            engine_version: params.owned("EngineVersion"),
            backup_days: params.int("BackupRetentionPeriod")?,
            multi_az: params.bool("MultiAZ")?,
        },
        groups: (!groups.is_empty()).then_some(groups),
        deletion_protection: params.bool("DeletionProtection")?,
    };
    world.modify_instance(asked.region, &id, changes)?;
    one(world, asked, &id)
}

pub(super) fn promote(world: &mut World, asked: &Asked<'_>) -> Inside {
    let id = id_of(asked)?;
    world.promote_instance_with(asked.region, &id, asked.params.int("BackupRetentionPeriod")?)?;
    one(world, asked, &id)
}

pub(super) fn reboot(world: &mut World, asked: &Asked<'_>) -> Inside {
    let id = id_of(asked)?;
    world.reboot_instance(asked.region, &id)?;
    one(world, asked, &id)
}

pub(super) fn delete(world: &mut World, asked: &Asked<'_>) -> Inside {
    let id = id_of(asked)?;
    let view = world.view_instance(asked.region, &id)?;
    let keeps_snapshots = view.cluster.is_none() && view.source.is_none();
    super::check_final_snapshot(&asked.params, "FinalDBSnapshotIdentifier", keeps_snapshots)?;
    world.delete_instance(asked.region, &id)?;
    one(world, asked, &id)
}
