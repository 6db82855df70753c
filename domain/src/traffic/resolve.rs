//! From references to ids: what exists is found by its caller reference, whoever of the fleet made it.

use std::collections::BTreeMap;

use super::desired::{DesiredCheck, DesiredKind, DesiredRecord};
use super::naming::wanted_reference;
use crate::route53::{CheckKind, HealthCheck, HealthCheckConfig, RecordSet};

/// Existing checks by caller reference.
pub(super) struct Existing<'a>(BTreeMap<&'a str, &'a HealthCheck>);

impl<'a> Existing<'a> {
    pub(super) fn new(checks: &'a [HealthCheck]) -> Self {
        Self(checks.iter().map(|check| (wanted_reference(&check.caller_reference), check)).collect())
    }

    pub(super) fn get(&self, reference: &str) -> Option<&'a HealthCheck> {
        self.0.get(reference).copied()
    }

    /// The configuration with ids for references; `None` while a child does not exist yet.
    pub(super) fn config(&self, wanted: &DesiredCheck) -> Option<HealthCheckConfig> {
        let kind = match &wanted.kind {
            DesiredKind::Endpoint(endpoint) => CheckKind::Endpoint(endpoint.clone()),
            DesiredKind::Alarm { region, alarm } => {
                CheckKind::Alarm { region: region.clone(), name: alarm.name.clone() }
            }
            DesiredKind::Calculated { children, threshold } => {
                let children = children.iter().map(|child| self.get(child).map(|check| check.id.clone()));
                CheckKind::Calculated { children: children.collect::<Option<Vec<_>>>()?, threshold: *threshold }
            }
        };
        Some(HealthCheckConfig { kind, inverted: wanted.inverted, disabled: false })
    }

    /// The record with its check's id; `None` while the check does not exist yet.
    pub(super) fn record(&self, wanted: &DesiredRecord) -> Option<RecordSet> {
        let health_check = match &wanted.check {
            Some(reference) => Some(self.get(reference)?.id.clone()),
            None => None,
        };
        Some(RecordSet { health_check, ..wanted.record.clone() })
    }
}

/// Whether Route 53 follows the alarm by another rule than it should: it copied one that has been changed since. Where it
/// does not say, it is taken to be right: an update could change nothing that is known.
pub(super) fn follows_old_rule(wanted: &DesiredCheck, check: &HealthCheck) -> bool {
    match &wanted.kind {
        DesiredKind::Alarm { alarm, .. } => check.copied.as_ref().is_some_and(|copied| *copied != alarm.rule),
        DesiredKind::Endpoint(_) | DesiredKind::Calculated { .. } => false,
    }
}

/// Whether two configurations do the same; the order of children means nothing.
pub(super) fn same_config(a: &HealthCheckConfig, b: &HealthCheckConfig) -> bool {
    let same_kind = match (&a.kind, &b.kind) {
        (
            CheckKind::Calculated { children: a, threshold: of_a },
            CheckKind::Calculated { children: b, threshold: of_b },
        ) => {
            let sorted = |ids: &Vec<_>| {
                let mut ids = ids.clone();
                ids.sort();
                ids
            };
            of_a == of_b && sorted(a) == sorted(b)
        }
        (a, b) => a == b,
    };
    same_kind && a.inverted == b.inverted && a.disabled == b.disabled
}

/// Whether Route 53 can turn one configuration into the other: type, protocol, string matching and interval stay for
/// life (<https://docs.aws.amazon.com/Route53/latest/APIReference/API_UpdateHealthCheck.html> has no such fields).
pub(super) fn can_become(from: &HealthCheckConfig, to: &HealthCheckConfig) -> bool {
    match (&from.kind, &to.kind) {
        (CheckKind::Calculated { .. }, CheckKind::Calculated { .. })
        | (CheckKind::Alarm { .. }, CheckKind::Alarm { .. }) => true,
        (CheckKind::Endpoint(from), CheckKind::Endpoint(to)) => {
            from.protocol == to.protocol
                && from.search.is_some() == to.search.is_some()
                && from.interval_s == to.interval_s
        }
        _ => false,
    }
}

/// Whether two records answer the same; the order of values means nothing.
pub(super) fn same_record(a: &RecordSet, b: &RecordSet) -> bool {
    // A zone has thousands: most are told apart by their names.
    if a.name != b.name || a.record_type != b.record_type || a.set_identifier != b.set_identifier {
        return false;
    }
    let sorted = |record: &RecordSet| {
        let mut record = record.clone();
        record.values.sort();
        record
    };
    sorted(a) == sorted(b)
}
