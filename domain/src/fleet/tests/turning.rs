//! Bits of several Regions: who may turn and widen them, and what that changes.

use super::active_active::{ask, many, serve, sound};
use super::fixture::*;
use crate::fleet::*;
use crate::ids::{Epoch, RunId};
use crate::plan::{Mode, Movement};
use crate::service::ServiceSpec;

const FLIP: &str = "flip-switch/shop";

fn turn(region: &str, on: bool, run: Option<&RunId>) -> Command {
    let run = run.map(|run| (run.clone(), FLIP.into()));
    Command::SetSwitch { group: "shop".into(), region: region.into(), on, run }
}

fn widen(region: &str, epoch: Epoch, share: u8) -> Command {
    Command::Widen { service: "shop".into(), region: region.into(), epoch, share }
}

fn begin(bench: &mut Bench, movement: Movement, region: &str) -> RunId {
    let decision = ask(bench, movement, region, Mode::Graceful, sound()).unwrap();
    bench.decide(decision)
}

/// us-east-1 has left, and the records say so.
fn left() -> Bench {
    let mut bench = Bench::serving_spec(many());
    let run = begin(&mut bench, Movement::Evacuate, US);
    bench.finish(&run);
    bench.settle();
    bench
}

/// Everything of a run that comes before its switch, which then acts.
fn up_to_the_switch(bench: &mut Bench, run: &RunId) {
    let steps: Vec<String> = bench.run(run).plan.steps.iter().map(|step| step.name.to_string()).collect();
    for step in steps.iter().take_while(|step| *step != FLIP) {
        bench.step(run, step, done());
    }
    let intent = bench.intent(run, FLIP);
    bench.ok(daemon(), intent);
}

#[test]
fn a_run_turns_the_bit_of_its_region_its_own_way_and_no_other() {
    for (movement, wrong, right) in [
        (Movement::Evacuate, [(EU, false), (US, true)], (US, false)),
        (Movement::Restore, [(EU, true), (US, false)], (US, true)),
    ] {
        let mut bench = if movement == Movement::Restore { left() } else { Bench::serving_spec(many()) };
        let run = begin(&mut bench, movement, US);
        up_to_the_switch(&mut bench, &run);
        for (region, on) in wrong {
            assert_eq!(bench.refused(daemon(), turn(region, on, Some(&run))), "STALE_EPOCH", "{movement:?} {region}");
        }
        bench.ok(daemon(), turn(right.0, right.1, Some(&run)));
    }
}

#[test]
fn by_hand_a_bit_that_changes_voids_what_is_being_written_and_one_that_does_not_changes_nothing() {
    let mut bench = Bench::serving_spec(many());
    let first = bench.shop().epoch;
    for (on, epoch) in [(true, first), (false, first.next()), (false, first.next()), (true, first.next().next())] {
        bench.ok(person(), turn(US, on, None));
        assert_eq!(bench.shop().epoch, epoch, "{on}");
    }
    // On already, whatever was written since.
    let epoch = bench.shop().epoch;
    bench.ok(daemon(), Command::SettleIntent { service: "shop".into(), epoch, work: vec![] });
    bench.ok(person(), turn(US, true, None));
    assert_eq!(bench.state.share(bench.shop(), &US.into()), Some(WHOLE_SHARE));
}

#[test]
fn a_region_that_came_back_is_taken_off_again_when_its_run_is_stopped() {
    let mut bench = left();
    let run = begin(&mut bench, Movement::Restore, US);
    up_to_the_switch(&mut bench, &run);
    bench.turn(&run, FLIP);
    let outcome = bench.outcome(&run, FLIP, done());
    bench.ok(daemon(), outcome);
    assert_eq!(serve(&bench), [US, EU]);
    bench.abort(&run);
    assert_eq!(serve(&bench), [EU]);
    assert_eq!(bench.run(&run).verdict.as_deref(), Some("put back: stop it; us-east-1 does not serve"));
}

#[test]
fn a_wave_is_the_next_one_of_a_region_that_comes_back_under_the_epoch_of_its_records() {
    let mut bench = left();
    assert_eq!(bench.refused(daemon(), widen(US, bench.shop().epoch, 100)), "STALE_WAVE", "it is off");
    let run = begin(&mut bench, Movement::Restore, US);
    bench.finish(&run);
    let epoch = bench.shop().epoch;
    assert_eq!(bench.refused(daemon(), widen(US, epoch, 100)), "STALE_EPOCH", "its records are not there yet");
    bench.settle();
    for other in [Epoch(epoch.0 - 1), epoch.next()] {
        assert_eq!(bench.refused(daemon(), widen(US, other, 100)), "STALE_EPOCH");
    }
    assert_eq!(bench.refused(daemon(), widen(US, epoch, 50)), "STALE_WAVE", "no location comes with it");
    assert_eq!(bench.refused(daemon(), widen(EU, epoch, 100)), "STALE_WAVE", "it has everything");
    assert_eq!(bench.refused(daemon(), widen(WITNESS, epoch, 100)), "STALE_WAVE");
    bench.ok(daemon(), widen(US, epoch, 100));
}

#[test]
fn who_serves_has_all_its_traffic_unless_it_is_said_and_a_pair_has_no_parts() {
    let bench = Bench::serving_spec(many());
    assert_eq!(bench.state.share(bench.shop(), &US.into()), Some(WHOLE_SHARE));
    let mut bit = serde_json::to_value(&bench.state.switches["shop"].bits[US]).unwrap();
    bit.as_object_mut().unwrap().remove("share").unwrap();
    let read: Bit = serde_json::from_value(bit).unwrap();
    assert_eq!(read.share, WHOLE_SHARE, "as an older state has it");
    let pair = Bench::serving();
    assert_eq!(pair.state.share(pair.shop(), &US.into()), None);
}

#[test]
fn what_is_forgotten_of_one_service_is_its_own() {
    let mut bench = Bench::serving();
    bench.ok(person(), apply(vec![ServiceSpec { name: "cart".into(), data: vec![], ..shop() }]));
    let first = bench.decide(bench.asked(Mode::Graceful));
    bench.abort(&first);
    // One of another service, older than any of the rest.
    let oldest = RunId::from("cart-1");
    let of_cart = Run { id: oldest.clone(), service: "cart".into(), ..bench.state.runs.remove(&first).unwrap() };
    bench.state.runs.insert(oldest.clone(), of_cart);
    let mut own = Vec::new();
    for _ in 0..5 {
        let run = bench.decide(bench.asked(Mode::Graceful));
        bench.abort(&run);
        own.push(run);
    }
    let kept: Vec<&RunId> = bench.state.runs.keys().collect();
    assert_eq!(kept, [&oldest, &own[2], &own[3], &own[4]]);
}
