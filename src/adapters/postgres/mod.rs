//! History in Postgres.
//!
//! Holds one fleet's events in one Region's database, once each and in order. It must never be needed for a
//! failover: a database that is away is an answer (`HistoryError::Away`), not a reason to stop.
//! PostgreSQL 12 or newer (stored generated columns).

mod canary;
mod connection;
mod failure;
mod history;
mod provision;
mod retention;
mod schema;
mod verify;

pub use canary::CanaryRows;
pub use connection::{DatabaseUrl, InvalidDatabaseUrl, Limits};
pub use history::PostgresHistory;
pub use provision::create_database;
