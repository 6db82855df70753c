//! Switches and settlement.

use serde_json::json;

use super::runs::no_service;
use super::{Context, Draft, Outcome, Rejection};
use crate::fleet::event::EventKind;
use crate::fleet::run::{Run, StepState};
use crate::fleet::state::{FleetState, Switch};
use crate::ids::{Epoch, LogIndex, Region, RunId, ServiceName, StepName, StoreName, SwitchGroup};
use crate::plan::StepKind;
use crate::service::Pattern;

impl FleetState {
    pub(super) fn set_switch(
        &mut self,
        context: &mut Context<'_>,
        group: &SwitchGroup,
        region: &Region,
        on: bool,
        by: Option<&(RunId, StepName)>,
    ) -> Outcome {
        let switch = self
            .switches
            .get(group)
            .ok_or_else(|| Rejection::new("NO_SUCH_SWITCH", format!("there is no switch {group}")))?;
        if !switch.regions.contains(region) {
            return Err(Rejection::new("UNKNOWN_REGION", format!("switch {group} has no Region {region}")));
        }
        let target = switch.target(region, on)?;
        match by {
            Some((run, step)) => {
                let run = self.acting(run, step, group, &target)?;
                self.turn(context, group, &target, Some(&run))
            }
            None => self.turn_by_hand(context, group, &target),
        }
    }

    /// The run whose flip step is acting: nothing else may turn the switch in its name, and it to its own target only.
    fn acting(&self, id: &RunId, step: &StepName, group: &SwitchGroup, target: &Region) -> Result<Run, Rejection> {
        let stale = || Rejection::new("STALE_EPOCH", format!("run {id} may not turn switch {group} now"));
        let run = self.runs.get(id).ok_or_else(stale)?;
        let flips = run
            .plan
            .step(step)
            .is_some_and(|step| matches!(&step.kind, StepKind::FlipSwitch { group: of, .. } if of == group));
        let current = self.services.get(&run.service).is_some_and(|service| run.epoch == Some(service.epoch));
        if flips
            && current
            && &run.plan.to == target
            && run.progress(step).state == StepState::Acting
            && run.abort.is_none()
        {
            Ok(run.clone())
        } else {
            Err(stale())
        }
    }

    fn turn_by_hand(&mut self, context: &mut Context<'_>, group: &SwitchGroup, target: &Region) -> Outcome {
        let moved: Vec<ServiceName> = self
            .services
            .values()
            .filter(|service| &service.spec.switch_group() == group)
            .map(|service| service.spec.name.clone())
            .collect();
        for name in &moved {
            if let Some(run) = self.open_run(name) {
                return Err(Rejection::new("RUN_OPEN", format!("run {} of {name} is open", run.id)));
            }
        }
        for name in &moved {
            let Some(service) = self.services.get_mut(name) else { continue };
            // A person looked: whatever was left to be finished by hand is what they just did.
            service.attention = None;
            if &service.primary != target || &service.chosen != target {
                service.epoch = service.epoch.next();
                service.chosen = target.clone();
            }
        }
        self.turn(context, group, target, None)
    }

    /// Turns the pair's one bit so that `target` serves.
    pub(super) fn turn(
        &mut self,
        context: &mut Context<'_>,
        group: &SwitchGroup,
        target: &Region,
        run: Option<&Run>,
    ) -> Outcome {
        let (at, index) = (context.entry.at, context.index);
        let switch = self
            .switches
            .get_mut(group)
            .ok_or_else(|| Rejection::new("NO_SUCH_SWITCH", format!("there is no switch {group}")))?;
        let on = switch.regions.first() == Some(target);
        let Some(bit) = switch.bits.values_mut().next() else {
            return Err(Rejection::new("NO_SUCH_SWITCH", format!("switch {group} has no bit")));
        };
        if bit.on != on {
            bit.on = on;
            bit.since = at;
            bit.index = index;
        }
        for service in self.services.values_mut().filter(|service| &service.spec.switch_group() == group) {
            if &service.primary != target {
                service.primary = target.clone();
                service.primary_since = at;
            }
        }
        let mut draft = Draft::new(EventKind::Switch, format!("switch {group}: {target} serves"))
            .region(target)
            .with(json!({ "group": group, "serves": target, "on": on }));
        if let Some(run) = run {
            draft = draft.service(&run.service).run(&run.id);
        }
        context.say(draft);
        Ok(None)
    }

