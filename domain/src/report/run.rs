//! One run, as a report has it.

use super::at::At;
use super::journal::Journal;
use super::loss::stores;
use super::model::{GuardSeen, PartSeen, RunPart, StepPart};
use super::reading::{of_kind, word};
use crate::fleet::{Consent, EventKind, HistoryEvent, StepState, parts_by};
use crate::ids::{Region, RunId};
use crate::plan::Step;

/// `events` are those of the run, and what happened to its service meanwhile.
pub fn run_part(journal: &Journal, events: &[HistoryEvent]) -> RunPart {
    let run = &journal.run;
    let basis = journal.basis.as_ref();
    let parts = parts_by(run, basis.map(|basis| basis.floors()));
    let part = |part: crate::fleet::Part| PartSeen {
        name: part.name.to_owned(),
        ms: part.ms,
        floor_ms: part.floor_ms,
        floor: part.floor,
    };
    let guards = run.guards.iter().map(|verdict| GuardSeen {
        name: verdict.guard.word(),
        ok: verdict.ok,
        reason: verdict.reason.clone(),
        severity: verdict.severity,
    });
    RunPart {
        id: run.id.clone(),
        service: run.service.clone(),
        trigger: run.trigger.word().to_owned(),
        mode: run.plan.mode.to_string(),
        movement: word(run.plan.movement),
        from: run.plan.from.clone(),
        to: run.plan.to.clone(),
        epoch: run.epoch.map(|epoch| epoch.0),
        plan_hash: run.plan.hash(),
        manifest_hash: basis.map(|basis| basis.manifest_hash.clone()),
        state: run.state.word().to_owned(),
        actor: run.actor.to_string(),
        reason: run.reason.clone(),
        breach_at: run.breach_at.map(At),
        decided_at: Some(At(run.decided_at)),
        announce_until: run.announce_until.map(At),
        started_at: run.started_at.map(At),
        switched_at: journal.switched_at.map(At),
        verified_at: run.verified_at.map(At),
        finished_at: run.finished_at.map(At),
        settled_at: settled_at(journal, events),
        rto_ms: run.rto_ms(),
        rto_objective_ms: basis.map(|basis| basis.rto_ms),
        rpo_objective_ms: basis.map(|basis| basis.rpo_ms),
        detect_ms: run.detect_ms(),
        parts: parts.into_iter().map(part).collect(),
        unfenced_consent: run.unfenced_consent.as_ref().map(|consent| match consent {
            Consent::Policy => "policy".to_owned(),
            Consent::Person(name) => name.clone(),
        }),
        abort: run.abort.clone(),
        verdict: run.verdict.clone(),
        loss: stores(&run.loss, &journal.quoted, basis.map(|basis| basis.rpo_ms), run.state.is_closed()),
        steps: run.plan.steps.iter().map(|step| step_part(step, journal)).collect(),
        guards: guards.collect(),
        evidence: run.evidence.clone(),
    }
}

/// A run whose decision this history does not hold: its name, and nothing invented.
pub fn nameless(id: &RunId, events: &[HistoryEvent]) -> RunPart {
    let last = |kind| of_kind(events, kind).next_back();
    let state = last(EventKind::Finished).and_then(|event| super::reading::field::<String>(event, "state"));
    let after = |message: &str| message.split_once(": ").map_or(message, |(_, rest)| rest).to_owned();
    RunPart {
        id: id.clone(),
        service: events.iter().find_map(|event| event.service.clone()).unwrap_or_default(),
        trigger: String::new(),
        mode: String::new(),
        movement: String::new(),
        from: Region::default(),
        to: Region::default(),
        epoch: None,
        plan_hash: String::new(),
        manifest_hash: None,
        state: state.unwrap_or_default(),
        actor: String::new(),
        reason: String::new(),
        breach_at: None,
        decided_at: None,
        announce_until: None,
        started_at: last(EventKind::Started).map(|event| At(event.at)),
        switched_at: last(EventKind::Switch).map(|event| At(event.at)),
        verified_at: None,
        finished_at: last(EventKind::Finished).map(|event| At(event.at)),
        settled_at: None,
        rto_ms: last(EventKind::Finished).and_then(|event| super::reading::field(event, "rto_ms")),
        rto_objective_ms: None,
        rpo_objective_ms: None,
        detect_ms: last(EventKind::Finished).and_then(|event| super::reading::field(event, "detect_ms")),
        parts: Vec::new(),
        unfenced_consent: None,
        abort: None,
        verdict: last(EventKind::Finished).map(|event| after(&event.message)),
        loss: last(EventKind::Receipt)
            .and_then(|event| super::reading::field::<Vec<_>>(event, "loss"))
            .map(|losses| stores(&losses, &[], None, true))
            .unwrap_or_default(),
        steps: Vec::new(),
        guards: Vec::new(),
        evidence: Vec::new(),
    }
}

/// The first settlement after the run, unless another run of the service came before.
fn settled_at(journal: &Journal, events: &[HistoryEvent]) -> Option<At> {
    let (run, finished) = (&journal.run, journal.run.finished_at?);
    let after = |event: &&HistoryEvent| event.service.as_ref() == Some(&run.service) && event.at >= finished;
    let next = of_kind(events, EventKind::Decided).filter(after).find(|event| event.run.as_ref() != Some(&run.id));
    let settled = of_kind(events, EventKind::Settled).find(after)?;
    next.is_none_or(|next| settled.seq < next.seq).then_some(At(settled.at))
}

fn step_part(step: &Step, journal: &Journal) -> StepPart {
    let progress = journal.run.progress(&step.name);
    let usual = journal.basis.as_ref().and_then(|basis| basis.forecast.get(&step.name));
    let tries = journal.tries.get(&step.name).cloned().unwrap_or_default();
    let took = progress.started_at.zip(progress.finished_at).map(|(from, until)| until.since(from));
    let went_wrong = matches!(progress.state, StepState::Failed | StepState::Unknown);
    StepPart {
        name: step.name.clone(),
        kind: step.kind.word().to_owned(),
        region: step.region.clone(),
        plane: step.plane,
        critical: step.critical,
        point_of_no_return: step.is_point_of_no_return(),
        after: step.after.clone(),
        state: progress.state.word().to_owned(),
        attempts: progress.attempts,
        started_at: progress.started_at.map(At),
        finished_at: progress.finished_at.map(At),
        error: progress.note.clone().filter(|_| went_wrong),
        note: progress.note.filter(|_| !went_wrong),
        answers: progress.seen,
        tries,
        timeout_ms: step.timeout_ms,
        p50_ms: usual.map(|usual| usual.p50_ms),
        p95_ms: usual.map(|usual| usual.p95_ms),
        beyond_p95: usual.zip(took).is_some_and(|(usual, took)| took > usual.p95_ms),
    }
}
