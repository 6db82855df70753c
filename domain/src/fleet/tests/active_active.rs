//! Active-active services: a Region leaves, and comes back in waves.

use super::fixture::*;
use super::members::{FOURTH, enlist};
use super::settings::modern;
use crate::fleet::*;
use crate::health::{Report, SignalReading, Status, StoreReading};
use crate::ids::{Region, RunId};
use crate::plan::{Mode, Movement};
use crate::route53::{Location, RecordType};
use crate::service::{Automation, Endpoint, Freeze, Pattern, PublicRecord, Routing, ServiceSpec, Target};

/// Everybody is served where they are near; the first Region also has the default location, and the writer.
pub(super) fn many() -> ServiceSpec {
    let target = |address: &str, geo: Vec<Location>| Target {
        endpoint: Endpoint::Values(vec![address.into()]),
        geo,
        weight: None,
    };
    let east = target("192.0.2.10", vec![Location::Default, Location::Continent("NA".into())]);
    let west = target("192.0.2.20", vec![Location::Continent("EU".into())]);
    let mut spec = ServiceSpec { pattern: Pattern::ActiveActive, ..shop() };
    spec.traffic.records = vec![PublicRecord {
        name: "shop.example.com".into(),
        record_type: RecordType::A,
        routing: Routing::Geolocation,
        ttl_s: Some(30),
        targets: [(US.into(), east), (EU.into(), west)].into(),
    }];
    spec
}

/// Both Regions are healthy, and their copies ready.
pub(super) fn sound() -> Vec<Report> {
    let mut reports = healthy();
    for report in &mut reports {
        let there = report.stores.clone().into_iter();
        report.stores.extend(there.map(|reading| StoreReading { region: US.into(), ..reading }));
    }
    reports
}

/// A Region that left and came back in waves.
pub(super) fn came_back() -> Bench {
    let mut bench = serving();
    run(&mut bench, Movement::Evacuate, US, Mode::Graceful);
    bench.settle();
    run(&mut bench, Movement::Restore, US, Mode::Graceful);
    bench.settle();
    bench.now = bench.now.plus_ms(bench.shop().spec.policy.restore_pause_ms);
    for command in tick(bench.now, &bench.state, &bench.matrix(sound()), &view()) {
        bench.ok(daemon(), command);
    }
    bench.settle();
    bench
}

fn serving() -> Bench {
    Bench::serving_spec(many())
}

pub(super) fn ask(
    bench: &Bench,
    movement: Movement,
    region: &str,
    mode: Mode,
    seen: Vec<Report>,
) -> Result<Decision, Rejection> {
    let (from, to) = match movement {
        Movement::Restore => (None, Some(region.into())),
        _ => (Some(region.into()), None),
    };
    bench.propose(seen, &FailoverRequest { movement, from, to, ..by_person(mode) })
}

#[track_caller]
fn run(bench: &mut Bench, movement: Movement, region: &str, mode: Mode) -> RunId {
    let decision = ask(bench, movement, region, mode, sound()).unwrap();
    let id = bench.decide(decision);
    bench.finish(&id);
    assert_eq!(bench.run(&id).state, RunState::Succeeded);
    id
}

pub(super) fn serve(bench: &Bench) -> Vec<String> {
    bench.state.serving(bench.shop()).into_iter().map(Region::to_string).collect()
}

#[test]
fn the_switch_goes_off_first_and_the_writer_moves_if_it_was_there() {
    let mut bench = serving();
    let id = run(&mut bench, Movement::Evacuate, US, Mode::Graceful);
    let kinds: Vec<&str> = bench.run(&id).plan.steps.iter().map(|step| step.kind.word()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("flip-switch", "verify-answer"), "{kinds:?}");
    assert!(kinds.contains(&"promote"), "{kinds:?}");
    assert_eq!((serve(&bench), bench.shop().primary.as_str()), (vec![EU.to_owned()], EU));
    assert_eq!(bench.run(&id).verdict.as_deref(), Some("shop serves from us-east-1 no more"));

    // The other way round nothing is promoted: the writer is not there.
    let mut bench = serving();
    let id = run(&mut bench, Movement::Evacuate, EU, Mode::Graceful);
    assert!(bench.run(&id).plan.steps.iter().all(|step| step.kind.word() != "promote"));
    assert_eq!((serve(&bench), bench.shop().primary.as_str()), (vec![US.to_owned()], US));
}

