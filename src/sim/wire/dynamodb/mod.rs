//! DynamoDB: AWS JSON 1.0, version 20120810.

mod around;
mod decimal;
mod expression;
mod items;
mod legacy;
mod reading;
mod replicas;
mod shapes;
mod tables;
mod update;

use serde_json::Value;

use super::answer::Answer;
use super::api::Operation;
use super::request::WireRequest;
use crate::sim::world::{Refusal, World};

/// Data or control, and whether it changes something.
const OPERATIONS: [Operation; 21] = [
    Operation::change("CreateTable"),
    Operation::change("DeleteTable"),
    Operation::read("DescribeTable"),
    Operation::change("UpdateTable"),
    Operation::read("ListTables"),
    Operation::change("CreateGlobalTable"),
    Operation::read("DescribeGlobalTable"),
    Operation::read("ListGlobalTables"),
    Operation::read("DescribeTimeToLive"),
    Operation::change("UpdateTimeToLive"),
    Operation::read("DescribeContinuousBackups"),
    Operation::read("DescribeLimits"),
    Operation::change("TagResource"),
    Operation::change("UntagResource"),
    Operation::read("ListTagsOfResource"),
    Operation::change("PutItem").on_data(),
    Operation::read("GetItem").on_data(),
    Operation::change("UpdateItem").on_data(),
    Operation::change("DeleteItem").on_data(),
    Operation::read("Scan").on_data(),
    Operation::read("Query").on_data(),
];

pub(super) fn operation(request: &WireRequest) -> Result<Operation, Refusal> {
    let target = request.header("x-amz-target").unwrap_or_default();
    let name = target.strip_prefix("DynamoDB_20120810.").unwrap_or_default();
    OPERATIONS.into_iter().find(|operation| operation.name == name).ok_or_else(|| {
        Refusal::new("UnknownOperationException", format!("The simulated DynamoDB does not serve {target}."))
    })
}

pub(super) fn act(world: &mut World, request: &WireRequest, operation: Operation) -> Result<Answer, Refusal> {
    let asked: Value = serde_json::from_slice(&request.body)
        .map_err(|error| Refusal::new("SerializationException", format!("The request cannot be read: {error}.")))?;
    let region = &request.region;
    let answer = match operation.name {
        "CreateTable" => tables::create(world, region, &asked)?,
        "DeleteTable" => tables::delete(world, region, &asked)?,
        "DescribeTable" => tables::describe(world, region, &asked)?,
        "UpdateTable" => tables::update(world, region, &asked)?,
        "ListTables" => tables::list(world, region, &asked),
        "CreateGlobalTable" => legacy::create(world, region, &asked)?,
        "DescribeGlobalTable" => legacy::describe(world, region, &asked)?,
        "ListGlobalTables" => legacy::list(world, &asked),
        "DescribeTimeToLive" => around::time_to_live(world, region, &asked)?,
        "UpdateTimeToLive" => around::set_time_to_live(world, region, &asked)?,
        "DescribeContinuousBackups" => around::backups(world, region, &asked)?,
        "DescribeLimits" => around::limits(),
        "TagResource" => around::tag(world, region, &asked)?,
        "UntagResource" => around::untag(world, region, &asked)?,
        "ListTagsOfResource" => around::tags(world, region, &asked)?,
        "PutItem" => items::put(world, region, &asked)?,
        "GetItem" => items::get(world, region, &asked)?,
        "UpdateItem" => items::update(world, region, &asked)?,
        "DeleteItem" => items::delete(world, region, &asked)?,
        "Scan" => reading::scan(world, region, &asked)?,
        "Query" => reading::query(world, region, &asked)?,
        // Every operation of the table above is in this list.
        other => return Err(Refusal::new("UnknownOperationException", other)),
    };
    Ok(Answer::json(&answer))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationException", message)
}

/// A text that must be there.
fn need<'a>(asked: &'a Value, field: &str) -> Result<&'a str, Refusal> {
    asked[field].as_str().ok_or_else(|| {
        invalid(format!(
            "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

/// A table's name, or the name in its ARN.
fn table_name(asked: &Value) -> Result<&str, Refusal> {
    let given = need(asked, "TableName")?;
    Ok(given.rsplit_once(":table/").map_or(given, |(_, name)| name))
}
