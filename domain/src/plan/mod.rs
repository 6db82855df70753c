//! Plans: an immutable DAG of steps that leaves the executor no choices.

mod check;
mod planner;
mod step;

pub use check::{PlanProblem, check_plan};
pub use planner::{PlanRequest, plan};
pub use step::{Fencing, Mode, Plan, Plane, Step, StepKind, Undo};
