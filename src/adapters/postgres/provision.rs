//! Making a database, for a server that is ours alone (the sandbox, tests).

use std::time::Duration;

use sqlx::Executor;

use crate::ports::HistoryError;

use super::connection::{DatabaseUrl, within};
use super::failure;

const LIMIT: Duration = Duration::from_secs(30);

/// Makes the database `name` on the server of `url` unless it is there.
///
/// # Errors
/// The server is away or refuses.
pub async fn create_database(url: &DatabaseUrl, name: &str) -> Result<(), HistoryError> {
    let quoted = name.replace('"', "\"\"");
    within(LIMIT, async {
        let mut connection = url.alone(LIMIT, LIMIT).await?;
        match connection.execute(sqlx::AssertSqlSafe(format!("create database \"{quoted}\""))).await {
            Err(error) if !failure::exists_already(&error) => Err(failure::named(&error)),
            _ => Ok(()),
        }
    })
    .await
}
