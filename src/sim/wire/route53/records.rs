//! Record sets in XML.

use failoverd_domain::ids::{HealthCheckId, Region};
use failoverd_domain::route53::{
    AliasTarget, Location, Policy, RecordSet, RecordType, escaped_name, plain_name, plain_text, quoted_text,
};

use super::super::answer::malformed;
use super::super::xml::{Node, Xml};
use crate::sim::world::{Refusal, Zone};

/// As Route 53 lists it. Aliases inside the zone are held by its name and told by its id.
pub(super) fn to_xml(set: &RecordSet, zone: &Zone) -> Xml {
    let made = Xml::new("ResourceRecordSet")
        .text("Name", escaped_name(&set.name))
        .text("Type", set.record_type)
        .maybe("SetIdentifier", set.set_identifier.as_ref());
    let made = match &set.policy {
        Policy::Simple => made,
        Policy::Failover { primary } => made.text("Failover", if *primary { "PRIMARY" } else { "SECONDARY" }),
        Policy::Weighted(weight) => made.text("Weight", weight),
        Policy::Latency(region) => made.text("Region", region),
        Policy::Geolocation(place) => made.child(place_xml(place)),
        Policy::MultiValue => made.text("MultiValueAnswer", true),
        Policy::Other(_) => made,
    };
    let made = made.maybe("TTL", set.ttl_s);
    let value = |value: &String| {
        let value = match set.record_type {
            RecordType::Txt | RecordType::Spf => quoted_text(value),
            _ => value.clone(),
        };
        Xml::new("ResourceRecord").text("Value", value)
    };
    let made = if set.values.is_empty() { made } else { made.list("ResourceRecords", set.values.iter().map(value)) };
    let made = match &set.alias {
        Some(alias) => made.child(
            Xml::new("AliasTarget")
                .text("HostedZoneId", if alias.hosted_zone == zone.name { &zone.id } else { &alias.hosted_zone })
                .text("DNSName", escaped_name(&alias.dns_name))
                .text("EvaluateTargetHealth", alias.evaluate_target_health),
        ),
        None => made,
    };
    made.maybe("HealthCheckId", set.health_check.as_ref())
}

fn place_xml(place: &Location) -> Xml {
    let made = Xml::new("GeoLocation");
    match place {
        Location::Default => made.text("CountryCode", "*"),
        Location::Continent(code) => made.text("ContinentCode", code),
        Location::Country(code) => made.text("CountryCode", code),
        Location::Subdivision(country, code) => made.text("CountryCode", country).text("SubdivisionCode", code),
    }
}

/// As a change names it.
pub(super) fn from_xml(set: &Node, zone: &Zone) -> Result<RecordSet, Refusal> {
    let record_type = set.of("Type").unwrap_or_default();
    let record_type = RecordType::named(record_type)
        .ok_or_else(|| Refusal::new("InvalidInput", format!("There is no record type {record_type}.")))?;
    let value = |record: &Node| {
        let value = record.of("Value").unwrap_or_default();
        match record_type {
            RecordType::Txt | RecordType::Spf => plain_text(value),
            RecordType::Cname | RecordType::Ns => plain_name(value),
            _ => value.to_owned(),
        }
    };
    if record_type == RecordType::Txt
        && let Some(bare) =
            set.items("ResourceRecords").iter().filter_map(|record| record.of("Value")).find(|value| !is_quoted(value))
    {
        let message = format!(
            "[Invalid Resource Record: 'FATAL problem: InvalidCharacterString (Value should be enclosed in quotation marks) encountered with '{bare}'']"
        );
        return Err(Refusal::new("InvalidChangeBatch", message));
    }
    Ok(RecordSet {
        name: plain_name(set.of("Name").ok_or_else(|| malformed("a record set has no Name"))?),
        record_type,
        set_identifier: set.of("SetIdentifier").map(str::to_owned),
        policy: policy(set)?,
        ttl_s: set.number("TTL"),
        values: set.items("ResourceRecords").iter().map(value).collect(),
        alias: set.get("AliasTarget").map(|alias| target(alias, zone)),
        health_check: set.of("HealthCheckId").map(HealthCheckId::from),
    })
}

fn is_quoted(value: &str) -> bool {
    value.len() >= 2 && value.starts_with('"') && value.ends_with('"')
}

fn target(alias: &Node, zone: &Zone) -> AliasTarget {
    let hosted_zone = alias.of("HostedZoneId").unwrap_or_default().trim_start_matches("/hostedzone/");
    AliasTarget {
        dns_name: plain_name(alias.of("DNSName").unwrap_or_default()),
        hosted_zone: if hosted_zone == zone.id { zone.name.clone() } else { hosted_zone.to_owned() },
        evaluate_target_health: alias.flag("EvaluateTargetHealth"),
    }
}

fn policy(set: &Node) -> Result<Policy, Refusal> {
    let bad = |what: &str| Refusal::new("InvalidInput", format!("{what} is not valid."));
    if let Some(role) = set.of("Failover") {
        return match role {
            "PRIMARY" => Ok(Policy::Failover { primary: true }),
            "SECONDARY" => Ok(Policy::Failover { primary: false }),
            _ => Err(bad("Failover")),
        };
    }
    if set.get("Weight").is_some() {
        return set.number("Weight").map(Policy::Weighted).ok_or_else(|| bad_weight(set));
    }
    if let Some(region) = set.of("Region") {
        return Ok(Policy::Latency(Region::from(region)));
    }
    if let Some(place) = set.get("GeoLocation") {
        return Ok(Policy::Geolocation(location(place).ok_or_else(|| bad("GeoLocation"))?));
    }
    Ok(match () {
        () if set.flag("MultiValueAnswer") => Policy::MultiValue,
        () if set.get("CidrRoutingConfig").is_some() => Policy::Other("CIDR".to_owned()),
        () if set.get("GeoProximityLocation").is_some() => Policy::Other("geoproximity".to_owned()),
        () => Policy::Simple,
    })
}

/// Route 53 reads changes by a schema, and answers in the words of its validator.
fn bad_weight(set: &Node) -> Refusal {
    let given = set.of("Weight").unwrap_or_default();
    let message = format!(
        "Invalid XML ; cvc-maxInclusive-valid: Value '{given}' is not facet-valid with respect to maxInclusive '255' for type 'ResourceRecordSetWeight'"
    );
    Refusal::new("InvalidInput", message)
}

fn location(place: &Node) -> Option<Location> {
    match (place.of("ContinentCode"), place.of("CountryCode"), place.of("SubdivisionCode")) {
        (Some(continent), None, None) => Some(Location::Continent(continent.to_owned())),
        (None, Some("*"), None) => Some(Location::Default),
        (None, Some(country), None) => Some(Location::Country(country.to_owned())),
        (None, Some(country), Some(code)) => Some(Location::Subdivision(country.to_owned(), code.to_owned())),
        _ => None,
    }
}
