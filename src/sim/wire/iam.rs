//! IAM: roles that are asked about, and simulation of what they may do.

use failoverd_domain::ids::Region;

use super::answer::{Answer, unknown_operation};
use super::api::Operation;
use super::query::{Form, response};
use super::request::WireRequest;
use super::xml::Xml;
use crate::sim::world::{ACCOUNT, Refusal, World};

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

pub(super) fn operation(request: &WireRequest) -> Result<Operation, Refusal> {
    match Form::of(request).get("Action").unwrap_or_default() {
        "GetRole" => Ok(Operation::read("GetRole")),
        "SimulatePrincipalPolicy" => Ok(Operation::read("SimulatePrincipalPolicy")),
        other => Err(unknown_operation(other)),
    }
}

pub(super) fn act(world: &mut World, request: &WireRequest, operation: Operation) -> Result<Answer, Refusal> {
    let form = Form::of(request);
    if operation.name == "GetRole" {
        let name = form.need("RoleName")?.to_owned();
        return Ok(response(NAMESPACE, operation.name, |result| {
            let role = Xml::new("Role")
                .text("Path", "/")
                .text("RoleName", &name)
                .text("RoleId", "AROASIMULATED")
                .text("Arn", format!("arn:aws:iam::{ACCOUNT}:role/{name}"))
                .text("CreateDate", "2026-01-01T00:00:00Z");
            result.child(role)
        }));
    }
    form.need("PolicySourceArn")?;
    let caller: Option<Region> = request.caller();
    let resource = form.list("ResourceArns").first().copied().unwrap_or("*").to_owned();
    let results: Vec<Xml> = form
        .list("ActionNames")
        .into_iter()
        .map(|action| {
            let denied = caller.as_ref().is_some_and(|caller| world.faults.denies(caller, action));
            let decision = if denied { "explicitDeny" } else { "allowed" };
            Xml::new("member")
                .text("EvalActionName", action)
                .text("EvalResourceName", &resource)
                .text("EvalDecision", decision)
                .list("MatchedStatements", [])
                .list("MissingContextValues", [])
        })
        .collect();
    Ok(response(NAMESPACE, operation.name, |result| {
        result.list("EvaluationResults", results).text("IsTruncated", "false")
    }))
}
