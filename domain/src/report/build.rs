//! Reports out of events.

use std::collections::BTreeMap;

use super::at::At;
use super::drill::{drill_part, finished_part};
use super::earlier::{earlier_drills, earlier_runs};
use super::journal::journal_of;
use super::model::{
    ActorSeen, ApprovalSeen, CurvesSeen, Kind, Objectives, Report, Rto, RunPart, StoreLoss, Told, Users, Within,
};
use super::reading::{field, in_order, of_kind};
use super::record::record;
use super::run::{nameless, run_part};
use super::surprises::surprises;
use super::words::duration;
use crate::drill::{Curves, ThroughSeen};
use crate::fleet::{EventKind, HistoryEvent};
use crate::ids::{DrillRunId, Region, RunId};

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// No event is about it.
    #[error("this history holds no event of {0}")]
    NoEvents(String),
}

/// The report of a run. `events` are its own and those of its service meanwhile, in any order; `earlier` those of
/// decisions, verdicts and receipts before it. `behind` is how many events this history lacks at its end.
///
/// # Errors
/// No event is about the run.
pub fn report_of_run(
    id: &RunId,
    events: &[HistoryEvent],
    earlier: &[HistoryEvent],
    behind: u64,
) -> Result<Report, ReportError> {
    let events = in_order(events);
    let own: Vec<&HistoryEvent> = events.iter().filter(|event| event.run.as_ref() == Some(id)).collect();
    let run = run_of(id, &own, &events);
    let mut report = bare(Kind::Run, id.as_str(), &own, record(&own, &format!("--run {id}")))?;
    report.service = run.service.clone();
    report.title = moved(&run);
    report.objectives = objectives_of(&run);
    report.missed = missed(&report.objectives);
    report.verdict = match run.state.as_str() {
        "succeeded" if report.missed.is_empty() => "succeeded",
        "succeeded" => "succeeded-objective-missed",
        "failed" => "failed",
        "aborted" => "aborted",
        _ => "open",
    }
    .to_owned();
    report.sentence = sentence_of(&run);
    report.incomplete = gaps(&run, &own, behind);
    report.earlier = earlier_runs(&run, earlier, own.first().map_or(0, |event| event.seq));
    report.runs = vec![run];
    report.surprises = surprises(&report, &events);
    Ok(report)
}

/// The report of an execution of a drill: `events` are its own, those of its runs, and those of its service meanwhile;
/// `earlier` are verdicts of drills before it.
///
/// # Errors
/// No event is about the execution.
pub fn report_of_drill(
    id: &DrillRunId,
    events: &[HistoryEvent],
    earlier: &[HistoryEvent],
    behind: u64,
) -> Result<Report, ReportError> {
    let events = in_order(events);
    let own: Vec<&HistoryEvent> = events.iter().filter(|event| event.drill.as_ref() == Some(id)).collect();
    let mut report = bare(Kind::Drill, id.as_str(), &own, record(&own, &format!("--drill {id}")))?;
    let mut ids: Vec<RunId> = Vec::new();
    for run in own.iter().filter_map(|event| event.run.as_ref()) {
        if !ids.contains(run) {
            ids.push(run.clone());
        }
    }
    report.runs = ids.iter().map(|run| run_of(run, &own, &events)).collect();
    let drill = drill_part(id, &own);
    report.title = format!("{} drill of {} from {} to {}", drill.kind, report.service, drill.home, drill.away);
    let finished = finished_part(&own);
    report.objectives = finished.objectives(report.runs.first());
    report.users = finished.measured.through.as_ref().map(users).or(report.users);
    report.missed = missed(&report.objectives);
    report.verdict = finished.verdict.unwrap_or_else(|| "open".to_owned());
    report.sentence = finished.sentence.unwrap_or_else(|| match drill.phases.last() {
        Some(phase) => format!("no verdict yet: {} since {}", phase.phase, phase.began_at),
        None => "no verdict yet".to_owned(),
    });
    if of_kind(&events, EventKind::DrillOpened).all(|event| event.drill.as_ref() != Some(id)) {
        report
            .incomplete
            .push("the opening of this drill is not in this history: what it was to show is missing".to_owned());
    }
    if drill.finished_at.is_none() {
        report.incomplete.push(not_ended(behind));
    }
    report.earlier = earlier_drills(&drill.name, earlier, own.first().map_or(0, |event| event.seq));
    report.drill = Some(drill);
    report.surprises = surprises(&report, &events);
    Ok(report)
}

