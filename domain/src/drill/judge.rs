//! The verdict of an execution, from what is agreed alone.

use serde::{Deserialize, Serialize};

use super::licence::fingerprint;
use super::run::{DrillRun, DrillVerdict, Ending, SteadyCheck, When};
use super::spec::DrillKind;
use crate::data::loss::Loss;
use crate::fleet::{FleetState, RunState};
use crate::ids::Region;
use crate::plan::{Mode, Movement, PlanRequest, plan};
use crate::service::ServiceSpec;

/// What came of an execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// In a word.
    pub verdict: DrillVerdict,
    /// In a sentence.
    pub sentence: String,
    /// What it was held against.
    pub objectives: Objectives,
    /// Bound and receipt of each store, of the way out.
    pub loss: Vec<Loss>,
    /// Steps of a forced move in this direction that a graceful one cannot practise.
    pub unpractised: Vec<String>,
    /// What it would license: from, to, fingerprint.
    pub licences: Vec<(Region, Region, String)>,
}

/// Objectives as they were when the verdict was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objectives {
    /// Recovery time, milliseconds.
    pub rto_ms: Option<u64>,
    /// Loss, milliseconds of writes.
    pub rpo_ms: Option<u64>,
}

/// Judges an execution that is about to be closed.
#[must_use]
pub fn judge_drill(state: &FleetState, run: &DrillRun) -> Judged {
    let spec = state.services.get(&run.spec.service).map(|service| service.spec.as_ref());
    let out = run.out.as_ref().and_then(|out| state.runs.get(out));
    let loss = out.map(|out| out.loss.clone()).unwrap_or_default();
    let objectives =
        Objectives { rto_ms: spec.map(|spec| spec.objectives.rto_ms), rpo_ms: spec.map(|spec| spec.objectives.rpo_ms) };
    let (verdict, sentence) = match &run.ending {
        Some(ending) => (of_ending(ending), ending.sentence()),
        None => of_results(run, &objectives, &loss),
    };
    let has_moved = out.is_some_and(|out| out.state == RunState::Succeeded);
    let licences = match spec.filter(|_| has_moved && run.spec.kind != DrillKind::Simulate) {
        Some(spec) => licensed(state, run, spec),
        None => Vec::new(),
    };
    let unpractised = spec.filter(|_| run.spec.kind != DrillKind::Simulate);
    let unpractised = unpractised.map(|spec| unpractised_steps(spec, run)).unwrap_or_default();
    Judged { verdict, sentence, objectives, loss, unpractised, licences }
}

fn of_ending(ending: &Ending) -> DrillVerdict {
    match ending {
        Ending::Guardrail { .. } | Ending::Failed { .. } => DrillVerdict::Failed,
        Ending::Cancelled { .. } => DrillVerdict::Cancelled,
        Ending::Overtaken { .. } => DrillVerdict::Overtaken,
        Ending::NotStarted { .. } => DrillVerdict::NotStarted,
    }
}

fn of_results(run: &DrillRun, objectives: &Objectives, loss: &[Loss]) -> (DrillVerdict, String) {
    let after: Vec<&SteadyCheck> = run.steady.iter().filter(|check| check.when == When::After && !check.ok).collect();
    if let Some(no) = after.first() {
        return (
            DrillVerdict::Failed,
            format!("the steady state does not hold afterwards: {}: {}", no.name, no.reason),
        );
    }
    let mut missed = Vec::new();
    match (run.measured.rto_ms, objectives.rto_ms) {
        (Some(took), Some(most)) if took > most => missed.push(format!("RTO {took} ms over {most} ms")),
        (None, _) => missed.push("no RTO could be measured".to_owned()),
        _ => {}
    }
    let over = |loss: &&Loss| loss.measured.zip(objectives.rpo_ms).is_some_and(|(lost, most)| lost > most);
    for loss in loss.iter().filter(over) {
        missed.push(format!("RPO: {}", loss.sentence()));
    }
    if !missed.is_empty() {
        return (DrillVerdict::ObjectiveMissed, missed.join("; "));
    }
    let took = run.measured.rto_ms.unwrap_or_default();
    let place = match run.spec.kind {
        DrillKind::Simulate => "in the simulated AWS".to_owned(),
        _ => format!("from {} to {} and back", run.home, run.away),
    };
    let unknown: Vec<&str> =
        loss.iter().filter(|loss| loss.measured.is_none()).map(|loss| loss.store.as_str()).collect();
    let doubt = match unknown.is_empty() {
        true => String::new(),
        false => format!("; what {} lost cannot be known", unknown.join(", ")),
    };
    (DrillVerdict::Passed, format!("{place}, RTO {took} ms{doubt}"))
}

/// The way out says something about its direction, and a way back that was walked about the other.
fn licensed(state: &FleetState, run: &DrillRun, spec: &ServiceSpec) -> Vec<(Region, Region, String)> {
    let print = fingerprint(spec);
    let mut all = vec![(run.home.clone(), run.away.clone(), print.clone())];
    let is_back = run.back.as_ref().and_then(|back| state.runs.get(back));
    if is_back.is_some_and(|back| back.state == RunState::Succeeded && back.plan.movement == Movement::Failover) {
        all.push((run.away.clone(), run.home.clone(), print));
    }
    all
}

/// What an outage would do in this direction and a graceful move does not.
fn unpractised_steps(spec: &ServiceSpec, run: &DrillRun) -> Vec<String> {
    let made = |mode| {
        plan(&PlanRequest {
            spec,
            spec_index: run.spec_index,
            from: &run.home,
            to: &run.away,
            mode,
            movement: run.movement,
            moves_writers: run.movement == Movement::Failover,
        })
    };
    let practised = made(Mode::Graceful);
    let is_new = |step: &&crate::plan::Step| practised.step(&step.name).is_none_or(|same| same.calls != step.calls);
    let forced = made(Mode::Forced);
    forced.steps.iter().filter(is_new).map(|step| format!("{} ({})", step.name, step.calls.join("; "))).collect()
}
