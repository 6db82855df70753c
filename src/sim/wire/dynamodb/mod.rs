//! DynamoDB: AWS JSON 1.0, version 20120810.

mod condition;
mod items;
mod tables;

use serde_json::Value;

use super::answer::{Answer, malformed, unknown_operation};
use super::api::Operation;
use super::request::WireRequest;
use crate::sim::world::{Refusal, World};

/// Data or control, and whether it changes something.
const OPERATIONS: [Operation; 12] = [
    Operation::change("CreateTable"),
    Operation::change("DeleteTable"),
    Operation::read("DescribeTable"),
    Operation::change("UpdateTable"),
    Operation::read("ListTables"),
    Operation::change("CreateGlobalTable"),
    Operation::read("DescribeGlobalTable"),
    Operation::read("ListGlobalTables"),
    Operation::change("PutItem").on_data(),
    Operation::read("GetItem").on_data(),
    Operation::change("DeleteItem").on_data(),
    Operation::read("Scan").on_data(),
];

pub(super) fn operation(request: &WireRequest) -> Result<Operation, Refusal> {
    let target = request.header("x-amz-target").unwrap_or_default();
    let name = target.rsplit('.').next().unwrap_or_default();
    OPERATIONS.into_iter().find(|operation| operation.name == name).ok_or_else(|| unknown_operation(target))
}

pub(super) fn act(world: &mut World, request: &WireRequest, operation: Operation) -> Result<Answer, Refusal> {
    let asked: Value = serde_json::from_slice(&request.body).map_err(malformed)?;
    let region = &request.region;
    let answer = match operation.name {
        "CreateTable" => tables::create(world, region, &asked)?,
        "DeleteTable" => tables::delete(world, region, &asked)?,
        "DescribeTable" => tables::describe(world, region, &asked)?,
        "UpdateTable" => tables::update(world, region, &asked)?,
        "ListTables" => tables::list(world, region, &asked),
        "CreateGlobalTable" => tables::create_global(world, region, &asked)?,
        "DescribeGlobalTable" => tables::describe_global(world, region, &asked)?,
        "ListGlobalTables" => tables::list_global(world, region),
        "PutItem" => items::put(world, region, &asked)?,
        "GetItem" => items::get(world, region, &asked)?,
        "DeleteItem" => items::delete(world, region, &asked)?,
        "Scan" => items::scan(world, region, &asked)?,
        other => return Err(unknown_operation(other)),
    };
    Ok(Answer::json(&answer))
}

/// A text that must be there.
fn need<'a>(asked: &'a Value, field: &str) -> Result<&'a str, Refusal> {
    asked[field].as_str().ok_or_else(|| {
        let message = format!(
            "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
        );
        Refusal::new("ValidationException", message)
    })
}
