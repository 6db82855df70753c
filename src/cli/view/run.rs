//! Runs and their steps.

use serde_json::json;

use super::json::{diagnosis, mode, moved, run_json, run_state, step_state, trigger};
use super::service::guards_text;
use super::table::{mark, or_dash, pairs, table};
use crate::api::proto;
use crate::cli::Style;
use crate::cli::output::View;
use crate::cli::style::{duration, timestamp};

fn moved_line(run: &proto::Run) -> String {
    match run.movement() {
        proto::Movement::Unspecified => format!("{} -> {}, {}", run.from, run.to, mode(run.mode())),
        other => format!("{}, {}", moved(other, &run.from, &run.to), mode(run.mode())),
    }
}

/// `get runs`.
#[must_use]
pub fn runs(runs: &[proto::Run], style: Style) -> View {
    View {
        json: json!({ "runs": runs.iter().map(run_json).collect::<Vec<_>>() }),
        text: runs_text(runs, style),
        names: runs.iter().map(|run| run.id.clone()).collect(),
    }
}

pub fn runs_text(runs: &[proto::Run], style: Style) -> String {
    let mut headings = vec!["RUN", "TRIGGER", "MODE", "FROM", "TO", "STATE", "RTO", "DECIDED"];
    if style.wide {
        headings.extend(["EPOCH", "PLAN", "ACTOR", "REASON"]);
    }
    let row = |run: &proto::Run| {
        let mut row = vec![
            run.id.clone(),
            trigger(run.trigger()),
            mode(run.mode()),
            run.from.clone(),
            run.to.clone(),
            run_state(run.state()),
            run.rto_ms.map_or_else(|| "-".to_owned(), duration),
            style.time(run.decided_at.as_ref()),
        ];
        if style.wide {
            row.extend([or_dash(run.epoch), run.plan_hash.clone(), run.actor.clone(), run.reason.clone()]);
        }
        row
    };
    table(&headings, runs.iter().map(row))
}

/// `describe run`.
#[must_use]
pub fn run_whole(run: &proto::Run, style: Style) -> View {
    let mut text = facts(run, style);
    text += "\nSTEPS\n";
    text += &steps_text(run);
    let answers = answers_text(run);
    if !answers.is_empty() {
        text += "\nANSWERS\n";
        text += &answers;
    }
    if !run.parts.is_empty() {
        text += "\nWHERE THE TIME WENT\n";
        text += &parts_text(&run.parts);
    }
    if !run.loss.is_empty() {
        text += "\nLOSS\n";
        text += &losses_text(&run.loss);
    }
    if !run.guards.is_empty() {
        text += "\nGUARDS AT THE DECISION\n";
        text += &guards_text(&run.guards);
    }
    for (region, finding) in [&run.from, &run.to].into_iter().zip(&run.evidence) {
        text += &format!("\nSEEN OF {region}: {}, {}\n", diagnosis(finding.diagnosis()), finding.because);
    }
    View { json: json!({ "runs": [run_json(run)] }), text, names: vec![run.id.clone()] }
}

fn facts(run: &proto::Run, style: Style) -> String {
    let rto = run.rto_ms.map_or_else(String::new, |rto_ms| {
        let objective = run.rto_objective_ms.map_or_else(String::new, |it| format!(" (objective {})", duration(it)));
        format!("{}{objective}", duration(rto_ms))
    });
    let optional = |at: Option<&prost_types::Timestamp>| at.map_or_else(String::new, |at| style.time(Some(at)));
    pairs(&[
        ("Run", run.id.clone()),
        ("Service", run.service.clone()),
        ("State", run_state(run.state())),
        ("Verdict", run.verdict.clone().unwrap_or_default()),
        ("Asked to stop", run.abort.clone().unwrap_or_default()),
        ("Move", moved_line(run)),
        ("Trigger", format!("{} by {}", trigger(run.trigger()), run.actor)),
        ("Reason", run.reason.clone()),
        ("Plan", run.plan_hash.clone()),
        ("Epoch", run.epoch.map_or_else(String::new, |epoch| epoch.to_string())),
        (
            "If unfenced",
            run.unfenced_consent.as_ref().map_or_else(String::new, |by| format!("go on, by consent of {by}")),
        ),
        ("Breach", optional(run.breach_at.as_ref())),
        ("Decided", optional(run.decided_at.as_ref())),
        ("Announced until", optional(run.announce_until.as_ref())),
        ("Started", optional(run.started_at.as_ref())),
        ("Verified", optional(run.verified_at.as_ref())),
        ("Finished", optional(run.finished_at.as_ref())),
        ("Detected in", run.detect_ms.map_or_else(String::new, duration)),
        ("RTO", rto),
        ("RTO at risk", run.rto_at_risk.clone().unwrap_or_default()),
        ("Drill", run.drill.clone().unwrap_or_default()),
    ])
}