fn run_of(id: &RunId, own: &[&HistoryEvent], events: &[HistoryEvent]) -> RunPart {
    match journal_of(id, events) {
        Some(journal) => run_part(&journal, events),
        None => {
            let own: Vec<HistoryEvent> =
                own.iter().filter(|event| event.run.as_ref() == Some(id)).map(|event| (*event).clone()).collect();
            nameless(id, &own)
        }
    }
}

/// What every report has, whatever it is about.
fn bare(kind: Kind, id: &str, own: &[&HistoryEvent], record: super::model::Record) -> Result<Report, ReportError> {
    let first = own.first().ok_or_else(|| ReportError::NoEvents(id.to_owned()))?;
    let told = own.iter().map(|event| Told {
        seq: event.seq,
        at: At(event.at),
        kind: event.kind.word(),
        actor: event.actor.clone(),
        message: event.message.clone(),
        run: event.run.clone(),
    });
    Ok(Report {
        kind,
        id: id.to_owned(),
        fleet: first.fleet.clone(),
        service: own.iter().find_map(|event| event.service.clone()).unwrap_or_default(),
        title: String::new(),
        verdict: String::new(),
        sentence: String::new(),
        missed: Vec::new(),
        incomplete: Vec::new(),
        drill: None,
        objectives: Objectives { rto: no_rto(), rpo_ms: None, stores: Vec::new() },
        users: seen_by_users(own),
        runs: Vec::new(),
        curves: curves(own),
        approvals: own.iter().filter_map(|event| approval(event)).collect(),
        actors: actors(own),
        surprises: Vec::new(),
        earlier: Vec::new(),
        timeline: told.collect(),
        history: record,
    })
}

fn no_rto() -> Rto {
    Rto {
        objective_ms: None,
        measured_ms: None,
        counted_from: "start".to_owned(),
        detect_ms: None,
        return_ms: None,
        within: Within::Unknown,
        reason: None,
    }
}

/// What a run says of its objectives.
pub fn objectives_of(run: &RunPart) -> Objectives {
    let reason = run.rto_ms.is_none().then(|| "the answer was never verified in the new place".to_owned());
    Objectives {
        rto: Rto {
            objective_ms: run.rto_objective_ms,
            measured_ms: run.rto_ms,
            counted_from: if run.breach_at.is_some() { "breach" } else { "start" }.to_owned(),
            detect_ms: run.detect_ms,
            return_ms: None,
            within: within(run.rto_ms, run.rto_objective_ms),
            reason,
        },
        rpo_ms: run.rpo_objective_ms,
        stores: run.loss.clone(),
    }
}

/// Whether a figure is at most another.
pub fn within(measured: Option<u64>, objective: Option<u64>) -> Within {
    match (measured, objective) {
        (Some(took), Some(most)) if took <= most => Within::Kept,
        (Some(_), Some(_)) => Within::Missed,
        _ => Within::Unknown,
    }
}

fn missed(objectives: &Objectives) -> Vec<String> {
    let rto = &objectives.rto;
    let mut missed = Vec::new();
    if let (Some(took), Some(most), Within::Missed) = (rto.measured_ms, rto.objective_ms, rto.within) {
        missed.push(format!("RTO {} over {}", duration(took), duration(most)));
    }
    let lost = |store: &&StoreLoss| store.within == Within::Missed;
    missed.extend(objectives.stores.iter().filter(lost).filter_map(|store| {
        Some(format!("{} lost {} ms of writes, RPO {} ms", store.store, store.measured?, objectives.rpo_ms?))
    }));
    missed
}

