//! Guards that keep a move from doing harm.

use super::{Asked, Says, no, yes};
use crate::data::loss;
use crate::health::{Diagnosis, ReplicaReadiness, Status};
use crate::plan::{Fencing, Movement, Step, StepKind, check_plan};
use crate::service::OnDoubt;

pub(super) fn plan_sound(asked: &Asked<'_>) -> Says {
    match check_plan(asked.plan, &asked.service.spec).first() {
        Some(problem) => no(problem.to_string()),
        None => yes(format!("plan {} has {} steps", asked.plan.hash(), asked.plan.steps.len())),
    }
}

pub(super) fn quorum(asked: &Asked<'_>) -> Says {
    let fresh = asked
        .view
        .members
        .iter()
        .filter(|member| asked.matrix.fresh(asked.now, member, asked.view.stale_after_ms).is_some());
    let (count, of) = (fresh.count(), asked.view.members.len());
    let text = format!("{count} of {of} daemons are heard from");
    if of < 3 && asked.is_automatic() {
        return no(format!("a fleet of {of} cannot prove anything: add a witness in a third Region"));
    }
    if count >= asked.view.majority() { yes(text) } else { no(format!("{text}; {} are needed", asked.view.majority())) }
}

pub(super) fn breach_proven(asked: &Asked<'_>) -> Says {
    if asked.from.diagnosis.is_breach() {
        yes(asked.from.because.clone())
    } else {
        no(format!("{} is {}: {}", asked.plan.from, asked.from.diagnosis.word(), asked.from.because))
    }
}

pub(super) fn route53_agrees(asked: &Asked<'_>) -> Says {
    let from = &asked.plan.from;
    match asked.matrix.route53_says(asked.now, asked.view, &asked.service.spec.name, from) {
        Status::Bad => yes(format!("Route 53's own checkers see {from} unhealthy")),
        Status::Good => no(format!("Route 53's own checkers see {from} healthy: we may have lost sight of it")),
        Status::Unknown => no(format!("nobody could read what Route 53's checkers say of {from}")),
    }
}

pub(super) fn standby_ready(asked: &Asked<'_>) -> Says {
    let to = &asked.plan.to;
    if !matches!(asked.to.diagnosis, Diagnosis::Healthy | Diagnosis::ControlPlaneOnly) {
        return no(format!("{to} is {}: {}", asked.to.diagnosis.word(), asked.to.because));
    }
    for store in &asked.service.spec.data {
        let (name, promote) = (
            &asked.service.spec.name,
            |step: &Step| matches!(&step.kind, StepKind::Promote { store: promoted, .. } if *promoted == store.name),
        );
        // Whoever thinks that it serves calls it ready.
        if asked.plan.steps.iter().any(promote)
            && let Some(why) = loss::stands_alone(asked.matrix, name, store, to)
        {
            return no(format!("{} in {to} is not ready: {why}", store.name));
        }
        let readings = asked.matrix.store(name, &store.name, to);
        // A daemon whose look hangs goes on reporting what it saw last: the look's own age counts too.
        let newest = readings
            .iter()
            .find(|(received, reading)| received.age_now_ms(asked.now, reading.age_ms) <= asked.view.stale_after_ms);
        match newest.map(|(_, reading)| &reading.readiness) {
            Some(ReplicaReadiness::Ready) => {}
            Some(ReplicaReadiness::NotReady(why)) => return no(format!("{} in {to} is not ready: {why}", store.name)),
            Some(ReplicaReadiness::Unknown(why)) => {
                return no(format!("{} in {to} could not be asked: {why}", store.name));
            }
            None => return no(format!("nobody has looked at {} in {to} lately", store.name)),
        }
    }
    yes(format!("{to} is healthy and its copies could take over"))
}

pub(super) fn traffic_ready(asked: &Asked<'_>) -> Says {
    let settlement = &asked.service.settlement;
    let is_restore = asked.plan.movement == Movement::Restore;
    // Settlement waits for a person then, and nothing would come of waiting for it.
    if is_restore && asked.service.primary != asked.service.chosen {
        let (name, to) = (&asked.service.spec.name, &asked.plan.to);
        return no(format!(
            "a run of {name} was stopped half-way, and what it left is to be finished by hand: look at the data, then \
             `failoverctl switch set {name} {to} on`"
        ));
    }
    let waits = is_restore && !asked.state.are_settled(asked.service);
    let companions = asked.state.companions(&asked.service.spec);
    // One whose manifest was changed has records all the same, and they follow the switch.
    if let Some(unready) = companions.into_iter().find(|service| service.settlement.settled.is_none()) {
        let name = &unready.spec.name;
        return no(format!("{name}, which moves along, has no records and health checks yet: it would be left behind"));
    }
    match (settlement.carries_traffic, settlement.settled) {
        (true, _) if waits => no("records and checks do not match yet that it was evacuated: wait for settlement"),
        (true, _) => yes("records and health checks exist"),
        (false, Some(_)) => no("records and checks do not match the newest manifest's traffic yet"),
        (false, None) => no("records and health checks do not exist yet: the switch would reach nobody"),
    }
}

pub(super) fn rpo_budget(asked: &Asked<'_>) -> Says {
    let objectives = &asked.service.spec.objectives;
    match loss::over_budget(asked.loss, objectives.rpo_ms) {
        None => yes(format!("every store is within the RPO of {} ms", objectives.rpo_ms)),
        Some(why) if asked.service.spec.policy.loss_over_budget == OnDoubt::Proceed => {
            yes(format!("{why}; the policy says proceed"))
        }
        Some(why) => no(why),
    }
}

pub(super) fn writer_fenced(asked: &Asked<'_>) -> Says {
    let unfenced: Vec<&str> = asked
        .plan
        .steps
        .iter()
        .filter(|step| matches!(&step.kind, StepKind::Promote { fencing: Fencing::None, .. }))
        .map(|step| step.name.as_str())
        .collect();
    let proceed = asked.service.spec.policy.unfenced == OnDoubt::Proceed;
    match (unfenced.is_empty(), proceed) {
        (true, true) => yes("old writers will be fenced if they can be reached; the policy consents if not"),
        (true, false) => yes("old writers will be fenced; where that fails, a person is asked"),
        (false, true) => yes(format!("nothing fences the old writer of {}; the policy consents", unfenced.join(", "))),
        (false, false) => no(format!("nothing fences the old writer of {}", unfenced.join(", "))),
    }
}
