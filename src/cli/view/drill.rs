//! Drills and their executions.

use serde_json::{Value, json};

use super::json::{run_json, time_json};
use super::table::{mark, or_dash, pairs, table};
use crate::api::proto;
use crate::cli::Style;
use crate::cli::output::View;
use crate::cli::style::duration;

/// Drills that `status` shows.
const NEXT_SHOWN: usize = 5;

/// `get drills`.
#[must_use]
pub fn drills(drills: &[proto::Drill], style: Style) -> View {
    View {
        json: json!({ "drills": drills.iter().map(drill_json).collect::<Vec<_>>() }),
        text: drills_text(drills, style),
        names: drills.iter().map(|drill| drill.name.clone()).collect(),
    }
}

pub fn drills_text(drills: &[proto::Drill], style: Style) -> String {
    let mut headings = vec!["NAME", "SERVICE", "KIND", "NEXT", "LAST", "VERDICT"];
    if style.wide {
        headings.extend(["OPEN", "PREVENTED-BY"]);
    }
    let row = |drill: &proto::Drill| {
        let last = drill.last.as_ref();
        let mut row = vec![
            drill.name.clone(),
            drill.service.clone(),
            drill.kind.clone(),
            style.time(drill.next_at.as_ref()),
            or_dash(last.map(|last| &last.id)),
            or_dash(last.map(|last| last.verdict.as_ref().unwrap_or(&last.phase))),
        ];
        if style.wide {
            row.push(or_dash(drill.open.as_ref()));
            row.push(if drill.prevented_by.is_empty() { "-".to_owned() } else { drill.prevented_by.join("; ") });
        }
        row
    };
    table(&headings, drills.iter().map(row))
}

/// A drill as lists show it.
pub fn drill_json(drill: &proto::Drill) -> Value {
    let last = drill.last.as_ref().map(|last| {
        json!({
            // What moved the service; where nothing did, the execution itself.
            "run": last.out.as_ref().unwrap_or(&last.id),
            "execution": last.id,
            "phase": last.phase,
            "verdict": last.verdict,
            "at": time_json(last.finished_at.as_ref().or(last.opened_at.as_ref())),
            "rto_ms": last.rto_ms,
        })
    });
    json!({
        "name": drill.name,
        "service": drill.service,
        "kind": drill.kind,
        "next_at": time_json(drill.next_at.as_ref()),
        "last": last,
        "open": drill.open,
        "prevented_by": drill.prevented_by,
        "missed_at": time_json(drill.missed_at.as_ref()),
        "missed_because": drill.missed_because,
        "runs": drill.runs,
    })
}

/// The next drills, for `status`; nothing where there is none.
pub fn next_drills_text(drills: &[proto::Drill], open: &[proto::DrillRun], style: Style) -> String {
    let next: Vec<&proto::Drill> = drills.iter().filter(|drill| drill.next_at.is_some()).take(NEXT_SHOWN).collect();
    let mut text = String::new();
    for run in open {
        text += &format!("  {} of {} is {}{}\n", run.id, run.service, run.phase, what_to_do(run));
    }
    for drill in next {
        let prevented = match drill.prevented_by.as_slice() {
            [] => String::new(),
            why => format!("; as things stand it would not: {}", why.join("; ")),
        };
        let at = style.time(drill.next_at.as_ref());
        text += &format!("  {} ({} of {}) begins {at}{prevented}\n", drill.name, drill.kind, drill.service);
    }
    for drill in drills.iter().filter(|drill| drill.missed_at.is_some()) {
        let (at, why) = (style.time(drill.missed_at.as_ref()), drill.missed_because.as_deref().unwrap_or_default());
        text += &format!("  {} missed its opening of {at}: {why}\n", drill.name);
    }
    if text.is_empty() { text } else { format!("\nDRILLS\n{text}") }
}

/// What a person can do about an open execution.
pub fn what_to_do(run: &proto::DrillRun) -> String {
    let why = run.waits_for.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    match run.phase.as_str() {
        "awaiting-approval" => {
            let (given, needed) = (run.approvals.len(), run.approvals_needed);
            format!("{why}, {given} of {needed} approvals: failoverctl run approve {}", run.id)
        }
        "awaiting-return" => format!("{why}: failoverctl failback {}", run.service),
        "returning" | "settling" => why,
        "closed" => String::new(),
        _ => format!("{why}; to end it: failoverctl drill cancel {}", run.id),
    }
}

