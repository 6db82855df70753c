//! Items: any attributes, by their key; conditions on what is there.

use std::sync::Arc;

use failoverd_domain::ids::Region;
use failoverd_domain::service::KeyAttribute;
use serde_json::{Map, Value, json};

use super::decimal::Decimal;
use super::expression::{Names, holds, project, unreadable};
use super::shapes::type_word;
use super::{invalid, table_name, update};
use crate::sim::world::{Payload, Refusal, World, Written};

/// Where a canary's version stands.
const VERSION: &str = "version";
/// Bytes of an item.
const MOST_BYTES: usize = 400 * 1024;
const KINDS: [&str; 10] = ["S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"];

/// A value as DynamoDB keeps it: of one type, numbers without idle zeros.
fn checked(value: &Value) -> Result<Value, Refusal> {
    let typed = value.as_object().filter(|typed| typed.len() == 1).and_then(|typed| typed.iter().next());
    let (kind, inside) = typed.filter(|(kind, _)| KINDS.contains(&kind.as_str())).ok_or_else(|| {
        invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    })?;
    let number = |text: &Value| {
        let parsed = text.as_str().and_then(Decimal::parse).map(|number| json!(number.text()));
        parsed.ok_or_else(|| invalid("The parameter cannot be converted to a numeric value"))
    };
    let inside = match (kind.as_str(), inside) {
        ("S" | "B", Value::String(_)) | ("BOOL" | "NULL", Value::Bool(_)) => inside.clone(),
        ("N", text) => number(text)?,
        ("NS", Value::Array(numbers)) => numbers.iter().map(number).collect::<Result<_, _>>()?,
        ("SS" | "BS", Value::Array(_)) => inside.clone(),
        ("L", Value::Array(values)) => values.iter().map(checked).collect::<Result<_, _>>()?,
        ("M", Value::Object(fields)) => Value::Object(checked_all(fields)?),
        _ => return Err(Refusal::new("SerializationException", format!("A value of type {kind} has another form."))),
    };
    if kind.ends_with('S') && kind.len() == 2 && inside.as_array().is_some_and(Vec::is_empty) {
        return Err(invalid("One or more parameter values were invalid: An string set  may not be empty"));
    }
    Ok(json!({ kind: inside }))
}

fn checked_all(fields: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    fields.iter().map(|(name, value)| Ok((name.clone(), checked(value)?))).collect()
}

/// The key of an item as the world keeps it: a canary's is its bare text.
fn key_of(keys: &[KeyAttribute], item: &Map<String, Value>) -> Result<String, Refusal> {
    let bad = |what: String| invalid(format!("One or more parameter values were invalid: {what}"));
    let mut parts = Vec::new();
    for key in keys {
        let value = item.get(&key.name).ok_or_else(|| bad(format!("Missing the key {} in the item", key.name)))?;
        let wanted = type_word(key.kind);
        let found = value.as_object().and_then(|typed| typed.keys().next()).map_or("", String::as_str);
        let text = value
            .get(wanted)
            .and_then(Value::as_str)
            .ok_or_else(|| bad(format!("Type mismatch for key {} expected: {wanted} actual: {found}", key.name)))?;
        if text.is_empty() {
            let message = format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: {}",
                key.name
            );
            return Err(invalid(message));
        }
        parts.push(text.to_owned());
    }
    Ok(parts.join("\u{1f}"))
}

/// The key that a call names: the key attributes and nothing else.
fn named(world: &World, region: &Region, asked: &Value) -> Result<(String, Map<String, Value>), Refusal> {
    let keys = world.table_keys(region, table_name(asked)?)?;
    let given = asked["Key"].as_object().map(checked_all).transpose()?.unwrap_or_default();
    let fits = given.len() == keys.len() && keys.iter().all(|key| given.contains_key(&key.name));
    let key = key_of(&keys, &given).ok().filter(|_| fits);
    key.map(|key| (key, given)).ok_or_else(|| invalid("The provided key element does not match the schema"))
}

/// What is there: word for word, or the little that a canary is.
pub(super) fn item_of(keys: &[KeyAttribute], key: &str, written: &Written) -> Value {
    match &written.payload {
        Some(Payload::Item(item)) => serde_json::from_slice(item).unwrap_or(Value::Null),
        _ => {
            let name = keys.first().map_or("pk", |key| key.name.as_str());
            json!({ name: { "S": key }, VERSION: { "N": written.version.to_string() } })
        }
    }
}

fn current(world: &World, region: &Region, table: &str, key: &str) -> Result<Option<Value>, Refusal> {
    let keys = world.table_keys(region, table)?;
    Ok(world.item(region, table, key)?.map(|written| item_of(&keys, key, written)))
}

/// A write's condition, after everything else about the call is in order.
struct Check {
    fails: bool,
}

impl Check {
    fn of(asked: &Value, names: &Names<'_>, current: Option<&Value>) -> Result<Self, Refusal> {
        if asked.get("Expected").is_some() || asked.get("ConditionalOperator").is_some() {
            return Err(invalid("Expected is not simulated: use ConditionExpression"));
        }
        let Some(expression) = asked["ConditionExpression"].as_str() else { return Ok(Self { fails: false }) };
        let verdict = holds(expression, names, current).map_err(unreadable("ConditionExpression"))?;
        Ok(Self { fails: !verdict })
    }

