//! Items: any attributes, by their key; conditions on what is there.

use std::sync::Arc;

use failoverd_domain::ids::Region;
use serde_json::{Map, Value, json};

use super::condition::{Names, holds};
use super::need;
use crate::sim::world::{Refusal, World, Written};

/// Where a canary's version stands.
const VERSION: &str = "version";

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationException", message)
}

/// The key of an item as the world keeps it: a canary's is its bare text.
fn key_of(world: &World, region: &Region, table: &str, item: &Value) -> Result<String, Refusal> {
    let keys = world.table_keys(region, table)?;
    let mut parts = Vec::new();
    for key in &keys {
        let value = item.get(&key.name).and_then(Value::as_object).and_then(|typed| typed.values().next());
        let value = value.and_then(Value::as_str).ok_or_else(|| {
            invalid(format!("One or more parameter values were invalid: Missing the key {} in the item", key.name))
        })?;
        parts.push(value.to_owned());
    }
    Ok(parts.join("\u{1f}"))
}

/// What is there: word for word, or the little that a canary is.
fn item_of(world: &World, region: &Region, table: &str, key: &str, written: &Written) -> Result<Value, Refusal> {
    if let Some(payload) = &written.payload {
        return Ok(serde_json::from_slice(payload).unwrap_or(Value::Null));
    }
    let keys = world.table_keys(region, table)?;
    let name = keys.first().map_or("pk", |key| key.name.as_str());
    Ok(json!({ name: { "S": key }, VERSION: { "N": written.version.to_string() } }))
}

fn current(world: &World, region: &Region, table: &str, key: &str) -> Result<Option<Value>, Refusal> {
    let Some(written) = world.item(region, table, key)?.cloned() else { return Ok(None) };
    item_of(world, region, table, key, &written).map(Some).map(|item| item.filter(|item| !item.is_null()))
}

fn check(asked: &Value, current: Option<&Value>) -> Result<(), Refusal> {
    let Some(expression) = asked["ConditionExpression"].as_str() else { return Ok(()) };
    let nothing = Map::new();
    let names = Names {
        names: asked["ExpressionAttributeNames"].as_object().unwrap_or(&nothing),
        values: asked["ExpressionAttributeValues"].as_object().unwrap_or(&nothing),
    };
    match holds(expression, &names, current).map_err(|why| invalid(format!("Invalid ConditionExpression: {why}")))? {
        true => Ok(()),
        false => Err(Refusal::new("ConditionalCheckFailedException", "The conditional request failed")),
    }
}

pub(super) fn put(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let table = need(asked, "TableName")?;
    let item = &asked["Item"];
    let key = key_of(world, region, table, item)?;
    check(asked, current(world, region, table, &key)?.as_ref())?;
    write(world, region, table, &key, item)?;
    Ok(json!({}))
}

/// The version that orders writes of one instant: a canary's own, or one more than what is there.
fn write(world: &mut World, region: &Region, table: &str, key: &str, item: &Value) -> Result<(), Refusal> {
    let held = world.item(region, table, key)?.map_or(0, |written| written.version);
    let own = item[VERSION]["N"].as_str().and_then(|version| version.parse().ok());
    let payload: Arc<[u8]> = item.to_string().into_bytes().into();
    world.put_item_as(region, table, key, own.unwrap_or(held + 1), Some(payload))
}

pub(super) fn get(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let table = need(asked, "TableName")?;
    let key = key_of(world, region, table, &asked["Key"])?;
    Ok(match current(world, region, table, &key)? {
        Some(item) => json!({ "Item": item }),
        None => json!({}),
    })
}

/// What is deleted is written over by nothing, so that it replicates like any write.
pub(super) fn delete(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let table = need(asked, "TableName")?;
    let key = key_of(world, region, table, &asked["Key"])?;
    let there = current(world, region, table, &key)?;
    check(asked, there.as_ref())?;
    if there.is_some() {
        write(world, region, table, &key, &Value::Null)?;
    }
    Ok(json!({}))
}

pub(super) fn scan(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let table = need(asked, "TableName")?;
    let mut items = Vec::new();
    for (key, written) in world.items(region, table)? {
        let item = item_of(world, region, table, key, written)?;
        if !item.is_null() {
            items.push(item);
        }
    }
    let count = items.len();
    Ok(json!({ "Items": items, "Count": count, "ScannedCount": count }))
}
