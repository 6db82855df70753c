//! Who is sent elsewhere when a Region is down: worked out from the records that a service wants, so that it costs no call.

use std::collections::BTreeSet;

use super::believed::Believed;
use super::desired::{Desired, DesiredCheck, DesiredKind};
use crate::fleet::FleetState;
use crate::ids::{HealthCheckId, Region};
use crate::plan::{Movement, Plan};
use crate::route53::{
    CheckKind, HealthCheck, HealthCheckConfig, Place, Query, RecordSet, RecordType, answers, origins,
};

/// People of one place who are answered otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Public name.
    pub name: String,
    /// Its type.
    pub record_type: RecordType,
    /// `continent=EU`, `elsewhere`, `everywhere`.
    pub place: String,
    /// Regions that they are sent to now; several where weights leave it to chance.
    pub now: Vec<String>,
    /// Regions that they would be sent to.
    pub then: Vec<String>,
}

/// Whoever is sent elsewhere once the switches have followed: as if the Regions in `down` were down.
#[must_use]
pub fn shifts(desired: &Desired, state: &FleetState, down: &BTreeSet<Region>) -> Vec<Shift> {
    let checks: Vec<HealthCheck> = desired.checks.iter().map(stand_in).collect();
    let records: Vec<RecordSet> = desired
        .records
        .iter()
        .map(|wanted| RecordSet {
            health_check: wanted.check.as_deref().map(HealthCheckId::from),
            ..wanted.record.clone()
        })
        .collect();
    let nobody = BTreeSet::new();
    let (before, after) = (Believed::new(state, &checks, &nobody), Believed::new(state, &checks, down));
    let mut found = Vec::new();
    for (name, record_type) in &desired.public {
        for (place, from) in origins(&records, name, *record_type) {
            let regions = |believed: &Believed<'_>| regions(&records, believed, name, *record_type, &from);
            let (now, then) = (regions(&before), regions(&after));
            if now != then {
                found.push(Shift { name: name.clone(), record_type: *record_type, place, now, then });
            }
        }
    }
    found
}

/// Whoever is sent elsewhere by a plan.
#[must_use]
pub fn shifts_of(plan: &Plan, desired: &Desired, state: &FleetState) -> Vec<Shift> {
    if plan.movement != Movement::Restore {
        return shifts(desired, state, &BTreeSet::from([plan.from.clone()]));
    }
    // As it would be without the Region, told backwards.
    let mut with_it = state.clone();
    let group = state.services.get(&desired.service).map(|service| service.spec.switch_group());
    let switch = group.and_then(|group| with_it.switches.get_mut(&group));
    if let Some(bit) = switch.and_then(|switch| switch.bits.get_mut(&plan.to)) {
        bit.on = true;
    }
    let found = shifts(desired, &with_it, &BTreeSet::from([plan.to.clone()]));
    found.into_iter().map(|shift| Shift { now: shift.then, then: shift.now, ..shift }).collect()
}

/// The internal record that answers last carries its Region as set identifier.
fn regions(
    records: &[RecordSet],
    believed: &Believed<'_>,
    name: &str,
    record_type: RecordType,
    from: &Place,
) -> Vec<String> {
    let query = Query { name: name.to_owned(), record_type, from: from.clone(), draw: 0 };
    let found = answers(records, &|check| believed.is_healthy(check), &query);
    let mut regions: Vec<String> = found.into_iter().filter_map(|answer| answer.path.last().cloned()).collect();
    regions.sort();
    regions.dedup();
    regions
}

/// A check as it will be, by its caller reference instead of an id.
fn stand_in(wanted: &DesiredCheck) -> HealthCheck {
    let kind = match &wanted.kind {
        DesiredKind::Endpoint(endpoint) => CheckKind::Endpoint(endpoint.clone()),
        DesiredKind::Alarm { region, alarm } => CheckKind::Alarm { region: region.clone(), name: alarm.name.clone() },
        DesiredKind::Calculated { children, threshold } => CheckKind::Calculated {
            children: children.iter().map(|child| HealthCheckId::from(child.as_str())).collect(),
            threshold: *threshold,
        },
    };
    HealthCheck {
        id: HealthCheckId::from(wanted.reference.as_str()),
        version: 1,
        caller_reference: wanted.reference.clone(),
        config: HealthCheckConfig { kind, inverted: wanted.inverted, disabled: false },
        copied: None,
    }
}
