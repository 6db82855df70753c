//! Runs from decision to verdict.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Context, Draft, Outcome, Rejection};
use crate::data::loss::Loss;
use crate::fleet::basis::Basis;
use crate::fleet::command::{Actor, Decision};
use crate::fleet::event::EventKind;
use crate::fleet::guard::Guard;
use crate::fleet::run::{Consent, Run, RunState, StepState, Trigger};
use crate::fleet::state::FleetState;
use crate::format::Format;
use crate::ids::{RunId, ServiceName};
use crate::plan::{Movement, Step};
use crate::sabotage::{self, Sabotage};
use crate::time::Timestamp;
use crate::traffic::warning;

/// Closed runs kept in the state for each service; older ones are in the history.
const CLOSED_RUNS_KEPT: usize = 3;

impl FleetState {
    pub(super) fn decide(&mut self, context: &mut Context<'_>, decision: &Decision) -> Outcome {
        self.may_decide(context, decision)?;
        let service =
            self.services.get_mut(&decision.plan.service).ok_or_else(|| no_service(&decision.plan.service))?;
        service.runs += 1;
        let id = RunId::new(format!("{}-{}", decision.plan.service, service.runs));
        let basis = Basis::of(service, &decision.plan);
        self.break_glass(context, decision, &id)?;
        let state = match (decision.needs_approval, decision.announce_until) {
            (true, _) => RunState::AwaitingApproval,
            (false, _) => RunState::Announced,
        };
        let run = new_run(context, decision, &id, state);
        let plan = &decision.plan;
        let what = match plan.movement {
            Movement::Failover => format!("failover of {} from {} to {}", plan.service, plan.from, plan.to),
            Movement::Evacuate => format!("evacuation of {} from {}", plan.service, plan.from),
            Movement::Restore => format!("restore of {} in {}", plan.service, plan.to),
        };
        let message = format!("{} {what} decided: {}", plan.mode, decision.reason);
        context.say(
            Draft::new(EventKind::Decided, message)
                .service(&run.service)
                .run(&id)
                .region(&decision.plan.to)
                .with(json!({
                    "trigger": decision.trigger, "mode": decision.plan.mode, "plan_hash": decision.plan.hash(),
                    "plan": decision.plan, "guards": decision.guards, "evidence": decision.evidence,
                    "loss": decision.loss, "state": state, "valid_until": decision.valid_until,
                    "announce_until": decision.announce_until, "breach_at": decision.breach_at,
                    "unfenced_consent": decision.unfenced_consent, "reason": decision.reason, "basis": basis,
                }))
                .and("glass", decision.glass.as_ref()),
        );
        self.runs.insert(id.clone(), run);
        self.drill_takes_run(context, &id)?;
        if !decision.needs_approval && decision.announce_until.is_none() {
            self.begin(context, &id)?;
        }
        Ok(Some(id))
    }

    pub(super) fn start(&mut self, context: &mut Context<'_>, id: &RunId) -> Outcome {
        let run = self.runs.get(id).ok_or_else(|| no_run(id))?;
        if run.state != RunState::Announced {
            return Err(Rejection::new("NOT_ANNOUNCED", format!("run {id} is {}", run.state.word())));
        }
        if run.announce_until.is_some_and(|until| context.entry.at < until) {
            return Err(Rejection::new("STILL_ANNOUNCED", format!("run {id} is still announced")));
        }
        if context.entry.at > run.valid_until && !sabotage::is(Sabotage::ResumeStale) {
            return Err(Rejection::new("STALE_EVIDENCE", format!("the evidence of run {id} is too old to start on")));
        }
        let is_held_by_pause = match run.trigger {
            Trigger::Automatic => true,
            // Builds of the first format let these begin.
            Trigger::Drill => self.format > Format::FIRST,
            Trigger::Operator => false,
        };
        if is_held_by_pause && self.is_paused(&run.service) {
            return Err(Rejection::new("PAUSED", format!("automatic action is paused for {}", run.service)));
        }
        if run.trigger == Trigger::Automatic
            && let Some(service) = self.services.get(&run.service)
        {
            self.is_slow_enough(context, service, &run.plan.from)?;
        }
        self.begin(context, id)
    }

