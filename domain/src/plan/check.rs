//! A linter over plans: what may never run is refused before a run exists.

use std::collections::BTreeSet;

use super::step::{Fencing, Mode, Movement, Plan, Step, StepKind};
use crate::ids::StepName;
use crate::route53::Location;
use crate::service::{Pattern, Routing, ServiceSpec, SwitchTransport};

/// Why a plan may not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {reason}")]
pub struct PlanProblem {
    /// `I1`, `I4`, `I5`, or a word of its own.
    pub invariant: &'static str,
    /// One sentence for the person who asked.
    pub reason: String,
}

/// Every reason why `plan` may not run for `spec`.
#[must_use]
pub fn check_plan(plan: &Plan, spec: &ServiceSpec) -> Vec<PlanProblem> {
    let mut problems = Vec::new();
    let mut say = |invariant, reason| problems.push(PlanProblem { invariant, reason });
    somewhere_serves(plan, spec, &mut say);
    movement_fits_the_pattern(plan, spec, &mut say);
    nothing_needs_the_failed_region(plan, spec, &mut say);
    geolocation_has_a_default(plan, spec, &mut say);
    promotions_know_their_fence(plan, &mut say);
    order_is_sound(plan, &mut say);
    the_switch_has_its_place_and_names_its_region(plan, spec, &mut say);
    every_writer_moves(plan, spec, &mut say);
    problems
}

