//! Reports: what a run or a drill did, told from its history events alone. Any member can, and of any old run.
//!
//! Nothing here is estimated or remembered elsewhere: what no event says is absent, and the report says that it is.

mod at;
mod build;
mod drill;
mod earlier;
mod journal;
mod loss;
mod model;
mod reading;
mod record;
mod run;
mod surprises;
mod words;

#[cfg(test)]
mod tests;

pub use at::At;
pub use build::{ReportError, report_of_drill, report_of_run};
pub use model::{
    ActorSeen, ApprovalSeen, AttemptSeen, CurvesSeen, DrillPart, Earlier, GuardSeen, GuardrailSeen, Kind, Objectives,
    PartSeen, PhaseSeen, Record, Report, Rto, RunPart, StepPart, StoreLoss, Surprise, Told, Users, Within,
};
pub use words::duration;
