//! Drills from opening to verdict. What daemons saw comes in with the entries; everything that follows from it is
//! worked out here, so that whoever leads next goes on from the same place.

use serde_json::{Value, json};

use super::runs::no_service;
use super::{Context, Draft, Outcome, Rejection};
use crate::drill::{
    Advance, Approval, DrillKind, DrillPhase, DrillRun, DrillState, DrillVerdict, Ending, RETURNS_TRIED, course,
    judge_drill,
};
use crate::fleet::command::Actor;
use crate::fleet::event::EventKind;
use crate::fleet::run::RunState;
use crate::fleet::state::FleetState;
use crate::ids::{DrillName, DrillRunId, Region, RunId};
use crate::time::Timestamp;

/// Closed executions kept in the state for each drill; older ones are in the history.
const CLOSED_KEPT: usize = 5;

impl FleetState {
    pub(super) fn open_drill(
        &mut self,
        context: &mut Context<'_>,
        name: &DrillName,
        scheduled_for: Option<Timestamp>,
    ) -> Outcome {
        let drill = self.drills.get(name).ok_or_else(|| no_drill(name))?;
        let spec = drill.spec.clone();
        if let Some(opening) = scheduled_for {
            is_news(drill, opening)?;
        } else if !matches!(context.entry.actor, Actor::Operator(_)) {
            return Err(Rejection::new("NOT_A_PERSON", "only a person starts a drill out of its schedule"));
        }
        let way = course(self, &spec)?;
        let service = self.services.get(&spec.service).ok_or_else(|| no_service(&spec.service))?;
        let spec_index = service.spec_index;
        let drill = self.drills.get_mut(name).ok_or_else(|| no_drill(name))?;
        drill.runs += 1;
        drill.handled = scheduled_for.or(drill.handled);
        let id = DrillRunId::new(format!("{name}.{}", drill.runs));
        drill.last = Some(id.clone());
        let (at, actor) = (context.entry.at, context.entry.actor.clone());
        let (home, away) = (way.home.clone(), way.away.clone());
        let run = DrillRun { scheduled_for, spec_index, ..DrillRun::opened(id.clone(), spec.clone(), way, actor, at) };
        let phase = run.phase;
        let why = if scheduled_for.is_some() { "as scheduled" } else { "as asked" };
        let message = format!(
            "drill {id} opened {why}: {} of {} from {home} to {away}, {}",
            spec.kind.word(),
            spec.service,
            phase.word()
        );
        let data = json!({
            "drill": name, "service": spec.service, "kind": spec.kind, "spec": *spec, "home": home, "away": away,
            "scheduled_for": scheduled_for, "phase": phase,
        });
        context.say(Draft::new(EventKind::DrillOpened, message).service(&spec.service).drill(&id).with(data));
        self.drill_runs.insert(id, run);
        Ok(None)
    }

    pub(super) fn miss_drill(
        &mut self,
        context: &mut Context<'_>,
        name: &DrillName,
        scheduled_for: Timestamp,
        openings: u64,
        reason: &str,
    ) -> Outcome {
        let drill = self.drills.get_mut(name).ok_or_else(|| no_drill(name))?;
        is_news(drill, scheduled_for)?;
        drill.handled = Some(scheduled_for);
        drill.missed = Some((scheduled_for, reason.to_owned()));
        let what = match openings {
            0 | 1 => format!("drill {name} missed its window of {scheduled_for}: {reason}"),
            many => format!("drill {name} missed {many} windows, the last of {scheduled_for}: {reason}"),
        };
        let data = json!({
            "drill": name, "service": drill.spec.service, "kind": drill.spec.kind, "scheduled_for": scheduled_for,
            "openings": openings, "reason": reason, "verdict": "missed",
        });
        context.say(Draft::new(EventKind::DrillMissed, what).service(&drill.spec.service).with(data));
        Ok(None)
    }

