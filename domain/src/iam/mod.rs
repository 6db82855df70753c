//! What failoverd needs to be allowed in AWS, and not more.
//!
//! One table ([`OPERATIONS`]) says for each call of the adapters which IAM actions it needs, and on what. From it both the
//! policy that people attach ([`policy`]) and the actions that readiness has simulated ([`needs`]) are made, so that they
//! cannot differ. A test compares it with the calls that the adapters really make.

mod policy;
mod resources;
mod table;
#[cfg(test)]
mod tests;

pub use policy::{needs, policy};
pub use resources::{Place, Subject};
pub use table::{Form, Grant, OPERATIONS, Operation};
