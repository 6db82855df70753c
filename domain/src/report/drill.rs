//! What only drills have.

use super::at::At;
use super::build::{objectives_of, within};
use super::loss::stores;
use super::model::{DrillPart, GuardrailSeen, Objectives, PhaseSeen, Rto, RunPart};
use super::reading::field;
use crate::data::loss::Loss;
use crate::drill::{DrillPhase, DrillSpec, DrillVerdict, Ending, Measured, SteadyCheck};
use crate::fleet::{EventKind, HistoryEvent};
use crate::ids::DrillRunId;

/// What its verdict says.
#[derive(Default)]
pub struct Finished {
    pub verdict: Option<String>,
    pub sentence: Option<String>,
    pub measured: Measured,
    pub loss: Vec<Loss>,
    pub rto_ms: Option<u64>,
    pub rpo_ms: Option<u64>,
    pub has_breach: bool,
}

pub fn finished_part(own: &[&HistoryEvent]) -> Finished {
    let Some(event) = last(own, EventKind::DrillFinished) else { return Finished::default() };
    let objective =
        |name: &str| event.data.get("objectives").and_then(|all| all.get(name)).and_then(serde_json::Value::as_u64);
    Finished {
        verdict: field::<DrillVerdict>(event, "verdict").map(|verdict| verdict.word().to_owned()),
        sentence: Some(field(event, "sentence").unwrap_or_else(|| event.message.clone())),
        measured: field(event, "measured").unwrap_or_default(),
        loss: field(event, "loss").unwrap_or_default(),
        rto_ms: objective("rto_ms"),
        rpo_ms: objective("rpo_ms"),
        has_breach: field::<crate::time::Timestamp>(event, "breach_at").is_some(),
    }
}

impl Finished {
    /// Its own word where it has one, else that of the way out.
    pub fn objectives(&self, out: Option<&RunPart>) -> Objectives {
        let of_run = out.map(objectives_of);
        let rto = of_run.as_ref().map(|it| &it.rto);
        let objective_ms = self.rto_ms.or(rto.and_then(|rto| rto.objective_ms));
        let measured_ms = self.measured.rto_ms.or(rto.and_then(|rto| rto.measured_ms));
        let from_breach = self.has_breach || rto.is_some_and(|rto| rto.counted_from == "breach");
        let rpo_ms = self.rpo_ms.or(of_run.as_ref().and_then(|it| it.rpo_ms));
        let of_run = out.map(|run| run.loss.clone()).unwrap_or_default();
        Objectives {
            rto: Rto {
                objective_ms,
                measured_ms,
                counted_from: if from_breach { "breach" } else { "start" }.to_owned(),
                detect_ms: self.measured.detect_ms.or(rto.and_then(|rto| rto.detect_ms)),
                return_ms: self.measured.return_ms,
                within: within(measured_ms, objective_ms),
                reason: measured_ms.is_none().then(|| "the answer was never verified in the new place".to_owned()),
            },
            rpo_ms,
            stores: if of_run.is_empty() { stores(&self.loss, &[], rpo_ms, true) } else { of_run },
        }
    }
}