    pub(super) fn approve(&mut self, context: &mut Context<'_>, id: &RunId) -> Outcome {
        let Actor::Operator(name) = &context.entry.actor else {
            return Err(Rejection::new("NOT_A_PERSON", "only a person can approve".to_owned()));
        };
        let run = self.runs.get_mut(id).ok_or_else(|| no_run(id))?;
        match run.state {
            RunState::AwaitingApproval if context.entry.at > run.valid_until => {
                return Err(Rejection::new(
                    "STALE_EVIDENCE",
                    format!("run {id} has waited too long: its evidence is too old"),
                ));
            }
            RunState::AwaitingApproval => {}
            // Consent is all that an approval gives: a failed step is retried or skipped, by name.
            RunState::Paused if run.waits_for_consent().is_some() => {}
            state => return Err(Rejection::new("NOTHING_TO_APPROVE", format!("run {id} is {}", state.word()))),
        }
        // Consent to an unfenced writer only where that was the question: an approval of anything else does not give it.
        let asked = run.guards.iter().any(|verdict| verdict.guard == Guard::WriterFenced && !verdict.ok);
        if asked || run.waits_for_consent().is_some() {
            run.unfenced_consent.get_or_insert_with(|| Consent::Person(name.clone()));
        }
        let message = format!("run {id} approved by {name}");
        context.say(Draft::new(EventKind::Approved, message).service(&run.service).run(id));
        if run.state == RunState::Paused {
            // What a consent cannot help (a step that failed) holds the run again.
            self.resume(context.entry.at, id)?;
            return self.conclude(context, id);
        }
        self.begin(context, id)
    }

    /// Raises the epoch: from here on everything decided before is void.
    fn begin(&mut self, context: &mut Context<'_>, id: &RunId) -> Outcome {
        let run = self.runs.get_mut(id).ok_or_else(|| no_run(id))?;
        let group = self.services.get(&run.service).map(|service| service.spec.switch_group());
        for service in self
            .services
            .values_mut()
            .filter(|service| group.as_ref().is_some_and(|group| service.spec.is_of_switch(group)))
        {
            service.epoch = service.epoch.next();
            let takes_over = match run.plan.movement {
                Movement::Failover => true,
                Movement::Evacuate => run.plan.from == service.primary,
                Movement::Restore => false,
            };
            if takes_over {
                service.chosen = run.plan.to.clone();
            }
            service.attention = None;
            service.way_back = None;
        }
        let service = self.services.get(&run.service).ok_or_else(|| no_service(&run.service))?;
        run.epoch = Some(service.epoch);
        run.state = RunState::Running;
        run.started_at = Some(context.entry.at);
        let message =
            format!("run {id} began: {} is chosen for {} in epoch {}", service.chosen, run.service, service.epoch);
        let data = json!({ "epoch": service.epoch, "chosen": service.chosen });
        let draft = Draft::new(EventKind::Started, message).service(&run.service).run(id).region(&run.plan.to);
        context.say(draft.with(data));
        let run = run.clone();
        self.note_departure(context.entry.at, &context.entry.actor, &run);
        // A plan may open with a promotion that nobody fenced or consented to.
        self.conclude(context, id)?;
        Ok(Some(id.clone()))
    }

    pub(super) fn abort(&mut self, context: &mut Context<'_>, id: &RunId, reason: &str) -> Outcome {
        let run = self.runs.get_mut(id).ok_or_else(|| no_run(id))?;
        if run.state.is_closed() {
            return Err(Rejection::new("RUN_CLOSED", format!("run {id} has ended: {}", run.state.word())));
        }
        run.abort = Some(reason.to_owned());
        let message = format!("run {id} asked to stop: {reason}");
        context.say(Draft::new(EventKind::AbortAsked, message).service(&run.service).run(id));
        if run.epoch.is_none() {
            return self.close(context, id, RunState::Aborted, format!("stopped before it began: {reason}"));
        }
        // Whatever it asked a person is answered by this.
        self.resume(context.entry.at, id)?;
        self.conclude(context, id)
    }

    /// Closes a run whose steps allow a verdict; called after everything that could.
    pub(super) fn conclude(&mut self, context: &mut Context<'_>, id: &RunId) -> Outcome {
        let run = self.runs.get(id).ok_or_else(|| no_run(id))?;
        if let Some(reason) = run.abort.clone() {
            // What nobody can tell is said as such: a run that was asked to stop does not wait for a dead API.
            let acting = run.steps.values().any(|progress| progress.state == StepState::Acting);
            return if acting { Ok(None) } else { self.conclude_abort(context, id, &reason) };
        }
        if run.open_steps().next().is_some() {
            return Ok(None);
        }
        if run.plan.steps.iter().all(|step| run.is_resolved(step)) {
            let verdict = arrived(run);
            return self.close(context, id, RunState::Succeeded, verdict);
        }
        let stuck = run.plan.steps.iter().find(|step| {
            let progress = run.progress(&step.name);
            step.critical && progress.state == StepState::Failed && !progress.retryable
        });
        if let Some(step) = stuck {
            let why = format!("step {} failed: {}", step.name, run.progress(&step.name).note.unwrap_or_default());
            return self.hold(id, why);
        }
        match run.waits_for_consent() {
            Some(doubt) => self.hold(id, format!("{doubt}: a person must approve or abort")),
            // What it waited for may have come by itself: a fence that nobody knew of was found to hold.
            None => self.resume(context.entry.at, id),
        }
    }

