//! A simulated AWS, on a virtual or real clock.

pub mod dns;
pub mod history;
pub mod ports;
pub mod world;
