//! Operations on DB clusters and global clusters.

use super::cluster_shapes as shapes;
use super::params::{Page, local_id};
use super::{Asked, Inside};
use crate::sim::world::{
    ClusterChanges, GlobalClusterView, NewCluster, NewGlobalCluster, Refusal, World, cluster_arn, parse_arn,
};

fn not_found(given: &str) -> Refusal {
    Refusal::new("DBClusterNotFoundFault", format!("DBCluster {given} not found."))
}

fn id_of(asked: &Asked<'_>) -> Result<String, Refusal> {
    let given = asked.params.required("DBClusterIdentifier")?;
    local_id(given, "cluster", asked.region).ok_or_else(|| not_found(given))
}

fn global_id(asked: &Asked<'_>) -> Result<String, Refusal> {
    let given = asked.params.required("GlobalClusterIdentifier")?;
    match parse_arn(given) {
        Some((_, "global-cluster", id)) => Ok(id.to_owned()),
        _ => Ok(given.to_ascii_lowercase()),
    }
}

fn one(world: &World, asked: &Asked<'_>, id: &str) -> Inside {
    Ok(vec![shapes::cluster(&world.view_cluster(asked.region, id)?)])
}

fn one_global(world: &World, asked: &Asked<'_>, id: &str) -> Inside {
    Ok(vec![shapes::global("GlobalCluster", &world.view_global(asked.region, id)?)])
}

pub(super) fn describe(world: &mut World, asked: &Asked<'_>) -> Inside {
    let filters = asked.params.filters(&["db-cluster-id", "engine"])?;
    let mut found = match asked.params.get("DBClusterIdentifier") {
        Some(_) => vec![world.view_cluster(asked.region, &id_of(asked)?)?],
        None => world.cluster_views(asked.region),
    };
    found.retain(|cluster| {
        filters.pass("db-cluster-id", &[&cluster.id, &cluster.arn]) && filters.pass("engine", &[&cluster.engine])
    });
    let page = Page::of(&asked.params, found, |cluster| cluster.id.clone())?;
    Ok(page.told("DBClusters", shapes::cluster))
}

pub(super) fn create(world: &mut World, asked: &Asked<'_>) -> Inside {
    let params = &asked.params;
    let id = params.required("DBClusterIdentifier")?;
    let new = NewCluster {
        engine: params.required("Engine")?.to_owned(),
        engine_version: params.owned("EngineVersion"),
        global: params.get("GlobalClusterIdentifier").map(str::to_ascii_lowercase),
        groups: params.list("VpcSecurityGroupIds"),
        backup_days: params.int("BackupRetentionPeriod")?,
        deletion_protection: params.flag("DeletionProtection")?,
        write_forwarding: params.flag("EnableGlobalWriteForwarding")?,
        tags: params.tags(),
    };
    world.create_db_cluster(asked.region, id, new)?;
    one(world, asked, &id.to_ascii_lowercase())
}

pub(super) fn modify(world: &mut World, asked: &Asked<'_>) -> Inside {
    let (id, params) = (id_of(asked)?, &asked.params);
    let groups = params.list("VpcSecurityGroupIds");
    let changes = ClusterChanges {
        groups: (!groups.is_empty()).then_some(groups),
        backup_days: params.int("BackupRetentionPeriod")?,
        deletion_protection: params.bool("DeletionProtection")?,
        write_forwarding: params.bool("EnableGlobalWriteForwarding")?,
        engine_version: params.owned("EngineVersion"),
    };
    world.modify_db_cluster(asked.region, &id, changes)?;
    one(world, asked, &id)
}

pub(super) fn delete(world: &mut World, asked: &Asked<'_>) -> Inside {
    let id = id_of(asked)?;
    let view = world.view_cluster(asked.region, &id)?;
    super::check_final_snapshot(&asked.params, "FinalDBSnapshotIdentifier", view.source.is_none())?;
    world.delete_db_cluster(asked.region, &id)?;
    one(world, asked, &id)
}

