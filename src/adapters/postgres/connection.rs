//! How the database is reached, and how long anything there may take. Connects to nothing by itself.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};

use crate::ports::HistoryError;

use super::failure;

/// Bounds on the use of the database. Every one of them ends in `HistoryError::Away`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at once.
    pub connections: u32,
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long the server may take for one statement; it stops the statement itself.
    pub statement: Duration,
    /// How long one call of the port may take in all, whatever the network does.
    pub call: Duration,
    /// How long a migration may take in all.
    pub migration: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4,
            connect: Duration::from_secs(3),
            statement: Duration::from_secs(5),
            call: Duration::from_secs(10),
            migration: Duration::from_secs(60),
        }
    }
}

/// Parameters of a URL that the driver takes
/// (<https://docs.rs/sqlx/0.9/sqlx/postgres/struct.PgConnectOptions.html>).
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// The text is not the address of a Postgres database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a postgres url: {0}")]
pub struct InvalidDatabaseUrl(String);

/// A checked address of a database: `postgres://user@host/database`. Its `Debug` may hold no password.
#[derive(Clone)]
pub struct DatabaseUrl(PgConnectOptions);

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "postgres://{}:{}/{}",
            self.0.get_host(),
            self.0.get_port(),
            self.0.get_database().unwrap_or_default()
        )
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(url: &str) -> Result<Self, InvalidDatabaseUrl> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(InvalidDatabaseUrl("it begins with postgres://".to_owned()));
        }
        let options = options_of(url).map_err(|error| InvalidDatabaseUrl(error.to_string()))?;
        Ok(Self(options.application_name("failoverd")))
    }
}

/// What a URL says. The driver would log parameters that it does not know with their values, and a password may be where
/// nobody looks for it: they are told by name and left out.
///
/// # Errors
/// The driver's.
pub(super) fn options_of(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let (url, unknown) = without_unknown_parameters(url);
    for name in unknown {
        tracing::warn!(parameter = name, "a database URL has a parameter that is not known and does nothing");
    }
    Ok(PgConnectOptions::from_str(&url)?.disable_statement_logging())
}

/// The URL with the parameters that the driver knows, and the names of the others.
fn without_unknown_parameters(url: &str) -> (String, Vec<String>) {
    let Some((place, parameters)) = url.split_once('?') else { return (url.to_owned(), Vec::new()) };
    let is_known = |name: &str| PARAMETERS.contains(&name) || name.starts_with("options[");
    let (known, unknown): (Vec<_>, Vec<_>) =
        form_urlencoded::parse(parameters.as_bytes()).partition(|(name, _)| is_known(name));
    let known = form_urlencoded::Serializer::new(String::new()).extend_pairs(known).finish();
    (format!("{place}?{known}"), unknown.into_iter().map(|(name, _)| name.into_owned()).collect())
}

impl DatabaseUrl {
    /// The same server and login, another database.
    #[must_use]
    pub fn database(&self, name: &str) -> Self {
        Self(self.0.clone().database(name))
    }

    /// A pool that connects when it is first used, with the server's own time limits set on each connection.
    pub(super) fn pool(&self, limits: &Limits) -> PgPool {
        let setting = session_limits(limits.statement);
        PgPoolOptions::new()
            .max_connections(limits.connections)
            .acquire_timeout(limits.connect)
            .after_connect(move |connection, _| {
                let setting = setting.clone();
                Box::pin(async move { connection.execute(sqlx::AssertSqlSafe(setting)).await.map(drop) })
            })
            .connect_lazy_with(self.0.clone())
    }

    /// A connection of its own, closed when dropped: what it locked is free again, however it ends.
    pub(super) async fn alone(&self, connect: Duration, statement: Duration) -> Result<PgConnection, HistoryError> {
        within(connect, async {
            let mut connection = PgConnection::connect_with(&self.0).await.map_err(|error| failure::named(&error))?;
            let setting = sqlx::AssertSqlSafe(session_limits(statement));
            connection.execute(setting).await.map_err(|error| failure::named(&error))?;
            Ok(connection)
        })
        .await
    }
}

/// Set by statement, not as start-up options: those are refused by common connection poolers.
fn session_limits(statement: Duration) -> String {
    let ms = statement.as_millis().max(1);
    format!(
        "set statement_timeout = {ms}; set lock_timeout = {ms}; set idle_in_transaction_session_timeout = {ms}; \
         set client_min_messages = warning"
    )
}

/// `work`, given up after `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, HistoryError>>,
) -> Result<T, HistoryError> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(HistoryError::Away(format!("no answer within {} ms", limit.as_millis()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_something_else_is_refused() {
        for url in ["", "mysql://db/failoverd", "postgres://db:port/failoverd", "/var/run/postgresql"] {
            assert!(url.parse::<DatabaseUrl>().is_err(), "{url} was taken");
        }
    }

    #[test]
    fn what_the_driver_does_not_know_does_not_reach_it() {
        let url = "postgres://db/failoverd?sslmode=require&pasword=hunter2&user=o%27hara%20%26&options[search_path]=a";
        let (kept, unknown) = without_unknown_parameters(url);
        assert!(unknown == ["pasword"] && !kept.contains("hunter2"), "{kept} {unknown:?}");
        let options = options_of(url).unwrap();
        assert_eq!((options.get_username(), options.get_options()), ("o'hara &", Some("-c search_path=a")));
        assert!(matches!(options.get_ssl_mode(), sqlx::postgres::PgSslMode::Require));
    }

    #[test]
    fn its_debug_hides_the_password() {
        let url: DatabaseUrl = "postgres://alice:hunter2@db:5433/failoverd".parse().unwrap();
        assert_eq!(format!("{url:?}"), "postgres://db:5433/failoverd");
    }
}