    /// A run goes on: what a person had to look at is answered.
    pub(super) fn resume(&mut self, at: Timestamp, id: &RunId) -> Outcome {
        let run = self.runs.get_mut(id).ok_or_else(|| no_run(id))?;
        if run.state == RunState::Paused {
            run.state = RunState::Running;
            run.resumed_at = Some(at);
            if let Some(service) = self.services.get_mut(&run.service) {
                service.attention = None;
            }
        }
        Ok(None)
    }

    /// A run that cannot go on by itself waits for a person.
    fn hold(&mut self, id: &RunId, why: String) -> Outcome {
        let run = self.runs.get_mut(id).ok_or_else(|| no_run(id))?;
        run.state = RunState::Paused;
        if let Some(service) = self.services.get_mut(&run.service) {
            service.attention = Some(format!("run {id} waits for a person: {why}"));
        }
        Ok(None)
    }

    fn conclude_abort(&mut self, context: &mut Context<'_>, id: &RunId, reason: &str) -> Outcome {
        let run = self.runs.get(id).ok_or_else(|| no_run(id))?.clone();
        if run.is_past_no_return() {
            if run.plan.steps.iter().all(|step| run.is_resolved(step)) {
                let verdict = format!("{}; too late to stop: {reason}", arrived(&run));
                return self.close(context, id, RunState::Succeeded, verdict);
            }
            let place = format!("stopped after the point of no return ({reason}); {}", whereabouts(&run));
            if let Some(service) = self.services.get_mut(&run.service) {
                service.attention =
                    Some(format!("run {id} {place}: look at the data in {}, finish by hand", run.plan.to));
            }
            return self.close(context, id, RunState::Aborted, place);
        }
        self.put_back(context, &run)?;
        let stays = match run.plan.movement {
            Movement::Failover | Movement::Evacuate => format!("{} serves", run.plan.from),
            Movement::Restore => format!("{} does not serve", run.plan.to),
        };
        self.close(context, id, RunState::Aborted, format!("put back: {reason}; {stays}"))
    }

    /// Who serves is chosen anew, so that whatever is still on its way under the old epoch is void.
    fn put_back(&mut self, context: &mut Context<'_>, run: &Run) -> Outcome {
        let service = self.services.get(&run.service).ok_or_else(|| no_service(&run.service))?;
        let group = service.spec.switch_group();
        let is_back = service.primary == run.plan.from;
        for service in self.services.values_mut().filter(|service| service.spec.is_of_switch(&group)) {
            service.epoch = service.epoch.next();
            service.chosen = match run.plan.movement {
                Movement::Failover => run.plan.from.clone(),
                Movement::Evacuate | Movement::Restore => service.primary.clone(),
            };
        }
        match run.plan.movement {
            Movement::Failover if is_back => Ok(None),
            Movement::Failover => self.turn(context, &group, &run.plan.from, Some(run)),
            Movement::Evacuate | Movement::Restore => {
                let (region, on) = match run.plan.movement {
                    Movement::Restore => (&run.plan.to, false),
                    _ => (&run.plan.from, true),
                };
                let held = self.switches.get(&group).and_then(|switch| switch.bits.get(region)).map(|bit| bit.on);
                if held != Some(on) {
                    self.turn_one(context, &group, region, on, Some(run))?;
                }
                Ok(None)
            }
        }
    }

    pub(super) fn close(&mut self, context: &mut Context<'_>, id: &RunId, state: RunState, verdict: String) -> Outcome {
        let run = self.runs.get_mut(id).ok_or_else(|| no_run(id))?;
        // Writers of an active-active service are on record where they arrived; a pair's switch says it before.
        if state == RunState::Succeeded && run.plan.movement == Movement::Evacuate {
            let group = self.services.get(&run.service).map(|service| service.spec.switch_group());
            let moved = self
                .services
                .values_mut()
                .filter(|service| group.as_ref().is_some_and(|group| service.spec.is_of_switch(group)));
            for service in moved.filter(|service| service.primary != service.chosen) {
                service.primary = service.chosen.clone();
                service.primary_since = context.entry.at;
            }
        }
        run.state = state;
        run.finished_at = Some(context.entry.at);
        run.verdict = Some(verdict.clone());
        let (name, rto_ms) = (run.service.clone(), run.rto_ms());
        // A run that a daemon took back before it began moved nothing: a breach that flickered while it was announced
        // must not be left alone for a whole cooldown. One that a person stopped must.
        // Nor may practice hold up a real failover.
        let begun = run.epoch.is_some() || !matches!(context.entry.actor, Actor::Daemon(_));
        let counts = begun && run.trigger != Trigger::Drill;
        let took = durations(run, state);
        let data = json!({ "state": state, "epoch": run.epoch, "rto_ms": rto_ms, "detect_ms": run.detect_ms() });
        let draft = Draft::new(EventKind::Finished, format!("run {id} {}: {verdict}", state.word()));
        context.say(draft.service(&name).run(id).region(&run.plan.to).with(data));
        if let Some(service) = self.services.get_mut(&name)
            && counts
        {
            service.last_run_at = Some(context.entry.at);
        }
        if let Some(service) = self.services.get_mut(&name) {
            service.note_durations(took);
        }
        self.drill_run_closed(context, id)?;
        self.forget_old_runs(&name);
        Ok(Some(id.clone()))
    }

