//! Everything as it is at one instant, so that one answer does not mix two.

use std::collections::BTreeMap;
use std::sync::Arc;

use failoverd_domain::drill::{DrillRun, DrillState};
use failoverd_domain::fleet::{FleetState, Run, ServiceState};
use failoverd_domain::health::{Finding, Matrix, View, diagnose};
use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;

use super::convert::time;
use super::error::ApiError;
use super::proto;
use crate::ports::Leadership;

/// What one daemon knows at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The instant.
    pub now: Timestamp,
    /// The daemon.
    pub me: Region,
    /// What is agreed and applied here.
    pub state: Arc<FleetState>,
    /// Who leads.
    pub leadership: Leadership,
    /// What is seen.
    pub matrix: Arc<Matrix>,
    /// By which limits.
    pub view: View,
}

impl Snapshot {
    /// The line that every answer carries.
    #[must_use]
    pub fn answered(&self) -> proto::Answered {
        proto::Answered {
            region: self.me.to_string(),
            revision: self.state.applied.0,
            at: Some(time(self.now)),
            caught_up: self.leadership.caught_up,
            leader: self.leadership.leader.as_ref().map(ToString::to_string),
        }
    }

    /// The service of that name.
    ///
    /// # Errors
    /// `NO_SUCH_SERVICE`.
    pub fn service(&self, name: &str) -> Result<&ServiceState, ApiError> {
        self.state.services.get(name).ok_or_else(|| ApiError::unknown_service(name))
    }

    /// The run with that id.
    ///
    /// # Errors
    /// `NO_SUCH_RUN`.
    pub fn run(&self, id: &str) -> Result<&Run, ApiError> {
        self.state.runs.get(id).ok_or_else(|| ApiError::unknown_run(id))
    }

    /// The drill of that name.
    ///
    /// # Errors
    /// `NO_SUCH_DRILL`.
    pub fn drill(&self, name: &str) -> Result<&DrillState, ApiError> {
        self.state.drills.get(name).ok_or_else(|| ApiError::unknown_drill(name))
    }

    /// The execution with that id.
    ///
    /// # Errors
    /// `NO_SUCH_DRILL_RUN`.
    pub fn drill_run(&self, id: &str) -> Result<&DrillRun, ApiError> {
        self.state.drill_runs.get(id).ok_or_else(|| ApiError::unknown_drill_run(id))
    }

    /// What the readings mean for a service in each of its Regions.
    #[must_use]
    pub fn findings(&self, service: &ServiceState) -> BTreeMap<Region, Finding> {
        let judge = |region: &Region| diagnose(self.now, &self.view, &service.spec, region, &self.matrix);
        service.spec.regions.iter().map(|region| (region.clone(), judge(region))).collect()
    }
}