/// Where a run went, in a line.
fn moved(run: &RunPart) -> String {
    let known = |region: &Region| if region.as_str().is_empty() { "?".to_owned() } else { region.to_string() };
    let (from, to) = (known(&run.from), known(&run.to));
    match run.movement.as_str() {
        "evacuate" => format!("{} out of {from}", run.service),
        "restore" => format!("{} into {to} again", run.service),
        "" => run.service.to_string(),
        _ => format!("{} from {from} to {to}", run.service),
    }
}

fn sentence_of(run: &RunPart) -> String {
    match &run.verdict {
        Some(verdict) => verdict.clone(),
        None if run.state.is_empty() => "it has not ended in this history".to_owned(),
        None => format!("no verdict yet: it is {}", run.state),
    }
}

fn gaps(run: &RunPart, own: &[&HistoryEvent], behind: u64) -> Vec<String> {
    let mut gaps = Vec::new();
    if run.decided_at.is_none() {
        gaps.push(
            "the decision of this run is not in this history: its plan, guards and bounds are missing".to_owned(),
        );
    }
    if run.finished_at.is_none() {
        gaps.push(not_ended(behind));
    } else if behind > 0 && !own.iter().any(|event| event.kind == EventKind::Receipt) {
        gaps.push(format!("this history is {behind} events behind the fleet: the receipt may still come"));
    }
    gaps
}

fn not_ended(behind: u64) -> String {
    match behind {
        0 => "it has no verdict yet: this report shows it as far as it went".to_owned(),
        1 => "this history is 1 event behind: the report is not complete yet".to_owned(),
        _ => format!("this history is {behind} events behind: the report is not complete yet"),
    }
}

fn observed<'a>(own: &'a [&HistoryEvent]) -> impl Iterator<Item = (Option<RunId>, Curves)> + 'a {
    let observations = own.iter().filter(|event| event.kind == EventKind::Observations);
    observations.filter_map(|event| Some((event.run.clone(), field::<Curves>(event, "curves")?)))
}

fn curves(own: &[&HistoryEvent]) -> Vec<CurvesSeen> {
    observed(own).map(|(run, seen)| CurvesSeen { run, from: At(seen.from), curves: seen.curves }).collect()
}

fn users(seen: &ThroughSeen) -> Users {
    Users {
        asked: seen.asked,
        errors: seen.errors,
        longest_gap_ms: seen.longest_gap_ms,
        well_since: seen.well_since.map(At),
    }
}

/// Out and back together.
fn seen_by_users(own: &[&HistoryEvent]) -> Option<Users> {
    let all = observed(own).filter_map(|(_, seen)| seen.through.as_ref().map(users));
    all.reduce(|one, two| Users {
        asked: one.asked + two.asked,
        errors: one.errors + two.errors,
        longest_gap_ms: one.longest_gap_ms.max(two.longest_gap_ms),
        well_since: one.well_since.max(two.well_since),
    })
}

fn approval(event: &HistoryEvent) -> Option<ApprovalSeen> {
    let by = match event.kind {
        EventKind::DrillApproved => field(event, "by").unwrap_or_else(|| event.actor.clone()),
        EventKind::Approved => event.actor.clone(),
        _ => return None,
    };
    Some(ApprovalSeen { by, at: At(event.at), what: event.message.clone() })
}

fn actors(own: &[&HistoryEvent]) -> Vec<ActorSeen> {
    let mut events: BTreeMap<&str, u64> = BTreeMap::new();
    for event in own {
        *events.entry(event.actor.as_str()).or_default() += 1;
    }
    events.into_iter().map(|(actor, events)| ActorSeen { actor: actor.to_owned(), events }).collect()
}
