//! Plans and their steps.

use failoverd_domain::fleet::Outlook;
use failoverd_domain::plan::Step;
use failoverd_domain::traffic::Shift;

use super::{finding, guards, loss, words};
use crate::api::proto;

/// A step of a plan.
#[must_use]
pub fn step(step: &Step) -> proto::Step {
    proto::Step {
        name: step.name.to_string(),
        kind: step.kind.word().to_owned(),
        region: step.region.to_string(),
        plane: words::plane(step.plane).into(),
        critical: step.critical,
        after: step.after.iter().map(ToString::to_string).collect(),
        undo: words::undo(step.undo).into(),
        point_of_no_return: step.is_point_of_no_return(),
        timeout_ms: step.timeout_ms,
        calls: step.calls.clone(),
        p50_ms: None,
        p95_ms: None,
    }
}

/// What a move would do.
#[must_use]
pub fn plan(answered: proto::Answered, outlook: &Outlook, eta: proto::Eta, shifts: Vec<Shift>) -> proto::PlanResponse {
    let plan = &outlook.plan;
    proto::PlanResponse {
        answered: Some(answered),
        hash: plan.hash(),
        service: plan.service.to_string(),
        from: plan.from.to_string(),
        to: plan.to.to_string(),
        mode: words::mode(plan.mode).into(),
        movement: words::movement(plan.movement).into(),
        eta: Some(eta),
        steps: plan.steps.iter().map(step).collect(),
        guards: guards(&outlook.guards),
        loss: outlook.loss.iter().map(loss).collect(),
        findings: outlook.evidence.iter().map(finding).collect(),
        shifts: shifts.into_iter().map(shift).collect(),
        script: None,
    }
}

/// People of one place who are answered otherwise.
pub fn shift(shift: Shift) -> proto::TrafficShift {
    proto::TrafficShift {
        name: shift.name,
        r#type: shift.record_type.to_string(),
        place: shift.place,
        now: shift.now,
        then: shift.then,
    }
}
