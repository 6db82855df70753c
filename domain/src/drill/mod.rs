//! Drills (GameDays): a move, or a simulation of one, on purpose: with a hypothesis, guardrails, a return and a record.

mod course;
mod curves;
mod judge;
mod licence;
mod recorder;
mod run;
mod schedule;
mod spec;
mod steady;
mod streaks;
mod tick;

pub use course::{Course, course};
pub use curves::{Curve, Curves, ThroughSeen};
pub use judge::{Judged, Objectives, judge_drill};
pub use licence::{LicenceStanding, fingerprint, licence_of};
pub use recorder::{RECORDED_AFTER_MS, Recorder, THROUGH, to_record};
pub use run::{
    Advance, Approval, DrillPhase, DrillRun, DrillState, DrillVerdict, Ending, Measured, RETURNS_TRIED, SteadyCheck,
    When,
};
pub use schedule::{blackout_on, check_date, newest_opening, next_opening};
pub use spec::{Blackout, ComesBack, DrillKind, DrillSpec, Guardrail, Schedule};
pub use steady::{Sight, Way, request};
pub use tick::{MOVES_MS, next_start, tick_drills};
