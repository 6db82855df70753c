//! What a run did: for the person who writes the incident up. Built from the run and its history alone.

use std::fmt::Write;

use serde_json::{Value, json};

use super::output::View;
use super::progress::missed;
use super::style::{Style, duration, timestamp};
use super::view::{answers_text, parts_text, run_json, steps_text, time_json};
use crate::api::convert::word;
use crate::api::proto::{Event, Loss, Run, RunState};

/// The report of a run; `events` are those of the run in any order.
#[must_use]
pub fn report(run: &Run, events: &[Event]) -> View {
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|event| event.seq);
    View { json: json(run, &events), text: text(run, &events), names: vec![run.id.clone()] }
}

/// The report of a run that the fleet keeps no more: what its events say.
#[must_use]
pub fn report_of_old(id: &str, events: &[Event]) -> View {
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|event| event.seq);
    let said = |kind: &str| {
        let of_kind = events.iter().filter(|event| event.kind == kind);
        of_kind.map(|event| event.message.as_str()).collect::<Vec<_>>()
    };
    let verdict = said("finished").last().copied().unwrap_or("it has not ended in this history");
    let mut text = format!("# Run {id}\n\n- verdict: {verdict}\n");
    for decided in said("decided") {
        let _ = writeln!(text, "- why: {decided}");
    }
    text += "\n## Loss\n\n";
    for receipt in said("receipt") {
        let _ = writeln!(text, "- {receipt}");
    }
    text += "\n## Timeline\n\n";
    text += &timeline(&Run { decided_at: events.first().and_then(|event| event.at), ..Run::default() }, &events);
    let json = json!({
        "run": { "id": id },
        "verdict": verdict,
        "timeline": timeline_json(&events),
        "history": history_json(&events),
    });
    View { json, text, names: vec![id.to_owned()] }
}

fn verdict(run: &Run) -> &'static str {
    match run.state() {
        RunState::Succeeded if missed(run).is_empty() => "succeeded",
        RunState::Succeeded => "succeeded-objective-missed",
        RunState::Failed => "failed",
        RunState::Aborted => "aborted",
        _ => "open",
    }
}

fn json(run: &Run, events: &[&Event]) -> Value {
    json!({
        "run": run_json(run),
        "verdict": verdict(run),
        "missed": missed(run),
        "timeline": timeline_json(events),
        "history": history_json(events),
    })
}

fn timeline_json(events: &[&Event]) -> Value {
    let event = |event: &&Event| {
        json!({
            "seq": event.seq,
            "at": time_json(event.at.as_ref()),
            "kind": event.kind,
            "actor": event.actor,
            "message": event.message,
        })
    };
    events.iter().map(event).collect()
}

fn history_json(events: &[&Event]) -> Value {
    json!({
        "from_seq": events.first().map(|event| event.seq),
        "to_seq": events.last().map(|event| event.seq),
        "events": events.len(),
    })
}

fn text(run: &Run, events: &[&Event]) -> String {
    let mut text = headline(run);
    text += &objectives(run);
    if !run.parts.is_empty() {
        text += "\n## Where the time went\n\n";
        text += &parts_text(&run.parts);
    }
    text += "\n## Loss\n\n";
    text += &losses(&run.loss);
    text += "\n## Guards at the decision\n\n";
    for guard in &run.guards {
        let mark = if guard.ok { "✓" } else { "✗" };
        let _ = writeln!(text, "- {mark} {}: {}", guard.name, guard.reason);
    }
    if run.guards.is_empty() {
        text += "none were asked\n";
    }
    text += "\n## Steps\n\n";
    text += &steps_text(run);
    let answers = answers_text(run);
    if !answers.is_empty() {
        text += "\n## Answers\n\n";
        text += &answers;
    }
    text += "\n## Timeline\n\n";
    text += &timeline(run, events);
    text
}

fn headline(run: &Run) -> String {
    let mode = word(run.mode().as_str_name(), "MODE");
    let trigger = word(run.trigger().as_str_name(), "TRIGGER");
    let state = word(run.state().as_str_name(), "RUN_STATE");
    let mut text = format!("# Run {}: {} from {} to {}\n\n", run.id, run.service, run.from, run.to);
    let _ = writeln!(text, "- verdict: {}", run.verdict.as_deref().unwrap_or(&state));
    let _ = writeln!(text, "- why: {} ({trigger}, {mode}, by {})", run.reason, run.actor);
    let epoch = run.epoch.map_or_else(|| "none: it never started".to_owned(), |epoch| epoch.to_string());
    let _ = writeln!(text, "- epoch: {epoch}, plan {}", run.plan_hash);
    if let Some(by) = &run.unfenced_consent {
        let _ = writeln!(text, "- consent to go on if the old writer could not be fenced: {by}");
    }
    if let Some(reason) = &run.abort {
        let _ = writeln!(text, "- asked to stop: {reason}");
    }
    text
}

fn objectives(run: &Run) -> String {
    let mut text = String::new();
    if let Some(detect_ms) = run.detect_ms {
        let _ = writeln!(text, "- detected and decided in {}", duration(detect_ms));
    }
    let kept = |ok: bool| if ok { "kept" } else { "missed" };
    match (run.rto_ms, run.rto_objective_ms) {
        (Some(rto), Some(most)) => {
            let _ = writeln!(text, "- RTO {} against {}: {}", duration(rto), duration(most), kept(rto <= most));
        }
        (Some(rto), None) => {
            let _ = writeln!(text, "- RTO {}; the service has no objective any more", duration(rto));
        }
        (None, _) => text += "- RTO: the answer was never verified in the new place\n",
    }
    text
}

fn losses(losses: &[Loss]) -> String {
    let line = |loss: &Loss| {
        let bound = loss.bound.map_or_else(|| "bound unknown".to_owned(), |ms| format!("at most {ms} ms"));
        let measured = loss.measured.map_or_else(|| "not measured".to_owned(), |ms| format!("measured {ms} ms"));
        format!("- {}: {bound}, {measured} ({})\n", loss.store, loss.reason)
    };
    if losses.is_empty() { "no data moved\n".to_owned() } else { losses.iter().map(line).collect() }
}

/// Instants relative to the breach, or to the decision where no breach was seen.
fn timeline(run: &Run, events: &[&Event]) -> String {
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return "no events of it in this history\n".to_owned();
    };
    let zero = run.breach_at.as_ref().or(run.decided_at.as_ref()).map(timestamp).unwrap_or_default();
    let mut text = String::new();
    if let Some(breach) = &run.breach_at {
        let _ = writeln!(text, "+0ms  {}  the breach began", Style::default().time(Some(breach)));
    }
    for event in events {
        let at = event.at.as_ref().map(timestamp).unwrap_or_default();
        let _ = writeln!(text, "+{}  {}  {} ({})", duration(at.since(zero)), at.rfc3339(), event.message, event.actor);
    }
    let _ = writeln!(text, "\nHistory events {} to {} ({} of this run).", first.seq, last.seq, events.len());
    text
}
