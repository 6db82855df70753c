//! The next step towards what should stand in Route 53, from what was read of it.
//!
//! Pure and without memory: the settler does what comes out, reads again, and asks again, until nothing comes out. It
//! may be stopped between any two steps. Must never touch a record of another name than this service's, replace one that
//! is not ours, or write behind a newer writer's back.

use super::desired::{Desired, DesiredCheck};
use super::mark::FenceMark;
use super::naming::{is_canary_name, is_internal_name, wanted_reference};
use super::resolve::{Existing, can_become, follows_old_rule, same_config, same_record};
use crate::route53::{Change, CheckKind, HealthCheck, HealthCheckConfig, RecordSet, RecordType};

/// Seconds; nobody resolves the fence through a cache.
const FENCE_TTL_S: u32 = 60;

/// One thing to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettleAction {
    /// Create a health check. The same reference again gives the same check.
    CreateCheck {
        /// Caller reference.
        reference: String,
        /// What it does.
        config: HealthCheckConfig,
    },
    /// Change threshold, children, inversion or endpoint of a check, at the version that was read; or have Route 53 copy
    /// the rule of its alarm again.
    UpdateCheck {
        /// As it was read.
        check: HealthCheck,
        /// What it should do.
        config: HealthCheckConfig,
    },
    /// One batch, all or nothing, the fence among its changes.
    ChangeRecords {
        /// Deletes first.
        changes: Vec<Change>,
    },
    /// Delete a check of this service's that nothing needs or refers to any more.
    DeleteCheck {
        /// As it was read.
        check: HealthCheck,
    },
    /// A newer writer was here: stop, and find out what the fleet has agreed meanwhile. Stands alone.
    Refused {
        /// One sentence for people.
        reason: String,
    },
    /// This is not ours to replace: a person must look. Nothing else is done for the service.
    Foreign {
        /// Record name, or caller reference of a check.
        name: String,
        /// One sentence for people.
        reason: String,
    },
}

/// What to do next. `mark` is what this writer would leave in the fence: its index is the log index of the committed
/// intent to write. (To learn beforehand whether an intent is needed at all, ask with the newest applied index.)
/// `records` is the whole zone as it was read, or at least all of this service's names.
///
/// Checks are made in rounds, children first; records follow when every check exists; checks that are needed no more go
/// last, parents first. Empty: nothing is left to do.
#[must_use]
pub fn settle(desired: &Desired, mark: &FenceMark, checks: &[HealthCheck], records: &[RecordSet]) -> Vec<SettleAction> {
    let fence = match read_fence(desired, mark, records) {
        Ok(fence) => fence,
        Err(stop) => return vec![*stop],
    };
    let existing = Existing::new(checks);
    let zone = Zone { desired, records, fenced: fence.is_some() };
    let mut foreign = zone.foreign(&existing);
    foreign.extend(desired.checks.iter().filter_map(|wanted| foreign_check(wanted, &existing)));
    if !foreign.is_empty() {
        return foreign;
    }
    let mut actions: Vec<SettleAction> = desired.checks.iter().filter_map(|wanted| next(wanted, &existing)).collect();
    if let Some(changes) = zone.changes(&existing, mark, fence.as_ref()) {
        actions.push(SettleAction::ChangeRecords { changes });
    }
    if actions.is_empty() {
        actions.extend(obsolete(desired, checks, records).map(|check| SettleAction::DeleteCheck { check }));
    }
    actions
}

/// Checks of this service's own making that are wanted no more, and that no record of the zone and no check counts on.
fn obsolete<'a>(
    desired: &'a Desired,
    checks: &'a [HealthCheck],
    records: &'a [RecordSet],
) -> impl Iterator<Item = HealthCheck> + 'a {
    let is_ours = |check: &&HealthCheck| {
        let reference = &check.caller_reference;
        desired.own_references.iter().any(|own| reference.starts_with(own))
            && desired.checks.iter().all(|wanted| wanted.reference != wanted_reference(reference))
    };
    let is_free = |check: &&HealthCheck| {
        let counts = |other: &HealthCheck| match &other.config.kind {
            CheckKind::Calculated { children, .. } => children.contains(&check.id),
            _ => false,
        };
        !records.iter().any(|record| record.health_check.as_ref() == Some(&check.id)) && !checks.iter().any(counts)
    };
    checks.iter().filter(is_ours).filter(is_free).cloned()
}

