//! `spec.traffic.records[]`: public names and where each Region answers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::field::{Field, Mapping};
use super::regions::per_region;
use super::{geo, names, unsupported};
use crate::ids::Region;
use crate::route53::{AliasTarget, MOST_OF_ONE_NAME, RecordType};
use crate::service::{Endpoint, Pattern, PublicRecord, Routing, Target};

/// Route 53's limit of values in one record set.
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html>
const MAX_VALUES: usize = 400;
const TTL_S: u32 = 60;
const MAX_TTL_S: u64 = 2_147_483_647;
/// Words for the public routing policy.
pub const ROUTING: [(&str, Routing); 4] = [
    ("failover", Routing::Failover),
    ("latency", Routing::Latency),
    ("geolocation", Routing::Geolocation),
    ("weighted", Routing::Weighted),
];

/// What a record is checked against; parts that are bad themselves are absent.
#[derive(Clone, Copy, Debug)]
pub struct RecordContext<'a> {
    /// The hosted zone.
    pub zone: Option<&'a str>,
    /// The service's pattern.
    pub pattern: Option<Pattern>,
    /// The service's Regions.
    pub regions: Option<&'a [Region]>,
}

/// Whether two record sets of one name cannot live together: the same type, or one of them a CNAME.
#[must_use]
pub fn types_clash(one: RecordType, other: RecordType) -> bool {
    one == other || one == RecordType::Cname || other == RecordType::Cname
}

/// Why two records of one name cannot live together.
#[must_use]
pub fn clash_in_words(name: &str, one: RecordType, other: RecordType) -> String {
    if one == other {
        format!("{name} {one} is there twice")
    } else {
        format!("{name} has both {one} and {other}: a CNAME stands alone at its name")
    }
}

/// One record.
#[must_use]
pub fn record(field: &Field<'_>, context: &RecordContext<'_>) -> Option<PublicRecord> {
    let keys = field.mapping()?;
    let name = keys.need("name", |field| record_name(&field, context.zone));
    let record_type = keys.need("type", |field| record_type(&field));
    let routing = keys.need("routing", |field| routing(&field, context.pattern));
    let ttl_s = keys.maybe("ttl", |field| ttl_s(&field));
    let of = TargetContext { record_type, routing, name: name.as_deref() };
    let targets = keys.need("targets", |field| targets(&field, context.regions, &of));
    let apex_ok = refuse_cname_at_apex(&keys, &of, context.zone);
    keys.finish();
    let targets = targets?;
    let ttl_s = ttl_for(&keys, ttl_s?, &targets)?;
    apex_ok.then_some(())?;
    Some(PublicRecord { name: name?, record_type: record_type?, routing: routing?, ttl_s, targets })
}

fn record_name(field: &Field<'_>, zone: Option<&str>) -> Option<String> {
    if field.text()?.starts_with("*.") {
        return unsupported::wildcard(field);
    }
    let name = names::dns_name(field)?;
    let Some(zone) = zone else { return Some(name) };
    if name != zone && !name.ends_with(&format!(".{zone}")) {
        return field.refuse(format!("{name} is not in the hosted zone {zone}"));
    }
    if name.split('.').any(|label| label == "_failoverd") {
        return field.refuse("names below _failoverd are failoverd's own");
    }
    Some(name)
}

fn record_type(field: &Field<'_>) -> Option<RecordType> {
    let text = field.text()?;
    if ["TXT", "MX", "SRV", "NS", "SOA", "CAA", "PTR", "SPF", "NAPTR", "DS", "HTTPS", "SVCB", "TLSA", "SSHFP"]
        .contains(&text.as_str())
    {
        return unsupported::record_type(field, &text);
    }
    field.choice(&[("A", RecordType::A), ("AAAA", RecordType::Aaaa), ("CNAME", RecordType::Cname)])
}

fn routing(field: &Field<'_>, pattern: Option<Pattern>) -> Option<Routing> {
    let routing = field.choice(&ROUTING)?;
    match (pattern, routing) {
        (Some(Pattern::ActiveActive), Routing::Failover) => field
            .refuse("failover is for active-passive: an active-active service takes latency, geolocation or weighted"),
        (Some(Pattern::ActivePassive), Routing::Latency | Routing::Geolocation | Routing::Weighted) => {
            field.refuse("an active-passive service takes failover: only one of its Regions serves")
        }
        _ => Some(routing),
    }
}

fn ttl_s(field: &Field<'_>) -> Option<u32> {
    let ms = field.duration_ms()?;
    match (ms % 1_000, ms / 1_000) {
        (0, seconds @ 0..=MAX_TTL_S) => u32::try_from(seconds).ok(),
        _ => field.refuse("must be whole seconds: DNS knows nothing finer"),
    }
}

/// The record's TTL: none when all targets are aliases, a minute when the manifest says nothing.
#[allow(clippy::option_option, reason = "no TTL and a refused TTL are different outcomes")]
fn ttl_for(keys: &Mapping<'_>, ttl_s: Option<u32>, targets: &BTreeMap<Region, Target>) -> Option<Option<u32>> {
    let aliases_only = targets.values().all(|target| matches!(target.endpoint, Endpoint::Alias(_)));
    match (aliases_only, ttl_s) {
        (true, None) => Some(None),
        (true, Some(_)) => {
            keys.need("ttl", |ttl| ttl.refuse("an alias has no ttl of its own, it takes its target's: remove it"))
        }
        (false, ttl_s) => Some(Some(ttl_s.unwrap_or(TTL_S))),
    }
}

