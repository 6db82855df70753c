//! Runs and their journals.

use failoverd_domain::fleet::{Consent, Run, StepProgress, StepState, parts};
use failoverd_domain::plan::Step;
use failoverd_domain::service::ServiceSpec;
use failoverd_domain::traffic::{AnswerSeen, NameProbe};

use super::{finding, guards, loss, step, words};
use crate::api::proto;

/// Milliseconds from the breach (or, without one, from the decision) to the verified answer.
#[must_use]
pub fn rto_ms(run: &Run) -> Option<u64> {
    run.verified_at.map(|verified| verified.since(run.breach_at.unwrap_or(run.decided_at)))
}

/// A run; `spec` is its service's, where that is still applied.
#[must_use]
pub fn run(run: &Run, spec: Option<&ServiceSpec>) -> proto::Run {
    let objectives = spec.map(|spec| spec.objectives);
    let steps = run.plan.steps.iter().map(|step| progress(step, run.steps.get(&step.name))).collect();
    proto::Run {
        id: run.id.to_string(),
        service: run.service.to_string(),
        trigger: words::trigger(run.trigger).into(),
        mode: words::mode(run.plan.mode).into(),
        from: run.plan.from.to_string(),
        to: run.plan.to.to_string(),
        epoch: run.epoch.map(|epoch| epoch.0),
        plan_hash: run.plan.hash(),
        state: words::run_state(run.state).into(),
        decided_at: Some(words::time(run.decided_at)),
        started_at: run.started_at.map(words::time),
        finished_at: run.finished_at.map(words::time),
        rto_ms: rto_ms(run),
        rto_objective_ms: objectives.map(|objectives| objectives.rto_ms),
        detect_ms: run.breach_at.map(|breach| run.decided_at.since(breach)),
        loss: run.loss.iter().map(loss).collect(),
        steps,
        actor: run.actor.to_string(),
        reason: run.reason.clone(),
        guards: guards(&run.guards),
        evidence: run.evidence.iter().map(finding).collect(),
        breach_at: run.breach_at.map(words::time),
        verified_at: run.verified_at.map(words::time),
        announce_until: run.announce_until.map(words::time),
        valid_until: Some(words::time(run.valid_until)),
        unfenced_consent: run.unfenced_consent.as_ref().map(consent),
        abort: run.abort.clone(),
        verdict: run.verdict.clone(),
        decided_index: run.decided_index.0,
        movement: words::movement(run.plan.movement).into(),
        rpo_objective_ms: objectives.map(|objectives| objectives.rpo_ms),
        parts: parts(run, spec).into_iter().map(part).collect(),
        drill: run.drill.as_ref().map(ToString::to_string),
        rto_at_risk: None,
    }
}

fn part(part: failoverd_domain::fleet::Part) -> proto::RunPart {
    proto::RunPart { name: part.name.to_owned(), ms: part.ms, floor_ms: part.floor_ms, floor: part.floor }
}

fn consent(consent: &Consent) -> String {
    match consent {
        Consent::Policy => "policy".to_owned(),
        Consent::Person(name) => name.clone(),
    }
}

fn progress(planned: &Step, journal: Option<&StepProgress>) -> proto::StepProgress {
    let none = StepProgress::default();
    let journal = journal.unwrap_or(&none);
    let went_wrong = matches!(journal.state, StepState::Failed | StepState::Unknown);
    proto::StepProgress {
        step: Some(step(planned)),
        state: words::step_state(journal.state).into(),
        attempts: journal.attempts,
        started_at: journal.started_at.map(words::time),
        finished_at: journal.finished_at.map(words::time),
        error: journal.note.clone().filter(|_| went_wrong),
        note: journal.note.clone().filter(|_| !went_wrong),
        answers: journal.seen.iter().map(answer).collect(),
        overdue: false,
    }
}

fn answer(seen: &AnswerSeen) -> proto::AnswerSeen {
    let probe = |probe: &NameProbe| proto::NameProbe {
        name: probe.name.clone(),
        signal: probe.signal.to_string(),
        good: probe.good,
        detail: probe.detail.clone(),
    };
    proto::AnswerSeen {
        daemon: seen.daemon.to_string(),
        answered_by: seen.answered_by.iter().map(ToString::to_string).collect(),
        after_ms: seen.after_ms,
        tail_s: seen.tail_s,
        not_asked: seen.not_asked.clone(),
        probes: seen.probes.iter().map(probe).collect(),
    }
}
