//! Every disk is lost, and one is made from a backup.

use std::time::Duration;

use failoverd_domain::fleet::{
    Actor, Backup, FleetState, HistoryEvent, Member, POSITIONS_PASSED_OVER, Restoring, Role, Since,
};
use failoverd_domain::format::Format;
use failoverd_domain::ids::{Generation, LogIndex, Region};
use failoverd_domain::time::Timestamp;

use super::fleet::{Fleet, REGIONS, pause, simulate};
use crate::consensus::{Disk, FILE_NAME, MemoryDisk, OpenError, RecoverError, Recovery, restore};
use crate::ports::{Agreement, Members};

const GENERATION: Generation = Generation(202_611_231_600);

/// What `region` begins with.
fn begun(backup: Backup, region: &Region) -> (FleetState, Vec<HistoryEvent>) {
    let mut state = backup.state;
    let since = Since::after(&state.head);
    let index = LogIndex(state.applied.0 + POSITIONS_PASSED_OVER);
    let (at, taken_at, actor) = (Timestamp(9), backup.about.taken_at, Actor::Operator("alice".into()));
    let how = Restoring { index, at, actor: &actor, on: region, generation: GENERATION, taken_at, since: &since };
    let events = state.restore(&how);
    (state, events)
}

fn backup_of(state: &FleetState) -> Backup {
    Backup::of(state.clone(), 5, Timestamp(7), REGIONS[2].into(), "0.1.0")
}

#[test]
fn a_fleet_of_which_every_disk_is_lost_goes_on_from_a_backup_and_becomes_three_again() {
    for seed in 0..3 {
        simulate(seed, async {
            let mut fleet = Fleet::formed(seed).await;
            for _ in 0..30 {
                fleet.commit(pause()).await;
            }
            fleet.settle().await;
            let on = Region::from(REGIONS[(seed % 3) as usize]);
            let backup = backup_of(&fleet.running[&on].state().borrow().clone());
            fleet.commit(pause()).await;
            let old = fleet.disks.clone();
            for region in REGIONS.map(Region::from) {
                fleet.crash(&region).await;
                fleet.disks.insert(region, MemoryDisk::new());
            }

            let (state, events) = begun(backup, &on);
            let disk = Disk::Memory(fleet.disks[&on].clone());
            restore(&disk, &on, Format::NEWEST, 5, &state, &events).unwrap();
            fleet.start(&on).await.unwrap();
            assert_eq!(fleet.leader().await, on);
            fleet.commit(pause()).await;
            let now = fleet.running[&on].state().borrow().clone();
            assert_eq!((now.generation, now.paused, now.head.seq), (GENERATION, true, 33), "seed {seed}");
            assert!(now.applied.0 > POSITIONS_PASSED_OVER);
            assert_eq!(fleet.seqs(&on).await, [32, 33], "what came before is in histories, if anywhere");

            // One of the old fleet turns up with the disk that it had: nobody listens to it.
            let [first, second] = Fleet::others(&on);
            let fresh = fleet.disks.insert(first.clone(), old[&first].clone()).unwrap();
            fleet.start(&first).await.unwrap();
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert!(!fleet.running[&first].leadership().borrow().caught_up);
            assert_eq!(fleet.leader().await, on);
            fleet.crash(&first).await;
            fleet.disks.insert(first.clone(), fresh);

            for region in [&first, &second] {
                fleet.joins.insert(region.clone(), GENERATION);
                fleet.start(region).await.unwrap();
                fleet.running[&on].replace(region).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            }
            fleet.commit(pause()).await;
            fleet.settle().await;
            fleet.crash(&on).await;
            fleet.commit(pause()).await;
            // And the one that was restored comes back as any other.
            fleet.start(&on).await.unwrap();
            fleet.settle().await;
            assert_eq!(fleet.running[&on].state().borrow().head.seq, 35);
        });
    }
}

#[test]
fn a_disk_is_made_whole_or_not_at_all_and_never_in_the_place_of_another() {
    let on = Region::from(REGIONS[0]);
    let members = [(on.clone(), Member { role: Role::Member, switch: None })].into();
    let state = FleetState { fleet: "prod".into(), members, ..FleetState::default() };
    let (state, events) = begun(backup_of(&state), &on);
    let folder = tempfile::tempdir().unwrap();
    // What an earlier try left that was killed on its way.
    std::fs::create_dir(folder.path().join("restoring")).unwrap();
    std::fs::write(folder.path().join("restoring").join(FILE_NAME), b"half").unwrap();
    let disk = Disk::Directory(folder.path().to_owned());
    let look = || Recovery::open(&disk, &"prod".into(), &on, Format::NEWEST);
    assert!(matches!(look().err().unwrap(), RecoverError::Disk(OpenError::Missing { .. })), "it counts for nothing");

    restore(&disk, &on, Format::NEWEST, 5, &state, &events).unwrap();
    let left = look().unwrap().left();
    assert_eq!((left.generation, left.last, left.term, left.gone.len()), (GENERATION, state.applied, 6, 0));
    assert_eq!(*left.state, state);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [FILE_NAME]);
    let again = restore(&disk, &on, Format::NEWEST, 5, &state, &events).unwrap_err();
    assert!(matches!(again, RecoverError::Occupied { .. }), "{again}");
}
