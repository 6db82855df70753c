//! An Aurora global cluster's member in one Region.
//!
//! <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html>

use std::collections::BTreeMap;

use super::{Check, CopyCase, Fact, names};
use crate::data::store::{ClusterMember, GlobalCluster};
use crate::ids::Region;

pub(super) fn checks(case: &CopyCase<'_>, clusters: &BTreeMap<Region, String>, cluster: &GlobalCluster) -> Vec<Check> {
    let region = case.region;
    let Some(member) = cluster.members.get(region) else {
        let reason = format!(
            "{} has no cluster in {region}: add a secondary there (aws rds create-db-cluster --global-cluster-identifier {})",
            cluster.id, cluster.id
        );
        return vec![Check::not_ready(names::REPLICA_PRESENT, reason)];
    };
    let mut checks = vec![present(region, clusters.get(region), member), active(region, member)];
    if member.is_writer {
        return checks;
    }
    checks.push(headless(region, member));
    checks.push(version(cluster, member));
    checks.push(replication(cluster, member));
    checks.extend(class(case, member));
    checks
}

fn present(region: &Region, named: Option<&String>, member: &ClusterMember) -> Check {
    match named.filter(|named| **named != member.cluster) {
        None => Check::ready(names::REPLICA_PRESENT, format!("{} in {region}", member.cluster)),
        Some(named) => {
            let reason = format!(
                "the member in {region} is {}, the manifest says {named}: correct aurora.clusters",
                member.cluster
            );
            Check::not_ready(names::REPLICA_PRESENT, reason)
        }
    }
}

/// AWS's words for clusters that do not come back by themselves, and for what is not there yet or not any more
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/accessing-monitoring.html>).
fn is_unusable(status: &str) -> bool {
    let words =
        ["creating", "deleting", "stopped", "stopping", "starting", "failed", "cloning-failed", "restore-error"];
    words.contains(&status) || status.starts_with("inaccessible-") || status.starts_with("incompatible-")
}

fn active(region: &Region, member: &ClusterMember) -> Check {
    let said = |status: &str| format!("{} in {region} is {status}", member.cluster);
    match member.status.as_str() {
        // Nothing is said of a member whose own Region was not asked.
        "" | "available" => Check::ready(names::REPLICA_ACTIVE, said("available")),
        status if is_unusable(status) => Check::not_ready(names::REPLICA_ACTIVE, said(status)),
        status => Check::note(names::REPLICA_ACTIVE, said(status)),
    }
}

fn headless(region: &Region, member: &ClusterMember) -> Check {
    if member.instances == 0 {
        let reason = format!(
            "{} is headless: it has no instance to promote; add one in {region} (aws rds create-db-instance --db-cluster-identifier {})",
            member.cluster, member.cluster
        );
        return Check::not_ready(names::HEADLESS, reason);
    }
    Check::ready(names::HEADLESS, format!("{} has an instance to promote", member.cluster))
}

fn version(cluster: &GlobalCluster, member: &ClusterMember) -> Check {
    let differs = cluster.members.values().find(|other| minor(&other.engine_version) != minor(&member.engine_version));
    match differs {
        None => Check::ready(names::ENGINE_VERSION, format!("{} everywhere", member.engine_version)),
        Some(other) => {
            let reason = format!(
                "{} has engine version {}, {} has {}: they must be equal to the minor; upgrade the older one",
                member.cluster, member.engine_version, other.cluster, other.engine_version
            );
            Check::not_ready(names::ENGINE_VERSION, reason)
        }
    }
}

fn replication(cluster: &GlobalCluster, member: &ClusterMember) -> Check {
    let name = names::REPLICATION_HEALTHY;
    if !member.in_sync && cluster.writer().is_some() {
        return Check::not_ready(name, format!("{} has to be rebuilt first: AWS does that by itself", member.cluster));
    }
    match &cluster.moving_to {
        Some(to) => Check::note(name, format!("{} is {} to {to}", cluster.id, cluster.status)),
        None => Check::ready(name, format!("{} can go on with replication", member.cluster)),
    }
}

/// Compared with the writer, as its own Region told last. A smaller standby can be promoted; it may not carry the load.
fn class(case: &CopyCase<'_>, member: &ClusterMember) -> Option<Check> {
    let (source, serving) = case.sources().find_map(|(region, fact)| match fact {
        Some(Fact::Cluster(cluster)) => cluster.members.get(region).map(|member| (region, member)),
        _ => None,
    })?;
    if serving.instance_classes.is_empty() || member.instance_classes.is_empty() {
        return None;
    }
    let (own, theirs) = (member.instance_classes.join(", "), serving.instance_classes.join(", "));
    let missing = serving.instance_classes.iter().find(|class| !member.instance_classes.contains(class));
    Some(match missing {
        None => Check::ready(names::INSTANCE_CLASS, format!("{own}, as in {source}")),
        Some(_) => {
            let reason = format!(
                "{own} here, {theirs} in {source}: it can take over, and may not carry the load; make them equal"
            );
            Check::note(names::INSTANCE_CLASS, reason)
        }
    })
}

/// `16.4` of `16.4.2`: what must be equal for a promotion.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}