/// The fence as it stands, with the record it was read from.
struct Fence<'a> {
    record: &'a RecordSet,
    mark: FenceMark,
}

fn read_fence<'a>(
    desired: &Desired,
    ours: &FenceMark,
    records: &'a [RecordSet],
) -> Result<Option<Fence<'a>>, Box<SettleAction>> {
    let name = desired.fence_name();
    let foreign = |reason: String| Box::new(SettleAction::Foreign { name: name.clone(), reason });
    let mut found = records.iter().filter(|record| record.name == name);
    let Some(record) = found.next() else { return Ok(None) };
    let [value] = record.values.as_slice() else {
        return Err(foreign("the fence should hold exactly one value".to_owned()));
    };
    if record.record_type != RecordType::Txt || record.set_identifier.is_some() || found.next().is_some() {
        return Err(foreign("another record stands where the fence should".to_owned()));
    }
    let mark: FenceMark = value.parse().map_err(|error: super::MarkError| foreign(error.to_string()))?;
    if mark.fleet != ours.fleet {
        return Err(foreign(format!("these records belong to fleet {}, not to {}", mark.fleet, ours.fleet)));
    }
    if mark.is_newer_than(ours) {
        let reason = format!("the zone was written by a newer intent ({mark}) than this one ({ours})");
        return Err(Box::new(SettleAction::Refused { reason }));
    }
    Ok(Some(Fence { record, mark }))
}

/// A check that stands under our reference but cannot become what we need.
fn foreign_check(wanted: &DesiredCheck, existing: &Existing<'_>) -> Option<SettleAction> {
    let check = existing.get(&wanted.reference)?;
    let config = existing.config(wanted)?;
    (!can_become(&check.config, &config)).then(|| SettleAction::Foreign {
        name: wanted.reference.clone(),
        reason: format!("health check {} has a type, protocol or interval that no update can change", check.id),
    })
}

/// The next thing to do for one check; nothing while it waits for its children.
fn next(wanted: &DesiredCheck, existing: &Existing<'_>) -> Option<SettleAction> {
    let config = existing.config(wanted)?;
    match existing.get(&wanted.reference) {
        None => Some(SettleAction::CreateCheck { reference: wanted.reference.clone(), config }),
        Some(check) if same_config(&check.config, &config) && !follows_old_rule(wanted, check) => None,
        Some(check) => Some(SettleAction::UpdateCheck { check: check.clone(), config }),
    }
}

/// The zone as it was read, and what of it is this service's.
struct Zone<'a> {
    desired: &'a Desired,
    records: &'a [RecordSet],
    /// Our own fence stands there.
    fenced: bool,
}

