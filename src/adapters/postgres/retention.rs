//! Taking the oldest events out, and leaving the anchor from which the chain goes on.
//!
//! Removes nothing that does not verify: what somebody changed or took out must stay to be found.

use async_trait::async_trait;
use failoverd_domain::fleet::HistoryEvent;
use failoverd_domain::ids::RunId;
use failoverd_domain::time::Timestamp;
use sqlx::PgConnection;

use crate::ports::{HistoryError, Removed, Retention, Verified};

use super::history::{
    Failed, PostgresHistory, anchor, contradiction, lock_out_other_writers, newest, read, read_all, stored,
};

/// Events removed by one transaction, which holds up writers for some tens of milliseconds.
const BATCH: usize = 2_000;

#[async_trait]
impl Retention for PostgresHistory {
    async fn remove_oldest(&self, before: Timestamp, open: &[RunId]) -> Result<Removed, HistoryError> {
        self.call(async {
            let mut transaction = self.pool.begin().await?;
            lock_out_other_writers(&mut transaction).await?;
            let newest = newest(&mut transaction).await?.seq;
            let mut chain = Verified::begin(anchor(&mut transaction).await?);
            let oldest = oldest(&mut transaction).await?;
            let may_go = |event: &&HistoryEvent| {
                event.seq < newest && event.at < before && event.run.as_ref().is_none_or(|run| !open.contains(run))
            };
            let going: Vec<&HistoryEvent> = oldest.iter().take_while(may_go).collect();
            going.iter().try_for_each(|event| chain.walk(event))?;
            if !going.is_empty() {
                remove(&mut transaction, &chain, going.len()).await?;
            }
            transaction.commit().await?;
            Ok(Removed { events: going.len() as u64, more: going.len() == BATCH })
        })
        .await
    }

    async fn newest_at(&self) -> Result<Option<Timestamp>, HistoryError> {
        self.call(async {
            let row = sqlx::query("select seq, event from history_event order by seq desc limit 1");
            let row = row.fetch_optional(&self.pool).await?;
            row.map(|row| Ok(read(&row)?.at)).transpose()
        })
        .await
    }
}

async fn oldest(connection: &mut PgConnection) -> Result<Vec<HistoryEvent>, Failed> {
    let rows = sqlx::query("select seq, event from history_event order by seq limit $1")
        .bind(stored(BATCH as u64))
        .fetch_all(connection)
        .await?;
    read_all(&rows)
}

/// Removes everything up to where `chain` was walked. Only this transaction may.
async fn remove(connection: &mut PgConnection, chain: &Verified, count: usize) -> Result<(), Failed> {
    sqlx::query("set local failoverd.allow_change = 'on'").execute(&mut *connection).await?;
    let gone = sqlx::query("delete from history_event where seq <= $1")
        .bind(stored(chain.head.seq))
        .execute(&mut *connection)
        .await?
        .rows_affected();
    if gone != count as u64 {
        return Err(contradiction(format!("{gone} events would have been removed where {count} were due")));
    }
    sqlx::query("insert into history_anchor (seq, hash, removed) values ($1, $2, $3)")
        .bind(stored(chain.head.seq))
        .bind(&chain.head.hash)
        .bind(stored(gone))
        .execute(connection)
        .await?;
    Ok(())
}
