//! The journal of steps: intent before effect, outcome after, unknown in between.

use std::collections::BTreeMap;

use serde_json::json;

use super::runs::no_run;
use super::{Context, Draft, Outcome, Rejection};
use crate::fleet::command::StepOutcome;
use crate::fleet::event::EventKind;
use crate::fleet::run::{Intent, Run, RunState, StepState};
use crate::fleet::state::{FleetState, Switch};
use crate::ids::{Epoch, RunId, StepName, SwitchGroup};
use crate::plan::{Step, StepKind};
use crate::sabotage::{self, Sabotage};

/// After so many attempts a person must look.
const MOST_ATTEMPTS: u32 = 5;

impl FleetState {
    pub(super) fn intent(
        &mut self,
        context: &mut Context<'_>,
        id: &RunId,
        name: &StepName,
        attempt: u32,
        epoch: Epoch,
    ) -> Outcome {
        let current = self.runs.get(id).and_then(|run| self.services.get(&run.service)).map(|service| service.epoch);
        let run = self.runs.get_mut(id).ok_or_else(|| no_run(id))?;
        if run.state != RunState::Running || run.abort.is_some() {
            return Err(Rejection::new("RUN_NOT_RUNNING", format!("run {id} is {} or stopping", run.state.word())));
        }
        let is_current = run.epoch == Some(epoch) && current == Some(epoch);
        if !is_current && !sabotage::is(Sabotage::SkipEpochCompare) {
            return Err(Rejection::new("STALE_EPOCH", format!("run {id} no longer works under epoch {epoch}")));
        }
        let step = find(run, name)?;
        run.may_begin(&step).map_err(|reason| Rejection::new("STEP_NOT_READY", reason))?;
        let before = run.progress(name).attempts;
        if attempt != before.saturating_add(1) {
            let reason = format!("attempt {attempt} of {name} does not follow attempt {before}");
            return Err(Rejection::new("STALE_ATTEMPT", reason));
        }
        let progress = run.steps.entry(name.clone()).or_default();
        progress.attempts = attempt;
        progress.state = StepState::Acting;
        progress.intent = Some(Intent { index: context.index, at: context.entry.at, by: context.entry.actor.clone() });
        progress.started_at.get_or_insert(context.entry.at);
        let unfenced = run.unfenced(&step);
        let message = match &unfenced {
            Some(doubt) => format!("{name} begins (attempt {attempt}); {doubt}: consented"),
            None => format!("{name} begins (attempt {attempt})"),
        };
        context.say(
            Draft::new(EventKind::StepIntent, message).service(&run.service).run(id).region(&step.region).with(json!({
                "step": name, "attempt": attempt, "epoch": epoch, "calls": step.calls,
                "unfenced": unfenced, "consent": run.unfenced_consent,
            })),
        );
        Ok(None)
    }

