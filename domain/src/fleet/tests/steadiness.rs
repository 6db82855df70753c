//! What must hold before a drill and after it, and what ends one in between.

use std::sync::Arc;

use super::active_active::{came_back, many};
use super::drills::{GameDay, HOLD_MS, all_well, drill};
use super::fixture::*;
use crate::drill::{Course, DrillKind, DrillSpec, Guardrail, Sight, SteadyCheck, Way, course, request};
use crate::fleet::*;
use crate::health::{Report, SignalReading, Status};
use crate::ids::SignalName;
use crate::plan::Movement;

fn before(bench: &Bench, spec: &DrillSpec, reports: Vec<Report>) -> Vec<SteadyCheck> {
    let (matrix, view) = (bench.matrix(reports), view());
    let way = course(&bench.state, spec).unwrap();
    Sight { now: bench.now, state: &bench.state, matrix: &matrix, view: &view }.before(spec, &way)
}

fn after(day: &GameDay, reports: Vec<Report>) -> Vec<SteadyCheck> {
    let (matrix, view) = (day.bench.matrix(reports), view());
    let run = &day.bench.state.drill_runs[&day.id];
    Sight { now: day.bench.now, state: &day.bench.state, matrix: &matrix, view: &view }.after(run)
}

fn hit(day: &GameDay, reports: Vec<Report>) -> Option<String> {
    let (matrix, view) = (day.bench.matrix(reports), view());
    let run = &day.bench.state.drill_runs[&day.id];
    let sight = Sight { now: day.bench.now, state: &day.bench.state, matrix: &matrix, view: &view };
    sight.hit(run).map(|(_, seen)| seen)
}

fn says(checks: &[SteadyCheck], name: &str) -> Vec<(bool, String)> {
    let of_name = checks.iter().filter(|check| check.name == name);
    of_name.map(|check| (check.ok, check.reason.clone())).collect()
}

/// Every observer's word on a signal of eu-west-1, and how old each is.
fn with(signal: &SignalName, words: [Option<(Status, u64)>; 3], held_ms: u64) -> Vec<Report> {
    let mut reports = all_well();
    for (report, word) in reports.iter_mut().zip(words) {
        report.signals.retain(|reading| reading.region.as_str() != EU || reading.signal != *signal);
        let Some((status, age_ms)) = word else { continue };
        let like = report.signals[0].clone();
        report.signals.push(SignalReading {
            region: EU.into(),
            signal: signal.clone(),
            status,
            held_ms,
            age_ms,
            ..like
        });
    }
    reports
}

fn guarded_by_alarm() -> DrillSpec {
    let alarm = Guardrail::Alarm { name: "slo".into(), region: EU.into() };
    DrillSpec { guardrails: vec![alarm], ..drill(DrillKind::Switchover) }
}

#[test]
fn an_alarm_must_be_known_to_be_well_before_and_ends_a_drill_by_the_worst_fresh_word() {
    use Status::{Bad, Good, Unknown};
    let slo = Guardrail::alarm_signal("slo");
    assert!(
        slo.as_str().contains("slo") && slo != Guardrail::alarm_signal("other"),
        "each alarm has a signal of its own"
    );
    let (bench, spec) = (Bench::serving(), guarded_by_alarm());
    let (mut day, _) = GameDay::arrived(drill(DrillKind::Switchover));
    day.bench.state.drill_runs.get_mut(&day.id).unwrap().spec = Arc::new(spec.clone());
    for (words, ok, word, hits) in [
        ([Some((Good, 0)), None, None], true, "is OK", false),
        ([Some((Good, 0)), Some((Bad, 0)), None], false, "is in ALARM", true),
        ([Some((Unknown, 0)), Some((Good, 0)), None], true, "is OK", false),
        ([Some((Unknown, 0)), None, None], false, "nobody can tell", false),
        ([None, None, None], false, "nobody can tell", false),
        // The matrix is a second old already.
        ([Some((Bad, 89_000)), None, None], false, "is in ALARM", true),
        ([Some((Bad, 89_001)), None, None], false, "nobody can tell", false),
    ] {
        let said = says(&before(&bench, &spec, with(&slo, words, 0)), "guardrail");
        assert_eq!((said.len(), said[0].0), (1, ok), "{words:?}: {said:?}");
        assert!(said[0].1.contains(word), "{words:?}: {said:?}");
        assert_eq!(hit(&day, with(&slo, words, 0)).is_some(), hits, "{words:?}");
    }
}

