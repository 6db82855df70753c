//! Operations around databases: snapshots, events, tags and what the account may have.

use failoverd_domain::time::Timestamp;

use super::super::xml::Xml;
use super::params::{Page, local_id};
use super::{Asked, Inside, shapes};
use crate::sim::world::{ACCOUNT, ClusterSnapshot, Refusal, World, cluster_arn};

pub(super) fn snapshots(world: &mut World, asked: &Asked<'_>) -> Inside {
    let params = &asked.params;
    let filters = params.filters(&["db-cluster-id", "db-cluster-snapshot-id", "snapshot-type", "engine"])?;
    let mut found = world.snapshot_views(asked.region);
    if let Some(given) = params.get("DBClusterIdentifier") {
        let id = local_id(given, "cluster", asked.region).unwrap_or_default();
        found.retain(|snapshot| snapshot.cluster == id);
    }
    if let Some(id) = params.get("DBClusterSnapshotIdentifier") {
        found.retain(|snapshot| snapshot.id == id || arn_of(asked, snapshot) == id);
        if found.is_empty() {
            let message = format!("DBClusterSnapshot {id} not found.");
            return Err(Refusal::new("DBClusterSnapshotNotFoundFault", message));
        }
    }
    // What a failover leaves behind is a system snapshot, which counts as automated.
    found.retain(|snapshot| {
        matches!(params.get("SnapshotType"), None | Some("automated"))
            && filters.pass("db-cluster-id", &[&snapshot.cluster, &cluster_arn(asked.region, &snapshot.cluster)])
            && filters.pass("db-cluster-snapshot-id", &[&snapshot.id])
            && filters.pass("snapshot-type", &["automated"])
            && filters.pass("engine", &[&snapshot.engine])
    });
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let page = Page::of(params, found, |snapshot| snapshot.id.clone())?;
    Ok(page.told("DBClusterSnapshots", |found| shapes::snapshot(found, &arn_of(asked, found))))
}

fn arn_of(asked: &Asked<'_>, snapshot: &ClusterSnapshot) -> String {
    format!("arn:aws:rds:{}:{ACCOUNT}:cluster-snapshot:{}", asked.region, snapshot.id)
}

/// The last hour, unless `Duration` or `StartTime` says otherwise.
pub(super) fn events(world: &mut World, asked: &Asked<'_>) -> Inside {
    let params = &asked.params;
    let (source, source_type) = (params.get("SourceIdentifier"), params.get("SourceType"));
    if source.is_some() && source_type.is_none() {
        let message = "SourceType must be specified if SourceIdentifier is specified.";
        return Err(Refusal::new("InvalidParameterCombination", message));
    }
    let minutes = u64::from(params.int("Duration")?.unwrap_or(60));
    let until = params.time("EndTime")?.unwrap_or_else(|| world.now());
    let from = params.time("StartTime")?.unwrap_or(Timestamp(until.0.saturating_sub(minutes * 60_000)));
    let categories = params.list("EventCategories");
    let fits = |event: &&crate::sim::world::RdsEvent| {
        source_type.is_none_or(|wanted| wanted == event.source_type)
            && source.is_none_or(|wanted| wanted.eq_ignore_ascii_case(&event.source))
            && (from..=until).contains(&event.at)
            && (categories.is_empty() || categories.iter().any(|wanted| event.categories.contains(&wanted.as_str())))
    };
    let found: Vec<_> = world.rds_events(asked.region).filter(fits).cloned().enumerate().collect();
    let page = Page::of(params, found, |(index, _)| format!("{index:012}"))?;
    Ok(page.told("Events", |(_, event)| shapes::event(event)))
}

pub(super) fn add_tags(world: &mut World, asked: &Asked<'_>) -> Inside {
    let arn = asked.params.required("ResourceName")?;
    let tags = asked.params.tags();
    world.rds_tags(asked.region, arn)?.extend(tags);
    world.note_rds_tags("AddTagsToResource", asked.region, arn);
    Ok(Vec::new())
}

pub(super) fn remove_tags(world: &mut World, asked: &Asked<'_>) -> Inside {
    let arn = asked.params.required("ResourceName")?;
    let keys = asked.params.list("TagKeys");
    world.rds_tags(asked.region, arn)?.retain(|key, _| !keys.contains(key));
    world.note_rds_tags("RemoveTagsFromResource", asked.region, arn);
    Ok(Vec::new())
}

pub(super) fn list_tags(world: &mut World, asked: &Asked<'_>) -> Inside {
    let arn = asked.params.required("ResourceName")?;
    Ok(vec![shapes::tags(world.rds_tags(asked.region, arn)?)])
}

/// AWS's defaults; nothing is refused for them, except more read replicas than 15.
pub(super) fn account_attributes(world: &mut World, asked: &Asked<'_>) -> Inside {
    let instances = world.instance_views(asked.region);
    let most_replicas = instances.iter().map(|instance| instance.replicas.len()).max().unwrap_or(0);
    let quotas = [
        ("DBInstances", instances.len(), 40),
        ("DBClusters", world.cluster_views(asked.region).len(), 40),
        ("ReadReplicasPerMaster", most_replicas, 15),
    ];
    let quota = |(name, used, most): (&str, usize, usize)| {
        Xml::new("AccountQuota").text("AccountQuotaName", name).text("Used", used).text("Max", most)
    };
    Ok(vec![Xml::new("AccountQuotas").children(quotas.map(quota))])
}
