//! The controller: what the leader should propose now.

use super::command::Command;
use super::state::FleetState;
use crate::health::{Matrix, View};
use crate::time::Timestamp;

/// A command that the leader should propose.
pub type Proposal = Command;

/// What to propose now, given what is agreed and what is seen. Pure; the caller is the leader.
#[must_use]
pub fn tick(_now: Timestamp, _state: &FleetState, _matrix: &Matrix, _view: &View) -> Vec<Proposal> {
    todo!()
}
