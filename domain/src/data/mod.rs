//! Data stores as AWS describes them, and what can be said about loss.

pub mod loss;
pub mod store;
