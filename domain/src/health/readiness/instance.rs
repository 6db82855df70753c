//! An RDS instance, or its cross-Region read replica.
//!
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReadRepl.XRgn.html>

use std::collections::BTreeMap;

use super::{Check, CopyCase, Fact, names};
use crate::data::store::DbInstance;
use crate::ids::Region;

pub(super) fn checks(
    case: &CopyCase<'_>,
    instances: &BTreeMap<Region, String>,
    found: Option<&DbInstance>,
) -> Vec<Check> {
    let region = case.region;
    let named = instances.get(region).map_or("", String::as_str);
    let Some(instance) = found else {
        let reason = format!(
            "there is no instance {named} in {region}: make a cross-Region read replica of that name, or correct rds.instances"
        );
        return vec![Check::not_ready(names::REPLICA_PRESENT, reason)];
    };
    let mut checks =
        vec![Check::ready(names::REPLICA_PRESENT, format!("{} in {region}", instance.id)), active(region, instance)];
    if case.serves() {
        return checks;
    }
    checks.push(replication(case, instance));
    checks.push(backups(instance));
    let source = case.sources().find_map(|(region, fact)| match fact {
        Some(Fact::Instance(Some(source))) => Some((region, source)),
        _ => None,
    });
    if let Some((at, source)) = source {
        checks.push(class(at, source, instance));
        checks.push(version(at, source, instance));
    }
    checks
}

fn active(region: &Region, instance: &DbInstance) -> Check {
    let said = format!("{} in {region} is {}", instance.id, instance.status);
    if instance.is_available() {
        Check::ready(names::REPLICA_ACTIVE, said)
    } else {
        Check::not_ready(names::REPLICA_ACTIVE, format!("{said}: it can be promoted while it is available"))
    }
}

fn replication(case: &CopyCase<'_>, instance: &DbInstance) -> Check {
    let name = names::REPLICATION_HEALTHY;
    if let Some(problem) = &instance.replication_problem {
        return Check::not_ready(name, format!("{}: {problem}; see its events, or make the replica anew", instance.id));
    }
    match &instance.replica_of {
        Some(source) => Check::ready(name, format!("{} replicates from {source}", instance.id)),
        None => {
            let reason = format!(
                "{} in {} is no replica: it takes writes of its own and would take over with other data",
                instance.id, case.region
            );
            Check::not_ready(name, reason)
        }
    }
}

fn backups(instance: &DbInstance) -> Check {
    match instance.backup_days {
        0 => {
            let reason = format!(
                "{} keeps no backups: turn them on before it has to be promoted (aws rds modify-db-instance --db-instance-identifier {} --backup-retention-period 7)",
                instance.id, instance.id
            );
            Check::note(names::BACKUPS_ON, reason)
        }
        days => Check::ready(names::BACKUPS_ON, format!("{} keeps backups for {days} days", instance.id)),
    }
}

fn class(at: &Region, source: &DbInstance, instance: &DbInstance) -> Check {
    if source.class == instance.class {
        return Check::ready(names::INSTANCE_CLASS, format!("{}, as in {at}", instance.class));
    }
    let reason = format!(
        "{} here, {} in {at}: it can take over, and may not carry the load; make them equal",
        instance.class, source.class
    );
    Check::note(names::INSTANCE_CLASS, reason)
}

/// A replica of an older major cannot follow its source.
fn version(at: &Region, source: &DbInstance, instance: &DbInstance) -> Check {
    let major = |version: &str| version.split('.').next().unwrap_or_default().to_owned();
    let (own, theirs) = (&instance.engine_version, &source.engine_version);
    if own == theirs {
        return Check::ready(names::ENGINE_VERSION, format!("{own}, as in {at}"));
    }
    let said = format!("{own} here, {theirs} in {at}");
    if major(own) == major(theirs) {
        Check::note(names::ENGINE_VERSION, format!("{said}: upgrade the older one"))
    } else {
        Check::not_ready(names::ENGINE_VERSION, format!("{said}: the majors must be equal; upgrade the older one"))
    }
}
