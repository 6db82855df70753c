//! sandbox

pub mod postgres;
