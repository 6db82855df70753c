//! What Route 53 refuses in a change batch, in words close to its own. One bad change refuses the whole batch.
//!
//! API reference of `ChangeResourceRecordSets`, and "Quotas on ChangeResourceRecordSets API requests".

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;
use std::net::{Ipv4Addr, Ipv6Addr};

use failoverd_domain::ids::HealthCheckId;
use failoverd_domain::route53::{Change, Policy, RecordSet, RecordType, Together};

use super::refusal::Refusal;
use super::zones::{Key, Zone, canonical, is_within, key_of};

/// `ResourceRecord` elements.
const MAX_RECORDS: usize = 1_000;
const MAX_VALUE_CHARACTERS: usize = 32_000;

/// The records after the batch.
pub(super) fn apply(
    zone: &Zone,
    changes: &[Change],
    check_exists: &dyn Fn(&HealthCheckId) -> bool,
) -> Result<BTreeMap<Key, RecordSet>, Refusal> {
    within_limits(changes)?;
    let mut records = zone.records.clone();
    let mut problems = Vec::new();
    let mut touched = BTreeSet::new();
    for change in changes {
        let set = normal(set_of(change));
        touched.insert((set.name.clone(), set.record_type));
        let applied = match change {
            Change::Delete(_) => delete(&mut records, zone, &set),
            Change::Create(_) => well_formed(&set, &zone.name).and_then(|()| create(&mut records, set)),
        };
        problems.extend(applied.err());
    }
    problems.extend(changes.iter().filter_map(|change| no_such_check(set_of(change), change, check_exists)));
    let together = Together::new(&zone.name, &zone.id, records.values());
    for (name, record_type) in &touched {
        problems.extend(consistent(&records, name, *record_type));
        problems.extend(together.refusals(name, *record_type));
    }
    problems.dedup();
    if problems.is_empty() { Ok(records) } else { Err(invalid(&problems)) }
}

/// One line that says what a batch does, for the log of effects.
pub(super) fn describe(zone: &str, changes: &[Change]) -> String {
    let one = |change: &Change| {
        let set = set_of(change);
        let verb = if matches!(change, Change::Create(_)) { "CREATE" } else { "DELETE" };
        let identifier = set.set_identifier.as_deref().unwrap_or("-");
        let check = set.health_check.as_ref().map_or("-", HealthCheckId::as_str);
        let target = set.alias.as_ref().map_or_else(|| set.values.join(","), |alias| alias.dns_name.clone());
        format!("{verb} {} {} {identifier} {:?} {target} {check}", set.name, set.record_type, set.policy)
    };
    format!("{zone}: {}", changes.iter().map(one).collect::<Vec<_>>().join("; "))
}

fn invalid(problems: &[String]) -> Refusal {
    Refusal::new("InvalidChangeBatch", format!("[{}]", problems.join(", ")))
}

fn set_of(change: &Change) -> &RecordSet {
    match change {
        Change::Create(set) | Change::Delete(set) => set,
    }
}

fn normal(set: &RecordSet) -> RecordSet {
    RecordSet { name: canonical(&set.name), ..set.clone() }
}

fn within_limits(changes: &[Change]) -> Result<(), Refusal> {
    if changes.is_empty() {
        return Err(Refusal::new("InvalidInput", "1 validation error detected: changes must not be empty"));
    }
    // An alias has no resource record of its own, and counts as one.
    let elements: usize = changes.iter().map(|change| set_of(change).values.len().max(1)).sum();
    if elements > MAX_RECORDS {
        return Err(invalid(&[format!("Number of records limit of {MAX_RECORDS} exceeded.")]));
    }
    let characters: usize = changes.iter().flat_map(|change| &set_of(change).values).map(|v| v.chars().count()).sum();
    if characters > MAX_VALUE_CHARACTERS {
        return Err(invalid(&[format!("Number of characters limit of {MAX_VALUE_CHARACTERS} exceeded.")]));
    }
    Ok(())
}

fn title(set: &RecordSet) -> String {
    let identifier = set.set_identifier.as_ref().map_or_else(String::new, |id| format!(", set identifier='{id}'"));
    format!("[name='{}.', type='{}'{identifier}]", set.name, set.record_type)
}

fn delete(records: &mut BTreeMap<Key, RecordSet>, zone: &Zone, set: &RecordSet) -> Result<(), String> {
    let what = format!("Tried to delete resource record set {} but", title(set));
    if set.name == zone.name && matches!(set.record_type, RecordType::Ns | RecordType::Soa) {
        return Err(format!("A HostedZone must contain at least one {} record for the zone itself.", set.record_type));
    }
    match records.get(&key_of(set)) {
        None => Err(format!("{what} it was not found")),
        Some(there) if !same(there, set) => Err(format!("{what} the values provided do not match the current values")),
        Some(_) => {
            records.remove(&key_of(set));
            Ok(())
        }
    }
}

