//! What did not go as it usually does. Computed from the events; each names those that it follows from.

use std::collections::BTreeSet;

use super::model::{Report, RunPart, StepPart, Surprise, Within};
use super::reading::of_kind;
use super::words::duration;
use crate::fleet::{EventKind, HistoryEvent, Severity};

/// Records and checks that took longer than this to say the same are worth a look, milliseconds.
const SLOW_SETTLEMENT_MS: u64 = 15 * 60_000;

/// `events` are the report's own and those of its service meanwhile.
pub fn surprises(report: &Report, events: &[HistoryEvent]) -> Vec<Surprise> {
    let mut found = Vec::new();
    found.extend(report.missed.iter().map(|missed| said(format!("objective missed: {missed}"))));
    if let Some(ending) = report.drill.as_ref().and_then(|drill| drill.ending.as_ref()) {
        found.push(said(format!("ended early: {ending}")));
    }
    for check in report.drill.iter().flat_map(|drill| &drill.steady).filter(|check| !check.ok) {
        let when = super::reading::word(check.when);
        found.push(said(format!("steady state did not hold {when} the drill: {}: {}", check.name, check.reason)));
    }
    for run in &report.runs {
        of_run(run, &mut found);
    }
    if let Some(users) = report.users.as_ref().filter(|users| users.errors > 0) {
        found.push(said(format!(
            "{} of {} questions by the public name were not answered well; longest gap {}",
            users.errors,
            users.asked,
            duration(users.longest_gap_ms)
        )));
    }
    meanwhile(report, events, &mut found);
    found
}

fn said(what: String) -> Surprise {
    Surprise { what, seqs: Vec::new() }
}

fn of_run(run: &RunPart, found: &mut Vec<Surprise>) {
    for guard in run.guards.iter().filter(|guard| !guard.ok) {
        let what = match guard.severity {
            Severity::Informs => "said no and only informed",
            Severity::NeedsApproval => "said no: a person had to approve",
            Severity::Blocks => "said no",
        };
        found.push(said(format!("{}: guard {} {what}: {}", run.id, guard.name, guard.reason)));
    }
    for step in &run.steps {
        of_step(run, step, found);
    }
    for store in &run.loss {
        if let (Some(lost), Some(bound)) = (store.measured, store.bound)
            && lost > bound
        {
            let what =
                format!("{}: {} lost {lost} ms of writes, more than the bound of {bound} ms", run.id, store.store);
            found.push(said(what));
        }
        if store.measured.is_none() && store.within == Within::Unknown && run.finished_at.is_some() {
            found.push(said(format!("{}: what {} lost is not known: {}", run.id, store.store, store.reason)));
        }
    }
    if let Some(by) = &run.unfenced_consent {
        found.push(said(format!("{}: consent to go on with an old writer that is not fenced, by {by}", run.id)));
    }
    if let Some(reason) = &run.abort {
        found.push(said(format!("{}: asked to stop: {reason}", run.id)));
    }
    let daemons: BTreeSet<&str> = run.steps.iter().flat_map(|step| &step.tries).map(|it| it.by.as_str()).collect();
    if daemons.len() > 1 {
        let daemons: Vec<&str> = daemons.into_iter().collect();
        found.push(said(format!(
            "{}: the leader changed on the way: steps were begun by {}",
            run.id,
            daemons.join(", ")
        )));
    }
    if let (Some(finished), Some(settled)) = (run.finished_at, run.settled_at)
        && settled.0.since(finished.0) > SLOW_SETTLEMENT_MS
    {
        let took = duration(settled.0.since(finished.0));
        found.push(said(format!("{}: records and checks were set right only {took} after the verdict", run.id)));
    }
}

fn of_step(run: &RunPart, step: &StepPart, found: &mut Vec<Surprise>) {
    let seqs: Vec<u64> = step.tries.iter().map(|it| it.seq).collect();
    let mut push =
        |what: String| found.push(Surprise { what: format!("{}: {} {what}", run.id, step.name), seqs: seqs.clone() });
    if let (true, Some(p95), Some(from), Some(until)) =
        (step.beyond_p95, step.p95_ms, step.started_at, step.finished_at)
    {
        push(format!("took {}, beyond its p95 of {}", duration(until.0.since(from.0)), duration(p95)));
    }
    if step.attempts > 1 {
        let first =
            step.tries.iter().find_map(|it| it.note.clone()).unwrap_or_else(|| "nobody said how it ended".to_owned());
        push(format!("needed {} attempts; the first: {first}", step.attempts));
    }
    if step.tries.iter().any(|it| it.state == "unknown") || step.state == "unknown" {
        push("had an outcome that nobody knew".to_owned());
    }
    if step.state == "skipped" {
        push("was skipped by a person".to_owned());
    }
    if step.state == "failed" {
        push(format!("failed: {}", step.error.clone().unwrap_or_default()));
    }
    for seen in &step.answers {
        if let Some(why) = &seen.not_asked {
            push(format!("could not ask {}: {why}", seen.daemon));
        }
        for probe in seen.probes.iter().filter(|probe| !probe.good) {
            push(format!("{} got a bad answer through {}: {}", seen.daemon, probe.name, probe.detail));
        }
    }
}

/// What else happened to the service between the first event and the last.
fn meanwhile(report: &Report, events: &[HistoryEvent], found: &mut Vec<Surprise>) {
    let (Some(from), Some(to)) = (report.history.from_seq, report.history.to_seq) else { return };
    let between = |event: &&HistoryEvent| (from..=to).contains(&event.seq);
    let own = |event: &HistoryEvent| report.runs.iter().any(|run| event.run.as_ref() == Some(&run.id));
    for event in of_kind(events, EventKind::Decided).filter(between).filter(|event| !own(event)) {
        let what = format!("another run of {} was decided meanwhile: {}", report.service, event.message);
        found.push(Surprise { what, seqs: vec![event.seq] });
    }
    for event in of_kind(events, EventKind::Violation).filter(between) {
        found.push(Surprise { what: format!("an invariant did not hold: {}", event.message), seqs: vec![event.seq] });
    }
    for event in of_kind(events, EventKind::LostWrites).filter(between) {
        found.push(Surprise { what: event.message.clone(), seqs: vec![event.seq] });
    }
}