    fn forget_old_runs(&mut self, service: &ServiceName) {
        let mut closed: Vec<(u64, RunId)> = self
            .runs
            .values()
            .filter(|run| &run.service == service && run.state.is_closed() && !self.is_of_open_drill(run))
            .map(|run| (run.decided_index.0, run.id.clone()))
            .collect();
        closed.sort();
        let surplus = closed.len().saturating_sub(CLOSED_RUNS_KEPT);
        for (_, id) in closed.into_iter().take(surplus) {
            self.runs.remove(&id);
        }
    }

    pub(super) fn receipt(&mut self, context: &mut Context<'_>, id: &RunId, losses: &[Loss]) -> Outcome {
        let run = self.runs.get_mut(id).ok_or_else(|| no_run(id))?;
        if run.epoch.is_none() {
            return Err(Rejection::new("NOT_BEGUN", format!("run {id} has not begun: nothing was lost by it")));
        }
        for loss in losses {
            match run.loss.iter_mut().find(|held| held.store == loss.store) {
                // What was quoted is what the decision rests on, and stays.
                Some(held) => *held = Loss { bound: held.bound, ..loss.clone() },
                None => run.loss.push(loss.clone()),
            }
        }
        let message =
            format!("receipt of run {id}: {}", losses.iter().map(Loss::sentence).collect::<Vec<_>>().join("; "));
        let draft = Draft::new(EventKind::Receipt, message).service(&run.service).run(id);
        context.say(draft.with(json!({ "loss": losses })));
        Ok(None)
    }
}

/// What each step of a run took that arrived, by mode and step.
fn durations(run: &Run, state: RunState) -> Vec<(String, u64)> {
    let took = |step: &Step| {
        let progress = run.steps.get(&step.name).filter(|progress| progress.state == StepState::Succeeded)?;
        Some((format!("{}:{}", run.plan.mode, step.name), progress.finished_at?.since(progress.started_at?)))
    };
    if state == RunState::Succeeded { run.plan.steps.iter().filter_map(took).collect() } else { Vec::new() }
}

/// What a run that has done everything has brought about.
fn arrived(run: &Run) -> String {
    let place = match run.plan.movement {
        Movement::Failover => format!("{} serves from {}", run.service, run.plan.to),
        Movement::Evacuate => format!("{} serves from {} no more", run.service, run.plan.from),
        Movement::Restore => format!("{} serves from {} again", run.service, run.plan.to),
    };
    match run.steps.values().find_map(|progress| warning(&progress.seen)) {
        Some(warning) => format!("{place}; {warning}"),
        None => place,
    }
}

/// Every step that was begun, and how it stands.
fn whereabouts(run: &Run) -> String {
    let begun = run.plan.steps.iter().filter_map(|step| {
        let state = run.steps.get(&step.name)?.state;
        Some(format!("{} {}", step.name, state.word()))
    });
    begun.collect::<Vec<_>>().join(", ")
}

fn new_run(context: &Context<'_>, decision: &Decision, id: &RunId, state: RunState) -> Run {
    Run {
        id: id.clone(),
        service: decision.plan.service.clone(),
        trigger: decision.trigger,
        actor: context.entry.actor.clone(),
        reason: decision.reason.clone(),
        plan: decision.plan.clone(),
        evidence: decision.evidence.clone(),
        guards: decision.guards.clone(),
        state,
        epoch: None,
        decided_index: context.index,
        breach_at: decision.breach_at,
        decided_at: context.entry.at,
        valid_until: decision.valid_until,
        announce_until: decision.announce_until,
        unfenced_consent: decision.unfenced_consent.clone(),
        started_at: None,
        resumed_at: None,
        finished_at: None,
        verified_at: None,
        loss: decision.loss.clone(),
        steps: BTreeMap::new(),
        abort: None,
        verdict: None,
        drill: decision.drill.clone(),
        recorded: false,
    }
}

pub(super) fn no_run(id: &RunId) -> Rejection {
    Rejection::new("NO_SUCH_RUN", format!("there is no run {id} here (older runs are in the history)"))
}

pub(super) fn no_service(name: &ServiceName) -> Rejection {
    Rejection::new("NO_SUCH_SERVICE", format!("there is no service {name}"))
}
