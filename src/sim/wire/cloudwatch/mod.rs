//! CloudWatch, asked in three ways: RPC v2 in CBOR, AWS JSON 1.0, and the Query protocol of old. What is asked and what
//! is answered are the same trees; only the writing differs.

mod alarms;
mod data;
mod tree;

use serde_json::{Value, json};

use super::answer::{Answer, Protocol, malformed, unknown_operation};
use super::api::Operation;
use super::request::WireRequest;
use crate::sim::world::{Refusal, World};

const OPERATIONS: [Operation; 7] = [
    Operation::read("GetMetricData").on_data(),
    Operation::read("ListMetrics").on_data(),
    Operation::change("PutMetricData").on_data(),
    Operation::read("DescribeAlarms").on_data(),
    Operation::change("PutMetricAlarm"),
    Operation::change("DeleteAlarms"),
    Operation::change("SetAlarmState"),
];

fn protocol(request: &WireRequest) -> Protocol {
    super::api::Api::Cloudwatch.protocol(request)
}

/// Of `/service/GraniteServiceVersion20100801/operation/NAME`, `X-Amz-Target: …NAME`, or `Action=NAME`.
fn name(request: &WireRequest) -> String {
    match protocol(request) {
        Protocol::Cbor => request.segments().last().copied().unwrap_or_default().to_owned(),
        Protocol::Json => {
            request.header("x-amz-target").and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned()
        }
        _ => super::query::Form::of(request).get("Action").unwrap_or_default().to_owned(),
    }
}

pub(super) fn operation(request: &WireRequest) -> Result<Operation, Refusal> {
    let name = name(request);
    OPERATIONS.into_iter().find(|operation| operation.name == name).ok_or_else(|| unknown_operation(&name))
}

pub(super) fn act(world: &mut World, request: &WireRequest, operation: Operation) -> Result<Answer, Refusal> {
    let protocol = protocol(request);
    let asked: Value = match protocol {
        Protocol::Cbor => tree::from_cbor(&request.body).map_err(malformed)?,
        Protocol::Json => serde_json::from_slice(&request.body).map_err(malformed)?,
        _ => {
            return Err(Refusal::new(
                "InvalidAction",
                "The Query protocol of CloudWatch is not served: use a client that speaks CBOR or JSON.",
            ));
        }
    };
    let region = &request.region;
    let answer = match operation.name {
        "GetMetricData" => data::get(world, region, &asked)?,
        "ListMetrics" => data::list(world, region, &asked),
        "PutMetricData" => data::put(world, region, &asked)?,
        "DescribeAlarms" => alarms::describe(world, region, &asked),
        "PutMetricAlarm" => alarms::put(world, region, &asked)?,
        "DeleteAlarms" => alarms::delete(world, region, &asked),
        "SetAlarmState" => alarms::set(world, region, &asked)?,
        other => return Err(unknown_operation(other)),
    };
    Ok(match protocol {
        Protocol::Cbor => super::answer::cbor(&tree::to_cbor(&answer)),
        _ => Answer::json(&tree::to_json(&answer)),
    })
}

/// An instant in an answer: each way of writing marks it differently.
fn instant(ms: u64) -> Value {
    json!({ tree::INSTANT: ms })
}
