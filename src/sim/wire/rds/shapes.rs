//! DB instances, snapshots, events and tags as the RDS API writes them.

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;

use super::super::time_text;
use super::super::xml::Xml;
use crate::sim::world::{ClusterSnapshot, InstanceView, PendingValues, RdsEvent};

/// The part of an endpoint's name that AWS gives an account in a Region.
const ACCOUNT_LABEL: &str = "c0ffeedb1234";

/// Every engine here is one of two families.
pub(super) fn port(engine: &str) -> u32 {
    if engine.contains("postgres") { 5432 } else { 3306 }
}

pub(super) fn host(id: &str, kind: &str, region: &Region) -> String {
    format!("{id}.{kind}{ACCOUNT_LABEL}.{region}.rds.amazonaws.com")
}

/// Whether something that is being made has a name that can be asked for.
pub(super) fn has_endpoint(status: &str) -> bool {
    status != "creating"
}

/// An element of one name for each value.
pub(super) fn each(name: &str, values: &[String]) -> Vec<Xml> {
    values.iter().map(|value| Xml::new(name).body(value)).collect()
}

pub(super) fn tags(tags: &BTreeMap<String, String>) -> Xml {
    let tag = |(key, value): (&String, &String)| Xml::new("Tag").text("Key", key).text("Value", value);
    Xml::new("TagList").children(tags.iter().map(tag))
}

pub(super) fn groups(groups: &[String]) -> Xml {
    // "Currently, the only valid status is active."
    let member = |group: &String| {
        Xml::new("VpcSecurityGroupMembership").text("VpcSecurityGroupId", group).text("Status", "active")
    };
    Xml::new("VpcSecurityGroups").children(groups.iter().map(member))
}

fn pending(pending: &PendingValues) -> Xml {
    Xml::new("PendingModifiedValues")
        .maybe("DBInstanceClass", pending.class.as_ref())
        .maybe("BackupRetentionPeriod", pending.backup_days)
        .maybe("MultiAZ", pending.multi_az)
        .maybe("EngineVersion", pending.engine_version.as_ref())
        .maybe("DBInstanceIdentifier", pending.id.as_ref())
}

pub(super) fn instance(instance: &InstanceView) -> Xml {
    let mut xml = Xml::new("DBInstance")
        .text("DBInstanceIdentifier", &instance.id)
        .text("DBInstanceClass", &instance.class)
        .text("Engine", &instance.engine)
        .text("EngineVersion", &instance.engine_version)
        .text("DBInstanceStatus", instance.status)
        .text("AllocatedStorage", instance.storage_gb)
        .text("BackupRetentionPeriod", instance.backup_days)
        .text("AvailabilityZone", format!("{}a", instance.region))
        .text("MultiAZ", instance.multi_az)
        .text("StorageEncrypted", false)
        .text("DbiResourceId", &instance.resource_id)
        .text("DBInstanceArn", &instance.arn)
        .text("DeletionProtection", instance.deletion_protection)
        .maybe("ReadReplicaSourceDBInstanceIdentifier", instance.source.as_ref())
        .list("ReadReplicaDBInstanceIdentifiers", each("ReadReplicaDBInstanceIdentifier", &instance.replicas))
        .maybe("DBClusterIdentifier", instance.cluster.as_ref())
        .child(groups(&instance.groups))
        .child(pending(&instance.pending))
        .child(tags(&instance.tags));
    if has_endpoint(instance.status) {
        let address = host(&instance.id, "", &instance.region);
        let endpoint = Xml::new("Endpoint").text("Address", address).text("Port", port(&instance.engine));
        xml = xml.child(endpoint).text("InstanceCreateTime", time_text(instance.created));
    }
    if let Some(replication) = &instance.replication {
        let info = Xml::new("DBInstanceStatusInfo")
            .text("StatusType", "read replication")
            .text("Normal", replication == "replicating")
            .text("Status", replication);
        xml = xml.list("StatusInfos", [info]);
    }
    if instance.cluster.is_some() {
        xml = xml.text("PromotionTier", instance.promotion_tier);
    }
    xml
}

pub(super) fn snapshot(snapshot: &ClusterSnapshot, arn: &str) -> Xml {
    Xml::new("DBClusterSnapshot")
        .text("DBClusterSnapshotIdentifier", &snapshot.id)
        .text("DBClusterIdentifier", &snapshot.cluster)
        .text("SnapshotCreateTime", time_text(snapshot.at))
        .text("Engine", &snapshot.engine)
        .text("EngineVersion", &snapshot.engine_version)
        .text("Status", "available")
        .text("SnapshotType", "automated")
        .text("PercentProgress", 100)
        .text("Port", port(&snapshot.engine))
        .text("DBClusterSnapshotArn", arn)
}

pub(super) fn event(event: &RdsEvent) -> Xml {
    let categories = event.categories.iter().map(|category| Xml::new("EventCategory").body(category));
    Xml::new("Event")
        .text("SourceIdentifier", &event.source)
        .text("SourceType", event.source_type)
        .text("Message", &event.message)
        .list("EventCategories", categories)
        .text("Date", time_text(event.at))
        .text("SourceArn", &event.arn)
}