impl<'a> Zone<'a> {
    /// Every record at a name and type of this service, the fence left out.
    fn ours(&self) -> impl Iterator<Item = &'a RecordSet> {
        self.records.iter().filter(|record| self.is_public(record) || self.is_below(record))
    }

    fn is_public(&self, record: &RecordSet) -> bool {
        self.desired.public.iter().any(|(name, of)| *name == record.name && *of == record.record_type)
    }

    /// Internal or canary record, of whatever Region: a Region that left the manifest leaves its records behind.
    fn is_below(&self, record: &RecordSet) -> bool {
        match record.record_type {
            RecordType::Txt => is_canary_name(&record.name, &self.desired.service, &self.desired.zone),
            of => {
                self.desired.public.iter().any(|(name, public)| *public == of && (is_internal_name(&record.name, name)))
            }
        }
    }

    /// Records that we would have to replace and that are not ours; one line for each name.
    fn foreign(&self, existing: &Existing<'_>) -> Vec<SettleAction> {
        let mut found: Vec<(&str, &str)> = Vec::new();
        for record in self.records {
            if let Some(reason) = self.why_foreign(record, existing)
                && found.iter().all(|(name, _)| *name != record.name)
            {
                found.push((&record.name, reason));
            }
        }
        let action =
            |(name, reason): (&str, &str)| SettleAction::Foreign { name: name.to_owned(), reason: reason.to_owned() };
        found.into_iter().map(action).collect()
    }

    fn why_foreign(&self, record: &RecordSet, existing: &Existing<'_>) -> Option<&'static str> {
        if self.collides(record) {
            return Some("a CNAME cannot stand beside other records of its name, and failoverd needs the name");
        }
        if !(self.is_public(record) || self.is_below(record)) || self.stays(record, existing) {
            return None;
        }
        if self.is_public(record) && !self.is_two_level(record) {
            // Even under our fence: a person who overrides us in the console must not be undone behind their back.
            return Some(
                "the record was not made by failoverd (it is no alias to a record of its own); remove it or take it out of the manifest",
            );
        }
        (!self.fenced).then_some("the record looks like failoverd's, but no fence of this fleet stands beside it")
    }

    /// Whether a CNAME and something else would share a name.
    fn collides(&self, record: &RecordSet) -> bool {
        let cname = |of| of == RecordType::Cname;
        self.desired.public.iter().any(|(name, of)| *name == record.name && cname(*of) != cname(record.record_type))
    }

    /// A public record as failoverd makes them: an alias to one of its own internal records.
    fn is_two_level(&self, record: &RecordSet) -> bool {
        record.alias.as_ref().is_some_and(|alias| is_internal_name(&alias.dns_name, &record.name))
    }

    /// Whether the record is wanted exactly as it is.
    fn stays(&self, record: &RecordSet, existing: &Existing<'_>) -> bool {
        let mut wanted = self.desired.records.iter().filter(|wanted| wanted.record.name == record.name);
        wanted.any(|wanted| existing.record(wanted).is_some_and(|wanted| same_record(&wanted, record)))
    }

    /// The batch that makes the zone right; `None` when it is, or while a check is missing.
    fn changes(&self, existing: &Existing<'_>, mark: &FenceMark, fence: Option<&Fence<'_>>) -> Option<Vec<Change>> {
        let wanted: Option<Vec<RecordSet>> =
            self.desired.records.iter().map(|wanted| existing.record(wanted)).collect();
        let wanted = wanted?;
        let same = |a: &RecordSet, among: &[RecordSet]| among.iter().any(|b| same_record(a, b));
        let obsolete: Vec<&RecordSet> = self.ours().filter(|record| !same(record, &wanted)).collect();
        let missing: Vec<&RecordSet> = wanted.iter().filter(|record| !same(record, self.records)).collect();
        // An older mark still lets in whoever wrote for an older generation, epoch or manifest and is not heard of any
        // more: a call of theirs may be under way, exact about records that were put back meanwhile.
        let is_of_now = |of: &FenceMark| {
            of.generation == mark.generation && of.epoch == mark.epoch && of.index >= self.desired.since
        };
        let marked = fence.is_some_and(|fence| is_of_now(&fence.mark));
        if obsolete.is_empty() && missing.is_empty() && marked {
            return None;
        }
        let deletes = fence.map(|fence| fence.record).into_iter().chain(obsolete).cloned().map(Change::Delete);
        let creates = std::iter::once(self.fence_record(mark)).chain(missing.into_iter().cloned()).map(Change::Create);
        Some(deletes.chain(creates).collect())
    }

    fn fence_record(&self, mark: &FenceMark) -> RecordSet {
        RecordSet::simple(self.desired.fence_name(), RecordType::Txt, FENCE_TTL_S, vec![mark.to_string()])
    }
}