/// `describe drill`.
#[must_use]
pub fn drill_whole(answer: &proto::GetDrillResponse, style: Style) -> View {
    let drill = answer.drill.clone().unwrap_or_default();
    let mut body = drill_json(&drill);
    if let Some(fields) = body.as_object_mut() {
        let labels: std::collections::BTreeMap<_, _> = drill.labels.iter().collect();
        fields.insert("labels".to_owned(), json!(labels));
        fields.insert("from".to_owned(), json!(drill.from));
        fields.insert("to".to_owned(), json!(drill.to));
        fields.insert("schedule".to_owned(), schedule_json(&drill));
        fields.insert("hypothesis".to_owned(), json!(drill.hypothesis));
        fields.insert("guardrails".to_owned(), json!(drill.guardrails));
        fields.insert("hold_ms".to_owned(), json!(drill.hold_ms));
        fields.insert("return".to_owned(), json!(drill.comes_back));
        fields.insert("approvals".to_owned(), json!(drill.approvals));
    }
    View {
        json: json!({ "drill": body, "executions": answer.runs.iter().map(execution_json).collect::<Vec<_>>() }),
        text: whole_text(&drill, &answer.runs, style),
        names: vec![drill.name],
    }
}

fn schedule_json(drill: &proto::Drill) -> Value {
    drill.schedule.as_ref().map_or(
        Value::Null,
        |it| json!({ "cron": it.cron, "timezone": it.timezone, "window_ms": it.window_ms, "blackouts": it.blackouts }),
    )
}

fn whole_text(drill: &proto::Drill, runs: &[proto::DrillRun], style: Style) -> String {
    let schedule = drill.schedule.as_ref().map_or_else(
        || "none: only a person begins it".to_owned(),
        |it| {
            let except =
                if it.blackouts.is_empty() { String::new() } else { format!(", not on {}", it.blackouts.join(", ")) };
            format!("{} ({}), within {}{except}", it.cron, it.timezone, duration(it.window_ms))
        },
    );
    let way = match (&drill.from, &drill.to) {
        (None, None) => String::new(),
        (from, to) => format!("{} -> {}", or_dash(from.as_ref()), or_dash(to.as_ref())),
    };
    let missed = drill.missed_at.as_ref().map_or_else(String::new, |at| {
        format!("{}: {}", style.time(Some(at)), drill.missed_because.as_deref().unwrap_or_default())
    });
    let mut text = pairs(&[
        ("Name", drill.name.clone()),
        ("Service", drill.service.clone()),
        ("Kind", drill.kind.clone()),
        ("Move", way),
        ("Hypothesis", drill.hypothesis.clone()),
        ("Schedule", schedule),
        ("Next", drill.next_at.as_ref().map_or_else(String::new, |at| style.time(Some(at)))),
        ("Would not start", drill.prevented_by.join("; ")),
        ("Missed", missed),
        ("Hold", format!("{}, return {}", duration(drill.hold_ms), drill.comes_back)),
        ("Approvals", drill.approvals.to_string()),
    ]);
    if !drill.guardrails.is_empty() {
        text += "\nGUARDRAILS\n";
        text += &drill.guardrails.iter().map(|guardrail| format!("{guardrail}\n")).collect::<String>();
    }
    if !runs.is_empty() {
        text += "\nEXECUTIONS\n";
        text += &executions_text(runs, style);
    }
    if let Some(newest) = runs.first() {
        text += &format!("\nNEWEST\n{}", execution_text(newest, style));
    }
    text
}

fn executions_text(runs: &[proto::DrillRun], style: Style) -> String {
    let row = |run: &proto::DrillRun| {
        vec![
            run.id.clone(),
            run.phase.clone(),
            or_dash(run.verdict.as_ref()),
            run.rto_ms.map_or_else(|| "-".to_owned(), duration),
            or_dash(run.out.as_ref()),
            or_dash(run.back.as_ref()),
            style.time(run.opened_at.as_ref()),
        ]
    };
    table(&["EXECUTION", "PHASE", "VERDICT", "RTO", "OUT", "BACK", "OPENED"], runs.iter().map(row))
}

fn execution_text(run: &proto::DrillRun, style: Style) -> String {
    let known = |ms: Option<u64>| ms.map_or_else(String::new, duration);
    let optional = |at: Option<&prost_types::Timestamp>| at.map_or_else(String::new, |at| style.time(Some(at)));
    let rto = run.rto_ms.map_or_else(String::new, |rto_ms| {
        let objective = run.rto_objective_ms.map_or_else(String::new, |it| format!(" (objective {})", duration(it)));
        format!("{}{objective}", duration(rto_ms))
    });
    let users = run.through.as_ref().map_or_else(String::new, |seen| {
        format!("{} errors of {}, longest gap {}", seen.errors, seen.asked, duration(seen.longest_gap_ms))
    });
    let approvals: Vec<String> =
        run.approvals.iter().map(|it| format!("{} at {}", it.by, style.time(it.at.as_ref()))).collect();
    let mut text = pairs(&[
        ("Execution", run.id.clone()),
        ("Phase", format!("{} since {}{}", run.phase, style.time(run.phase_since.as_ref()), what_to_do(run))),
        ("Verdict", run.verdict.clone().unwrap_or_default()),
        ("In short", run.sentence.clone().unwrap_or_default()),
        ("Ended early", run.ending.clone().unwrap_or_default()),
        ("Move", format!("{} -> {}", run.from, run.to)),
        ("Asked by", run.actor.clone()),
        ("Scheduled for", optional(run.scheduled_for.as_ref())),
        ("Approved by", approvals.join(", ")),
        ("Began", optional(run.began_at.as_ref())),
        ("Arrived", optional(run.arrived_at.as_ref())),
        ("Holds until", optional(run.hold_until.as_ref())),
        ("Finished", optional(run.finished_at.as_ref())),
        ("RTO", rto),
        ("Detected in", known(run.detect_ms)),
        ("Return took", known(run.return_ms)),
        ("Users saw", users),
    ]);
    if !run.steady.is_empty() {
        let row = |check: &proto::SteadyCheck| {
            vec![mark(check.ok), check.when.clone(), check.name.clone(), check.reason.clone()]
        };
        text += "\nSTEADY STATE\n";
        text += &table(&["OK", "WHEN", "CHECK", "SEEN"], run.steady.iter().map(row));
    }
    text
}

