//! What people find with psql: the views say what the fleet did, and find one run or service by an index.

use failoverd::ports::History;
use failoverd::sim::fleet::{EU_WEST, Shop, US_EAST, region};
use failoverd_domain::fleet::{HistoryEvent, Run, RunState};
use failoverd_domain::time::Timestamp;
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::{Server, history_at};
use crate::outages::{newest_run, run_is, seconds, steady};
use crate::simulation::virtually;

/// What a fleet wrote when its Region broke, and the run that moved its service.
fn a_failover() -> (Vec<HistoryEvent>, Run) {
    virtually(41, async {
        let mut fleet = steady(41, Shop::default()).await;
        fleet.break_region(&region(US_EAST)).await;
        assert!(fleet.until(seconds(300), |fleet| run_is(fleet, RunState::Succeeded)).await);
        fleet.run_for(seconds(5)).await;
        let run = newest_run(&fleet).unwrap();
        (fleet.history(&region(EU_WEST)).unwrap().events(), run)
    })
}

async fn recorded(server: &Server, events: &[HistoryEvent]) -> PgConnection {
    let url = server.database().await;
    history_at(&url, events[0].fleet.as_str()).append(events).await.unwrap();
    PgConnection::connect(&url).await.unwrap()
}

fn at(time: Option<DateTime<Utc>>) -> Option<Timestamp> {
    time.map(Timestamp::from_utc)
}

#[tokio::test]
async fn a_run_reads_as_it_went() {
    let (events, run) = std::thread::spawn(a_failover).join().unwrap();
    let server = Server::start().await;
    let mut person = recorded(&server, &events).await;
    let id = run.id.as_str();

    let row = sqlx::query("select * from history_run where run = $1").bind(id).fetch_one(&mut person).await.unwrap();
    let text = |name| row.get::<Option<String>, _>(name).unwrap_or_default();
    assert_eq!(text("service"), run.service.as_str());
    assert_eq!(
        (text("trigger"), text("mode"), text("state")),
        ("automatic".into(), "forced".into(), "succeeded".into())
    );
    assert_eq!((text("from_region"), text("to_region")), (US_EAST.to_owned(), EU_WEST.to_owned()));
    assert_eq!((text("movement"), text("plan_hash")), ("failover".into(), run.plan.hash()));
    assert_eq!(text("verdict"), run.verdict.clone().unwrap());
    assert!(text("actor").starts_with("daemon:"));
    assert_eq!(row.get::<Option<i64>, _>("rto_ms").map(i64::unsigned_abs), run.rto_ms());
    assert_eq!(at(row.get("decided_at")), Some(run.decided_at));
    assert_eq!(at(row.get("started_at")), run.started_at);
    assert_eq!(at(row.get("finished_at")), run.finished_at);

    let steps = sqlx::query("select * from history_step where run = $1 order by position").bind(id);
    let steps = steps.fetch_all(&mut person).await.unwrap();
    assert_eq!(steps.len(), run.plan.steps.len());
    for (row, step) in steps.iter().zip(&run.plan.steps) {
        let progress = run.progress(&step.name);
        assert_eq!(row.get::<String, _>("step"), step.name.as_str());
        assert_eq!(row.get::<String, _>("state"), progress.state.word(), "{}", step.name);
        assert_eq!(row.get::<i64, _>("attempts").unsigned_abs(), u64::from(progress.attempts), "{}", step.name);
        assert_eq!(at(row.get("finished_at")), progress.finished_at, "{}", step.name);
    }
    let attempts: i64 = steps.iter().map(|row| row.get::<i64, _>("attempts")).sum();
    let listed = sqlx::query("select * from history_attempt where run = $1").bind(id);
    let listed = listed.fetch_all(&mut person).await.unwrap();
    assert_eq!(listed.len(), usize::try_from(attempts).unwrap());
    let promoted = listed.iter().find(|row| row.get::<String, _>("step").starts_with("promote/")).unwrap();
    assert_eq!(promoted.get::<String, _>("state"), "succeeded");
    assert!(promoted.get::<DateTime<Utc>, _>("intended_at") <= promoted.get::<DateTime<Utc>, _>("ended_at"));

    let guards = "select guard, ok, reason from history_guard where run = $1 order by guard";
    let guards: Vec<(String, bool, String)> = sqlx::query_as(guards).bind(id).fetch_all(&mut person).await.unwrap();
    assert_eq!(guards.len(), run.guards.len());
    assert!(guards.iter().any(|(guard, ok, _)| guard == "quorum" && *ok), "{guards:?}");
    let seen = "select diagnosis, observer, status from history_observation where run = $1";
    let seen: Vec<(String, String, String)> = sqlx::query_as(seen).bind(id).fetch_all(&mut person).await.unwrap();
    assert!(
        seen.iter().any(|(diagnosis, observer, status)| {
            diagnosis == "region-down" && observer == EU_WEST && status == "bad"
        })
    );

    let whole = "select count(*), min(message), max(hash) from history where fleet is not null and log_index > 0";
    let whole: (i64, String, String) = sqlx::query_as(whole).fetch_one(&mut person).await.unwrap();
    assert_eq!(whole.0, i64::try_from(events.len()).unwrap());
    let actors = "select sum(events)::bigint from history_actor where actor like 'daemon:%' or actor like 'operator:%'";
    let actors: i64 = sqlx::query_scalar(actors).fetch_one(&mut person).await.unwrap();
    assert_eq!(actors, whole.0);
}

