//! Drills (GameDays): a move, or a simulation of one, on purpose: with a hypothesis, guardrails, a return and a record.

mod curves;
mod recorder;
mod run;
mod spec;
mod streaks;

pub use curves::{Curve, Curves, ThroughSeen};
pub use recorder::{RECORDED_AFTER_MS, Recorder, THROUGH, to_record};
pub use run::{Advance, Approval, DrillPhase, DrillRun, DrillState, DrillVerdict, Ending, Measured, SteadyCheck, When};
pub use spec::{Blackout, ComesBack, DrillKind, DrillSpec, Guardrail, Schedule};
