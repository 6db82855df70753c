//! The off switch: fleet-wide, it holds whatever nobody asks for at that moment, and nothing that a person does.

use super::active_active::{ask as ask_many, many, sound};
use super::fixture::*;
use super::settings::modern;
use crate::fleet::*;
use crate::ids::ServiceName;
use crate::plan::{Mode, Movement};

fn paused(mut bench: Bench) -> Bench {
    bench.ok(person(), Command::Pause { service: None });
    bench
}

fn proposals(bench: &Bench, reports: Vec<crate::health::Report>) -> Vec<Command> {
    tick(bench.now, &bench.state, &bench.matrix(reports), &view())
}

#[test]
fn a_breach_moves_nothing_and_one_that_was_decided_before_comes_too_late() {
    let bench = modern(Bench::serving());
    let before = bench.automatic();
    let mut bench = paused(bench);
    assert_eq!(proposals(&bench, breach()), vec![]);
    assert_eq!(bench.refused(daemon(), Command::Decide(Box::new(before))), "PAUSED");
}

#[test]
fn a_service_that_was_to_come_home_waits_and_comes_when_it_is_resumed() {
    let mut bench = modern(Bench::serving());
    let run = bench.decide(bench.asked(Mode::Forced));
    bench.finish(&run);
    bench.settle();
    bench.ok(person(), Command::AskReturn { service: "shop".into(), reason: "home".into() });
    let way_home = proposals(&bench, sound());
    let [Command::Decide(decision)] = way_home.as_slice() else { panic!("{way_home:?}") };
    assert_eq!((decision.trigger, decision.plan.to.as_str()), (Trigger::Operator, US));
    let mut held = paused(bench.clone());
    assert_eq!(proposals(&held, sound()), vec![]);
    assert_eq!(held.refused(daemon(), way_home[0].clone()), "PAUSED", "one that was under way");
    assert!(held.shop().way_back.is_some(), "the wish stays");
    held.ok(person(), Command::Resume { service: None });
    assert_eq!(proposals(&held, sound()).len(), 1);
}

#[test]
fn a_region_that_comes_back_gets_no_more_of_its_traffic() {
    let mut bench = modern(Bench::serving_spec(many()));
    for movement in [Movement::Evacuate, Movement::Restore] {
        let decision = ask_many(&bench, movement, US, Mode::Graceful, sound()).unwrap();
        let run = bench.decide(decision);
        bench.finish(&run);
        bench.settle();
    }
    bench.now = bench.now.plus_ms(bench.shop().spec.policy.restore_pause_ms);
    let wave = proposals(&bench, sound());
    assert!(matches!(wave.as_slice(), [Command::Widen { .. }]), "{wave:?}");
    let mut held = paused(bench);
    assert_eq!(proposals(&held, sound()), vec![]);
    assert_eq!(held.refused(daemon(), wave[0].clone()), "PAUSED", "one that was under way");
    held.ok(person(), Command::Resume { service: None });
    held.ok(daemon(), wave[0].clone());
}

#[test]
fn people_are_not_held_neither_forced_nor_gracefully_and_are_told() {
    for mode in [Mode::Graceful, Mode::Forced] {
        let mut bench = paused(modern(Bench::serving()));
        let decision = bench.asked(mode);
        let told = decision.guards.iter().find(|verdict| verdict.guard == Guard::NotPaused).unwrap();
        assert_eq!((told.ok, told.severity), (false, Severity::Informs));
        assert_eq!(told.reason, "automatic action is paused for the whole fleet");
        let run = bench.decide(decision);
        assert_eq!(bench.run(&run).state, RunState::Running);
        bench.finish(&run);
        assert_eq!(bench.serves().0, EU);
    }
}

#[test]
fn it_survives_restarts_and_every_leader() {
    let bench = paused(modern(Bench::serving()));
    let text = serde_json::to_string(&bench.state).unwrap();
    let again: FleetState = serde_json::from_str(&text).unwrap();
    assert!(again.paused && again.is_paused(&ServiceName::from("shop")));
    // The log says the same as the snapshot.
    let mut replayed = FleetState::default();
    for entry in &bench.entries {
        replayed.apply(replayed.applied.next(), entry);
    }
    assert_eq!(replayed, again);
}

/// Builds of the first format let an announced move of a drill begin in a pause; daemons of both must make the same of an
/// entry as long as one of them may be in the fleet.
#[test]
fn an_announced_move_of_a_drill_is_held_once_every_daemon_holds_it() {
    for (is_modern, holds) in [(false, false), (true, true)] {
        let mut spec = shop();
        spec.policy.announce_ms = 20_000;
        let bench = Bench::serving_spec(spec);
        let mut bench = paused(if is_modern { modern(bench) } else { bench });
        bench.ok(person(), Command::Resume { service: None });
        let run = bench.decide(bench.automatic());
        bench.state.runs.get_mut(&run).unwrap().trigger = Trigger::Drill;
        bench.ok(person(), Command::Pause { service: None });
        bench.now = NOW.plus_ms(20_000);
        let started = bench.put(daemon(), Command::Start { run }).result.map_err(|refused| refused.code);
        assert_eq!(started.is_err(), holds, "{started:?}");
    }
}
