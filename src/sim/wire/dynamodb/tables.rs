//! Tables, their replicas, and global tables of 2017.

use failoverd_domain::data::store::{Consistency, GlobalTable, ReplicaStatus, TableKind};
use failoverd_domain::ids::Region;
use failoverd_domain::service::{KeyAttribute, KeyType};
use serde_json::{Value, json};

use super::need;
use crate::sim::world::{ACCOUNT, Refusal, World};

fn arn(region: &Region, table: &str) -> String {
    format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}")
}

const fn status(status: ReplicaStatus) -> &'static str {
    match status {
        ReplicaStatus::Creating => "CREATING",
        ReplicaStatus::Active => "ACTIVE",
        ReplicaStatus::Deleting => "DELETING",
        ReplicaStatus::Inaccessible => "INACCESSIBLE_ENCRYPTION_CREDENTIALS",
        ReplicaStatus::RegionDisabled => "REGION_DISABLED",
        ReplicaStatus::Failed => "CREATION_FAILED",
    }
}

const TYPES: [(&str, KeyType); 3] = [("S", KeyType::String), ("N", KeyType::Number), ("B", KeyType::Binary)];

fn described(world: &World, region: &Region, found: &GlobalTable) -> Result<Value, Refusal> {
    let keys = world.table_keys(region, &found.table)?;
    let word = |kind: KeyType| TYPES.iter().find(|(_, other)| *other == kind).map_or("S", |(word, _)| *word);
    let definitions: Vec<Value> =
        keys.iter().map(|key| json!({ "AttributeName": key.name, "AttributeType": word(key.kind) })).collect();
    let schema: Vec<Value> = keys
        .iter()
        .zip(["HASH", "RANGE"])
        .map(|(key, kind)| json!({ "AttributeName": key.name, "KeyType": kind }))
        .collect();
    let own = found.replicas.get(region).copied().unwrap_or(ReplicaStatus::Active);
    let table_status = match own {
        ReplicaStatus::Active if !found.is_active => "UPDATING",
        other => status(other),
    };
    let mut table = json!({
        "TableName": found.table,
        "TableArn": arn(region, &found.table),
        "TableId": "00000000-0000-0000-0000-000000000000",
        "TableStatus": table_status,
        "CreationDateTime": 1_767_225_600.0,
        "AttributeDefinitions": definitions,
        "KeySchema": schema,
        "BillingModeSummary": { "BillingMode": "PAY_PER_REQUEST" },
        "ProvisionedThroughput": { "ReadCapacityUnits": 0, "WriteCapacityUnits": 0, "NumberOfDecreasesToday": 0 },
        "ItemCount": 0,
        "TableSizeBytes": 0,
        "DeletionProtectionEnabled": false,
    });
    if found.streams {
        table["StreamSpecification"] = json!({ "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" });
    }
    if found.kind == TableKind::Global {
        let others = found.replicas.iter().filter(|(replica, _)| *replica != region);
        let replicas: Vec<Value> =
            others.map(|(replica, state)| json!({ "RegionName": replica, "ReplicaStatus": status(*state) })).collect();
        table["Replicas"] = Value::Array(replicas);
        table["GlobalTableVersion"] = json!("2019.11.21");
        let strong = found.consistency == Consistency::Strong;
        table["MultiRegionConsistency"] = json!(if strong { "STRONG" } else { "EVENTUAL" });
        if let Some(witness) = &found.witness {
            table["GlobalTableWitnesses"] = json!([{ "RegionName": witness, "WitnessStatus": "ACTIVE" }]);
        }
    }
    Ok(table)
}

fn description(world: &World, region: &Region, name: &str) -> Result<Value, Refusal> {
    let found = world.describe_table(region, name)?;
    described(world, region, &found)
}

pub(super) fn describe(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    Ok(json!({ "Table": description(world, region, need(asked, "TableName")?)? }))
}