pub(super) fn describe_globals(world: &mut World, asked: &Asked<'_>) -> Inside {
    // Today's API knows `region`; `db-cluster-id` is what it knew before.
    let filters = asked.params.filters(&["db-cluster-id", "region"])?;
    let mut found = match asked.params.get("GlobalClusterIdentifier") {
        Some(_) => vec![world.view_global(asked.region, &global_id(asked)?)?],
        None => world.global_views(asked.region),
    };
    found.retain(|global: &GlobalClusterView| {
        let arns: Vec<(String, &str)> =
            global.members.iter().map(|member| (region_of(&member.arn), member.arn.as_str())).collect();
        let regions: Vec<&str> = arns.iter().map(|(region, _)| region.as_str()).collect();
        let ids: Vec<&str> =
            arns.iter().flat_map(|(_, arn)| [*arn, arn.rsplit(':').next().unwrap_or_default()]).collect();
        filters.pass("region", &regions) && filters.pass("db-cluster-id", &ids)
    });
    let page = Page::of(&asked.params, found, |global| global.id.clone())?;
    Ok(page.told("GlobalClusters", |global| shapes::global("GlobalClusterMember", global)))
}

fn region_of(arn: &str) -> String {
    parse_arn(arn).map(|(region, _, _)| region.to_string()).unwrap_or_default()
}

pub(super) fn create_global(world: &mut World, asked: &Asked<'_>) -> Inside {
    let params = &asked.params;
    let id = params.required("GlobalClusterIdentifier")?;
    let new = NewGlobalCluster {
        engine: params.owned("Engine"),
        engine_version: params.owned("EngineVersion"),
        source: params.owned("SourceDBClusterIdentifier"),
        database: params.owned("DatabaseName"),
        deletion_protection: params.flag("DeletionProtection")?,
        tags: params.tags(),
    };
    world.create_global(asked.region, id, new)?;
    one_global(world, asked, &id.to_ascii_lowercase())
}

pub(super) fn delete_global(world: &mut World, asked: &Asked<'_>) -> Inside {
    let id = global_id(asked)?;
    world.delete_global(asked.region, &id)?;
    one_global(world, asked, &id)
}

/// Answered as the Region of the removed cluster saw the global cluster last: it may have no other member there.
pub(super) fn remove_from_global(world: &mut World, asked: &Asked<'_>) -> Inside {
    let id = global_id(asked)?;
    let given = asked.params.required("DbClusterIdentifier")?;
    let mut view = world.view_global(asked.region, &id)?;
    world.detach_cluster(asked.region, &id, given)?;
    let arn = if given.starts_with("arn:") { given.to_owned() } else { cluster_arn(asked.region, given) };
    view.members.retain(|member| member.arn != arn);
    view.members.iter_mut().for_each(|member| member.readers.retain(|reader| *reader != arn));
    "modifying".clone_into(&mut view.status);
    Ok(vec![shapes::global("GlobalCluster", &view)])
}

/// The Region of the member that the ARN names.
fn target(world: &World, asked: &Asked<'_>, id: &str) -> Result<failoverd_domain::ids::Region, Refusal> {
    let given = asked.params.required("TargetDbClusterIdentifier")?;
    let members = world.view_global(asked.region, id)?.members;
    let found = members.iter().any(|member| member.arn == given);
    parse_arn(given).filter(|_| found).map(|(region, _, _)| region).ok_or_else(|| not_found(given))
}

pub(super) fn switchover(world: &mut World, asked: &Asked<'_>) -> Inside {
    let id = global_id(asked)?;
    let to = target(world, asked, &id)?;
    world.switchover_cluster(asked.region, &id, &to)?;
    one_global(world, asked, &id)
}

pub(super) fn failover(world: &mut World, asked: &Asked<'_>) -> Inside {
    let id = global_id(asked)?;
    let to = target(world, asked, &id)?;
    match (asked.params.flag("AllowDataLoss")?, asked.params.flag("Switchover")?) {
        (true, true) => {
            let message = "AllowDataLoss and Switchover cannot be specified together.";
            return Err(Refusal::new("InvalidParameterCombination", message));
        }
        (true, false) => world.failover_cluster(asked.region, &id, &to)?,
        (false, _) => world.switchover_cluster(asked.region, &id, &to)?,
    }
    one_global(world, asked, &id)
}
