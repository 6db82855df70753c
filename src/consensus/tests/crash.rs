//! Crashes and restarts: nothing that was committed is lost, nothing happens twice.

use std::time::Duration;

use failoverd_domain::fleet::{EventHead, verify_chain};
use failoverd_domain::ids::Region;

use super::fleet::{Fleet, REGIONS, pause, simulate};
use crate::consensus::MemoryDisk;
use crate::ports::{Agreement, ProposeError};

#[test]
fn a_leader_that_crashes_is_replaced_and_comes_back() {
    for seed in 0..10 {
        simulate(seed, async {
            let mut fleet = Fleet::formed(seed).await;
            fleet.commit(pause()).await;
            let old = fleet.leader().await;
            fleet.crash(&old).await;
            fleet.commit(pause()).await;
            fleet.start(&old).await.unwrap();
            fleet.settle().await;
            assert_eq!(fleet.running[&old].state().borrow().head.seq, 3);
        });
    }
}

#[test]
fn the_whole_fleet_loses_power_and_keeps_what_was_committed() {
    for seed in 0..10 {
        simulate(seed, async {
            let mut fleet = Fleet::formed(seed).await;
            for _ in 0..50 {
                fleet.commit(pause()).await;
            }
            for region in REGIONS.map(Region::from) {
                fleet.crash(&region).await;
            }
            for region in REGIONS.map(Region::from) {
                fleet.start(&region).await.unwrap();
            }
            fleet.commit(pause()).await;
            fleet.settle().await;
            for region in REGIONS.map(Region::from) {
                assert_eq!(fleet.running[&region].state().borrow().head.seq, 52);
                assert_eq!(fleet.seqs(&region).await, (1..=52).collect::<Vec<_>>(), "no event is lost or doubled");
            }
        });
    }
}

#[test]
fn the_outbox_keeps_what_is_not_confirmed_through_compaction_and_crashes() {
    for seed in 0..5 {
        simulate(seed, async {
            let mut fleet = Fleet::formed(seed).await;
            let region = Region::from(REGIONS[1]);
            for round in 0..6_u64 {
                for _ in 0..15 {
                    fleet.commit(pause()).await;
                }
                fleet.settle().await;
                // The history takes ten and confirms; the daemon dies before anything else is synced.
                let outbox = fleet.running[&region].outbox();
                let taken = outbox.pending(0, 10).await;
                outbox.confirm(taken.last().unwrap().seq).await;
                assert_eq!(outbox.pending(0, 1).await[0].seq, taken.last().unwrap().seq + 1);
                fleet.crash(&region).await;
                fleet.start(&region).await.unwrap();
                fleet.commit(pause()).await;
                fleet.settle().await;
                let kept = fleet.running[&region].outbox().pending(0, 1000).await;
                let first = kept[0].seq;
                assert!(first <= (round + 1) * 10 + 1, "unconfirmed events are all there");
                let newest = fleet.running[&region].state().borrow().head.clone();
                let oldest = EventHead { seq: first, hash: kept[0].hash.clone() };
                let seqs: Vec<_> = kept.iter().map(|event| event.seq).collect();
                assert_eq!(seqs, (first..=newest.seq).collect::<Vec<_>>(), "in order, without a gap, each once");
                assert_eq!(verify_chain(&oldest, &kept[1..]), Ok(newest), "and chained to the state's head");
            }
        });
    }
}

#[test]
fn a_confirmation_that_became_durable_is_not_forgotten() {
    simulate(1, async {
        let mut fleet = Fleet::formed(1).await;
        let region = Region::from(REGIONS[2]);
        for _ in 0..10 {
            fleet.commit(pause()).await;
        }
        fleet.settle().await;
        fleet.running[&region].outbox().confirm(8).await;
        fleet.stop(&region).await;
        fleet.start(&region).await.unwrap();
        fleet.settle().await;
        assert_eq!(fleet.seqs(&region).await, [9, 10, 11]);
    });
}

#[test]
fn one_that_was_away_catches_up_by_log_without_a_hole() {
    simulate(2, async {
        let mut fleet = Fleet::formed(2).await;
        let leader = fleet.leader().await;
        let [away, _] = Fleet::others(&leader);
        fleet.stop(&away).await;
        for _ in 0..10 {
            fleet.commit(pause()).await;
        }
        fleet.start(&away).await.unwrap();
        fleet.settle().await;
        assert_eq!(fleet.seqs(&away).await, (1..=11).collect::<Vec<_>>());
    });
}

