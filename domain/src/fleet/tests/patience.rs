//! How long each phase of a drill may last, to the millisecond, and what does not end it.

use super::drills::{GameDay, HOLD_MS, all_well, detecting, drill, on_schedule_with, scheduled, shown};
use super::fixture::*;
use crate::drill::{Advance, DrillKind, DrillPhase, DrillSpec, Ending, next_start};
use crate::fleet::*;
use crate::health::{Report, Status};
use crate::ids::RunId;
use crate::service::ServiceSpec;

const MINUTE_MS: u64 = 60_000;

fn ending(commands: &[Command]) -> Option<&Ending> {
    commands.iter().find_map(|command| match command {
        Command::AdvanceDrill { advance: Advance::End { ending, .. }, .. } => Some(ending),
        _ => None,
    })
}

fn ends(day: &GameDay, reports: Vec<Report>) -> Option<String> {
    ending(&day.proposals(reports)).map(|ending| format!("{ending:?}"))
}

/// It goes on for so long and not for longer, and says why.
#[track_caller]
fn lasts(mut day: GameDay, ms: u64, reports: Vec<Report>, says: &str) {
    for at in [0, ms] {
        let mut then = day.clone();
        then.later(at);
        assert_eq!(ends(&then, reports.clone()), None, "{at} ms");
    }
    day.later(ms + 1);
    let said = ends(&day, reports).unwrap_or_default();
    assert!(said.contains(says), "{said:?}");
}

/// Its way out has begun.
fn moving(spec: DrillSpec, service: ServiceSpec) -> (GameDay, RunId) {
    let mut day = GameDay::opened_with(spec, service);
    day.tick(all_well());
    day.tick(all_well());
    let run = day.bench.state.open_run(&"shop".into()).expect("a run is open").id.clone();
    (day, run)
}

fn past_no_return(day: &mut GameDay, run: &RunId) {
    for step in day.bench.run(run).plan.steps.clone() {
        day.bench.step(run, step.name.as_str(), done());
        if step.is_point_of_no_return() {
            break;
        }
    }
    assert!(day.bench.run(run).is_past_no_return());
}

fn waits(day: &GameDay, reports: Vec<Report>) -> Option<Option<String>> {
    day.proposals(reports).into_iter().find_map(|command| match command {
        Command::AdvanceDrill { advance: Advance::Waits { why }, .. } => Some(why),
        _ => None,
    })
}

fn ill() -> Vec<Report> {
    FLEET.map(|observer| report(observer, Status::Unknown)).to_vec()
}

#[test]
fn a_steady_state_is_waited_for_a_minute() {
    lasts(GameDay::opened(drill(DrillKind::Switchover)), MINUTE_MS, ill(), "home-healthy");
}

#[test]
fn people_have_a_day_and_a_schedule_has_its_window() {
    let asks = DrillSpec { approvals: 1, ..drill(DrillKind::Switchover) };
    lasts(GameDay::opened(asks), 24 * 60 * MINUTE_MS, all_well(), "0 of 1 people approved in time");
    let mut day = on_schedule_with(DrillSpec { approvals: 1, ..scheduled("*/30 * * * *") });
    day.later(5_000);
    day.tick(all_well());
    assert_eq!(day.phase(), DrillPhase::AwaitingApproval);
    lasts(day, 599_999 - HOLD_MS - MINUTE_MS, all_well(), "0 of 1 people approved in time");
}

#[test]
fn an_opening_is_used_until_it_cannot_end_in_its_window() {
    let mut day = on_schedule_with(scheduled("*/30 * * * *"));
    day.later(5_000 + 599_999 - HOLD_MS - MINUTE_MS);
    let proposed = day.proposals(all_well());
    assert!(matches!(proposed.as_slice(), [Command::OpenDrill { .. }]), "{proposed:?}");
    day.later(1);
    let proposed = day.proposals(all_well());
    let [Command::MissDrill { openings: 1, reason, .. }] = proposed.as_slice() else { panic!("{proposed:?}") };
    assert_eq!(reason, "nobody led the fleet in time to start it");
}

#[test]
fn a_simulation_has_five_minutes() {
    let mut day = GameDay::opened(drill(DrillKind::Simulate));
    day.tick(all_well());
    assert_eq!(day.phase(), DrillPhase::Simulating);
    // Nothing moves, so a real breach is none of its business.
    assert_eq!(ends(&day, breach()), None);
    lasts(day, 5 * MINUTE_MS, all_well(), "the simulation did not end in time");
}

#[test]
fn a_fleet_has_what_its_manifest_asks_for_and_five_minutes_to_decide() {
    let day = detecting();
    let patience_ms = day.bench.shop().spec.health.breach_after_ms + 5 * MINUTE_MS;
    lasts(day, patience_ms, all_well(), "did not decide");
}

