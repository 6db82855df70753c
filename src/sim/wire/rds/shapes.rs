//! DB instances, snapshots, events and tags as the RDS API writes them.

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;

use super::xml::Xml;
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

pub(super) fn tags(xml: &mut Xml, tags: &BTreeMap<String, String>) {
    xml.within("TagList", |xml| {
        for (key, value) in tags {
            xml.within("Tag", |xml| {
                xml.text("Key", key);
                xml.text("Value", value);
            });
        }
    });
}

pub(super) fn groups(xml: &mut Xml, groups: &[String]) {
    xml.within("VpcSecurityGroups", |xml| {
        for group in groups {
            xml.within("VpcSecurityGroupMembership", |xml| {
                xml.text("VpcSecurityGroupId", group);
                // "Currently, the only valid status is active."
                xml.text("Status", "active");
            });
        }
    });
}

fn pending(xml: &mut Xml, pending: &PendingValues) {
    xml.within("PendingModifiedValues", |xml| {
        xml.maybe("DBInstanceClass", pending.class.as_ref());
        xml.maybe("BackupRetentionPeriod", pending.backup_days);
        xml.maybe("MultiAZ", pending.multi_az);
        xml.maybe("EngineVersion", pending.engine_version.as_ref());
        xml.maybe("DBInstanceIdentifier", pending.id.as_ref());
    });
}

pub(super) fn instance(xml: &mut Xml, instance: &InstanceView) {
    xml.within("DBInstance", |xml| {
        xml.text("DBInstanceIdentifier", &instance.id);
        xml.text("DBInstanceClass", &instance.class);
        xml.text("Engine", &instance.engine);
        xml.text("EngineVersion", &instance.engine_version);
        xml.text("DBInstanceStatus", instance.status);
        if has_endpoint(instance.status) {
            xml.within("Endpoint", |xml| {
                xml.text("Address", host(&instance.id, "", &instance.region));
                xml.text("Port", port(&instance.engine));
            });
            xml.text("InstanceCreateTime", instance.created);
        }
        xml.text("AllocatedStorage", instance.storage_gb);
        xml.text("BackupRetentionPeriod", instance.backup_days);
        groups(xml, &instance.groups);
        xml.text("AvailabilityZone", format!("{}a", instance.region));
        pending(xml, &instance.pending);
        xml.text("MultiAZ", instance.multi_az);
        xml.maybe("ReadReplicaSourceDBInstanceIdentifier", instance.source.as_ref());
        xml.within("ReadReplicaDBInstanceIdentifiers", |xml| {
            instance.replicas.iter().for_each(|replica| xml.text("ReadReplicaDBInstanceIdentifier", replica));
        });
        if let Some(replication) = &instance.replication {
            xml.within("StatusInfos", |xml| {
                xml.within("DBInstanceStatusInfo", |xml| {
                    xml.text("StatusType", "read replication");
                    xml.text("Normal", replication == "replicating");
                    xml.text("Status", replication);
                });
            });
        }
        xml.maybe("DBClusterIdentifier", instance.cluster.as_ref());
        if instance.cluster.is_some() {
            xml.text("PromotionTier", instance.promotion_tier);
        }
        xml.text("DbiResourceId", &instance.resource_id);
        xml.text("DBInstanceArn", &instance.arn);
        xml.text("DeletionProtection", instance.deletion_protection);
        tags(xml, &instance.tags);
    });
}

pub(super) fn snapshot(xml: &mut Xml, snapshot: &ClusterSnapshot, arn: &str) {
    xml.within("DBClusterSnapshot", |xml| {
        xml.text("DBClusterSnapshotIdentifier", &snapshot.id);
        xml.text("DBClusterIdentifier", &snapshot.cluster);
        xml.text("SnapshotCreateTime", snapshot.at);
        xml.text("Engine", &snapshot.engine);
        xml.text("EngineVersion", &snapshot.engine_version);
        xml.text("Status", "available");
        xml.text("SnapshotType", "automated");
        xml.text("PercentProgress", 100);
        xml.text("Port", port(&snapshot.engine));
        xml.text("DBClusterSnapshotArn", arn);
    });
}

pub(super) fn event(xml: &mut Xml, event: &RdsEvent) {
    xml.within("Event", |xml| {
        xml.text("SourceIdentifier", &event.source);
        xml.text("SourceType", event.source_type);
        xml.text("Message", &event.message);
        xml.within("EventCategories", |xml| {
            event.categories.iter().for_each(|category| xml.text("EventCategory", category));
        });
        xml.text("Date", event.at);
        xml.text("SourceArn", &event.arn);
    });
}
