//! Shapes of domain functions that the services are written against, until they stand in the domain.
//!
//! Everything here is to be replaced by a `pub use` of the domain's own; nothing else in `api` changes then.

use std::collections::BTreeMap;
use std::fmt;

use failoverd_domain::fleet::{Actor, Decision, FleetState, Rejection, Role, Trigger};
use failoverd_domain::health::{Matrix, View};
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::plan::Mode;
use failoverd_domain::service::ServiceSpec;
use failoverd_domain::time::Timestamp;

/// A move that somebody asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct FailoverRequest {
    /// Service.
    pub service: ServiceName,
    /// Where to; the only other Region when absent.
    pub to: Option<Region>,
    /// How; graceful while the serving Region answers when absent.
    pub mode: Option<Mode>,
    /// Who or what asks.
    pub trigger: Trigger,
    /// Who, by name.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// Refuse unless the plan has this hash.
    pub plan_hash: Option<String>,
    /// Only a look: guards that say no are reported in the decision instead of refusing it.
    pub preview: bool,
}

/// The decision that would open the run asked for.
///
/// # Errors
/// Unknown names, plans that may never run, and guards that block (unless it is only a look).
pub fn propose_failover(
    _now: Timestamp,
    _state: &FleetState,
    _matrix: &Matrix,
    _view: &View,
    _request: &FailoverRequest,
) -> Result<Decision, Rejection> {
    Err(Rejection { code: "NOT_WIRED".to_owned(), reason: "the planner is not wired to the API".to_owned() })
}

/// What would happen to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForecastOutcome {
    /// It would fail over by itself.
    FailsOver,
    /// It would ask for approval.
    AsksApproval,
    /// It would not move.
    Stays,
    /// It does not serve from there.
    Unaffected,
}

/// What would happen to a service, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Service.
    pub service: ServiceName,
    /// What.
    pub outcome: ForecastOutcome,
    /// Why, in one sentence.
    pub reason: String,
}

/// What would happen to each service if `region` vanished now.
#[must_use]
pub fn what_if_region_vanishes(
    _now: Timestamp,
    _state: &FleetState,
    _matrix: &Matrix,
    _view: &View,
    _region: &Region,
) -> Vec<Forecast> {
    Vec::new()
}

/// A problem of a manifest, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads manifests.
///
/// # Errors
/// Every problem of the file.
pub fn read_manifests(
    file: &str,
    _text: &[u8],
    _fleet_regions: &BTreeMap<Region, Role>,
) -> Result<Vec<ServiceSpec>, Vec<Problem>> {
    Err(vec![Problem(format!("{file}: the manifest reader is not wired to the API"))])
}