type Say<'a> = &'a mut dyn FnMut(&'static str, String);

fn somewhere_serves(plan: &Plan, spec: &ServiceSpec, say: Say<'_>) {
    if plan.from == plan.to {
        say("I4", format!("{} cannot move from {} to itself", plan.service, plan.from));
    }
    if !spec.regions.contains(&plan.to) {
        let regions: Vec<&str> = spec.regions.iter().map(|region| region.as_str()).collect();
        say("I4", format!("{} does not run in {} (it runs in {})", plan.service, plan.to, regions.join(", ")));
    }
}

fn movement_fits_the_pattern(plan: &Plan, spec: &ServiceSpec, say: Say<'_>) {
    if (plan.movement == Movement::Failover) != (spec.pattern == Pattern::ActivePassive) {
        say("pattern", format!("no {} of {}: its pattern has other moves", plan.movement.word(), plan.service));
    }
    if !spec.regions.contains(&plan.from) {
        say("I4", format!("{} does not run in {}", plan.service, plan.from));
    }
}

fn nothing_needs_the_failed_region(plan: &Plan, spec: &ServiceSpec, say: Say<'_>) {
    if plan.mode != Mode::Forced {
        if spec.traffic.switch == SwitchTransport::None {
            // Its answer changes only when records are rewritten, which settlement does after a run and not within it.
            say("switch-none", "moving a service with `switch: none` is not supported by this version".to_owned());
        }
        return;
    }
    if spec.traffic.switch == SwitchTransport::None {
        say("I5", "with `switch: none` traffic moves only through Route 53's control plane in us-east-1".to_owned());
    }
    for step in plan.steps.iter().filter(|step| step.critical && step.region == plan.from) {
        say("I5", format!("step {} needs {}, the Region that is being left", step.name, plan.from));
    }
}

/// Active-active: whoever has the default location is answered by any Region that serves (`fo-any.…`).
fn geolocation_has_a_default(plan: &Plan, spec: &ServiceSpec, say: Say<'_>) {
    if plan.movement != Movement::Failover {
        return;
    }
    for record in spec.traffic.records.iter().filter(|record| record.routing == Routing::Geolocation) {
        let remains = record
            .targets
            .iter()
            .any(|(region, target)| region != &plan.from && target.geo.contains(&Location::Default));
        if !remains {
            say(
                "geolocation-default",
                format!(
                    "{} has no default location outside {}: some askers would get no answer",
                    record.name, plan.from
                ),
            );
        }
    }
}

fn promotions_know_their_fence(plan: &Plan, say: Say<'_>) {
    for step in &plan.steps {
        let StepKind::Promote { fencing, .. } = &step.kind else { continue };
        match fencing {
            Fencing::ByStep(fence) if !step.after.contains(fence) => {
                say("I1", format!("step {} does not wait for {fence}", step.name));
            }
            Fencing::Builtin if plan.mode == Mode::Forced => {
                say("I1", format!("step {} is forced and cannot fence by itself", step.name));
            }
            _ => {}
        }
    }
}

fn order_is_sound(plan: &Plan, say: Say<'_>) {
    let mut seen: BTreeSet<&StepName> = BTreeSet::new();
    let mut flipped = false;
    for step in &plan.steps {
        for before in step.after.iter().filter(|before| !seen.contains(before)) {
            say("order", format!("step {} waits for {before}, which does not come before it", step.name));
        }
        let comes_late = plan.movement != Movement::Evacuate && flipped;
        if comes_late && matches!(step.kind, StepKind::Promote { .. } | StepKind::Fence { .. } | StepKind::Drain { .. })
        {
            say("order", format!("step {} comes after the switch", step.name));
        }
        flipped |= matches!(step.kind, StepKind::FlipSwitch { .. });
        if !seen.insert(&step.name) {
            say("order", format!("two steps are called {}", step.name));
        }
    }
    if !flipped || !plan.steps.last().is_some_and(|step| matches!(step.kind, StepKind::VerifyAnswer)) {
        say("order", "a plan ends by turning the switch and verifying the answer".to_owned());
    }
}

/// The order in the list is for people; what a run obeys is what each step waits for.
///
/// A Region that is evacuated is off before anything else is done; in every other move the switch comes last.
fn the_switch_has_its_place_and_names_its_region(plan: &Plan, spec: &ServiceSpec, say: Say<'_>) {
    for flip in &plan.steps {
        let StepKind::FlipSwitch { group, bit, on } = &flip.kind else { continue };
        let names_its_region = match plan.movement {
            Movement::Failover => Some(bit) == spec.regions.first() && *on == (bit == &plan.to),
            Movement::Evacuate => bit == &plan.from && !*on,
            Movement::Restore => bit == &plan.to && *on,
        };
        if *group != spec.switch_group() || !names_its_region {
            let should = match plan.movement {
                Movement::Failover | Movement::Restore => format!("make {} serve", plan.to),
                Movement::Evacuate => format!("stop {} from serving", plan.from),
            };
            say("I4", format!("step {} does not {should}", flip.name));
        }
        let waits_for = all_before(plan, flip);
        let verifies = |step: &&Step| matches!(step.kind, StepKind::VerifyAnswer);
        let others = plan.steps.iter().filter(|step| step.name != flip.name && !verifies(step));
        if plan.movement == Movement::Evacuate {
            for step in others.clone().filter(|step| !all_before(plan, step).contains(&flip.name)) {
                say("order", format!("step {} does not wait for {}", step.name, flip.name));
            }
        }
        for step in others.filter(|step| step.critical && plan.movement != Movement::Evacuate) {
            if !waits_for.contains(&step.name) {
                say("order", format!("step {} does not wait for {}", flip.name, step.name));
            }
        }
        for step in plan.steps.iter().filter(verifies).filter(|step| !step.after.contains(&flip.name)) {
            say("order", format!("step {} does not wait for {}", step.name, flip.name));
        }
    }
}

/// Every step that must have ended before `step`, however far back.
fn all_before<'a>(plan: &'a Plan, step: &'a Step) -> BTreeSet<&'a StepName> {
    let mut found: BTreeSet<&StepName> = BTreeSet::new();
    let mut open: Vec<&StepName> = step.after.iter().collect();
    while let Some(name) = open.pop() {
        if found.insert(name) {
            open.extend(plan.step(name).into_iter().flat_map(|step| &step.after));
        }
    }
    found
}

/// All of them or, where a Region without them is evacuated or restored, none.
fn every_writer_moves(plan: &Plan, spec: &ServiceSpec, say: Say<'_>) {
    let promotes = plan.steps.iter().any(|step| matches!(step.kind, StepKind::Promote { .. }));
    if plan.movement == Movement::Restore && promotes {
        say("data", format!("restoring {} moves no writer", plan.to));
    }
    if plan.movement != Movement::Failover && !promotes {
        return;
    }
    for store in spec.data.iter().filter(|store| store.kind.has_single_writer()) {
        let moves = plan.steps.iter().any(|step| {
            matches!(&step.kind, StepKind::Promote { store: promoted, .. } if promoted == &store.name) && step.critical
        });
        if !moves {
            say("data", format!("the writer of {} would stay in {}", store.name, plan.from));
        }
    }
}
