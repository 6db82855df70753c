//! From a request to a decision: the one place where the API asks the domain for a move.

use failoverd_domain::fleet::{Actor, Decision, FailoverRequest, Outlook, Trigger, outlook, propose_failover};
use failoverd_domain::ids::Region;
use failoverd_domain::plan::{Mode, Movement};

use super::error::ApiError;
use super::snapshot::Snapshot;

/// What a person asks for.
#[derive(Default)]
pub struct Asked {
    /// Service.
    pub service: String,
    /// What kind of move.
    pub movement: Movement,
    /// Which Region is left, for an evacuation.
    pub from: Option<String>,
    /// Where to; the only other Region when absent.
    pub to: Option<String>,
    /// How; the domain chooses when absent.
    pub mode: Option<Mode>,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Refuse unless the plan has this hash.
    pub plan_hash: Option<String>,
}

impl Asked {
    fn by(self, actor: Actor, trigger: Trigger) -> FailoverRequest {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        FailoverRequest {
            service: self.service.into(),
            movement: self.movement,
            from: given(self.from).map(Region::from),
            to: given(self.to).map(Region::from),
            mode: self.mode,
            trigger,
            actor,
            reason: given(self.reason),
            plan_hash: given(self.plan_hash),
            drill: None,
        }
    }
}

/// The decision that would open the run.
///
/// # Errors
/// Unknown names, plans that may never run, guards that block.
pub fn decide(at: &Snapshot, asked: Asked, actor: Actor) -> Result<Decision, ApiError> {
    let request = asked.by(actor, Trigger::Operator);
    Ok(propose_failover(at.now, &at.state, &at.matrix, &at.view, &request)?)
}

/// The same, as a look: what guards say is part of the answer.
///
/// # Errors
/// Unknown names, and moves that cannot be planned.
pub fn preview(at: &Snapshot, asked: Asked, actor: Actor, trigger: Trigger) -> Result<Outlook, ApiError> {
    let request = asked.by(actor, trigger);
    Ok(outlook(at.now, &at.state, &at.matrix, &at.view, &request)?)
}
