//! The fleet itself is recovered from one daemon.

use super::fixture::*;
use crate::fleet::*;
use crate::ids::{Generation, Region};
use crate::plan::Mode;

fn recover(bench: &mut Bench) -> HistoryEvent {
    let index = bench.state.applied.next();
    let event = bench.state.recover(index, bench.now, &person(), &Region::from(EU));
    bench.events.push(event.clone());
    event
}

#[test]
fn a_generation_begins_with_automatic_action_off_and_an_unbroken_history() {
    let mut bench = Bench::serving();
    let before = bench.state.clone();
    let event = recover(&mut bench);
    assert_eq!((before.generation, bench.state.generation), (Generation(0), Generation(1)));
    assert!(bench.state.paused && !before.paused);
    assert_eq!((event.kind, event.actor.as_str()), (EventKind::Fleet, "operator:alice"));
    assert_eq!(verify_chain(&EventHead::default(), &bench.events), Ok(bench.state.head.clone()));
    assert_eq!((&bench.state.members, &bench.state.services), (&before.members, &before.services));
    assert_eq!(bench.state.applied, before.applied.next());
    bench.ok(person(), Command::Resume { service: None });
}

#[test]
fn a_run_that_was_under_way_waits_for_a_person_who_can_only_stop_it() {
    let (mut bench, run) = Bench::running();
    bench.step(&run, "fence/orders-db", done());
    let intent = bench.intent(&run, "promote/orders-db");
    bench.ok(daemon(), intent);
    let event = recover(&mut bench);
    assert!(event.message.contains(&format!("run {run} waits for a person")), "{}", event.message);
    assert_eq!(bench.run(&run).state, RunState::Paused);
    assert_eq!(bench.run(&run).progress(&"promote/orders-db".into()).state, StepState::Unknown);
    assert_eq!(bench.phase(), ServicePhase::Attention);
    let next = bench.intent(&run, "flip-switch");
    bench.refused(daemon(), next);
    bench.refused(person(), Command::Approve { run: run.clone() });
    bench.abort(&run);
    assert_eq!(bench.run(&run).state, RunState::Aborted);
    let attention = bench.shop().attention.clone().unwrap();
    assert!(attention.contains("point of no return"), "the promotion may have been made: {attention}");
}

#[test]
fn an_announced_run_does_not_start_by_itself() {
    let mut spec = shop();
    spec.policy.announce_ms = 20_000;
    let mut bench = Bench::serving_spec(spec);
    let run = bench.decide(bench.automatic());
    recover(&mut bench);
    bench.now = bench.now.plus_ms(20_001);
    bench.refused(daemon(), Command::Start { run: run.clone() });
    assert_eq!(bench.run(&run).state, RunState::AwaitingApproval);
    bench.abort(&run);
    let asked = bench.asked(Mode::Forced);
    bench.decide(asked);
}
