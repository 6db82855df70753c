//! I3, I5 and I6: what an automatic or forced decision must rest on.

use std::collections::BTreeSet;

use super::{Transition, Violation};
use crate::drill::DrillPhase;
use crate::fleet::{Command, Decision, Guard, RunState, Trigger};
use crate::health::Status;
use crate::plan::{Mode, Plane};
use crate::service::{OnDoubt, SwitchTransport};

fn accepted<'a>(seen: &'a Transition<'_>) -> Option<&'a Decision> {
    match &seen.entry.command {
        Command::Decide(decision) if seen.applied.result.is_ok() => Some(decision),
        _ => None,
    }
}

/// I3: no automatic action without a majority, a quorum of fresh observers and, when forced, Route 53's checkers.
pub(super) fn automatic_needs_proof(seen: &Transition<'_>) -> Option<Violation> {
    let decision = accepted(seen)?;
    let shown_a_loss = || {
        let drill = seen.before.drill_runs.get(decision.drill.as_ref()?)?;
        Some(drill.phase == DrillPhase::Detecting)
    };
    let moves_by_itself = match decision.trigger {
        Trigger::Automatic => true,
        Trigger::Operator => false,
        // A drill that shows a lost Region must prove it like a real loss; any other acts for those who scheduled it,
        // and there must be one.
        Trigger::Drill => match shown_a_loss() {
            Some(shown) => shown,
            None => return Some(Violation::new("I3", format!("{} moves for no drill", decision.plan.service))),
        },
    };
    if !moves_by_itself {
        return None;
    }
    let majority = seen.after.members.len() / 2 + 1;
    // Counted from the recorded opinions themselves, not from what the guard made of them.
    let opinions = decision.evidence.first().map_or(&[][..], |finding| finding.opinions.as_slice());
    let bad: BTreeSet<_> = opinions
        .iter()
        .filter(|opinion| opinion.counts && opinion.status == Status::Bad)
        .filter(|opinion| seen.after.members.contains_key(&opinion.observer))
        .map(|opinion| &opinion.observer)
        .collect();
    let bad = bad.len();
    if bad < majority {
        let detail = format!("{} moves on the word of {bad} observers; {majority} are needed", decision.plan.service);
        return Some(Violation::new("I3", detail));
    }
    let needs_route53 = decision.plan.mode == Mode::Forced || decision.trigger == Trigger::Drill;
    let said_yes = |guard| decision.guards.iter().any(|verdict| verdict.guard == guard && verdict.ok);
    if !said_yes(Guard::Quorum) || (needs_route53 && !said_yes(Guard::Route53Agrees)) {
        return Some(Violation::new(
            "I3",
            format!("{} moves without quorum or Route 53's word", decision.plan.service),
        ));
    }
    None
}

/// I5: a forced plan's critical path needs neither the failed Region nor a global control plane.
pub(super) fn forced_needs_only_the_living(seen: &Transition<'_>) -> Option<Violation> {
    let decision = accepted(seen)?;
    if decision.plan.mode != Mode::Forced {
        return None;
    }
    let spec = &seen.after.services.get(&decision.plan.service)?.spec;
    if spec.traffic.switch == SwitchTransport::None && decision.trigger == Trigger::Automatic {
        return Some(Violation::new("I5", format!("{} would need Route 53's control plane", decision.plan.service)));
    }
    let dead = decision.plan.steps.iter().find(|step| {
        step.critical && step.region == decision.plan.from && matches!(step.plane, Plane::Control | Plane::Data)
    })?;
    Some(Violation::new("I5", format!("critical step {} needs {}", dead.name, decision.plan.from)))
}

/// I6: an automatic run starts without a person only within its loss budget, or where the policy says so.
pub(super) fn loss_is_within_budget(seen: &Transition<'_>) -> Option<Violation> {
    let id = seen.applied.result.as_ref().ok()?.as_ref()?;
    let run = seen.after.runs.get(id)?;
    let alone = run.trigger == Trigger::Automatic
        && run.state == RunState::Running
        && run.plan.mode == Mode::Forced
        && !matches!(seen.entry.command, Command::Approve { .. });
    if !alone {
        return None;
    }
    let spec = &seen.after.services.get(&run.service)?.spec;
    if spec.policy.loss_over_budget == OnDoubt::Proceed {
        return None;
    }
    if let Some(over) = run.loss.iter().find(|loss| loss.bound.is_none_or(|bound| bound > spec.objectives.rpo_ms)) {
        return Some(Violation::new("I6", format!("run {id} starts by itself although {}", over.sentence())));
    }
    let unquoted = spec.data.iter().find(|store| run.loss.iter().all(|loss| loss.store != store.name))?;
    Some(Violation::new("I6", format!("run {id} starts by itself and nobody says what {} may lose", unquoted.name)))
}