#[test]
fn a_way_out_that_no_guard_lets_begin_is_waited_for_a_minute_and_one_that_has_begun_for_half_an_hour() {
    let mut day = GameDay::opened(drill(DrillKind::Switchover));
    day.tick(all_well());
    assert_eq!(day.phase(), DrillPhase::Moving);
    let mut paused = day.clone();
    paused.bench.ok(person(), Command::Pause { service: None });
    lasts(paused, MINUTE_MS, all_well(), "paused");
    let unready = || {
        let mut reports = all_well();
        reports.iter_mut().for_each(|report| report.stores.clear());
        reports
    };
    lasts(day, MINUTE_MS, unready(), "standby-ready");

    for (rto_ms, patience_ms) in [(5 * MINUTE_MS, 30 * MINUTE_MS), (20 * MINUTE_MS, 60 * MINUTE_MS)] {
        let mut spec = shop();
        spec.objectives.rto_ms = rto_ms;
        let unguarded = DrillSpec { guardrails: vec![], ..drill(DrillKind::Switchover) };
        let (mut day, run) = moving(unguarded, spec);
        // Something of it cannot be put back, so it is not over at once.
        past_no_return(&mut day, &run);
        let says = format!("run {run} is running after more than {} s", patience_ms / 1_000);
        lasts(day.clone(), patience_ms, all_well(), &says);
        day.later(patience_ms + 1);
        day.tick(all_well());
        assert_eq!(ends(&day, all_well()), None, "said once");
    }
}

#[test]
fn a_drill_says_what_its_move_waits_for_and_when_it_goes_on() {
    let (mut day, run) = moving(drill(DrillKind::Switchover), shop());
    assert_eq!(waits(&day, all_well()), None, "nothing holds it");
    let first = day.bench.run(&run).plan.steps[0].name.clone();
    day.bench.step(&run, first.as_str(), failed());
    assert_eq!(day.bench.run(&run).state, RunState::Paused);
    let why = format!("run {run} is paused: retry, skip or abort it");
    assert_eq!(waits(&day, all_well()), Some(Some(why)));
    day.tick(all_well());
    assert_eq!(waits(&day, all_well()), None, "said once");
    day.bench.ok(person(), Command::Retry { run: run.clone(), step: first.clone() });
    assert_eq!(waits(&day, all_well()), Some(None), "it goes on");
    day.tick(all_well());
    assert_eq!(waits(&day, all_well()), None);

    day.bench.ok(person(), Command::Pause { service: None });
    let held = waits(&day, all_well()).flatten().unwrap();
    assert!(held.contains("paused"), "{held}");
    // Too late to hold: arriving is the quickest way to a whole service.
    day.bench.ok(person(), Command::Resume { service: None });
    past_no_return(&mut day, &run);
    day.bench.ok(person(), Command::Pause { service: None });
    assert_eq!(waits(&day, all_well()), None);
}

#[test]
fn what_is_waited_for_is_said_again_only_in_other_words() {
    let mut day = GameDay::opened(drill(DrillKind::Switchover));
    let why = waits(&day, ill()).flatten().unwrap();
    let mut known = |words: String| {
        day.bench.state.drill_runs.get_mut(&day.id).unwrap().waits_for = Some(words);
        waits(&day, ill()).is_none()
    };
    assert!(known(why.clone()));
    assert!(known(why.replace(|c: char| c.is_ascii_digit(), "77")), "numbers move all the time");
    assert!(!known(why.replace("home", "away")));
}

#[test]
fn a_move_that_needs_a_person_is_what_the_drill_waits_for() {
    let mut spec = shop();
    spec.objectives.rpo_ms = 100;
    let mut day = GameDay::opened_with(drill(DrillKind::RegionLoss), spec);
    day.tick(all_well());
    day.later(13_000);
    day.tick(shown(&day, &FLEET));
    let run = day.bench.state.open_run(&"shop".into()).unwrap();
    assert_eq!(run.state, RunState::AwaitingApproval);
    let why = format!("run {} awaits approval", run.id);
    assert_eq!(waits(&day, all_well()), Some(Some(why)));
}

#[test]
fn what_is_shown_without_route_53_is_not_decided() {
    let mut day = detecting();
    day.later(13_000);
    let mut reports = shown(&day, &FLEET);
    for report in &mut reports {
        report.rehearsals[0].route53.as_mut().unwrap().status = Status::Good;
    }
    assert_eq!(day.proposals(reports), vec![]);
    day.later(10 * MINUTE_MS);
    let why = ends(&day, all_well()).unwrap();
    assert!(why.contains("lost and did not decide: guard breach-proven says no: us-east-1 is healthy"), "{why}");
}

