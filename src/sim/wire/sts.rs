//! STS: who asks, and other roles.

use failoverd_domain::time::Timestamp;

use super::answer::{Answer, unknown_operation};
use super::api::Operation;
use super::query::{Form, response};
use super::request::WireRequest;
use super::xml::Xml;
use crate::sim::world::{ACCOUNT, Refusal, World};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const HOUR_MS: u64 = 3_600_000;

pub(super) fn operation(request: &WireRequest) -> Result<Operation, Refusal> {
    match Form::of(request).get("Action").unwrap_or_default() {
        "GetCallerIdentity" => Ok(Operation::read("GetCallerIdentity")),
        "AssumeRole" => Ok(Operation::read("AssumeRole")),
        other => Err(unknown_operation(other)),
    }
}

/// The ARN under which a key acts: a role assumed with it, the daemon's own role, or a user.
fn arn(access_key: &str) -> String {
    let mut parts = access_key.split('/');
    match (parts.next().and_then(|first| first.strip_prefix("failoverd.")), parts.next()) {
        (session, Some(role)) => {
            format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{}", session.unwrap_or("session"))
        }
        (Some(region), None) => format!("arn:aws:sts::{ACCOUNT}:assumed-role/failoverd/{region}"),
        (None, None) => format!("arn:aws:iam::{ACCOUNT}:user/{access_key}"),
    }
}

pub(super) fn act(world: &mut World, request: &WireRequest, operation: Operation) -> Result<Answer, Refusal> {
    let form = Form::of(request);
    if operation.name == "GetCallerIdentity" {
        let arn = arn(&request.access_key);
        return Ok(response(NAMESPACE, operation.name, |result| {
            result.text("Arn", arn).text("UserId", "AIDASIMULATED").text("Account", ACCOUNT)
        }));
    }
    let role_arn = form.need("RoleArn")?;
    let session = form.need("RoleSessionName")?;
    let role = role_arn.rsplit('/').next().unwrap_or_default();
    if !role_arn.starts_with("arn:aws") || !role_arn.contains(":role/") {
        let message = format!("{role_arn} is invalid");
        return Err(Refusal::new("ValidationError", message));
    }
    if world.faults.may_not_assume(role_arn) {
        let message = format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
            arn(&request.access_key)
        );
        return Err(Refusal::new("AccessDenied", message));
    }
    // Whoever assumes a role stays the caller that they are, for faults between Regions.
    let key = format!("{}/{role}", request.access_key.split('/').next().unwrap_or_default());
    let expires = Timestamp(world.now().0 + HOUR_MS);
    Ok(response(NAMESPACE, operation.name, |result| {
        let credentials = Xml::new("Credentials")
            .text("AccessKeyId", &key)
            .text("SecretAccessKey", "simulated")
            .text("SessionToken", "simulated")
            .text("Expiration", super::time_text(expires));
        let user = Xml::new("AssumedRoleUser")
            .text("AssumedRoleId", format!("AROASIMULATED:{session}"))
            .text("Arn", format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}"));
        result.child(credentials).child(user)
    }))
}
