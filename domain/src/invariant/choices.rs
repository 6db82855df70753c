//! I1, I2 and I4: who is chosen, and how the old writer is kept out.

use super::{Transition, Violation};
use crate::fleet::{Command, Consent, Run, StepState};
use crate::ids::StepName;
use crate::plan::{Fencing, StepKind};
use crate::service::{OnDoubt, Pattern};

/// I1: a promotion starts only when the old writer is fenced, or knowingly unfenced with consent.
pub(super) fn promotion_is_fenced_or_consented(seen: &Transition<'_>) -> Option<Violation> {
    let Command::Intent { run, step, .. } = &seen.entry.command else { return None };
    if seen.applied.result.is_err() {
        return None;
    }
    let run = seen.after.runs.get(run)?;
    let StepKind::Promote { fencing, .. } = &run.plan.step(step)?.kind else { return None };
    let fenced = match fencing {
        Fencing::Builtin => true,
        Fencing::ByStep(fence) => succeeded(run, fence),
        Fencing::None => false,
    };
    let consented = match &run.unfenced_consent {
        None => false,
        Some(Consent::Person(_)) => true,
        Some(Consent::Policy) => {
            let service = seen.after.services.get(&run.service)?;
            service.spec.policy.unfenced == OnDoubt::Proceed
        }
    };
    (!fenced && !consented)
        .then(|| Violation::new("I1", format!("{step} of run {} starts unfenced and without consent", run.id)))
}

fn succeeded(run: &Run, step: &StepName) -> bool {
    run.steps.get(step).is_some_and(|progress| progress.state == StepState::Succeeded)
}

/// I2: one Region is chosen an epoch, epochs only rise, and no effect starts under a superseded one.
pub(super) fn one_choice_an_epoch(seen: &Transition<'_>) -> Option<Violation> {
    for (name, after) in &seen.after.services {
        let Some(before) = seen.before.services.get(name) else { continue };
        if after.epoch < before.epoch {
            return Some(Violation::new(
                "I2",
                format!("epoch of {name} fell from {} to {}", before.epoch, after.epoch),
            ));
        }
        if after.epoch == before.epoch && after.chosen != before.chosen {
            let detail =
                format!("{} and {} are both chosen for {name} in epoch {}", before.chosen, after.chosen, after.epoch);
            return Some(Violation::new("I2", detail));
        }
        if after.primary != before.primary && after.primary != after.chosen {
            let detail = format!("{name} serves from {}, but {} is chosen", after.primary, after.chosen);
            return Some(Violation::new("I2", detail));
        }
    }
    superseded_decision(seen).or_else(|| superseded_effect(seen))
}

/// What was decided under an epoch that is over rests on who served then.
fn superseded_decision(seen: &Transition<'_>) -> Option<Violation> {
    let Command::Decide(decision) = &seen.entry.command else { return None };
    if seen.applied.result.is_err() {
        return None;
    }
    let current = seen.before.services.get(&decision.plan.service)?.epoch;
    (current != decision.epoch_seen).then(|| {
        let (service, seen) = (&decision.plan.service, decision.epoch_seen);
        Violation::new(
            "I2",
            format!("a move of {service} is taken that was decided under epoch {seen}; it is at {current}"),
        )
    })
}

fn superseded_effect(seen: &Transition<'_>) -> Option<Violation> {
    let Command::Intent { run, step, epoch, .. } = &seen.entry.command else { return None };
    if seen.applied.result.is_err() {
        return None;
    }
    let run = seen.after.runs.get(run)?;
    let current = seen.after.services.get(&run.service)?.epoch;
    (current != *epoch).then(|| {
        Violation::new("I2", format!("{step} starts under epoch {epoch}, but {} is at {current}", run.service))
    })
}

/// I4: after every entry each switch has a Region that serves.
pub(super) fn somewhere_serves(seen: &Transition<'_>) -> Option<Violation> {
    for (group, switch) in &seen.after.switches {
        let serves = match switch.pattern {
            // One bit: on is the first Region, off the other. There has to be another.
            Pattern::ActivePassive => switch.regions.len() == 2 && switch.bits.len() == 1,
            Pattern::ActiveActive => switch.bits.values().any(|bit| bit.on),
        };
        if !serves {
            return Some(Violation::new("I4", format!("no Region serves by switch {group}")));
        }
    }
    None
}
