//! How the outside talks to a daemon: gRPC services, the switch listener and the ops listener.
//!
//! Knows the domain and handles ([`Handles`]); never a concrete adapter. Reads are answered by whichever daemon is
//! asked, from what it has applied; changes go to the leader with the caller's identity.

pub mod accept;
pub mod access;
mod apply;
mod backup;
mod control;
pub mod convert;
mod counted;
mod drills;
pub mod error;
mod eta;
mod explain;
mod failover;
mod fleet;
mod glass;
mod handles;
mod iam;
pub mod ops;
pub mod peer;
pub mod peer_client;
pub mod proto;
mod reception;
mod report;
mod review;
mod serve;
mod sizes;
mod snapshot;
mod status;
pub mod switch;
pub mod tls;
pub mod transport;
mod watch;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod tests;

pub use control::ControlApi;
pub use handles::Handles;
pub use peer::RaftEndpoint;
pub use peer_client::GrpcPeers;
pub use serve::{Secured, ServeError, serve};
pub use snapshot::Snapshot;
pub use status::StatusApi;
pub use switch::{SwitchLimits, SwitchSettings};
pub use tls::{CallerPem, Callers, LiveSwitch, LiveTls, TlsPem};
