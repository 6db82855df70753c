//! From a request to a decision: the one place where the API asks the domain for a move.

use failoverd_domain::fleet::{Actor, Decision, Trigger};
use failoverd_domain::ids::Region;
use failoverd_domain::plan::Mode;

use super::error::ApiError;
use super::pending::{FailoverRequest, propose_failover};
use super::snapshot::Snapshot;

/// What a person asks for.
pub struct Asked {
    /// Service.
    pub service: String,
    /// Where to.
    pub to: Option<String>,
    /// How.
    pub mode: Option<Mode>,
    /// Why.
    pub reason: String,
    /// Refuse unless the plan has this hash.
    pub plan_hash: Option<String>,
}

/// The decision that would open the run.
///
/// # Errors
/// Unknown names, plans that may never run, guards that block.
pub fn decide(at: &Snapshot, asked: Asked, actor: Actor) -> Result<Decision, ApiError> {
    propose(at, asked, actor, Trigger::Operator, false)
}

/// The same, as a look: what guards say is part of the answer.
///
/// # Errors
/// Unknown names, plans that may never run.
pub fn preview(at: &Snapshot, asked: Asked, actor: Actor, trigger: Trigger) -> Result<Decision, ApiError> {
    propose(at, asked, actor, trigger, true)
}

fn propose(at: &Snapshot, asked: Asked, actor: Actor, trigger: Trigger, preview: bool) -> Result<Decision, ApiError> {
    at.service(&asked.service)?;
    let request = FailoverRequest {
        service: asked.service.into(),
        to: asked.to.filter(|to| !to.is_empty()).map(Region::from),
        mode: asked.mode,
        trigger,
        actor,
        reason: asked.reason,
        plan_hash: asked.plan_hash.filter(|hash| !hash.is_empty()),
        preview,
    };
    Ok(propose_failover(at.now, &at.state, &at.matrix, &at.view, &request)?)
}
