//! A whole fleet in one thread: three real daemons (runtime and consensus as they ship) on the simulated AWS, an
//! in-memory network and disks that survive crashes, on tokio's paused time.
//!
//! Everything follows from a seed. This is the one place in `sim` that knows `runtime` and `consensus`: it composes
//! daemons as `daemon.rs` does, with simulated parts. It judges by `domain::invariant` and by what a user would see,
//! never by the code under test.

mod answers;
mod chaos;
mod checkers;
mod daemon;
mod effects;
mod faults;
mod figures;
mod ground;
mod instances;
mod judge;
mod manifest;
mod pace;
mod pacing;
mod person;
mod proof;
mod rehearsal;
mod resizing;
mod restore;
mod settled;
mod simulation;
mod spread;
mod watched;
mod whole;

pub use chaos::{Chaos, Tempo};
pub use daemon::{Daemon, Home, MachineClock, Surroundings};
pub use effects::{effect_seen, marks};
pub use faults::Fault;
pub use figures::Figures;
pub use ground::{Ground, Said};
pub use judge::Judge;
pub use manifest::{Shop, Spread};
pub use rehearsal::SimulatedRehearsals;
pub use simulation::{Outcome, Trial, simulate, simulate_on};
pub use whole::{BEGINNING, EU_WEST, REGIONS, SERVICE, SPREAD, SimulatedFleet, US_EAST, US_WEST, region};
