//! `ports::History` on Postgres.
//!
//! Never trusts that the database is there: the first call that finds it makes the tables. Never holds two truths:
//! an event is stored as the text that was hashed, and read back from that text alone.

use async_trait::async_trait;
use failoverd_domain::fleet::{EventHead, HistoryEvent, verify_chain};
use failoverd_domain::ids::FleetId;
use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder, Row};
use tokio::sync::Mutex;

use crate::ports::{History, HistoryError, HistoryFilter};

use super::connection::{DatabaseUrl, Limits, within};
use super::{failure, schema};

/// The history of one fleet in this Region's database.
pub struct PostgresHistory {
    url: DatabaseUrl,
    pool: PgPool,
    fleet: FleetId,
    limits: Limits,
    /// Whether the tables are known to be there and to be this fleet's.
    ready: Mutex<bool>,
}

impl PostgresHistory {
    /// The history at `url`. Connects when first used and returns at once, so that a database that is away keeps
    /// nobody from starting. Call it within a tokio runtime.
    #[must_use]
    pub fn connect(url: DatabaseUrl, fleet: FleetId, limits: Limits) -> Self {
        let pool = url.pool(&limits);
        Self { url, pool, fleet, limits, ready: Mutex::new(false) }
    }

    /// Closes all connections and waits for that. Part of shutdown.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn ready(&self) -> Result<(), HistoryError> {
        let mut ready = within(self.limits.call, async { Ok(self.ready.lock().await) }).await?;
        if !*ready {
            schema::prepare(&self.url, &self.fleet, &self.limits).await?;
            *ready = true;
        }
        Ok(())
    }

    /// One call of the port: tables first, then `work` within the limit. Tables that vanished are made again next time.
    async fn call<T>(&self, work: impl Future<Output = Result<T, Failed>>) -> Result<T, HistoryError> {
        self.ready().await?;
        within(self.limits.call, async {
            match work.await {
                Ok(done) => Ok(done),
                Err(Failed::Here(error)) => Err(error),
                Err(Failed::Database(error)) => {
                    if failure::tables_are_gone(&error) {
                        *self.ready.lock().await = false;
                    }
                    Err(failure::named(&error))
                }
            }
        })
        .await
    }
}

#[async_trait]
impl History for PostgresHistory {
    async fn head(&self) -> Result<EventHead, HistoryError> {
        self.call(async {
            let mut connection = self.pool.acquire().await?;
            Ok(newest(&mut connection).await?)
        })
        .await
    }