pub fn drill_part(id: &DrillRunId, own: &[&HistoryEvent]) -> DrillPart {
    let opened = last(own, EventKind::DrillOpened);
    let finished = last(own, EventKind::DrillFinished);
    let spec: Option<DrillSpec> = opened.and_then(|event| field(event, "spec"));
    let both = |name: &str| [opened, finished].into_iter().flatten().find_map(|event| field::<String>(event, name));
    let instant = |name: &str| finished.and_then(|event| field(event, name)).map(At);
    let ending: Option<Ending> = [EventKind::DrillEnded, EventKind::DrillFinished]
        .into_iter()
        .find_map(|kind| last(own, kind).and_then(|event| field(event, "ending")));
    let any = own.first();
    let name = both("drill").or_else(|| any.and_then(|event| field(event, "drill")));
    let hypothesis = spec.as_ref().map(|spec| spec.hypothesis.clone()).or_else(|| both("hypothesis"));
    let phases = phases(own);
    // Which step of it was the first to do anything.
    let idle = [DrillPhase::AwaitingApproval.word(), DrillPhase::Checking.word(), DrillPhase::Closed.word()];
    let began = phases.iter().find(|phase| !idle.contains(&phase.phase.as_str())).map(|phase| phase.began_at);
    DrillPart {
        name: name
            .unwrap_or_else(|| id.as_str().rsplit_once('.').map_or(id.as_str(), |(name, _)| name).to_owned())
            .into(),
        execution: id.clone(),
        kind: both("kind").unwrap_or_default(),
        hypothesis: hypothesis.unwrap_or_default(),
        home: both("home").unwrap_or_default().into(),
        away: both("away").unwrap_or_default().into(),
        scheduled_for: opened.and_then(|event| field(event, "scheduled_for")).map(At),
        opened_at: opened.map(|event| At(event.at)),
        began_at: instant("began_at").or(began),
        breach_at: instant("breach_at"),
        arrived_at: instant("arrived_at"),
        finished_at: finished.map(|event| At(event.at)),
        ending: ending.as_ref().map(Ending::sentence),
        guardrails: guardrails(spec.as_ref(), ending.as_ref()),
        phases,
        steady: steady(own, finished),
        told: own.iter().filter_map(|event| field::<Vec<String>>(event, "told")).flatten().collect(),
        unpractised: finished.and_then(|event| field(event, "unpractised")).unwrap_or_default(),
        approvals_needed: spec.map_or(0, |spec| spec.approvals),
    }
}

fn last<'a>(own: &[&'a HistoryEvent], kind: EventKind) -> Option<&'a HistoryEvent> {
    own.iter().rev().find(|event| event.kind == kind).copied()
}

/// Those of the manifest; one that was hit and is in none of them (another daemon's words) is there too.
fn guardrails(spec: Option<&DrillSpec>, ending: Option<&Ending>) -> Vec<GuardrailSeen> {
    let hit = match ending {
        Some(Ending::Guardrail { guardrail, reason }) => Some((guardrail.clone(), reason.clone())),
        _ => None,
    };
    let words = spec.into_iter().flat_map(|spec| &spec.guardrails).map(ToString::to_string);
    let mut seen: Vec<GuardrailSeen> = words.map(|guardrail| GuardrailSeen { guardrail, hit: None }).collect();
    if let Some((guardrail, reason)) = hit {
        match seen.iter_mut().find(|seen| seen.guardrail == guardrail) {
            Some(seen) => seen.hit = Some(reason),
            None => seen.push(GuardrailSeen { guardrail, hit: Some(reason) }),
        }
    }
    seen
}

fn phases(own: &[&HistoryEvent]) -> Vec<PhaseSeen> {
    let mut phases: Vec<PhaseSeen> = Vec::new();
    let kinds = [EventKind::DrillOpened, EventKind::DrillPhase, EventKind::DrillFinished];
    for event in own.iter().filter(|event| kinds.contains(&event.kind)) {
        let closes = event.kind == EventKind::DrillFinished;
        let phase = field::<DrillPhase>(event, "phase").map(|phase| phase.word().to_owned());
        if phase.is_some() && phases.last().map(|last| &last.phase) == phase.as_ref() && !closes {
            continue;
        }
        if let Some(last) = phases.last_mut() {
            last.until.get_or_insert(At(event.at));
        }
        if let Some(phase) = phase.filter(|phase| !closes && phase != DrillPhase::Closed.word()) {
            phases.push(PhaseSeen { phase, began_at: At(event.at), until: None });
        }
    }
    phases
}

/// The verdict has them all; until then, each phase those that it was begun on.
fn steady(own: &[&HistoryEvent], finished: Option<&HistoryEvent>) -> Vec<SteadyCheck> {
    let of = |event: &HistoryEvent| field::<Vec<SteadyCheck>>(event, "steady").unwrap_or_default();
    let all = finished.map(of).unwrap_or_default();
    if !all.is_empty() {
        return all;
    }
    let mut seen: Vec<SteadyCheck> = Vec::new();
    for check in own.iter().flat_map(|event| of(event)) {
        if !seen.contains(&check) {
            seen.push(check);
        }
    }
    seen
}
