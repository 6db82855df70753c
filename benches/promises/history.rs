//! Ten million events in a Postgres that keeps its promises (nothing is turned off that a disk waits for): how soon the
//! newest of a service and all of a run or drill are read, by which plan, and how fast a backlog is written.

use std::time::Duration;

use failoverd::adapters::postgres::{Limits, PostgresHistory};
use failoverd::ports::{History, HistoryFilter};
use failoverd::sandbox::postgres::PrivatePostgres;
use failoverd_domain::fleet::{EventHead, HistoryEvent};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::Instant;

use crate::{Measured, ms, percentile};

const FLEET: &str = "bench";
const RUNS: i64 = 200_000;
const EVENTS_OF_A_RUN: i64 = 50;
const SERVICES: u64 = 500;
const ASKED: u64 = 50;
/// As the projector writes a backlog.
const BATCH: usize = 500;
const BACKLOG: usize = 60_000;
/// As retention removes.
const REMOVED: i64 = 2_000;

/// A server of modest size, as durable as they come.
const SETTINGS: [&str; 6] = [
    "shared_buffers=256MB",
    "maintenance_work_mem=384MB",
    "max_wal_size=4GB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=on",
];

pub async fn history() -> Vec<Measured> {
    let postgres = PrivatePostgres::start_with(&std::env::temp_dir(), 0, &SETTINGS).await.unwrap();
    let url = postgres.database("history").await.unwrap();
    let history = PostgresHistory::connect(url.parse().unwrap(), FLEET.into(), Limits::default());
    history.head().await.unwrap();
    let begun = Instant::now();
    load(&url).await;
    let mut person = PgConnection::connect(&url).await.unwrap();
    let rows: i64 = sqlx::query_scalar("select count(*) from history_event").fetch_one(&mut person).await.unwrap();
    let size: i64 =
        sqlx::query_scalar("select pg_database_size(current_database())").fetch_one(&mut person).await.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let mut measured = vec![
        Measured::at_least("events in Postgres", rows as f64 / 1e6, 10.0, "M"),
        Measured::new("  loaded, indexed and analysed in", begun.elapsed().as_secs_f64(), f64::INFINITY, "s"),
        Measured::new("  on the disk", size as f64 / 1e9, 15.0, "GB"),
    ];
    let all = HistoryFilter { limit: 10_000, ..HistoryFilter::default() };
    let of_service = |n: u64| HistoryFilter { service: Some(service(n).into()), limit: 50, ..all.clone() };
    let of_run = |n: u64| HistoryFilter { run: Some(format!("{}-{}", service(n), n % 400 + 1).into()), ..all.clone() };
    // Every twentieth run is a drill's.
    let of_drill = |n: u64| {
        let drill = format!("service-{}-monthly.{}", number(n) / 20 * 20, n % 400 + 1);
        HistoryFilter { drill: Some(drill.into()), ..all.clone() }
    };
    measured.push(ask(&history, "history --service S --limit 50: p95", 50, of_service).await);
    measured.push(ask(&history, "the report of a run, all its events: p95", 40, of_run).await);
    measured.push(ask(&history, "the report of a drill, all its events: p95", 40, of_drill).await);
    for (what, filter) in [("service", of_service(7)), ("run", of_run(7)), ("drill", of_drill(7))] {
        println!("plan of the newest events by {what}:");
        for line in history.explain(&filter).await.unwrap() {
            println!("    {line}");
        }
    }
    for view in ["history_run", "history_step", "history_attempt", "history_guard", "history_observation"] {
        let of_a_run = |n| format!("select * from {view} where run = '{}-{}'", service(n), n % 400 + 1);
        measured.push(query(&mut person, format!("{view} of a run: p95"), 100.0, of_a_run).await);
        let of_a_service = |n| format!("select * from {view} where service = '{}'", service(n));
        measured.push(
            query(&mut person, "  of a service with 400 runs: p95".to_owned(), f64::INFINITY, of_a_service).await,
        );
    }
    measured.extend(append(&history).await);
    measured.push(remove(&mut person).await);
    postgres.stop().await;
    measured
}

/// Numbers that look random and are the same every time.
const fn number(n: u64) -> u64 {
    n * 7_919 % SERVICES
}

fn service(n: u64) -> String {
    format!("service-{}", number(n))
}

