//! Route 53 as documented: records, health checks, and which answer follows from them.

mod answer;
mod check;
mod choose;
mod places;
mod record;
mod text;
mod together;
mod tree;

#[cfg(test)]
mod answer_tests;

pub use answer::{ALIAS_TTL_S, Answer, Considered, Place, Query, answer, answers};
pub use check::{AlarmRule, CheckKind, EndpointCheck, HealthCheck, HealthCheckConfig, Protocol, calculated_is_healthy};
pub use places::{Origin, origins};
pub use record::{AliasTarget, Change, Location, Policy, RecordSet, RecordType};
pub use text::{escaped_name, plain_name, plain_text, quoted_text};
pub use together::{MOST_OF_ONE_NAME, Node, Together};