fn refuse_cname_at_apex(keys: &Mapping<'_>, of: &TargetContext<'_>, zone: Option<&str>) -> bool {
    let at_apex = of.record_type == Some(RecordType::Cname) && zone.is_some() && of.name == zone;
    if at_apex {
        keys.need::<()>("type", |field| {
            field.refuse("a CNAME cannot stand at the zone's apex: use A or AAAA with an alias")
        });
    }
    !at_apex
}

/// What a target is checked against; parts that are bad themselves are absent.
struct TargetContext<'a> {
    record_type: Option<RecordType>,
    routing: Option<Routing>,
    name: Option<&'a str>,
}

fn targets(field: &Field<'_>, regions: Option<&[Region]>, of: &TargetContext<'_>) -> Option<BTreeMap<Region, Target>> {
    let mut places = geo::Places::default();
    let targets = per_region(field, regions, |item| target(&item, of, &mut places))?;
    if of.routing == Some(Routing::Geolocation) && !places.has_default() {
        return field.refuse(
            "a geolocation set needs a default: whoever is in none of the places would get no answer; \
             add { default: true } to the geo of one Region",
        );
    }
    if places.count() > MOST_OF_ONE_NAME {
        return field.refuse(format!(
            "has {} places; Route 53 takes {MOST_OF_ONE_NAME} geolocation records of one name and type",
            places.count()
        ));
    }
    Some(targets)
}

fn target(field: &Field<'_>, of: &TargetContext<'_>, places: &mut geo::Places) -> Option<Target> {
    let keys = field.mapping()?;
    let endpoint = endpoint(&keys, of);
    let geo = match (of.routing, keys.get("geo")) {
        (Some(Routing::Geolocation), _) => keys.need("geo", |field| geo::locations(&field, places)),
        (Some(_), Some(geo)) => geo.refuse("geo is for routing: geolocation: remove it"),
        _ => Some(Vec::new()),
    };
    let weight = match (of.routing, keys.get("weight")) {
        (Some(Routing::Weighted), _) => keys.need("weight", |field| field.number(0, 255)).map(Some),
        (Some(_), Some(weight)) => weight.refuse("weight is for routing: weighted: remove it"),
        _ => Some(None),
    };
    if let Some(ttl) = keys.get("ttl") {
        ttl.refuse::<()>("ttl belongs to the record, not to one target: move it up beside targets");
    }
    keys.finish();
    let weight = weight?.map(u8::try_from).transpose().ok()?;
    Some(Target { endpoint: endpoint?, geo: geo?, weight })
}

fn endpoint(keys: &Mapping<'_>, of: &TargetContext<'_>) -> Option<Endpoint> {
    match (keys.get("alias"), keys.get("values")) {
        (Some(field), None) => alias(&field, of).map(Endpoint::Alias),
        (None, Some(field)) => values(&field, of).map(Endpoint::Values),
        (Some(_), Some(values)) => values.refuse("a target has an alias or values, not both"),
        (None, None) => keys.field().refuse("says not where to answer: add alias or values"),
    }
}

fn alias(field: &Field<'_>, of: &TargetContext<'_>) -> Option<AliasTarget> {
    if of.record_type == Some(RecordType::Cname) {
        return field.refuse("an alias to an AWS resource is of type A or AAAA: change the type, or write values");
    }
    let keys = field.mapping()?;
    let dns_name = keys.need("dns_name", |field| alias_name(&field, of));
    let hosted_zone = keys.need("hosted_zone", |field| zone_id(&field));
    let evaluate_target_health = keys.or("evaluate_target_health", false, |field| field.boolean());
    keys.finish();
    Some(AliasTarget {
        dns_name: dns_name?,
        hosted_zone: hosted_zone?,
        evaluate_target_health: evaluate_target_health?,
    })
}

/// A loop over more names than this one shows when the zone is read.
fn alias_name(field: &Field<'_>, of: &TargetContext<'_>) -> Option<String> {
    let target = names::dns_name(field)?;
    if Some(target.as_str()) == of.name {
        return field.refuse("points at the record itself: Route 53 refuses an alias loop");
    }
    Some(target)
}

fn zone_id(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let inner = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if text.len() > 32 || !inner {
        return field
            .refuse(format!("{text:?} is not the id of a hosted zone: write the target's own, like Z35SXDOTRQ7X7K"));
    }
    Some(text)
}

fn values(field: &Field<'_>, of: &TargetContext<'_>) -> Option<Vec<String>> {
    let mut seen = Vec::new();
    let values = field.each(|item| {
        let value = value(&item, of)?;
        if seen.contains(&value) {
            return item.refuse(format!("{value} is there twice"));
        }
        seen.push(value.clone());
        Some(value)
    })?;
    match (values.len(), of.record_type) {
        (0, _) => field.refuse("needs at least one value"),
        (2.., Some(RecordType::Cname)) => field.refuse("a CNAME has exactly one value"),
        (count, _) if count > MAX_VALUES => field.refuse(format!("has {count} values; Route 53 takes {MAX_VALUES}")),
        _ => Some(values),
    }
}

fn value(field: &Field<'_>, of: &TargetContext<'_>) -> Option<String> {
    match of.record_type {
        Some(RecordType::A) => address::<Ipv4Addr>(field, "IPv4"),
        Some(RecordType::Aaaa) => address::<Ipv6Addr>(field, "IPv6"),
        Some(RecordType::Cname) => {
            let target = names::dns_name(field)?;
            if Some(target.as_str()) == of.name {
                return field.refuse("points at itself");
            }
            Some(target)
        }
        _ => field.text(),
    }
}

fn address<T: std::str::FromStr + ToString>(field: &Field<'_>, family: &str) -> Option<String> {
    let text = field.text()?;
    match text.parse::<T>() {
        Ok(address) => Some(address.to_string()),
        Err(_) => field.refuse(format!("{text:?} is not an {family} address")),
    }
}
