//! Reports of runs that a fleet really made, of drills told by hand, and of histories with holes.

use serde_json::{Value, json};

use super::*;
use crate::data::loss::{Loss, LossUnit};
use crate::drill::{ComesBack, DrillKind, DrillSpec, Guardrail};
use crate::fleet::tests::fixture::{Bench, EU, NOW, US, daemon, done, retryable, unknown};
use crate::fleet::{Command, EventHead, EventKind, HistoryEvent, verify_chain};
use crate::ids::{LogIndex, RunId};
use crate::plan::Mode;

/// A forced run that went well but for one step that was tried twice, and one that nobody knew of.
fn moved() -> (Bench, RunId) {
    let (mut fleet, id) = Bench::running();
    let names: Vec<String> = fleet.run(&id).plan.steps.iter().map(|step| step.name.to_string()).collect();
    for (n, name) in names.iter().enumerate() {
        fleet.now = fleet.now.plus_ms(1_000);
        if n == 1 {
            fleet.step(&id, name, retryable());
        }
        if fleet.run(&id).may_begin(fleet.run(&id).plan.step(&name.as_str().into()).unwrap()).is_err() {
            continue;
        }
        fleet.ok(daemon(), fleet.intent(&id, name));
        fleet.turn(&id, name);
        fleet.now = fleet.now.plus_ms(2_000);
        let outcome = fleet.outcome(&id, name, done());
        fleet.ok(daemon(), outcome);
    }
    let losses = vec![loss("orders-db", Some(700)), loss("orders", None), loss("media", Some(9_000_000))];
    fleet.ok(daemon(), Command::Receipt { run: id.clone(), losses });
    (fleet, id)
}

fn loss(store: &str, measured: Option<u64>) -> Loss {
    let reason = if measured.is_some() { "canary" } else { "not measurable: no canary" };
    Loss { store: store.into(), bound: None, measured, unit: LossUnit::Ms, reason: reason.to_owned() }
}

fn of(fleet: &Bench, id: &RunId) -> Report {
    report_of_run(id, &fleet.events, &[], 0).unwrap()
}

#[test]
fn a_report_says_of_a_run_what_the_fleet_itself_says() {
    let (fleet, id) = moved();
    let (report, run) = (of(&fleet, &id), fleet.run(&id));
    let part = &report.runs[0];
    assert_eq!(part.state, run.state.word());
    assert_eq!((part.rto_ms, part.detect_ms), (run.rto_ms(), run.detect_ms()));
    assert_eq!(part.verdict, run.verdict);
    assert_eq!(part.reason, run.reason);
    assert_eq!(part.epoch, run.epoch.map(|epoch| epoch.0));
    assert_eq!(part.plan_hash, run.plan.hash());
    assert_eq!(part.rto_objective_ms, Some(fleet.shop().spec.objectives.rto_ms));
    let ours: u64 = part.parts.iter().map(|part| part.ms).sum();
    assert_eq!(Some(ours), run.rto_ms());
    for (seen, step) in part.steps.iter().zip(&run.plan.steps) {
        let progress = run.progress(&step.name);
        assert_eq!(seen.state, progress.state.word(), "{}", step.name);
        assert_eq!(seen.attempts, progress.attempts, "{}", step.name);
        assert_eq!(seen.started_at.map(|at| at.0), progress.started_at, "{}", step.name);
        assert_eq!(seen.finished_at.map(|at| at.0), progress.finished_at, "{}", step.name);
        assert_eq!(seen.note.clone().or(seen.error.clone()), progress.note, "{}", step.name);
    }
}

#[test]
fn bound_and_receipt_stand_side_by_side_and_an_unknown_loss_says_why() {
    let (fleet, id) = moved();
    let report = of(&fleet, &id);
    let store = |name: &str| report.objectives.stores.iter().find(|store| store.store.as_str() == name).unwrap();
    assert_eq!((store("orders-db").measured, store("orders-db").within), (Some(700), Within::Kept));
    assert_eq!((store("orders").measured, store("orders").within), (None, Within::Unknown));
    assert!(store("orders").reason.contains("no canary"), "{:?}", store("orders"));
    assert_eq!(store("media").within, Within::Missed);
    assert_eq!(report.verdict, "succeeded-objective-missed");
    assert!(report.missed[0].starts_with("media lost 9000000 ms"), "{:?}", report.missed);
}

