//! Switches by hand and by a run, and settlement.

use super::fixture::*;
use crate::fleet::*;
use crate::ids::{Epoch, LogIndex, RunId};
use crate::plan::Mode;
use crate::service::{Pattern, ServiceSpec};

fn set(region: &str, on: bool, run: Option<&RunId>) -> Command {
    let run = run.map(|run| (run.clone(), "flip-switch/shop".into()));
    Command::SetSwitch { group: "shop".into(), region: region.into(), on, run }
}

fn settle_intent(epoch: u64) -> Command {
    Command::SettleIntent { service: "shop".into(), epoch: Epoch(epoch), work: vec!["swap roles".into()] }
}

fn settled(epoch: u64, spec_index: LogIndex) -> Command {
    Command::Settled { service: "shop".into(), epoch: Epoch(epoch), spec_index, seen: LogIndex(0) }
}

#[test]
fn by_hand_one_region_off_is_the_other_on() {
    for (region, on, serves) in [(US, false, EU), (EU, true, EU), (US, true, US), (EU, false, US)] {
        let mut bench = Bench::serving();
        bench.ok(person(), set(region, on, None));
        assert_eq!(bench.serves(), (serves.to_owned(), serves == US));
        let moved = serves != US;
        assert_eq!(bench.shop().chosen.as_str(), serves);
        assert_eq!(bench.shop().epoch, Epoch(if moved { 2 } else { 1 }));
        assert_eq!(bench.phase(), if moved { ServicePhase::Unsettled } else { ServicePhase::Steady });
        assert_eq!(bench.events.last().unwrap().actor, "operator:alice");
    }
}

#[test]
fn by_hand_what_does_not_exist_or_is_moving_is_refused() {
    let mut bench = Bench::serving();
    bench.ok(person(), apply(vec![ServiceSpec { name: "many".into(), pattern: Pattern::ActiveActive, ..shop() }]));
    let nowhere = Command::SetSwitch { group: "nowhere".into(), region: US.into(), on: true, run: None };
    assert_eq!(bench.refused(person(), nowhere), "NO_SUCH_SWITCH");
    assert_eq!(bench.refused(person(), set("mars-1", true, None)), "UNKNOWN_REGION");
    let run = bench.decide(bench.asked(Mode::Graceful));
    assert_eq!(bench.refused(person(), set(EU, true, None)), "RUN_OPEN");
    bench.abort(&run);
    bench.ok(person(), set(EU, true, None));
}

#[test]
fn a_run_turns_its_switch_only_while_its_flip_acts_and_only_to_its_target() {
    let (mut bench, run) = Bench::running();
    assert_eq!(bench.refused(daemon(), set(US, false, Some(&run))), "STALE_EPOCH", "before its turn");
    for step in
        ["fence/orders-db", "promote/orders-db", "check-data/orders-db", "check-data/orders", "check-data/media"]
    {
        bench.step(&run, step, done());
    }
    let intent = bench.intent(&run, "flip-switch/shop");
    bench.ok(daemon(), intent);
    assert_eq!(bench.refused(daemon(), set(US, false, Some(&"shop-9".into()))), "STALE_EPOCH");
    bench.ok(daemon(), set(US, false, Some(&run)));
    assert_eq!(bench.refused(daemon(), set(US, true, Some(&run))), "STALE_EPOCH", "not back again");
    bench.ok(daemon(), set(US, false, Some(&run)));
    assert_eq!(bench.serves(), (EU.to_owned(), false));
    let outcome = bench.outcome(&run, "flip-switch/shop", done());
    bench.ok(daemon(), outcome);
    assert_eq!(bench.refused(daemon(), set(US, false, Some(&run))), "STALE_EPOCH", "its flip has ended");
}

#[test]
fn a_run_that_was_asked_to_stop_turns_nothing() {
    let (mut bench, run) = Bench::running();
    for step in
        ["fence/orders-db", "promote/orders-db", "check-data/orders-db", "check-data/orders", "check-data/media"]
    {
        bench.step(&run, step, done());
    }
    let intent = bench.intent(&run, "flip-switch/shop");
    bench.ok(daemon(), intent);
    bench.abort(&run);
    assert_eq!(bench.refused(daemon(), set(US, false, Some(&run))), "STALE_EPOCH");
}

