//! Whether a service may fail over by itself where its manifest asks for a passed drill.

use sha2::{Digest, Sha256};

use crate::fleet::{Licence, ServiceState};
use crate::ids::{DrillRunId, Region};
use crate::service::{Pattern, ServiceSpec};
use crate::time::Timestamp;

/// What `require_drill_within` says of one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LicenceStanding {
    /// The manifest asks for no drill.
    NotRequired,
    /// A drill that was passed lets it move by itself.
    Held {
        /// The execution.
        drill: DrillRunId,
        /// Until when.
        until: Timestamp,
    },
    /// No drill does: a proven breach asks for approval.
    Lapsed {
        /// Since when, where that is known.
        since: Option<Timestamp>,
        /// In a sentence.
        why: String,
    },
}

/// What a move of a service rests on: a drill says nothing about another.
#[must_use]
pub fn fingerprint(spec: &ServiceSpec) -> String {
    // Words, numbers, lists and maps with text keys: none of them can fail to become JSON.
    let rests_on = serde_json::to_vec(&(spec.pattern, &spec.regions, &spec.traffic, &spec.data)).unwrap_or_default();
    Sha256::digest(rests_on).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a passed drill lets a service move by itself from one Region to another.
#[must_use]
pub fn licence_of(now: Timestamp, service: &ServiceState, from: &Region, to: &Region) -> LicenceStanding {
    let Some(within_ms) = service.spec.policy.require_drill_within_ms else { return LicenceStanding::NotRequired };
    // Where several Regions serve, it is leaving one that is practised.
    let is_spread = service.spec.pattern == Pattern::ActiveActive;
    let way = |licence: &&Licence| licence.from == *from && (is_spread || licence.to == *to);
    let newest = |licences: Vec<&Licence>| licences.into_iter().max_by_key(|licence| licence.at).cloned();
    let current = fingerprint(&service.spec);
    let same: Vec<&Licence> =
        service.licences.iter().filter(way).filter(|licence| licence.fingerprint == current).collect();
    if let Some(licence) = newest(same) {
        let until = licence.at.plus_ms(within_ms);
        if until >= now {
            return LicenceStanding::Held { drill: licence.drill, until };
        }
        let why = format!("drill {} from {from} to {to} was passed at {}, too long ago", licence.drill, licence.at);
        return LicenceStanding::Lapsed { since: Some(until), why };
    }
    let why = match newest(service.licences.iter().filter(way).collect()) {
        Some(licence) => {
            let drill = &licence.drill;
            format!("stores, records or Regions have changed since drill {drill} from {from} to {to} was passed")
        }
        None => format!("no drill from {from} to {to} was passed yet"),
    };
    LicenceStanding::Lapsed { since: None, why }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fleet::tests::fixture::{Bench, EU, NOW, US, shop};

    const DAY_MS: u64 = 86_400_000;

    /// The shop, which asks for a drill of the last day, with one that was passed at `NOW`.
    fn licensed() -> ServiceState {
        let mut spec = shop();
        spec.policy.require_drill_within_ms = Some(DAY_MS);
        let mut service = Bench::serving().shop().clone();
        service.licences = vec![Licence {
            drill: "shop-monthly.1".into(),
            at: NOW,
            from: US.into(),
            to: EU.into(),
            fingerprint: fingerprint(&spec),
        }];
        service.spec = Arc::new(spec);
        service
    }

    fn standing(after_ms: u64, service: &ServiceState, from: &str, to: &str) -> LicenceStanding {
        licence_of(NOW.plus_ms(after_ms), service, &from.into(), &to.into())
    }

    #[track_caller]
    fn why(standing: LicenceStanding) -> (Option<Timestamp>, String) {
        let LicenceStanding::Lapsed { since, why } = standing else { panic!("{standing:?}") };
        (since, why)
    }

    #[test]
    fn a_passed_drill_counts_for_as_long_as_the_manifest_says() {
        let service = licensed();
        let held = LicenceStanding::Held { drill: "shop-monthly.1".into(), until: NOW.plus_ms(DAY_MS) };
        assert_eq!(standing(0, &service, US, EU), held);
        assert_eq!(standing(DAY_MS, &service, US, EU), held);
        let (since, why) = why(standing(DAY_MS + 1, &service, US, EU));
        assert_eq!(since, Some(NOW.plus_ms(DAY_MS)));
        assert!(why.contains("shop-monthly.1") && why.contains("too long ago"), "{why}");
    }

    #[test]
    fn a_drill_says_nothing_of_the_other_direction() {
        let (since, why) = why(standing(0, &licensed(), EU, US));
        assert_eq!((since, why.as_str()), (None, "no drill from eu-west-1 to us-east-1 was passed yet"));
    }

    #[test]
    fn a_pairs_drill_is_of_its_way_and_of_several_regions_of_the_one_that_is_left() {
        let held = |service: &ServiceState, from: &str, to: &str| {
            matches!(standing(0, service, from, to), LicenceStanding::Held { .. })
        };
        let pair = licensed();
        let others = [(US, "us-west-2"), ("us-west-2", EU)];
        assert_eq!(others.map(|(from, to)| held(&pair, from, to)), [false, false]);
        let mut spread = pair.clone();
        let spec = ServiceSpec { pattern: Pattern::ActiveActive, ..(*pair.spec).clone() };
        spread.licences[0].fingerprint = fingerprint(&spec);
        spread.spec = Arc::new(spec);
        assert_eq!(others.map(|(from, to)| held(&spread, from, to)), [true, false]);
    }

    #[test]
    fn other_stores_or_records_need_another_drill_and_other_words_do_not() {
        let service = licensed();
        let changed = |change: &dyn Fn(&mut ServiceSpec)| {
            let mut spec = (*service.spec).clone();
            change(&mut spec);
            ServiceState { spec: Arc::new(spec), ..service.clone() }
        };
        let labelled = changed(&|spec| spec.labels = [("team".to_owned(), "web".to_owned())].into());
        assert!(matches!(standing(0, &labelled, US, EU), LicenceStanding::Held { .. }));
        let faster = changed(&|spec| spec.objectives.rto_ms = 1_000);
        assert!(matches!(standing(0, &faster, US, EU), LicenceStanding::Held { .. }));
        for other in [
            changed(&|spec| drop(spec.data.pop())),
            changed(&|spec| spec.traffic.hosted_zone = "example.net".to_owned()),
        ] {
            assert!(why(standing(0, &other, US, EU)).1.contains("have changed since drill shop-monthly.1"));
        }
    }

    #[test]
    fn a_manifest_that_asks_for_none_needs_none() {
        let mut service = licensed();
        service.spec = Arc::new(shop());
        assert_eq!(standing(0, &service, EU, US), LicenceStanding::NotRequired);
    }
}