#[test]
fn what_surprised_is_computed_and_names_its_events() {
    let (mut fleet, id) = moved();
    let report = of(&fleet, &id);
    let said: Vec<&str> = report.surprises.iter().map(|it| it.what.as_str()).collect();
    let found = |words: &str| said.iter().any(|it| it.contains(words));
    assert!(found("needed 2 attempts"), "{said:?}");
    assert!(found("objective missed: media"), "{said:?}");
    assert!(found("what orders lost is not known"), "{said:?}");
    assert!(!found("leader changed"), "{said:?}");
    let retried = report.surprises.iter().find(|it| it.what.contains("needed 2 attempts")).unwrap();
    for seq in &retried.seqs {
        let event = fleet.events.iter().find(|event| event.seq == *seq).unwrap();
        assert_eq!(event.kind, EventKind::StepIntent);
    }
    // Another daemon goes on with it: the leader changed.
    fleet.events.iter_mut().rfind(|event| event.kind == EventKind::StepIntent).unwrap().actor =
        "daemon:us-west-2".into();
    assert!(of(&fleet, &id).surprises.iter().any(|it| it.what.contains("leader changed")));
}

#[test]
fn a_step_that_nobody_knew_of_is_told() {
    let (mut fleet, id) = Bench::running();
    let name = fleet.run(&id).plan.steps[0].name.to_string();
    fleet.step(&id, &name, unknown());
    let report = of(&fleet, &id);
    assert!(report.surprises.iter().any(|it| it.what.contains("nobody knew")), "{:?}", report.surprises);
    assert_eq!(report.verdict, "open");
}

#[test]
fn a_history_without_the_end_says_so() {
    let (fleet, id) = moved();
    let cut: Vec<HistoryEvent> = fleet.events.iter().filter(|it| it.kind != EventKind::Finished).cloned().collect();
    let report = report_of_run(&id, &cut, &[], 12).unwrap();
    assert_eq!(report.incomplete, ["this history is 12 events behind: the report is not complete yet"]);
    assert_eq!(of(&fleet, &id).incomplete, Vec::<String>::new());
}

#[test]
fn a_history_without_the_beginning_invents_nothing() {
    let (fleet, id) = moved();
    let rest: Vec<HistoryEvent> = fleet.events.iter().filter(|it| it.kind != EventKind::Decided).cloned().collect();
    let report = report_of_run(&id, &rest, &[], 0).unwrap();
    assert!(
        report.incomplete[0].contains("the decision of this run is not in this history"),
        "{:?}",
        report.incomplete
    );
    assert_eq!((report.runs[0].mode.as_str(), report.runs[0].steps.len()), ("", 0));
    assert_eq!(report.runs[0].rto_ms, fleet.run(&id).rto_ms(), "its verdict has it");
}

#[test]
fn nobody_reports_what_no_event_is_about() {
    let error = report_of_run(&"shop-9".into(), &moved().0.events, &[], 0).unwrap_err();
    assert_eq!(error.to_string(), "this history holds no event of shop-9");
}

#[test]
fn the_order_of_events_and_their_repetition_change_nothing() {
    let (fleet, id) = moved();
    let mut shuffled: Vec<HistoryEvent> = fleet.events.iter().rev().cloned().collect();
    shuffled.extend(fleet.events.clone());
    assert_eq!(report_of_run(&id, &shuffled, &[], 0).unwrap(), of(&fleet, &id));
}

#[test]
fn the_hash_for_the_record_follows_from_the_events_and_from_nothing_else() {
    let (fleet, id) = moved();
    let report = of(&fleet, &id);
    let mut other = fleet.events.clone();
    let at = other.iter().position(|event| event.run.as_ref() == Some(&id)).unwrap();
    other[at].hash = "0".repeat(64);
    assert_ne!(report_of_run(&id, &other, &[], 0).unwrap().history.digest, report.history.digest);
    assert_eq!(report.history.digest.len(), 64);
    verify_chain(&EventHead::default(), &fleet.events).unwrap();
}

#[test]
fn a_report_reads_as_it_was_written() {
    let (fleet, id) = moved();
    let report = of(&fleet, &id);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body["runs"][0]["decided_at"], json!(fleet.run(&id).decided_at.rfc3339()));
}

#[test]
fn a_run_is_compared_with_the_last_five_of_its_service_and_direction() {
    let (fleet, id) = moved();
    let mut earlier = Vec::new();
    for n in 1..=7_u64 {
        for event in fleet.events.iter().filter(|event| event.run.as_ref() == Some(&id)) {
            let seq = event.seq + n * 100;
            earlier.push(HistoryEvent { seq, run: Some(format!("shop-{n}0").as_str().into()), ..event.clone() });
        }
    }
    let mut ours: Vec<HistoryEvent> = fleet.events.clone();
    ours.iter_mut().for_each(|event| event.seq += 1_000);
    let report = report_of_run(&id, &ours, &earlier, 0).unwrap();
    let ids: Vec<&str> = report.earlier.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["shop-70", "shop-60", "shop-50", "shop-40", "shop-30"]);
    assert_eq!(report.earlier[0].rto_ms, report.runs[0].rto_ms);
    assert_eq!((report.earlier[0].lost_ms, report.earlier[0].unmeasured), (Some(9_000_000), 1));
    assert_eq!(report.earlier[0].verdict, "succeeded-objective-missed");
    assert!(report_of_run(&id, &fleet.events, &fleet.events, 0).unwrap().earlier.is_empty(), "itself is not earlier");
}

