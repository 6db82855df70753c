//! How much has moved by itself lately, and whether more may.
//!
//! One dead Region may be left by every service that it had: that is what failoverd is for. That a second one dies
//! within the hour is rarer than that something is wrong with what we see, or with what we did (ADR 26): from there on
//! a person decides.

use std::collections::BTreeSet;

use super::command::Actor;
use super::run::{Run, Trigger};
use super::settings::{self, MOST_WINDOW_MS};
use super::state::{FleetState, ServiceState};
use crate::ids::{Region, ServiceName};
use crate::time::Timestamp;

impl FleetState {
    /// Whether a service may leave a Region by itself now; with the reason either way. `None`: the fleet has agreed on no limit.
    pub(super) fn velocity(
        &self,
        now: Timestamp,
        service: &ServiceState,
        from: &Region,
    ) -> Option<Result<String, String>> {
        let limit = self.settings.velocity.as_ref()?;
        let window_s = limit.window_ms / 1_000;
        let is_recent = |at: &Timestamp| now.since(*at) < limit.window_ms;
        let recent = |left: &Region| {
            let services = self.departures.get(left).into_iter().flatten();
            services.filter(|(_, at)| is_recent(at)).map(|(name, _)| name).collect::<BTreeSet<&ServiceName>>()
        };
        let left: Vec<&Region> = self.departures.keys().filter(|region| !recent(region).is_empty()).collect();
        let names: Vec<&str> = left.iter().map(|region| region.as_str()).collect();
        let moved: BTreeSet<&ServiceName> = left.iter().flat_map(|region| recent(region)).collect();
        if !left.contains(&from) && left.len() >= limit.regions as usize {
            return Some(Err(format!(
                "{} was left by {} service(s) in the last {window_s} s, by themselves: a move out of {from} too needs a person",
                names.join(", "),
                moved.len()
            )));
        }
        let together = self.moved_together(service).into_iter().filter(|one| !moved.contains(&one.spec.name)).count();
        if let Some(most) = limit.services.filter(|most| moved.len() + together > *most as usize) {
            return Some(Err(format!(
                "{} service(s) have moved by themselves in the last {window_s} s, of {most} that may: more need a person",
                moved.len()
            )));
        }
        Some(Ok(match moved.len() {
            0 => format!("nothing has moved by itself in the last {window_s} s"),
            count => format!("{count} service(s) have left {} in the last {window_s} s", names.join(", ")),
        }))
    }

    /// Remembers that a run which nobody asked for, and nobody approved, takes services out of a Region.
    pub(super) fn note_departure(&mut self, at: Timestamp, actor: &Actor, run: &Run) {
        if self.writes(settings::SINCE).is_err()
            || run.trigger != Trigger::Automatic
            || !matches!(actor, Actor::Daemon(_))
        {
            return;
        }
        let Some(service) = self.services.get(&run.service) else { return };
        let names: Vec<ServiceName> =
            self.moved_together(service).into_iter().map(|one| one.spec.name.clone()).collect();
        for services in self.departures.values_mut() {
            services.retain(|_, then| at.since(*then) < MOST_WINDOW_MS);
        }
        self.departures.retain(|_, services| !services.is_empty());
        let services = self.departures.entry(run.plan.from.clone()).or_default();
        services.extend(names.into_iter().map(|name| (name, at)));
    }
}