pub(super) fn create(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let name = need(asked, "TableName")?;
    let empty = Vec::new();
    let definitions = asked["AttributeDefinitions"].as_array().unwrap_or(&empty);
    let kind_of = |attribute: &str| {
        let defined = definitions.iter().find(|definition| definition["AttributeName"] == attribute)?;
        TYPES.iter().find(|(word, _)| defined["AttributeType"] == *word).map(|(_, kind)| *kind)
    };
    let mut keys = Vec::new();
    for wanted in ["HASH", "RANGE"] {
        let schema = asked["KeySchema"].as_array().unwrap_or(&empty);
        let Some(element) = schema.iter().find(|element| element["KeyType"] == wanted) else { continue };
        let attribute = need(element, "AttributeName")?;
        let kind = kind_of(attribute).ok_or_else(|| {
            let message = "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions.";
            Refusal::new("ValidationException", message)
        })?;
        keys.push(KeyAttribute { name: attribute.to_owned(), kind });
    }
    if keys.is_empty() {
        return Err(Refusal::new("ValidationException", "No Hash Key specified in schema."));
    }
    world.make_table_as(region, name, keys, has_streams(asked))?;
    Ok(json!({ "TableDescription": description(world, region, name)? }))
}

fn has_streams(asked: &Value) -> bool {
    let streams = &asked["StreamSpecification"];
    streams["StreamEnabled"] == true && streams["StreamViewType"] == "NEW_AND_OLD_IMAGES"
}

pub(super) fn delete(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let name = need(asked, "TableName")?;
    let mut gone = description(world, region, name)?;
    gone["TableStatus"] = json!("DELETING");
    world.delete_table(region, name)?;
    Ok(json!({ "TableDescription": gone }))
}

pub(super) fn update(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let name = need(asked, "TableName")?;
    if asked.get("StreamSpecification").is_some() {
        if !has_streams(asked) {
            return Err(Refusal::new("ValidationException", "Only streams of new and old images are simulated."));
        }
        world.enable_streams(region, name)?;
    }
    let updates = asked["ReplicaUpdates"].as_array().cloned().unwrap_or_default();
    if updates.len() > 1 {
        let message = "Only one replica can be created or deleted in one call.";
        return Err(Refusal::new("ValidationException", message));
    }
    for update in updates {
        if let Some(add) = update.get("Create") {
            world.add_replica(region, name, &need(add, "RegionName")?.into())?;
        } else if let Some(remove) = update.get("Delete") {
            world.remove_replica(region, name, &need(remove, "RegionName")?.into())?;
        }
    }
    Ok(json!({ "TableDescription": description(world, region, name)? }))
}

pub(super) fn list(world: &World, region: &Region, asked: &Value) -> Value {
    let most = asked["Limit"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(100).clamp(1, 100);
    let after = asked["ExclusiveStartTableName"].as_str().unwrap_or_default();
    let names: Vec<String> = world.table_names(region).into_iter().filter(|name| name.as_str() > after).collect();
    let page = names.iter().take(most).collect::<Vec<_>>();
    let mut answer = json!({ "TableNames": page });
    if names.len() > most {
        answer["LastEvaluatedTableName"] = json!(page.last());
    }
    answer
}

pub(super) fn create_global(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let name = need(asked, "GlobalTableName")?;
    let group = asked["ReplicationGroup"].as_array().cloned().unwrap_or_default();
    let regions: Vec<Region> =
        group.iter().filter_map(|replica| replica["RegionName"].as_str()).map(Region::from).collect();
    world.make_legacy_table(region, name, &regions)?;
    describe_global(world, region, asked)
}

pub(super) fn describe_global(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let name = need(asked, "GlobalTableName")?;
    let found = world.describe_table(region, name).ok().filter(|found| found.kind == TableKind::Legacy);
    let found = found.ok_or_else(|| {
        Refusal::new(
            "GlobalTableNotFoundException",
            format!("Global table not found: Global Table with Name {name} does not exist"),
        )
    })?;
    let group: Vec<Value> = found
        .replicas
        .iter()
        .map(|(region, state)| json!({ "RegionName": region, "ReplicaStatus": status(*state) }))
        .collect();
    Ok(json!({ "GlobalTableDescription": {
        "GlobalTableName": name,
        "GlobalTableArn": format!("arn:aws:dynamodb::{ACCOUNT}:global-table/{name}"),
        "GlobalTableStatus": "ACTIVE",
        "CreationDateTime": 1_767_225_600.0,
        "ReplicationGroup": group,
    } }))
}

pub(super) fn list_global(world: &World, region: &Region) -> Value {
    let legacy = |name: &String| world.describe_table(region, name).is_ok_and(|found| found.kind == TableKind::Legacy);
    let tables: Vec<Value> = world
        .table_names(region)
        .into_iter()
        .filter(legacy)
        .map(|name| json!({ "GlobalTableName": name, "ReplicationGroup": [] }))
        .collect();
    json!({ "GlobalTables": tables })
}
