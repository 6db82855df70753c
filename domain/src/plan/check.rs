//! A linter over plans: what may never run is refused before a run exists.

use super::step::Plan;
use crate::service::ServiceSpec;

/// Why a plan may not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {reason}")]
pub struct PlanProblem {
    /// `I4`, `I5` or a name of its own.
    pub invariant: &'static str,
    /// One sentence for the person who asked.
    pub reason: String,
}

/// Every reason why `plan` may not run for `spec`.
#[must_use]
pub fn check_plan(_plan: &Plan, _spec: &ServiceSpec) -> Vec<PlanProblem> {
    todo!()
}
