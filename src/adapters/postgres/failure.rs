//! The one place that knows SQLSTATEs: what an error of the database means for the history.
//!
//! Classes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>. Away unless it is sure that waiting
//! cannot help: history catches up later by itself, a contradiction calls a person.

use sqlx::Error;
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

use crate::ports::HistoryError;

/// What the error means.
pub(super) fn named(error: &Error) -> HistoryError {
    match error {
        Error::Database(database) => by_sqlstate(database.as_ref()),
        Error::Migrate(migrate) => of_migration(migrate),
        Error::ColumnNotFound(_)
        | Error::ColumnDecode { .. }
        | Error::ColumnIndexOutOfBounds { .. }
        | Error::TypeNotFound { .. }
        | Error::Decode(_)
        | Error::RowNotFound => HistoryError::Contradiction(error.to_string()),
        _ => HistoryError::Away(error.to_string()),
    }
}

/// What a migration's error means.
pub(super) fn of_migration(error: &MigrateError) -> HistoryError {
    match error {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => named(cause),
        _ => HistoryError::Contradiction(error.to_string()),
    }
}

/// Whether the tables are gone although they were there (a restored or emptied database).
pub(super) fn tables_are_gone(error: &Error) -> bool {
    code(error).is_some_and(|code| matches!(code.as_str(), UNDEFINED_TABLE | INVALID_SCHEMA_NAME))
}

/// Whether a database of that name exists already.
pub(super) fn exists_already(error: &Error) -> bool {
    code(error).is_some_and(|code| code == DUPLICATE_DATABASE)
}

const UNDEFINED_TABLE: &str = "42P01";
const INVALID_SCHEMA_NAME: &str = "3F000";
const DUPLICATE_DATABASE: &str = "42P04";

fn code(error: &Error) -> Option<String> {
    error.as_database_error().and_then(DatabaseError::code).map(std::borrow::Cow::into_owned)
}

fn by_sqlstate(error: &dyn DatabaseError) -> HistoryError {
    let code = error.code().unwrap_or_default();
    let said = format!("{} (SQLSTATE {code})", error.message());
    match code.get(..2).unwrap_or_default() {
        // Data exception, integrity constraint violation.
        "22" | "23" => HistoryError::Contradiction(said),
        // A column or function that is not as our migrations made it; a missing table is made again.
        "42" if !matches!(code.as_ref(), UNDEFINED_TABLE | INSUFFICIENT_PRIVILEGE) => HistoryError::Contradiction(said),
        _ => HistoryError::Away(said),
    }
}

const INSUFFICIENT_PRIVILEGE: &str = "42501";
