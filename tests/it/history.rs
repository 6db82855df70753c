//! The history port: one suite, run on Postgres and on the history in memory; then what only a database can do.

use std::sync::Arc;
use std::time::Duration;

use failoverd::adapters::postgres::{Limits, PostgresHistory};
use failoverd::ports::{History, HistoryError, HistoryFilter, Verified};
use failoverd::sandbox::postgres::PrivatePostgres;
use failoverd::sim::history::MemoryHistory;
use failoverd_domain::fleet::{EventHead, EventKind, HistoryEvent};
use failoverd_domain::ids::{DrillRunId, FleetId, LogIndex, Region, RunId, ServiceName};
use failoverd_domain::time::Timestamp;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::ports;

mod retention;
mod server;
mod views;

const START: Timestamp = Timestamp(1_795_449_600_123);

fn fleet() -> FleetId {
    "prod".into()
}

/// `count` events after `head`, a second apart; odd ones are about checkout, even ones about nothing.
fn chain(head: &EventHead, count: u64) -> Vec<HistoryEvent> {
    let mut hash = head.hash.clone();
    (head.seq + 1..=head.seq + count)
        .map(|seq| {
            let mut event = plain(seq);
            event.hash = event.expected_hash(&hash);
            hash.clone_from(&event.hash);
            event
        })
        .collect()
}

fn plain(seq: u64) -> HistoryEvent {
    let about = seq % 2 == 1;
    HistoryEvent {
        seq,
        index: LogIndex(seq * 3),
        at: START.plus_ms(seq * 1_000),
        fleet: fleet(),
        service: about.then(|| ServiceName::from("checkout")),
        run: (about && seq > 5).then(|| RunId::from("checkout-1")),
        drill: (about && seq > 8).then(|| DrillRunId::from("checkout-monthly.1")),
        kind: if seq.is_multiple_of(5) { EventKind::StepOutcome } else { EventKind::Switch },
        region: about.then(|| Region::from("eu-west-1")),
        actor: "operator:alice".to_owned(),
        message: format!("event {seq}"),
        data: json!({ "step": seq }),
        hash: String::new(),
    }
}

fn linked(mut event: HistoryEvent, head: &EventHead) -> HistoryEvent {
    event.seq = head.seq + 1;
    event.hash = event.expected_hash(&head.hash);
    event
}

