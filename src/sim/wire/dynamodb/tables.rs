//! Tables: made, described, changed, deleted.

use failoverd_domain::ids::Region;
use failoverd_domain::service::KeyAttribute;
use serde_json::{Value, json};

use super::shapes::{self, TYPES};
use super::{invalid, need, replicas, table_name};
use crate::sim::world::{Billing, Refusal, TableWish, World};

const MOST_NAMES: usize = 100;

pub(super) fn describe(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    Ok(json!({ "Table": shapes::table(world, region, table_name(asked)?)? }))
}

fn description(world: &World, region: &Region, name: &str) -> Result<Value, Refusal> {
    Ok(json!({ "TableDescription": shapes::table(world, region, name)? }))
}

fn list_of<'a>(asked: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    asked[field].as_array().into_iter().flatten()
}

fn valid_name(name: &str) -> Result<&str, Refusal> {
    let is_fine = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    if (3..=255).contains(&name.len()) && name.chars().all(is_fine) {
        return Ok(name);
    }
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+ and have length between 3 and 255"
    )))
}

/// Key attributes with their types, partition key first.
fn keys(asked: &Value) -> Result<Vec<KeyAttribute>, Refusal> {
    let bad = |what: &str| invalid(format!("One or more parameter values were invalid: {what}"));
    if asked.get("GlobalSecondaryIndexes").is_some() || asked.get("LocalSecondaryIndexes").is_some() {
        return Err(bad("the simulated DynamoDB has no secondary indexes"));
    }
    let mut keys = Vec::new();
    for wanted in ["HASH", "RANGE"] {
        let Some(element) = list_of(asked, "KeySchema").find(|element| element["KeyType"] == wanted) else { continue };
        let name = need(element, "AttributeName")?;
        let defined = list_of(asked, "AttributeDefinitions").find(|definition| definition["AttributeName"] == name);
        let defined =
            defined.ok_or_else(|| bad("Some index key attributes are not defined in AttributeDefinitions."))?;
        let kind = TYPES.iter().find(|(word, _)| defined["AttributeType"] == *word).map(|(_, kind)| *kind);
        let kind = kind.ok_or_else(|| bad("AttributeType must be S, N or B"))?;
        keys.push(KeyAttribute { name: name.to_owned(), kind });
    }
    if list_of(asked, "KeySchema").next().is_none_or(|first| first["KeyType"] != "HASH") {
        return Err(invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type"));
    }
    if list_of(asked, "AttributeDefinitions").count() != keys.len() {
        let message = "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions";
        return Err(bad(message));
    }
    Ok(keys)
}

/// How it is to be paid for, if that is said.
fn billing(asked: &Value) -> Result<Option<Billing>, Refusal> {
    let units = |field: &str| asked["ProvisionedThroughput"][field].as_u64().filter(|units| *units > 0);
    let provisioned = units("ReadCapacityUnits").zip(units("WriteCapacityUnits"));
    match asked["BillingMode"].as_str() {
        Some("PAY_PER_REQUEST") if provisioned.is_some() => Err(invalid(
            "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
        Some("PAY_PER_REQUEST") => Ok(Some(Billing::OnDemand)),
        Some("PROVISIONED") if provisioned.is_none() => Err(invalid(
            "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )),
        _ => Ok(provisioned.map(|(read, write)| Billing::Provisioned { read, write })),
    }
}

/// What is said about streams: on, off, or nothing.
fn streams(asked: &Value) -> Result<Option<bool>, Refusal> {
    let Some(streams) = asked.get("StreamSpecification").filter(|streams| !streams.is_null()) else { return Ok(None) };
    match (streams["StreamEnabled"].as_bool(), streams["StreamViewType"].as_str()) {
        (Some(true), Some("NEW_AND_OLD_IMAGES")) => Ok(Some(true)),
        (Some(true), _) => Err(invalid("Only streams of NEW_AND_OLD_IMAGES are simulated: replicas need these.")),
        _ => Ok(Some(false)),
    }
}

pub(super) fn create(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let name = valid_name(table_name(asked)?)?;
    let billing = billing(asked)?.ok_or_else(|| {
        invalid("No provisioned throughput specified for the table, and BillingMode is not PAY_PER_REQUEST")
    })?;
    let tags = list_of(asked, "Tags").map(|tag| Ok((need(tag, "Key")?.to_owned(), need(tag, "Value")?.to_owned())));
    let wish = TableWish {
        keys: keys(asked)?,
        streams: streams(asked)? == Some(true),
        billing,
        tags: tags.collect::<Result<_, Refusal>>()?,
    };
    world.make_table_as(region, name, wish)?;
    description(world, region, name)
}

pub(super) fn delete(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let name = table_name(asked)?;
    world.delete_table(region, name)?;
    description(world, region, name)
}

/// One change in one call, as AWS has it.
pub(super) fn update(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let name = table_name(asked)?;
    world.describe_table(region, name)?;
    let (billing, streams) = (billing(asked)?, streams(asked)?);
    let has_replicas = replicas::are_in(asked);
    let changes = [billing.is_some(), streams.is_some(), has_replicas].into_iter().filter(|asked| *asked).count();
    if changes == 0 {
        return Err(invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required",
        ));
    }
    if changes > 1 {
        return Err(invalid(
            "One or more parameter values were invalid: only one of billing, stream and replicas can be changed in one call",
        ));
    }
    if let Some(billing) = billing {
        world.bill_table(region, name, billing)?;
    }
    match streams {
        Some(true) => world.enable_streams(region, name)?,
        Some(false) => world.disable_streams(region, name)?,
        None => {}
    }
    if has_replicas {
        replicas::update(world, region, name, asked)?;
    }
    description(world, region, name)
}

pub(super) fn list(world: &World, region: &Region, asked: &Value) -> Value {
    let most = asked["Limit"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(MOST_NAMES);
    let after = asked["ExclusiveStartTableName"].as_str().unwrap_or_default();
    let names: Vec<String> = world.table_names(region).into_iter().filter(|name| name.as_str() > after).collect();
    let page: Vec<&String> = names.iter().take(most.clamp(1, MOST_NAMES)).collect();
    let mut answer = json!({ "TableNames": page });
    if names.len() > page.len() {
        answer["LastEvaluatedTableName"] = json!(page.last());
    }
    answer
}