/// The order of values does not matter to Route 53.
fn same(a: &RecordSet, b: &RecordSet) -> bool {
    let sorted = |set: &RecordSet| {
        let mut set = set.clone();
        set.values.sort();
        if let Some(alias) = &mut set.alias {
            alias.dns_name = canonical(&alias.dns_name);
        }
        set
    };
    sorted(a) == sorted(b)
}

fn create(records: &mut BTreeMap<Key, RecordSet>, set: RecordSet) -> Result<(), String> {
    if records.contains_key(&key_of(&set)) {
        return Err(format!("Tried to create resource record set {} but it already exists", title(&set)));
    }
    records.insert(key_of(&set), set);
    Ok(())
}

fn well_formed(set: &RecordSet, zone: &str) -> Result<(), String> {
    if !is_within(&set.name, zone) {
        return Err(format!("RRSet with DNS name {}. is not permitted in zone {zone}.", set.name));
    }
    let rrset = format!("RRSet with DNS name {}., type {}", set.name, set.record_type);
    match (&set.alias, set.ttl_s, set.values.is_empty()) {
        (Some(_), Some(_), _) => return Err(format!("{rrset} is an alias and must not have a TTL")),
        (Some(_), _, false) => return Err(format!("{rrset} is an alias and must not have resource records")),
        (None, None, _) => return Err(format!("{rrset} is missing its TTL")),
        (None, _, true) => return Err(format!("{rrset} has no resource records and no alias target")),
        _ => {}
    }
    if (set.policy == Policy::Simple) != set.set_identifier.is_none() {
        return Err(format!("{rrset}: a set identifier must be given exactly when there is a routing policy"));
    }
    if set.record_type == RecordType::Cname && set.name == zone {
        return Err(format!("{rrset} is not permitted at apex in zone {zone}."));
    }
    set.values.iter().try_for_each(|value| well_formed_value(set.record_type, value))
}

fn well_formed_value(record_type: RecordType, value: &str) -> Result<(), String> {
    let bad = |why: &str| Err(format!("Invalid Resource Record: 'FATAL problem: {why} encountered with '{value}''"));
    match record_type {
        RecordType::A if value.parse::<Ipv4Addr>().is_err() => {
            bad("ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)")
        }
        RecordType::Aaaa if value.parse::<Ipv6Addr>().is_err() => {
            bad("AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)")
        }
        RecordType::Cname if value.is_empty() || value.contains(' ') => bad("DomainNameInvalid"),
        RecordType::Txt if value.len() > 4_000 => bad("TXTRDATATooLong (Value is too long)"),
        _ => Ok(()),
    }
}

fn no_such_check(set: &RecordSet, change: &Change, exists: &dyn Fn(&HealthCheckId) -> bool) -> Option<String> {
    let check = set.health_check.as_ref().filter(|_| matches!(change, Change::Create(_)))?;
    (!exists(check)).then(|| format!("The specified health check id {check} does not exist"))
}

/// The record sets of a name.
fn named<'a>(records: &'a BTreeMap<Key, RecordSet>, name: &str) -> impl Iterator<Item = &'a RecordSet> {
    let first: Key = (name.to_owned(), RecordType::ALL[0], None);
    let name = name.to_owned();
    records.range(first..).map(|(_, set)| set).take_while(move |set| set.name == name)
}

/// Rules between the record sets of one name.
fn consistent(records: &BTreeMap<Key, RecordSet>, name: &str, record_type: RecordType) -> Vec<String> {
    let at_name: Vec<&RecordSet> = named(records, name).collect();
    let sets: Vec<&RecordSet> = at_name.iter().copied().filter(|set| set.record_type == record_type).collect();
    let mut problems = Vec::new();
    let rrset = format!("RRSet with DNS name {name}., type {record_type}");
    if record_type == RecordType::Cname && sets.len() < at_name.len()
        || record_type != RecordType::Cname
            && !sets.is_empty()
            && at_name.iter().any(|s| s.record_type == RecordType::Cname)
    {
        problems.push(format!("{rrset} is not permitted as it conflicts with other records with the same DNS name"));
    }
    if sets.windows(2).any(|pair| discriminant(&pair[0].policy) != discriminant(&pair[1].policy)) {
        problems.push(format!(
            "{rrset} cannot be created as other RRSets exist with the same name and type and another routing policy"
        ));
    }
    for (index, set) in sets.iter().enumerate() {
        let twice = matches!(set.policy, Policy::Failover { .. } | Policy::Latency(_) | Policy::Geolocation(_));
        if twice && sets[..index].iter().any(|other| other.policy == set.policy) {
            let identifier = set.set_identifier.as_deref().unwrap_or_default();
            problems.push(format!(
                "{rrset}, SetIdentifier {identifier} cannot be created as another RRSet of its name and type has the \
                 same {}",
                word(&set.policy)
            ));
        }
    }
    problems
}

fn word(policy: &Policy) -> &'static str {
    match policy {
        Policy::Failover { primary: true } => "failover role PRIMARY",
        Policy::Failover { primary: false } => "failover role SECONDARY",
        Policy::Latency(_) => "region",
        _ => "geolocation",
    }
}
