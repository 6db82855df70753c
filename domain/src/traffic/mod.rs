//! The vote of the switches, the record fence, desired records and checks, and what settlement has to write.

mod desired;
mod endpoint;
mod mark;
mod naming;
mod records;
mod resolve;
mod settle;
mod switch_checks;
#[cfg(test)]
mod tests;
mod vote;

pub use desired::{DesireProblem, Desired, DesiredCheck, DesiredKind, DesiredRecord, Inputs, SwitchEndpoint, desired};
pub use mark::{FenceMark, MarkError};
pub use naming::{canary_name, fence_name, internal_name, switch_path};
pub use settle::{SettleAction, settle};
pub use vote::{Tie, pair, weight};
