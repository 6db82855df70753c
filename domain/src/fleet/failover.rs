//! From "this service should move" to a decision with its plan, its guards' verdicts and its loss bound.

use super::Rejection;
use super::command::{Actor, Decision};
use super::guard::{Guard, GuardVerdict, Severity};
use super::guards::{Asked, ask_guards};
use super::moves;
use super::run::{Consent, Trigger};
use super::state::{FleetState, ServiceState};
use crate::data::loss;
use crate::health::{Diagnosis, Finding, Matrix, View, diagnose};
use crate::ids::{DrillRunId, Region, ServiceName};
use crate::plan::{Mode, Movement, Plan, PlanRequest, plan};
use crate::sabotage::{self, Sabotage};
use crate::service::{OnDoubt, Store, StoreKind};
use crate::time::Timestamp;

/// How long evidence may wait for a person, milliseconds.
const APPROVAL_VALID_MS: u64 = 30 * 60_000;
/// How long after its announcement an automatic run may still start, milliseconds.
const START_VALID_MS: u64 = 30_000;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverRequest {
    /// Service.
    pub service: ServiceName,
    /// What kind of move. Of an active-passive pair, evacuating the Region that serves is a failover, and so is
    /// restoring the first Region of its manifest.
    pub movement: Movement,
    /// Which Region is left; only evacuations need to say so.
    pub from: Option<Region>,
    /// Where to; the standby, or for an evacuation a Region that serves, when absent.
    pub to: Option<Region>,
    /// Graceful or forced; when absent, forced if the serving Region is broken.
    pub mode: Option<Mode>,
    /// Who or what asks.
    pub trigger: Trigger,
    /// Who, by name.
    pub actor: Actor,
    /// Why, in the asker's words.
    pub reason: Option<String>,
    /// Only this plan will do.
    pub plan_hash: Option<String>,
    /// The execution of a drill that it is part of.
    pub drill: Option<DrillRunId>,
}

/// Everything known about a move, whether or not it may happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// What would be done.
    pub plan: Plan,
    /// What was seen in the serving Region and the other.
    pub evidence: Vec<Finding>,
    /// What each guard says.
    pub guards: Vec<GuardVerdict>,
    /// The most that can be lost.
    pub loss: Vec<loss::Loss>,
}

/// Plans a move and asks every guard; changes nothing.
///
/// # Errors
/// When there is nothing to plan: no such service or Region, or a kind of move this version does not make.
pub fn outlook(
    now: Timestamp,
    state: &FleetState,
    matrix: &Matrix,
    view: &View,
    request: &FailoverRequest,
) -> Result<Outlook, Rejection> {
    let service = state
        .services
        .get(&request.service)
        .ok_or_else(|| Rejection::new("NO_SUCH_SERVICE", format!("there is no service {}", request.service)))?;
    state.place_is_known(&service.spec)?;
    let is_healthy = |region: &Region| {
        let found = diagnose(now, view, &service.spec, region, matrix).diagnosis;
        matches!(found, Diagnosis::Healthy | Diagnosis::ControlPlaneOnly)
    };
    let wanted = moves::asked(state, service, request, &is_healthy)?;
    let (from, to) = (&wanted.from, &wanted.to);
    let from_finding = diagnose(now, view, &service.spec, from, matrix);
    let to_finding = diagnose(now, view, &service.spec, to, matrix);
    let broken = wanted.movement != Movement::Restore && from_finding.diagnosis.is_breach();
    let mode = request.mode.unwrap_or(if broken { Mode::Forced } else { Mode::Graceful });
    let plan = plan(&PlanRequest {
        spec: &service.spec,
        spec_index: service.spec_index,
        from,
        to,
        mode,
        movement: wanted.movement,
        moves_writers: wanted.movement != Movement::Restore && from == &service.primary,
    });
    let is_rehearsal = request.trigger == Trigger::Drill && view.rehearses.is_some();
    let loss = match mode {
        // Nothing is left behind where a Region only comes back.
        _ if wanted.movement == Movement::Restore => Vec::new(),
        _ if from != &service.primary => left_aside(&service.spec.data, from, &service.primary, mode),
        Mode::Forced => loss::quote(now, view, &service.spec, from, to, matrix),
        // What an outage at this moment could lose; that nothing is lost is for the receipt to say.
        Mode::Graceful if is_rehearsal => loss::quote(now, view, &service.spec, from, to, matrix),
        Mode::Graceful => {
            service.spec.data.iter().map(|store| graceful_loss(store, service.spec.objectives.rpo_ms)).collect()
        }
    };
    let asked = Asked {
        now,
        state,
        matrix,
        view,
        service,
        plan: &plan,
        from: &from_finding,
        to: &to_finding,
        loss: &loss,
        trigger: request.trigger,
        is_signed: matches!(request.actor, Actor::BreakGlass(_)),
    };
    let guards = ask_guards(&asked);
    Ok(Outlook { evidence: vec![from_finding, to_finding], guards, loss, plan })
}

