//! Drills on whole fleets, on virtual time: they come back whatever happens on the way.

use failoverd::sim::fleet::{EU_WEST, SERVICE, Shop, SimulatedFleet, US_EAST, US_WEST, region};
use failoverd_domain::drill::{DrillPhase, DrillRun, DrillVerdict};
use failoverd_domain::fleet::{Command, EventKind, RunState, Trigger};

use crate::outages::{holds, newest_run, seconds, steady};
use crate::simulation::virtually;

/// The newest execution of a drill.
fn execution(fleet: &SimulatedFleet) -> Option<DrillRun> {
    fleet.state().drill_runs.values().max_by_key(|run| run.opened_at).cloned()
}

fn is_in(fleet: &SimulatedFleet, phase: DrillPhase) -> bool {
    execution(fleet).is_some_and(|run| run.phase == phase)
}

fn events(fleet: &SimulatedFleet, kind: EventKind) -> usize {
    fleet.judge.with_events(|events| events.iter().filter(|event| event.kind == kind).count())
}

async fn open(fleet: &SimulatedFleet, drill: &str) {
    let opened = fleet.ask(Command::OpenDrill { drill: drill.into(), scheduled_for: None }).await;
    holds(fleet, opened.is_ok(), &format!("the drill is opened: {opened:?}"));
}

async fn until_phase(fleet: &mut SimulatedFleet, phase: DrillPhase) {
    let there = fleet.until(seconds(300), |fleet| is_in(fleet, phase)).await;
    let run = execution(fleet);
    holds(fleet, there, &format!("the drill comes to be {}: {run:#?}", phase.word()));
}

/// One clean record, and a service that is where it was.
async fn is_over_and_home(fleet: &mut SimulatedFleet, verdict: DrillVerdict) -> DrillRun {
    until_phase(fleet, DrillPhase::Closed).await;
    let run = execution(fleet).unwrap();
    holds(fleet, run.verdict == Some(verdict), &format!("{run:#?}"));
    let rests = fleet.until(seconds(180), |fleet| fleet.unrest().is_none()).await;
    holds(fleet, rests, &format!("it comes to rest: {:?}", fleet.unrest()));
    fleet.audit();
    holds(fleet, fleet.answer() == Some(region(US_EAST)), "it is answered from where it was");
    holds(fleet, fleet.writer() == Some(region(US_EAST)), "and written there");
    for kind in [EventKind::DrillOpened, EventKind::DrillFinished] {
        assert_eq!(events(fleet, kind), 1, "{kind:?} is there once");
    }
    run
}

async fn kill_the_leader(fleet: &mut SimulatedFleet) {
    let Some(leader) = fleet.leader() else { return };
    fleet.crash(&leader).await;
    let led = fleet.until(seconds(30), |fleet| fleet.leader().is_some()).await;
    holds(fleet, led, "another leads");
    fleet.start(&leader).await;
    fleet.run_for(seconds(5)).await;
}

#[test]
fn a_switchover_drill_goes_out_and_comes_back_by_itself() {
    virtually(101, async {
        let mut fleet = steady(101, Shop::default()).await;
        open(&fleet, "gameday").await;
        until_phase(&mut fleet, DrillPhase::Holding).await;
        assert_eq!(fleet.answer(), Some(region(EU_WEST)), "{:#?}", fleet.judge.log());
        let run = is_over_and_home(&mut fleet, DrillVerdict::Passed).await;
        assert!(run.measured.rto_ms.is_some() && run.measured.return_ms.is_some(), "{run:#?}");
        assert_eq!(fleet.effects_of("SwitchoverGlobalCluster").len(), 2, "out and back");
        assert_eq!(fleet.effects_of("FailoverGlobalCluster").len(), 0, "a drill forces nothing");
    });
}

#[test]
fn three_leaders_killed_in_one_drill_leave_one_clean_record() {
    virtually(102, async {
        let mut fleet = steady(102, Shop::default()).await;
        open(&fleet, "gameday").await;
        until_phase(&mut fleet, DrillPhase::Moving).await;
        kill_the_leader(&mut fleet).await;
        until_phase(&mut fleet, DrillPhase::Holding).await;
        kill_the_leader(&mut fleet).await;
        until_phase(&mut fleet, DrillPhase::Returning).await;
        kill_the_leader(&mut fleet).await;
        let run = is_over_and_home(&mut fleet, DrillVerdict::Passed).await;
        assert_eq!(run.failed_returns, 0, "{run:#?}");
        assert_eq!(fleet.effects_of("SwitchoverGlobalCluster").len(), 2, "nothing was done twice");
    });
}

#[test]
fn the_leader_dies_in_the_hold_and_the_next_one_returns_on_time() {
    virtually(103, async {
        let mut fleet = steady(103, Shop::default()).await;
        open(&fleet, "gameday").await;
        until_phase(&mut fleet, DrillPhase::Holding).await;
        let until = execution(&fleet).unwrap().hold_until.unwrap();
        let leader = fleet.leader().unwrap();
        fleet.crash(&leader).await;
        until_phase(&mut fleet, DrillPhase::Returning).await;
        let late_ms = execution(&fleet).unwrap().phase_since.since(until);
        // Clocks of daemons differ by up to two seconds here, and electing takes a few.
        assert!(late_ms < 10_000, "{late_ms} ms late");
        fleet.start(&leader).await;
        is_over_and_home(&mut fleet, DrillVerdict::Passed).await;
    });
}

