//! Asks AWS about one service and turns the answers into checks: for the observer at its own pace, for `apply` at once.
//!
//! Only reads. Every answer that does not come is itself an answer: it becomes a check that says so.

mod answers;

use std::collections::BTreeMap;
use std::sync::Arc;

use failoverd_domain::fleet::{FleetState, ServiceState};
use failoverd_domain::health::readiness::{
    Check, Fact, NoAnswer, Room, check_quota, health_checks, permissions, record_quota, zone_found,
};
use failoverd_domain::iam::{Place, Subject, needs};
use failoverd_domain::ids::{Epoch, LogIndex, Region};
use failoverd_domain::route53::{HealthCheck, RecordSet};
use failoverd_domain::service::{Pattern, ServiceSpec, Store, StoreKind};
use failoverd_domain::traffic::{DesireProblem, Desired, FenceMark, Inputs, compare_checks, desired, preview};

pub use answers::{Answered, LOOK_LIMIT, ask_through, look_up, probes_through};

use crate::ports::{Action, Age, CallError, Quota, World, ZoneInfo};

/// Seconds, for plain values whose manifest names none.
const RECORD_TTL_S: u32 = 60;

/// What a call that failed leaves to say.
#[must_use]
pub fn no_answer(error: &CallError) -> NoAnswer {
    NoAnswer { code: error.code.clone(), words: error.to_string() }
}

/// Asks the copy's own Region about it.
///
/// # Errors
/// AWS's refusal, or silence.
pub async fn ask(world: &World, store: &Store, region: &Region) -> Result<Fact, NoAnswer> {
    let named = |names: &BTreeMap<Region, String>| names.get(region).cloned().unwrap_or_default();
    let said = match &store.kind {
        StoreKind::Aurora { global_cluster, .. } => {
            world.aurora.describe(region, global_cluster).await.map(Fact::Cluster)
        }
        StoreKind::Rds { instances, .. } => {
            world.instances.describe(region, &named(instances)).await.map(Fact::Instance)
        }
        StoreKind::Dynamodb { table, .. } => world.tables.describe(region, table).await.map(Fact::Table),
        StoreKind::S3 { buckets, .. } => world.buckets.describe(region, &named(buckets)).await.map(Fact::Bucket),
    };
    said.map_err(|error| no_answer(&error))
}

/// Where the service writes: its primary, or each Region of an active-active one.
#[must_use]
pub fn serving<'a>(spec: &'a ServiceSpec, primary: &'a Region) -> &'a [Region] {
    match spec.pattern {
        Pattern::ActivePassive => std::slice::from_ref(primary),
        Pattern::ActiveActive => &spec.regions,
    }
}

/// What should stand in Route 53 for a service, by the agreed state.
///
/// # Errors
/// What is still missing for that.
pub fn wanted(state: &FleetState, service: &ServiceState) -> Result<Desired, DesireProblem> {
    let members = state.members.iter().map(|(region, member)| (region.clone(), member.switch.clone())).collect();
    let group = service.spec.switch_group();
    let switch = state.switches.get(&group).ok_or(DesireProblem::NoSwitch(group))?;
    desired(&Inputs {
        fleet: &state.fleet,
        spec: &service.spec,
        spec_index: service.spec_index,
        primary: &service.primary,
        switch,
        members: &members,
        record_ttl_s: RECORD_TTL_S,
    })
}

/// A mark that no intent of this generation is newer than: for looking, never for writing.
#[must_use]
pub fn looking_mark(state: &FleetState, epoch: Epoch) -> FenceMark {
    FenceMark { fleet: state.fleet.clone(), generation: state.generation, epoch, index: LogIndex(u64::MAX) }
}

/// What Route 53 says around a service.
#[derive(Debug)]
pub struct Surroundings {
    /// Its zone.
    pub zone: Result<ZoneInfo, NoAnswer>,
    /// The record sets of the zone.
    pub records: Result<Arc<Vec<RecordSet>>, NoAnswer>,
    /// Health checks of the account.
    pub checks: Result<Arc<Vec<HealthCheck>>, NoAnswer>,
    /// How many there may be.
    pub quota: Result<Quota, NoAnswer>,
}