    pub(super) fn approve_drill(&mut self, context: &mut Context<'_>, id: &DrillRunId) -> Outcome {
        let Actor::Operator(name) = &context.entry.actor else {
            return Err(Rejection::new("NOT_A_PERSON", "only a person can approve"));
        };
        let run = self.drill_runs.get_mut(id).ok_or_else(|| no_drill_run(id))?;
        if run.phase != DrillPhase::AwaitingApproval {
            return Err(Rejection::new("NOTHING_TO_APPROVE", format!("drill {id} is {}", run.phase.word())));
        }
        if run.approvals.iter().any(|approval| &approval.by == name) {
            let reason = format!("{name} has approved {id} already: it needs {} people", run.spec.approvals);
            return Err(Rejection::new("ALREADY_APPROVED", reason));
        }
        run.approvals.push(Approval { by: name.clone(), at: context.entry.at });
        let (given, needed) = (run.approvals.len(), run.spec.approvals);
        let service = run.spec.service.clone();
        let message = format!("drill {id} approved by {name} ({given} of {needed})");
        let data = json!({ "drill": run.spec.name, "by": name, "approvals": given, "needed": needed });
        context.say(Draft::new(EventKind::DrillApproved, message).service(&service).drill(id).with(data));
        if given >= usize::try_from(needed).unwrap_or(usize::MAX) {
            self.enter(context, id, DrillPhase::Checking, Value::Null)?;
        }
        Ok(None)
    }

    pub(super) fn cancel_drill(&mut self, context: &mut Context<'_>, id: &DrillRunId, reason: &str) -> Outcome {
        let by = match &context.entry.actor {
            Actor::Operator(name) => name.clone(),
            Actor::Daemon(_) | Actor::BreakGlass(_) => {
                return Err(Rejection::new("NOT_A_PERSON", "only a person cancels a drill"));
            }
        };
        self.end_drill(context, id, Ending::Cancelled { by, reason: reason.to_owned() })
    }

    pub(super) fn advance_drill(
        &mut self,
        context: &mut Context<'_>,
        id: &DrillRunId,
        phase: DrillPhase,
        advance: &Advance,
    ) -> Outcome {
        let run = self.drill_runs.get_mut(id).ok_or_else(|| no_drill_run(id))?;
        if run.phase != phase {
            let reason = format!("drill {id} is {}, not {} any more", run.phase.word(), phase.word());
            return Err(Rejection::new("DRILL_MOVED_ON", reason));
        }
        match (phase, advance) {
            (DrillPhase::Checking, Advance::Begin { steady }) => {
                run.steady.extend(steady.iter().cloned());
                run.began_at = Some(context.entry.at);
                let next = match run.spec.kind {
                    DrillKind::Simulate => DrillPhase::Simulating,
                    DrillKind::RegionLoss => DrillPhase::Detecting,
                    DrillKind::Switchover | DrillKind::Evacuate => DrillPhase::Moving,
                };
                if next == DrillPhase::Detecting {
                    run.breach_at = Some(context.entry.at);
                }
                self.enter(context, id, next, json!({ "steady": steady }))
            }
            (DrillPhase::Holding | DrillPhase::AwaitingReturn, Advance::ComeHome) => self.come_home(context, id),
            (_, Advance::End { ending, steady }) => {
                run.steady.extend(steady.iter().cloned());
                self.end_drill(context, id, ending.clone())
            }
            (_, Advance::Waits { why }) if !run.is_closed() => {
                run.waits_for.clone_from(why);
                Ok(None)
            }
            (DrillPhase::Simulating, Advance::Simulated { passed, sentence, rto_ms, told }) => {
                run.measured.rto_ms = *rto_ms;
                if !passed {
                    run.ending = Some(Ending::Failed { reason: sentence.clone() });
                }
                let message = format!("drill {id} simulated: {sentence}");
                let data = json!({
                    "drill": run.spec.name, "service": run.spec.service, "phase": run.phase, "told": told,
                    "passed": passed, "rto_ms": rto_ms,
                });
                let draft = Draft::new(EventKind::DrillPhase, message).service(&run.spec.service).drill(id);
                context.say(draft.with(data));
                self.close_drill(context, id)
            }
            (DrillPhase::Settling, Advance::Close { steady }) => {
                run.steady.extend(steady.iter().cloned());
                self.close_drill(context, id)
            }
            (phase, _) => Err(Rejection::new("DRILL_MOVED_ON", format!("drill {id} is {}", phase.word()))),
        }
    }

