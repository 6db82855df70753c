//! Adapters: what reaches outside.

pub mod aws;
pub mod clock;
pub mod dns;
pub mod jwks;
pub mod no_history;
pub mod postgres;
pub mod probe;
pub mod webhook;
