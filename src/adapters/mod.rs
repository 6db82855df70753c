//! Adapters: what reaches outside.

pub mod absent;
pub mod clock;
pub mod dns;
pub mod no_history;
pub mod postgres;
pub mod probe;