    /// The hold is over, or a person says that it returns.
    pub(super) fn come_home(&mut self, context: &mut Context<'_>, id: &DrillRunId) -> Outcome {
        let run = self.drill_runs.get(id).ok_or_else(|| no_drill_run(id))?;
        let waits = run.phase == DrillPhase::Holding && run.spec.comes_back == crate::drill::ComesBack::Manual;
        let is_person = matches!(context.entry.actor, Actor::Operator(_));
        if waits && !is_person {
            return self.enter(context, id, DrillPhase::AwaitingReturn, Value::Null);
        }
        if run.phase == DrillPhase::AwaitingReturn && !is_person {
            return Err(Rejection::new("NOT_A_PERSON", format!("drill {id} returns when a person says so")));
        }
        self.enter(context, id, DrillPhase::Returning, Value::Null)
    }

    /// Ends an execution early: gives up before anything moved, stops or lets arrive what is moving, and returns.
    fn end_drill(&mut self, context: &mut Context<'_>, id: &DrillRunId, ending: Ending) -> Outcome {
        let run = self.drill_runs.get_mut(id).ok_or_else(|| no_drill_run(id))?;
        if run.is_closed() {
            return Err(Rejection::new("DRILL_CLOSED", format!("drill {id} has ended")));
        }
        let is_overtaken = matches!(ending, Ending::Overtaken { .. });
        if run.ending.is_some() && !is_overtaken {
            return Err(Rejection::new("DRILL_ENDING", format!("drill {id} is being ended already")));
        }
        if matches!(run.phase, DrillPhase::Returning | DrillPhase::Settling) && !is_overtaken {
            return Err(Rejection::new("DRILL_ENDING", format!("drill {id} is {} already", run.phase.word())));
        }
        run.ending = Some(ending.clone());
        let (out, back, phase, service) = (run.out.clone(), run.back.clone(), run.phase, run.spec.service.clone());
        let data = json!({ "drill": run.spec.name, "service": service, "phase": phase, "ending": ending });
        let message = format!("drill {id} is ended while {}: {}", phase.word(), ending.sentence());
        context.say(Draft::new(EventKind::DrillEnded, message).service(&service).drill(id).with(data));
        let open =
            [back, out].into_iter().flatten().find(|run| self.runs.get(run).is_some_and(|run| !run.state.is_closed()));
        if is_overtaken {
            self.close_drill(context, id)?;
            return match open {
                Some(open) => self.abort(context, &open, &ending.sentence()),
                None => Ok(None),
            };
        }
        match (phase, open) {
            // Past the point of no return arriving is the quickest way to a whole service; it returns from there.
            (DrillPhase::Moving, Some(open)) => match self.runs.get(&open).is_some_and(|run| run.is_past_no_return()) {
                true => Ok(None),
                false => self.abort(context, &open, &ending.sentence()),
            },
            (DrillPhase::Holding | DrillPhase::AwaitingReturn, _) => {
                self.enter(context, id, DrillPhase::Returning, Value::Null)
            }
            _ => self.close_drill(context, id),
        }
    }

