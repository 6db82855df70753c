//! Plans: an immutable DAG of steps that leaves the executor no choices.

mod check;
mod planner;
mod step;
#[cfg(test)]
mod tests;

pub use check::{PlanProblem, check_plan};
pub use planner::{PlanRequest, plan};
pub use step::{Fencing, Mode, Movement, Plan, Plane, Step, StepKind, Undo};