/// Generated where it is stored, by both cores, without the indexes and without waiting for the disk.
async fn load(url: &str) {
    let mut person = PgConnection::connect(url).await.unwrap();
    person.execute("alter system set fsync = off").await.unwrap();
    person.execute("select pg_reload_conf()").await.unwrap();
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "select indexname, indexdef from pg_indexes where tablename = 'history_event' and indexname not like '%_pkey'",
    )
    .fetch_all(&mut person)
    .await
    .unwrap();
    for (name, _) in &indexes {
        person.execute(AssertSqlSafe(format!("drop index {name}"))).await.unwrap();
    }
    let half = RUNS / 2;
    tokio::join!(generate(url, half, 0), generate(url, half, half));
    for (_, definition) in &indexes {
        person.execute(AssertSqlSafe(definition.clone())).await.unwrap();
    }
    person.execute("vacuum analyze history_event").await.unwrap();
    person.execute("alter system set fsync = on").await.unwrap();
    person.execute("select pg_reload_conf()").await.unwrap();
    person.execute("checkpoint").await.unwrap();
}

async fn generate(url: &str, runs: i64, from: i64) {
    let mut person = PgConnection::connect(url).await.unwrap();
    let done = sqlx::query(include_str!("history.sql")).bind(runs).bind(from).execute(&mut person).await.unwrap();
    assert_eq!(done.rows_affected(), (runs * EVENTS_OF_A_RUN).unsigned_abs());
}

async fn ask(history: &PostgresHistory, what: &str, due: usize, filter: impl Fn(u64) -> HistoryFilter) -> Measured {
    let mut took = Vec::new();
    for n in 0..ASKED {
        let begun = Instant::now();
        let events = history.query(&filter(n)).await.unwrap();
        took.push(ms(begun.elapsed()));
        assert_eq!(events.len(), due, "{:?}", filter(n));
    }
    Measured::new(what, percentile(&mut took, 0.95), 100.0, "ms")
}

async fn query(person: &mut PgConnection, what: String, limit: f64, statement: impl Fn(u64) -> String) -> Measured {
    let mut took = Vec::new();
    for n in 0..ASKED / 5 {
        let begun = Instant::now();
        let rows = sqlx::query(AssertSqlSafe(statement(n))).fetch_all(&mut *person).await.unwrap();
        took.push(ms(begun.elapsed()));
        assert!(!rows.is_empty(), "{}", statement(n));
    }
    Measured::new(what, percentile(&mut took, 0.95), limit, "ms")
}

/// A backlog, as the projector writes it: where the head is, then the next batch.
async fn append(history: &PostgresHistory) -> Vec<Measured> {
    let mut took = Vec::new();
    let mut head = history.head().await.unwrap();
    let sample = history.range(1, EVENTS_OF_A_RUN.unsigned_abs().try_into().unwrap()).await.unwrap();
    let backlog = chain(&mut head, &sample);
    let begun = Instant::now();
    for batch in backlog.chunks(BATCH) {
        let one = Instant::now();
        assert_eq!(history.head().await.unwrap().seq + 1, batch[0].seq);
        history.append(batch).await.unwrap();
        took.push(ms(one.elapsed()));
    }
    let whole: Duration = begun.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "a few ten thousand")]
    let rate = backlog.len() as f64 / whole.as_secs_f64();
    vec![
        Measured::at_least("events appended from a backlog, behind ten million", rate, 2_000.0, "/s"),
        Measured::new("  a batch of 500, on the disk: p95", percentile(&mut took, 0.95), f64::INFINITY, "ms"),
    ]
}

/// What retention's batches cost. By hand: it removes nothing that does not verify, and these hashes do not.
async fn remove(person: &mut PgConnection) -> Measured {
    person.execute("set failoverd.allow_change = 'on'").await.unwrap();
    let mut took = Vec::new();
    for last in (1..=50).map(|batch| batch * REMOVED) {
        let begun = Instant::now();
        let gone = sqlx::query("delete from history_event where seq <= $1").bind(last).execute(&mut *person).await;
        took.push(ms(begun.elapsed()));
        assert_eq!(gone.unwrap().rows_affected(), REMOVED.unsigned_abs());
    }
    Measured::new("  a batch of 2,000 old events removed: p95", percentile(&mut took, 0.95), f64::INFINITY, "ms")
}

/// Events like the loaded ones, with hashes that follow.
fn chain(head: &mut EventHead, sample: &[HistoryEvent]) -> Vec<HistoryEvent> {
    let next = |like: &HistoryEvent| {
        let mut event = HistoryEvent { seq: head.seq + 1, ..like.clone() };
        event.hash = event.expected_hash(&head.hash);
        *head = EventHead { seq: event.seq, hash: event.hash.clone() };
        event
    };
    sample.iter().cycle().take(BACKLOG).map(next).collect()
}
