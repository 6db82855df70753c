//! A Region that was evacuated comes back in waves: what its records give it at each.
//!
//! Weighted: that part of its weight. Geolocation: some of its locations, the smallest first, and the default last. Latency
//! knows no parts: the Region has its traffic back at once.

use crate::fleet::WHOLE_SHARE;
use crate::ids::Region;
use crate::route53::Location;
use crate::service::{PublicRecord, Routing, ServiceSpec};

/// The shares of the waves, percent.
pub const WAVES: [u8; 4] = [1, 10, 50, WHOLE_SHARE];
/// The heaviest that a record can be
/// (<https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-values-weighted.html>).
const HEAVIEST: u32 = 255;

/// The share that a Region has when it comes back: the first wave, or all where its records know no parts.
#[must_use]
pub fn first_share(spec: &ServiceSpec, region: &Region) -> u8 {
    let first = WAVES[0];
    if is_alike(spec, region, first, WHOLE_SHARE) { WHOLE_SHARE } else { first }
}

/// The share after `share`: the next wave that changes anything, or all.
#[must_use]
pub fn next_share(spec: &ServiceSpec, region: &Region, share: u8) -> u8 {
    let later = WAVES.into_iter().filter(|wave| *wave > share);
    later.into_iter().find(|wave| !is_alike(spec, region, share, *wave)).unwrap_or(WHOLE_SHARE)
}

fn is_alike(spec: &ServiceSpec, region: &Region, one: u8, other: u8) -> bool {
    spec.traffic.records.iter().all(|record| match record.routing {
        Routing::Failover | Routing::Latency => true,
        Routing::Weighted => record.targets.get(region).is_none_or(|target| target.weight == Some(0)),
        Routing::Geolocation => locations(record, region, one).len() == locations(record, region, other).len(),
    })
}

/// The locations that a Region has at a share, in the order in which it gets them. At least one: the smallest.
pub(super) fn locations<'a>(record: &'a PublicRecord, region: &Region, share: u8) -> Vec<&'a Location> {
    let Some(target) = record.targets.get(region) else { return Vec::new() };
    let mut all: Vec<&Location> = target.geo.iter().collect();
    // How many people ask from each is not known; what lies within what is.
    all.sort_by_key(|location| match location {
        Location::Subdivision(..) => 0,
        Location::Country(_) => 1,
        Location::Continent(_) => 2,
        Location::Default => 3,
    });
    let count = (all.len() * usize::from(share) / usize::from(WHOLE_SHARE)).max(1);
    all.truncate(count);
    all
}

/// A Region's weight at a share, where all weights of the record may be multiplied so that small parts can be told.
pub(super) fn weight(record: &PublicRecord, region: &Region, share: u8, anybody_partial: bool) -> u8 {
    let of = |region: &Region| record.targets.get(region).map_or(0, |target| u32::from(target.weight.unwrap_or(1)));
    let heaviest = record.targets.keys().map(of).max().unwrap_or(1).max(1);
    let times = if anybody_partial { (HEAVIEST / heaviest).max(1) } else { 1 };
    let whole = of(region) * times;
    let part = whole * u32::from(share) / u32::from(WHOLE_SHARE);
    u8::try_from(if whole > 0 { part.max(1) } else { 0 }).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route53::RecordType;
    use crate::service::{Endpoint, Target};

    fn record(routing: Routing, targets: &[(&str, Option<u8>, Vec<Location>)]) -> PublicRecord {
        let targets = targets.iter().map(|(region, weight, geo)| {
            let endpoint = Endpoint::Values(vec!["192.0.2.1".into()]);
            (Region::from(*region), Target { endpoint, geo: geo.clone(), weight: *weight })
        });
        let targets = targets.collect();
        PublicRecord { name: "a.example.com".into(), record_type: RecordType::A, routing, ttl_s: None, targets }
    }

    #[test]
    fn a_weight_comes_back_in_parts_that_can_be_told() {
        let (us, eu) = (Region::from("us-east-1"), Region::from("eu-west-1"));
        let even = record(Routing::Weighted, &[("us-east-1", Some(50), vec![]), ("eu-west-1", Some(50), vec![])]);
        let weights = |share| (weight(&even, &us, share, share < 100), weight(&even, &eu, 100, share < 100));
        assert_eq!(WAVES.map(weights), [(2, 250), (25, 250), (125, 250), (50, 50)]);
        let none = record(Routing::Weighted, &[("us-east-1", Some(0), vec![]), ("eu-west-1", Some(200), vec![])]);
        assert_eq!((weight(&none, &us, 1, true), weight(&none, &eu, 100, true)), (0, 200));
    }

    #[test]
    fn what_knows_no_parts_comes_back_whole_at_once() {
        let us = Region::from("us-east-1");
        let first = |routing, weight, geo: Vec<Location>| {
            let mut spec = crate::health::tests::spec("shop");
            spec.traffic.records = vec![record(routing, &[("us-east-1", weight, geo), ("eu-west-1", Some(9), vec![])])];
            (first_share(&spec, &us), next_share(&spec, &us, 1))
        };
        assert_eq!(first(Routing::Latency, None, vec![]), (100, 100));
        assert_eq!(first(Routing::Weighted, Some(0), vec![]), (100, 100));
        assert_eq!(first(Routing::Weighted, Some(5), vec![]), (1, 10));
        let places = vec![Location::Default, Location::Continent("NA".into())];
        assert_eq!(first(Routing::Geolocation, None, places[..1].to_vec()), (100, 100));
        assert_eq!(first(Routing::Geolocation, None, places), (1, 100));
    }

    #[test]
    fn a_place_comes_back_before_what_it_lies_in_and_the_default_last() {
        let us = Region::from("us-east-1");
        let california = Location::Subdivision("US".into(), "CA".into());
        let places = vec![
            Location::Default,
            Location::Continent("NA".into()),
            Location::Country("US".into()),
            california.clone(),
        ];
        let geo = record(Routing::Geolocation, &[("us-east-1", None, places)]);
        let counts = WAVES.map(|share| locations(&geo, &us, share).len());
        assert_eq!(counts, [1, 1, 2, 4]);
        assert_eq!(locations(&geo, &us, 1), [&california]);
        assert_eq!(locations(&geo, &us, 100).last(), Some(&&Location::Default));
    }
}