    pub(super) fn settle_intent(
        &mut self,
        context: &mut Context<'_>,
        name: &ServiceName,
        epoch: Epoch,
        work: &[String],
    ) -> Outcome {
        if let Some(run) = self.open_run(name) {
            return Err(Rejection::new("RUN_OPEN", format!("settlement of {name} yields to run {}", run.id)));
        }
        let service = self.services.get_mut(name).ok_or_else(|| no_service(name))?;
        if service.epoch != epoch {
            return Err(Rejection::new("STALE_EPOCH", format!("{name} is at epoch {}, not {epoch}", service.epoch)));
        }
        service.settlement.intent = Some(context.index);
        let message = format!("settlement of {name} writes: {}", work.join("; "));
        let data = json!({ "epoch": epoch, "work": work });
        context.say(Draft::new(EventKind::SettleIntent, message).service(name).with(data));
        Ok(None)
    }

    pub(super) fn settled(
        &mut self,
        context: &mut Context<'_>,
        name: &ServiceName,
        epoch: Epoch,
        spec_index: LogIndex,
    ) -> Outcome {
        let service = self.services.get_mut(name).ok_or_else(|| no_service(name))?;
        if service.epoch != epoch || service.spec_index != spec_index {
            return Err(Rejection::new("STALE_EPOCH", format!("{name} has changed since it was settled")));
        }
        if service.is_settled() {
            return Ok(None);
        }
        service.settlement.settled = Some((epoch, spec_index));
        service.settlement.settled_at = Some(context.entry.at);
        service.settlement.is_stale = false;
        service.settlement.carries_traffic = true;
        let message = format!("{name} settled: records and checks say that {} serves", service.primary);
        let draft = Draft::new(EventKind::Settled, message).service(name).region(&service.primary);
        context.say(draft.with(json!({ "epoch": epoch })));
        Ok(None)
    }

    /// Puts on record where AWS kept lost writes; each snapshot once.
    pub(super) fn lost_writes(
        &mut self,
        context: &mut Context<'_>,
        name: &ServiceName,
        store: &StoreName,
        region: &Region,
        snapshots: &[String],
    ) -> Outcome {
        let service = self.services.get_mut(name).ok_or_else(|| no_service(name))?;
        if service.spec.store(store).is_none() {
            return Err(Rejection::new("NO_SUCH_STORE", format!("{name} has no store {store}")));
        }
        let known = service.lost_writes.entry(store.clone()).or_default();
        let new: Vec<&String> = snapshots.iter().filter(|snapshot| known.insert((*snapshot).clone())).collect();
        if new.is_empty() {
            return Ok(None);
        }
        let names = new.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("what {store} lost when it was taken from {region} is kept by AWS there: {names}");
        let draft = Draft::new(EventKind::LostWrites, message).service(name).region(region);
        context.say(draft.with(json!({ "store": store, "snapshots": new })));
        Ok(None)
    }
}

impl Switch {
    /// The Region that serves by an active-passive pair's bit; active-active pairs have no single one.
    #[must_use]
    pub fn serving(&self) -> Option<Region> {
        if self.pattern != Pattern::ActivePassive {
            return None;
        }
        let on = self.bits.values().next()?.on;
        self.regions.get(usize::from(!on)).cloned()
    }

    /// Which Region would serve after turning `region` on or off.
    fn target(&self, region: &Region, on: bool) -> Result<Region, Rejection> {
        if self.pattern == Pattern::ActiveActive {
            let reason = "switches of active-active services cannot be turned by this version".to_owned();
            return Err(Rejection::new("NOT_SUPPORTED", reason));
        }
        if on {
            return Ok(region.clone());
        }
        let other = self.regions.iter().find(|other| *other != region).cloned();
        other.ok_or_else(|| Rejection::new("LAST_SERVING_REGION", format!("{region} is the last serving Region (I4)")))
    }
}