    async fn append(&self, events: &[HistoryEvent]) -> Result<(), HistoryError> {
        of_this_fleet(events, &self.fleet)?;
        if events.is_empty() {
            return Ok(());
        }
        self.call(async {
            let mut transaction = self.pool.begin().await?;
            lock_out_other_writers(&mut transaction).await?;
            let head = newest(&mut transaction).await?;
            let (known, fresh): (Vec<&HistoryEvent>, Vec<&HistoryEvent>) =
                events.iter().partition(|event| event.seq <= head.seq);
            same_as_stored(&mut transaction, &known).await?;
            insert(&mut transaction, &head, fresh).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn query(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEvent>, HistoryError> {
        self.call(async { read_all(&matching(filter).build().fetch_all(&self.pool).await?) }).await
    }

    async fn range(&self, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, HistoryError> {
        self.call(async {
            let page = sqlx::query("select seq, event from history_event where seq >= $1 order by seq limit $2")
                .bind(stored(from_seq))
                .bind(i64::from(limit));
            read_all(&page.fetch_all(&self.pool).await?)
        })
        .await
    }

    async fn verify(&self) -> Result<EventHead, HistoryError> {
        self.ready().await?;
        let mut head = EventHead::default();
        while let Some(next) = self.call(verify_page(&self.pool, &head)).await? {
            head = next;
        }
        Ok(head)
    }
}

/// Rows checked by one statement, which keeps a long chain within the time limit of a statement.
const PAGE: i64 = 2_000;

/// Checks the rows after `head`, one by one; none left is `None`.
async fn verify_page(pool: &PgPool, head: &EventHead) -> Result<Option<EventHead>, Failed> {
    let mut rows = sqlx::query("select seq, event from history_event where seq > $1 order by seq limit $2")
        .bind(stored(head.seq))
        .bind(PAGE)
        .fetch(pool);
    let mut reached = None;
    while let Some(row) = rows.try_next().await? {
        let before = reached.as_ref().unwrap_or(head);
        let seq: i64 = row.try_get("seq")?;
        if i64::try_from(before.seq + 1).is_ok_and(|expected| expected < seq) {
            return Err(contradiction(format!(
                "event {} is missing (found {seq} after {})",
                before.seq + 1,
                before.seq
            )));
        }
        let event = read(&row)?;
        reached = Some(verify_chain(before, std::slice::from_ref(&event)).map_err(contradiction)?);
    }
    Ok(reached)
}

/// Why work on the database ended: it said so, or what it holds is wrong.
enum Failed {
    Database(sqlx::Error),
    Here(HistoryError),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<HistoryError> for Failed {
    fn from(error: HistoryError) -> Self {
        Self::Here(error)
    }
}

fn contradiction(why: String) -> Failed {
    Failed::Here(HistoryError::Contradiction(why))
}

fn of_this_fleet(events: &[HistoryEvent], fleet: &FleetId) -> Result<(), HistoryError> {
    match events.iter().find(|event| event.fleet != *fleet) {
        None => Ok(()),
        Some(event) => Err(HistoryError::Contradiction(format!(
            "event {} is of fleet {}, this is the history of {fleet}",
            event.seq, event.fleet
        ))),
    }
}

/// Two daemons may write at once (an old one that is being replaced): one after the other, then.
async fn lock_out_other_writers(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select 1 from history_fleet for update").execute(connection).await.map(drop)
}

async fn newest(connection: &mut PgConnection) -> Result<EventHead, sqlx::Error> {
    let row =
        sqlx::query("select seq, hash from history_event order by seq desc limit 1").fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(EventHead::default()) };
    Ok(EventHead { seq: row.try_get::<i64, _>("seq")?.unsigned_abs(), hash: row.try_get("hash")? })
}

/// Events that are there already must be there with the same hash.
async fn same_as_stored(connection: &mut PgConnection, known: &[&HistoryEvent]) -> Result<(), Failed> {
    if known.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = known.iter().map(|event| stored(event.seq)).collect();
    let hashes: Vec<&str> = known.iter().map(|event| event.hash.as_str()).collect();
    let fork = sqlx::query(
        "select given.seq, e.seq is null as missing from unnest($1::bigint[], $2::text[]) as given (seq, hash) \
         left join history_event e on e.seq = given.seq where e.hash is distinct from given.hash \
         order by given.seq limit 1",
    )
    .bind(seqs)
    .bind(hashes)
    .fetch_optional(connection)
    .await?;
    let Some(row) = fork else { return Ok(()) };
    let (seq, missing): (i64, bool) = (row.try_get("seq")?, row.try_get("missing")?);
    let how = if missing { "is missing below newer ones" } else { "is stored with another hash" };
    Err(contradiction(format!("event {seq} {how}")))
}

/// Adds events that must follow `head` without a gap, in one statement.
async fn insert(connection: &mut PgConnection, head: &EventHead, fresh: Vec<&HistoryEvent>) -> Result<(), Failed> {
    let fresh: Vec<HistoryEvent> = fresh.into_iter().cloned().collect();
    if fresh.is_empty() {
        return Ok(());
    }
    verify_chain(head, &fresh).map_err(contradiction)?;
    let seqs: Vec<i64> = fresh.iter().map(|event| stored(event.seq)).collect();
    let texts = fresh.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
    let texts = texts.map_err(|error| contradiction(format!("an event cannot be written as JSON: {error}")))?;
    let added = sqlx::query(
        "insert into history_event (seq, event) select * from unnest($1::bigint[], $2::text[]) on conflict do nothing",
    )
    .bind(seqs)
    .bind(texts)
    .execute(connection)
    .await?;
    if added.rows_affected() == fresh.len() as u64 {
        return Ok(());
    }
    Err(contradiction(format!("only {} of {} events after {} were new", added.rows_affected(), fresh.len(), head.seq)))
}

fn matching(filter: &HistoryFilter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("select seq, event from history_event where true");
    if let Some(service) = &filter.service {
        query.push(" and service = ").push_bind(service.as_str().to_owned());
    }
    if let Some(run) = &filter.run {
        query.push(" and run = ").push_bind(run.as_str().to_owned());
    }
    if let Some(drill) = &filter.drill {
        query.push(" and event::json ->> 'drill' = ").push_bind(drill.as_str().to_owned());
    }
    if let Some(kind) = &filter.kind {
        query.push(" and kind = ").push_bind(kind.clone());
    }
    if let Some(since) = filter.since {
        query.push(" and at >= ").push_bind(since.to_utc());
    }
    query.push(" order by seq desc limit ").push_bind(i64::from(filter.limit));
    query
}

fn read_all(rows: &[PgRow]) -> Result<Vec<HistoryEvent>, Failed> {
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<HistoryEvent, Failed> {
    let seq: i64 = row.try_get("seq")?;
    let text: &str = row.try_get("event")?;
    serde_json::from_str(text).map_err(|error| contradiction(format!("event {seq} was changed: {error}")))
}

/// Numbers of events are stored as bigint; no fleet lives for more than nine quintillion of them.
fn stored(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