    fn pass(self) -> Result<(), Refusal> {
        match self.fails {
            true => Err(Refusal::new("ConditionalCheckFailedException", "The conditional request failed")),
            false => Ok(()),
        }
    }
}

/// The version that orders writes of one instant: a canary's own, or one more than what was there.
fn write(world: &mut World, region: &Region, table: &str, key: &str, item: &Map<String, Value>) -> Result<(), Refusal> {
    let held = world.last_version(region, table, key)?;
    let own = item.get(VERSION).and_then(|version| version["N"].as_str()).and_then(|version| version.parse().ok());
    let bytes = Value::Object(item.clone()).to_string().into_bytes();
    if bytes.len() > MOST_BYTES {
        return Err(invalid("Item size has exceeded the maximum allowed size"));
    }
    world.put_item_as(region, table, key, own.unwrap_or(held + 1), Some(Payload::Item(Arc::from(bytes))))
}

/// `ReturnValues` of a call that can only give back what was there.
fn returned(asked: &Value, before: Option<Value>) -> Result<Value, Refusal> {
    match asked["ReturnValues"].as_str().unwrap_or("NONE") {
        "NONE" => Ok(json!({})),
        "ALL_OLD" => Ok(before.map_or_else(|| json!({}), |item| json!({ "Attributes": item }))),
        _ => Err(invalid("Return values set to invalid value")),
    }
}

pub(super) fn put(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let table = table_name(asked)?;
    let keys = world.table_keys(region, table)?;
    let item = asked["Item"].as_object().ok_or_else(|| invalid("Item is required"))?;
    let item = checked_all(item)?;
    let key = key_of(&keys, &item)?;
    let before = current(world, region, table, &key)?;
    let names = Names::of(asked);
    let check = Check::of(asked, &names, before.as_ref())?;
    names.all_used()?;
    let answer = returned(asked, before)?;
    check.pass()?;
    write(world, region, table, &key, &item)?;
    Ok(answer)
}

pub(super) fn get(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let table = table_name(asked)?;
    world.may_read(region, table, asked["ConsistentRead"] == true)?;
    let (key, _) = named(world, region, asked)?;
    let names = Names::of(asked);
    let found = current(world, region, table, &key)?;
    let projected = match asked["ProjectionExpression"].as_str() {
        // It is read whether or not there is an item.
        Some(expression) => {
            let whole = found.clone().unwrap_or_else(|| json!({}));
            let projected = project(expression, &names, &whole).map_err(unreadable("ProjectionExpression"))?;
            found.map(|_| projected)
        }
        None => found,
    };
    names.all_used()?;
    Ok(projected.map_or_else(|| json!({}), |item| json!({ "Item": item })))
}

/// What is deleted is written over by nothing, so that it replicates like any write.
pub(super) fn delete(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let table = table_name(asked)?;
    let (key, _) = named(world, region, asked)?;
    let before = current(world, region, table, &key)?;
    let names = Names::of(asked);
    let check = Check::of(asked, &names, before.as_ref())?;
    names.all_used()?;
    let was_there = before.is_some();
    let answer = returned(asked, before)?;
    check.pass()?;
    if was_there {
        let version = world.last_version(region, table, &key)? + 1;
        world.put_item_as(region, table, &key, version, Some(Payload::Gone))?;
    }
    Ok(answer)
}

pub(super) fn update(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let table = table_name(asked)?;
    let keys = world.table_keys(region, table)?;
    let (key, given) = named(world, region, asked)?;
    if asked.get("AttributeUpdates").is_some() {
        return Err(invalid("AttributeUpdates is not simulated: use UpdateExpression"));
    }
    let before = current(world, region, table, &key)?;
    let names = Names::of(asked);
    let check = Check::of(asked, &names, before.as_ref())?;
    let start = before.as_ref().and_then(Value::as_object).cloned().unwrap_or(given);
    let (after, touched) = match asked["UpdateExpression"].as_str() {
        Some(expression) => update::updated(expression, &names, &start).map_err(unreadable("UpdateExpression"))?,
        None => (start.clone(), Vec::new()),
    };
    names.all_used()?;
    if let Some(name) = keys.iter().map(|key| &key.name).find(|name| touched.contains(name)) {
        let message = format!(
            "One or more parameter values were invalid: Cannot update attribute {name}. This attribute is part of the key"
        );
        return Err(invalid(message));
    }
    let after = checked_all(&after)?;
    let some = |item: &Map<String, Value>| {
        let kept = item.iter().filter(|(name, _)| touched.contains(name));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>()
    };
    let shown = match asked["ReturnValues"].as_str().unwrap_or("NONE") {
        "NONE" => None,
        "ALL_OLD" => before.as_ref().and_then(Value::as_object).cloned(),
        "UPDATED_OLD" => Some(some(&start)),
        "ALL_NEW" => Some(after.clone()),
        "UPDATED_NEW" => Some(some(&after)),
        _ => return Err(invalid("Return values set to invalid value")),
    };
    check.pass()?;
    write(world, region, table, &key, &after)?;
    Ok(shown.filter(|shown| !shown.is_empty()).map_or_else(|| json!({}), |shown| json!({ "Attributes": shown })))
}
