//! Adapters: what reaches outside.

pub mod dns;
pub mod postgres;
pub mod probe;
