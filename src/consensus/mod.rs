//! Agreement between the daemons: openraft over bytes, its log and the outbox in redb.
//!
//! [`Consensus`] is the handle: it implements [`crate::ports::Agreement`], hands out the [`crate::ports::Outbox`]
//! and serves the other daemons' messages. Nothing here decides what an entry means (that is
//! `FleetState::apply`), reads a clock, or knows how bytes travel. Nothing may be promised to another daemon
//! before it is on the disk.
//!
//! openraft reports every unreachable peer as an error, several lines each: filter its target (`openraft=off`).

mod agreement;
mod clockwork;
mod config;
mod disk;
mod handle;
mod hearing;
mod identity;
mod inbox;
mod joining;
mod leadership;
mod leaving;
mod members;
mod memory_disk;
mod message;
mod network;
mod promises;
mod recovery;
mod restore;
mod sense;
mod step_aside;
mod store;
mod types;

pub use clockwork::{ElectionRng, SeededElections, seed_elections};
pub use config::{ConsensusConfig, StartError};
pub use disk::{Disk, FILE_NAME, OpenError};
pub use handle::{Consensus, FleetMetrics, OnApplied};
pub use identity::Identity;
pub use memory_disk::MemoryDisk;
pub use message::HandleError;
pub use recovery::{Left, RecoverError, Recovered, Recovery};
pub use restore::restore;
pub use types::node_id;

#[cfg(test)]
pub(crate) mod tests;
