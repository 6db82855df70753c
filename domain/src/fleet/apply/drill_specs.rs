//! Manifests of drills: taken, kept together with their services, forgotten.

use std::sync::Arc;

use serde_json::json;

use super::drills::{drill_open, no_drill};
use super::{Context, Draft, Outcome, Rejection};
use crate::drill::{DrillRun, DrillSpec, DrillState};
use crate::fleet::event::EventKind;
use crate::fleet::state::FleetState;
use crate::ids::{DrillName, ServiceName};
use crate::service::ServiceSpec;

impl FleetState {
    /// Drills of one entry, after its services.
    pub(super) fn take_drills(&mut self, context: &mut Context<'_>, drills: &[DrillSpec]) -> Outcome {
        for spec in drills {
            if self.drills.get(&spec.name).is_some_and(|held| *held.spec == *spec) {
                continue;
            }
            let verb = if self.drills.contains_key(&spec.name) { "changed" } else { "applied" };
            let (at, index) = (context.entry.at, context.index);
            let held = self.drills.entry(spec.name.clone()).or_insert_with(|| DrillState {
                spec: Arc::new(spec.clone()),
                spec_index: index,
                applied_at: at,
                runs: 0,
                handled: None,
                missed: None,
                last: None,
            });
            if held.spec.schedule != spec.schedule {
                // Openings of the old schedule are over, those of the new one begin now.
                held.applied_at = at;
                held.handled = None;
            }
            held.spec = Arc::new(spec.clone());
            held.spec_index = index;
            let message = format!("drill {} of {} {verb}", spec.name, spec.service);
            let data = json!({ "drill": spec.name, "kind": spec.kind, "spec": spec });
            context.say(Draft::new(EventKind::Applied, message).service(&spec.service).with(data));
        }
        Ok(None)
    }

    /// Asked before an entry of manifests changes anything.
    pub(super) fn drills_fit(
        &self,
        specs: &[ServiceSpec],
        drills: &[DrillSpec],
        dropped: &[ServiceName],
        prune: bool,
    ) -> Result<(), Rejection> {
        for spec in specs {
            let same = self.services.get(&spec.name).is_some_and(|service| *service.spec == *spec);
            if let Some(run) = self.open_drill_of(&spec.name).filter(|_| !same) {
                return Err(drill_open(run));
            }
        }
        for drill in drills {
            let is_there = specs.iter().any(|spec| spec.name == drill.service)
                || self.services.contains_key(&drill.service) && !dropped.contains(&drill.service);
            if !is_there {
                let reason = format!("drill {}: there is no service {}", drill.name, drill.service);
                return Err(Rejection::new("NO_SUCH_SERVICE", reason));
            }
        }
        let goes = |run: &&DrillRun| prune && !run.is_closed() && drills.iter().all(|drill| &drill.name != run.drill());
        // Services go with `prune` only, and their drills with them.
        self.drill_runs.values().find(goes).map_or(Ok(()), |run| Err(drill_open(run)))
    }

    /// Drills that an entry leaves out, with `prune`.
    pub(super) fn drop_drills(&mut self, context: &mut Context<'_>, kept: &[DrillSpec]) -> Outcome {
        let dropped: Vec<DrillName> =
            self.drills.keys().filter(|name| kept.iter().all(|spec| &spec.name != *name)).cloned().collect();
        for name in &dropped {
            self.delete_drill(context, name)?;
        }
        Ok(None)
    }

    pub(super) fn delete_drill(&mut self, context: &mut Context<'_>, name: &DrillName) -> Outcome {
        if let Some(run) = self.drill_runs.values().find(|run| run.drill() == name && !run.is_closed()) {
            return Err(drill_open(run));
        }
        let Some(drill) = self.drills.remove(name) else { return Err(no_drill(name)) };
        self.drill_runs.retain(|_, run| run.drill() != name);
        let draft = Draft::new(EventKind::Deleted, format!("drill {name} forgotten; its record stays"));
        context.say(draft.service(&drill.spec.service).with(json!({ "drill": name })));
        Ok(None)
    }

    /// No drill of a service that goes may stay behind.
    pub(super) fn no_drill_needs(&self, name: &ServiceName) -> Result<(), Rejection> {
        match self.drills.values().find(|drill| &drill.spec.service == name) {
            Some(drill) => Err(used_by(&drill.spec)),
            None => Ok(()),
        }
    }
}

fn used_by(spec: &DrillSpec) -> Rejection {
    let reason = format!("drill {} practises on {}: delete the drill first", spec.name, spec.service);
    Rejection::new("DRILL_NEEDS_IT", reason)
}
