//! What a simulation copies: the service as applied, the fleet, and what is seen of them now.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use failoverd_domain::drill::DrillRun;
use failoverd_domain::fleet::{Role, ServiceState};
use failoverd_domain::health::{ReplicaReadiness, Status};
use failoverd_domain::ids::{Region, StoreName};
use failoverd_domain::plan::Movement;
use failoverd_domain::service::{Pattern, ServiceSpec};
use failoverd_domain::time::Timestamp;

use crate::ports::Observed;
use crate::runtime::Timing;

/// A service, its fleet, and what is wrong with them now.
pub(super) struct Copied {
    /// The Region that is left comes first where only one serves: the simulated AWS has the writers in the first.
    pub(super) spec: ServiceSpec,
    /// The Region that will be lost.
    pub(super) home: Region,
    pub(super) away: Region,
    pub(super) movement: Movement,
    pub(super) members: BTreeMap<Region, Role>,
    /// Daemons that are not heard now.
    pub(super) silent: Vec<Region>,
    /// Regions of the service that do not serve now though they could: they were evacuated.
    pub(super) evacuated: Vec<Region>,
    /// Signals that are bad now: Region, and what is asked there.
    pub(super) bad: Vec<(Region, String)>,
    /// How far copies are behind now, milliseconds.
    pub(super) lags: Vec<(Region, StoreName, u64)>,
    /// What was seen, and what the copy leaves out, for people.
    pub(super) told: Vec<String>,
    pub(super) now: Timestamp,
    pub(super) timing: Timing,
    pub(super) seed: u64,
}

impl Copied {
    /// # Errors
    /// Why there is nothing to simulate: the service is gone, or could certainly not move now.
    pub(super) fn of(drill: &DrillRun, observed: &Observed, timing: &Timing) -> Result<Self, String> {
        let state = &observed.state;
        let name = &drill.spec.service;
        let service = state.services.get(name).ok_or_else(|| format!("there is no service {name} any more"))?;
        let (home, away) = (drill.home.clone(), drill.away.clone());
        copies_can_take_over(service, &home, &away, observed)?;
        let serving: Vec<Region> = state.serving(service).into_iter().cloned().collect();
        let is_spread = service.spec.pattern == Pattern::ActiveActive;
        let regions = service.spec.regions.iter().filter(|region| is_spread && !serving.contains(region));
        let evacuated = regions.cloned().collect();
        let members = state.members.iter().map(|(region, member)| (region.clone(), member.role)).collect();
        let silent = state.members.keys().filter(|region| is_silent(observed, region)).cloned().collect();
        let mut hasher = DefaultHasher::new();
        drill.id.hash(&mut hasher);
        let mut copied = Self {
            spec: ServiceSpec::clone(&service.spec),
            home,
            away,
            movement: drill.movement,
            members,
            silent,
            evacuated,
            bad: Vec::new(),
            lags: Vec::new(),
            told: Vec::new(),
            now: observed.now,
            timing: timing.clone(),
            seed: hasher.finish(),
        };
        copied.look(observed);
        copied.leave_out(&service.primary);
        Ok(copied)
    }

    fn tell(&mut self, what: String) {
        self.told.push(what);
    }

    /// What is seen now.
    fn look(&mut self, observed: &Observed) {
        let spec = self.spec.clone();
        for region in self.silent.clone() {
            self.tell(format!("now: the daemon in {region} is not heard"));
        }
        for region in self.evacuated.clone() {
            self.tell(format!("now: {region} does not serve"));
        }
        for region in &spec.regions {
            for signal in &spec.health.signals {
                let readings = spec_readings(observed, &spec, region, &signal.name);
                let bad = readings.iter().filter(|status| **status == Status::Bad).count();
                let good = readings.iter().filter(|status| **status == Status::Good).count();
                if bad > good {
                    self.tell(format!("now: {} is bad in {region}, as {bad} of {} see it", signal.name, bad + good));
                    self.bad.push((region.clone(), signal.probe.target_in(region)));
                }
            }
            for store in &spec.data {
                let seen = observed.matrix.store(&spec.name, &store.name, region);
                let lag = seen.iter().find_map(|(_, reading)| reading.lag_ms);
                if let Some((lag_ms, _)) = lag.filter(|_| *region != self.home) {
                    self.tell(format!("now: {} in {region} is {lag_ms} ms behind", store.name));
                    self.lags.push((region.clone(), store.name.clone(), lag_ms));
                }
            }
        }
    }

    /// What the copy has no use for.
    fn leave_out(&mut self, primary: &Region) {
        self.spec.regions.sort_by_key(|region| region != primary);
        let policy = &mut self.spec.policy;
        policy.freeze.clear();
        if let Some(within_ms) = policy.require_drill_within_ms.take() {
            let days = within_ms / 86_400_000;
            self.tell(format!("left out: that a drill must have been passed within {days} days"));
        }
        if let Some(lead) = self.spec.follows.take() {
            self.tell(format!("left out: {lead}, which must have moved first"));
        }
    }
}

fn is_silent(observed: &Observed, region: &Region) -> bool {
    observed.matrix.fresh(observed.now, region, observed.view.stale_after_ms).is_none()
}

/// What daemons that count say of a signal.
fn spec_readings(
    observed: &Observed,
    spec: &ServiceSpec,
    region: &Region,
    signal: &failoverd_domain::ids::SignalName,
) -> Vec<Status> {
    let counting = observed.view.members.iter();
    let counting = counting.filter(|who| observed.matrix.counting(observed.now, &observed.view, who).is_some());
    let seen = counting.filter_map(|who| observed.matrix.signal(who, &spec.name, region, signal));
    seen.map(|(_, reading)| reading.status).collect()
}

/// A copy that AWS itself calls unfit now would be made whole by being made anew.
fn copies_can_take_over(
    service: &ServiceState,
    home: &Region,
    away: &Region,
    observed: &Observed,
) -> Result<(), String> {
    for store in service.spec.data.iter().filter(|_| home == &service.primary) {
        let seen = observed.matrix.store(&service.spec.name, &store.name, away);
        let newest = seen.iter().map(|(_, reading)| &reading.readiness);
        let newest = newest.into_iter().find(|readiness| !matches!(readiness, ReplicaReadiness::Unknown(_)));
        if let Some(ReplicaReadiness::NotReady(reason)) = newest {
            return Err(format!("the copy of {} in {away} could not take over now: {reason}", store.name));
        }
    }
    Ok(())
}