/// The steps with their state, for people.
#[must_use]
pub fn steps_text(run: &proto::Run) -> String {
    let row = |progress: &proto::StepProgress| {
        let step = progress.step.clone().unwrap_or_default();
        let said = progress.error.as_ref().or(progress.note.as_ref());
        vec![
            step.name,
            step.region,
            if step.critical { "yes" } else { "-" }.to_owned(),
            if step.point_of_no_return { "here" } else { "-" }.to_owned(),
            step_state(progress.state()),
            progress.attempts.to_string(),
            took(progress).map_or_else(|| "-".to_owned(), duration),
            overdue(progress).or_else(|| said.cloned()).unwrap_or_default(),
        ]
    };
    let headings = ["STEP", "REGION", "CRITICAL", "NO-RETURN", "STATE", "ATTEMPTS", "TOOK", "SAID"];
    table(&headings, run.steps.iter().map(row))
}

/// What is said of a step that takes longer than it used to.
fn overdue(progress: &proto::StepProgress) -> Option<String> {
    let p95_ms = progress.step.as_ref()?.p95_ms.filter(|_| progress.overdue)?;
    Some(format!("overdue: 95 of 100 took {} or less", duration(p95_ms)))
}

/// What each daemon was answered; empty where no step asked.
#[must_use]
pub fn answers_text(run: &proto::Run) -> String {
    let probes = |seen: &proto::AnswerSeen| {
        let said = |probe: &proto::NameProbe| format!("{} {}: {}", mark(probe.good), probe.name, probe.detail);
        seen.probes.iter().map(said).collect::<Vec<_>>().join(", ")
    };
    let row = |seen: &proto::AnswerSeen| {
        vec![
            seen.daemon.clone(),
            match &seen.not_asked {
                Some(why) => format!("not asked ({why})"),
                None => seen.answered_by.join(" "),
            },
            seen.after_ms.map_or_else(|| "-".to_owned(), duration),
            seen.tail_s.map_or_else(|| "-".to_owned(), |tail_s| format!("{tail_s} s more")),
            if seen.probes.is_empty() { "-".to_owned() } else { probes(seen) },
        ]
    };
    let rows: Vec<Vec<String>> = run.steps.iter().flat_map(|step| &step.answers).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["FROM", "ANSWERED-BY", "AFTER", "CACHES", "THROUGH-NAME"], rows)
}

/// The parts of a move beside what they cannot go below, and the whole.
#[must_use]
pub fn parts_text(parts: &[proto::RunPart]) -> String {
    let row = |name: &str, ms: u64, floor_ms: u64, by: &str| {
        vec![name.to_owned(), format!("{ms} ms"), format!("{floor_ms} ms"), by.to_owned()]
    };
    let all = |of: fn(&proto::RunPart) -> u64| parts.iter().map(of).sum();
    let total = row("total", all(|part| part.ms), all(|part| part.floor_ms), "");
    let rows = parts.iter().map(|part| row(&part.name, part.ms, part.floor_ms, &part.floor)).chain([total]);
    table(&["PART", "TOOK", "FLOOR", "FLOOR-IS"], rows)
}

/// Milliseconds from a step's first intent to its end.
pub fn took(progress: &proto::StepProgress) -> Option<u64> {
    Some(timestamp(progress.finished_at.as_ref()?).since(timestamp(progress.started_at.as_ref()?)))
}

/// One line about one step, for logs of progress.
#[must_use]
pub fn step_line(progress: &proto::StepProgress) -> String {
    let step = progress.step.clone().unwrap_or_default();
    let sign = match progress.state() {
        proto::StepState::Succeeded => mark(true),
        proto::StepState::Failed => mark(false),
        proto::StepState::Pending | proto::StepState::Skipped => "·".to_owned(),
        _ => "…".to_owned(),
    };
    let mut line = format!("{sign} {} in {} {}", step.name, step.region, step_state(progress.state()));
    if let Some(ms) = took(progress) {
        line += &format!(" after {}", duration(ms));
    }
    if progress.attempts > 1 {
        line += &format!(" (attempt {})", progress.attempts);
    }
    if let Some(late) = overdue(progress) {
        line += &format!(" ({late})");
    }
    if let Some(said) = progress.error.as_ref().or(progress.note.as_ref()) {
        line += &format!(": {said}");
    }
    line
}

pub fn losses_text(losses: &[proto::Loss]) -> String {
    let ms = |value: Option<u64>, unknown: &str| value.map_or_else(|| unknown.to_owned(), |it| format!("{it} ms"));
    let row = |loss: &proto::Loss| {
        vec![loss.store.clone(), ms(loss.bound, "unknown"), ms(loss.measured, "-"), loss.reason.clone()]
    };
    table(&["STORE", "AT-MOST", "MEASURED", "WHERE-FROM"], losses.iter().map(row))
}
