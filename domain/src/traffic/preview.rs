//! What applying would change in Route 53, before anybody agrees to it.
//!
//! The same function that decides what settlement writes ([`settle`]) is asked again and again, against a copy of what
//! was read on which its answers are carried out: so a preview cannot promise anything else than what is done later.

use super::desired::{Desired, DesiredCheck, DesiredKind};
use super::mark::FenceMark;
use super::resolve::{Existing, follows_old_rule, same_config};
use super::settle::{SettleAction, settle};
use crate::ids::LogIndex;
use crate::route53::{Change, CheckKind, HealthCheck, HealthCheckConfig, Policy, Protocol, RecordSet, RecordType};

/// Rounds of children, parents, records; one that does not end by then does not end.
const MOST_ROUNDS: usize = 8;

/// What would be done to one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Made where there is none.
    Create,
    /// Changed in place.
    Update,
    /// Deleted and made anew in one atomic batch.
    Replace,
    /// Deleted.
    Delete,
}

impl Deed {
    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
        }
    }
}

/// One line of a preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What would be done.
    pub deed: Deed,
    /// To what: its kind, its name, and what tells it apart.
    pub resource: String,
    /// What it would be, in short.
    pub detail: String,
}

/// What applying would change in Route 53 for one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Line by line: checks in the order in which they would be made, then records.
    pub lines: Vec<Line>,
    /// Records of the zone that would be deleted or replaced, the fence left out.
    pub touched: Vec<RecordSet>,
    /// Record sets that the zone would have more of.
    pub added: u64,
    /// Health checks that would be made; each goes by its caller reference, having no id yet.
    pub new_checks: Vec<HealthCheck>,
    /// What stands in the way, by name, with the reason: nothing is written while it does.
    pub in_the_way: Vec<(String, String)>,
}

/// What settlement would do from what was read until nothing is left to do. The id of a check that is still to be made
/// is its caller reference.
#[must_use]
pub fn preview(desired: &Desired, mark: &FenceMark, checks: &[HealthCheck], records: &[RecordSet]) -> Preview {
    let mut seen = Preview::default();
    let (mut checks, mut records) = (checks.to_vec(), records.to_vec());
    // A manifest that changes no record renews the fence; that answers nobody differently.
    let desired = &Desired { since: LogIndex(0), ..desired.clone() };
    for _ in 0..MOST_ROUNDS {
        let actions = settle(desired, mark, &checks, &records);
        if actions.is_empty() {
            break;
        }
        for action in actions {
            match action {
                SettleAction::CreateCheck { reference, config } => {
                    seen.lines.push(check_line(Deed::Create, &reference, &config));
                    let id = reference.as_str().into();
                    let check = HealthCheck { id, version: 1, caller_reference: reference, config, copied: None };
                    seen.new_checks.push(check.clone());
                    checks.push(check);
                }
                SettleAction::UpdateCheck { check, config } => {
                    seen.lines.push(check_line(Deed::Update, &check.caller_reference, &config));
                    checks.iter_mut().filter(|held| held.id == check.id).for_each(|held| {
                        // The alarm's rule is copied anew.
                        (held.config, held.copied) = (config.clone(), None);
                    });
                }
                SettleAction::DeleteCheck { check } => {
                    seen.lines.push(check_line(Deed::Delete, &check.caller_reference, &check.config));
                    checks.retain(|held| held.id != check.id);
                }
                SettleAction::ChangeRecords { changes } => seen.note_records(desired, &changes, &mut records),
                SettleAction::Foreign { name, reason } => seen.in_the_way.push((name, reason)),
                SettleAction::Refused { reason } => seen.in_the_way.push((desired.fence_name(), reason)),
            }
        }
        if !seen.in_the_way.is_empty() {
            break;
        }
    }
    seen
}

impl Preview {
    fn note_records(&mut self, desired: &Desired, changes: &[Change], records: &mut Vec<RecordSet>) {
        let fence = desired.fence_name();
        let is_same = |a: &RecordSet, b: &RecordSet| {
            a.name == b.name && a.record_type == b.record_type && a.set_identifier == b.set_identifier
        };
        let created = || {
            changes.iter().filter_map(|change| if let Change::Create(record) = change { Some(record) } else { None })
        };
        let deleted = || {
            changes.iter().filter_map(|change| if let Change::Delete(record) = change { Some(record) } else { None })
        };
        for record in deleted() {
            records.retain(|held| held != record);
            if record.name == fence {
                continue;
            }
            self.touched.push(record.clone());
            if !created().any(|new| is_same(new, record)) {
                self.lines.push(record_line(Deed::Delete, record));
            }
        }
        for record in created() {
            records.push(record.clone());
            let old = deleted().find(|old| is_same(old, record));
            self.added += u64::from(old.is_none());
            self.lines.push(record_line(if old.is_some() { Deed::Replace } else { Deed::Create }, record));
        }
    }
}