    /// A run is opened for a drill, or while one is going on.
    pub(super) fn drill_takes_run(&mut self, context: &mut Context<'_>, id: &RunId) -> Outcome {
        let Some(run) = self.runs.get(id) else { return Ok(None) };
        let Some(open) = self.open_drill_of(&run.service).map(|open| open.id.clone()) else { return Ok(None) };
        let (to, is_part, trigger) = (run.plan.to.clone(), run.drill.as_ref() == Some(&open), run.trigger);
        let drill = self.drill_runs.get_mut(&open).ok_or_else(|| no_drill_run(&open))?;
        let goes_home = to == drill.home && drill.arrived_at.is_some();
        let is_persons = trigger == crate::fleet::run::Trigger::Operator;
        match drill.phase {
            DrillPhase::Moving | DrillPhase::Detecting if is_part => {
                drill.out = Some(id.clone());
                if drill.phase == DrillPhase::Detecting {
                    return self.enter(context, &open, DrillPhase::Moving, json!({ "out": id }));
                }
            }
            DrillPhase::Returning if is_part => drill.back = Some(id.clone()),
            // A person who brings it back ends the hold.
            DrillPhase::Holding | DrillPhase::AwaitingReturn | DrillPhase::Returning if goes_home && is_persons => {
                drill.back = Some(id.clone());
                if let Some(run) = self.runs.get_mut(id) {
                    run.drill = Some(open.clone());
                }
                if drill.phase != DrillPhase::Returning {
                    return self.enter(context, &open, DrillPhase::Returning, json!({ "back": id }));
                }
            }
            _ => {
                let reason = format!("run {id} was opened beside it");
                return self.end_drill(context, &open, Ending::Overtaken { reason });
            }
        }
        Ok(None)
    }

    /// A run of a drill has its verdict.
    pub(super) fn drill_run_closed(&mut self, context: &mut Context<'_>, id: &RunId) -> Outcome {
        let Some(run) = self.runs.get(id) else { return Ok(None) };
        let Some(drill_id) = run.drill.clone() else { return Ok(None) };
        let (state, verdict, at) = (run.state, run.verdict.clone().unwrap_or_default(), context.entry.at);
        let (rto_ms, detect_ms, took_ms) =
            (run.rto_ms(), run.detect_ms(), run.verified_at.map(|verified| verified.since(run.decided_at)));
        let service = self.services.get(&run.service).ok_or_else(|| no_service(&run.service))?;
        let stands = service.chosen == service.primary;
        let serves_home = |home: &Region| stands && self.serving(service).contains(&home);
        let Some(drill) = self.drill_runs.get(&drill_id).filter(|drill| !drill.is_closed()) else { return Ok(None) };
        let is_home = serves_home(&drill.home);
        let drill = self.drill_runs.get_mut(&drill_id).ok_or_else(|| no_drill_run(&drill_id))?;
        if drill.out.as_ref() == Some(id) {
            drill.measured.rto_ms = rto_ms;
            drill.measured.detect_ms = detect_ms;
            if state == RunState::Succeeded {
                drill.arrived_at = Some(at);
                if drill.ending.is_some() {
                    return self.enter(context, &drill_id, DrillPhase::Returning, Value::Null);
                }
                drill.hold_until = Some(at.plus_ms(drill.spec.hold_ms));
                return self.enter(context, &drill_id, DrillPhase::Holding, json!({ "out": id }));
            }
            let stopped_by = match &context.entry.actor {
                Actor::Operator(by) => Some(Ending::Cancelled { by: by.clone(), reason: verdict.clone() }),
                signed @ Actor::BreakGlass(_) => {
                    Some(Ending::Cancelled { by: signed.to_string(), reason: verdict.clone() })
                }
                Actor::Daemon(_) => None,
            };
            let why = stopped_by.unwrap_or(Ending::Failed { reason: format!("run {id}: {verdict}") });
            drill.ending.get_or_insert(why);
            return match is_home {
                true => self.enter(context, &drill_id, DrillPhase::Settling, Value::Null),
                // Stopped half-way: the service says loudly that a person must look.
                false => self.close_drill(context, &drill_id),
            };
        }
        if drill.back.as_ref() == Some(id) {
            if state == RunState::Succeeded {
                drill.measured.return_ms = took_ms;
                return self.enter(context, &drill_id, DrillPhase::Settling, json!({ "back": id }));
            }
            drill.failed_returns += 1;
            drill.waits_for = Some(format!("run {id}: {verdict}"));
            if drill.failed_returns >= RETURNS_TRIED {
                let (service, away) = (drill.spec.service.clone(), drill.away.clone());
                let why = format!(
                    "drill {drill_id} could not bring it back from {away} ({verdict}): `failoverctl failback {service}` \
                     when that is mended"
                );
                if let Some(service) = self.services.get_mut(&service) {
                    service.attention = Some(why);
                }
            }
        }
        Ok(None)
    }

