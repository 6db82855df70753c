//! Quotas.

use super::super::answer::Answer;
use super::super::xml::Xml;
use super::document;
use crate::sim::world::{Refusal, World};

fn limit(kind: &str, value: u64) -> Xml {
    Xml::new("Limit").text("Type", kind).text("Value", value)
}

pub(super) fn account(world: &World, kind: &str) -> Result<Answer, Refusal> {
    let (used, most) = match kind {
        "MAX_HEALTH_CHECKS_BY_OWNER" => {
            let quota = world.check_quota();
            (quota.used, quota.limit)
        }
        "MAX_HOSTED_ZONES_BY_OWNER" => (u64::try_from(world.zones().count()).unwrap_or(u64::MAX), 500),
        other => return Err(Refusal::new("InvalidInput", format!("The limit {other} is not simulated."))),
    };
    Ok(Answer::xml(document("GetAccountLimitResponse").child(limit(kind, most)).text("Count", used)))
}

pub(super) fn zone(world: &World, id: &str, kind: &str) -> Result<Answer, Refusal> {
    let quota = world.zone_info(id)?.records;
    if kind != "MAX_RRSETS_BY_ZONE" {
        return Err(Refusal::new("InvalidInput", format!("The limit {kind} is not simulated.")));
    }
    Ok(Answer::xml(document("GetHostedZoneLimitResponse").child(limit(kind, quota.limit)).text("Count", quota.used)))
}
