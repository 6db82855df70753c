//! Services that share one switch, and so always move together.
//!
//! One of them is the *lead*: the service that the group is named after. Its signals, its policy and its data decide, and
//! its runs move all. The others are *companions*: they have no data, so that nothing but traffic has to move for them, and
//! open no runs of their own. Every service keeps its own records, epoch and settlement.

use super::Rejection;
use super::state::{FleetState, ServiceState};
use crate::ids::{ServiceName, SwitchGroup};
use crate::service::ServiceSpec;

impl FleetState {
    /// The services of a switch.
    pub fn of_switch<'a>(&'a self, group: &'a SwitchGroup) -> impl Iterator<Item = &'a ServiceState> {
        self.services.values().filter(move |service| service.spec.is_of_switch(group))
    }

    /// The service whose manifest decides for the switch: the lead, or the only one.
    #[must_use]
    pub fn lead_of(&self, group: &SwitchGroup) -> Option<&ServiceState> {
        let named = self.services.get(group.as_str()).filter(|service| service.spec.is_of_switch(group));
        named.or_else(|| self.services.values().find(|service| service.spec.is_of_switch(group)))
    }

    /// The lead that this service moves with; absent where it moves by itself.
    #[must_use]
    pub fn moves_with(&self, spec: &ServiceSpec) -> Option<&ServiceName> {
        let group = spec.switch_group();
        let lead = self.services.get_key_value(group.as_str())?;
        let leads = lead.0 != &spec.name && lead.1.spec.is_of_switch(&group);
        leads.then_some(lead.0)
    }

    /// The services that move with this one.
    #[must_use]
    pub fn companions(&self, lead: &ServiceSpec) -> Vec<&ServiceState> {
        let group = lead.switch_group();
        if group.as_str() != lead.name.as_str() {
            return Vec::new();
        }
        let is_moved = |service: &&ServiceState| service.spec.name != lead.name && service.spec.is_of_switch(&group);
        self.services.values().filter(is_moved).collect()
    }

    /// The service and those that move with it, itself first.
    #[must_use]
    pub fn moved_together<'a>(&'a self, lead: &'a ServiceState) -> Vec<&'a ServiceState> {
        let mut all = vec![lead];
        all.extend(self.companions(&lead.spec));
        all
    }

    /// A service that does not move by itself is asked for by its lead's name.
    pub(super) fn moves_by_itself(&self, spec: &ServiceSpec) -> Result<(), Rejection> {
        match self.moves_with(spec) {
            None => Ok(()),
            Some(lead) => {
                let reason = format!("{} shares the switch of {lead} and moves with it: ask for {lead}", spec.name);
                Err(Rejection::new("MOVES_WITH", reason))
            }
        }
    }
}
