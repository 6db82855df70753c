//! From (service, from, to, mode) to a plan.

use super::step::{Mode, Plan};
use crate::ids::{LogIndex, Region};
use crate::service::ServiceSpec;

/// What to plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRequest<'a> {
    /// Service.
    pub spec: &'a ServiceSpec,
    /// Its manifest's position in the log.
    pub spec_index: LogIndex,
    /// Region that serves now.
    pub from: &'a Region,
    /// Region that will.
    pub to: &'a Region,
    /// Graceful or forced.
    pub mode: Mode,
}

/// Makes the plan. Pure: the same request gives the same plan, and so the same hash, on every daemon.
#[must_use]
pub fn plan(_request: &PlanRequest<'_>) -> Plan {
    todo!()
}
