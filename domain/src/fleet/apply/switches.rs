//! Switches and settlement.

use serde_json::json;

use super::runs::no_service;
use super::{Context, Draft, Outcome, Rejection};
use crate::fleet::event::EventKind;
use crate::fleet::run::{Run, StepState};
use crate::fleet::settings;
use crate::fleet::state::{Bit, FleetState, Switch, WHOLE_SHARE};
use crate::ids::{Epoch, LogIndex, Region, RunId, ServiceName, StepName, StoreName, SwitchGroup};
use crate::plan::{Mode, Movement, Plan, StepKind};
use crate::service::Pattern;
use crate::time::Timestamp;
use crate::traffic::{first_share, next_share};

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
        if let Some(service) = self.lead_of(group) {
            self.place_is_known(&service.spec)?;
        }
        let turn = match switch.pattern {
            Pattern::ActivePassive => Turn::Pair(switch.target(region, on)?),
            Pattern::ActiveActive => Turn::One(switch.may_turn(group, region, on)?, on),
        };
        // Settlement may have narrowed the records of a Region since it was switched off.
        let off_since = switch.bits.get(region).filter(|bit| on && !bit.on).map(|bit| bit.index);
        let narrowed = off_since.is_some_and(|off_since| self.is_written_since(group, off_since));
        let run = match by {
            Some((run, step)) => Some(self.acting(run, step, group, &turn)?),
            None => {
                self.by_hand(context.entry.at, group, &turn)?;
                None
            }
        };
        match turn {
            Turn::Pair(target) => self.turn(context, group, &target, run.as_ref()),
            Turn::One(region, on) => {
                self.turn_one(context, group, &region, on, run.as_ref())?;
                // Turned on by hand before that, it has what it had.
                if off_since.is_some() && (run.is_some() || narrowed) {
                    let at_once = run.as_ref().is_some_and(|run| run.plan.mode == Mode::Forced);
                    self.give(group, &region, at_once);
                }
                Ok(None)
            }
        }
    }

    fn is_written_since(&self, group: &SwitchGroup, index: LogIndex) -> bool {
        let mut of_group = self.services.values().filter(|service| service.spec.is_of_switch(group));
        of_group.any(|service| service.settlement.intent.is_some_and(|intent| intent > index))
    }

    /// What a Region that comes back has at first.
    fn give(&mut self, group: &SwitchGroup, region: &Region, at_once: bool) {
        let share = self.lead_of(group).filter(|_| !at_once).map(|service| first_share(&service.spec, region));
        if let Some(bit) = self.switches.get_mut(group).and_then(|switch| switch.bits.get_mut(region)) {
            bit.share = share.unwrap_or(WHOLE_SHARE);
        }
    }

    /// The next wave of a Region that comes back.
    pub(super) fn widen(
        &mut self,
        context: &mut Context<'_>,
        name: &ServiceName,
        region: &Region,
        epoch: Epoch,
        share: u8,
    ) -> Outcome {
        if let Some(run) = self.open_run(name) {
            return Err(Rejection::new("RUN_OPEN", format!("run {} of {name} is open", run.id)));
        }
        let service = self.services.get(name).ok_or_else(|| no_service(name))?;
        self.moves_by_itself(&service.spec)?;
        if self.is_paused(name) && self.writes(settings::SINCE).is_ok() {
            return Err(Rejection::new("PAUSED", format!("automatic action is paused for {name}")));
        }
        if service.epoch != epoch || !self.are_settled(service) {
            return Err(Rejection::new("STALE_EPOCH", format!("{name} is not settled at epoch {epoch}")));
        }
        let group = service.spec.switch_group();
        let bit = self.switches.get_mut(&group).and_then(|switch| switch.bits.get_mut(region));
        let bit = bit.filter(|bit| bit.on && bit.share < WHOLE_SHARE);
        let bit = bit.filter(|bit| next_share(&service.spec, region, bit.share) == share);
        let no_wave = || Rejection::new("STALE_WAVE", format!("{region} of {name} is not about to get {share} %"));
        let bit = bit.ok_or_else(no_wave)?;
        bit.share = share;
        for service in self.services.values_mut().filter(|service| service.spec.is_of_switch(&group)) {
            // Who serves whom has changed: whoever still writes records for the wave before is late.
            service.epoch = service.epoch.next();
            let name = &service.spec.name;
            let message = format!("{name}: {region} is given {share} % of its traffic");
            let draft = Draft::new(EventKind::Switch, message).service(name).region(region);
            let data = json!({ "group": group, "region": region, "share": share, "epoch": service.epoch });
            context.say(draft.with(data));
        }
        Ok(None)
    }

    /// The run whose flip step is acting: nothing else may turn the switch in its name, and it to its own target only.
    fn acting(&self, id: &RunId, step: &StepName, group: &SwitchGroup, turn: &Turn) -> Result<Run, Rejection> {
        let stale = || Rejection::new("STALE_EPOCH", format!("run {id} may not turn switch {group} now"));
        let run = self.runs.get(id).ok_or_else(stale)?;
        let flips = run
            .plan
            .step(step)
            .is_some_and(|step| matches!(&step.kind, StepKind::FlipSwitch { group: of, .. } if of == group));
        let current = self.services.get(&run.service).is_some_and(|service| run.epoch == Some(service.epoch));
        if flips
            && current
            && turn.is_of(&run.plan)
            && run.progress(step).state == StepState::Acting
            && run.abort.is_none()
        {
            Ok(run.clone())
        } else {
            Err(stale())
        }
    }

    fn by_hand(&mut self, at: Timestamp, group: &SwitchGroup, turn: &Turn) -> Result<(), Rejection> {
        let changes = match (turn, self.switches.get(group)) {
            (Turn::One(region, on), Some(switch)) => switch.bits.get(region).is_some_and(|bit| bit.on != *on),
            _ => false,
        };
        let moved: Vec<ServiceName> = self
            .services
            .values()
            .filter(|service| service.spec.is_of_switch(group))
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
            match turn {
                Turn::Pair(target) if &service.primary != target || &service.chosen != target => {
                    service.epoch = service.epoch.next();
                    service.chosen = target.clone();
                }
                // A run that was stopped half-way had chosen where the writers go: whoever turns a switch has seen to that.
                Turn::One(..) if service.primary != service.chosen => {
                    service.epoch = service.epoch.next();
                    service.primary = service.chosen.clone();
                    service.primary_since = at;
                }
                Turn::One(..) if changes => service.epoch = service.epoch.next(),
                Turn::Pair(_) | Turn::One(..) => {}
            }
        }
        Ok(())
    }

    /// Turns one Region's bit of an active-active service.
    pub(super) fn turn_one(
        &mut self,
        context: &mut Context<'_>,
        group: &SwitchGroup,
        region: &Region,
        on: bool,
        run: Option<&Run>,
    ) -> Outcome {
        let (at, index) = (context.entry.at, context.index);
        let no_bit = || Rejection::new("NO_SUCH_SWITCH", format!("switch {group} has no bit for {region}"));
        let bit = self.switches.get_mut(group).and_then(|switch| switch.bits.get_mut(region)).ok_or_else(no_bit)?;
        bit.turn(on, at, index);
        let does = if on { "serves" } else { "serves no more" };
        let draft = Draft::new(EventKind::Switch, format!("switch {group}: {region} {does}")).region(region);
        context.say(in_the_name_of(draft.with(json!({ "group": group, "region": region, "on": on })), run));
        self.say_who_moves_along(context, group, region, does);
        Ok(None)
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
        bit.turn(on, at, index);
        for service in self.services.values_mut().filter(|service| service.spec.is_of_switch(group)) {
            if &service.primary != target {
                service.primary = target.clone();
                service.primary_since = at;
            }
        }
        let draft = Draft::new(EventKind::Switch, format!("switch {group}: {target} serves")).region(target);
        context.say(in_the_name_of(draft.with(json!({ "group": group, "serves": target, "on": on })), run));
        self.say_who_moves_along(context, group, target, "serves");
        Ok(None)
    }

    /// Each companion's own history has it too.
    fn say_who_moves_along(&self, context: &mut Context<'_>, group: &SwitchGroup, region: &Region, does: &str) {
        for service in self.of_switch(group) {
            let Some(lead) = self.moves_with(&service.spec) else { continue };
            let name = &service.spec.name;
            let message = format!("{name} moves with {lead}: {region} {does}");
            context.say(Draft::new(EventKind::Switch, message).service(name).region(region));
        }
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
        self.place_is_known(&self.services.get(name).ok_or_else(|| no_service(name))?.spec)?;
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
        seen: LogIndex,
    ) -> Outcome {
        if seen != LogIndex(0) && seen < self.advertised {
            let reason = format!("a daemon has said where checkers reach it since {name} was looked at");
            return Err(Rejection::new("STALE_ENDPOINTS", reason));
        }
        self.place_is_known(&self.services.get(name).ok_or_else(|| no_service(name))?.spec)?;
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
        let primary = service.primary.clone();
        let serving = self.services.get(name).map(|service| self.serving(service)).unwrap_or_default();
        let serving: Vec<&str> = serving.into_iter().map(Region::as_str).collect();
        let verb = if serving.len() == 1 { "serves" } else { "serve" };
        let message = format!("{name} settled: records and checks say that {} {verb}", serving.join(", "));
        let draft = Draft::new(EventKind::Settled, message).service(name).region(&primary);
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

/// The event of a run, where one made it.
fn in_the_name_of(draft: Draft, run: Option<&Run>) -> Draft {
    match run {
        Some(run) => draft.service(&run.service).run(&run.id),
        None => draft,
    }
}

impl Bit {
    pub(super) fn turn(&mut self, on: bool, at: Timestamp, index: LogIndex) {
        if self.on != on {
            (self.on, self.since, self.index) = (on, at, index);
        }
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
        if on {
            return Ok(region.clone());
        }
        let other = self.regions.iter().find(|other| *other != region).cloned();
        other.ok_or_else(|| Rejection::new("LAST_SERVING_REGION", format!("{region} is the last serving Region (I4)")))
    }

    /// Active-active: the Region whose bit may be turned (I4).
    fn may_turn(&self, group: &SwitchGroup, region: &Region, on: bool) -> Result<Region, Rejection> {
        let others = self.bits.iter().any(|(other, bit)| other != region && bit.on);
        if on || others {
            return Ok(region.clone());
        }
        let reason = format!("{region} is the last Region that serves by switch {group} (I4)");
        Err(Rejection::new("LAST_SERVING_REGION", reason))
    }
}

/// What turning a switch means.
enum Turn {
    /// A pair's one bit: this Region serves, the other does not.
    Pair(Region),
    /// One of several: this Region serves or not.
    One(Region, bool),
}

impl Turn {
    fn is_of(&self, plan: &Plan) -> bool {
        match (self, plan.movement) {
            (Self::Pair(target), Movement::Failover) => &plan.to == target,
            (Self::One(region, on), Movement::Evacuate) => &plan.from == region && !on,
            (Self::One(region, on), Movement::Restore) => &plan.to == region && *on,
            _ => false,
        }
    }
}