/// Kinds of events that a newer daemon writes are rows like others.
#[tokio::test]
async fn approvals_and_drills_are_found() {
    let server = Server::start().await;
    let url = server.database().await;
    history_at(&url, "prod").head().await.unwrap();
    let mut person = PgConnection::connect(&url).await.unwrap();
    let drill = |phase: &str, verdict: &str| {
        format!(
            r#"{{"drill":"monthly","service":"checkout","kind":"switchover","phase":"{phase}","verdict":{verdict}}}"#
        )
    };
    let events = [
        ("drill-opened", r#""drill":"monthly.3","#, "operator:alice", drill("approval", "null")),
        ("approved", r#""drill":"monthly.3","#, "operator:bob", "null".to_owned()),
        ("drill-phase", r#""drill":"monthly.3","#, "daemon:eu-west-1", drill("hold", "null")),
        ("drill-finished", r#""drill":"monthly.3","#, "daemon:eu-west-1", drill("done", r#""passed""#)),
        ("drill-opened", r#""drill":"monthly.4","#, "daemon:eu-west-1", drill("steady", "null")),
        ("drill-missed", "", "daemon:eu-west-1", drill("", "null")),
        ("drill-phase", r#""drill":"monthly.5","#, "daemon:eu-west-1", "7".to_owned()),
    ];
    for (seq, (kind, drill, actor, data)) in (1..).zip(events) {
        let event = format!(
            r#"{{"seq":{seq},"index":{seq},"at":{seq}000,"fleet":"prod","service":"checkout","run":null,{drill}"kind":"{kind}","region":null,"actor":"{actor}","message":"event {seq}","data":{data},"hash":""}}"#
        );
        let insert = sqlx::query("insert into history_event (seq, event) values ($1, $2)");
        insert.bind(i64::from(seq)).bind(event).execute(&mut person).await.unwrap();
    }
    let approvals = "select drill, actor, message from history_approval where service = 'checkout'";
    let approvals: Vec<(String, String, String)> = sqlx::query_as(approvals).fetch_all(&mut person).await.unwrap();
    assert_eq!(approvals, [("monthly.3".into(), "operator:bob".into(), "event 2".into())]);
    type Drill = (Option<String>, Option<String>, Option<String>, String, Option<String>, bool);
    let drills = "select drill, name, kind, phase, verdict, finished_at is not null from history_drill \
                  where service = 'checkout' order by seq";
    let drills: Vec<Drill> = sqlx::query_as(drills).fetch_all(&mut person).await.unwrap();
    let some = |text: &str| Some(text.to_owned());
    let named = |drill, phase: &str, verdict, finished| {
        (drill, some("monthly"), some("switchover"), phase.to_owned(), verdict, finished)
    };
    assert_eq!(
        drills,
        [
            named(some("monthly.3"), "finished", some("passed"), true),
            named(some("monthly.4"), "steady", None, false),
            named(None, "missed", None, false),
            (some("monthly.5"), None, None, "opened".to_owned(), None, false),
        ]
    );
    let second =
        "insert into history_event (seq, event) values (9, '{\"seq\":8,\"at\":1,\"kind\":\"switch\",\"actor\":\"x\"}')";
    person.execute(second).await.expect_err("a row whose number is not its event's");
}

/// Runs and drills of two hundred other services: few rows are best read from end to end, whatever the indexes.
const OTHERS: &str = r#"insert into history_event (seq, event)
    select g, format('{"seq":%s,"index":1,"at":%s000,"fleet":"prod","service":"other-%s","run":"other-%s","drill":"other-%s","kind":"%s","region":null,"actor":"daemon:eu-west-1","message":"","data":{"plan":{"steps":[]}},"hash":""}',
        g, g, g % 200, g / 5, g / 5, (array['decided', 'started', 'step-intent', 'approved', 'drill-opened'])[g % 5 + 1])"#;

#[tokio::test]
async fn one_run_and_one_service_are_found_by_an_index() {
    let (events, run) = std::thread::spawn(a_failover).join().unwrap();
    let server = Server::start().await;
    let mut person = recorded(&server, &events).await;
    person
        .execute(AssertSqlSafe(format!("{OTHERS} from generate_series({}, 40000) g", events.len() + 1)))
        .await
        .unwrap();
    person.execute("analyze history_event").await.unwrap();
    let by_run = ["history", "history_run", "history_step", "history_attempt", "history_guard", "history_observation"];
    let by_service = ["history_approval", "history_actor", "history_drill"].into_iter().chain(by_run);
    let asked = by_run.map(|view| (view, "run", run.id.as_str())).into_iter();
    let asked = asked.chain(by_service.map(|view| (view, "service", run.service.as_str())));
    for (view, column, value) in asked.chain([("history_drill", "drill", "x"), ("history_approval", "run", "x")]) {
        let explain = AssertSqlSafe(format!("explain select * from {view} where {column} = '{value}'"));
        let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut person).await.unwrap();
        let plan = plan.join("\n");
        assert!(!plan.contains("Seq Scan"), "{view} by {column}:\n{plan}");
        let by_index = plan
            .lines()
            .any(|line| line.contains("Index Cond") && line.contains(&format!("{column} = '{value}'::text")));
        assert!(by_index, "{view} by {column}:\n{plan}");
    }
}
