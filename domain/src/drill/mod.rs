//! Drills (GameDays): a move, or a simulation of one, on purpose: with a hypothesis, guardrails, a return and a record.

mod curves;
mod licence;
mod run;
mod schedule;
mod spec;

pub use curves::{Curve, Curves, ThroughSeen};
pub use licence::{LicenceStanding, fingerprint, licence_of};
pub use run::{Advance, Approval, DrillPhase, DrillRun, DrillState, DrillVerdict, Ending, Measured, SteadyCheck, When};
pub use schedule::{blackout_on, check_date, next_opening};
pub use spec::{Blackout, ComesBack, DrillKind, DrillSpec, Guardrail, Schedule};
