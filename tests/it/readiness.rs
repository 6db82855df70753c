//! What is not ready is known to every daemon, by name, before it is needed; and CloudWatch hears how the fleet stands.

use std::time::Duration;

use failoverd::sim::fleet::{EU_WEST, REGIONS, Shop, SimulatedFleet, US_EAST, region};
use failoverd::sim::world::Series;
use failoverd_domain::fleet::Guard;
use failoverd_domain::health::readiness::{Verdict, names};
use failoverd_domain::route53::{Change, Policy, RecordSet, RecordType};

use crate::simulation::virtually;

const fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

async fn steady(seed: u64) -> SimulatedFleet {
    let mut fleet = SimulatedFleet::steady(seed, Shop::default()).await;
    fleet.run_for(seconds(90)).await;
    assert!(fleet.is_steady(), "{:#?}", fleet.judge.log());
    fleet
}

/// What every daemon holds of one check: verdict and reason.
fn seen(fleet: &SimulatedFleet, name: &str) -> Vec<(Verdict, String)> {
    let held = REGIONS.iter().filter_map(|at| {
        let checks = fleet.checks_at(&region(at));
        // Of several copies, what is wrong counts.
        checks.into_iter().filter(|check| check.name == name).max_by_key(|check| check.verdict)
    });
    held.map(|check| (check.verdict, check.reason)).collect()
}

fn everywhere(fleet: &SimulatedFleet, name: &str, verdict: Verdict, words: &str) -> bool {
    let seen = seen(fleet, name);
    seen.len() == REGIONS.len() && seen.iter().all(|(is, why)| *is == verdict && why.contains(words))
}

#[test]
fn a_fleet_as_it_should_be_says_so_everywhere() {
    virtually(1, async {
        let fleet = steady(1).await;
        for at in REGIONS {
            let checks = fleet.checks_at(&region(at));
            let wrong: Vec<_> =
                checks.iter().filter(|it| matches!(it.verdict, Verdict::NotReady | Verdict::Unknown)).collect();
            assert!(wrong.is_empty(), "{at}: {wrong:#?}");
            let asked = [
                names::REPLICA_PRESENT,
                names::HEADLESS,
                names::LAG_IN_BUDGET,
                names::VERSIONING,
                names::TABLE_KIND,
                names::ZONE_FOUND,
                names::HEALTH_CHECKS_PRESENT,
                names::HEALTH_CHECKS_AGREE,
                names::CHECK_QUOTA,
                names::RECORD_QUOTA,
                names::PERMISSIONS,
                names::RECORDS_DRIFT,
            ];
            for name in asked {
                assert!(checks.iter().any(|check| check.name == name), "{at} does not know {name}: {checks:#?}");
            }
            assert!(checks.iter().all(|check| check.age_ms < 120_000 || check.name == names::PERMISSIONS));
        }
    });
}

#[test]
fn a_headless_standby_is_named_before_it_is_needed() {
    virtually(2, async {
        let mut fleet = steady(2).await;
        fleet.aws.set_instances("checkout-global", &region(EU_WEST), 0);
        let known = |fleet: &SimulatedFleet| everywhere(fleet, names::HEADLESS, Verdict::NotReady, "checkout-euw1");
        assert!(fleet.until(seconds(30), known).await, "{:#?}", seen(&fleet, names::HEADLESS));
        let guards = fleet.guards_at(&region(US_EAST));
        let ready = guards.iter().find(|verdict| verdict.guard == Guard::StandbyReady).unwrap();
        assert!(!ready.ok && ready.reason.contains("headless"), "the guard follows from the check: {ready:?}");
    });
}

#[test]
fn a_role_that_may_not_is_named_by_the_daemon_that_has_it() {
    virtually(3, async {
        let fleet = {
            let mut fleet = SimulatedFleet::new(3, Shop::default()).await;
            fleet.aws.deny(&region(EU_WEST), "rds:FailoverGlobalCluster", true);
            fleet.apply_manifest().await;
            fleet.run_for(seconds(60)).await;
            fleet
        };
        let checks = fleet.checks_at(&region(US_EAST));
        let of = |at: &str| {
            let named = |check: &&failoverd_domain::health::SeenCheck| {
                check.name == names::PERMISSIONS && check.region == Some(region(at))
            };
            checks.iter().find(named).map(|check| (check.verdict, check.reason.clone())).unwrap()
        };
        assert_eq!(of(US_EAST).0, Verdict::Ready);
        let (verdict, reason) = of(EU_WEST);
        assert!(
            verdict == Verdict::NotReady && reason.contains("rds:FailoverGlobalCluster on arn:aws:rds"),
            "{reason}"
        );
    });
}

#[test]
fn a_record_that_somebody_else_changed_is_named_on_every_daemon() {
    virtually(4, async {
        let mut fleet = steady(4).await;
        let foreign = RecordSet {
            name: "api.example.com".to_owned(),
            record_type: RecordType::A,
            set_identifier: Some("us-east-1".to_owned()),
            policy: Policy::Failover { primary: true },
            ttl_s: Some(60),
            values: vec!["198.51.100.1".to_owned()],
            alias: None,
            health_check: None,
        };
        let ours = fleet.aws.with(|world| world.list_records("example.com")).unwrap();
        let ours = ours
            .into_iter()
            .find(|record| record.name == foreign.name && record.set_identifier == foreign.set_identifier);
        let changes = [Change::Delete(ours.unwrap()), Change::Create(foreign)];
        fleet.aws.with(|world| world.change_records("example.com", &changes)).unwrap();
        let known =
            |fleet: &SimulatedFleet| everywhere(fleet, names::RECORDS_DRIFT, Verdict::NotReady, "api.example.com");
        assert!(fleet.until(seconds(120), known).await, "{:#?}", seen(&fleet, names::RECORDS_DRIFT));
    });
}

#[test]
fn cloudwatch_hears_once_a_minute_how_the_fleet_stands() {
    virtually(6, async {
        let fleet = steady(6).await;
        let told = fleet.aws.with(|world| {
            let of =
                |at: &str| world.published(&region(at)).map(|(series, is)| (series.clone(), is)).collect::<Vec<_>>();
            REGIONS.iter().flat_map(|at| of(at)).collect::<Vec<_>>()
        });
        let value = |name: &str, dimension: &str| {
            let about =
                |series: &Series| series.name == name && series.dimensions.iter().any(|(_, is)| is == dimension);
            told.iter().find(|(series, _)| about(series)).map(|(_, is)| *is)
        };
        assert_eq!(value("Serving", US_EAST), Some(1.0), "{told:#?}");
        assert_eq!(value("Serving", EU_WEST), Some(0.0));
        assert_eq!(value("Settled", "checkout"), Some(1.0));
        assert_eq!(value("Survivable", US_EAST), Some(1.0));
    });
}
