//! CloudWatch, asked in three ways: RPC v2 in CBOR, AWS JSON 1.0, and the Query protocol of old. What is asked and what
//! is answered are the same trees; only the writing differs.

mod alarms;
mod asked;
mod data;
mod form;
mod statistics;
mod tree;

use std::borrow::Cow;
use std::io::Read;

use serde_json::{Value, json};

use super::answer::{Answer, Protocol};
use super::api::Operation;
use super::request::WireRequest;
use crate::sim::world::{Refusal, World};
use asked::Asked;

const OPERATIONS: [Operation; 8] = [
    Operation::read("GetMetricData").on_data(),
    Operation::read("GetMetricStatistics").on_data(),
    Operation::read("ListMetrics").on_data(),
    Operation::change("PutMetricData").on_data(),
    Operation::read("DescribeAlarms").on_data(),
    Operation::change("PutMetricAlarm"),
    Operation::change("DeleteAlarms"),
    Operation::change("SetAlarmState"),
];
/// Bytes of a body that came compressed.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

fn protocol(request: &WireRequest) -> Protocol {
    super::api::Api::Cloudwatch.protocol(request)
}

/// Of `/service/GraniteServiceVersion20100801/operation/NAME`, `X-Amz-Target: …NAME`, or `Action=NAME`.
fn name(request: &WireRequest) -> Result<String, Refusal> {
    Ok(match protocol(request) {
        Protocol::Cbor => request.segments().last().copied().unwrap_or_default().to_owned(),
        Protocol::Json => {
            request.header("x-amz-target").and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned()
        }
        _ => form::tree(request, &body(request)?)["Action"].as_str().unwrap_or_default().to_owned(),
    })
}

pub(super) fn operation(request: &WireRequest) -> Result<Operation, Refusal> {
    let name = name(request)?;
    OPERATIONS.into_iter().find(|operation| operation.name == name).ok_or_else(|| {
        let code = match protocol(request) {
            Protocol::Cbor | Protocol::Json => "UnknownOperationException",
            _ => "InvalidAction",
        };
        Refusal::new(code, format!("The simulated CloudWatch does not serve {name}."))
    })
}

fn unreadable(why: impl std::fmt::Display) -> Refusal {
    Refusal::new("SerializationException", format!("The request cannot be read: {why}."))
}

/// The SDKs compress long lists of data.
fn body(request: &WireRequest) -> Result<Cow<'_, [u8]>, Refusal> {
    if request.header("content-encoding") != Some("gzip") {
        return Ok(Cow::Borrowed(&request.body));
    }
    let mut plain = Vec::new();
    let unpacked = flate2::read::GzDecoder::new(request.body.as_ref()).take(MOST_BYTES).read_to_end(&mut plain);
    unpacked.map_err(unreadable)?;
    Ok(Cow::Owned(plain))
}

pub(super) fn act(world: &mut World, request: &WireRequest, operation: Operation) -> Result<Answer, Refusal> {
    let protocol = protocol(request);
    let body = body(request)?;
    let given: Value = match protocol {
        Protocol::Cbor => tree::from_cbor(&body).map_err(unreadable)?,
        Protocol::Json => serde_json::from_slice(&body).map_err(unreadable)?,
        _ => form::tree(request, &body),
    };
    let (region, asked) = (&request.region, Asked(&given));
    let answer = match operation.name {
        "GetMetricData" => data::get(world, region, asked)?,
        "GetMetricStatistics" => statistics::get(world, region, asked)?,
        "ListMetrics" => data::list(world, region, asked)?,
        "PutMetricData" => data::put(world, region, asked)?,
        "DescribeAlarms" => alarms::describe(world, region, asked)?,
        "PutMetricAlarm" => alarms::put(world, region, asked)?,
        "DeleteAlarms" => alarms::delete(world, region, asked)?,
        "SetAlarmState" => alarms::set(world, region, asked)?,
        // Every operation of the table above is in this list.
        other => return Err(Refusal::new("InvalidAction", other)),
    };
    Ok(match protocol {
        Protocol::Cbor => super::answer::cbor(&tree::to_cbor(&answer)),
        Protocol::Json => Answer::json(&tree::to_json(&answer)),
        _ => form::answer(operation.name, &answer),
    })
}

/// An instant in an answer: each way of writing marks it differently.
fn instant(ms: u64) -> Value {
    json!({ tree::INSTANT: ms })
}

/// A page of what there is, behind the one that the token names by its place, and the token of the next one.
fn page<'a, T>(all: &'a [T], token: Option<&str>, most: usize) -> Result<(&'a [T], Option<String>), Refusal> {
    let begin = match token {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .ok()
            .filter(|begin| *begin <= all.len())
            .ok_or_else(|| Refusal::new("InvalidNextToken", "The next token specified is invalid."))?,
    };
    let end = all.len().min(begin + most);
    Ok((&all[begin..end], (end < all.len()).then(|| end.to_string())))
}