#[test]
fn the_last_region_stays_and_what_has_left_cannot_leave_again() {
    let mut bench = serving();
    run(&mut bench, Movement::Evacuate, US, Mode::Graceful);
    bench.settle();
    let code = |bench: &Bench, movement, region: &str| {
        ask(bench, movement, region, Mode::Forced, sound()).map(|_| ()).unwrap_err().code
    };
    assert_eq!(code(&bench, Movement::Evacuate, EU), "LAST_SERVING_REGION");
    assert_eq!(code(&bench, Movement::Evacuate, US), "ALREADY_THERE");
    assert_eq!(code(&bench, Movement::Restore, EU), "ALREADY_THERE");
    assert_eq!(code(&bench, Movement::Failover, EU), "NOT_SUPPORTED");
    let off = Command::SetSwitch { group: "shop".into(), region: EU.into(), on: false, run: None };
    assert_eq!(bench.refused(person(), off), "LAST_SERVING_REGION");
}

#[test]
fn a_region_comes_back_in_waves_each_watched() {
    let mut bench = serving();
    run(&mut bench, Movement::Evacuate, US, Mode::Graceful);
    let early = ask(&bench, Movement::Restore, US, Mode::Graceful, sound()).map(|_| ()).unwrap_err();
    assert!(early.reason.contains("wait for settlement"), "{}", early.reason);
    bench.settle();
    let back = ask(&bench, Movement::Restore, US, Mode::Graceful, sound()).unwrap();
    assert_eq!(back.loss, vec![], "who comes back leaves nothing behind");
    run(&mut bench, Movement::Restore, US, Mode::Graceful);
    assert_eq!((serve(&bench).len(), bench.shop().primary.as_str()), (2, EU), "the writer stays where it went");
    assert_eq!(bench.state.returning(bench.shop()), Some((&Region::from(US), 1)));
    assert_eq!(bench.phase(), ServicePhase::Returning);

    let wave = |bench: &Bench, seen: Vec<Report>| tick(bench.now, &bench.state, &bench.matrix(seen), &view());
    assert_eq!(wave(&bench, sound()), vec![], "its records are not settled yet");
    bench.settle();
    assert_eq!(wave(&bench, sound()), vec![], "not watched for long enough yet");
    bench.now = bench.now.plus_ms(bench.shop().spec.policy.restore_pause_ms);
    let next = wave(&bench, sound());
    let [Command::Widen { share: 100, .. }] = next.as_slice() else { panic!("{next:?}") };
    bench.ok(person(), Command::Pause { service: Some("shop".into()) });
    assert_eq!(wave(&bench, sound()), vec![], "a pause holds waves too");
    bench.ok(person(), Command::Resume { service: Some("shop".into()) });
    let sick: Vec<Report> = FLEET.map(|observer| report(observer, Status::Bad)).to_vec();
    assert!(!wave(&bench, sick).iter().any(|command| matches!(command, Command::Widen { .. })));
    let epoch = bench.shop().epoch;
    bench.ok(daemon(), next[0].clone());
    assert!(bench.shop().epoch > epoch && !bench.shop().is_settled(), "records are to follow");
    assert_eq!(bench.refused(daemon(), next[0].clone()), "STALE_EPOCH");
    bench.settle();
    assert_eq!((bench.state.returning(bench.shop()), bench.phase()), (None, ServicePhase::Steady));
}

#[test]
fn forced_it_comes_back_at_once_and_put_back_it_never_left() {
    let mut bench = serving();
    run(&mut bench, Movement::Evacuate, US, Mode::Graceful);
    run(&mut bench, Movement::Restore, US, Mode::Forced);
    assert_eq!((serve(&bench).len(), bench.state.returning(bench.shop())), (2, None));

    // Half-way back, and put back when it was to leave again: it has what it had.
    let mut bench = serving();
    run(&mut bench, Movement::Evacuate, US, Mode::Graceful);
    bench.settle();
    run(&mut bench, Movement::Restore, US, Mode::Graceful);
    let decision = ask(&bench, Movement::Evacuate, US, Mode::Graceful, sound()).unwrap();
    let id = bench.decide(decision);
    bench.step(&id, "flip-switch/shop", done());
    assert_eq!(serve(&bench), [EU]);
    bench.abort(&id);
    assert_eq!((serve(&bench).len(), bench.state.returning(bench.shop())), (2, Some((&Region::from(US), 1))));

    let mut bench = serving();
    let decision = ask(&bench, Movement::Evacuate, US, Mode::Graceful, sound()).unwrap();
    let id = bench.decide(decision);
    bench.ok(person(), Command::Abort { run: id.clone(), reason: "no".into() });
    assert_eq!(bench.run(&id).verdict.as_deref(), Some("put back: no; us-east-1 serves"));
    assert_eq!((serve(&bench).len(), bench.state.returning(bench.shop())), (2, None));
}

