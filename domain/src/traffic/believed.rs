//! How healthy Route 53 takes each health check to be, as far as the fleet can know without asking for every one.
//!
//! A switch's checks follow from the committed bits, as all daemons answer by them. What else there is, is taken as
//! healthy, and told. "What if a Region were down" turns its bits off where another Region then serves (I4), and fails
//! the fleet's own outside checks of it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::naming::{switch_alarm_name, switch_path};
use crate::fleet::{FleetState, Switch};
use crate::ids::{HealthCheckId, Region};
use crate::route53::{CheckKind, EndpointCheck, HealthCheck, calculated_is_healthy};
use crate::service::Pattern;

/// CALCULATED checks do not nest in Route 53; whatever does ends here.
const MAX_DEPTH: u32 = 4;

/// Health checks as they are believed to be.
pub struct Believed<'a> {
    checks: BTreeMap<&'a HealthCheckId, &'a HealthCheck>,
    /// On or off, by the path that checkers ask for.
    bits: BTreeMap<String, bool>,
    /// The same by the names of the alarms that follow it.
    alarms: BTreeMap<String, bool>,
    /// What the caller references of outside checks begin with.
    outside: String,
    down: &'a BTreeSet<Region>,
    assumed: RefCell<BTreeSet<HealthCheckId>>,
}

impl<'a> Believed<'a> {
    /// By committed state, as if the Regions in `down` were down.
    #[must_use]
    pub fn new(state: &FleetState, checks: &'a [HealthCheck], down: &'a BTreeSet<Region>) -> Self {
        let (mut paths, mut alarms) = (BTreeMap::new(), BTreeMap::new());
        for (group, switch) in &state.switches {
            for (region, bit) in &switch.bits {
                let on = would_be(switch, region, bit.on, down);
                paths.insert(switch_path(&bit.token), on);
                let names = state.members.keys().map(|daemon| switch_alarm_name(&state.fleet, group, region, daemon));
                alarms.extend(names.map(|name| (name, on)));
            }
        }
        Self {
            checks: checks.iter().map(|check| (&check.id, check)).collect(),
            bits: paths,
            alarms,
            outside: format!("failoverd/{}/hc/", state.fleet),
            down,
            assumed: RefCell::default(),
        }
    }

    /// Whether a check counts as healthy.
    #[must_use]
    pub fn is_healthy(&self, id: &HealthCheckId) -> bool {
        self.health(id, 0)
    }

    /// Checks that were taken as healthy because nobody here knows better.
    #[must_use]
    pub fn assumed(&self) -> BTreeSet<HealthCheckId> {
        self.assumed.borrow().clone()
    }

    fn health(&self, id: &HealthCheckId, depth: u32) -> bool {
        let Some(check) = self.checks.get(id).filter(|_| depth < MAX_DEPTH) else { return self.assume(id) };
        let config = &check.config;
        if config.disabled {
            return !config.inverted;
        }
        let known = match &config.kind {
            CheckKind::Endpoint(endpoint) => self.endpoint(check, endpoint),
            CheckKind::Calculated { children, threshold } => {
                let healthy = children.iter().filter(|child| self.health(child, depth + 1)).count();
                Some(calculated_is_healthy(u32::try_from(healthy).unwrap_or(u32::MAX), *threshold))
            }
            CheckKind::Alarm { name, .. } => self.alarms.get(name).copied(),
            CheckKind::Other(_) => None,
        };
        match known {
            Some(plain) => plain != config.inverted,
            None => self.assume(id),
        }
    }

    fn assume(&self, id: &HealthCheckId) -> bool {
        self.assumed.borrow_mut().insert(id.clone());
        true
    }

    fn endpoint(&self, check: &HealthCheck, endpoint: &EndpointCheck) -> Option<bool> {
        if let (Some(on), Some(search)) = (self.bits.get(&endpoint.path), &endpoint.search) {
            return Some(search == if *on { "switch=on" } else { "switch=off" });
        }
        let region = check.caller_reference.strip_prefix(&self.outside)?.split('/').nth(1)?;
        self.down.contains(&Region::from(region)).then_some(false)
    }
}

/// A bit of a switch as it would be.
fn would_be(switch: &Switch, region: &Region, on: bool, down: &BTreeSet<Region>) -> bool {
    let serves_elsewhere = match switch.pattern {
        Pattern::ActivePassive => switch.regions.iter().any(|region| !down.contains(region)),
        Pattern::ActiveActive => switch.bits.iter().any(|(region, bit)| bit.on && !down.contains(region)),
    };
    match switch.pattern {
        _ if !serves_elsewhere => on,
        Pattern::ActiveActive => on && !down.contains(region),
        // One bit for the pair: the first Region serves while it is on.
        Pattern::ActivePassive if on => !down.contains(region),
        Pattern::ActivePassive => switch.regions.iter().any(|other| other != region && down.contains(other)),
    }
}
