//! History in Postgres.
