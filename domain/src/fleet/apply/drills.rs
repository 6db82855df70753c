//! Drills from opening to verdict.

use super::{Context, Outcome, Rejection};
use crate::drill::{Advance, Curves, DrillPhase, DrillSpec};
use crate::fleet::state::FleetState;
use crate::ids::{DrillName, DrillRunId, RunId, ServiceName};
use crate::time::Timestamp;

fn not_yet() -> Rejection {
    Rejection::new("NOT_SUPPORTED", "not yet")
}

impl FleetState {
    pub(super) fn take_drills(&mut self, _context: &mut Context<'_>, _drills: &[DrillSpec], _prune: bool) -> Outcome {
        Ok(None)
    }
    pub(super) fn delete_drill(&mut self, _context: &mut Context<'_>, _drill: &DrillName) -> Outcome {
        Err(not_yet())
    }
    pub(super) fn open_drill(
        &mut self,
        _context: &mut Context<'_>,
        _drill: &DrillName,
        _scheduled_for: Option<Timestamp>,
    ) -> Outcome {
        Err(not_yet())
    }
    pub(super) fn miss_drill(
        &mut self,
        _context: &mut Context<'_>,
        _drill: &DrillName,
        _scheduled_for: Timestamp,
        _openings: u64,
        _reason: &str,
    ) -> Outcome {
        Err(not_yet())
    }
    pub(super) fn approve_drill(&mut self, _context: &mut Context<'_>, _run: &DrillRunId) -> Outcome {
        Err(not_yet())
    }
    pub(super) fn cancel_drill(&mut self, _context: &mut Context<'_>, _run: &DrillRunId, _reason: &str) -> Outcome {
        Err(not_yet())
    }
    pub(super) fn advance_drill(
        &mut self,
        _context: &mut Context<'_>,
        _run: &DrillRunId,
        _phase: DrillPhase,
        _advance: &Advance,
    ) -> Outcome {
        Err(not_yet())
    }
    pub(super) fn ask_return(&mut self, _context: &mut Context<'_>, _service: &ServiceName, _reason: &str) -> Outcome {
        Err(not_yet())
    }
    pub(super) fn forget_return(&mut self, _context: &mut Context<'_>, _service: &ServiceName) -> Outcome {
        Err(not_yet())
    }
    pub(super) fn record(&mut self, _context: &mut Context<'_>, _run: &RunId, _curves: &Curves) -> Outcome {
        Err(not_yet())
    }
    pub(super) fn note_told(&mut self, _hook: &str, _seq: u64) -> Outcome {
        Err(not_yet())
    }
}
