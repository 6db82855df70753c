//! The store against openraft's own conformance suite, and against crashes.

use std::collections::BTreeSet;

use failoverd_domain::ids::Region;
use openraft::StorageError;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use openraft::testing::{StoreBuilder, Suite};
use tokio::sync::watch;

use super::*;
use crate::consensus::disk::{Disk, FILE_NAME};
use crate::consensus::identity::Identity;
use crate::consensus::memory_disk::MemoryDisk;
use crate::consensus::types::{LogEntry, LogId, TypeConfig, Vote};

fn identity() -> Identity {
    Identity { fleet: "prod".into(), region: "us-east-1".into(), generation: Default::default() }
}

fn open(disk: &MemoryDisk) -> Store {
    Store::new(Disk::Memory(disk.clone()).open(&identity(), Format::NEWEST).unwrap()).unwrap()
}

fn machine(store: &Store) -> Machine {
    Machine::load(store.clone(), watch::channel(Arc::default()).0, None).unwrap()
}

struct OnFiles;

impl StoreBuilder<TypeConfig, LogStore, Machine, tempfile::TempDir> for OnFiles {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError<NodeId>> {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(Disk::Directory(directory.path().to_owned()).open(&identity(), Format::NEWEST).unwrap())
            .unwrap();
        Ok((directory, LogStore::new(store.clone(), 7), machine(&store)))
    }
}

#[test]
fn the_store_does_what_openraft_expects() {
    Suite::test_all(OnFiles).unwrap();
}

fn blank(index: u64) -> LogEntry {
    openraft::Entry { log_id: log_id(index), payload: openraft::EntryPayload::Blank }
}

fn log_id(index: u64) -> LogId {
    LogId::new(openraft::CommittedLeaderId::new(1, 7), index)
}

#[tokio::test]
async fn a_crash_keeps_votes_and_entries_that_were_promised() {
    let disk = MemoryDisk::new();
    let mut log = LogStore::new(open(&disk), 7);
    log.save_vote(&Vote::new(3, 7)).await.unwrap();
    log.append_synced((0..5).map(blank)).unwrap();
    log.save_committed(Some(log_id(4))).await.unwrap();
    disk.crash();
    assert!(log.save_vote(&Vote::new(4, 7)).await.is_err(), "what still runs of the dead daemon cannot write");

    let mut log = LogStore::new(open(&disk), 7);
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(3, 7)));
    assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(log_id(4)));
    assert_eq!(log.read_committed().await.unwrap(), None, "the commit position was not synced: an older one is true");
}

/// Power fails at every moment of some commits, and of what was under way any part is on the disk, pages cut in half among
/// it: everything that was promised is there, and what was not is there whole or not at all.
#[tokio::test]
async fn power_that_fails_in_the_middle_of_a_commit_takes_no_promise_back() {
    let mut in_the_middle = 0;
    for dies_after in 0..60 {
        for seed in 0..6 {
            let disk = MemoryDisk::new();
            let mut log = LogStore::new(open(&disk), 7);
            log.save_vote(&Vote::new(3, 7)).await.unwrap();
            log.append_synced((0..5).map(blank)).unwrap();
            disk.set_dying(dies_after);
            let (mut term, mut last) = (3, 4);
            let mut tried = (3, 4);
            for round in 0..4 {
                tried = (term + 1, last);
                if log.save_vote(&Vote::new(term + 1, 7)).await.is_err() {
                    break;
                }
                term += 1;
                tried = (term, last + 3);
                if log.append_synced((last + 1..=last + 3).map(blank)).is_err() {
                    break;
                }
                last += 3;
                // Promises nothing, and is not synced: whether it goes through does not matter.
                log.save_committed(Some(log_id(last - round))).await.unwrap_or_default();
            }
            in_the_middle += u64::from(tried != (term, last));
            drop(log);
            disk.crash_torn(seed);

            let mut log = LogStore::new(open(&disk), 7);
            let vote = log.read_vote().await.unwrap().map(|vote| vote.leader_id.term);
            let end = log.get_log_state().await.unwrap().last_log_id.map(|id| id.index);
            let found = (vote.unwrap_or_default(), end.unwrap_or_default());
            assert!(found == (term, last) || found == tried, "{found:?} of {:?} or {tried:?}", (term, last));
        }
    }
    assert!(in_the_middle > 100, "only {in_the_middle} of 360 commits were cut short");
}

