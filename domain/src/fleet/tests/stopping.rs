//! Abort: put back before the point of no return, stop and say where we are after it.

use super::fixture::*;
use crate::fleet::*;
use crate::ids::{Epoch, RunId};
use crate::plan::Mode;

/// A graceful run of a service without a single writer: everything in it can be put back.
fn without_promotion() -> (Bench, RunId) {
    let mut spec = shop();
    spec.data.remove(0);
    let mut bench = Bench::serving_spec(spec);
    let run = bench.decide(bench.asked(Mode::Graceful));
    (bench, run)
}

#[test]
fn a_run_that_has_not_begun_just_ends() {
    let mut spec = shop();
    spec.policy.announce_ms = 20_000;
    let mut bench = Bench::serving_spec(spec);
    let run = bench.decide(bench.automatic());
    bench.abort(&run);
    assert_eq!(bench.run(&run).state, RunState::Aborted);
    assert_eq!(bench.run(&run).verdict.as_deref(), Some("stopped before it began: stop it"));
    assert_eq!((bench.shop().epoch, bench.phase()), (Epoch(1), ServicePhase::Steady));
    let again = Command::Abort { run, reason: "again".into() };
    assert_eq!(bench.refused(person(), again), "RUN_CLOSED");
    assert_eq!(bench.refused(person(), Command::Abort { run: "x".into(), reason: String::new() }), "NO_SUCH_RUN");
}

#[test]
fn a_run_that_a_person_stopped_counts_for_cooldown_and_one_that_a_daemon_took_back_does_not() {
    let mut spec = shop();
    spec.policy.announce_ms = 20_000;
    for (actor, counts) in [(person(), true), (daemon(), false)] {
        let mut bench = Bench::serving_spec(spec.clone());
        let run = bench.decide(bench.automatic());
        bench.ok(actor, Command::Abort { run, reason: "enough".into() });
        assert_eq!(bench.shop().last_run_at.is_some(), counts);
    }
}

#[test]
fn before_the_point_of_no_return_everything_is_put_back() {
    let (mut bench, run) = Bench::running();
    bench.step(&run, "fence/orders-db", done());
    bench.abort(&run);
    assert_eq!(bench.run(&run).state, RunState::Aborted);
    assert_eq!(bench.run(&run).verdict.as_deref(), Some("put back: stop it; us-east-1 serves"));
    assert_eq!((bench.shop().epoch, bench.shop().chosen.as_str()), (Epoch(3), US), "chosen anew");
    assert_eq!((bench.serves(), bench.shop().attention.clone()), ((US.to_owned(), true), None));
    assert_eq!(bench.phase(), ServicePhase::Unsettled, "settlement lifts the fence");
    let stale = bench.intent(&run, "promote/orders-db");
    assert_eq!(bench.refused(daemon(), stale), "RUN_NOT_RUNNING");
}

#[test]
fn a_turned_switch_is_turned_back() {
    let (mut bench, run) = without_promotion();
    for step in ["drain/orders", "check-data/orders", "drain/media", "check-data/media", "flip-switch/shop"] {
        bench.step(&run, step, done());
    }
    assert_eq!(bench.serves(), (EU.to_owned(), false));
    bench.now = NOW.plus_ms(9_000);
    bench.abort(&run);
    assert_eq!(bench.serves(), (US.to_owned(), true));
    assert_eq!((bench.shop().epoch, bench.shop().chosen.as_str()), (Epoch(3), US));
    assert_eq!(bench.shop().primary_since, bench.now);
    let last: Vec<EventKind> = bench.kinds().into_iter().rev().take(3).collect();
    assert_eq!(last, [EventKind::Finished, EventKind::Switch, EventKind::AbortAsked]);
}

#[test]
fn a_paused_run_is_put_back_and_leaves_no_question_behind() {
    let (mut bench, run) = Bench::running();
    bench.step(&run, "fence/orders-db", failed());
    assert_eq!(bench.phase(), ServicePhase::Attention);
    bench.abort(&run);
    assert_eq!((bench.shop().attention.clone(), bench.phase()), (None, ServicePhase::Unsettled));
}

