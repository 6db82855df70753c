//! `FleetState::apply`: deterministic and total.

use super::command::Entry;
use super::event::HistoryEvent;
use super::state::FleetState;
use crate::ids::{LogIndex, RunId};

/// What came of an entry.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Applied {
    /// Its position.
    pub index: LogIndex,
    /// Events for the history; a refused entry has none.
    pub events: Vec<HistoryEvent>,
    /// Accepted (with the run it made, if any), or why not.
    pub result: Result<Option<RunId>, Rejection>,
}

/// Why an entry changed nothing. Committed all the same: everybody refuses it alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{reason}")]
pub struct Rejection {
    /// Stable word for scripts, for example `RUN_OPEN`, `STALE_EPOCH`.
    pub code: String,
    /// One sentence for people.
    pub reason: String,
}

impl FleetState {
    /// Applies the entry at `index`.
    pub fn apply(&mut self, _index: LogIndex, _entry: &Entry) -> Applied {
        todo!()
    }
}
