//! What a drill is called afterwards, and what it licenses.

use std::sync::Arc;

use super::drills::{GameDay, HOLD_MS, all_well, drill};
use super::fixture::*;
use crate::data::loss::{Loss, LossUnit};
use crate::drill::{DrillKind, DrillRun, DrillSpec, DrillVerdict, Judged, SteadyCheck, When, judge_drill};
use crate::fleet::*;
use crate::ids::RunId;

/// A switchover that went out and came back, and its way out.
fn over() -> (GameDay, RunId, RunId) {
    let (mut day, out) = GameDay::arrived(drill(DrillKind::Switchover));
    day.later(HOLD_MS + 1);
    let back = day.return_and_close(&out);
    (day, out, back)
}

fn judged(day: &GameDay, change: impl FnOnce(&mut DrillRun)) -> Judged {
    let mut run = day.bench.state.drill_runs[&day.id].clone();
    change(&mut run);
    judge_drill(&day.bench.state, &run)
}

fn ways(judged: &Judged) -> Vec<(&str, &str)> {
    judged.licences.iter().map(|(from, to, _)| (from.as_str(), to.as_str())).collect()
}

#[test]
fn an_objective_is_missed_by_a_millisecond_and_by_what_nobody_measured() {
    let (mut day, out, _) = over();
    let most_ms = day.bench.shop().spec.objectives.rto_ms;
    let took = |rto_ms| judged(&day, |run| run.measured.rto_ms = rto_ms);
    assert_eq!(took(Some(most_ms)).verdict, DrillVerdict::Passed);
    let missed = took(Some(most_ms + 1));
    assert_eq!(missed.verdict, DrillVerdict::ObjectiveMissed);
    assert_eq!(missed.sentence, format!("RTO {} ms over {most_ms} ms", most_ms + 1));
    let unmeasured = took(None);
    assert_eq!(
        (unmeasured.verdict, unmeasured.sentence.as_str()),
        (DrillVerdict::ObjectiveMissed, "no RTO could be measured")
    );

    let rpo_ms = day.bench.shop().spec.objectives.rpo_ms;
    for (lost, verdict) in [(rpo_ms, DrillVerdict::Passed), (rpo_ms + 1, DrillVerdict::ObjectiveMissed)] {
        day.bench.state.runs.get_mut(&out).unwrap().loss = vec![Loss {
            store: "orders".into(),
            bound: Some(0),
            measured: Some(lost),
            unit: LossUnit::Ms,
            reason: "canary".into(),
        }];
        let judged = judged(&day, |_| ());
        assert_eq!((judged.verdict, judged.loss.len()), (verdict, 1), "{}", judged.sentence);
        assert!(!judged.sentence.contains("cannot be known"), "{}", judged.sentence);
    }
}

#[test]
fn only_what_does_not_hold_afterwards_fails_it() {
    let (day, ..) = over();
    let check = |when, ok| SteadyCheck { name: "home-healthy".into(), ok, reason: "seen".into(), when };
    let with = |checks: Vec<SteadyCheck>| judged(&day, |run| run.steady = checks).verdict;
    assert_eq!(with(vec![check(When::Before, false), check(When::After, true)]), DrillVerdict::Passed);
    assert_eq!(with(vec![check(When::Before, true), check(When::After, false)]), DrillVerdict::Failed);
}

#[test]
fn ways_are_licensed_that_were_walked_and_nothing_by_a_simulation() {
    let (mut day, out, back) = over();
    let is_back = |run: &RunId| day.bench.state.is_way_back(day.bench.run(run));
    assert_eq!((is_back(&out), is_back(&back)), (false, true));
    let held = day.bench.shop().licences.clone();
    assert_eq!(held.len(), 2);
    // Passed again it is held anew, and not twice.
    day.bench.ok(person(), Command::OpenDrill { drill: "gameday".into(), scheduled_for: None });
    day.id = "gameday.2".into();
    day.tick(all_well());
    day.tick(all_well());
    let again = day.walk_the_run();
    day.settle();
    day.later(HOLD_MS + 1);
    day.return_and_close(&again);
    let anew = &day.bench.shop().licences;
    assert_eq!(anew.len(), 2, "{anew:?}");
    assert!(anew.iter().all(|licence| licence.drill.as_str() == "gameday.2" && licence.at > held[0].at), "{anew:?}");
    day.id = "gameday.1".into();
    assert_eq!(ways(&judged(&day, |_| ())), [(US, EU), (EU, US)]);
    assert!(!judged(&day, |_| ()).unpractised.is_empty());
    assert!(judged(&day, |_| ()).sentence.starts_with("from us-east-1 to eu-west-1 and back, RTO"));
    let simulated = judged(&day, |run| {
        run.spec = Arc::new(DrillSpec { kind: DrillKind::Simulate, ..(*run.spec).clone() });
    });
    assert_eq!((ways(&simulated), simulated.unpractised.as_slice()), (vec![], &[][..]));
    assert!(simulated.sentence.starts_with("in the simulated AWS"), "{}", simulated.sentence);
    day.bench.state.runs.get_mut(&back).unwrap().state = RunState::Aborted;
    assert_eq!(ways(&judged(&day, |_| ())), [(US, EU)], "it came back some other way");
    day.bench.state.runs.get_mut(&out).unwrap().state = RunState::Aborted;
    assert_eq!(ways(&judged(&day, |_| ())), [] as [(&str, &str); 0]);
}
