//! DB clusters and global clusters as the RDS API writes them.

use super::shapes::{groups, has_endpoint, host, port, tags};
use super::xml::Xml;
use crate::sim::world::{ClusterView, GlobalClusterView, GlobalMemberView, global_arn};

/// `unknown` is what AWS says of a writer, which has nobody to forward to.
const fn forwarding(on: Option<bool>) -> &'static str {
    match on {
        None => "unknown",
        Some(true) => "enabled",
        Some(false) => "disabled",
    }
}

pub(super) fn cluster(xml: &mut Xml, cluster: &ClusterView) {
    xml.within("DBCluster", |xml| {
        xml.text("DBClusterIdentifier", &cluster.id);
        xml.text("DBClusterArn", &cluster.arn);
        xml.text("DbClusterResourceId", resource_id("cluster", &cluster.arn));
        xml.text("Status", cluster.status);
        xml.text("Engine", &cluster.engine);
        xml.text("EngineVersion", &cluster.engine_version);
        xml.text("EngineMode", "provisioned");
        if has_endpoint(cluster.status) {
            // A secondary has no endpoint that takes writes.
            if cluster.source.is_none() {
                xml.text("Endpoint", host(&cluster.id, "cluster-", &cluster.region));
            }
            xml.text("ReaderEndpoint", host(&cluster.id, "cluster-ro-", &cluster.region));
        }
        xml.text("Port", port(&cluster.engine));
        xml.text("MultiAZ", cluster.nodes.len() > 1);
        xml.text("BackupRetentionPeriod", cluster.backup_days);
        xml.within("AvailabilityZones", |xml| {
            ["a", "b", "c"].iter().for_each(|zone| xml.text("AvailabilityZone", format!("{}{zone}", cluster.region)));
        });
        xml.maybe("ReplicationSourceIdentifier", cluster.source.as_ref());
        xml.within("ReadReplicaIdentifiers", |xml| {
            cluster.readers.iter().for_each(|reader| xml.text("ReadReplicaIdentifier", reader));
        });
        xml.within("DBClusterMembers", |xml| {
            for node in &cluster.nodes {
                xml.within("DBClusterMember", |xml| {
                    xml.text("DBInstanceIdentifier", &node.id);
                    xml.text("IsClusterWriter", node.is_writer);
                    xml.text("DBClusterParameterGroupStatus", "in-sync");
                    xml.text("PromotionTier", node.tier);
                });
            }
        });
        groups(xml, &cluster.groups);
        xml.text("ClusterCreateTime", cluster.created);
        xml.text("DeletionProtection", cluster.deletion_protection);
        xml.maybe("GlobalClusterIdentifier", cluster.global.as_ref());
        if cluster.global.is_some() {
            xml.text("GlobalWriteForwardingStatus", forwarding(cluster.write_forwarding));
            xml.text("GlobalWriteForwardingRequested", cluster.write_forwarding.unwrap_or(false));
        }
        tags(xml, &cluster.tags);
    });
}

pub(super) fn global(xml: &mut Xml, global: &GlobalClusterView) {
    xml_global(xml, "GlobalCluster", global);
}

/// In a list of global clusters AWS calls each of them a member.
pub(super) fn listed_global(xml: &mut Xml, global: &GlobalClusterView) {
    xml_global(xml, "GlobalClusterMember", global);
}

fn xml_global(xml: &mut Xml, name: &str, global: &GlobalClusterView) {
    xml.within(name, |xml| {
        xml.text("GlobalClusterIdentifier", &global.id);
        xml.text("GlobalClusterArn", global_arn(&global.id));
        xml.text("GlobalClusterResourceId", resource_id("cluster", &global_arn(&global.id)));
        xml.text("Status", &global.status);
        xml.text("Engine", &global.engine);
        xml.text("EngineVersion", &global.engine_version);
        xml.maybe("DatabaseName", global.database.as_ref());
        xml.text("StorageEncrypted", false);
        xml.text("DeletionProtection", global.deletion_protection);
        xml.within("GlobalClusterMembers", |xml| global.members.iter().for_each(|found| member(xml, found)));
        if let Some(moving) = &global.moving {
            xml.within("FailoverState", |xml| {
                xml.text("Status", moving.status);
                xml.text("FromDbClusterArn", &moving.from);
                xml.text("ToDbClusterArn", &moving.to);
                xml.text("IsDataLossAllowed", moving.forced);
            });
        }
        tags(xml, &global.tags);
    });
}

fn member(xml: &mut Xml, member: &GlobalMemberView) {
    xml.within("GlobalClusterMember", |xml| {
        xml.text("DBClusterArn", &member.arn);
        xml.text("IsWriter", member.is_writer);
        xml.within("Readers", |xml| member.readers.iter().for_each(|reader| xml.text("member", reader)));
        xml.text("GlobalWriteForwardingStatus", forwarding(member.write_forwarding));
        xml.text("SynchronizationStatus", if member.in_sync { "connected" } else { "pending-resync" });
    });
}

/// An identifier that stays as long as the ARN does (FNV-1a over it).
fn resource_id(kind: &str, arn: &str) -> String {
    let hash = arn
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{kind}-{hash:016X}")
}
