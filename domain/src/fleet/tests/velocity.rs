//! How much moves by itself: all of one dead Region, and then a person is asked.

use super::fixture::*;
use super::settings::{agreed, modern, settings};
use crate::fleet::*;
use crate::health::{Report, Status};
use crate::ids::{Region, RunId, ServiceName};
use crate::plan::Mode;
use crate::service::ServiceSpec;

const HOUR_MS: u64 = 3_600_000;

/// `shop` and `cart` serve from us-east-1, `back` from eu-west-1.
fn three(velocity: Option<Velocity>, announce_ms: u64) -> Bench {
    let mut bench = Bench::serving();
    let like = |name: &str, home: &str| {
        let mut spec = ServiceSpec { name: name.into(), ..shop() };
        // Stores belong to one service, and none is needed here.
        spec.data.clear();
        spec.policy.announce_ms = announce_ms;
        if home == EU {
            spec.regions.reverse();
        }
        spec
    };
    bench.ok(person(), apply(vec![like("cart", US), like("back", EU)]));
    for name in ["cart", "back"] {
        let service = &bench.state.services[&ServiceName::from(name)];
        let (service, epoch, spec_index) = (service.spec.name.clone(), service.epoch, service.spec_index);
        bench.ok(daemon(), Command::Settled { service, epoch, spec_index, seen: index(0) });
    }
    agreed(bench, FleetSettings { velocity, ..settings() })
}

fn one_region() -> Option<Velocity> {
    Some(Velocity { window_ms: HOUR_MS, regions: 1, services: None })
}

/// Every service is bad in that Region and good in the other.
fn lost(region: &str) -> Vec<Report> {
    let observers = FLEET.into_iter().filter(|observer| *observer != region);
    let one = |observer: &str| {
        let mut report = report(observer, Status::Bad);
        for signal in &mut report.signals {
            let is_bad = signal.region.as_str() == region;
            (signal.status, signal.breached) = if is_bad { (Status::Bad, true) } else { (Status::Good, false) };
        }
        report.stores.clear();
        report.route53.iter_mut().for_each(|word| word.region = region.into());
        let of_shop = (report.signals.clone(), report.route53.clone());
        for name in ["cart", "back"] {
            report.signals.extend(of_shop.0.iter().cloned().map(|signal| SignalOf(name).of(signal)));
            report.route53.extend(of_shop.1.iter().cloned().map(|mut word| {
                word.service = name.into();
                word
            }));
        }
        report
    };
    observers.map(one).collect()
}

