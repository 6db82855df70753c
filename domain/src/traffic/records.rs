//! A service's records: the canary pair of each Region, and the two levels of each public name.

use super::desired::{DesireProblem, Desired, DesiredCheck, DesiredKind, DesiredRecord, Inputs, lower};
use super::endpoint::outside_check;
use super::naming::{canary_name, health_reference, internal_name};
use super::switch_checks::{bit_of, bit_region, gate};
use super::waves::{first_share, locations, weight};
use crate::fleet::WHOLE_SHARE;
use crate::ids::Region;
use crate::route53::{AliasTarget, Location, Policy, Protocol, RecordSet, RecordType};
use crate::service::{Endpoint, Pattern, PublicRecord, Routing, SwitchTransport, Target};

/// In the place of a Region in the name of an internal record: whichever serves.
const ANY: &str = "any";
/// Canary records are asked at the authoritative servers; the TTL only matters to whoever asks a cache.
const CANARY_TTL_S: u32 = 10;

/// Route 53's own view of a Region: a check from outside, and the pair of TXT records that tells it over DNS.
pub(super) fn add_canary(inputs: &Inputs<'_>, region: &Region, wanted: &mut Desired) -> Result<(), DesireProblem> {
    let Some(asked) = outside_check(inputs.spec, region) else { return Ok(()) };
    let endpoint = asked.map_err(DesireProblem::Signal)?;
    let protocol = match endpoint.protocol {
        Protocol::Http => "http",
        Protocol::Https => "https",
        Protocol::Tcp => "tcp",
    };
    let reference = health_reference(inputs.fleet, &inputs.spec.name, region, protocol);
    let name = canary_name(region, &inputs.spec.name, &wanted.zone);
    wanted.checks.push(DesiredCheck {
        reference: reference.clone(),
        kind: DesiredKind::Endpoint(endpoint),
        inverted: false,
    });
    for (word, primary) in [("healthy", true), ("unhealthy", false)] {
        wanted.records.push(DesiredRecord {
            record: RecordSet {
                name: name.clone(),
                record_type: RecordType::Txt,
                set_identifier: Some(word.to_owned()),
                policy: Policy::Failover { primary },
                ttl_s: Some(CANARY_TTL_S),
                values: vec![word.to_owned()],
                alias: None,
                health_check: None,
            },
            check: primary.then(|| reference.clone()),
        });
    }
    Ok(())
}

pub(super) fn add_two_levels(
    inputs: &Inputs<'_>,
    record: &PublicRecord,
    region: &Region,
    target: &Target,
    wanted: &mut Desired,
) -> Result<(), DesireProblem> {
    if inputs.spec.traffic.switch != SwitchTransport::None {
        bit_of(inputs, bit_region(inputs, region))?;
    }
    wanted.records.push(internal(inputs, record, region, target));
    if has_default_for_all(inputs, record, target) {
        let has_it = locations(record, region, share(inputs, region)).contains(&&Location::Default);
        wanted.records.extend(any_region(record, region, has_it, &wanted.zone));
    }
    let public = policies(inputs, record, region, target).into_iter().map(|(set_identifier, policy)| DesiredRecord {
        record: {
            let any = Region::from(ANY);
            let is_default = matches!(policy, Policy::Geolocation(Location::Default));
            let leads_to = if is_default && has_default_for_all(inputs, record, target) { &any } else { region };
            public_alias(record, leads_to, &wanted.zone, set_identifier, policy)
        },
        check: None,
    });
    let public: Vec<DesiredRecord> = public.collect();
    wanted.records.extend(public);
    Ok(())
}

/// Carries the switch's check and the real target.
fn internal(inputs: &Inputs<'_>, record: &PublicRecord, region: &Region, target: &Target) -> DesiredRecord {
    let (values, alias) = match &target.endpoint {
        Endpoint::Values(values) => (values.clone(), None),
        Endpoint::Alias(alias) => (Vec::new(), Some(as_read(alias, &lower(&inputs.spec.traffic.hosted_zone)))),
    };
    DesiredRecord {
        record: RecordSet {
            name: internal_name(region, &lower(&record.name)),
            record_type: record.record_type,
            set_identifier: Some(region.to_string()),
            policy: Policy::Weighted(1),
            ttl_s: alias.is_none().then(|| record.ttl_s.unwrap_or(inputs.record_ttl_s)),
            values,
            alias,
            health_check: None,
        },
        check: gate(inputs, region),
    }
}