fn is_fence(record: &RecordSet) -> bool {
    record.record_type == RecordType::Txt && record.values.iter().any(|value| value.parse::<FenceMark>().is_ok())
}

/// How much of a zone would be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Existing records that would be deleted or replaced.
    pub touched: usize,
    /// Existing records, SOA, NS and the fences of failoverd left out.
    pub existing: usize,
}

/// From here on a person has to name the zone: the share of its existing records, in percent.
pub const MOST_TOUCHED_PERCENT: usize = 30;

impl Share {
    /// How much of the zone `touched` is, each record counted once.
    #[must_use]
    pub fn of(touched: &[RecordSet], zone: &[RecordSet]) -> Self {
        let counts =
            |record: &&RecordSet| !matches!(record.record_type, RecordType::Soa | RecordType::Ns) && !is_fence(record);
        let existing: Vec<&RecordSet> = zone.iter().filter(counts).collect();
        let touched = existing.iter().filter(|record| touched.contains(record)).count();
        Self { touched, existing: existing.len() }
    }

    /// Whether it is more than may be touched without naming the zone.
    #[must_use]
    pub const fn is_large(self) -> bool {
        self.touched * 100 > self.existing * MOST_TOUCHED_PERCENT
    }
}

/// The checks that a service needs and that do not exist, and those that ask something else than they should, each by
/// caller reference.
#[must_use]
pub fn compare_checks(desired: &Desired, existing: &[HealthCheck]) -> (Vec<String>, Vec<String>) {
    let existing = Existing::new(existing);
    let (mut missing, mut differing) = (Vec::new(), Vec::new());
    for wanted in &desired.checks {
        match existing.get(&wanted.reference) {
            None => missing.push(wanted.reference.clone()),
            Some(check) if !is_as_wanted(wanted, check, &existing) => differing.push(wanted.reference.clone()),
            Some(_) => {}
        }
    }
    (missing, differing)
}

/// A vote over children of which one is missing cannot be as it should be either, but that is told of the child.
fn is_as_wanted(wanted: &DesiredCheck, check: &HealthCheck, existing: &Existing<'_>) -> bool {
    if let (DesiredKind::Calculated { threshold, .. }, CheckKind::Calculated { threshold: held, .. }) =
        (&wanted.kind, &check.config.kind)
        && existing.config(wanted).is_none()
    {
        return threshold == held;
    }
    existing.config(wanted).is_none_or(|config| same_config(&config, &check.config)) && !follows_old_rule(wanted, check)
}

fn check_line(deed: Deed, reference: &str, config: &HealthCheckConfig) -> Line {
    let inverted = if config.inverted { ", inverted" } else { "" };
    let detail = match &config.kind {
        CheckKind::Endpoint(asked) => {
            let scheme = match asked.protocol {
                Protocol::Http => "http",
                Protocol::Https => "https",
                Protocol::Tcp => "tcp",
            };
            // The path of a switch's check is a secret of the fleet's: it is never shown.
            let path = if asked.search.is_some() { "/…" } else { asked.path.as_str() };
            let search = asked.search.as_ref().map_or_else(String::new, |text| format!(" for {text}"));
            format!("{scheme}://{}:{}{path} every {} s{search}{inverted}", asked.host, asked.port, asked.interval_s)
        }
        CheckKind::Calculated { children, threshold } => {
            format!("healthy when {threshold} of {} others are{inverted}", children.len())
        }
        CheckKind::Alarm { region, name } => format!("alarm {name} in {region}{inverted}"),
        CheckKind::Other(word) => word.clone(),
    };
    Line { deed, resource: format!("health-check {reference}"), detail }
}

fn record_line(deed: Deed, record: &RecordSet) -> Line {
    let set = record.set_identifier.as_ref().map_or_else(String::new, |set| format!(" \"{set}\""));
    let policy = match &record.policy {
        Policy::Simple => String::new(),
        Policy::Failover { primary: true } => "failover PRIMARY, ".to_owned(),
        Policy::Failover { primary: false } => "failover SECONDARY, ".to_owned(),
        Policy::Weighted(weight) => format!("weight {weight}, "),
        Policy::Latency(region) => format!("latency {region}, "),
        Policy::Geolocation(_) => "geolocation, ".to_owned(),
        Policy::MultiValue => "multivalue, ".to_owned(),
        Policy::Other(word) => format!("{word}, "),
    };
    let target = match &record.alias {
        Some(alias) => format!("alias to {}", alias.dns_name),
        // Its index is that of an intent which is still to be agreed.
        None if is_fence(record) => "fences the writers of this service's records".to_owned(),
        None => record.values.join(" "),
    };
    let check = record.health_check.as_ref().map_or_else(String::new, |id| format!(", gated by {id}"));
    Line {
        deed,
        resource: format!("record {} {}{set}", record.record_type, record.name),
        detail: format!("{policy}{target}{check}"),
    }
}
