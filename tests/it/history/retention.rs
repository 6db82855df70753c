//! What retention takes out, what it leaves, and what verification makes of it.

use std::sync::Arc;

use failoverd::ports::{Anchor, History, LEAST_KEPT, Removed, Retention, Verified};
use failoverd::sim::history::MemoryHistory;
use failoverd_domain::fleet::{EventHead, HistoryEvent};
use failoverd_domain::ids::RunId;
use sqlx::{Connection, Executor, PgConnection};

use super::{START, Server, chain, contradicts, fleet, history_at, seqs};

/// What every history does whose old events may go. `make` gives a new and empty one of fleet `prod`.
async fn conformance<H: History + Retention>(mut make: impl AsyncFnMut() -> Arc<H>) {
    removes_the_oldest_and_goes_on(make().await.as_ref()).await;
    spares_open_runs_and_the_newest_event(make().await.as_ref()).await;
    removes_a_bounded_number_at_a_time(make().await.as_ref()).await;
}

async fn removes_the_oldest_and_goes_on<H: History + Retention>(history: &H) {
    let before = START.plus_ms(5_000);
    assert_eq!(history.newest_at().await.unwrap(), None);
    assert_eq!(history.remove_oldest(before, &[]).await.unwrap(), Removed::default());
    let events = chain(&EventHead::default(), 12);
    history.append(&events[..10]).await.unwrap();
    assert_eq!(history.newest_at().await.unwrap(), Some(events[9].at));

    assert_eq!(history.remove_oldest(before, &[]).await.unwrap(), Removed { events: 4, more: false });
    assert_eq!(history.remove_oldest(before, &[]).await.unwrap(), Removed::default());
    assert_eq!(seqs(&history.range(1, 100).await.unwrap()), [5, 6, 7, 8, 9, 10]);
    let Verified { anchor: Some(Anchor { seq, hash, .. }), head } = history.verify().await.unwrap() else {
        panic!("no anchor")
    };
    assert_eq!((seq, hash, head.seq), (4, events[3].hash.clone(), 10));

    history.append(&events).await.unwrap();
    assert_eq!(history.remove_oldest(START.plus_ms(8_000), &[]).await.unwrap().events, 3);
    let verified = history.verify().await.unwrap();
    assert_eq!((verified.events(), verified.head.seq, verified.head.hash), (5, 12, events[11].hash.clone()));
}

async fn spares_open_runs_and_the_newest_event<H: History + Retention>(history: &H) {
    history.append(&chain(&EventHead::default(), 12)).await.unwrap();
    let (late, run) = (START.plus_ms(1_000_000), RunId::from("checkout-1"));
    assert_eq!(history.remove_oldest(late, &[run]).await.unwrap().events, 6, "event 7 is the open run's first");
    assert_eq!(history.remove_oldest(late, &[RunId::from("checkout-9")]).await.unwrap().events, 5);
    assert_eq!(seqs(&history.range(1, 100).await.unwrap()), [12]);
    assert_eq!(history.verify().await.unwrap().events(), 1);
}

async fn removes_a_bounded_number_at_a_time<H: History + Retention>(history: &H) {
    history.append(&chain(&EventHead::default(), 5_000)).await.unwrap();
    let before = START.plus_ms(4_501_000);
    let first = history.remove_oldest(before, &[]).await.unwrap();
    assert!(first.more && first.events < 4_500, "{first:?}");
    let mut removed = first.events;
    loop {
        let next = history.remove_oldest(before, &[]).await.unwrap();
        removed += next.events;
        if !next.more {
            break;
        }
    }
    assert_eq!(removed, 4_500);
    assert_eq!(history.verify().await.unwrap().events(), 500);
}

#[tokio::test]
async fn memory_conforms() {
    conformance(async || Arc::new(MemoryHistory::new(fleet()))).await;
}

#[tokio::test]
async fn postgres_conforms() {
    let server = Server::start().await;
    conformance(async || Arc::new(history_at(&server.database().await, "prod"))).await;
    server.postgres.stop().await;
}

#[test]
fn a_month_is_kept_whatever_anybody_says() {
    assert_eq!(LEAST_KEPT.as_secs(), 31 * 86_400);
}

