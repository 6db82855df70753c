//! A DynamoDB table's replica in one Region.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GlobalTables.html>

use super::{Check, CopyCase, names};
use crate::data::store::{Consistency, GlobalTable, ReplicaStatus, TableKind};
use crate::ids::Region;

/// Regions of a strongly consistent table: three replicas, or two and a witness.
const STRONG_REGIONS: usize = 3;

pub(super) fn checks(case: &CopyCase<'_>, ensured: bool, wanted: &[Region], table: &GlobalTable) -> Vec<Check> {
    let mut checks = replica(case.region, ensured, table);
    checks.push(kind(ensured, wanted, table));
    checks.push(streams(ensured, table));
    if table.consistency == Consistency::Strong {
        checks.push(strong(table));
    }
    checks
}

fn replica(region: &Region, ensured: bool, table: &GlobalTable) -> Vec<Check> {
    let name = &table.table;
    let Some(status) = table.replicas.get(region) else {
        let what = if ensured { "settlement adds it" } else { "add it, or say ensure_replicas: true" };
        return vec![Check::not_ready(names::REPLICA_PRESENT, format!("{name} has no replica in {region}: {what}"))];
    };
    let active = names::REPLICA_ACTIVE;
    let said = |is: &str| format!("the replica of {name} in {region} is {is}");
    let state = match status {
        ReplicaStatus::Active if table.is_active => Check::ready(active, said("ACTIVE")),
        ReplicaStatus::Active => Check::note(active, said("ACTIVE, and the table is being changed")),
        ReplicaStatus::Creating => Check::not_ready(active, said("CREATING: it can be used when AWS has filled it")),
        ReplicaStatus::Deleting => Check::not_ready(active, said("DELETING")),
        ReplicaStatus::Inaccessible => {
            Check::not_ready(active, said("INACCESSIBLE_ENCRYPTION_CREDENTIALS: give its KMS key back within 20 hours"))
        }
        ReplicaStatus::RegionDisabled => {
            Check::not_ready(active, said("REGION_DISABLED: enable the Region in the account"))
        }
        ReplicaStatus::Failed => Check::not_ready(active, said("CREATION_FAILED: remove it and let it be made again")),
    };
    vec![Check::ready(names::REPLICA_PRESENT, format!("{name} has a replica in {region}")), state]
}

fn kind(ensured: bool, wanted: &[Region], table: &GlobalTable) -> Check {
    let name = &table.table;
    match table.kind {
        TableKind::Global => Check::ready(names::TABLE_KIND, format!("{name} is a global table of version 2019.11.21")),
        TableKind::Single if wanted.len() > 1 && ensured => {
            Check::note(names::TABLE_KIND, format!("{name} is in one Region only: settlement adds the replicas"))
        }
        TableKind::Single => Check::ready(names::TABLE_KIND, format!("{name} is in one Region only")),
        TableKind::Legacy => {
            let reason = format!(
                "{name} is a global table of version 2017.11.29: no replica can be added to it; upgrade it to 2019.11.21 in DynamoDB's console (Global Tables, Update version)"
            );
            Check::note(names::TABLE_KIND, reason)
        }
    }
}

fn streams(ensured: bool, table: &GlobalTable) -> Check {
    let name = &table.table;
    match (table.streams, table.consistency) {
        (_, Consistency::Strong) => Check::ready(names::STREAMS_ON, format!("{name} replicates without streams")),
        (true, _) => Check::ready(names::STREAMS_ON, format!("{name} streams new and old images")),
        (false, _) => {
            let what = if ensured { "settlement turns them on" } else { "turn streams of new and old images on" };
            Check::note(names::STREAMS_ON, format!("{name} has no streams, so no replica can be added: {what}"))
        }
    }
}

fn strong(table: &GlobalTable) -> Check {
    let mut regions: Vec<&str> = table.replicas.keys().chain(&table.witness).map(Region::as_str).collect();
    regions.sort_unstable();
    regions.dedup();
    let said = format!("{} agrees in {}", table.table, regions.join(", "));
    if regions.len() != STRONG_REGIONS {
        let reason = format!("{said}: a strongly consistent table has three Regions, a witness among them or not");
        return Check::not_ready(names::MRSC_REGIONS, reason);
    }
    let set = |region: &&str| region.split('-').next().unwrap_or_default().to_owned();
    let sets: std::collections::BTreeSet<String> = regions.iter().map(set).collect();
    if sets.len() > 1 {
        return Check::not_ready(names::MRSC_REGIONS, format!("{said}: they must be in one set (US, EU or AP)"));
    }
    Check::ready(names::MRSC_REGIONS, said)
}
