//! What a decision must carry to be accepted. Asked of the committed state, whatever the proposer believed: what was
//! true when it was proposed may have ceased to be so before it was agreed.

use std::collections::BTreeSet;

use super::runs::no_service;
use super::{Context, Rejection};
use crate::drill::DrillPhase;
use crate::fleet::command::{Actor, Decision};
use crate::fleet::guard::{Guard, Severity};
use crate::fleet::run::{Consent, Run, Trigger};
use crate::fleet::settings;
use crate::fleet::state::{FleetState, ServiceState};
use crate::health::Status;
use crate::ids::Region;
use crate::plan::{Mode, Movement, Plan, StepKind, check_plan};
use crate::sabotage::{self, Sabotage};
use crate::service::{OnDoubt, ServiceSpec, Store};

impl FleetState {
    pub(super) fn may_decide(&self, context: &Context<'_>, decision: &Decision) -> Result<(), Rejection> {
        let plan = &decision.plan;
        let service = self.services.get(&plan.service).ok_or_else(|| no_service(&plan.service))?;
        self.is_what_was_signed(context, decision)?;
        self.moves_by_itself(&service.spec)?;
        self.place_is_known(&service.spec)?;
        let gives_way = |run: &&Run| decision.glass.is_some() && run.gives_way();
        if let Some(open) = self.open_run(&plan.service).filter(|run| !gives_way(run)) {
            return Err(Rejection::new("RUN_OPEN", format!("run {} of {} is open", open.id, plan.service)));
        }
        if decision.epoch_seen != service.epoch && !sabotage::is(Sabotage::SkipEpochCompare) {
            let reason =
                format!("decided at epoch {}, but {} is at {}", decision.epoch_seen, plan.service, service.epoch);
            return Err(Rejection::new("STALE_EPOCH", reason));
        }
        if plan.spec_index != service.spec_index || !self.starts_from_here(plan, service) {
            return Err(Rejection::new(
                "STALE_PLAN",
                format!("the plan was made from an older state of {}", plan.service),
            ));
        }
        if context.entry.at > decision.valid_until && !sabotage::is(Sabotage::ResumeStale) {
            return Err(Rejection::new("STALE_EVIDENCE", "the evidence is too old to act on".to_owned()));
        }
        if let Some(problem) = check_plan(plan, &service.spec).first() {
            return Err(Rejection::new("PLAN_UNSOUND", problem.to_string()));
        }
        consent_is_written(decision, &service.spec)?;
        match decision.trigger {
            Trigger::Automatic => {
                self.may_decide_alone(decision, &service.spec)?;
                if decision.needs_approval { Ok(()) } else { self.is_slow_enough(context, service, &plan.from) }
            }
            Trigger::Operator => {
                self.not_paused_for_a_wish(context, &service.spec)?;
                not_blocked(decision)
            }
            Trigger::Drill => self.may_practise(decision, &service.spec),
        }
    }

    /// What a person asked for once, a daemon does when it can: not while it is paused. Their own commands are not held.
    fn not_paused_for_a_wish(&self, context: &Context<'_>, spec: &ServiceSpec) -> Result<(), Rejection> {
        let by_itself = matches!(context.entry.actor, Actor::Daemon(_)) && self.writes(settings::SINCE).is_ok();
        if by_itself && self.is_paused(&spec.name) {
            return Err(Rejection::new("PAUSED", format!("automatic action is paused for {}", spec.name)));
        }
        Ok(())
    }

    /// Whether not too much has moved by itself, counting what was agreed after the proposer looked.
    pub(super) fn is_slow_enough(
        &self,
        context: &Context<'_>,
        service: &ServiceState,
        from: &Region,
    ) -> Result<(), Rejection> {
        match self.velocity(context.entry.at, service, from) {
            Some(Err(why)) => Err(Rejection::new("VELOCITY", why)),
            _ => Ok(()),
        }
    }

    /// Whether what the plan changes is as the plan has it, and writers move if and only if they are where it begins.
    fn starts_from_here(&self, plan: &Plan, service: &ServiceState) -> bool {
        let serving = self.serving(service);
        let has_writers = service.spec.data.iter().any(|store| store.kind.has_single_writer());
        let promotes = plan.steps.iter().any(|step| matches!(step.kind, StepKind::Promote { .. }));
        let writers_fit = promotes == (has_writers && plan.from == service.primary);
        match plan.movement {
            Movement::Failover => plan.from == service.primary,
            Movement::Evacuate => serving.contains(&&plan.to) && writers_fit,
            Movement::Restore => !serving.contains(&&plan.to) && serving.contains(&&plan.from),
        }
    }

    /// A drill moves only by its open execution, only gracefully, and where the fleet was shown a lost Region only by
    /// the proof that an outage would need.
    fn may_practise(&self, decision: &Decision, spec: &ServiceSpec) -> Result<(), Rejection> {
        let open = self.open_drill_of(&spec.name).filter(|open| decision.drill.as_ref() == Some(&open.id));
        let not_now = |why: &str| Err(Rejection::new("NO_DRILL", format!("{}: {why}", spec.name)));
        let Some(open) = open else { return not_now("no execution of a drill asks for this move") };
        if self.is_paused(&spec.name) {
            return Err(Rejection::new("PAUSED", format!("automatic action is paused for {}", spec.name)));
        }
        if decision.plan.mode != Mode::Graceful {
            return not_now("a drill moves gracefully or not at all");
        }
        not_blocked(decision)?;
        match open.phase {
            DrillPhase::Moving if open.out.is_none() => Ok(()),
            DrillPhase::Returning => Ok(()),
            DrillPhase::Detecting => self.is_proven(decision, spec),
            phase => not_now(&format!("drill {} is {}", open.id, phase.word())),
        }
    }