#[test]
fn one_that_was_away_too_long_catches_up_by_snapshot_and_shows_the_hole() {
    simulate(2, async {
        let mut fleet = Fleet::formed(2).await;
        let leader = fleet.leader().await;
        let [away, _] = Fleet::others(&leader);
        fleet.stop(&away).await;
        for _ in 0..200 {
            fleet.commit(pause()).await;
        }
        fleet.start(&away).await.unwrap();
        fleet.settle().await;
        assert!(fleet.seen(&away, |seen| seen.caught_up).await);
        assert_eq!(fleet.running[&away].state().borrow().head.seq, 201);
        let here = fleet.seqs(&away).await;
        assert_eq!(here[0], 1, "what it had is still there");
        assert!(here.len() < 201, "a snapshot carries no events");
        let peer = fleet.bus.peers(away.clone());
        let missing = peer.events(&leader, 2, 500).await.unwrap();
        assert_eq!(missing.first().unwrap().seq, 2, "and a peer has the rest");

        fleet.crash(&away).await;
        fleet.bus.isolate(&away, &Fleet::others(&away));
        fleet.start(&away).await.unwrap();
        let alone = fleet.running[&away].state().borrow().head.seq;
        assert!(alone > 100, "an installed snapshot survives a crash: {alone}");
        fleet.bus.heal();
        fleet.settle().await;
    });
}

#[test]
fn a_daemon_whose_disk_was_lost_cannot_come_back_under_its_old_name() {
    for seed in 0..5 {
        simulate(seed, async {
            let mut fleet = Fleet::formed(seed).await;
            fleet.commit(pause()).await;
            let leader = fleet.leader().await;
            let [lost, other] = Fleet::others(&leader);
            fleet.crash(&lost).await;
            fleet.disks.insert(lost.clone(), MemoryDisk::new());
            fleet.start(&lost).await.unwrap();
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert!(!fleet.running[&lost].leadership().borrow().caught_up, "it stays silent");
            assert_eq!(fleet.running[&lost].state().borrow().head.seq, 0);
            assert_eq!(fleet.leader().await, leader, "and does not disturb the others");
            fleet.commit(pause()).await;

            // Its vote does not count: without the other one there is no majority.
            fleet.crash(&other).await;
            assert!(matches!(fleet.running[&leader].propose(pause()).await, Err(ProposeError::Unknown(_))));
            fleet.start(&other).await.unwrap();
            fleet.commit(pause()).await;
        });
    }
}

#[test]
fn a_daemon_that_forgot_what_it_acknowledged_is_not_listened_to_and_unseats_nobody() {
    for seed in 0..5 {
        simulate(seed, async {
            let mut fleet = Fleet::formed(seed).await;
            let leader = fleet.leader().await;
            let [forgetful, other] = Fleet::others(&leader);
            fleet.stop(&forgetful).await;
            let old = fleet.disks[&forgetful].copy();
            fleet.start(&forgetful).await.unwrap();
            fleet.commit(pause()).await;
            fleet.settle().await;
            let term = fleet.running[&leader].fleet_metrics().term;
            fleet.crash(&forgetful).await;
            fleet.disks.insert(forgetful.clone(), old);
            fleet.start(&forgetful).await.unwrap();
            tokio::time::sleep(Duration::from_secs(20)).await;
            let seen = fleet.running[&leader].fleet_metrics();
            assert_eq!((fleet.leader().await, seen.term), (leader.clone(), term), "it leads on");
            fleet.commit(pause()).await;
            assert!(!fleet.running[&forgetful].leadership().borrow().caught_up, "it stays silent");

            // Neither its word nor its vote counts for the leader, who restarts with that.
            fleet.crash(&other).await;
            assert!(matches!(fleet.running[&leader].propose(pause()).await, Err(ProposeError::Unknown(_))));
            fleet.crash(&leader).await;
            fleet.start(&leader).await.unwrap();
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert!(!fleet.running[&leader].leadership().borrow().is_me, "one of three is no majority");
            fleet.start(&other).await.unwrap();
            fleet.commit(pause()).await;
        });
    }
}

#[test]
fn a_daemon_whose_disk_is_full_says_that_it_must_stop() {
    simulate(7, async {
        let fleet = Fleet::formed(7).await;
        let leader = fleet.leader().await;
        fleet.disks[&leader].set_full(true);
        let error = fleet.running[&leader].propose(pause()).await.unwrap_err();
        assert!(matches!(&error, ProposeError::Fatal(_)), "{error}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let seen = fleet.running[&leader].leadership().borrow().clone();
        assert!(!seen.is_me && !seen.caught_up, "it falls silent: {seen:?}");
        let next = fleet.leader_but(Some(&leader)).await;
        assert!(fleet.running[&next].propose(pause()).await.is_ok());
    });
}