#[test]
fn what_happens_meanwhile_to_the_service_is_told() {
    let (fleet, id) = moved();
    let mut events = fleet.events.clone();
    let decided = events.iter().find(|event| event.kind == EventKind::Decided).unwrap().clone();
    let last = events.last().unwrap().seq;
    events.push(HistoryEvent { seq: last + 1, run: Some("shop-2".into()), ..decided.clone() });
    assert!(!report_of_run(&id, &events, &[], 0).unwrap().surprises.iter().any(|it| it.what.contains("another run")));
    events.push(HistoryEvent { seq: last + 2, kind: EventKind::Violation, run: Some(id.clone()), ..decided });
    assert!(report_of_run(&id, &events, &[], 0).unwrap().surprises.iter().any(|it| it.what.contains("another run")));
}

#[test]
fn a_graceful_run_by_a_person_counts_from_its_start() {
    let mut fleet = Bench::serving();
    let id = fleet.decide(fleet.asked(Mode::Graceful));
    fleet.finish(&id);
    let report = of(&fleet, &id);
    assert_eq!(report.objectives.rto.counted_from, "start");
    assert_eq!(report.title, format!("shop from {US} to {EU}"));
    assert_eq!(report.runs[0].mode, "graceful");
    assert_eq!(report.actors.iter().map(|it| it.events).sum::<u64>(), report.history.events);
    let by: Vec<&str> = report.actors.iter().map(|it| it.actor.as_str()).collect();
    assert_eq!(by, ["daemon:eu-west-1", "operator:alice"]);
}

fn spec() -> DrillSpec {
    DrillSpec {
        name: "shop-monthly".into(),
        labels: std::collections::BTreeMap::default(),
        service: "shop".into(),
        kind: DrillKind::Switchover,
        from: None,
        to: Some(EU.into()),
        schedule: None,
        hypothesis: "shop serves from eu-west-1 and loses nothing".to_owned(),
        guardrails: vec![Guardrail::MaxDuration { ms: 1_200_000 }],
        hold_ms: 900_000,
        comes_back: ComesBack::Automatic,
        approvals: 1,
    }
}

/// Events of an execution, one a minute.
fn told(execution: &str, rows: &[(EventKind, Value)]) -> Vec<HistoryEvent> {
    let event = |(n, (kind, data)): (usize, &(EventKind, Value))| HistoryEvent {
        seq: n as u64 + 1,
        index: LogIndex(n as u64 + 1),
        at: NOW.plus_ms(n as u64 * 60_000),
        fleet: "prod".into(),
        service: Some("shop".into()),
        run: None,
        drill: Some(execution.into()),
        kind: *kind,
        region: None,
        actor: "daemon:eu-west-1".to_owned(),
        message: format!("{} of {execution}", kind.word()),
        data: data.clone(),
        hash: format!("{n:064x}"),
    };
    rows.iter().enumerate().map(event).collect()
}

fn drilled() -> Vec<HistoryEvent> {
    let steady = |when: &str, ok: bool| json!({ "when": when, "name": "healthy", "ok": ok, "reason": "2 of 2 say so" });
    let guardrail = "lasts at most 1200 s";
    let ending = json!({ "guardrail": { "guardrail": guardrail, "reason": "it lasted 1201 s" } });
    told(
        "shop-monthly.3",
        &[
            (
                EventKind::DrillOpened,
                json!({
                    "drill": "shop-monthly", "service": "shop", "kind": "switchover", "spec": spec(), "home": US, "away": EU,
                    "scheduled_for": NOW, "phase": "awaiting-approval",
                }),
            ),
            (EventKind::DrillApproved, json!({ "by": "alice", "approvals": 1, "needed": 1 })),
            (EventKind::DrillPhase, json!({ "drill": "shop-monthly", "service": "shop", "phase": "checking" })),
            (
                EventKind::DrillPhase,
                json!({
                    "drill": "shop-monthly", "service": "shop", "phase": "moving", "steady": [steady("before", true)],
                }),
            ),
            (EventKind::DrillPhase, json!({ "drill": "shop-monthly", "service": "shop", "phase": "holding" })),
            (EventKind::DrillEnded, json!({ "ending": ending })),
            (EventKind::DrillPhase, json!({ "drill": "shop-monthly", "service": "shop", "phase": "returning" })),
            (
                EventKind::DrillFinished,
                json!({
                    "drill": "shop-monthly", "service": "shop", "kind": "switchover", "verdict": "objective-missed",
                    "sentence": "shop moved in 6m and should have in 5m", "phase": "closed",
                    "measured": { "rto_ms": 360_000, "detect_ms": null, "return_ms": 42_000, "through": {
                        "asked": 900, "errors": 7, "longest_gap_ms": 3_200, "well_since": NOW } },
                    "objectives": { "rto_ms": 300_000, "rpo_ms": 5_000 }, "ending": ending,
                    "steady": [steady("before", true), steady("after", false)],
                    "loss": [loss("orders-db", Some(12))], "unpractised": ["promote/orders-db (forced)"],
                    "began_at": NOW.plus_ms(180_000), "arrived_at": NOW.plus_ms(240_000), "breach_at": null,
                }),
            ),
        ],
    )
}

