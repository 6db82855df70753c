//! The fleet goes on from a backup, and a person says of each service where it is by now.

use std::collections::BTreeSet;

use serde_json::json;

use super::runs::no_service;
use super::{Context, Draft, Outcome, Rejection};
use crate::drill::Ending;
use crate::fleet::command::{Actor, Command, Entry};
use crate::fleet::event::{EventKind, HistoryEvent};
use crate::fleet::restored::{self, NUMBERS_PASSED_OVER, Restored, Restoring, Since, where_is_it};
use crate::fleet::run::{RunState, StepState};
use crate::fleet::state::{FleetState, Retired, WHOLE_SHARE};
use crate::ids::{DrillRunId, Epoch, Region, RunId, ServiceName, SwitchGroup};
use crate::service::Pattern;

const LOST: &str = "the fleet was lost and restored from a backup meanwhile: nobody here knows what became of it";

impl FleetState {
    /// Begins a generation with what a backup knew. Not an entry of the log: it begins one. Nothing goes on: automatic action
    /// is off, what was under way is closed, and where services are must be said by a person. No number that the lost
    /// fleet may have used after the backup is used again.
    #[must_use]
    pub fn restore(&mut self, how: &Restoring<'_>) -> Vec<HistoryEvent> {
        let as_of = self.applied;
        // Whoever joins it reads this: there is no older disk left.
        self.format = self.format.max(restored::SINCE);
        self.applied = how.index;
        self.generation = how.generation;
        self.paused = true;
        if how.since.head.seq > self.head.seq {
            self.head = how.since.head.clone();
        }
        self.pass_over(how.since);
        let unconfirmed = self.switches.keys().cloned().collect();
        self.restored = Some(Restored { as_of, taken_at: how.taken_at, unconfirmed });
        let entry = Entry::new(how.at, how.actor.clone(), Command::Pause { service: None });
        let mut context = Context { index: how.index, entry: &entry, events: Vec::new() };
        let unknown = match how.since.events {
            0 => String::new(),
            events => format!("; the {events} events before this one were agreed after it, and are not known to it"),
        };
        let message = format!(
            "the fleet was restored on {} from a backup of entry {as_of}: generation {} begins, automatic action paused{unknown}",
            how.on, how.generation
        );
        let data = json!({
            "generation": how.generation, "left": how.on, "backup": { "index": as_of, "taken_at": how.taken_at },
            "unknown_events": how.since.events,
        });
        context.say(Draft::new(EventKind::Fleet, message).region(how.on).with(data));
        self.close_all(&mut context);
        for (name, service) in &mut self.services {
            service.attention = Some(where_is_it(name));
        }
        let drafts = context.events;
        drafts.into_iter().map(|draft| self.chain(how.index, how.at, how.actor, draft)).collect()
    }

    /// Counts on from where the lost fleet cannot have been: ids of runs are names in the history, and epochs stand in zones.
    fn pass_over(&mut self, since: &Since) {
        for (name, (epoch, runs)) in &since.numbers {
            if let Some(service) = self.services.get_mut(name) {
                service.epoch = service.epoch.max(*epoch);
                service.runs = service.runs.max(*runs);
            } else {
                // First applied after the backup, or deleted before it.
                let retired = self.retired.entry(name.clone()).or_insert(Retired { epoch: Epoch(0), runs: 0 });
                retired.epoch = retired.epoch.max(*epoch);
                retired.runs = retired.runs.max(*runs);
            }
        }
        for service in self.services.values_mut() {
            service.epoch = Epoch(service.epoch.0.saturating_add(NUMBERS_PASSED_OVER));
            service.runs = service.runs.saturating_add(NUMBERS_PASSED_OVER);
        }
        for retired in self.retired.values_mut() {
            retired.epoch = Epoch(retired.epoch.0.saturating_add(NUMBERS_PASSED_OVER));
            retired.runs = retired.runs.saturating_add(NUMBERS_PASSED_OVER);
        }
        for drill in self.drills.values_mut() {
            drill.runs = drill.runs.saturating_add(NUMBERS_PASSED_OVER);
        }
    }

