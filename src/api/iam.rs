//! The IAM policy for what is applied.

use std::collections::BTreeMap;
use std::time::Duration;

use failoverd_domain::iam::{Place, Subject, policy};
use failoverd_domain::service::ServiceSpec;

use super::snapshot::Snapshot;
use super::{Handles, proto};
use crate::ports::World;
use crate::survey::role_name;

/// Longest wait for AWS to say who we are, and for a zone's id.
const PATIENCE: Duration = Duration::from_secs(5);
/// Characters of a managed policy, white space left out
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
const MANAGED_POLICY_MAX: usize = 6_144;

/// The policy asked for, with what a person should know.
pub async fn answer(handles: &Handles, request: proto::GetIamPolicyRequest) -> proto::GetIamPolicyResponse {
    let at = handles.snapshot();
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let specs: Vec<&ServiceSpec> = at.state.services.values().map(|service| &*service.spec).collect();
    let role = given(request.role);
    let assumed = role.as_deref().filter(|role| specs.iter().any(|spec| spec.role_arn.as_deref() == Some(*role)));
    let acted_on: Vec<&ServiceSpec> =
        specs.iter().copied().filter(|spec| spec.role_arn.as_deref() == assumed).collect();
    let mut notes = Vec::new();
    let world = handles.world.acting_as(assumed);
    let mut place = place(&world, role.as_deref(), given(request.account), &mut notes).await;
    place.only = given(request.region).map(Into::into);
    place.zones = zones(&world, &acted_on, &mut notes).await;
    let drills: Vec<_> = at.state.drills.values().map(|drill| drill.spec.as_ref()).collect();
    let subject = Subject { acted_on: &acted_on, fleet: assumed.is_none().then_some(&specs), drills: &drills };
    let document = policy(&subject, &place);
    notes.extend(others(&at, assumed));
    let size = document.to_string().chars().count();
    if size > MANAGED_POLICY_MAX {
        notes.push(format!(
            "it has {size} characters, a managed policy may have {MANAGED_POLICY_MAX}: split it by its statements"
        ));
    }
    let policy = format!("{document:#}");
    proto::GetIamPolicyResponse { answered: Some(at.answered()), policy, notes }
}

/// Account, partition and role: as told, else as the role's ARN has them, else as AWS says who we are.
async fn place(world: &World, role: Option<&str>, account: Option<String>, notes: &mut Vec<String>) -> Place {
    let of_arn = role.filter(|role| role.starts_with("arn:")).map(|arn| {
        let part = |n: usize| arn.split(':').nth(n).unwrap_or_default().to_owned();
        (part(1), part(4), role_name(arn))
    });
    let known = match of_arn {
        Some(known) => Some(known),
        None => {
            let asked = tokio::time::timeout(PATIENCE, world.permissions.identity()).await;
            let identity = asked.ok().and_then(Result::ok);
            identity.map(|it| (it.partition.clone(), it.account.clone(), role_name(&it.arn)))
        }
    };
    if known.is_none() && account.is_none() {
        notes.push("AWS did not say which account this is: * stands in its place; give --account".to_owned());
    }
    let (partition, own_account, own_role) =
        known.unwrap_or_else(|| ("aws".to_owned(), "*".to_owned(), "failoverd".to_owned()));
    let named = role.filter(|role| !role.starts_with("arn:")).map(str::to_owned);
    Place {
        partition,
        account: account.unwrap_or(own_account),
        role: named.unwrap_or(own_role),
        zones: BTreeMap::new(),
        only: None,
    }
}

async fn zones(world: &World, specs: &[&ServiceSpec], notes: &mut Vec<String>) -> BTreeMap<String, String> {
    let mut names: Vec<&str> = specs.iter().map(|spec| spec.traffic.hosted_zone.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut known = BTreeMap::new();
    for name in names {
        match tokio::time::timeout(PATIENCE, world.records.zone(name)).await {
            Ok(Ok(zone)) => drop(known.insert(name.to_owned(), zone.id)),
            _ => notes.push(format!("the id of hosted zone {name} could not be read: * stands in its place")),
        }
    }
    known
}

/// Roles whose policies are still to be asked for.
fn others(at: &Snapshot, assumed: Option<&str>) -> Vec<String> {
    let mut roles: Vec<&str> =
        at.state.services.values().filter_map(|service| service.spec.role_arn.as_deref()).collect();
    roles.sort_unstable();
    roles.dedup();
    let open = roles.into_iter().filter(|role| assumed.is_none() && Some(*role) != assumed);
    open.map(|role| {
        format!("services are looked after as {role}: its policy is `failoverctl iam-policy --role {role}`")
    })
    .collect()
}