#[test]
fn a_signal_ends_a_drill_when_most_have_seen_it_bad_for_long_enough() {
    use Status::{Bad, Good};
    let door: SignalName = healthy()[0].signals[0].signal.clone();
    let guard = Guardrail::Signal { signal: door.clone(), region: EU.into(), unhealthy_for_ms: 10_000 };
    let spec = DrillSpec { guardrails: vec![guard], ..drill(DrillKind::Switchover) };
    let (day, _) = GameDay::arrived(spec.clone());
    let (well, ill) = (Some((Good, 0)), Some((Bad, 0)));
    // What a report says is a second older by now.
    for (words, held_ms, hits) in [
        ([ill, ill, well], 9_000, true),
        ([ill, ill, well], 8_999, false),
        ([ill, well, well], 60_000, false),
        ([ill, ill, ill], 9_000, true),
    ] {
        assert_eq!(hit(&day, with(&door, words, held_ms)).is_some(), hits, "{words:?} {held_ms}");
    }
    let bench = Bench::serving();
    for (words, ok) in [([ill, well, well], true), ([ill, ill, well], false)] {
        assert_eq!(says(&before(&bench, &spec, with(&door, words, 0)), "guardrail")[0].0, ok, "{words:?}");
    }
}

#[test]
fn a_drill_may_last_as_long_as_its_guardrail_says() {
    let limit = Guardrail::MaxDuration { ms: 600_000 };
    let (mut day, _) = GameDay::arrived(DrillSpec { guardrails: vec![limit], ..drill(DrillKind::Switchover) });
    let began = day.bench.state.drill_runs[&day.id].began_at.unwrap();
    day.bench.now = began.plus_ms(600_000);
    assert_eq!(hit(&day, all_well()), None);
    day.later(1);
    assert_eq!(hit(&day, all_well()).as_deref(), Some("it has lasted 600 s"));
}

#[test]
fn what_a_move_would_be_refused_for_is_said_before() {
    let (bench, spec) = (Bench::serving(), drill(DrillKind::Switchover));
    let checks = before(&bench, &spec, all_well());
    assert!(checks.iter().all(|check| check.ok), "{checks:?}");
    assert_eq!(says(&checks, "standby-ready").len(), 1, "{checks:?}");
    let mut unready = all_well();
    unready.iter_mut().for_each(|report| report.stores.clear());
    assert!(!says(&before(&bench, &spec, unready), "standby-ready")[0].0);
}

#[test]
fn what_is_not_settled_not_whole_or_left_to_a_person_is_not_steady() {
    let settled = |bench: &Bench, spec: &DrillSpec| says(&before(bench, spec, all_well()), "settled").remove(0);
    let spec = drill(DrillKind::Switchover);
    let mut bench = Bench::serving();
    assert!(settled(&bench, &spec).0);
    bench.state.services.get_mut("shop").unwrap().attention = Some("look".into());
    assert_eq!(settled(&bench, &spec), (false, "look".to_owned()));
    bench.ok(person(), Command::SetSwitch { group: "shop".into(), region: US.into(), on: false, run: None });
    let back = DrillSpec { to: None, ..spec };
    assert_eq!(settled(&bench, &back), (false, "records and health checks do not match yet who serves".to_owned()));

    let several = DrillSpec { to: None, ..drill(DrillKind::RegionLoss) };
    let mut bench = Bench::serving_spec(many());
    assert!(settled(&bench, &several).0);
    bench.state.switches.get_mut("shop").unwrap().bits.get_mut(US).unwrap().share = 10;
    assert_eq!(settled(&bench, &several), (false, "a Region is still coming back, in waves".to_owned()));
    assert!(settled(&came_back(), &several).0);
}

#[test]
fn afterwards_it_is_at_home_and_both_are_well() {
    let (mut day, out) = GameDay::arrived(drill(DrillKind::Switchover));
    let there = after(&day, all_well());
    assert_eq!(says(&there, "home-serves"), [(false, "us-east-1 does not serve".to_owned())]);
    day.later(HOLD_MS + 1);
    day.return_and_close(&out);
    let home = after(&day, all_well());
    assert_eq!(says(&home, "home-serves"), [(true, "us-east-1 serves".to_owned())]);
    let names: Vec<&str> = home.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["settled", "home-serves", "home-healthy", "away-healthy", "guardrail"]);
    assert!(home.iter().all(|check| check.ok), "{home:?}");
}

#[test]
fn a_region_that_comes_back_is_said_and_not_the_one_it_comes_from() {
    let way = |movement| Course { home: US.into(), away: EU.into(), movement };
    let asked = |movement, to| {
        let asked = request(&EU.into(), &drill(DrillKind::Switchover), &way(movement), to, None);
        (asked.movement, asked.from.map(|at| at.to_string()), asked.to.map(|at| at.to_string()))
    };
    let (us, eu) = (Some(US.to_owned()), Some(EU.to_owned()));
    assert_eq!(asked(Movement::Failover, Way::Out), (Movement::Failover, us.clone(), eu.clone()));
    assert_eq!(asked(Movement::Failover, Way::Back), (Movement::Failover, eu.clone(), us.clone()));
    assert_eq!(asked(Movement::Evacuate, Way::Out), (Movement::Evacuate, us.clone(), eu));
    assert_eq!(asked(Movement::Evacuate, Way::Back), (Movement::Restore, None, us));
}
