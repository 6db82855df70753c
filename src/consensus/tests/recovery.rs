//! Two of three daemons are gone for good, and the one that is left goes on.

use std::time::Duration;

use failoverd_domain::fleet::{Actor, EventKind};
use failoverd_domain::format::Format;
use failoverd_domain::ids::{Generation, Region};
use failoverd_domain::time::Timestamp;

use super::fleet::{Fleet, REGIONS, pause, simulate};
use crate::consensus::{Disk, FILE_NAME, MemoryDisk, OpenError, RecoverError, Recovery, StartError};
use crate::ports::{Agreement, Members};

fn look(disk: &MemoryDisk, region: &Region) -> Result<Recovery, RecoverError> {
    Recovery::open(&Disk::Memory(disk.clone()), &"prod".into(), region, Format::NEWEST)
}

fn alice() -> Actor {
    Actor::Operator("alice".into())
}

/// A fleet with a few entries in which everybody but `left` lost power.
async fn lost(seed: u64) -> (Fleet, Region, [Region; 2]) {
    let mut fleet = Fleet::formed(seed).await;
    for _ in 0..30 {
        fleet.commit(pause()).await;
    }
    fleet.settle().await;
    let left = Region::from(REGIONS[(seed % 3) as usize]);
    for region in REGIONS.map(Region::from) {
        fleet.crash(&region).await;
    }
    let gone = Fleet::others(&left);
    (fleet, left, gone)
}

#[test]
fn the_daemon_that_is_left_leads_alone_with_all_it_knew() {
    for seed in 0..6 {
        simulate(seed, async {
            let (mut fleet, left, gone) = lost(seed).await;
            let recovery = look(&fleet.disks[&left], &left).unwrap();
            let found = recovery.left();
            assert_eq!((found.fleet.as_str(), &found.region, found.generation), ("prod", &left, Generation(0)));
            assert_eq!(found.state.head.seq, 31, "seed {seed}: every entry of its log counts");
            assert_eq!(found.state.applied, found.last);
            assert!(found.agreed <= found.last);
            assert_eq!(found.gone.len(), 2);
            assert!(gone.iter().all(|region| found.gone.contains(region)));
            assert_eq!(recovery.force_new_fleet(Timestamp(7), &alice()).unwrap().generation, Generation(1));

            fleet.start(&left).await.unwrap();
            assert_eq!(fleet.leader().await, left);
            assert!(fleet.seen(&left, |seen| seen.caught_up).await);
            fleet.commit(pause()).await;
            let state = fleet.running[&left].state().borrow().clone();
            assert_eq!((state.generation, state.paused, state.head.seq), (Generation(1), true, 33));
            assert_eq!(state.members.len(), 3, "the others are missed, not forgotten");
            assert_eq!(fleet.seqs(&left).await, (1..=33).collect::<Vec<_>>(), "its history has no gap");
            let events = fleet.running[&left].outbox().pending(32, 1).await;
            assert_eq!((events[0].kind, events[0].actor.as_str()), (EventKind::Fleet, "operator:alice"));
            assert!(events[0].message.contains("generation 1 begins"), "{}", events[0].message);

            // And again after it lost power, and after it was recovered a second time.
            fleet.crash(&left).await;
            let again = look(&fleet.disks[&left], &left).unwrap();
            assert_eq!(again.left().gone, Vec::<Region>::new());
            assert_eq!(again.force_new_fleet(Timestamp(8), &alice()).unwrap().generation, Generation(2));
            fleet.start(&left).await.unwrap();
            assert_eq!(fleet.leader().await, left);
            fleet.commit(pause()).await;
            assert_eq!(fleet.running[&left].state().borrow().head.seq, 35);
        });
    }
}

#[test]
fn daemons_of_the_old_generation_that_come_back_stop_and_stay_stopped() {
    for seed in 0..6 {
        simulate(seed, async {
            let (mut fleet, left, gone) = lost(seed).await;
            look(&fleet.disks[&left], &left).unwrap().force_new_fleet(Timestamp(7), &alice()).unwrap();
            fleet.start(&left).await.unwrap();
            assert_eq!(fleet.leader().await, left);
            for region in &gone {
                fleet.start(region).await.unwrap();
            }
            tokio::time::sleep(Duration::from_secs(20)).await;
            for region in &gone {
                let seen = fleet.running[region].leadership().borrow().clone();
                assert!(!seen.is_me && !seen.caught_up, "seed {seed}: {region} believes {seen:?}");
                assert!(fleet.running[region].propose(pause()).await.is_err());
            }
            assert_eq!(fleet.leader().await, left);
            fleet.commit(pause()).await;
            // Whoever led of them was told; only a follower that never stood and never asked may start once more.
            let mut refused = 0;
            for region in &gone {
                fleet.crash(region).await;
                match fleet.start(region).await {
                    Err(StartError::Disk(error @ OpenError::Superseded { .. })) => {
                        refused += 1;
                        let said = error.to_string();
                        assert!(said.contains("generation 0") && said.contains("--join 1"), "{said}");
                    }
                    Err(other) => panic!("{other}"),
                    Ok(()) => {}
                }
            }
            assert!(refused > 0, "seed {seed}");
        });
    }
}