    /// What an automatic decision must carry, whoever proposed it.
    fn may_decide_alone(&self, decision: &Decision, spec: &ServiceSpec) -> Result<(), Rejection> {
        not_blocked(decision)?;
        if decision.plan.movement == Movement::Restore {
            return Err(Rejection::new("NOT_PROVEN", "only a person restores a Region".to_owned()));
        }
        self.is_proven(decision, spec)?;
        match decision.needs_approval {
            true => Ok(()),
            false => may_lose_that_much(decision, spec),
        }
    }

    /// Seen by a majority, with the guards' yes, and a person where they ask for one.
    fn is_proven(&self, decision: &Decision, spec: &ServiceSpec) -> Result<(), Rejection> {
        if self.is_paused(&spec.name) {
            return Err(Rejection::new("PAUSED", format!("automatic action is paused for {}", spec.name)));
        }
        self.is_seen_by_a_majority(decision)?;
        let mut needed = vec![Guard::Quorum, Guard::BreachProven, Guard::NotPaused];
        if decision.plan.mode == Mode::Forced || decision.trigger == Trigger::Drill {
            needed.push(Guard::Route53Agrees);
        }
        for guard in needed {
            if !decision.guards.iter().any(|verdict| verdict.guard == guard && verdict.ok) {
                let reason = format!("an automatic run needs a yes of guard {}", guard.word());
                return Err(Rejection::new("GUARD_MISSING", reason));
            }
        }
        let doubt = decision.guards.iter().find(|verdict| !verdict.ok && verdict.severity == Severity::NeedsApproval);
        match doubt {
            Some(verdict) if !decision.needs_approval => {
                let reason = format!("guard {} asks for a person: {}", verdict.guard.word(), verdict.reason);
                Err(Rejection::new("APPROVAL_NEEDED", reason))
            }
            _ => Ok(()),
        }
    }

    /// Counted from the recorded opinions themselves: a guard's word alone proves nothing.
    fn is_seen_by_a_majority(&self, decision: &Decision) -> Result<(), Rejection> {
        let opinions = decision.evidence.first().map(|finding| finding.opinions.as_slice()).unwrap_or_default();
        let bad = opinions.iter().filter(|opinion| opinion.counts && opinion.status == Status::Bad);
        let observers: BTreeSet<&Region> =
            bad.map(|opinion| &opinion.observer).filter(|observer| self.members.contains_key(*observer)).collect();
        if observers.len() > self.members.len() / 2 || sabotage::is(Sabotage::SkipQuorum) {
            return Ok(());
        }
        let reason = format!("{} of {} daemons see the breach: no majority", observers.len(), self.members.len());
        Err(Rejection::new("NOT_PROVEN", reason))
    }
}

fn not_blocked(decision: &Decision) -> Result<(), Rejection> {
    match decision.guards.iter().find(|verdict| !verdict.ok && verdict.severity == Severity::Blocks) {
        Some(verdict) => {
            Err(Rejection::new("GUARD_REFUSED", format!("guard {} says no: {}", verdict.guard.word(), verdict.reason)))
        }
        None => Ok(()),
    }
}

/// A policy's consent must stand in the manifest, and no person has spoken yet for a run that decides by itself.
fn consent_is_written(decision: &Decision, spec: &ServiceSpec) -> Result<(), Rejection> {
    match &decision.unfenced_consent {
        None => Ok(()),
        Some(Consent::Policy) if spec.policy.unfenced == OnDoubt::Proceed => Ok(()),
        Some(Consent::Person(_)) if decision.trigger != Trigger::Automatic => Ok(()),
        Some(_) => {
            Err(Rejection::new("NO_CONSENT", format!("nobody consented to an unfenced old writer of {}", spec.name)))
        }
    }
}

/// A forced move without a person keeps every store within the RPO, unless the policy says proceed (I6).
fn may_lose_that_much(decision: &Decision, spec: &ServiceSpec) -> Result<(), Rejection> {
    if decision.plan.mode != Mode::Forced || spec.policy.loss_over_budget == OnDoubt::Proceed {
        return Ok(());
    }
    let over = decision.loss.iter().find(|loss| loss.bound.is_none_or(|ms| ms > spec.objectives.rpo_ms));
    let over = over.map(|loss| &loss.store);
    let quoted = |store: &&Store| decision.loss.iter().any(|loss| loss.store == store.name);
    let unquoted = spec.data.iter().find(|store| !quoted(store)).map(|store| &store.name);
    match over.or(unquoted) {
        Some(store) => {
            let reason = format!("{store} may lose more than its RPO, or nobody can say: a person must approve");
            Err(Rejection::new("APPROVAL_NEEDED", reason))
        }
        None => Ok(()),
    }
}
