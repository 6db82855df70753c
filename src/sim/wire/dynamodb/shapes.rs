//! How tables and replicas look in answers.

use failoverd_domain::data::store::{Consistency, ReplicaStatus, TableKind};
use failoverd_domain::ids::Region;
use failoverd_domain::service::KeyType;
use serde_json::{Value, json};

use crate::sim::world::{ACCOUNT, Billing, Refusal, World};

pub(super) const TYPES: [(&str, KeyType); 3] = [("S", KeyType::String), ("N", KeyType::Number), ("B", KeyType::Binary)];

pub(super) fn arn(region: &Region, table: &str) -> String {
    format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}")
}

pub(super) const fn status(status: ReplicaStatus) -> &'static str {
    match status {
        ReplicaStatus::Creating => "CREATING",
        ReplicaStatus::Active => "ACTIVE",
        ReplicaStatus::Deleting => "DELETING",
        ReplicaStatus::Inaccessible => "INACCESSIBLE_ENCRYPTION_CREDENTIALS",
        ReplicaStatus::RegionDisabled => "REGION_DISABLED",
        ReplicaStatus::Failed => "CREATION_FAILED",
    }
}

pub(super) fn type_word(kind: KeyType) -> &'static str {
    TYPES.iter().find(|(_, other)| *other == kind).map_or("S", |(word, _)| *word)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
pub(super) fn seconds(ms: u64) -> Value {
    json!(ms as f64 / 1_000.0)
}

/// The label of a stream: when it was switched on.
fn label(ms: u64) -> String {
    let instant = i64::try_from(ms).ok().and_then(chrono::DateTime::from_timestamp_millis).unwrap_or_default();
    instant.format("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

/// `TableDescription`.
pub(super) fn table(world: &World, region: &Region, name: &str) -> Result<Value, Refusal> {
    let found = world.describe_table(region, name)?;
    let about = world.table_details(region, name)?;
    let definitions: Vec<Value> = about
        .keys
        .iter()
        .map(|key| json!({ "AttributeName": key.name, "AttributeType": type_word(key.kind) }))
        .collect();
    let kinds = ["HASH", "RANGE"];
    let schema: Vec<Value> =
        about.keys.iter().zip(kinds).map(|(key, kind)| json!({ "AttributeName": key.name, "KeyType": kind })).collect();
    let (read, write) = match about.billing {
        Billing::OnDemand => (0, 0),
        Billing::Provisioned { read, write } => (read, write),
    };
    let mut table = json!({
        "TableName": name,
        "TableArn": arn(region, name),
        "TableId": format!("00000000-0000-4000-8000-{:012x}", about.number),
        "TableStatus": about.status,
        "CreationDateTime": seconds(about.created_ms),
        "AttributeDefinitions": definitions,
        "KeySchema": schema,
        "ProvisionedThroughput": { "ReadCapacityUnits": read, "WriteCapacityUnits": write, "NumberOfDecreasesToday": 0 },
        "ItemCount": about.size.0,
        "TableSizeBytes": about.size.1,
        "DeletionProtectionEnabled": false,
    });
    if about.billing == Billing::OnDemand {
        table["BillingModeSummary"] = json!({ "BillingMode": "PAY_PER_REQUEST" });
    }
    if let Some(since_ms) = about.streams_since_ms {
        let label = label(since_ms);
        table["StreamSpecification"] = json!({ "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" });
        table["LatestStreamArn"] = json!(format!("{}/stream/{label}", arn(region, name)));
        table["LatestStreamLabel"] = json!(label);
    }
    // A global table of 2017 is told by DescribeGlobalTable alone.
    if found.kind == TableKind::Global {
        let others = found.replicas.iter().filter(|(replica, _)| *replica != region);
        let replicas: Vec<Value> =
            others.map(|(replica, state)| json!({ "RegionName": replica, "ReplicaStatus": status(*state) })).collect();
        table["Replicas"] = Value::Array(replicas);
        table["GlobalTableVersion"] = json!("2019.11.21");
        let strong = found.consistency == Consistency::Strong;
        table["MultiRegionConsistency"] = json!(if strong { "STRONG" } else { "EVENTUAL" });
    }
    if let Some((witness, state)) = found.witness.as_ref().zip(about.witness) {
        table["GlobalTableWitnesses"] = json!([{ "RegionName": witness, "WitnessStatus": status(state) }]);
    }
    Ok(table)
}