/// As it will be read again: an alias within the zone is known by the zone's name, whatever its id.
fn as_read(alias: &AliasTarget, zone: &str) -> AliasTarget {
    let dns_name = lower(&alias.dns_name);
    let is_inside = dns_name.strip_suffix(zone).is_some_and(|head| head.is_empty() || head.ends_with('.'));
    let hosted_zone = if is_inside { zone.to_owned() } else { alias.hosted_zone.clone() };
    AliasTarget { dns_name, hosted_zone, ..alias.clone() }
}

/// Active-active by geolocation: the default location is one Region's, but whoever has no other must be answered while
/// that Region is off.
fn has_default_for_all(inputs: &Inputs<'_>, record: &PublicRecord, target: &Target) -> bool {
    inputs.spec.pattern == Pattern::ActiveActive
        && record.routing == Routing::Geolocation
        && target.geo.contains(&Location::Default)
}

/// The Region that has the default location and, while it is off, any other: records of weight 0 are considered when no
/// other is healthy (<https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-complex-configs.html>).
///
/// A Region that comes back has the default location last; until then the others have it.
fn any_region(record: &PublicRecord, home: &Region, has_it: bool, zone: &str) -> Vec<DesiredRecord> {
    let leads_to = |region: &Region| {
        let policy = Policy::Weighted(u8::from((region == home) == has_it));
        let alias = public_alias(record, region, zone, region.to_string(), policy);
        let name = internal_name(&Region::from(ANY), &alias.name);
        DesiredRecord { record: RecordSet { name, ..alias }, check: None }
    };
    record.targets.keys().map(leads_to).collect()
}

/// Routes to the internal record and takes its health.
fn public_alias(record: &PublicRecord, region: &Region, zone: &str, set: String, policy: Policy) -> RecordSet {
    let name = lower(&record.name);
    RecordSet {
        record_type: record.record_type,
        set_identifier: Some(set),
        policy,
        ttl_s: None,
        values: Vec::new(),
        alias: Some(AliasTarget {
            dns_name: internal_name(region, &name),
            hosted_zone: zone.to_owned(),
            evaluate_target_health: true,
        }),
        health_check: None,
        name,
    }
}

/// The public records of one Region by set identifier: one, or for geolocation one for each place.
fn policies(inputs: &Inputs<'_>, record: &PublicRecord, region: &Region, target: &Target) -> Vec<(String, Policy)> {
    let set = region.to_string();
    match record.routing {
        Routing::Failover => vec![(set, Policy::Failover { primary: region == inputs.primary })],
        Routing::Latency => vec![(set, Policy::Latency(region.clone()))],
        Routing::Weighted => {
            let partial = record.targets.keys().any(|region| share(inputs, region) < WHOLE_SHARE);
            vec![(set, Policy::Weighted(weight(record, region, share(inputs, region), partial)))]
        }
        Routing::Geolocation => {
            let place =
                |location: &Location| (format!("{set} {}", label(location)), Policy::Geolocation(location.clone()));
            let present = locations(record, region, share(inputs, region));
            // The default's record stays: it leads to whichever Region serves.
            let stays = |location: &&Location| present.contains(location) || **location == Location::Default;
            target.geo.iter().filter(stays).map(place).collect()
        }
    }
}

/// How much of its traffic a Region is given, percent.
fn share(inputs: &Inputs<'_>, region: &Region) -> u8 {
    match inputs.spec.pattern {
        Pattern::ActivePassive => WHOLE_SHARE,
        Pattern::ActiveActive => match inputs.switch.bits.get(region) {
            Some(bit) if bit.on => bit.share,
            // Nobody is answered by it: what it will come back with.
            Some(_) => first_share(inputs.spec, region),
            None => WHOLE_SHARE,
        },
    }
}

fn label(location: &Location) -> String {
    match location {
        Location::Default => "default".to_owned(),
        Location::Continent(code) => format!("continent={code}"),
        Location::Country(code) => format!("country={code}"),
        Location::Subdivision(country, code) => format!("country={country} subdivision={code}"),
    }
}
