//! A simulated AWS, on a virtual or real clock.

pub mod bus;
pub mod dns;
pub mod fleet;
pub mod history;
pub mod ports;
pub mod tripwire;
pub mod wire;
pub mod world;