#[test]
fn an_evacuation_that_was_stopped_half_way_is_finished_by_hand_before_anything_comes_back() {
    let mut bench = serving();
    let decision = ask(&bench, Movement::Evacuate, US, Mode::Graceful, sound()).unwrap();
    let id = bench.decide(decision);
    let steps = bench.run(&id).plan.steps.clone();
    let promote = steps.iter().position(|step| step.kind.word() == "promote").unwrap();
    for step in &steps[..=promote] {
        bench.step(&id, step.name.as_str(), done());
    }
    bench.abort(&id);
    assert_eq!((bench.phase(), serve(&bench)), (ServicePhase::Attention, vec![EU.to_owned()]));
    // Nothing settles now, so waiting for it would be waiting for ever.
    let refused = ask(&bench, Movement::Restore, US, Mode::Graceful, sound()).unwrap_err();
    assert!(refused.reason.contains("`failoverctl switch set shop us-east-1 on`"), "{refused}");
    bench.ok(person(), Command::SetSwitch { group: "shop".into(), region: US.into(), on: true, run: None });
    assert_eq!((bench.shop().primary.as_str(), serve(&bench).len()), (EU, 2));
    bench.settle();
    assert_eq!(bench.phase(), ServicePhase::Steady);
}

#[test]
fn a_proven_breach_evacuates_by_itself_where_the_manifest_says_so() {
    let mut spec = many();
    spec.policy.failover = Automation::Automatic;
    let bench = Bench::serving_spec(spec);
    let proposed = tick(bench.now, &bench.state, &bench.matrix(breach()), &view());
    let [Command::Decide(decision)] = proposed.as_slice() else { panic!("{proposed:?}") };
    let plan = &decision.plan;
    assert_eq!((plan.movement, plan.mode, plan.from.as_str()), (Movement::Evacuate, Mode::Forced, US));
}

#[test]
fn what_a_dead_region_that_is_not_primary_keeps_to_itself_is_not_called_nothing() {
    let bench = serving();
    let said = |mode| {
        let loss = ask(&bench, Movement::Evacuate, EU, mode, sound()).unwrap().loss;
        loss.into_iter().map(|loss| (loss.store.to_string(), loss.bound)).collect::<Vec<_>>()
    };
    let named = |bound| [("orders-db", Some(0)), ("orders", bound), ("media", bound)].map(|(s, b)| (s.to_owned(), b));
    assert_eq!(said(Mode::Forced), named(None), "only the writer stays where it is");
    assert_eq!(said(Mode::Graceful), named(Some(0)), "a living Region goes on replicating");
}

#[test]
fn taking_a_wave_back_waits_for_no_cooldown_and_a_freeze_holds_the_next() {
    let mut spec = many();
    (spec.policy.failover, spec.policy.cooldown_ms) = (Automation::Automatic, 3_600_000);
    spec.policy.freeze = vec![];
    let mut bench = Bench::serving_spec(spec.clone());
    run(&mut bench, Movement::Evacuate, US, Mode::Graceful);
    bench.settle();
    let elsewhere = tick(bench.now, &bench.state, &bench.matrix(breach()), &view());
    assert_eq!(elsewhere, vec![], "it is off");
    run(&mut bench, Movement::Restore, US, Mode::Graceful);
    let proposed = tick(bench.now, &bench.state, &bench.matrix(breach()), &view());
    let [Command::Decide(decision)] = proposed.as_slice() else { panic!("{proposed:?}") };
    assert_eq!((decision.plan.movement, decision.plan.from.as_str()), (Movement::Evacuate, US));

    // Whole again, the same breach waits.
    bench.settle();
    bench.now = bench.now.plus_ms(spec.policy.restore_pause_ms);
    let wave = tick(bench.now, &bench.state, &bench.matrix(sound()), &view());
    assert!(matches!(wave.as_slice(), [Command::Widen { .. }]), "{wave:?}");
    spec.policy.freeze = vec![Freeze { cron: "* * * * *".into(), duration_ms: 3_600_000, timezone: "UTC".into() }];
    let mut frozen = Bench { state: bench.state.clone(), ..Bench::serving_spec(spec.clone()) };
    frozen.now = bench.now;
    let held = frozen.state.services.get_mut("shop").unwrap();
    held.spec = std::sync::Arc::new(spec);
    assert_eq!(tick(frozen.now, &frozen.state, &frozen.matrix(sound()), &view()), vec![]);
    bench.ok(daemon(), wave[0].clone());
    bench.settle();
    assert_eq!(tick(bench.now, &bench.state, &bench.matrix(breach()), &view()), vec![], "cooldown");
}