/// An execution whole.
#[must_use]
pub fn execution_json(run: &proto::DrillRun) -> Value {
    let approvals = run.approvals.iter().map(|it| json!({ "by": it.by, "at": time_json(it.at.as_ref()) }));
    let steady = run.steady.iter();
    let steady = steady.map(|it| json!({ "when": it.when, "name": it.name, "ok": it.ok, "reason": it.reason }));
    let through = run.through.as_ref().map(|it| {
        json!({
            "asked": it.asked,
            "errors": it.errors,
            "longest_gap_ms": it.longest_gap_ms,
            "well_since": time_json(it.well_since.as_ref()),
        })
    });
    json!({
        "id": run.id,
        "drill": run.drill,
        "service": run.service,
        "kind": run.kind,
        "phase": run.phase,
        "phase_since": time_json(run.phase_since.as_ref()),
        "scheduled_for": time_json(run.scheduled_for.as_ref()),
        "actor": run.actor,
        "from": run.from,
        "to": run.to,
        "opened_at": time_json(run.opened_at.as_ref()),
        "began_at": time_json(run.began_at.as_ref()),
        "arrived_at": time_json(run.arrived_at.as_ref()),
        "hold_until": time_json(run.hold_until.as_ref()),
        "finished_at": time_json(run.finished_at.as_ref()),
        "approvals": approvals.collect::<Vec<_>>(),
        "approvals_needed": run.approvals_needed,
        "steady": steady.collect::<Vec<_>>(),
        "out": run.out,
        "back": run.back,
        "failed_returns": run.failed_returns,
        "waits_for": run.waits_for,
        "ending": run.ending,
        "rto_ms": run.rto_ms,
        "rto_objective_ms": run.rto_objective_ms,
        "detect_ms": run.detect_ms,
        "return_ms": run.return_ms,
        "through": through,
        "hypothesis": run.hypothesis,
        "verdict": run.verdict,
        "sentence": run.sentence,
    })
}

/// One execution: what `drill run` and `drill cancel` show, and the end of a followed one in JSON.
#[must_use]
pub fn execution(run: &proto::DrillRun, runs: &[proto::Run], style: Style) -> View {
    View {
        json: json!({ "execution": execution_json(run), "runs": runs.iter().map(run_json).collect::<Vec<_>>() }),
        text: executions_text(std::slice::from_ref(run), style),
        names: vec![run.id.clone()],
    }
}

/// `drill schedule`.
#[must_use]
pub fn schedule(drills: &[proto::Drill], style: Style) -> View {
    let all = || drills.iter().flat_map(|drill| drill.openings.iter().map(move |opening| (drill, opening)));
    let mut sorted: Vec<_> = all().collect();
    sorted.sort_by_key(|(_, opening)| opening.at.map_or((0, 0), |at| (at.seconds, at.nanos)));
    let row = |(drill, opening): &(&proto::Drill, &proto::DrillOpening)| {
        vec![
            style.time(opening.at.as_ref()),
            drill.name.clone(),
            drill.service.clone(),
            drill.kind.clone(),
            opening.falls_on.as_ref().map_or_else(|| "-".to_owned(), |why| format!("not then: {why}")),
        ]
    };
    let json = |(drill, opening): &(&proto::Drill, &proto::DrillOpening)| {
        json!({
            "drill": drill.name,
            "service": drill.service,
            "kind": drill.kind,
            "at": time_json(opening.at.as_ref()),
            "falls_on": opening.falls_on,
        })
    };
    View {
        json: json!({ "openings": sorted.iter().map(json).collect::<Vec<_>>() }),
        text: table(&["AT", "DRILL", "SERVICE", "KIND", "FALLS-ON"], sorted.iter().map(row)),
        names: sorted.iter().map(|(drill, _)| drill.name.clone()).collect(),
    }
}
