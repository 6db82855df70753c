//! Records of active-active services while Regions are away and come back: nobody is left without an answer, and
//! settlement changes no answer.

use std::collections::BTreeSet;

use super::*;
use crate::fleet::FleetState;
use crate::route53::{Place, Query, answers};

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-south-1"];
/// One for each location of the record, and one that has only the default.
const PLACES: [&str; 4] = ["NA", "EU", "AS", "SA"];

fn everywhere(routing: Routing) -> Scene {
    let mut scene = Scene::new(3, true);
    scene.spec.pattern = Pattern::ActiveActive;
    scene.spec.regions = REGIONS.map(Region::from).to_vec();
    let geo = |code: &str| Location::Continent(code.to_owned());
    let targets = REGIONS.into_iter().zip(PLACES).enumerate().map(|(at, (region, place))| {
        let default = (at == 0).then_some(Location::Default);
        let target = Target {
            endpoint: Endpoint::Values(vec![format!("192.0.2.{at}")]),
            geo: default.into_iter().chain([geo(place)]).collect(),
            weight: Some(50),
        };
        (Region::from(region), target)
    });
    let record = &mut scene.spec.traffic.records[0];
    (record.routing, record.targets) = (routing, targets.collect());
    scene.switch = Switch {
        pattern: Pattern::ActiveActive,
        regions: scene.spec.regions.clone(),
        bits: REGIONS.map(|region| (Region::from(region), bit(true, region))).into(),
    };
    scene
}

fn switched(scene: &Scene, off: &[usize]) -> Scene {
    let mut scene = scene.clone();
    for (at, region) in REGIONS.into_iter().enumerate() {
        scene.switch.bits.get_mut(region).unwrap().on = !off.contains(&at);
    }
    scene
}

/// Who answers somebody in each place, with the records that `written` wants and the bits that `bits` has.
fn who_answers(written: &Scene, bits: &Scene) -> Vec<BTreeSet<String>> {
    let model = settled(written, 10);
    let state = FleetState {
        fleet: bits.fleet.clone(),
        switches: BTreeMap::from([(bits.spec.switch_group(), bits.switch.clone())]),
        ..Default::default()
    };
    let nobody = BTreeSet::new();
    let believed = Believed::new(&state, &model.checks, &nobody);
    let from = |place: &str| {
        let from = Place { continent: Some(place.to_owned()), ..Place::default() };
        let query = Query { name: API.into(), record_type: RecordType::A, from, draw: 0 };
        let found = answers(&model.records, &|check| believed.is_healthy(check), &query);
        found.into_iter().filter_map(|answer| answer.path.last().cloned()).collect()
    };
    PLACES.into_iter().map(from).collect()
}

fn set(regions: &[usize]) -> BTreeSet<String> {
    regions.iter().map(|at| REGIONS[*at].to_owned()).collect()
}

#[test]
fn whoever_is_away_everybody_is_answered_and_settlement_changes_nothing() {
    for routing in [Routing::Geolocation, Routing::Weighted] {
        let whole = everywhere(routing);
        for off in [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2]] {
            let away = switched(&whole, off);
            let (at_once, when_settled) = (who_answers(&whole, &away), who_answers(&away, &away));
            assert_eq!(at_once, when_settled, "{routing:?} without {off:?}");
            for answered in at_once {
                let gone = set(off);
                assert!(!answered.is_empty() && answered.is_disjoint(&gone), "{routing:?} {off:?}: {answered:?}");
            }
        }
    }
}

#[test]
fn a_region_that_comes_back_has_its_own_place_first_and_the_default_last() {
    let whole = everywhere(Routing::Geolocation);
    let (us, first) = (Region::from(REGIONS[0]), first_share(&whole.spec, &REGIONS[0].into()));
    let with = |share: u8| {
        let mut scene = whole.clone();
        scene.switch.bits.get_mut(&us).unwrap().share = share;
        scene
    };
    let narrow = with(first);
    // Switched on into the records that settlement left: the default is still the others'.
    let away = switched(&whole, &[0]);
    for written in [&away, &narrow] {
        assert_eq!(who_answers(written, &narrow), [set(&[0]), set(&[1]), set(&[2]), set(&[1, 2])]);
    }
    let all = with(next_share(&whole.spec, &us, first));
    assert_eq!(who_answers(&all, &all), [set(&[0]), set(&[1]), set(&[2]), set(&[0])]);
}

#[test]
fn weights_come_back_in_parts_and_end_as_the_manifest_has_them() {
    let whole = everywhere(Routing::Weighted);
    let us = Region::from(REGIONS[0]);
    let mut share = first_share(&whole.spec, &us);
    let mut seen = Vec::new();
    loop {
        let mut scene = whole.clone();
        scene.switch.bits.get_mut(&us).unwrap().share = share;
        let public = scene.desired().records.into_iter().filter(|wanted| wanted.record.name == API);
        let weights = public.map(|wanted| match wanted.record.policy {
            Policy::Weighted(weight) => weight,
            other => panic!("{other:?}"),
        });
        let mut weights: Vec<u8> = weights.collect();
        weights.sort_unstable();
        seen.push(weights);
        if share == 100 {
            break;
        }
        share = next_share(&whole.spec, &us, share);
    }
    assert_eq!(seen, [[2, 250, 250], [25, 250, 250], [125, 250, 250], [50, 50, 50]]);
}