/// Whatever of the file is lost, what was promised last is there, or the file is refused: never what was promised before.
#[test]
fn damage_never_makes_a_promise_of_before_the_newest_one() {
    const PAGE: usize = 4096;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let on = Disk::Directory(directory.path().to_owned());
    let store = Store::new(on.open(&identity(), Format::NEWEST).unwrap()).unwrap();
    let log = LogStore::new(store.clone(), 7);
    (0..40).for_each(|index| log.append_synced([blank(index)]).unwrap());
    // As `kill -9` leaves it: nothing is written on the way out.
    let whole = std::fs::read(&path).unwrap();
    store.close().unwrap();

    let mut refused = 0;
    for at in (0..whole.len()).step_by(PAGE) {
        let damages: [fn(&mut Vec<u8>, usize); 3] = [
            |bytes, at| bytes[at..at + PAGE].fill(0),
            |bytes, at| bytes[at + 40..at + 300].iter_mut().for_each(|byte| *byte ^= 0x10),
            |bytes, at| bytes.truncate(at),
        ];
        for damage in damages {
            let mut bytes = whole.clone();
            damage(&mut bytes, at);
            std::fs::write(&path, bytes).unwrap();
            match on.open(&identity(), Format::NEWEST) {
                Ok(opened) => {
                    let log = LogStore::new(Store::new(opened).unwrap(), 7);
                    assert_eq!(log.last().unwrap(), Some(log_id(39)), "damaged at {at} of {}", whole.len());
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn a_leader_that_restarts_leads_no_longer_and_a_follower_still_knows_whom_it_follows() {
    let disk = MemoryDisk::new();
    let mut log = LogStore::new(open(&disk), 7);
    log.save_vote(&Vote::new_committed(3, 7)).await.unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(3, 7)), "its vote for itself stays, its office does not");
    log.save_vote(&Vote::new_committed(4, 8)).await.unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new_committed(4, 8)));
}

#[test]
fn who_was_met_after_a_change_of_members_is_still_known_when_that_is_replayed() {
    let (disk, late) = (MemoryDisk::new(), Region::from("eu-west-1"));
    let without = || BTreeSet::from(["us-east-1".into()]);
    let met = Acquaintances::load(open(&disk)).unwrap();
    met.keep_only(7, without()).unwrap();
    assert!(met.recognise(&late, 5).unwrap());
    disk.crash();
    let met = Acquaintances::load(open(&disk)).unwrap();
    met.keep_only(7, without()).unwrap();
    assert_eq!(met.disk_of(&late), Some(5));
    assert!(!met.recognise(&late, 6).unwrap(), "an empty disk under its name is not listened to");
}

#[tokio::test]
async fn closing_in_order_keeps_what_was_not_synced() {
    let disk = MemoryDisk::new();
    let store = open(&disk);
    let mut log = LogStore::new(store.clone(), 7);
    log.append_synced((0..5).map(blank)).unwrap();
    log.save_committed(Some(log_id(4))).await.unwrap();
    store.close().unwrap();
    disk.crash();
    assert!(log.save_vote(&Vote::new(1, 7)).await.is_err(), "closed for all clones");
    let mut log = LogStore::new(open(&disk), 7);
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(4)));
}

#[tokio::test]
async fn long_logs_are_read_in_bites() {
    let mut log = LogStore::new(open(&MemoryDisk::new()), 7);
    log.append_synced((0..9).map(blank)).unwrap();
    let one = serde_json::to_vec(&blank(0)).unwrap().len();
    assert_eq!(log.entries(2..9, one * 3).unwrap().len(), 3);
    assert_eq!(log.entries(2..9, 1).unwrap().len(), 1, "never nothing, however large an entry is");
    log.purge(log_id(3)).await.unwrap();
    assert_eq!(log.entries(.., usize::MAX).unwrap().first().unwrap().log_id.index, 4);
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_not_a_promise() {
    let disk = MemoryDisk::new();
    let mut log = LogStore::new(open(&disk), 7);
    disk.set_full(true);
    let error = log.save_vote(&Vote::new(1, 7)).await.unwrap_err();
    assert!(error.to_string().contains("no space left"), "{error}");
}

#[tokio::test]
async fn an_installed_snapshot_survives_a_crash() {
    let mut there = machine(&open(&MemoryDisk::new()));
    there.apply((0..9).map(blank)).await.unwrap();
    let snapshot =
        openraft::RaftSnapshotBuilder::build_snapshot(&mut there.get_snapshot_builder().await).await.unwrap();

    let disk = MemoryDisk::new();
    let mut here = machine(&open(&disk));
    here.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
    disk.crash();
    let mut here = machine(&open(&disk));
    assert_eq!(here.applied_state().await.unwrap().0, Some(log_id(8)));
    assert!(here.get_current_snapshot().await.unwrap().is_some());
}

#[tokio::test]
async fn a_snapshot_that_makes_no_sense_is_refused() {
    let mut here = machine(&open(&MemoryDisk::new()));
    here.apply((0..3).map(blank)).await.unwrap();
    let nonsense = Box::new(std::io::Cursor::new(b"{".to_vec()));
    assert!(here.install_snapshot(&Default::default(), nonsense).await.is_err());
    assert_eq!(here.applied_state().await.unwrap().0, Some(log_id(2)), "the state is as it was");
}

#[tokio::test]
async fn an_older_snapshot_does_not_replace_a_newer_one() {
    let store = open(&MemoryDisk::new());
    let mut machine = machine(&store);
    machine.apply((0..3).map(blank)).await.unwrap();
    let mut early = machine.get_snapshot_builder().await;
    machine.apply((3..6).map(blank)).await.unwrap();
    let mut late = machine.get_snapshot_builder().await;
    openraft::RaftSnapshotBuilder::build_snapshot(&mut late).await.unwrap();
    openraft::RaftSnapshotBuilder::build_snapshot(&mut early).await.unwrap();
    let kept = machine.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(kept.meta.last_log_id, Some(log_id(5)));
}