/// Turns an outlook into a decision, if its guards let it.
///
/// # Errors
/// The first guard that blocks, or whatever [`outlook`] found.
pub fn propose_failover(
    now: Timestamp,
    state: &FleetState,
    matrix: &Matrix,
    view: &View,
    request: &FailoverRequest,
) -> Result<Decision, Rejection> {
    let seen = outlook(now, state, matrix, view, request)?;
    if let Some(wanted) = request.plan_hash.as_ref().filter(|wanted| **wanted != seen.plan.hash()) {
        let reason = format!("the plan is now {}, not {wanted}: look at it again", seen.plan.hash());
        return Err(Rejection::new("PLAN_CHANGED", reason));
    }
    if let Some(no) = seen.guards.iter().find(|verdict| !verdict.ok && verdict.severity == Severity::Blocks) {
        return Err(Rejection::new("GUARD_REFUSED", format!("guard {} says no: {}", no.guard.word(), no.reason)));
    }
    let service = &state.services[&request.service];
    Ok(decide(now, view, service, request, seen))
}

fn decide(now: Timestamp, view: &View, service: &ServiceState, request: &FailoverRequest, seen: Outlook) -> Decision {
    let policy = &service.spec.policy;
    let is_rehearsal = request.trigger == Trigger::Drill && view.rehearses.is_some();
    let automatic = request.trigger == Trigger::Automatic || is_rehearsal;
    let doubts = |verdict: &&GuardVerdict| !verdict.ok && verdict.severity == Severity::NeedsApproval;
    let needs_approval = automatic && seen.guards.iter().any(|verdict| doubts(&verdict));
    let announce_until =
        (automatic && !needs_approval && policy.announce_ms > 0).then(|| now.plus_ms(policy.announce_ms));
    let from = &seen.evidence[0];
    let wait_ms = if needs_approval { APPROVAL_VALID_MS } else { policy.announce_ms.saturating_add(START_VALID_MS) };
    Decision {
        trigger: request.trigger,
        reason: request.reason.clone().unwrap_or_else(|| match automatic {
            true => from.because.clone(),
            false => "no reason was given".to_owned(),
        }),
        breach_at: from.diagnosis.is_breach().then(|| now.minus_ms(from.held_ms)),
        valid_until: now.plus_ms(wait_ms),
        announce_until,
        needs_approval,
        unfenced_consent: consent(service, request),
        epoch_seen: service.epoch,
        drill: request.drill.clone(),
        glass: None,
        plan: seen.plan,
        evidence: seen.evidence,
        guards: seen.guards,
        loss: seen.loss,
    }
}

/// A person who forces a move was shown the guards: asking is consenting. A policy consents in writing.
fn consent(service: &ServiceState, request: &FailoverRequest) -> Option<Consent> {
    match (&request.actor, request.trigger) {
        (Actor::Operator(name), Trigger::Operator) => Some(Consent::Person(name.clone())),
        (signed @ Actor::BreakGlass(_), Trigger::Operator) => Some(Consent::Person(signed.to_string())),
        _ if service.spec.policy.unfenced == OnDoubt::Proceed => Some(Consent::Policy),
        _ => None,
    }
}

/// What leaving a Region leaves there that is not where the service's writers are, nor where its canaries are flown.
fn left_aside(stores: &[Store], from: &Region, primary: &Region, mode: Mode) -> Vec<loss::Loss> {
    let of = |store: &Store| {
        let (bound, reason) = match mode {
            _ if store.kind.has_single_writer() => (Some(0), format!("its writer is in {primary} and stays there")),
            Mode::Graceful => (Some(0), format!("{from} goes on replicating what it took")),
            Mode::Forced => {
                let canaries = format!("canaries are flown from {primary}");
                (None, format!("nothing measures what {from} took and has not replicated: {canaries}"))
            }
        };
        loss::Loss { store: store.name.clone(), bound, measured: None, unit: loss::LossUnit::Ms, reason }
    };
    stores.iter().map(of).collect()
}

/// A graceful move loses nothing where that can be known, and says so where it cannot.
fn graceful_loss(store: &Store, rpo_ms: u64) -> loss::Loss {
    let (bound, reason) = match (&store.kind, &store.canary) {
        (StoreKind::Aurora { .. }, _) => (Some(0), "Aurora's switchover waits for replication".to_owned()),
        (_, Some(_)) => (Some(rpo_ms), "waits until the canary is within the RPO".to_owned()),
        (_, None) => (None, "loss not provable: the store has no canary".to_owned()),
    };
    loss::Loss { store: store.name.clone(), bound, measured: None, unit: loss::LossUnit::Ms, reason }
}

/// Whether an automatic run may still do something that cannot be undone.
///
/// # Errors
/// The guard that says no by now: a service that came back by itself stops the run.
pub fn still_holds(
    now: Timestamp,
    state: &FleetState,
    matrix: &Matrix,
    view: &View,
    service: &ServiceName,
    plan: &Plan,
) -> Result<(), GuardVerdict> {
    let Some(current) = state.services.get(service) else { return Ok(()) };
    if sabotage::is(Sabotage::ResumeStale) {
        return Ok(());
    }
    let from = diagnose(now, view, &current.spec, &plan.from, matrix);
    let to = diagnose(now, view, &current.spec, &plan.to, matrix);
    let asked = Asked {
        now,
        state,
        matrix,
        view,
        service: current,
        plan,
        from: &from,
        to: &to,
        loss: &[],
        trigger: Trigger::Automatic,
        is_signed: false,
    };
    let vital = [Guard::Quorum, Guard::BreachProven, Guard::Route53Agrees, Guard::NotPaused];
    match ask_guards(&asked).into_iter().find(|verdict| vital.contains(&verdict.guard) && !verdict.ok) {
        Some(no) => Err(no),
        None => Ok(()),
    }
}