#[test]
fn a_writer_in_a_region_that_was_switched_off_by_hand_can_still_be_moved() {
    let mut bench = serving();
    let turn = |on| Command::SetSwitch { group: "shop".into(), region: US.into(), on, run: None };
    bench.ok(person(), turn(false));
    run(&mut bench, Movement::Evacuate, US, Mode::Graceful);
    assert_eq!(bench.shop().primary.as_str(), EU);

    // On again before anything was written it has what it had; afterwards it comes back in waves.
    for (written, share) in [(false, 100), (true, 1)] {
        let mut bench = serving();
        bench.ok(person(), turn(false));
        if written {
            let epoch = bench.shop().epoch;
            bench.ok(daemon(), Command::SettleIntent { service: "shop".into(), epoch, work: vec![] });
        }
        bench.ok(person(), turn(true));
        assert_eq!(bench.state.share(bench.shop(), &US.into()), Some(share), "{written}");
    }
}

#[test]
fn who_follows_another_is_to_leave_a_region_after_it() {
    let mut bench = Bench::serving_spec(ServiceSpec { follows: Some("cart".into()), ..many() });
    bench.ok(person(), apply(vec![ServiceSpec { name: "cart".into(), ..shop() }]));
    let says = |region| {
        let decision = ask(&bench, Movement::Evacuate, region, Mode::Graceful, sound()).unwrap();
        let verdict = decision.guards.into_iter().find(|verdict| verdict.guard == Guard::Follows).unwrap();
        (verdict.ok, verdict.reason)
    };
    assert_eq!(says(US), (false, "cart, which it follows, still serves from us-east-1".to_owned()));
    assert_eq!(says(EU), (true, "cart serves from us-east-1 already".to_owned()));
}

#[test]
fn a_region_without_the_writer_leaves_and_one_whose_service_has_no_writer_leaves_too() {
    let mut bench = serving();
    run(&mut bench, Movement::Evacuate, EU, Mode::Graceful);
    assert_eq!(bench.shop().primary.as_str(), US, "the writer stays where it is");
    let mut without = many();
    without.data.remove(0);
    let mut bench = Bench::serving_spec(without);
    run(&mut bench, Movement::Evacuate, US, Mode::Graceful);
    let serving = bench.state.serving(bench.shop());
    assert_eq!(serving.into_iter().map(Region::as_str).collect::<Vec<_>>(), [EU]);
}

#[test]
fn a_region_comes_back_beside_the_one_where_is_written() {
    let mut spec = many();
    spec.data.clear();
    spec.regions.push(FOURTH.into());
    let mut bench = modern(Bench::formed());
    bench.ok(person(), enlist(FOURTH, Role::Member));
    bench.ok(person(), apply(vec![spec]));
    bench.settle();
    let written_in = |bench: &mut Bench, region: &str| {
        let service = bench.state.services.get_mut("shop").unwrap();
        (service.primary, service.chosen) = (region.into(), region.into());
    };
    // Nor does anything move that need not: who leaves leaves it where it is written, unless somebody says otherwise.
    let leaves = |bench: &Bench, from: &str, to: Option<&str>| {
        let request = FailoverRequest {
            movement: Movement::Evacuate,
            from: Some(from.into()),
            to: to.map(Into::into),
            ..by_person(Mode::Graceful)
        };
        bench.propose(sound(), &request).map(|decision| decision.plan.to.to_string()).map_err(|refused| refused.code)
    };
    for writes in [US, EU] {
        written_in(&mut bench, writes);
        assert_eq!(leaves(&bench, FOURTH, None).as_deref(), Ok(writes));
        assert_eq!(leaves(&bench, FOURTH, Some(EU)).as_deref(), Ok(EU));
    }
    assert_eq!(leaves(&bench, EU, None).as_deref(), Ok(US), "the first that is well");
    bench.ok(person(), Command::SetSwitch { group: "shop".into(), region: FOURTH.into(), on: false, run: None });
    bench.settle();
    assert_eq!(bench.state.first_away(bench.shop()), Some(&Region::from(FOURTH)));
    assert_eq!(leaves(&bench, US, Some(FOURTH)), Err("NO_STANDBY".to_owned()), "it serves nobody");
    for (writes, seen_from) in [(US, US), (EU, EU)] {
        written_in(&mut bench, writes);
        let reports = sound().into_iter().map(|mut report| {
            let there = report.signals.clone().into_iter().filter(|signal| signal.region.as_str() == EU);
            let there: Vec<_> = there.map(|signal| SignalReading { region: FOURTH.into(), ..signal }).collect();
            report.signals.extend(there);
            report
        });
        let back = ask(&bench, Movement::Restore, FOURTH, Mode::Graceful, reports.collect()).unwrap();
        assert_eq!((back.plan.from.as_str(), back.plan.to.as_str()), (seen_from, FOURTH));
    }
}

#[test]
fn a_region_that_does_not_serve_takes_nobody_in() {
    let bench = serving();
    let mut decision = ask(&bench, Movement::Evacuate, EU, Mode::Graceful, sound()).unwrap();
    decision.plan.to = WITNESS.into();
    assert_eq!(bench.clone().refused(person(), Command::Decide(Box::new(decision))), "STALE_PLAN");
}