struct SignalOf(&'static str);

impl SignalOf {
    fn of(&self, mut signal: crate::health::SignalReading) -> crate::health::SignalReading {
        signal.service = self.0.into();
        signal
    }
}

fn decisions(bench: &Bench, reports: Vec<Report>) -> Vec<Decision> {
    let commands = tick(bench.now, &bench.state, &bench.matrix(reports), &view());
    let decision = |command| match command {
        Command::Decide(decision) => Some(*decision),
        _ => None,
    };
    commands.into_iter().filter_map(decision).collect()
}

fn names(decisions: &[Decision]) -> Vec<(String, bool)> {
    decisions.iter().map(|one| (one.plan.service.to_string(), one.needs_approval)).collect()
}

fn said(decision: &Decision) -> (bool, Severity, String) {
    let verdict = decision.guards.iter().find(|verdict| verdict.guard == Guard::Velocity).expect("asked");
    (verdict.ok, verdict.severity, verdict.reason.clone())
}

/// `cart` leaves us-east-1 by itself.
fn cart_left(bench: &mut Bench) -> RunId {
    let decision = decisions(bench, lost(US)).into_iter().find(|one| one.plan.service.as_str() == "cart").unwrap();
    let run = bench.decide(decision);
    bench.finish(&run);
    run
}

#[test]
fn every_service_of_one_dead_region_may_leave_it() {
    let mut bench = three(one_region(), 0);
    let mut left = Vec::new();
    for _ in 0..2 {
        let next = decisions(&bench, lost(US)).into_iter().find(|one| one.plan.service.as_str() == "cart");
        let Some(decision) = next else { break };
        assert!(!decision.needs_approval, "{:?}", said(&decision));
        left.push(decision.plan.service.to_string());
        let run = bench.decide(decision);
        bench.finish(&run);
    }
    assert_eq!(left, ["cart"]);
    let shop = bench.state.velocity(bench.now, bench.shop(), &US.into()).unwrap();
    assert_eq!(shop.unwrap(), "1 service(s) have left us-east-1 in the last 3600 s");
}

#[test]
fn a_second_region_within_the_window_waits_for_a_person_and_after_it_does_not() {
    let mut bench = three(one_region(), 0);
    cart_left(&mut bench);
    bench.now = bench.now.plus_ms(60_000);
    let asked = decisions(&bench, lost(EU));
    assert_eq!(names(&asked), [("back".to_owned(), true), ("cart".to_owned(), true)]);
    let why = "us-east-1 was left by 1 service(s) in the last 3600 s, by themselves: a move out of eu-west-1 too needs a person";
    assert_eq!(said(&asked[0]), (false, Severity::NeedsApproval, why.to_owned()));
    // It is a question, and a person's yes is an answer.
    let run = bench.decide(asked[0].clone());
    assert_eq!(bench.run(&run).state, RunState::AwaitingApproval);
    bench.ok(person(), Command::Approve { run: run.clone() });
    assert_eq!(bench.run(&run).state, RunState::Running);
    // What a person approved does not open the way for more.
    assert!(!bench.state.departures.contains_key(&Region::from(EU)));

    let mut bench = three(one_region(), 0);
    cart_left(&mut bench);
    bench.now = bench.now.plus_ms(HOUR_MS);
    assert!(decisions(&bench, lost(EU)).iter().all(|one| !one.needs_approval && said(one).0));
}

#[test]
fn whoever_proposes_it_too_much_is_refused_when_it_is_applied() {
    let bench = three(one_region(), 0);
    let earlier = decisions(&bench, lost(EU)).into_iter().find(|one| one.plan.service.as_str() == "back").unwrap();
    assert!(!earlier.needs_approval, "it was made before anything moved");
    let mut bench = bench;
    cart_left(&mut bench);
    assert_eq!(bench.refused(daemon(), Command::Decide(Box::new(earlier.clone()))), "VELOCITY");
    // A guard that says yes all the same proves nothing.
    assert!(said(&earlier).0);
}

#[test]
fn an_announced_move_is_taken_back_when_another_region_was_left_meanwhile() {
    let mut bench = three(one_region(), 20_000);
    let back = decisions(&bench, lost(EU)).into_iter().find(|one| one.plan.service.as_str() == "back").unwrap();
    let back = bench.decide(back);
    let cart = decisions(&bench, lost(US)).into_iter().find(|one| one.plan.service.as_str() == "cart").unwrap();
    let cart = bench.decide(cart);
    bench.now = bench.now.plus_ms(20_000);
    bench.ok(daemon(), Command::Start { run: cart });
    assert_eq!(bench.refused(daemon(), Command::Start { run: back.clone() }), "VELOCITY");
    let reports = lost(EU);
    let tended = tick(bench.now, &bench.state, &bench.matrix(reports), &view());
    let aborted = tended.iter().find_map(|command| match command {
        Command::Abort { run, reason } if *run == back => Some(reason.clone()),
        _ => None,
    });
    assert!(aborted.unwrap().starts_with("guard velocity says no by now: us-east-1 was left"));
}

#[test]
fn so_many_services_and_no_more_where_that_is_agreed() {
    let limit = Velocity { window_ms: HOUR_MS, regions: 1, services: Some(1) };
    let mut bench = three(Some(limit), 0);
    cart_left(&mut bench);
    let why = bench.state.velocity(bench.now, bench.shop(), &US.into()).unwrap().unwrap_err();
    assert_eq!(why, "1 service(s) have moved by themselves in the last 3600 s, of 1 that may: more need a person");
    // The same one again is not one more.
    let cart = &bench.state.services[&ServiceName::from("cart")];
    assert!(bench.state.velocity(bench.now, cart, &US.into()).unwrap().is_ok());
}

#[test]
fn people_are_told_and_not_held_and_what_they_move_counts_for_nothing() {
    let mut bench = three(one_region(), 0);
    cart_left(&mut bench);
    let request = FailoverRequest { service: "back".into(), ..by_person(Mode::Forced) };
    let decision = bench.propose(lost(EU), &request).unwrap();
    let (ok, severity, reason) = said(&decision);
    assert_eq!((ok, severity), (false, Severity::Informs), "{reason}");
    let run = bench.decide(decision);
    assert_eq!(bench.run(&run).state, RunState::Running);
    assert_eq!(bench.state.departures.keys().map(Region::as_str).collect::<Vec<_>>(), [US]);
}

#[test]
fn without_a_limit_nobody_is_asked() {
    let mut bench = three(None, 0);
    cart_left(&mut bench);
    let moves = decisions(&bench, lost(EU));
    assert_eq!(names(&moves), [("back".to_owned(), false), ("cart".to_owned(), false)]);
    assert!(moves.iter().all(|one| one.guards.iter().all(|verdict| verdict.guard != Guard::Velocity)));
}

#[test]
fn what_is_remembered_survives_a_restart_and_ends() {
    let mut bench = three(one_region(), 0);
    cart_left(&mut bench);
    let text = serde_json::to_string(&bench.state).unwrap();
    assert_eq!(serde_json::from_str::<FleetState>(&text).unwrap(), bench.state);
    let departed = bench.state.departures.clone();
    assert_eq!(departed.values().map(|services| services.len()).sum::<usize>(), 1);
    bench.now = bench.now.plus_ms(MOST_WINDOW_MS);
    let decision = decisions(&bench, lost(EU)).into_iter().find(|one| one.plan.service.as_str() == "back").unwrap();
    bench.decide(decision);
    assert_eq!(bench.state.departures.keys().map(Region::as_str).collect::<Vec<_>>(), [EU], "a day later nobody asks");
}

#[test]
fn each_region_that_was_left_is_remembered_for_itself() {
    let mut bench = three(Some(Velocity { window_ms: HOUR_MS, regions: 2, services: None }), 0);
    cart_left(&mut bench);
    bench.now = bench.now.plus_ms(60_000);
    let back = decisions(&bench, lost(EU)).into_iter().find(|one| one.plan.service.as_str() == "back").unwrap();
    bench.decide(back);
    assert_eq!(bench.state.departures.keys().map(Region::as_str).collect::<Vec<_>>(), [EU, US]);
    // Neither is new, so more may leave them both.
    for region in [EU, US] {
        assert!(bench.state.velocity(bench.now, bench.shop(), &region.into()).unwrap().is_ok());
    }
    assert!(bench.state.velocity(bench.now, bench.shop(), &WITNESS.into()).unwrap().is_err());
}

#[test]
fn a_forecast_says_who_would_be_asked() {
    let mut bench = three(one_region(), 0);
    cart_left(&mut bench);
    let forecasts =
        what_if_region_vanishes(bench.now, &bench.state, &bench.matrix(lost("nowhere")), &view(), &EU.into());
    let back = forecasts.iter().find(|one| one.service.as_str() == "back").unwrap();
    assert_eq!(back.outcome, ForecastOutcome::AsksForApproval, "{}", back.reason);
    assert!(back.reason.starts_with("velocity: us-east-1 was left by 1 service(s)"), "{}", back.reason);
}

#[test]
fn an_older_fleet_remembers_nothing_that_its_daemons_could_not_read() {
    let mut bench = Bench::serving();
    let run = bench.decide(bench.automatic());
    bench.finish(&run);
    assert!(bench.state.departures.is_empty());
    let mut bench = modern(Bench::serving());
    bench.decide(bench.automatic());
    assert_eq!(bench.state.departures.len(), 1);
}