#[test]
fn looking_changes_nothing() {
    simulate(3, async {
        let (mut fleet, left, _) = lost(3).await;
        drop(look(&fleet.disks[&left], &left).unwrap());
        for region in REGIONS.map(Region::from) {
            fleet.start(&region).await.unwrap();
        }
        fleet.commit(pause()).await;
        fleet.settle().await;
        let state = fleet.running[&left].state().borrow().clone();
        assert_eq!((state.generation, state.head.seq), (Generation(0), 32));
    });
}

#[test]
fn only_the_stopped_daemon_of_a_fleet_can_be_recovered_from() {
    simulate(4, async {
        let fleet = Fleet::formed(4).await;
        let (us, eu) = (Region::from("us-east-1"), Region::from("eu-west-1"));
        let refused = |disk: &MemoryDisk, region: &Region| look(disk, region).err().unwrap();
        assert!(matches!(refused(&fleet.disks[&us], &us), RecoverError::Disk(OpenError::InUse { .. })));
        fleet.disks[&us].crash();
        assert!(matches!(refused(&fleet.disks[&us], &eu), RecoverError::Disk(OpenError::Foreign { .. })));
        assert!(matches!(refused(&MemoryDisk::new(), &us), RecoverError::Disk(OpenError::Missing { .. })));
    });
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::Directory(folder.path().to_owned());
    let missing = Recovery::open(&disk, &"prod".into(), &"us-east-1".into(), Format::NEWEST).err().unwrap();
    assert!(matches!(missing, RecoverError::Disk(OpenError::Missing { .. })), "{missing}");
    assert!(!folder.path().join(FILE_NAME).exists(), "looking makes no disk");
}

#[test]
fn a_daemon_that_was_never_part_of_a_fleet_is_nothing_to_recover_from() {
    simulate(5, async {
        let mut fleet = Fleet::formed(5).await;
        let fresh = Region::from(REGIONS[0]);
        fleet.stop(&fresh).await;
        fleet.disks.insert(fresh.clone(), MemoryDisk::new());
        fleet.joins.insert(fresh.clone(), Generation(0));
        fleet.start(&fresh).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        fleet.stop(&fresh).await;
        let refused = look(&fleet.disks[&fresh], &fresh).err().unwrap();
        assert!(matches!(refused, RecoverError::Empty { .. }), "{refused}");
    });
}

