//! Record sets, in Route 53's form and in the domain's.

use aws_sdk_route53::types as aws;
use failoverd_domain::ids::{HealthCheckId, Region};
use failoverd_domain::route53::{
    AliasTarget, Change, Location, Policy, RecordSet, RecordType, plain_name, plain_text, quoted_text,
};

use super::zones::Zone;

/// One that Route 53 holds. A type that DNS has gained since is left out: it is never ours, and nothing of ours can
/// clash with it but a CNAME.
pub(super) fn from_aws(set: &aws::ResourceRecordSet, zone: &Zone) -> Option<RecordSet> {
    let record_type = RecordType::named(set.r#type().as_str())?;
    let value = |record: &aws::ResourceRecord| value_from_aws(record_type, record.value());
    Some(RecordSet {
        name: plain_name(set.name()),
        record_type,
        set_identifier: set.set_identifier().map(str::to_owned),
        policy: policy_from_aws(set),
        ttl_s: set.ttl().and_then(|ttl| u32::try_from(ttl).ok()),
        values: set.resource_records().iter().map(value).collect(),
        alias: set.alias_target().map(|alias| alias_from_aws(alias, zone)),
        health_check: set.health_check_id().map(HealthCheckId::from),
    })
}

fn value_from_aws(record_type: RecordType, value: &str) -> String {
    match record_type {
        RecordType::Txt => plain_text(value),
        RecordType::Cname | RecordType::Ns => plain_name(value),
        _ => value.to_owned(),
    }
}

/// Aliases inside the zone name it, in the domain; Route 53 knows its id.
fn alias_from_aws(alias: &aws::AliasTarget, zone: &Zone) -> AliasTarget {
    let own = alias.hosted_zone_id().trim_start_matches("/hostedzone/") == zone.id;
    AliasTarget {
        dns_name: plain_name(alias.dns_name()),
        hosted_zone: if own { zone.name.clone() } else { alias.hosted_zone_id().to_owned() },
        evaluate_target_health: alias.evaluate_target_health(),
    }
}

fn policy_from_aws(set: &aws::ResourceRecordSet) -> Policy {
    if let Some(role) = set.failover() {
        return Policy::Failover { primary: role == &aws::ResourceRecordSetFailover::Primary };
    }
    if let Some(weight) = set.weight() {
        return Policy::Weighted(u8::try_from(weight).unwrap_or(u8::MAX));
    }
    if let Some(region) = set.region() {
        return Policy::Latency(Region::from(region.as_str()));
    }
    if let Some(place) = set.geo_location() {
        return Policy::Geolocation(place_from_aws(place));
    }
    if set.multi_value_answer() == Some(true) {
        return Policy::MultiValue;
    }
    match (set.cidr_routing_config(), set.geo_proximity_location()) {
        (Some(_), _) => Policy::Other("CIDR".to_owned()),
        (_, Some(_)) => Policy::Other("geoproximity".to_owned()),
        _ => Policy::Simple,
    }
}

fn place_from_aws(place: &aws::GeoLocation) -> Location {
    match (place.continent_code(), place.country_code(), place.subdivision_code()) {
        (Some(continent), _, _) => Location::Continent(continent.to_owned()),
        (_, Some("*") | None, _) => Location::Default,
        (_, Some(country), Some(subdivision)) => Location::Subdivision(country.to_owned(), subdivision.to_owned()),
        (_, Some(country), None) => Location::Country(country.to_owned()),
    }
}

/// One change. What the domain cannot have made is refused.
pub(super) fn to_aws(change: &Change, zone: &Zone) -> Result<aws::Change, String> {
    let (action, set) = match change {
        Change::Create(set) => (aws::ChangeAction::Create, set),
        Change::Delete(set) => (aws::ChangeAction::Delete, set),
    };
    let set = set_to_aws(set, zone)?;
    aws::Change::builder().action(action).resource_record_set(set).build().map_err(|error| error.to_string())
}

fn set_to_aws(set: &RecordSet, zone: &Zone) -> Result<aws::ResourceRecordSet, String> {
    let mut made = aws::ResourceRecordSet::builder()
        .name(format!("{}.", set.name))
        .r#type(aws::RrType::from(set.record_type.as_str()))
        .set_set_identifier(set.set_identifier.clone())
        .set_ttl(set.ttl_s.map(i64::from))
        .set_health_check_id(set.health_check.as_ref().map(ToString::to_string));
    made = match &set.policy {
        Policy::Simple => made,
        Policy::Failover { primary: true } => made.failover(aws::ResourceRecordSetFailover::Primary),
        Policy::Failover { primary: false } => made.failover(aws::ResourceRecordSetFailover::Secondary),
        Policy::Weighted(weight) => made.weight(i64::from(*weight)),
        Policy::Latency(region) => made.region(aws::ResourceRecordSetRegion::from(region.as_str())),
        Policy::Geolocation(place) => made.geo_location(place_to_aws(place)),
        Policy::MultiValue => made.multi_value_answer(true),
        Policy::Other(word) => {
            return Err(format!("{} is routed by {word}: failoverd changes no such record", set.name));
        }
    };
    for value in &set.values {
        let value = if set.record_type == RecordType::Txt { quoted_text(value) } else { value.clone() };
        let record = aws::ResourceRecord::builder().value(value).build().map_err(|error| error.to_string())?;
        made = made.resource_records(record);
    }
    if let Some(alias) = &set.alias {
        let hosted_zone = if alias.hosted_zone == zone.name { &zone.id } else { &alias.hosted_zone };
        let alias = aws::AliasTarget::builder()
            .dns_name(format!("{}.", alias.dns_name))
            .hosted_zone_id(hosted_zone)
            .evaluate_target_health(alias.evaluate_target_health)
            .build()
            .map_err(|error| error.to_string())?;
        made = made.alias_target(alias);
    }
    made.build().map_err(|error| error.to_string())
}

fn place_to_aws(place: &Location) -> aws::GeoLocation {
    let made = aws::GeoLocation::builder();
    match place {
        Location::Default => made.country_code("*"),
        Location::Continent(code) => made.continent_code(code),
        Location::Country(code) => made.country_code(code),
        Location::Subdivision(country, code) => made.country_code(country).subdivision_code(code),
    }
    .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::aws::shared::Shared;

    fn zone() -> Zone {
        Zone { name: "example.com".to_owned(), id: "Z123".to_owned(), records: Shared::default() }
    }

    fn record(policy: Policy) -> RecordSet {
        RecordSet {
            name: "api.example.com".to_owned(),
            record_type: RecordType::A,
            set_identifier: Some("one".to_owned()),
            policy,
            ttl_s: Some(30),
            values: vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()],
            alias: None,
            health_check: Some("abc".into()),
        }
    }

    #[track_caller]
    fn comes_back(set: &RecordSet) -> aws::ResourceRecordSet {
        let sent = set_to_aws(set, &zone()).unwrap();
        assert_eq!(from_aws(&sent, &zone()).as_ref(), Some(set));
        sent
    }

    #[test]
    fn every_policy_goes_there_and_back() {
        let places = [
            Location::Default,
            Location::Continent("EU".to_owned()),
            Location::Country("DE".to_owned()),
            Location::Subdivision("US".to_owned(), "CA".to_owned()),
        ];
        let policies = [
            Policy::Failover { primary: true },
            Policy::Failover { primary: false },
            Policy::Weighted(0),
            Policy::Weighted(255),
            Policy::Latency("eu-west-1".into()),
            Policy::MultiValue,
        ];
        for policy in policies.into_iter().chain(places.map(Policy::Geolocation)) {
            comes_back(&record(policy));
        }
        comes_back(&RecordSet { set_identifier: None, health_check: None, ..record(Policy::Simple) });
        let strange = record(Policy::Other("CIDR".to_owned()));
        assert!(set_to_aws(&strange, &zone()).unwrap_err().contains("CIDR"));
    }

    #[test]
    fn an_alias_inside_the_zone_names_it_and_one_outside_keeps_its_id() {
        let alias = |hosted_zone: &str| AliasTarget {
            dns_name: "fo-us-east-1.api.example.com".to_owned(),
            hosted_zone: hosted_zone.to_owned(),
            evaluate_target_health: true,
        };
        let set = |hosted_zone| RecordSet {
            alias: Some(alias(hosted_zone)),
            ttl_s: None,
            values: vec![],
            ..record(Policy::Weighted(1))
        };
        let id = |sent: &aws::ResourceRecordSet| sent.alias_target().map(|alias| alias.hosted_zone_id().to_owned());
        assert_eq!(id(&comes_back(&set("example.com"))).as_deref(), Some("Z123"));
        assert_eq!(id(&comes_back(&set("Z35SXDOTRQ7X7K"))).as_deref(), Some("Z35SXDOTRQ7X7K"));
    }

    #[test]
    fn texts_are_quoted_on_their_way() {
        let text = "fleet=prod generation=0 epoch=2 index=31".to_owned();
        let set = RecordSet { record_type: RecordType::Txt, values: vec![text.clone()], ..record(Policy::Weighted(1)) };
        assert_eq!(comes_back(&set).resource_records()[0].value(), format!("\"{text}\""));
    }
}