    fn enter(&mut self, context: &mut Context<'_>, id: &DrillRunId, phase: DrillPhase, more: Value) -> Outcome {
        let run = self.drill_runs.get_mut(id).ok_or_else(|| no_drill_run(id))?;
        let before = std::mem::replace(&mut run.phase, phase);
        run.phase_since = context.entry.at;
        run.waits_for = None;
        let mut data = json!({
            "drill": run.spec.name, "service": run.spec.service, "kind": run.spec.kind, "phase": phase,
            "before": before, "hold_until": run.hold_until,
        });
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        let message = format!("drill {id} is {}", phase.word());
        context.say(Draft::new(EventKind::DrillPhase, message).service(&run.spec.service).drill(id).with(data));
        Ok(None)
    }

    pub(super) fn close_drill(&mut self, context: &mut Context<'_>, id: &DrillRunId) -> Outcome {
        let run = self.drill_runs.get(id).ok_or_else(|| no_drill_run(id))?;
        let judged = judge_drill(self, run);
        let (name, service, kind) = (run.spec.name.clone(), run.spec.service.clone(), run.spec.kind);
        let licences = if judged.verdict == DrillVerdict::Passed { judged.licences } else { Vec::new() };
        let run = self.drill_runs.get_mut(id).ok_or_else(|| no_drill_run(id))?;
        run.phase = DrillPhase::Closed;
        run.phase_since = context.entry.at;
        run.waits_for = None;
        run.verdict = Some(judged.verdict);
        run.sentence = Some(judged.sentence.clone());
        run.finished_at = Some(context.entry.at);
        let message = format!("drill {id} {}: {}", judged.verdict.word(), judged.sentence);
        let data = json!({
            "drill": name, "service": service, "kind": kind, "phase": run.phase, "verdict": judged.verdict,
            "sentence": judged.sentence, "measured": run.measured, "objectives": judged.objectives, "out": run.out,
            "back": run.back, "ending": run.ending, "steady": run.steady, "began_at": run.began_at,
            "arrived_at": run.arrived_at, "breach_at": run.breach_at, "loss": judged.loss,
            "unpractised": judged.unpractised, "home": run.home, "away": run.away, "hypothesis": run.spec.hypothesis,
        });
        context.say(Draft::new(EventKind::DrillFinished, message).service(&service).drill(id).with(data));
        if let Some(service) = self.services.get_mut(&service) {
            service.take_licences(context.entry.at, id, licences);
        }
        self.forget_old_drill_runs(&name);
        Ok(None)
    }

    fn forget_old_drill_runs(&mut self, name: &DrillName) {
        let mut closed: Vec<(Timestamp, DrillRunId)> = self
            .drill_runs
            .values()
            .filter(|run| run.drill() == name && run.is_closed())
            .map(|run| (run.opened_at, run.id.clone()))
            .collect();
        closed.sort();
        let surplus = closed.len().saturating_sub(CLOSED_KEPT);
        for (_, id) in closed.into_iter().take(surplus) {
            self.drill_runs.remove(&id);
        }
    }
}

/// Each opening is dealt with once, whatever clocks and leaders do.
fn is_news(drill: &DrillState, opening: Timestamp) -> Result<(), Rejection> {
    if drill.handled.is_some_and(|handled| opening <= handled) || opening < drill.applied_at {
        let reason = format!("the window of {opening} of drill {} was dealt with", drill.spec.name);
        return Err(Rejection::new("ALREADY_HANDLED", reason));
    }
    Ok(())
}

pub(super) fn no_drill(name: &DrillName) -> Rejection {
    Rejection::new("NO_SUCH_DRILL", format!("there is no drill {name}"))
}

fn no_drill_run(id: &DrillRunId) -> Rejection {
    Rejection::new("NO_SUCH_RUN", format!("there is no execution {id} of a drill here (older ones are in the history)"))
}

pub(super) fn drill_open(run: &DrillRun) -> Rejection {
    let reason = format!("drill {} of {} is {}: wait for it or cancel it", run.id, run.spec.service, run.phase.word());
    Rejection::new("DRILL_OPEN", reason)
}
