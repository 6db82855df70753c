//! History in both members' databases: whole, equal and exactly once, whatever was killed.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use failoverd::adapters::postgres::{Limits, PostgresHistory};
use failoverd::ports::History;
use failoverd::sandbox::postgres::PrivatePostgres;
use failoverd_domain::fleet::HistoryEvent;
use sqlx::{Connection, PgConnection};

use super::bound::{seconds, within};
use super::fleet::{Daemon, Fleet, MEMBERS};
use crate::ports;

/// Both members' histories hold the same unbroken chain, in which every one of `revisions` is recorded.
pub async fn same_and_whole(fleet: &Fleet, revisions: &[u64]) -> Vec<HistoryEvent> {
    let newest = revisions.iter().copied().max().unwrap_or_default();
    let mut both = Vec::new();
    for member in MEMBERS {
        let url = fleet.daemons[member].database.as_deref().unwrap();
        let history = PostgresHistory::connect(url.parse().unwrap(), "test".into(), Limits::default());
        let what = format!("{}'s history reaches revision {newest}", fleet.daemons[member].region);
        let events = within(seconds(30), &what, || async {
            let events = history.range(1, 10_000).await.ok()?;
            events.last().is_some_and(|event| event.index.0 >= newest).then_some(events)
        })
        .await;
        let head = history.verify().await.unwrap().head;
        assert!(head.seq >= events.last().unwrap().seq);
        both.push(events);
    }
    let shorter = both.iter().map(Vec::len).min().unwrap();
    assert_eq!(both[0][..shorter], both[1][..shorter], "the two histories are one");
    let recorded: BTreeSet<u64> = both[0].iter().map(|event| event.index.0).collect();
    for revision in revisions {
        assert!(recorded.contains(revision), "revision {revision} was promised and is not in the history");
    }
    both.remove(0)
}

#[tokio::test]
async fn every_acknowledged_change_is_in_both_histories_once_after_kills() {
    let mut fleet = Fleet::formed().await;
    let mut acknowledged = vec![fleet.apply_checkout().await];
    for round in 0..3_u64 {
        let leader = fleet.leader().await;
        let asked = (leader + 1) % 3;
        for change in 0..5 {
            acknowledged.push(fleet.daemons[asked].set_paused((round + change).is_multiple_of(2)).await.unwrap());
        }
        fleet.daemons[leader].kill();
        acknowledged.push(acknowledged_in_the_end(&fleet.daemons[asked], round.is_multiple_of(2)).await);
        fleet.daemons[leader].start();
        fleet.applied(*acknowledged.last().unwrap()).await;
    }
    let events = same_and_whole(&fleet, &acknowledged).await;
    let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());

    let mut connection = PgConnection::connect(fleet.daemons[0].database.as_deref().unwrap()).await.unwrap();
    let by_hand: Vec<(i64, String)> =
        sqlx::query_as("select log_index, kind from history where service = 'checkout' order by seq")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert!(by_hand.iter().any(|(index, _)| u64::try_from(*index).unwrap() == acknowledged[0]), "{by_hand:?}");
}

/// What a killed leader may have been told just before is unknown and acknowledged by nobody: it is asked for again.
async fn acknowledged_in_the_end(asked: &Daemon, paused: bool) -> u64 {
    within(seconds(30), "a change is acknowledged without the killed leader", || async {
        match asked.set_paused(paused).await {
            Ok(revision) => Some(revision),
            Err(status) if status.code() == tonic::Code::Unknown => None,
            Err(status) => panic!("it is refused: {status}"),
        }
    })
    .await
}

#[tokio::test]
async fn a_postgres_that_is_killed_stops_nobody_and_catches_up_when_back() {
    let [port] = ports::free();
    let postgres = PrivatePostgres::start(&std::env::temp_dir(), port).await.unwrap();
    let urls = [postgres.database("first").await.unwrap(), postgres.database("second").await.unwrap()];
    let mut fleet = Fleet::prepared(tempfile::tempdir().unwrap(), &urls);
    fleet.start_all().await;
    let before = fleet.daemons[0].set_paused(true).await.unwrap();
    same_and_whole(&fleet, &[before]).await;

    let id = postgres.process_id().unwrap();
    let command = same_command(id);
    kill(id);
    let mut changes = vec![before];
    for change in 0..6_u64 {
        changes.push(fleet.daemons[2].set_paused(!change.is_multiple_of(2)).await.unwrap());
    }
    let leader = fleet.leader().await;
    fleet.daemons[leader].kill();
    fleet.daemons[leader].start();
    fleet.applied(*changes.last().unwrap()).await;

    // Nobody has asked yet how the killed one ended, so its number still looks taken.
    std::fs::remove_file(postgres.folder().join("data/postmaster.pid")).unwrap();
    let _again = restarted(command, &urls[0]).await;
    let events = same_and_whole(&fleet, &changes).await;
    assert!(events.len() >= changes.len());
}

fn kill(id: u32) {
    let id = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
}

/// The command by which this process was started, as the same user and in the same place.
fn same_command(id: u32) -> impl Fn() -> Command {
    let read = |what: &str| std::fs::read(format!("/proc/{id}/{what}")).unwrap();
    let parts = |bytes: Vec<u8>| -> Vec<String> {
        let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
        parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    };
    let (arguments, variables) = (parts(read("cmdline")), parts(read("environ")));
    let program = std::fs::read_link(format!("/proc/{id}/exe")).unwrap();
    let status = String::from_utf8(read("status")).unwrap();
    let number = |name: &str| -> u32 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let (user, group) = (number("Uid:"), number("Gid:"));
    move || {
        let mut command = Command::new(&program);
        command.args(&arguments[1..]).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.envs(variables.iter().filter_map(|variable| variable.split_once('=')));
        if rustix::process::geteuid().is_root() {
            command.uid(user).gid(group);
        }
        command.current_dir("/");
        command
    }
}

/// Killed when dropped.
struct Restarted(Child);

impl Drop for Restarted {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it until it stays: what the killed one left may be in its way for a moment.
async fn restarted(command: impl Fn() -> Command, url: &str) -> Restarted {
    let server = std::cell::RefCell::new(Restarted(command().spawn().unwrap()));
    within(seconds(30), "postgres is back", || async {
        if server.borrow_mut().0.try_wait().unwrap().is_some() {
            *server.borrow_mut() = Restarted(command().spawn().unwrap());
        }
        PgConnection::connect(url).await.ok().map(drop)
    })
    .await;
    server.into_inner()
}
