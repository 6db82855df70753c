//! Ways back that are asked for, and what is put on record beside runs.

use serde_json::json;

use super::runs::{no_run, no_service};
use super::{Context, Draft, Outcome, Rejection};
use crate::drill::{Curves, DrillPhase};
use crate::fleet::event::EventKind;
use crate::fleet::state::{FleetState, WayBack};
use crate::ids::{RunId, ServiceName};

impl FleetState {
    pub(super) fn ask_return(&mut self, context: &mut Context<'_>, name: &ServiceName, reason: &str) -> Outcome {
        let service = self.services.get(name).ok_or_else(|| no_service(name))?;
        self.moves_by_itself(&service.spec)?;
        if self.is_at_home(service) {
            return Err(Rejection::new("ALREADY_THERE", format!("{name} is where it belongs")));
        }
        if let Some(open) = self.open_drill_of(name).map(|open| (open.id.clone(), open.phase)) {
            return match open.1 {
                DrillPhase::Holding | DrillPhase::AwaitingReturn => self.come_home(context, &open.0),
                phase => Err(Rejection::new("DRILL_OPEN", format!("drill {} of {name} is {}", open.0, phase.word()))),
            };
        }
        let (actor, at) = (context.entry.actor.clone(), context.entry.at);
        let message = format!("{name} is to return as soon as it can without loss: {reason}");
        if let Some(service) = self.services.get_mut(name) {
            service.way_back = Some(WayBack { actor, at, reason: reason.to_owned() });
        }
        context.say(Draft::new(EventKind::ReturnAsked, message).service(name));
        Ok(None)
    }

    pub(super) fn forget_return(&mut self, context: &mut Context<'_>, name: &ServiceName) -> Outcome {
        let service = self.services.get_mut(name).ok_or_else(|| no_service(name))?;
        if service.way_back.take().is_none() {
            return Err(Rejection::new("NOTHING_ASKED", format!("nobody asked {name} to return")));
        }
        context.say(Draft::new(EventKind::ReturnAsked, format!("{name} stays where it is")).service(name));
        Ok(None)
    }

    pub(super) fn record(&mut self, context: &mut Context<'_>, id: &RunId, curves: &Curves) -> Outcome {
        let run = self.runs.get_mut(id).ok_or_else(|| no_run(id))?;
        if !run.state.is_closed() || std::mem::replace(&mut run.recorded, true) {
            return Err(Rejection::new("RECORDED", format!("what was seen of run {id} is on record, or it is open")));
        }
        let points: usize = curves.curves.iter().map(|curve| curve.at_ms.len()).sum();
        let message = format!("{points} readings around run {id}");
        let (service, verified, rto_ms, drill) =
            (run.service.clone(), run.verified_at, run.rto_ms(), run.drill.clone());
        let draft = Draft::new(EventKind::Observations, message).service(&service).run(id);
        context.say(draft.with(json!({ "curves": curves })));
        let Some(drill) = drill.and_then(|drill| self.drill_runs.get_mut(&drill)) else { return Ok(None) };
        if let (false, Some(seen)) = (drill.is_closed(), &curves.through) {
            if drill.out.as_ref() == Some(id) {
                // Answers that were right and not good yet are not the end of it.
                let later = seen.well_since.zip(verified).map_or(0, |(well, verified)| well.since(verified));
                drill.measured.rto_ms = rto_ms.map(|ms| ms.saturating_add(later));
            }
            let all = drill.measured.through.get_or_insert_default();
            all.asked += seen.asked;
            all.errors += seen.errors;
            all.longest_gap_ms = all.longest_gap_ms.max(seen.longest_gap_ms);
            all.well_since = seen.well_since.max(all.well_since);
        }
        Ok(None)
    }

    pub(super) fn note_told(&mut self, hook: &str, seq: u64) -> Outcome {
        let told = self.told.entry(hook.to_owned()).or_default();
        if seq <= *told && seq > 0 {
            return Err(Rejection::new("ALREADY_TOLD", format!("{hook} was told up to {told}")));
        }
        *told = seq;
        Ok(None)
    }
}
