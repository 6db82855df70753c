//! A whole fleet in one process: three daemons, a simulated AWS, small service endpoints, a name server and a real
//! Postgres, all on loopback. The daemons are the same as everywhere; only what they stand on is simulated.

mod addresses;
mod control;
pub mod demo;
mod door;
mod endpoints;
mod fleet;
mod network;
pub mod postgres;
mod scratch;
mod stopwatch;
mod world;

pub use addresses::{Addresses, DEFAULT_PORT_BASE};
pub use control::{ControlError, Word, ask_running, serve_control, stop_asked};
pub use fleet::{Database, REGIONS, Sandbox, SandboxError, Settings, WITNESS};