/// Twelve events of which retention took four, and somebody with rights on the database.
async fn shortened(server: &Server) -> (super::PostgresHistory, PgConnection, Vec<HistoryEvent>) {
    let url = server.database().await;
    let history = history_at(&url, "prod");
    let events = chain(&EventHead::default(), 12);
    history.append(&events).await.unwrap();
    history.remove_oldest(START.plus_ms(5_000), &[]).await.unwrap();
    let mut person = PgConnection::connect(&url).await.unwrap();
    for change in [
        "delete from history_event where seq = 5",
        "delete from history_anchor",
        "update history_anchor set seq = 5",
        "truncate history_anchor",
    ] {
        assert!(person.execute(change).await.is_err(), "{change} went through");
    }
    assert_eq!(history.verify().await.unwrap().events(), 8);
    person.execute("set failoverd.allow_change = 'on'").await.unwrap();
    (history, person, events)
}

#[tokio::test]
async fn a_row_that_is_gone_or_changed_after_the_anchor_is_named() {
    let server = Server::start().await;
    let (history, mut person, _) = shortened(&server).await;
    person.execute("delete from history_event where seq = 9").await.unwrap();
    contradicts(history.verify().await, "event 9 is missing");
    let change = "update history_event set event = replace(event, 'event 7', 'event 8') where seq = 7";
    person.execute(change).await.unwrap();
    contradicts(history.verify().await, "event 7 was changed");
    person.execute("delete from history_event where seq = 5").await.unwrap();
    contradicts(history.verify().await, "event 5 is missing");
    contradicts(history.remove_oldest(START.plus_ms(100_000), &[]).await, "event 5 is missing");
    assert_eq!(seqs(&history.range(1, 100).await.unwrap()).len(), 6, "what does not verify is not removed");
}

#[tokio::test]
async fn a_forged_anchor_is_named() {
    let server = Server::start().await;
    let (history, mut person, _) = shortened(&server).await;
    person.execute("update history_anchor set hash = repeat('0', 64)").await.unwrap();
    contradicts(history.verify().await, "event 5 does not follow from the anchor that retention left at event 4");

    let (history, mut person, events) = shortened(&server).await;
    person.execute("delete from history_event where seq < 8").await.unwrap();
    contradicts(history.verify().await, "event 5 is missing");
    person.execute("insert into history_anchor (seq, hash, removed) values (7, 'made up', 7)").await.unwrap();
    contradicts(history.verify().await, "event 8 does not follow from the anchor");

    let (history, mut person, _) = shortened(&server).await;
    let beyond = format!("insert into history_anchor (seq, hash, removed) values (9, '{}', 9)", events[8].hash);
    person.execute(sqlx::AssertSqlSafe(beyond)).await.unwrap();
    contradicts(history.verify().await, "event 5 is there, although retention");

    let (history, mut person, _) = shortened(&server).await;
    person.execute("delete from history_anchor").await.unwrap();
    contradicts(history.verify().await, "event 1 is missing");
}

#[tokio::test]
async fn retention_during_verification_is_no_fault() {
    let server = Server::start().await;
    let history = history_at(&server.database().await, "prod");
    history.append(&chain(&EventHead::default(), 9_000)).await.unwrap();
    let removing = async { while history.remove_oldest(START.plus_ms(8_500_000), &[]).await.unwrap().more {} };
    let verifying = async {
        for _ in 0..6 {
            assert_eq!(history.verify().await.unwrap().head.seq, 9_000);
        }
    };
    tokio::join!(removing, verifying);
    assert_eq!(history.verify().await.unwrap().anchor.unwrap().seq, 8_499);
}

/// A database that was lost is begun anew where the others' histories begin: docs/history.md.
#[tokio::test]
async fn an_empty_database_goes_on_from_a_copied_anchor() {
    let server = Server::start().await;
    let (_, mut old, events) = shortened(&server).await;
    let row: (i64, String, i64) =
        sqlx::query_as("select seq, hash, removed from history_anchor").fetch_one(&mut old).await.unwrap();
    let url = server.database().await;
    let history = history_at(&url, "prod");
    assert_eq!(history.head().await.unwrap(), EventHead::default());
    let mut new = PgConnection::connect(&url).await.unwrap();
    let copy = sqlx::query("insert into history_anchor (seq, hash, removed) values ($1, $2, $3)");
    copy.bind(row.0).bind(row.1).bind(row.2).execute(&mut new).await.unwrap();
    assert_eq!(history.head().await.unwrap().seq, 4);
    history.append(&events[4..]).await.unwrap();
    assert_eq!(history.verify().await.unwrap().events(), 8);
}