#[test]
fn a_daemon_that_waits_to_be_added_forms_no_fleet_with_others_that_do() {
    simulate(6, async {
        let (mut fleet, left, gone) = lost(6).await;
        look(&fleet.disks[&left], &left).unwrap().force_new_fleet(Timestamp(7), &alice()).unwrap();
        fleet.start(&left).await.unwrap();
        for region in &gone {
            fleet.disks.insert(region.clone(), MemoryDisk::new());
            fleet.joins.insert(region.clone(), Generation(1));
            fleet.start(region).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
        // Without the word on the second start: the disk remembers it.
        fleet.joins.clear();
        for region in &gone {
            fleet.crash(region).await;
            fleet.start(region).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
        for region in &gone {
            let seen = fleet.running[region].leadership().borrow().clone();
            assert!(seen.leader.is_none(), "{region} believes {seen:?}");
        }
        assert_eq!(fleet.leader().await, left);
    });
}

/// Its disk is lost; its daemon comes back on an empty one and waits to be added.
async fn lose_disk(fleet: &mut Fleet, region: &Region, generation: Generation) {
    fleet.crash(region).await;
    fleet.disks.insert(region.clone(), MemoryDisk::new());
    fleet.joins.insert(region.clone(), generation);
    fleet.start(region).await.unwrap();
}

async fn votes(fleet: &Fleet, at: &Region) -> Vec<(String, bool)> {
    fleet.running[at].list().await.into_iter().map(|seen| (seen.region.to_string(), seen.votes)).collect()
}

fn all_vote() -> Vec<(String, bool)> {
    REGIONS.iter().map(|region| ((*region).to_owned(), true)).collect()
}

#[test]
fn a_daemon_with_a_new_disk_is_heard_again_once_it_was_replaced() {
    for seed in 0..6 {
        simulate(seed, async {
            let mut fleet = Fleet::formed(seed).await;
            for _ in 0..30 {
                fleet.commit(pause()).await;
            }
            fleet.settle().await;
            let leader = fleet.leader().await;
            let [lost, other] = Fleet::others(&leader);
            lose_disk(&mut fleet, &lost, Generation(0)).await;
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(!fleet.running[&lost].leadership().borrow().caught_up, "seed {seed}: nobody listens to it");

            let leader = fleet.leader().await;
            fleet.running[&leader].replace(&lost).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(votes(&fleet, &leader).await, all_vote());
            fleet.commit(pause()).await;
            fleet.settle().await;
            // It is worth a vote: without the third, the two of them go on.
            let third = if leader == other { &leader } else { &other };
            fleet.crash(third).await;
            fleet.commit(pause()).await;
            fleet.start(third).await.unwrap();
            fleet.settle().await;
            assert_eq!(fleet.running[&lost].state().borrow().head.seq, 33, "seed {seed}");
            // And once more, after everybody lost power: the new disk stays the one that is known.
            for region in REGIONS.map(Region::from) {
                fleet.crash(&region).await;
            }
            for region in REGIONS.map(Region::from) {
                fleet.start(&region).await.unwrap();
            }
            fleet.commit(pause()).await;
            fleet.settle().await;
        });
    }
}

#[test]
fn a_daemon_is_replaced_only_while_all_others_are_there() {
    simulate(7, async {
        let fleet = Fleet::formed(7).await;
        let leader = fleet.leader().await;
        let [lost, other] = Fleet::others(&leader);
        let said = |error: crate::ports::MembersError| {
            assert!(!error.unfinished, "{error}");
            error.reason
        };
        let refused = said(fleet.running[&leader].replace(&leader).await.unwrap_err());
        assert!(refused.contains("leads"), "{refused}");
        let refused = said(fleet.running[&leader].replace(&"mars-1".into()).await.unwrap_err());
        assert!(refused.contains("not a Region"), "{refused}");
        said(fleet.running[&other].replace(&lost).await.unwrap_err());
        fleet.bus.isolate(&other, [&lost, &leader]);
        let refused = said(fleet.running[&leader].replace(&lost).await.unwrap_err());
        assert!(refused.contains(other.as_str()) && refused.contains("does not answer"), "{refused}");
        assert_eq!(votes(&fleet, &leader).await, all_vote(), "nothing was changed");
    });
}

#[test]
fn a_recovered_fleet_becomes_one_of_three_again() {
    for seed in 0..3 {
        simulate(seed, async {
            let (mut fleet, left, gone) = lost(seed).await;
            look(&fleet.disks[&left], &left).unwrap().force_new_fleet(Timestamp(7), &alice()).unwrap();
            fleet.start(&left).await.unwrap();
            assert_eq!(fleet.leader().await, left);
            for region in &gone {
                fleet.disks.insert(region.clone(), MemoryDisk::new());
                fleet.joins.insert(region.clone(), Generation(1));
                fleet.start(region).await.unwrap();
                fleet.running[&left].replace(region).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            }
            assert_eq!(votes(&fleet, &left).await, all_vote());
            fleet.commit(pause()).await;
            fleet.settle().await;
            fleet.crash(&left).await;
            fleet.commit(pause()).await;
            fleet.settle().await;
            let state = fleet.running[&gone[0]].state().borrow().clone();
            assert_eq!((state.generation, state.head.seq), (Generation(1), 34));
        });
    }
}

#[test]
fn a_daemon_that_is_not_there_gets_no_vote_and_takes_no_majority_away() {
    simulate(8, async {
        let (mut fleet, left, gone) = lost(8).await;
        look(&fleet.disks[&left], &left).unwrap().force_new_fleet(Timestamp(7), &alice()).unwrap();
        fleet.start(&left).await.unwrap();
        assert_eq!(fleet.leader().await, left);
        let error = fleet.running[&left].replace(&gone[0]).await.unwrap_err();
        assert!(error.unfinished && error.reason.contains("--join 1"), "{error}");
        assert!(votes(&fleet, &left).await.contains(&(gone[0].to_string(), false)));
        fleet.commit(pause()).await;
        fleet.disks.insert(gone[0].clone(), MemoryDisk::new());
        fleet.joins.insert(gone[0].clone(), Generation(1));
        fleet.start(&gone[0]).await.unwrap();
        fleet.running[&left].replace(&gone[0]).await.unwrap();
        fleet.commit(pause()).await;
        fleet.settle().await;
    });
}