    pub(super) fn outcome(
        &mut self,
        context: &mut Context<'_>,
        id: &RunId,
        name: &StepName,
        attempt: u32,
        outcome: &StepOutcome,
    ) -> Outcome {
        let run = self.runs.get_mut(id).ok_or_else(|| no_run(id))?;
        let step = find(run, name)?;
        if run.state.is_closed() {
            // Its verdict stands; concluding it a second time would put back what a later run may have moved.
            return Err(Rejection::new("RUN_CLOSED", format!("run {id} has ended: {}", run.state.word())));
        }
        let before = run.progress(name);
        if before.attempts != attempt || !matches!(before.state, StepState::Acting | StepState::Unknown) {
            let reason = format!("attempt {attempt} of {name} is not open ({})", before.state.word());
            return Err(Rejection::new("STALE_ATTEMPT", reason));
        }
        if matches!(outcome, StepOutcome::Succeeded { .. }) && !turned(&step, &self.switches) {
            let reason = format!("{name} cannot have succeeded: the committed switch is not turned");
            return Err(Rejection::new("SWITCH_NOT_TURNED", reason));
        }
        let (state, note) = match outcome {
            StepOutcome::Succeeded { note, .. } => (StepState::Succeeded, note),
            StepOutcome::Failed { error, .. } => (StepState::Failed, error),
            StepOutcome::Unknown { error } => (StepState::Unknown, error),
        };
        let progress = run.steps.entry(name.clone()).or_default();
        progress.state = state;
        progress.note = Some(note.clone());
        progress.retryable = matches!(outcome, StepOutcome::Failed { retryable: true, .. }) && attempt < MOST_ATTEMPTS;
        progress.finished_at = Some(context.entry.at);
        if let StepOutcome::Succeeded { seen, .. } = outcome {
            progress.seen.clone_from(seen);
        }
        if state == StepState::Succeeded && matches!(step.kind, StepKind::VerifyAnswer) {
            run.verified_at = Some(context.entry.at);
        }
        let message = format!("{name} {}: {note}", state.word());
        let mut data = json!({
            "step": name, "attempt": attempt, "state": state, "critical": step.critical, "note": note,
        });
        if let StepOutcome::Succeeded { seen, .. } = outcome
            && !seen.is_empty()
        {
            data["answers"] = json!(seen);
        }
        let draft = Draft::new(EventKind::StepOutcome, message).service(&run.service).run(id).region(&step.region);
        context.say(draft.with(data));
        self.conclude(context, id)
    }

    pub(super) fn retry(&mut self, context: &mut Context<'_>, id: &RunId, name: &StepName) -> Outcome {
        let run = self.held(id, name)?;
        // Pending, not failed: a step off the critical path that failed counts as over, and nothing would try it.
        run.steps.entry(name.clone()).or_default().state = StepState::Pending;
        let message = format!("{name} will be tried again");
        let draft = Draft::new(EventKind::Approved, message).service(&run.service).run(id);
        context.say(draft.with(json!({ "retry": name })));
        self.resume(context.entry.at, id)
    }

    pub(super) fn skip(&mut self, context: &mut Context<'_>, id: &RunId, name: &StepName) -> Outcome {
        let run = self.held(id, name)?;
        let step = find(run, name)?;
        if matches!(step.kind, StepKind::Fence { .. } | StepKind::VerifyAnswer) {
            let reason = format!("{name} cannot be skipped: fence and verify steps are what makes a run safe");
            return Err(Rejection::new("STEP_NOT_SKIPPABLE", reason));
        }
        let progress = run.steps.entry(name.clone()).or_default();
        progress.state = StepState::Skipped;
        progress.finished_at = Some(context.entry.at);
        let message = format!("{name} skipped");
        let draft = Draft::new(EventKind::StepOutcome, message).service(&run.service).run(id).region(&step.region);
        context.say(draft.with(json!({ "step": name, "state": StepState::Skipped, "critical": step.critical })));
        self.resume(context.entry.at, id)?;
        self.conclude(context, id)
    }

    /// A run that waits for a person over the failed step `name`.
    fn held(&mut self, id: &RunId, name: &StepName) -> Result<&mut Run, Rejection> {
        let run = self.runs.get_mut(id).ok_or_else(|| no_run(id))?;
        find(run, name)?;
        let state = run.progress(name).state;
        if run.state != RunState::Paused || state != StepState::Failed {
            let reason = format!("run {id} is {} and step {name} is {}", run.state.word(), state.word());
            return Err(Rejection::new("STEP_NOT_FAILED", reason));
        }
        Ok(run)
    }
}

/// The committed bit alone says whether a flip was done.
fn turned(step: &Step, switches: &BTreeMap<SwitchGroup, Switch>) -> bool {
    let StepKind::FlipSwitch { group, bit, on } = &step.kind else { return true };
    switches.get(group).and_then(|switch| switch.bits.get(bit)).is_some_and(|bit| bit.on == *on)
}

fn find(run: &Run, name: &StepName) -> Result<Step, Rejection> {
    run.plan
        .step(name)
        .cloned()
        .ok_or_else(|| Rejection::new("NO_SUCH_STEP", format!("run {} has no step {name}", run.id)))
}