#[test]
fn databases_of_the_history_away_for_the_whole_drill_have_all_of_it_afterwards() {
    virtually(104, async {
        let mut fleet = steady(104, Shop::default()).await;
        for name in [US_EAST, EU_WEST] {
            fleet.set_history_away(&region(name), true);
        }
        open(&fleet, "gameday").await;
        until_phase(&mut fleet, DrillPhase::Closed).await;
        for name in [US_EAST, EU_WEST] {
            fleet.set_history_away(&region(name), false);
        }
        let run = is_over_and_home(&mut fleet, DrillVerdict::Passed).await;
        let stored = fleet.history(&region(EU_WEST)).unwrap().events();
        let of_drill = stored.iter().filter(|event| event.drill.as_ref() == Some(&run.id));
        let kinds: Vec<EventKind> = of_drill.map(|event| event.kind).collect();
        for kind in [EventKind::DrillOpened, EventKind::Decided, EventKind::Finished, EventKind::DrillFinished] {
            assert!(kinds.contains(&kind), "{kind:?} is not in {kinds:?}");
        }
    });
}

#[test]
fn a_fleet_that_is_shown_a_lost_region_sees_proves_decides_and_moves_by_itself() {
    virtually(105, async {
        let mut fleet = steady(105, Shop::default()).await;
        open(&fleet, "loss").await;
        until_phase(&mut fleet, DrillPhase::Holding).await;
        let run = execution(&fleet).unwrap();
        let out = fleet.state().runs[run.out.as_ref().unwrap()].clone();
        assert_eq!((out.trigger, out.state), (Trigger::Drill, RunState::Succeeded));
        assert!(
            out.evidence[0].because.contains(US_EAST) || !out.evidence[0].opinions.is_empty(),
            "{:?}",
            out.evidence
        );
        let detect_ms = run.measured.detect_ms.unwrap();
        assert!((5_000..20_000).contains(&detect_ms), "breach_after is 5 s, took {detect_ms} ms");
        let run = is_over_and_home(&mut fleet, DrillVerdict::Passed).await;
        assert!(run.measured.rto_ms > run.measured.detect_ms);
        assert_eq!(fleet.effects_of("FailoverGlobalCluster").len(), 0, "the Region lives: nothing is forced");
    });
}

#[test]
fn a_real_breach_in_the_hold_overtakes_the_drill() {
    virtually(106, async {
        let mut fleet = steady(106, Shop::default()).await;
        open(&fleet, "gameday").await;
        until_phase(&mut fleet, DrillPhase::Holding).await;
        fleet.run_for(seconds(3)).await;
        fleet.break_region(&region(EU_WEST)).await;
        let moved = fleet.until(seconds(90), |fleet| fleet.answer() == Some(region(US_EAST))).await;
        holds(&fleet, moved, "the real decision goes on");
        let run = execution(&fleet).unwrap();
        // The hold may be over before the breach is proven: then it was on its way back already.
        let given_way = run.verdict == Some(DrillVerdict::Overtaken);
        holds(&fleet, given_way, &format!("{run:#?}"));
        let real = fleet.state().runs.values().max_by_key(|run| run.decided_index).cloned().unwrap();
        assert_eq!((real.trigger, real.drill), (Trigger::Automatic, None));
        fleet.heal_region(&region(EU_WEST)).await;
        let rests = fleet.until(seconds(240), |fleet| fleet.unrest().is_none()).await;
        holds(&fleet, rests, "all is well again");
        fleet.audit();
    });
}

#[test]
fn a_drill_that_is_cancelled_on_its_way_puts_back() {
    virtually(107, async {
        let mut fleet = steady(107, Shop::default()).await;
        open(&fleet, "gameday").await;
        let begun = fleet.until_exactly(seconds(60), |fleet| is_in(fleet, DrillPhase::Moving)).await;
        holds(&fleet, begun, "it moves");
        let run = execution(&fleet).unwrap();
        let cancelled = fleet.ask(Command::CancelDrill { run: run.id, reason: "wrong day".to_owned() }).await;
        holds(&fleet, cancelled.is_ok(), &format!("{cancelled:?}"));
        is_over_and_home(&mut fleet, DrillVerdict::Cancelled).await;
        assert_eq!(region(US_WEST).as_str(), US_WEST);
        let primary = fleet.service().unwrap().primary;
        assert_eq!((primary, SERVICE), (region(US_EAST), "checkout"));
    });
}

#[test]
fn a_pause_holds_the_move_of_a_drill_before_what_cannot_be_undone() {
    virtually(108, async {
        let mut fleet = steady(108, Shop::default()).await;
        open(&fleet, "gameday").await;
        let runs = |fleet: &SimulatedFleet| newest_run(fleet).is_some_and(|run| run.state == RunState::Running);
        let begun = fleet.until_exactly(seconds(60), runs).await;
        holds(&fleet, begun, "it moves");
        let paused = fleet.ask(Command::Pause { service: None }).await;
        holds(&fleet, paused.is_ok(), &format!("{paused:?}"));
        fleet.run_for(seconds(40)).await;
        let promoted = fleet.effects_of("SwitchoverGlobalCluster").len();
        holds(&fleet, promoted == 0 && runs(&fleet), "the move stands where it was");
        let resumed = fleet.ask(Command::Resume { service: None }).await;
        holds(&fleet, resumed.is_ok(), &format!("{resumed:?}"));
        is_over_and_home(&mut fleet, DrillVerdict::Passed).await;
        assert_eq!(fleet.effects_of("SwitchoverGlobalCluster").len(), 2, "out and back");
    });
}