#[test]
fn the_next_start_is_one_that_can_still_be_used() {
    let mut day = on_schedule_with(scheduled("*/30 * * * *"));
    let opening = day.bench.now.plus_ms(5_000);
    let next = |day: &GameDay| next_start(day.bench.now, &day.bench.state.drills["gameday"]);
    for (later_ms, expected) in
        [(0, opening), (5_000, opening), (599_999 - HOLD_MS - MINUTE_MS, opening), (1, opening.plus_ms(30 * MINUTE_MS))]
    {
        day.later(later_ms);
        assert_eq!(next(&day), Some(expected), "{later_ms}");
    }
}

#[test]
fn who_is_asked_to_come_home_waits_for_what_is_open() {
    let (mut day, _) = GameDay::arrived(drill(DrillKind::Switchover));
    day.bench.ok(person(), Command::CancelDrill { run: day.id.clone(), reason: "seen enough".into() });
    let decides = |day: &GameDay| {
        let proposed = day.proposals(all_well());
        proposed.iter().filter(|one| matches!(one, Command::Decide(_))).count()
    };
    assert_eq!(decides(&day), 1, "the drill itself brings it home");
    day.bench.state.services.get_mut("shop").unwrap().way_back =
        Some(WayBack { actor: person(), at: day.bench.now, reason: "lunch".into() });
    assert_eq!(decides(&day), 1, "and nobody else beside it");
}

#[test]
fn what_is_over_closes_when_all_is_steady_or_it_never_will_be() {
    let closes = |day: &GameDay, reports| {
        let proposed = day.proposals(reports);
        proposed.iter().any(|one| matches!(one, Command::AdvanceDrill { advance: Advance::Close { .. }, .. }))
    };
    let settling = |recorded: bool, settled: bool| {
        let (mut day, out) = GameDay::arrived(drill(DrillKind::Switchover));
        day.later(HOLD_MS + 1);
        day.tick(all_well());
        day.tick(all_well());
        let back = day.walk_the_run();
        if settled {
            day.settle();
        }
        if recorded {
            day.record(&out, 0);
            day.record(&back, 0);
        }
        assert_eq!(day.phase(), DrillPhase::Settling);
        day
    };
    for (recorded, settled, reports, patience_ms) in [
        (true, true, all_well(), None),
        (false, true, all_well(), Some(40_000 - 1)),
        (true, true, ill(), Some(10 * MINUTE_MS)),
        (true, false, all_well(), Some(60 * MINUTE_MS)),
    ] {
        let mut day = settling(recorded, settled);
        assert_eq!(closes(&day, reports.clone()), patience_ms.is_none(), "{recorded} {settled}");
        let Some(patience_ms) = patience_ms else { continue };
        day.later(patience_ms);
        assert!(!closes(&day, reports.clone()), "{recorded} {settled}");
        day.later(1);
        assert!(closes(&day, reports), "{recorded} {settled}");
    }
}

#[test]
fn only_a_breach_that_route_53_sees_too_overtakes_a_drill_and_only_one_that_has_begun() {
    let (day, _) = GameDay::arrived(drill(DrillKind::Switchover));
    // eu-west-1 serves now, and its service is bad there.
    let bad = |route53: Status| {
        let mut reports = all_well();
        for report in &mut reports {
            for signal in report.signals.iter_mut().filter(|signal| signal.region.as_str() == EU) {
                (signal.status, signal.breached) = (Status::Bad, true);
            }
            report.route53[0].region = EU.into();
            report.route53[0].status = route53;
        }
        reports
    };
    let overtaken = |day: &GameDay, reports| ends(day, reports).is_some_and(|said| said.starts_with("Overtaken"));
    assert!(overtaken(&day, bad(Status::Bad)));
    assert!(!overtaken(&day, bad(Status::Good)), "its checkers reach it");
    let checking = GameDay::opened(drill(DrillKind::Switchover));
    assert_eq!(ends(&checking, breach()), None, "it has moved nothing");
}

#[test]
fn a_guardrail_is_no_reason_to_stop_what_goes_home() {
    let (mut day, _) = GameDay::arrived(drill(DrillKind::Switchover));
    let hit = || {
        let mut reports = all_well();
        for report in &mut reports {
            for signal in report.signals.iter_mut().filter(|signal| signal.region.as_str() == EU) {
                (signal.status, signal.held_ms) = (Status::Bad, 12_000);
            }
        }
        reports
    };
    assert!(ends(&day, hit()).is_some_and(|said| said.starts_with("Guardrail")));
    day.later(HOLD_MS + 1);
    day.tick(all_well());
    assert_eq!(day.phase(), DrillPhase::Returning);
    assert_eq!(ends(&day, hit()), None);
}
