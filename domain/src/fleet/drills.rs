//! What drills mean for services: which is open, where home is, what was passed.

use super::run::Run;
use super::state::{FleetState, Licence, ServiceState};
use crate::drill::DrillRun;
use crate::ids::{DrillRunId, Region, ServiceName};
use crate::service::Pattern;
use crate::time::Timestamp;

/// Licences kept for each service: of every direction the newest.
const LICENCES_KEPT: usize = 32;

/// What each step took last: enough for a 95th percentile.
const DURATIONS_KEPT: usize = 40;

impl FleetState {
    /// The open execution of a drill of a service, or of the one that it moves with: there is at most one.
    #[must_use]
    pub fn open_drill_of(&self, service: &ServiceName) -> Option<&DrillRun> {
        let lead = self.services.get(service).and_then(|service| self.moves_with(&service.spec));
        let moved = lead.unwrap_or(service);
        self.drill_runs.values().find(|run| &run.spec.service == moved && !run.is_closed())
    }

    /// Whether an open execution of a drill still counts on a run.
    pub(super) fn is_of_open_drill(&self, run: &Run) -> bool {
        let drill = run.drill.as_ref().and_then(|drill| self.drill_runs.get(drill));
        drill.is_some_and(|drill| !drill.is_closed())
    }

    /// Whether a run brings a service back from a drill.
    #[must_use]
    pub fn is_way_back(&self, run: &Run) -> bool {
        let drill = run.drill.as_ref().and_then(|drill| self.drill_runs.get(drill));
        drill.is_some_and(|drill| drill.back.as_ref() == Some(&run.id))
    }

    /// The first Region of the manifest that ought to serve and does not.
    #[must_use]
    pub fn first_away<'a>(&self, service: &'a ServiceState) -> Option<&'a Region> {
        let serving = self.serving(service);
        match service.spec.pattern {
            Pattern::ActivePassive => service.spec.regions.first().filter(|home| !serving.contains(home)),
            Pattern::ActiveActive => service.spec.regions.iter().find(|region| !serving.contains(region)),
        }
    }

    /// Whether every Region that ought to serve does.
    #[must_use]
    pub fn is_at_home(&self, service: &ServiceState) -> bool {
        self.first_away(service).is_none()
    }
}

impl ServiceState {
    /// What steps took, for forecasts.
    pub(super) fn note_durations(&mut self, took: Vec<(String, u64)>) {
        for (step, ms) in took {
            let held = self.durations.entry(step).or_default();
            held.push_back(ms);
            let surplus = held.len().saturating_sub(DURATIONS_KEPT);
            held.drain(..surplus);
        }
    }

    /// A drill was passed: of each direction the newest counts.
    pub(super) fn take_licences(&mut self, at: Timestamp, drill: &DrillRunId, ways: Vec<(Region, Region, String)>) {
        for (from, to, fingerprint) in ways {
            self.licences.retain(|held| (&held.from, &held.to) != (&from, &to) || held.fingerprint != fingerprint);
            self.licences.push(Licence { drill: drill.clone(), at, from, to, fingerprint });
        }
        let surplus = self.licences.len().saturating_sub(LICENCES_KEPT);
        self.licences.drain(..surplus);
    }
}
