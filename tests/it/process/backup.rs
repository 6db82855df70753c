//! Every disk of the fleet is lost: a person restores it from a backup, and says where its service is.

use std::fs;

use failoverd::adapters::postgres::{Limits, PostgresHistory};
use failoverd::ports::History;
use failoverd_domain::fleet::{Backup, HistoryEvent};
use failoverd_domain::format::Format;
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use super::bound::{seconds, within};
use super::databases;
use super::fleet::{Daemon, Fleet, REGIONS};
use super::history::same_and_whole;
use super::recovery::{failoverctl, recover};

/// The daemon that the fleet is restored on: a member, with its history.
const ON: usize = 1;
const OTHERS: [usize; 2] = [0, 2];

/// A fleet with a service, the backup of it, the file and its text, and the newest revision, at which a switch was turned
/// after the backup. Everybody is dead, and the disks are gone.
struct Lost {
    fleet: Fleet,
    file: String,
    backup: Backup,
    revisions: Vec<u64>,
    history: Vec<HistoryEvent>,
}

async fn lost() -> Lost {
    let mut fleet = Fleet::formed().await;
    let mut revisions = vec![fleet.apply_checkout().await];
    fleet.applied(revisions[0]).await;
    // From then on nothing is agreed on but what is asked for here.
    within(seconds(20), "it is on record where each daemon answers checkers", || async {
        let events = history_of(&fleet.daemons[ON]).range(1, 10_000).await.ok()?;
        let of_daemons = events.iter().filter(|event| event.message.contains("answers Route 53's checkers"));
        (of_daemons.count() == REGIONS.len()).then_some(())
    })
    .await;

    let file = fleet.daemons[0].data.with_file_name("fleet.backup").display().to_string();
    let (code, text) = failoverctl(&fleet.daemons[2], &["fleet", "backup", "--out", &file, "-o", "json"]);
    assert_eq!(code, Some(0), "{text}");
    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&said["fleet"], &said["services"], &said["generation"]), (&"test".into(), &1.into(), &0.into()));
    let backup = Backup::read(&fs::read(&file).unwrap(), Format::NEWEST).unwrap();
    assert!(backup.about.index.0 >= revisions[0] && backup.about.taken_by.as_str() == REGIONS[2]);
    assert!(!fleet.daemons[2].logged().contains(&token(&backup)) && !text.contains(&token(&backup)), "a secret");
    let (code, text) = failoverctl(&fleet.daemons[2], &["fleet", "backup", "--out", &file]);
    assert!(code == Some(3) && text.contains("is not overwritten"), "{text}");

    // What the backup does not know.
    let (code, text) = failoverctl(&fleet.daemons[0], &["switch", "set", "checkout", "eu-west-1", "on", "--yes"]);
    assert_eq!(code, Some(0), "{text}");
    revisions.push(fleet.daemons[0].set_paused(true).await.unwrap());
    revisions.push(fleet.daemons[0].set_paused(false).await.unwrap());
    fleet.applied(revisions[2]).await;
    assert_eq!(answer(&fleet.daemons[ON], &backup).await, (200, "switch=off".to_owned()));
    let history = same_and_whole(&fleet, &revisions).await;
    fleet.daemons.iter_mut().for_each(Daemon::kill);

    let (code, text) = recover(&fleet.daemons[ON], &["--from", &file, "--yes", "test"]);
    assert!(code == Some(1) && text.contains("knows more than any backup"), "while there is a disk: {text}");
    for daemon in &fleet.daemons {
        fs::remove_dir_all(&daemon.data).unwrap();
    }
    Lost { fleet, file, backup, revisions, history }
}

/// What checkers ask for.
fn token(backup: &Backup) -> String {
    backup.state.switches["checkout"].bits["us-east-1"].token.clone()
}

async fn answer(daemon: &Daemon, backup: &Backup) -> (u16, String) {
    daemon.checker(&format!("/s/{}", token(backup))).await.unwrap()
}