    /// Runs and drills that were open when the backup was made. What they did since is not known, so nothing is put back.
    fn close_all(&mut self, context: &mut Context<'_>) {
        let open: Vec<RunId> =
            self.runs.values().filter(|run| !run.state.is_closed()).map(|run| run.id.clone()).collect();
        for id in open {
            let steps = self.runs.get_mut(&id).map(|run| run.steps.values_mut());
            for progress in steps.into_iter().flatten().filter(|progress| progress.state == StepState::Acting) {
                progress.state = StepState::Unknown;
                progress.note = Some(LOST.to_owned());
            }
            // Never refused: the run is there.
            let _ = self.close(context, &id, RunState::Aborted, LOST.to_owned());
        }
        let open: Vec<DrillRunId> =
            self.drill_runs.values().filter(|run| !run.is_closed()).map(|run| run.id.clone()).collect();
        for id in open {
            if let Some(run) = self.drill_runs.get_mut(&id) {
                run.ending = Some(Ending::Failed { reason: LOST.to_owned() });
            }
            let _ = self.close_drill(context, &id);
        }
    }

    /// A person says where a service is, and those that move with it.
    pub(super) fn confirm(
        &mut self,
        context: &mut Context<'_>,
        name: &ServiceName,
        serving: &BTreeSet<Region>,
        writers: &Region,
    ) -> Outcome {
        let Actor::Operator(who) = &context.entry.actor else {
            return Err(Rejection::new("NOT_A_PERSON", "only a person can say where a service is"));
        };
        let service = self.services.get(name).ok_or_else(|| no_service(name))?;
        self.moves_by_itself(&service.spec)?;
        let (pattern, regions, group) =
            (service.spec.pattern, service.spec.regions.clone(), service.spec.switch_group());
        if self.is_confirmed(&group) {
            let reason =
                format!("where {name} is, is known: there is nothing to confirm (failoverctl failover moves it)");
            return Err(Rejection::new("CONFIRMED", reason));
        }
        if let Some(region) = serving.iter().chain([writers]).find(|region| !regions.contains(region)) {
            return Err(Rejection::new("UNKNOWN_REGION", format!("{name} does not live in {region}")));
        }
        let fits = match pattern {
            Pattern::ActivePassive => serving.len() == 1 && serving.contains(writers),
            Pattern::ActiveActive => !serving.is_empty(),
        };
        if !fits {
            let reason = "an active-passive service is in one Region, an active-active one in one at least";
            return Err(Rejection::new("INVALID_PLACE", format!("{name}: {reason}")));
        }
        let who = who.clone();
        self.set_bits(context, &group, pattern, serving);
        let at = context.entry.at;
        for service in self.services.values_mut().filter(|service| service.spec.is_of_switch(&group)) {
            service.epoch = service.epoch.next();
            service.chosen = writers.clone();
            service.attention = None;
            if service.primary != *writers {
                service.primary = writers.clone();
                service.primary_since = at;
            }
            let of = &service.spec.name;
            let regions: Vec<&str> = serving.iter().map(Region::as_str).collect();
            let message = format!("{who} says that {of} is in {}: restored", regions.join(", "));
            let data = json!({ "group": group, "serving": serving, "writers": writers, "epoch": service.epoch });
            context.say(Draft::new(EventKind::Switch, message).service(of).region(writers).with(data));
        }
        if let Some(restored) = &mut self.restored {
            restored.unconfirmed.remove(&group);
        }
        Ok(None)
    }

    fn set_bits(&mut self, context: &Context<'_>, group: &SwitchGroup, pattern: Pattern, serving: &BTreeSet<Region>) {
        let (at, index) = (context.entry.at, context.index);
        let Some(switch) = self.switches.get_mut(group) else { return };
        for (region, bit) in &mut switch.bits {
            // A pair's bit belongs to its first Region, and so says of both.
            let on = serving.contains(region);
            if pattern == Pattern::ActiveActive && on {
                bit.share = WHOLE_SHARE;
            }
            bit.turn(on, at, index);
        }
    }
}