#[test]
fn a_drill_is_told_whole() {
    let report = report_of_drill(&"shop-monthly.3".into(), &drilled(), &[], 0).unwrap();
    let drill = report.drill.as_ref().unwrap();
    assert_eq!(
        (report.verdict.as_str(), report.title.as_str()),
        ("objective-missed", "switchover drill of shop from us-east-1 to eu-west-1")
    );
    assert_eq!(report.missed, ["RTO 6m over 5m"]);
    assert_eq!(report.objectives.rto.return_ms, Some(42_000));
    assert_eq!(report.objectives.stores[0].measured, Some(12));
    assert_eq!(report.users.as_ref().unwrap().errors, 7);
    assert_eq!(drill.hypothesis, "shop serves from eu-west-1 and loses nothing");
    assert_eq!(drill.guardrails[0].hit.as_deref(), Some("it lasted 1201 s"));
    assert_eq!(drill.scheduled_for, Some(At(NOW)));
    assert_eq!(drill.unpractised, ["promote/orders-db (forced)"]);
    let phases: Vec<(&str, u64)> = drill
        .phases
        .iter()
        .map(|phase| (phase.phase.as_str(), phase.until.map_or(0, |until| until.0.since(phase.began_at.0) / 60_000)))
        .collect();
    assert_eq!(phases, [("awaiting-approval", 2), ("checking", 1), ("moving", 1), ("holding", 2), ("returning", 1)]);
    assert_eq!(report.approvals[0].by, "alice");
    assert_eq!(report.approvals[0].at, At(NOW.plus_ms(60_000)));
    assert!(report.surprises.iter().any(|it| it.what.contains("steady state did not hold after")));
    assert!(report.surprises.iter().any(|it| it.what.starts_with("ended early: guardrail hit")));
}

#[test]
fn a_drill_that_is_under_way_says_where_it_stands() {
    let events = drilled()[..5].to_vec();
    let report = report_of_drill(&"shop-monthly.3".into(), &events, &[], 0).unwrap();
    assert_eq!(report.verdict, "open");
    assert!(report.sentence.contains("holding since"), "{}", report.sentence);
    assert_eq!(report.drill.unwrap().steady.len(), 1);
    assert!(report.incomplete[0].contains("no verdict yet"), "{:?}", report.incomplete);
}

#[test]
fn a_drill_is_compared_with_the_last_of_its_own_name() {
    let mut earlier = Vec::new();
    for n in 1..=3_u64 {
        let mut finished = drilled().pop().unwrap();
        finished.seq = n;
        finished.drill = Some(format!("shop-monthly.{n}").as_str().into());
        if n == 2 {
            finished.data["drill"] = json!("another");
        }
        earlier.push(finished);
    }
    let mut ours = drilled();
    ours.iter_mut().for_each(|event| event.seq += 100);
    let report = report_of_drill(&"shop-monthly.4".into(), &ours, &earlier, 0);
    assert!(report.is_err(), "events of another execution are not its own");
    let report = report_of_drill(&"shop-monthly.3".into(), &ours, &earlier, 0).unwrap();
    let ids: Vec<&str> = report.earlier.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["shop-monthly.3", "shop-monthly.1"]);
    assert_eq!(report.earlier[0].rto_ms, Some(360_000));
}

#[test]
fn the_runs_of_a_drill_are_its_way_out_and_its_way_back() {
    let (fleet, id) = moved();
    let mut events = drilled();
    for event in &fleet.events {
        let drill = event.run.is_some().then(|| "shop-monthly.3".into());
        events.push(HistoryEvent { seq: event.seq + 50, drill, ..event.clone() });
    }
    let report = report_of_drill(&"shop-monthly.3".into(), &events, &[], 0).unwrap();
    assert_eq!(report.runs.len(), 1);
    assert_eq!(report.runs[0].id, id);
    assert_eq!(report.objectives.stores.len(), 3, "what the way out lost, store by store");
    assert_eq!(report.objectives.rto.measured_ms, Some(360_000), "the drill's own word counts");
}