fn history_of(daemon: &Daemon) -> PostgresHistory {
    PostgresHistory::connect(daemon.database.as_ref().unwrap().parse().unwrap(), "test".into(), Limits::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_whose_disks_are_all_lost_is_restored_and_becomes_three_again() {
    let Lost { mut fleet, file, backup, mut revisions, history } = lost().await;
    let known = backup.about.seq;

    let damaged = format!("{file}.damaged");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let (code, text) = recover(&fleet.daemons[ON], &["--from", &damaged]);
    assert!(code == Some(1) && text.contains("is damaged"), "{text}");
    let (code, text) = recover(&fleet.daemons[2], &["--from", &file]);
    assert!(code == Some(2) && text.contains("--history URL"), "a witness has no history of its own: {text}");
    let urls = [0, 1].map(|member| fleet.daemons[member].database.clone().unwrap());
    let both = ["--from", &file, "--history", &urls[0], "--history", &urls[1]];
    let (code, text) = recover(&fleet.daemons[2], &both);
    assert!(code == Some(2) && text.contains("switch checkout: eu-west-1 serves"), "with those of others: {text}");
    assert!(!text.contains(&urls[0]), "an address may hold a password: {text}");
    let other = fleet.daemons[ON].config.with_extension("other.yaml");
    let config = fs::read_to_string(&fleet.daemons[ON].config).unwrap();
    fs::write(&other, config.replacen("fleet: test", "fleet: prod", 1)).unwrap();
    let config = std::mem::replace(&mut fleet.daemons[ON].config, other);
    let (code, text) = recover(&fleet.daemons[ON], &["--from", &file]);
    assert!(code == Some(1) && text.contains("it is of fleet test"), "{text}");
    fleet.daemons[ON].config = config;
    let (code, text) = recover(&fleet.daemons[ON], &["--from", &file, "--generation", "0"]);
    assert!(code == Some(2) && text.contains("--generation must be above it"), "{text}");

    let (code, text) = recover(&fleet.daemons[ON], &["--from", &file, "--generation", "7"]);
    assert_eq!(code, Some(2), "{text}");
    for said in [
        "a backup of fleet test, made by us-west-2",
        "service checkout: epoch 1, us-east-1 served then",
        "switch checkout: eu-west-1 serves",
        "dig +short TXT _failoverd.checkout.",
        "--yes test",
    ] {
        assert!(text.contains(said), "{said} is not in {text}");
    }
    assert!(!fleet.daemons[ON].data.join("consensus.redb").exists(), "looking makes no disk");
    let (code, text) = recover(&fleet.daemons[ON], &["--from", &file, "--yes", "test"]);
    assert!(code == Some(0) && text.contains("fleet confirm checkout --serves REGION"), "{text}");

    fleet.daemons[ON].start();
    assert_eq!(fleet.leader().await, ON);
    fleet.daemons[ON].until_caught_up().await;
    let seen = fleet.daemons[ON].seen().await.unwrap();
    assert_eq!((seen.paused, seen.services.len()), (true, 1));
    assert!(seen.generation > 202_600_000_000, "{}: the minute of now", seen.generation);
    assert_eq!(answer(&fleet.daemons[ON], &backup).await.0, 404, "silence, not what the backup says");

    let generation = seen.generation.to_string();
    for other in OTHERS {
        fleet.daemons[other].start_with(&["--join", &generation]);
        within(seconds(60), "it is let in", || async {
            let (code, text) = failoverctl(&fleet.daemons[ON], &["fleet", "replace", REGIONS[other], "--yes"]);
            println!("{text}");
            (code == Some(0)).then_some(())
        })
        .await;
        fleet.daemons[other].until_caught_up().await;
        assert_eq!(answer(&fleet.daemons[other], &backup).await.0, 404);
    }

    let (code, text) = failoverctl(&fleet.daemons[0], &["resume"]);
    assert!(code == Some(3) && text.contains("UNCONFIRMED"), "{text}");
    let (code, text) = failoverctl(&fleet.daemons[0], &["failover", "checkout", "--yes"]);
    assert!(code == Some(3) && text.contains("failoverctl fleet confirm checkout"), "{text}");
    let place = ["fleet", "confirm", "checkout", "--serves", "eu-west-1", "--yes"];
    let (code, text) = failoverctl(&fleet.daemons[0], &place);
    assert_eq!(code, Some(0), "{text}");
    within(seconds(20), "every daemon says where it is", || async {
        for daemon in &fleet.daemons {
            (answer(daemon, &backup).await == (200, "switch=off".to_owned())).then_some(())?;
        }
        Some(())
    })
    .await;
    revisions.push(fleet.daemons[0].set_paused(false).await.unwrap());

    // One unbroken history, in both Regions: what the lost fleet agreed on, and what the new one does.
    let events = same_and_whole(&fleet, &revisions).await;
    assert_eq!(events[..history.len()], history, "nothing of it was changed");
    let restored = &events[history.len()];
    assert!(restored.message.contains("restored on eu-west-1 from a backup"), "{}", restored.message);
    assert_eq!(restored.data["unknown_events"], history.len() as u64 - known);
    for member in [0, 1] {
        let (code, text) = failoverctl(&fleet.daemons[member], &["history", "verify"]);
        assert_eq!(code, Some(0), "{text}");
    }
    // Any two of them agree.
    fleet.daemons[ON].kill();
    fleet.leader().await;
    within(seconds(20), "they go on", || async { fleet.daemons[0].set_paused(true).await.ok() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_was_not_read_is_left_as_it_is_and_a_new_one_begins_from_its_copy() {
    let Lost { mut fleet, file, backup, history, .. } = lost().await;
    let (code, text) = recover(&fleet.daemons[ON], &["--from", &file, "--without-history", "--yes", "test"]);
    assert!(code == Some(0) && text.contains("No history was read"), "{text}");
    fleet.daemons[ON].start();
    assert_eq!(fleet.leader().await, ON);
    within(seconds(30), "it says that this is another past", || async {
        fleet.daemons[ON]
            .logged()
            .contains("went on in a fleet that was recovered or restored without it")
            .then_some(())
    })
    .await;
    let old = history_of(&fleet.daemons[ON]);
    assert_eq!(old.range(1, 10_000).await.unwrap(), history, "nothing was written, and nothing overwritten");
    let (code, text) = failoverctl(&fleet.daemons[ON], &["history", "verify"]);
    assert_eq!(code, Some(1), "nobody takes it for this fleet's: {text}");
    // What the new fleet agrees on meanwhile waits on its disk, though the database has events of those numbers.
    let waiting = fleet.daemons[ON].set_paused(true).await.unwrap();
    fleet.daemons[ON].kill();

    // docs/history.md: a new database, with what the backup knew.
    let mut connection = new_database(&mut fleet.daemons[ON], "copied").await;
    for event in history.iter().filter(|event| event.seq <= backup.about.seq) {
        sqlx::query("insert into history_event (seq, event) values ($1, $2)")
            .bind(i64::try_from(event.seq).unwrap())
            .bind(serde_json::to_string(event).unwrap())
            .execute(&mut connection)
            .await
            .unwrap();
    }
    goes_on(&mut fleet, waiting).await;
    let restored = history_of(&fleet.daemons[ON]).range(backup.about.seq + 1, 10_000).await.unwrap();

    // And where nobody has those any more: an empty one that begins behind them.
    let mut connection = new_database(&mut fleet.daemons[ON], "anchored").await;
    let (seq, hash) = (i64::try_from(backup.about.seq).unwrap(), &backup.state.head.hash);
    let anchored = sqlx::query("insert into history_anchor (seq, hash, removed) values ($1, $2, $1)");
    anchored.bind(seq).bind(hash).execute(&mut connection).await.unwrap();
    history_of(&fleet.daemons[ON]).append(&restored).await.unwrap();
    goes_on(&mut fleet, waiting).await;
}

/// Gives a stopped daemon another database, in which there are only tables.
async fn new_database(daemon: &mut Daemon, name: &str) -> PgConnection {
    let url = databases::shared().new_database(&format!("{name}_{}", daemon.ports.grpc)).await;
    let before = fs::read_to_string(&daemon.config).unwrap();
    let after = before.replace(daemon.database.as_deref().unwrap(), &url);
    assert_ne!(before, after);
    fs::write(&daemon.config, after).unwrap();
    daemon.database = Some(url.clone());
    history_of(daemon).head().await.unwrap();
    PgConnection::connect(&url).await.unwrap()
}

/// Starts it; its history is whole, and has the event of that revision. Stops it.
async fn goes_on(fleet: &mut Fleet, revision: u64) {
    fleet.daemons[ON].start();
    assert_eq!(fleet.leader().await, ON);
    let daemon = &fleet.daemons[ON];
    within(seconds(30), "its history goes on", || async {
        let events = history_of(daemon).range(1, 10_000).await.ok()?;
        events.iter().any(|event| event.index.0 == revision).then_some(())
    })
    .await;
    within(seconds(20), "it is whole", || async {
        (failoverctl(daemon, &["history", "verify"]).0 == Some(0)).then_some(())
    })
    .await;
    fleet.daemons[ON].kill();
}
