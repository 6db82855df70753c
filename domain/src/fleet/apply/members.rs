//! Regions that are added to the fleet and removed from it. The list that changes here is what every majority is counted
//! in; who votes on the log changes beside it, one entry later.

use serde_json::json;

use super::{Context, Draft, Outcome, Rejection};
use crate::drill::{DrillSpec, Guardrail};
use crate::fleet::event::EventKind;
use crate::fleet::state::{FleetState, Gone, Member, Role};
use crate::ids::{LogIndex, Region};
use crate::service::SwitchTransport;
use crate::traffic::SwitchEndpoint;

/// A fleet has no fewer: with two, losing either is losing the majority.
pub const LEAST_DAEMONS: usize = 3;

/// How many of so many daemons may be lost while the others are still a majority.
#[must_use]
pub const fn may_be_lost(daemons: usize) -> usize {
    daemons.saturating_sub(1) / 2
}

impl FleetState {
    /// Whether a Region may be added now, whatever its daemon says of itself.
    ///
    /// # Errors
    /// Why not.
    pub fn may_enlist(&self, region: &Region) -> Result<(), Rejection> {
        if self.members.contains_key(region) {
            return Err(Rejection::new("ALREADY_MEMBER", format!("{region} is a Region of this fleet already")));
        }
        self.nothing_under_way()
    }

    /// Whether a Region may be removed now.
    ///
    /// # Errors
    /// Why not.
    pub fn may_dismiss(&self, region: &Region) -> Result<(), Rejection> {
        if !self.members.contains_key(region) {
            return Err(Rejection::new("UNKNOWN_REGION", format!("{region} is not a Region of this fleet")));
        }
        if self.members.len() <= LEAST_DAEMONS {
            let reason = format!(
                "a fleet of {} cannot do without {region}: {LEAST_DAEMONS} daemons are the least that may lose one; add \
                 another Region first, or replace its disk",
                self.members.len()
            );
            return Err(Rejection::new("TOO_FEW", reason));
        }
        self.nothing_under_way()?;
        let named = self.named_by(region);
        if !named.is_empty() {
            let reason = format!(
                "{region} is named by {}: change or delete these manifests first, so that nothing is left to it",
                named.join(", ")
            );
            return Err(Rejection::new("REGION_IN_USE", reason));
        }
        Ok(())
    }

    /// Where a disk stands that a daemon of this Region comes with: the entry that removed it, if it was removed.
    #[must_use]
    pub fn dismissed(&self, region: &Region, disk: u64) -> Option<LogIndex> {
        self.gone.get(region).filter(|gone| gone.disks.contains(&disk)).map(|gone| gone.at)
    }

    pub(super) fn enlist(
        &mut self,
        context: &mut Context<'_>,
        region: &Region,
        role: Role,
        switch: Option<&SwitchEndpoint>,
    ) -> Outcome {
        if region.as_str().is_empty() {
            return Err(Rejection::new("INVALID_FLEET", "a Region has a name"));
        }
        self.may_enlist(region)?;
        self.can_be_asked(region, switch)?;
        let before = self.members.len();
        self.members.insert(region.clone(), Member { role, switch: switch.cloned() });
        let word = match role {
            Role::Member => "member",
            Role::Witness => "witness",
        };
        self.resized(context, region, before, &format!("{region} was added to the fleet as a {word}"));
        Ok(None)
    }

    pub(super) fn dismiss(&mut self, context: &mut Context<'_>, region: &Region, disk: Option<u64>) -> Outcome {
        self.may_dismiss(region)?;
        let before = self.members.len();
        self.members.remove(region);
        let index = context.index;
        let gone = self.gone.entry(region.clone()).or_insert_with(|| Gone { at: index, disks: Default::default() });
        gone.at = index;
        gone.disks.extend(disk);
        self.resized(context, region, before, &format!("{region} was removed from the fleet"));
        Ok(None)
    }

    /// Every service's health checks name every daemon, so none of them matches any more. What stands in Route 53 goes on
    /// working: the daemons that were there before and are there now have their voices in it.
    fn resized(&mut self, context: &mut Context<'_>, region: &Region, before: usize, what: &str) {
        self.advertised = context.index;
        for service in self.services.values_mut() {
            service.settlement.is_stale = true;
        }
        let after = self.members.len();
        let message =
            format!("{what}: {after} daemons instead of {before}, of which {} may be lost", may_be_lost(after));
        let data =
            json!({ "daemons": { "from": before, "to": after }, "members": self.members.keys().collect::<Vec<_>>() });
        context.say(Draft::new(EventKind::Fleet, message).region(region).with(data));
    }

    /// Switches over HTTP have a health check of every daemon: one that nobody can ask would leave every service unsettled.
    fn can_be_asked(&self, region: &Region, switch: Option<&SwitchEndpoint>) -> Result<(), Rejection> {
        let over_http = self.services.values().find(|service| service.spec.traffic.switch == SwitchTransport::Http);
        match over_http {
            Some(service) if switch.is_none() => {
                let reason = format!(
                    "{region} does not say where Route 53's checkers reach it, and {} is switched over HTTP: set \
                     advertise in its configuration",
                    service.spec.name
                );
                Err(Rejection::new("NO_ENDPOINT", reason))
            }
            _ => Ok(()),
        }
    }

    /// While something moves, what it was decided by must not change, and the fleet must be able to agree.
    fn nothing_under_way(&self) -> Result<(), Rejection> {
        if let Some(run) = self.runs.values().find(|run| !run.state.is_closed()) {
            let reason =
                format!("run {} is open: wait for it or abort it, the fleet must be able to agree meanwhile", run.id);
            return Err(Rejection::new("RUN_OPEN", reason));
        }
        match self.drill_runs.values().find(|run| !run.is_closed()) {
            Some(run) => {
                Err(Rejection::new("DRILL_OPEN", format!("drill {} is open: wait for it or cancel it", run.id)))
            }
            None => Ok(()),
        }
    }

    /// Manifests that name a Region, for people.
    fn named_by(&self, region: &Region) -> Vec<String> {
        // Where a service is, and where its writers are to be, is among its Regions.
        let services = self.services.values().filter(|service| service.spec.regions.contains(region));
        let services = services.map(|service| format!("service {}", service.spec.name));
        let drills = self.drills.values().filter(|drill| drill.spec.names(region));
        services.chain(drills.map(|drill| format!("drill {}", drill.spec.name))).collect()
    }
}

impl DrillSpec {
    fn names(&self, region: &Region) -> bool {
        let guarded = |guardrail: &Guardrail| match guardrail {
            Guardrail::MaxDuration { .. } => false,
            Guardrail::Signal { region: at, .. } | Guardrail::Alarm { region: at, .. } => at == region,
        };
        self.from.as_ref() == Some(region) || self.to.as_ref() == Some(region) || self.guardrails.iter().any(guarded)
    }
}
