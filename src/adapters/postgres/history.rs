//! `ports::History` on Postgres.
//!
//! Never trusts that the database is there: the first call that finds it makes the tables. Never holds two truths:
//! an event is stored as the text that was hashed, and read back from that text alone.

use async_trait::async_trait;
use failoverd_domain::fleet::{EventHead, HistoryEvent, verify_chain};
use failoverd_domain::ids::FleetId;
use failoverd_domain::time::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder, Row};
use tokio::sync::Mutex;

use crate::ports::{Anchor, History, HistoryError, HistoryFilter, Verified};

use super::connection::{DatabaseUrl, Limits, within};
use super::{failure, schema};

/// The history of one fleet in this Region's database.
pub struct PostgresHistory {
    url: DatabaseUrl,
    pub(super) pool: PgPool,
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

    /// How the database answers [`History::query`], in its own words, having done it.
    ///
    /// # Errors
    /// As the query.
    pub async fn explain(&self, filter: &HistoryFilter) -> Result<Vec<String>, HistoryError> {
        self.call(async {
            let mut query = matching("explain (analyze, buffers, costs off) select", filter);
            Ok(query.build_query_scalar().fetch_all(&self.pool).await?)
        })
        .await
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
    pub(super) async fn call<T>(&self, work: impl Future<Output = Result<T, Failed>>) -> Result<T, HistoryError> {
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
            newest(&mut connection).await
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
        self.call(async { read_all(&matching("select", filter).build().fetch_all(&self.pool).await?) }).await
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

    async fn verify(&self) -> Result<Verified, HistoryError> {
        super::verify::whole(self).await
    }
}

/// Why work on the database ended: it said so, or what it holds is wrong.
pub(super) enum Failed {
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

pub(super) fn contradiction(why: String) -> Failed {
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
pub(super) async fn lock_out_other_writers(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select 1 from history_fleet for update").execute(connection).await.map(drop)
}

/// The newest event, or what retention left of it.
pub(super) async fn newest(connection: &mut PgConnection) -> Result<EventHead, Failed> {
    let row =
        sqlx::query("select seq, event from history_event order by seq desc limit 1").fetch_optional(&mut *connection);
    match row.await? {
        Some(row) => {
            let event = read(&row)?;
            Ok(EventHead { seq: event.seq, hash: event.hash })
        }
        None => Ok(Verified::begin(anchor(connection).await?).head),
    }
}

/// Where the chain begins, if retention has removed its oldest events.
pub(super) async fn anchor(connection: &mut PgConnection) -> Result<Option<Anchor>, Failed> {
    let row = sqlx::query("select seq, hash, removed_at from history_anchor order by seq desc limit 1")
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Anchor {
        seq: row.try_get::<i64, _>("seq")?.unsigned_abs(),
        hash: row.try_get("hash")?,
        removed_at: Timestamp::from_utc(row.try_get("removed_at")?),
    }))
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
         left join history_event e on e.seq = given.seq \
         where history_document(e.event) ->> 'hash' is distinct from given.hash \
         and given.seq > coalesce((select max(seq) from history_anchor), 0) order by given.seq limit 1",
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

fn matching(verb: &str, filter: &HistoryFilter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(format!("{verb} seq, event from history_event where true"));
    if let Some(service) = &filter.service {
        query.push(" and service = ").push_bind(service.as_str().to_owned());
    }
    if let Some(run) = &filter.run {
        query.push(" and run = ").push_bind(run.as_str().to_owned());
    }
    if let Some(drill) = &filter.drill {
        query.push(" and drill = ").push_bind(drill.as_str().to_owned());
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

pub(super) fn read_all(rows: &[PgRow]) -> Result<Vec<HistoryEvent>, Failed> {
    rows.iter().map(read).collect()
}

pub(super) fn read(row: &PgRow) -> Result<HistoryEvent, Failed> {
    let seq: i64 = row.try_get("seq")?;
    let text: &str = row.try_get("event")?;
    serde_json::from_str(text).map_err(|error| contradiction(format!("event {seq} was changed: {error}")))
}

/// Numbers of events are stored as bigint; no fleet lives for more than nine quintillion of them.
pub(super) fn stored(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
