//! Data stores as AWS describes them, and what can be said about loss.

pub mod additions;
pub mod loss;
mod sentence;
pub mod store;
