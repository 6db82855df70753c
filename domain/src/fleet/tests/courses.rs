//! Which way a drill goes, of a pair and of several Regions.

use super::active_active::many;
use super::drills::drill;
use super::fixture::*;
use super::members::{FOURTH, enlist};
use super::settings::modern;
use crate::drill::{DrillKind, DrillSpec, course};
use crate::fleet::*;
use crate::plan::Movement;
use crate::service::ServiceSpec;

/// `FROM>TO`, or the word of the refusal.
fn goes(bench: &Bench, kind: DrillKind, from: Option<&str>, to: Option<&str>) -> String {
    let spec = DrillSpec { from: from.map(Into::into), to: to.map(Into::into), ..drill(kind) };
    match course(&bench.state, &spec) {
        Ok(way) => format!("{}>{}", way.home, way.away),
        Err(refused) => refused.code,
    }
}

fn way(from: &str, to: &str) -> String {
    format!("{from}>{to}")
}

#[test]
fn a_pair_goes_from_where_it_serves_to_where_it_does_not() {
    let bench = Bench::serving();
    let goes = |from, to| goes(&bench, DrillKind::Switchover, from, to);
    for (from, to) in [(None, None), (Some(US), None), (None, Some(EU)), (Some(US), Some(EU))] {
        assert_eq!(goes(from, to), way(US, EU));
    }
    for (from, to) in [(Some(EU), None), (None, Some(US))] {
        assert_eq!(goes(from, to), "ALREADY_FAILED_OVER");
    }
}

#[test]
fn of_several_regions_the_traffic_of_one_leaves_or_all_that_it_has() {
    let mut bench = Bench::serving_spec(many());
    let said = |bench: &Bench, kind, from, to| goes(bench, kind, from, to);
    let loss = |bench: &Bench, from, to| said(bench, DrillKind::RegionLoss, from, to);
    let traffic = |bench: &Bench, from, to| said(bench, DrillKind::Evacuate, from, to);
    assert_eq!(said(&bench, DrillKind::Switchover, None, None), "NOT_SUPPORTED");
    assert_eq!(loss(&bench, None, None), way(US, EU));
    assert_eq!(loss(&bench, None, Some(US)), way(EU, US), "not the one that is to take over");
    assert_eq!(loss(&bench, Some(EU), None), way(EU, US));
    assert_eq!(loss(&bench, Some(WITNESS), None), "ALREADY_FAILED_OVER");
    assert_eq!(loss(&bench, Some(US), Some(WITNESS)), "ALREADY_FAILED_OVER");
    // Where the writers are, traffic alone cannot leave.
    assert_eq!(traffic(&bench, None, None), way(EU, US));
    assert_eq!(traffic(&bench, Some(US), None), "MOVES_WRITERS");
    let moves = DrillSpec { to: None, ..drill(DrillKind::RegionLoss) };
    assert_eq!(course(&bench.state, &moves).unwrap().movement, Movement::Evacuate);

    bench.ok(person(), Command::SetSwitch { group: "shop".into(), region: EU.into(), on: false, run: None });
    assert_eq!(loss(&bench, None, None), "LAST_SERVING_REGION");
    assert_eq!(traffic(&bench, None, None), "ALREADY_FAILED_OVER", "none can be left");

    let without = Bench::serving_spec(ServiceSpec { data: vec![], ..many() });
    assert_eq!(traffic(&without, None, None), way(US, EU), "it writes nothing");
}

#[test]
fn who_goes_where_nobody_says_where_goes_beside_the_writers() {
    let mut spec = many();
    spec.regions.push(FOURTH.into());
    let mut bench = modern(Bench::formed());
    bench.ok(person(), enlist(FOURTH, Role::Member));
    bench.ok(person(), apply(vec![spec]));
    bench.settle();
    assert_eq!(goes(&bench, DrillKind::RegionLoss, Some(FOURTH), None), way(FOURTH, US));
    let service = bench.state.services.get_mut("shop").unwrap();
    (service.primary, service.chosen) = (EU.into(), EU.into());
    assert_eq!(goes(&bench, DrillKind::RegionLoss, Some(FOURTH), None), way(FOURTH, EU));
    assert_eq!(goes(&bench, DrillKind::RegionLoss, Some(EU), None), way(EU, US));
}