#[test]
fn after_the_point_of_no_return_it_stops_and_says_where_it_is() {
    let (mut bench, run) = Bench::running();
    bench.step(&run, "fence/orders-db", done());
    bench.step(&run, "promote/orders-db", done());
    bench.abort(&run);
    let ended = bench.run(&run);
    assert_eq!(ended.state, RunState::Aborted);
    let expected = "stopped after the point of no return (stop it); \
                    fence/orders-db succeeded, promote/orders-db succeeded";
    assert_eq!(ended.verdict.as_deref(), Some(expected));
    assert_eq!((bench.shop().epoch, bench.shop().chosen.as_str()), (Epoch(2), EU));
    assert_eq!(bench.phase(), ServicePhase::Attention);
    bench.settle();
    assert_eq!(bench.phase(), ServicePhase::Attention, "settling answers no question");
    let mut by_hand = bench.clone();
    let set = Command::SetSwitch { group: "shop".into(), region: EU.into(), on: true, run: None };
    by_hand.ok(person(), set);
    assert_eq!((by_hand.shop().attention.clone(), by_hand.phase()), (None, ServicePhase::Unsettled));
    let next = bench.decide(bench.asked(Mode::Forced));
    bench.finish(&next);
    assert_eq!((bench.shop().attention.clone(), bench.serves().0.as_str()), (None, EU));
}

#[test]
fn an_abort_waits_for_what_is_acting_and_for_nothing_else() {
    let (mut bench, run) = Bench::running();
    bench.step(&run, "fence/orders-db", done());
    let promote = bench.intent(&run, "promote/orders-db");
    bench.ok(daemon(), promote);
    bench.abort(&run);
    assert_eq!(bench.run(&run).state, RunState::Running);
    let next = bench.intent(&run, "check-data/orders");
    assert_eq!(bench.refused(daemon(), next), "RUN_NOT_RUNNING", "nothing begins any more");
    let outcome = bench.outcome(&run, "promote/orders-db", failed());
    bench.ok(daemon(), outcome);
    assert_eq!(bench.run(&run).verdict.as_deref(), Some("put back: stop it; us-east-1 serves"));
}

#[test]
fn an_abort_does_not_wait_for_what_nobody_can_tell() {
    let (mut bench, run) = Bench::running();
    bench.step(&run, "fence/orders-db", done());
    bench.step(&run, "promote/orders-db", unknown());
    bench.abort(&run);
    assert_eq!(bench.run(&run).state, RunState::Aborted);
    let verdict = bench.run(&run).verdict.clone().unwrap();
    assert!(verdict.ends_with("promote/orders-db unknown"), "{verdict}");
    assert_eq!(bench.phase(), ServicePhase::Attention);
}

#[test]
fn what_was_skipped_may_have_been_done_by_hand() {
    let (mut bench, run) = Bench::running();
    bench.step(&run, "fence/orders-db", done());
    bench.step(&run, "promote/orders-db", failed());
    bench.ok(person(), Command::Skip { run: run.clone(), step: "promote/orders-db".into() });
    bench.abort(&run);
    assert_eq!(bench.phase(), ServicePhase::Attention);
    assert_eq!(bench.shop().chosen.as_str(), EU, "not put back");
}

#[test]
fn an_abort_that_comes_too_late_changes_nothing() {
    let (mut bench, run) = Bench::running();
    let names: Vec<_> = bench.run(&run).plan.steps.iter().map(|step| step.name.clone()).collect();
    for step in &names[..names.len() - 1] {
        bench.step(&run, step.as_str(), done());
    }
    let intent = bench.intent(&run, "verify-answer/shop");
    bench.ok(daemon(), intent);
    bench.abort(&run);
    let outcome = bench.outcome(&run, "verify-answer/shop", done());
    bench.ok(daemon(), outcome);
    assert_eq!(bench.run(&run).state, RunState::Succeeded);
    assert_eq!(bench.run(&run).verdict.as_deref(), Some("shop serves from eu-west-1; too late to stop: stop it"));
    assert_eq!(bench.phase(), ServicePhase::Unsettled);
}
