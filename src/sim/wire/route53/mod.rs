//! Route 53's API, version 2013-04-01: REST with XML.

mod checks;
mod limits;
mod records;
mod tags;
mod testing;
mod zones;

use axum::http::Method;

use super::answer::{Answer, malformed, unknown_operation};
use super::api::Operation;
use super::request::WireRequest;
use super::xml::{Node, Xml};
use crate::sim::world::{Refusal, World};

const VERSION: &str = "2013-04-01";
const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// By method and path.
pub(super) fn operation(request: &WireRequest) -> Result<Operation, Refusal> {
    let segments = request.segments();
    let path = match segments.as_slice() {
        [version, rest @ ..] if *version == VERSION => rest,
        _ => return Err(unknown_operation(&request.path)),
    };
    Ok(match (request.method.as_str(), path) {
        ("GET", ["hostedzone"]) => Operation::read("ListHostedZones"),
        ("POST", ["hostedzone"]) => Operation::change("CreateHostedZone"),
        ("GET", ["hostedzonesbyname"]) => Operation::read("ListHostedZonesByName"),
        ("GET", ["hostedzone", _]) => Operation::read("GetHostedZone"),
        ("DELETE", ["hostedzone", _]) => Operation::change("DeleteHostedZone"),
        ("GET", ["hostedzone", _, "rrset"]) => Operation::read("ListResourceRecordSets"),
        ("POST", ["hostedzone", _, "rrset"]) => Operation::change("ChangeResourceRecordSets"),
        ("GET", ["testdnsanswer"]) => Operation::read("TestDNSAnswer"),
        ("GET", ["change", _]) => Operation::read("GetChange"),
        ("GET", ["healthcheck"]) => Operation::read("ListHealthChecks"),
        ("POST", ["healthcheck"]) => Operation::change("CreateHealthCheck"),
        ("GET", ["healthcheckcount"]) => Operation::read("GetHealthCheckCount"),
        ("GET", ["healthcheck", _]) => Operation::read("GetHealthCheck"),
        ("POST", ["healthcheck", _]) => Operation::change("UpdateHealthCheck"),
        ("DELETE", ["healthcheck", _]) => Operation::change("DeleteHealthCheck"),
        ("GET", ["healthcheck", _, "status"]) => Operation::read("GetHealthCheckStatus"),
        ("GET", ["accountlimit", _]) => Operation::read("GetAccountLimit"),
        ("GET", ["hostedzonelimit", _, _]) => Operation::read("GetHostedZoneLimit"),
        ("GET", ["tags", _, _]) => Operation::read("ListTagsForResource"),
        ("POST", ["tags", _, _]) => Operation::change("ChangeTagsForResource"),
        ("POST", ["tags", _]) => Operation::read("ListTagsForResources"),
        _ => return Err(unknown_operation(&format!("{} {}", request.method, request.path))),
    })
}

pub(super) fn act(world: &mut World, request: &WireRequest, operation: Operation) -> Result<Answer, Refusal> {
    let segments = request.segments();
    // What the path names: a zone, a check, a change, a limit.
    let named = segments.get(2).copied().unwrap_or_default();
    let body =
        if request.method == Method::POST { Node::read(&request.body).map_err(malformed)? } else { Node::default() };
    match operation.name {
        "ListHostedZones" | "ListHostedZonesByName" => Ok(zones::list(world, request, operation.name)),
        "CreateHostedZone" => zones::create(world, &body),
        "GetHostedZone" => zones::get(world, named),
        "DeleteHostedZone" => zones::delete(world, named),
        "ListResourceRecordSets" => zones::records(world, request, named),
        "ChangeResourceRecordSets" => zones::change(world, named, &body),
        "TestDNSAnswer" => testing::answer(world, request),
        "GetChange" => zones::change_status(world, named),
        "ListHealthChecks" => Ok(checks::list(world, request)),
        "CreateHealthCheck" => checks::create(world, &body),
        "GetHealthCheckCount" => Ok(checks::count(world)),
        "GetHealthCheck" => checks::get(world, named),
        "UpdateHealthCheck" => checks::update(world, named, &body),
        "DeleteHealthCheck" => checks::delete(world, named),
        "GetHealthCheckStatus" => checks::status(world, named),
        "GetAccountLimit" => limits::account(world, named),
        "GetHostedZoneLimit" => limits::zone(world, named, segments.get(3).copied().unwrap_or_default()),
        "ListTagsForResource" => Ok(tags::list(world, named, segments.get(3).copied().unwrap_or_default())),
        "ListTagsForResources" => Ok(tags::list_many(world, named, &body)),
        "ChangeTagsForResource" => {
            tags::change(world, named, segments.get(3).copied().unwrap_or_default(), &body);
            Ok(Answer::xml(document("ChangeTagsForResourceResponse")))
        }
        other => Err(unknown_operation(other)),
    }
}

fn document(name: &str) -> Xml {
    Xml::new(name).attribute("xmlns", NAMESPACE)
}

/// How many are on a page: at most `most`, and what was asked for.
fn page_size(request: &WireRequest, most: usize) -> usize {
    request.number("maxitems").unwrap_or(most).clamp(1, most)
}
