//! What failoverd asks of AWS, as IAM sees it: one table of operations, and what follows from it for what is applied.
//!
//! The policy that `failoverctl iam-policy` prints and the readiness check `permissions` are both made from this table.

mod operations;
mod policy;

pub use operations::{OPERATIONS, Operation, Resource};
pub use policy::{Account, Grant, grants, policy};

#[cfg(test)]
mod tests;