#[test]
fn settlement_yields_to_runs_and_to_newer_epochs() {
    let mut bench = Bench::serving();
    bench.ok(daemon(), settle_intent(1));
    assert_eq!(bench.shop().settlement.intent, Some(bench.state.applied));
    let run = bench.decide(bench.asked(Mode::Graceful));
    assert_eq!(bench.refused(daemon(), settle_intent(2)), "RUN_OPEN");
    bench.finish(&run);
    assert_eq!(bench.refused(daemon(), settle_intent(1)), "STALE_EPOCH");
    bench.ok(daemon(), settle_intent(2));
    let nobody = Command::SettleIntent { service: "nobody".into(), epoch: Epoch(1), work: vec![] };
    assert_eq!(bench.refused(daemon(), nobody), "NO_SUCH_SERVICE");
}

#[test]
fn settled_means_this_epoch_and_this_manifest() {
    let mut bench = Bench::serving();
    let run = bench.decide(bench.asked(Mode::Graceful));
    bench.finish(&run);
    let index = bench.shop().spec_index;
    assert_eq!(bench.refused(daemon(), settled(1, index)), "STALE_EPOCH");
    assert_eq!(bench.refused(daemon(), settled(2, index.next())), "STALE_EPOCH");
    assert_eq!(bench.phase(), ServicePhase::Unsettled);
    bench.ok(daemon(), settled(2, index));
    assert_eq!(bench.phase(), ServicePhase::Steady);
    assert_eq!(bench.events.last().unwrap().message, "shop settled: records and checks say that eu-west-1 serves");
    let events = bench.events.len();
    bench.ok(daemon(), settled(2, index));
    assert_eq!(bench.events.len(), events, "settling again is no news");
}

#[test]
fn each_snapshot_of_lost_writes_goes_on_record_once() {
    let mut bench = Bench::serving();
    let lost = |store: &str, snapshots: &[&str]| Command::LostWrites {
        service: "shop".into(),
        store: store.into(),
        region: US.into(),
        snapshots: snapshots.iter().map(|name| (*name).to_owned()).collect(),
    };
    let told = |bench: &Bench| bench.events.iter().filter(|event| event.kind == EventKind::LostWrites).count();
    bench.ok(daemon(), lost("orders-db", &["rds:unplanned-global-failover-a"]));
    bench.ok(daemon(), lost("orders-db", &["rds:unplanned-global-failover-a"]));
    assert_eq!(told(&bench), 1);
    bench.ok(daemon(), lost("orders-db", &["rds:unplanned-global-failover-a", "rds:unplanned-global-failover-b"]));
    let event = bench.events.last().unwrap();
    assert_eq!((told(&bench), event.region.as_ref().map(|at| at.as_str())), (2, Some(US)));
    assert!(event.message.ends_with("rds:unplanned-global-failover-b"), "{}", event.message);
    assert_eq!(bench.refused(daemon(), lost("no-such-store", &["x"])), "NO_SUCH_STORE");
}

#[test]
fn what_a_webhook_was_told_only_grows_until_it_begins_anew() {
    let mut bench = Bench::formed();
    let told = |seq| Command::Told { hook: "pager".into(), seq };
    bench.ok(daemon(), told(3));
    for seq in [1, 2, 3] {
        assert_eq!(bench.refused(daemon(), told(seq)), "ALREADY_TOLD");
    }
    bench.ok(daemon(), told(4));
    bench.ok(daemon(), told(0));
    bench.ok(daemon(), told(1));
}

/// What is asked before a daemon is stopped.
#[test]
fn daemons_stay_while_a_move_rests_on_them() {
    let (mut bench, run) = Bench::running();
    assert_eq!(bench.state.why_stay(), ["run shop-1 is moving shop"]);
    bench.finish(&run);
    let why = bench.state.why_stay();
    assert!(why.len() == 1 && why[0].contains("without daemons its traffic would go where epoch 1 had it"), "{why:?}");
    bench.settle();
    assert_eq!(bench.state.why_stay(), [] as [&str; 0]);
    // Another manifest under the same epoch changes no answer.
    bench.ok(person(), apply(vec![ServiceSpec { labels: [("tier".into(), "1".into())].into(), ..shop() }]));
    assert!(!bench.shop().is_settled());
    assert_eq!(bench.state.why_stay(), [] as [&str; 0]);
}
