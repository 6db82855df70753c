//! What lies around tables: time to live, tags, backups, limits.

use failoverd_domain::ids::Region;
use serde_json::{Value, json};

use super::shapes::arn;
use super::{invalid, need, table_name};
use crate::sim::world::{Refusal, World};

pub(super) fn time_to_live(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let about = world.table_details(region, table_name(asked)?)?;
    Ok(json!({ "TimeToLiveDescription": match about.ttl {
        Some(attribute) => json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": attribute }),
        None => json!({ "TimeToLiveStatus": "DISABLED" }),
    } }))
}

pub(super) fn set_time_to_live(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let wanted = &asked["TimeToLiveSpecification"];
    let attribute = need(wanted, "AttributeName")?.to_owned();
    let enabled = wanted["Enabled"].as_bool().ok_or_else(|| invalid("TimeToLiveSpecification needs Enabled"))?;
    world.set_ttl(region, table_name(asked)?, enabled.then_some(attribute))?;
    Ok(json!({ "TimeToLiveSpecification": wanted }))
}

/// Nobody can switch point-in-time recovery on here, so it is off.
pub(super) fn backups(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let name = table_name(asked)?;
    world
        .table_details(region, name)
        .map_err(|_| Refusal::new("TableNotFoundException", format!("Table not found: {name}")))?;
    Ok(json!({ "ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": { "PointInTimeRecoveryStatus": "DISABLED" },
    } }))
}

/// The defaults of an account; nothing here is held to them.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>
pub(super) fn limits() -> Value {
    json!({
        "AccountMaxReadCapacityUnits": 80_000,
        "AccountMaxWriteCapacityUnits": 80_000,
        "TableMaxReadCapacityUnits": 40_000,
        "TableMaxWriteCapacityUnits": 40_000,
    })
}

/// The table that an ARN of this Region names.
fn named<'a>(region: &Region, asked: &'a Value) -> Result<&'a str, Refusal> {
    let given = need(asked, "ResourceArn")?;
    let table = given.rsplit_once(":table/").map(|(_, table)| table).filter(|table| arn(region, table) == given);
    table.ok_or_else(|| {
        let message = format!("Access is denied: {given} is no table of this account in {region}");
        Refusal::new("AccessDeniedException", message)
    })
}

pub(super) fn tag(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let tags = asked["Tags"].as_array().into_iter().flatten();
    let tags = tags.map(|tag| Ok((need(tag, "Key")?.to_owned(), Some(need(tag, "Value")?.to_owned()))));
    let tags = tags.collect::<Result<Vec<_>, Refusal>>()?;
    world.tag_table(region, named(region, asked)?, &tags)?;
    Ok(json!({}))
}

pub(super) fn untag(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let keys = asked["TagKeys"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let tags: Vec<_> = keys.map(|key| (key.to_owned(), None)).collect();
    world.tag_table(region, named(region, asked)?, &tags)?;
    Ok(json!({}))
}

pub(super) fn tags(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let about = world.table_details(region, named(region, asked)?)?;
    let tags: Vec<Value> = about.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "Tags": tags }))
}