/// Reads the zone and the account's health checks.
pub async fn surroundings(world: &World, zone: &str, age: Age) -> Surroundings {
    let (found, records, checks, quota) = tokio::join!(
        world.records.zone(zone),
        world.records.list(zone, age),
        world.health_checks.list(age),
        world.health_checks.quota(),
    );
    Surroundings {
        zone: found.map_err(|error| no_answer(&error)),
        records: records.map_err(|error| no_answer(&error)),
        checks: checks.map_err(|error| no_answer(&error)),
        quota: quota.map_err(|error| no_answer(&error)),
    }
}

/// The checks of what surrounds a service: zone, health checks, quotas.
#[must_use]
pub fn traffic_checks(state: &FleetState, service: &ServiceState, around: &Surroundings) -> Vec<Check> {
    let zone = &service.spec.traffic.hosted_zone;
    let wanted =
        wanted(state, service).map_err(|problem| NoAnswer { code: "NotFormed".to_owned(), words: problem.to_string() });
    let mut checks = zone_found(zone, around.zone.as_ref().map(|zone| zone.id.as_str()));
    let (wanted, existing) = match (&wanted, &around.checks) {
        (Ok(wanted), Ok(existing)) => (wanted, existing),
        (Err(no), _) | (_, Err(no)) => {
            checks.extend(health_checks(Err(no), 0, false));
            return checks;
        }
    };
    let (missing, differing) = compare_checks(wanted, existing);
    checks.extend(health_checks(Ok((&missing, &differing)), wanted.checks.len(), service.is_settled()));
    let missing = u64::try_from(missing.len()).unwrap_or(u64::MAX);
    let room = around.quota.as_ref().map(|it| Room { used: it.used, limit: it.limit, wanted: missing });
    checks.push(check_quota(room));
    if let (Ok(info), Ok(records)) = (&around.zone, &around.records) {
        let mark = looking_mark(state, service.epoch);
        let added = preview(wanted, &mark, existing, records).added;
        let Quota { used, limit } = info.records;
        checks.push(record_quota(zone, Room { used, limit, wanted: added }));
    }
    checks
}

/// Has IAM simulate everything that the service needs of the role that `world` acts as.
pub async fn permission_check(world: &World, spec: &ServiceSpec, zone_id: Option<&str>) -> Check {
    let identity = match world.permissions.identity().await {
        Ok(identity) => identity,
        Err(error) => return permissions(0, Err(&no_answer(&error))),
    };
    let zones = zone_id.map(|id| (spec.traffic.hosted_zone.clone(), id.to_owned())).into_iter().collect();
    let (partition, account) = (identity.partition, identity.account);
    let place = Place { partition, account, role: role_name(&identity.arn), zones, only: None };
    let all = [spec];
    // Whoever acts as another role reads alarms and publishes figures as itself.
    let fleet = spec.role_arn.is_none().then_some(all.as_slice());
    let actions: Vec<Action> = needs(&Subject { acted_on: &all, fleet, drills: &[] }, &place)
        .into_iter()
        .filter(|(action, _)| !action.starts_with("iam:"))
        .map(|(name, resource)| Action { name, resource })
        .collect();
    let denied = world.permissions.denied(&actions).await;
    let denied = denied
        .map(|denied| denied.into_iter().map(|(action, _)| (action.name, action.resource)).collect::<Vec<_>>())
        .map_err(|error| no_answer(&error));
    permissions(actions.len(), denied.as_deref())
}

/// The role of `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`; anything else is no role, and gets failoverd's name.
#[must_use]
pub fn role_name(arn: &str) -> String {
    let last = arn.split(':').nth(5).unwrap_or_default();
    let assumed = last.strip_prefix("assumed-role/").and_then(|rest| rest.split('/').next());
    assumed.or_else(|| last.strip_prefix("role/")).unwrap_or("failoverd").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_by_its_role() {
        assert_eq!(role_name("arn:aws:sts::123456789012:assumed-role/prod-failoverd/us-east-1"), "prod-failoverd");
        assert_eq!(role_name("arn:aws:iam::123456789012:role/path/failoverd"), "path/failoverd");
        assert_eq!(role_name("arn:aws:iam::123456789012:user/me"), "failoverd");
    }
}
