//! Route 53 as documented: records, health checks, and which answer follows from them.

mod answer;
mod check;
mod record;

pub use answer::{Answer, Considered, Place, Query, answer};
pub use check::{CheckKind, EndpointCheck, HealthCheck, HealthCheckConfig, Protocol, calculated_is_healthy};
pub use record::{AliasTarget, Change, Location, Policy, RecordSet, RecordType};
