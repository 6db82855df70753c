//! Canary rows in a service's own database: one small table, one row a store, its version only ever rising.

use std::collections::BTreeMap;
use std::time::Duration;

use failoverd_domain::ids::Region;
use sqlx::Row;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::connection::options_of;
use crate::ports::{Call, CallError, Effect};

/// A canary is written once a second: what takes longer than this is not there.
const WHOLE: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(1);
const CONNECTIONS: u32 = 2;

const MAKE: &str = "CREATE TABLE IF NOT EXISTS failoverd_canary \
    (key text PRIMARY KEY, version bigint NOT NULL, at timestamptz NOT NULL DEFAULT now())";
const WRITE: &str = "INSERT INTO failoverd_canary (key, version) VALUES ($1, $2) ON CONFLICT (key) \
    DO UPDATE SET version = excluded.version, at = now() WHERE failoverd_canary.version < excluded.version";
const READ: &str = "SELECT version FROM failoverd_canary WHERE key = $1";
/// `undefined_table`.
const NO_TABLE: &str = "42P01";

/// Connections to the databases of services, made when first needed.
#[derive(Debug, Default)]
pub struct CanaryRows {
    pools: Mutex<BTreeMap<String, PgPool>>,
}

/// A statement, before it is sent.
#[derive(Clone, Copy)]
struct Statement<'a> {
    operation: &'static str,
    region: &'a Region,
    mutates: bool,
}

impl Statement<'_> {
    fn error(self, code: &str, message: impl Into<String>, effect: Effect) -> CallError {
        CallError {
            service: "database",
            operation: self.operation,
            region: self.region.clone(),
            code: code.to_owned(),
            message: message.into(),
            effect,
        }
    }

    /// What came back instead of an answer. The server's own words may hold no password; the driver's about the
    /// address might, and are not repeated.
    fn failed(self, error: &sqlx::Error) -> CallError {
        match error {
            sqlx::Error::Database(said) => {
                self.error(said.code().as_deref().unwrap_or("Database"), said.message(), Effect::None)
            }
            sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => {
                self.error("Unreachable", "no connection in time", Effect::NoneRetryable)
            }
            sqlx::Error::Io(error) => self.error("Unreachable", error.to_string(), self.lost()),
            _ => self.error("Database", "the connection broke off", self.lost()),
        }
    }

    const fn lost(self) -> Effect {
        if self.mutates { Effect::Unknown } else { Effect::NoneRetryable }
    }
}

impl CanaryRows {
    async fn pool(&self, of: Statement<'_>, dsn: &str) -> Call<PgPool> {
        if !(dsn.starts_with("postgres://") || dsn.starts_with("postgresql://")) {
            let why = "the DSN is no postgres:// URL: canary rows are kept in PostgreSQL only";
            return Err(of.error("NotConfigured", why, Effect::None));
        }
        let mut pools = self.pools.lock().await;
        if let Some(pool) = pools.get(dsn) {
            return Ok(pool.clone());
        }
        let options = options_of(dsn).map_err(|_| {
            of.error("NotConfigured", "the DSN cannot be read: write postgres://user@host/database", Effect::None)
        })?;
        let options = options.application_name("failoverd-canary").options([("statement_timeout", "1500")]);
        let pool =
            PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(CONNECT).connect_lazy_with(options);
        pools.insert(dsn.to_owned(), pool.clone());
        Ok(pool)
    }

    /// Writes `version` unless a newer one is there; makes the table where there is none.
    ///
    /// # Errors
    /// A database that takes no writes says so with SQLSTATE `25006`.
    pub async fn write(&self, region: &Region, dsn: &str, key: &str, version: u64) -> Call<()> {
        let of = Statement { operation: "INSERT", region, mutates: true };
        let pool = self.pool(of, dsn).await?;
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        let write = async || sqlx::query(WRITE).bind(key).bind(version).execute(&pool).await;
        let writing = async {
            match write().await {
                Err(sqlx::Error::Database(said)) if said.code().as_deref() == Some(NO_TABLE) => {
                    sqlx::query(MAKE).execute(&pool).await?;
                    write().await
                }
                other => other,
            }
        };
        let written = timeout(WHOLE, writing).await.map_err(|_| of.error("Timeout", "no answer in time", of.lost()))?;
        match written.map_err(|error| of.failed(&error))?.rows_affected() {
            0 => Err(of.error("ConditionalCheckFailedException", "a version as new or newer is there", Effect::None)),
            _ => Ok(()),
        }
    }

    /// The version that a copy shows; a copy without the table shows none.
    ///
    /// # Errors
    /// The copy cannot be read.
    pub async fn read(&self, region: &Region, dsn: &str, key: &str) -> Call<Option<u64>> {
        let of = Statement { operation: "SELECT", region, mutates: false };
        let pool = self.pool(of, dsn).await?;
        let reading = sqlx::query(READ).bind(key).fetch_optional(&pool);
        let read = timeout(WHOLE, reading).await.map_err(|_| of.error("Timeout", "no answer in time", of.lost()))?;
        let row = match read {
            Err(sqlx::Error::Database(said)) if said.code().as_deref() == Some(NO_TABLE) => return Ok(None),
            other => other.map_err(|error| of.failed(&error))?,
        };
        let Some(row) = row else { return Ok(None) };
        let version: i64 = row.try_get(0).map_err(|error| of.failed(&error))?;
        Ok(u64::try_from(version).ok())
    }
}
