//! The tables: made or brought up to date when the database first answers, and tied to one fleet for ever.

use failoverd_domain::ids::FleetId;
use sqlx::PgConnection;
use sqlx::migrate::Migrator;

use crate::ports::HistoryError;

use super::connection::{DatabaseUrl, Limits, within};
use super::failure;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Brings the tables up to date and checks that they belong to `fleet`. Several daemons may do so at once.
pub(super) async fn prepare(url: &DatabaseUrl, fleet: &FleetId, limits: &Limits) -> Result<(), HistoryError> {
    within(limits.migration, async {
        let mut connection = url.alone(limits.connect, limits.migration).await?;
        migrate(&mut connection).await?;
        belongs_to(&mut connection, fleet).await
    })
    .await
}

/// An older daemon (rolled back) works on the tables of a newer one: migrations only ever add.
async fn migrate(connection: &mut PgConnection) -> Result<(), HistoryError> {
    let mut migrations = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrations.set_ignore_missing(true);
    migrations.run_direct(None, connection, false).await.map_err(|error| failure::of_migration(&error))
}

async fn belongs_to(connection: &mut PgConnection, fleet: &FleetId) -> Result<(), HistoryError> {
    let claim = "insert into history_fleet (fleet) values ($1) on conflict (only_row) do nothing";
    sqlx::query(claim).bind(fleet.as_str()).execute(&mut *connection).await.map_err(|error| failure::named(&error))?;
    let owner: String = sqlx::query_scalar("select fleet from history_fleet")
        .fetch_one(connection)
        .await
        .map_err(|error| failure::named(&error))?;
    if owner == fleet.as_str() {
        return Ok(());
    }
    Err(HistoryError::Contradiction(format!("the database holds the history of fleet {owner}, not of {fleet}")))
}