fn seqs(events: &[HistoryEvent]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

fn contradicts<T: std::fmt::Debug>(result: Result<T, HistoryError>, word: &str) {
    match result {
        Err(HistoryError::Contradiction(why)) => assert!(why.contains(word), "{why:?} does not say {word:?}"),
        other => panic!("expected a contradiction about {word:?}, got {other:?}"),
    }
}

/// What every history does. `make` gives a new and empty one of fleet `prod`.
pub async fn history_conformance<F>(mut make: impl FnMut() -> F)
where
    F: Future<Output = Arc<dyn History>>,
{
    appends_once_and_in_order(make().await.as_ref()).await;
    refuses_gaps_forks_and_strangers(make().await.as_ref()).await;
    a_refused_batch_leaves_nothing_behind(make().await.as_ref()).await;
    keeps_every_value(make().await.as_ref()).await;
    finds_by_filter(make().await.as_ref()).await;
    verifies_over_many_pages(make().await.as_ref()).await;
    writers_at_once_agree(make().await).await;
}

async fn appends_once_and_in_order(history: &dyn History) {
    assert_eq!(history.head().await.unwrap(), EventHead::default());
    history.append(&[]).await.unwrap();
    let events = chain(&EventHead::default(), 10);
    history.append(&events[..4]).await.unwrap();
    history.append(&events[..4]).await.unwrap();
    history.append(&events[2..]).await.unwrap();
    history.append(&events[..6]).await.unwrap();
    assert_eq!(history.head().await.unwrap(), EventHead { seq: 10, hash: events[9].hash.clone() });
    assert_eq!(history.range(1, 1_000).await.unwrap(), events);
    assert_eq!(seqs(&history.range(4, 3).await.unwrap()), [4, 5, 6]);
    assert_eq!(seqs(&history.range(11, 3).await.unwrap()), [] as [u64; 0]);
    assert_eq!(seqs(&history.range(0, 2).await.unwrap()), [1, 2]);
}

async fn refuses_gaps_forks_and_strangers(history: &dyn History) {
    let events = chain(&EventHead::default(), 6);
    contradicts(history.append(&events[1..]).await, "event 1 is missing");
    history.append(&events[..3]).await.unwrap();
    contradicts(history.append(&events[4..]).await, "event 4 is missing");
    contradicts(history.append(&[events[3].clone(), events[5].clone()]).await, "event 5 is missing");

    let fork = linked(plain(99), &EventHead { seq: 1, hash: events[0].hash.clone() });
    contradicts(history.append(&[fork]).await, "event 2 is stored with another hash");
    let unlinked = linked(plain(99), &EventHead { seq: 3, hash: "of another chain".to_owned() });
    contradicts(history.append(&[unlinked]).await, "event 4");

    let stranger = HistoryEvent { fleet: "staging".into(), ..plain(4) };
    contradicts(history.append(&[linked(stranger, &history.head().await.unwrap())]).await, "staging");
    assert_eq!(history.verify().await.unwrap().head.seq, 3);
}

async fn a_refused_batch_leaves_nothing_behind(history: &dyn History) {
    let mut events = chain(&EventHead::default(), 5);
    events[4].message = "changed on the way".to_owned();
    contradicts(history.append(&events).await, "event 5");
    assert_eq!(history.head().await.unwrap(), EventHead::default());
    history.append(&events[..4]).await.unwrap();
    assert_eq!(history.head().await.unwrap().seq, 4);
}

/// The hash covers every byte, so what comes back must be what went in, to the last digit.
async fn keeps_every_value(history: &dyn History) {
    let mut head = EventHead::default();
    let mut given = Vec::new();
    for data in awkward_values() {
        let message = format!("naïve \u{1F5FA}\u{fe0f} \u{0} \"quoted\" \\u0000 {data}");
        let event = HistoryEvent { data, message, actor: "daemon:\u{202e}eu".to_owned(), ..plain(1) };
        given.push(linked(event, &head));
        head = EventHead { seq: given.len() as u64, hash: given[given.len() - 1].hash.clone() };
    }
    history.append(&given).await.unwrap();
    let stored = history.range(1, 10_000).await.unwrap();
    for (there, given) in stored.iter().zip(&given) {
        assert_eq!(there, given);
        assert_eq!(serde_json::to_string(there).unwrap(), serde_json::to_string(given).unwrap());
    }
    assert_eq!(history.verify().await.unwrap().head, head);
}

fn awkward_values() -> Vec<Value> {
    let mut values = vec![
        Value::Null,
        json!([]),
        json!("\u{0}\u{1f}\u{7f}\u{2028}\\u0000"),
        json!({ "z": 1, "a": { "b": [1, { "y": null, "x": [] }], "B": {} }, "": "", "\u{0}": 1, "é": "e\u{301}", "10": 1, "9": 2 }),
        json!([
            u64::MAX,
            i64::MIN,
            0,
            -1,
            1.0,
            -0.0,
            0.1 + 0.2,
            1e300,
            5e-324,
            f64::MAX,
            f64::MIN_POSITIVE,
            1e16,
            1e22
        ]),
        json!({ "text": "long ".repeat(50_000) }),
    ];
    // Digits that a careless reader of decimals gets wrong by one bit; a fixed series, so that a failure repeats.
    let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..40 {
        let row: Vec<f64> = std::iter::repeat_with(|| {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            f64::from_bits(bits)
        })
        .filter(|number| number.is_finite())
        .take(25)
        .collect();
        values.push(json!(row));
    }
    values
}

async fn finds_by_filter(history: &dyn History) {
    history.append(&chain(&EventHead::default(), 12)).await.unwrap();
    let all = HistoryFilter { limit: 100, ..HistoryFilter::default() };
    let found = async |filter: HistoryFilter| seqs(&history.query(&filter).await.unwrap());

    assert_eq!(found(all.clone()).await, (1..=12).rev().collect::<Vec<u64>>());
    assert_eq!(found(HistoryFilter { limit: 2, ..all.clone() }).await, [12, 11]);
    assert_eq!(found(HistoryFilter::default()).await, [] as [u64; 0]);
    assert_eq!(found(HistoryFilter { service: Some("checkout".into()), ..all.clone() }).await, [11, 9, 7, 5, 3, 1]);
    assert_eq!(found(HistoryFilter { run: Some("checkout-1".into()), ..all.clone() }).await, [11, 9, 7]);
    assert_eq!(found(HistoryFilter { drill: Some("checkout-monthly.1".into()), ..all.clone() }).await, [11, 9]);
    assert_eq!(found(HistoryFilter { kind: Some("step-outcome".to_owned()), ..all.clone() }).await, [10, 5]);
    assert_eq!(found(HistoryFilter { kind: Some("nonsense".to_owned()), ..all.clone() }).await, [] as [u64; 0]);
    let tenth = START.plus_ms(10_000);
    assert_eq!(found(HistoryFilter { since: Some(tenth), ..all.clone() }).await, [12, 11, 10]);
    assert_eq!(found(HistoryFilter { since: Some(tenth.plus_ms(1)), ..all.clone() }).await, [12, 11]);
    let both = HistoryFilter { service: Some("checkout".into()), since: Some(START.plus_ms(8_000)), limit: 1, ..all };
    assert_eq!(found(both).await, [11]);
}

async fn verifies_over_many_pages(history: &dyn History) {
    assert_eq!(history.verify().await.unwrap(), Verified::default());
    let events = chain(&EventHead::default(), 5_001);
    history.append(&events).await.unwrap();
    let head = EventHead { seq: 5_001, hash: events[5_000].hash.clone() };
    assert_eq!(history.verify().await.unwrap(), Verified { anchor: None, head });
}

/// An old daemon and the one that replaces it may write at the same time.
async fn writers_at_once_agree(history: Arc<dyn History>) {
    let events = chain(&EventHead::default(), 600);
    let mut writers = tokio::task::JoinSet::new();
    for batch in [7, 10, 13, 20] {
        let (history, events) = (Arc::clone(&history), events.clone());
        writers.spawn(async move {
            let mut from = 0;
            while from < events.len() {
                let to = (from + batch).min(events.len());
                history.append(&events[from..to]).await.unwrap();
                from = to;
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    assert_eq!(history.range(1, 1_000).await.unwrap(), events);
}

#[tokio::test]
async fn memory_conforms() {
    history_conformance(|| async { Arc::new(MemoryHistory::new(fleet())) as Arc<dyn History> }).await;
}

#[tokio::test]
async fn memory_that_is_away_refuses_and_forgets_nothing() {
    let history = MemoryHistory::new(fleet());
    let events = chain(&EventHead::default(), 3);
    history.append(&events[..2]).await.unwrap();
    history.set_away(true);
    assert!(matches!(history.head().await, Err(HistoryError::Away(_))));
    assert!(matches!(history.append(&events).await, Err(HistoryError::Away(_))));
    history.set_away(false);
    history.append(&events).await.unwrap();
    assert_eq!(history.events(), events);
}

/// A server for one test, and new databases on it.
struct Server {
    postgres: PrivatePostgres,
    databases: std::cell::Cell<u32>,
}

impl Server {
    async fn start() -> Self {
        let postgres = PrivatePostgres::start(&std::env::temp_dir(), 0).await.unwrap_or_else(|error| panic!("{error}"));
        Self { postgres, databases: std::cell::Cell::new(0) }
    }

    async fn database(&self) -> String {
        self.databases.set(self.databases.get() + 1);
        self.postgres.database(&format!("history \"{}\"", self.databases.get())).await.unwrap();
        self.url()
    }

    fn url(&self) -> String {
        self.postgres.url(&format!("history%20%22{}%22", self.databases.get()))
    }
}

/// With time enough for a busy machine.
fn history_at(url: &str, fleet: &str) -> PostgresHistory {
    let long = Duration::from_secs(30);
    let limits = Limits { connect: long, statement: long, call: 2 * long, ..Limits::default() };
    PostgresHistory::connect(url.parse().unwrap(), fleet.into(), limits)
}

#[tokio::test]
async fn postgres_conforms() {
    let server = Server::start().await;
    history_conformance(|| async { Arc::new(history_at(&server.database().await, "prod")) as Arc<dyn History> }).await;
    server.postgres.stop().await;
}

#[tokio::test]
async fn a_database_belongs_to_one_fleet_and_survives_its_daemon() {
    let server = Server::start().await;
    let url = server.database().await;
    let events = chain(&EventHead::default(), 3);
    let first = history_at(&url, "prod");
    first.append(&events).await.unwrap();
    first.close().await;
    assert_eq!(history_at(&url, "prod").range(1, 9).await.unwrap(), events);
    contradicts(history_at(&url, "staging").head().await, "fleet prod, not of staging");
    let (one, other) = (history_at(&url, "prod"), history_at(&url, "prod"));
    let (one, other) = tokio::join!(one.head(), other.head());
    assert_eq!(one.unwrap(), other.unwrap());
}

#[tokio::test]
async fn daemons_that_start_together_make_the_tables_once() {
    let server = Server::start().await;
    let url = server.database().await;
    let all = futures_util::future::join_all((0..5).map(|_| async { history_at(&url, "prod").head().await })).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

#[tokio::test]
async fn rows_cannot_be_changed_in_passing_and_changes_on_purpose_are_named() {
    let server = Server::start().await;
    let url = server.database().await;
    let history = history_at(&url, "prod");
    history.append(&chain(&EventHead::default(), 3_000)).await.unwrap();
    let mut person = PgConnection::connect(&url).await.unwrap();
    for change in [
        "update history_event set event = replace(event, 'event 7\"', 'event 8\"') where seq = 7",
        "delete from history_event where seq = 7",
        "truncate history_event",
        "update history_event set message = 'another' where seq = 7",
    ] {
        assert!(person.execute(change).await.is_err(), "{change} went through");
    }
    assert_eq!(history.verify().await.unwrap().head.seq, 3_000);

    person.execute("set failoverd.allow_change = 'on'").await.unwrap();
    person.execute("delete from history_event where seq = 2900").await.unwrap();
    contradicts(history.verify().await, "event 2900 is missing");
    person
        .execute("update history_event set event = replace(event, '2500', '2501') where seq = 2500")
        .await
        .unwrap_err();
    person
        .execute("update history_event set event = replace(event, 'event 2500', 'event 2501') where seq = 2500")
        .await
        .unwrap();
    contradicts(history.verify().await, "event 2500 was changed");
    person
        .execute("update history_event set event = replace(event, 'switch', 'unheard-of') where seq = 2401")
        .await
        .unwrap();
    contradicts(history.verify().await, "event 2401 was changed");
    person.execute("delete from history_event where seq = 1").await.unwrap();
    contradicts(history.verify().await, "event 1 is missing");
}

#[tokio::test]
async fn a_database_that_is_away_is_waited_for() {
    let [port] = ports::free();
    let quiet = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let address = quiet.local_addr().unwrap();
    let limits = Limits { connect: Duration::from_millis(200), ..Limits::default() };
    let url = format!("postgres://failoverd@{address}/failoverd");
    let history = PostgresHistory::connect(url.parse().unwrap(), fleet(), limits);
    assert!(matches!(history.head().await, Err(HistoryError::Away(_))), "one that accepts and says nothing");
    drop(quiet);
    assert!(
        matches!(history.append(&chain(&EventHead::default(), 1)).await, Err(HistoryError::Away(_))),
        "refused port"
    );

    let server = PrivatePostgres::start(&std::env::temp_dir(), port).await.unwrap();
    let mut url = server.url("failoverd");
    let history = PostgresHistory::connect(url.parse().unwrap(), fleet(), Limits::default());
    assert!(matches!(history.head().await, Err(HistoryError::Away(_))), "no such database yet");
    url = server.database("failoverd").await.unwrap();
    history.append(&chain(&EventHead::default(), 2)).await.unwrap();

    let mut person = PgConnection::connect(&url).await.unwrap();
    person.execute("drop schema public cascade").await.unwrap();
    person.execute("create schema public").await.unwrap();
    assert!(matches!(history.head().await, Err(HistoryError::Away(_))), "emptied under our feet");
    assert_eq!(history.head().await.unwrap(), EventHead::default());
    server.stop().await;
    assert!(matches!(history.head().await, Err(HistoryError::Away(_))), "gone again");
}

#[tokio::test]
async fn a_database_that_hangs_is_given_up() {
    let server = Server::start().await;
    let url = server.database().await;
    let limits = Limits { statement: Duration::from_millis(200), ..Limits::default() };
    let history = PostgresHistory::connect(url.parse().unwrap(), fleet(), limits);
    let events = chain(&EventHead::default(), 2);
    history.append(&events[..1]).await.unwrap();

    let mut person = PgConnection::connect(&url).await.unwrap();
    person.execute("begin; lock table history_event in access exclusive mode").await.unwrap();
    assert!(matches!(history.append(&events).await, Err(HistoryError::Away(_))), "by the server's own limit");
    let limits = Limits { call: Duration::from_millis(200), ..Limits::default() };
    let impatient = PostgresHistory::connect(url.parse().unwrap(), fleet(), limits);
    assert!(matches!(impatient.head().await, Err(HistoryError::Away(_))), "by ours, whatever the server does");
    person.execute("rollback").await.unwrap();
    history.append(&events).await.unwrap();
    assert_eq!(impatient.range(1, 9).await.unwrap(), events);
}

/// Figures for the record: `cargo test --test it history::figures -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "prints figures"]
async fn figures() {
    let before = tokio::time::Instant::now();
    let server = Server::start().await;
    println!("initdb and start: {:?}", before.elapsed());
    let history = history_at(&server.database().await, "prod");
    let before = tokio::time::Instant::now();
    history.head().await.unwrap();
    println!("migrate: {:?}", before.elapsed());
    for batch in [1, 10, 100, 1_000] {
        let events = chain(&history.head().await.unwrap(), if batch == 1 { 1_000 } else { 10_000 });
        let before = tokio::time::Instant::now();
        for part in events.chunks(batch) {
            history.append(part).await.unwrap();
        }
        println!("append in batches of {batch}: {:.0} events/s", events.len() as f64 / before.elapsed().as_secs_f64());
    }
    let before = tokio::time::Instant::now();
    println!("verify {} events: {:?}", history.verify().await.unwrap().head.seq, before.elapsed());
    let before = tokio::time::Instant::now();
    server.postgres.stop().await;
    println!("stop: {:?}", before.elapsed());
}
