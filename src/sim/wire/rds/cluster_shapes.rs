//! DB clusters and global clusters as the RDS API writes them.

use super::super::time_text;
use super::super::xml::Xml;
use super::shapes::{each, groups, has_endpoint, host, port, tags};
use crate::sim::world::{ClusterView, GlobalClusterView, GlobalMemberView, NodeView, global_arn};

/// `unknown` is what AWS says of a writer, which has nobody to forward to.
const fn forwarding(on: Option<bool>) -> &'static str {
    match on {
        None => "unknown",
        Some(true) => "enabled",
        Some(false) => "disabled",
    }
}

fn node(node: &NodeView) -> Xml {
    Xml::new("DBClusterMember")
        .text("DBInstanceIdentifier", &node.id)
        .text("IsClusterWriter", node.is_writer)
        .text("DBClusterParameterGroupStatus", "in-sync")
        .text("PromotionTier", node.tier)
}

pub(super) fn cluster(cluster: &ClusterView) -> Xml {
    let zones = ["a", "b", "c"].map(|zone| Xml::new("AvailabilityZone").body(format!("{}{zone}", cluster.region)));
    let mut xml = Xml::new("DBCluster")
        .text("DBClusterIdentifier", &cluster.id)
        .text("DBClusterArn", &cluster.arn)
        .text("DbClusterResourceId", resource_id(&cluster.arn))
        .text("Status", cluster.status)
        .text("Engine", &cluster.engine)
        .text("EngineVersion", &cluster.engine_version)
        .text("EngineMode", "provisioned")
        .text("Port", port(&cluster.engine))
        .text("MultiAZ", cluster.nodes.len() > 1)
        .text("StorageEncrypted", false)
        .text("BackupRetentionPeriod", cluster.backup_days)
        .text("ClusterCreateTime", time_text(cluster.created))
        .text("DeletionProtection", cluster.deletion_protection)
        .list("AvailabilityZones", zones)
        .maybe("ReplicationSourceIdentifier", cluster.source.as_ref())
        .list("ReadReplicaIdentifiers", each("ReadReplicaIdentifier", &cluster.readers))
        .list("DBClusterMembers", cluster.nodes.iter().map(node))
        .child(groups(&cluster.groups))
        .child(tags(&cluster.tags));
    if has_endpoint(cluster.status) {
        // A secondary has no endpoint that takes writes.
        let writes = cluster.source.is_none().then(|| host(&cluster.id, "cluster-", &cluster.region));
        let reads = host(&cluster.id, "cluster-ro-", &cluster.region);
        xml = xml.maybe("Endpoint", writes).text("ReaderEndpoint", reads);
    }
    if let Some(global) = &cluster.global {
        xml = xml
            .text("GlobalClusterIdentifier", global)
            .text("GlobalWriteForwardingStatus", forwarding(cluster.write_forwarding))
            .text("GlobalWriteForwardingRequested", cluster.write_forwarding.unwrap_or(false));
    }
    xml
}

/// `name`: in a list of global clusters AWS calls each of them a member.
pub(super) fn global(name: &str, global: &GlobalClusterView) -> Xml {
    let arn = global_arn(&global.id);
    let mut xml = Xml::new(name)
        .text("GlobalClusterIdentifier", &global.id)
        .text("GlobalClusterResourceId", resource_id(&arn))
        .text("GlobalClusterArn", arn)
        .text("Status", &global.status)
        .text("Engine", &global.engine)
        .text("EngineVersion", &global.engine_version)
        .maybe("DatabaseName", global.database.as_ref())
        .text("StorageEncrypted", false)
        .text("DeletionProtection", global.deletion_protection)
        .list("GlobalClusterMembers", global.members.iter().map(member))
        .child(tags(&global.tags));
    if let Some(moving) = &global.moving {
        let state = Xml::new("FailoverState")
            .text("Status", moving.status)
            .text("FromDbClusterArn", &moving.from)
            .text("ToDbClusterArn", &moving.to)
            .text("IsDataLossAllowed", moving.forced);
        xml = xml.child(state);
    }
    xml
}

fn member(member: &GlobalMemberView) -> Xml {
    Xml::new("GlobalClusterMember")
        .text("DBClusterArn", &member.arn)
        .text("IsWriter", member.is_writer)
        .list("Readers", each("member", &member.readers))
        .text("GlobalWriteForwardingStatus", forwarding(member.write_forwarding))
        .text("SynchronizationStatus", if member.in_sync { "connected" } else { "pending-resync" })
}

/// An identifier that stays as long as the ARN does (FNV-1a over it).
fn resource_id(arn: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("cluster-{:016X}", arn.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}
