//! Three daemons become four and three again, whatever stops half-way.

use std::time::Duration;

use failoverd_domain::fleet::{Actor, Command, Entry};
use failoverd_domain::format::Format;
use failoverd_domain::ids::{Generation, Region};
use failoverd_domain::time::Timestamp;

use super::fleet::{Fleet, REGIONS, pause, simulate};
use crate::consensus::{MemoryDisk, OpenError, StartError};
use crate::ports::{Agreement, Asked, Members, MembersError};
use crate::sim::world::TokioClock;

const FOURTH: &str = "ap-south-1";
const FOUR: [&str; 4] = [FOURTH, REGIONS[0], REGIONS[1], REGIONS[2]];

fn fourth() -> Region {
    FOURTH.into()
}

/// What a person types at a daemon.
#[derive(Clone, Copy, PartialEq)]
enum Typed {
    Add,
    Remove,
}

async fn typed(fleet: &Fleet, at: &Region, what: Typed) -> Result<(), MembersError> {
    let (by, clock) = (Actor::Operator("alice".into()), TokioClock::starting_at(Timestamp(1)));
    let asked = Asked { by: &by, clock: &clock };
    let consensus = fleet.running[at].clone();
    match what {
        Typed::Add => consensus.add(&fourth(), asked).await,
        Typed::Remove => consensus.remove(&fourth(), asked).await,
    }
}

/// Typed again and again at whoever leads, as a person would, until it is done.
async fn typed_until_done(fleet: &Fleet, what: Typed) {
    let mut said = String::new();
    for _ in 0..20 {
        let leader = fleet.leader().await;
        let done = match (what, typed(fleet, &leader, what).await) {
            (_, Ok(())) => true,
            (Typed::Add, Err(error)) => {
                said = error.reason;
                said.contains("already, and votes")
            }
            (Typed::Remove, Err(error)) => {
                said = error.reason;
                said.contains("not a Region of this fleet")
            }
        };
        if done {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("not done after all: {said}");
}

/// Somebody leads and can have something agreed on, even where whoever led until now is just being told that it is out.
async fn goes_on(fleet: &Fleet) {
    for _ in 0..200 {
        let leader = fleet.leader().await;
        if fleet.running[&leader].propose(pause()).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing is agreed on any more");
}

/// Three daemons that name the fourth, which waits to be added.
async fn prepared(seed: u64) -> Fleet {
    let mut fleet = Fleet::formed(seed).await;
    let raise = Command::RaiseFormat { format: Format(2) };
    fleet.commit(Entry::new(Timestamp(1), Actor::Daemon(REGIONS[0].into()), raise)).await;
    for _ in 0..25 {
        fleet.commit(pause()).await;
    }
    fleet.settle().await;
    for region in REGIONS.map(Region::from) {
        fleet.stop(&region).await;
        fleet.names.insert(region.clone(), FOUR.to_vec());
        fleet.start(&region).await.unwrap();
    }
    begin_fourth(&mut fleet).await;
    fleet.commit(pause()).await;
    fleet
}

async fn begin_fourth(fleet: &mut Fleet) {
    fleet.disks.insert(fourth(), MemoryDisk::new());
    fleet.names.insert(fourth(), FOUR.to_vec());
    fleet.joins.insert(fourth(), Generation(0));
    fleet.start(&fourth()).await.unwrap();
}

async fn votes(fleet: &Fleet) -> Vec<String> {
    let leader = fleet.leader().await;
    let seen = fleet.running[&leader].list().await;
    seen.into_iter().filter(|seen| seen.votes).map(|seen| seen.region.to_string()).collect()
}

/// The list that everybody agrees on.
fn listed(fleet: &Fleet, at: &Region) -> Vec<String> {
    fleet.running[at].state().borrow().members.keys().map(ToString::to_string).collect()
}

async fn told(fleet: &Fleet, words: &str) -> usize {
    let leader = fleet.leader().await;
    let events = fleet.running[&leader].outbox().pending(0, 10_000).await;
    events.iter().filter(|event| event.message.contains(words)).count()
}

async fn refusal(fleet: &Fleet, what: Typed) -> String {
    let leader = fleet.leader().await;
    let error = typed(fleet, &leader, what).await.unwrap_err();
    assert!(!error.unfinished, "{error}");
    error.reason
}

/// It is stopped by what it hears, and stays so.
async fn is_out(fleet: &mut Fleet, seed: u64) {
    let mut stopped = fleet.running[&fourth()].leadership();
    let ended = async { while stopped.changed().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap_or_else(|_| panic!("seed {seed}: it goes on"));
    fleet.crash(&fourth()).await;
    fleet.joins.remove(&fourth());
    match fleet.start(&fourth()).await {
        Err(StartError::Disk(error @ OpenError::Dismissed { .. })) => {
            let said = error.to_string();
            for word in ["ap-south-1, which was removed from the fleet", "--join 0", "failoverctl fleet add ap-south-1"]
            {
                assert!(said.contains(word), "{said}");
            }
        }
        Err(other) => panic!("seed {seed}: {other}"),
        Ok(()) => panic!("seed {seed}: it starts again"),
    }
}

#[test]
fn three_become_four_and_three_again_and_the_fourth_may_come_back_anew() {
    for seed in 0..6 {
        simulate(seed, async {
            let mut fleet = prepared(seed).await;
            let leader = fleet.leader().await;
            assert_eq!(votes(&fleet).await, ["eu-west-1", "us-east-1", "us-west-2"]);
            assert_eq!(listed(&fleet, &leader).len(), 3, "named is not added");
            typed(&fleet, &leader, Typed::Add).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            fleet.settle().await;
            assert_eq!(
                (votes(&fleet).await, listed(&fleet, &fourth())),
                (FOUR.map(String::from).to_vec(), listed(&fleet, &leader))
            );
            let state = fleet.running[&fourth()].state().borrow().clone();
            assert_eq!(state.members[&fourth()].switch.as_ref().unwrap().host, "switch.ap-south-1.example.com");
            assert!(fleet.seen(&fourth(), |seen| seen.caught_up && seen.voters.len() == 4).await);
            // Its vote counts: with it and two of the three they go on, without it and another they do not.
            let [one, _] = Fleet::others(&leader);
            fleet.crash(&one).await;
            fleet.commit(pause()).await;
            fleet.start(&one).await.unwrap();
            fleet.settle().await;

            let leader = loop {
                let leader = fleet.leader().await;
                if leader != fourth() {
                    break leader;
                }
                fleet.running[&leader].step_aside(&one).await;
            };
            let term = fleet.running[&leader].fleet_metrics().term;
            typed(&fleet, &leader, Typed::Remove).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            is_out(&mut fleet, seed).await;
            assert_eq!(votes(&fleet).await, ["eu-west-1", "us-east-1", "us-west-2"]);
            assert_eq!(fleet.running[&leader].fleet_metrics().term, term, "seed {seed}: the leader was not disturbed");
            fleet.commit(pause()).await;

            // Anew: with an empty disk, which is no part of the fleet before it is added again.
            let old = fleet.disks[&fourth()].clone();
            begin_fourth(&mut fleet).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            typed_until_done(&fleet, Typed::Add).await;
            fleet.settle().await;
            assert_eq!(votes(&fleet).await.len(), 4);
            assert_eq!((told(&fleet, "was added").await, told(&fleet, "was removed").await), (2, 1));
            // Everybody loses power, and the old disk comes back in place of the new one.
            for region in FOUR.map(Region::from) {
                fleet.crash(&region).await;
            }
            fleet.disks.insert(fourth(), old);
            for region in REGIONS.map(Region::from) {
                fleet.start(&region).await.unwrap();
            }
            assert!(matches!(fleet.start(&fourth()).await, Err(StartError::Disk(OpenError::Dismissed { .. }))));
            fleet.commit(pause()).await;
        });
    }
}

/// Whatever moment it is cut short at, by the leader's death or the person's going away, the same command ends it.
#[test]
fn the_leader_may_die_at_any_moment_of_it_and_the_same_command_goes_on() {
    for (what, moment) in [Typed::Add, Typed::Remove].into_iter().flat_map(|what| (0..12).map(move |n| (what, n))) {
        let seed = moment + if what == Typed::Add { 100 } else { 200 };
        simulate(seed, async {
            let mut fleet = prepared(seed).await;
            if what == Typed::Remove {
                typed_until_done(&fleet, Typed::Add).await;
                fleet.settle().await;
                if fleet.leader().await == fourth() {
                    fleet.running[&fourth()].step_aside(&REGIONS[0].into()).await;
                }
            }
            let leader = fleet.leader().await;
            let before_that = Duration::from_millis(moment * 47);
            drop(tokio::time::timeout(before_that, typed(&fleet, &leader, what)).await);
            fleet.crash(&leader).await;
            // The two that are left, and the fourth where it votes already, are enough.
            goes_on(&fleet).await;
            fleet.start(&leader).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            if what == Typed::Remove && fleet.leader().await == fourth() {
                fleet.running[&fourth()].step_aside(&REGIONS[0].into()).await;
            }
            typed_until_done(&fleet, what).await;
            goes_on(&fleet).await;
            let wanted = if what == Typed::Add { 4 } else { 3 };
            let leader = fleet.leader().await;
            assert_eq!((votes(&fleet).await.len(), listed(&fleet, &leader).len()), (wanted, wanted), "moment {moment}");
            let words = if what == Typed::Add { "was added" } else { "was removed" };
            assert_eq!(told(&fleet, words).await, 1, "moment {moment}: once in the history");
            if what == Typed::Remove {
                is_out(&mut fleet, seed).await;
                goes_on(&fleet).await;
            } else {
                fleet.settle().await;
            }
        });
    }
}

#[test]
fn a_daemon_that_was_away_when_its_region_was_removed_is_told_when_it_comes_back() {
    for seed in 0..12 {
        simulate(seed, async {
            let mut fleet = prepared(seed).await;
            typed_until_done(&fleet, Typed::Add).await;
            fleet.settle().await;
            fleet.crash(&fourth()).await;
            // Without a disk that anybody knows, and in nobody's configuration any more.
            let is_forgotten = seed % 2 == 1;
            for consensus in fleet.running.values().filter(|_| is_forgotten) {
                consensus.inner.acquaintances.distrust(&fourth()).unwrap();
            }
            typed_until_done(&fleet, Typed::Remove).await;
            for region in REGIONS.map(Region::from).into_iter().filter(|_| is_forgotten) {
                fleet.stop(&region).await;
                fleet.names.insert(region.clone(), REGIONS.to_vec());
                fleet.start(&region).await.unwrap();
            }
            for _ in 0..30 {
                fleet.commit(pause()).await;
            }
            let leader = fleet.leader().await;
            let term = fleet.running[&leader].fleet_metrics().term;
            fleet.start(&fourth()).await.unwrap();
            is_out(&mut fleet, seed).await;
            assert_eq!(fleet.leader().await, leader);
            assert_eq!(fleet.running[&leader].fleet_metrics().term, term, "seed {seed}: it deposed nobody");
            assert!(!fleet.running[&leader].state().borrow().members.contains_key(&fourth()));
        });
    }
}

/// Removed once, and added again while one daemon heard nothing of it: without the vote of that one nobody could lead when
/// the leader dies.
#[test]
fn one_that_does_not_know_yet_that_a_region_came_back_votes_for_it() {
    let mut unaware = 0;
    for ms in (20..400).step_by(20) {
        simulate(ms, async {
            let mut fleet = prepared(ms).await;
            typed_until_done(&fleet, Typed::Add).await;
            fleet.settle().await;
            typed_until_done(&fleet, Typed::Remove).await;
            is_out(&mut fleet, ms).await;
            begin_fourth(&mut fleet).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            let leader = fleet.leader().await;
            let [late, _] = Fleet::others(&leader);
            let cutting = async {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                let others: Vec<Region> = FOUR.map(Region::from).into_iter().filter(|other| *other != late).collect();
                fleet.bus.isolate(&late, &others);
            };
            tokio::join!(typed(&fleet, &leader, Typed::Add), cutting).0.ok();
            let knows = |at: &Region| fleet.running[at].state().borrow().members.contains_key(&fourth());
            if !knows(&leader) || knows(&late) {
                return;
            }
            unaware += 1;
            fleet.crash(&leader).await;
            fleet.bus.heal();
            goes_on(&fleet).await;
        });
    }
    assert!(unaware > 3, "only {unaware} trials");
}

#[test]
fn what_could_not_go_on_is_not_begun() {
    simulate(9, async {
        let mut fleet = prepared(9).await;
        let leader = fleet.leader().await;
        let [other, third] = Fleet::others(&leader);
        // A daemon whose configuration does not name it could not lead it.
        fleet.stop(&other).await;
        fleet.names.remove(&other);
        fleet.bus.cut(&other, &fourth());
        fleet.start(&other).await.unwrap();
        fleet.commit(pause()).await;
        if fleet.leader().await == other {
            assert!(refusal(&fleet, Typed::Add).await.contains("does not name ap-south-1"));
            fleet.running[&other].step_aside(&third).await;
        }
        let refused = refusal(&fleet, Typed::Add).await;
        assert!(refused.contains(&format!("{other} does not reach ap-south-1")), "{refused}");
        fleet.bus.heal();
        fleet.names.insert(other.clone(), FOUR.to_vec());

        // One is away: too few would be left to agree.
        fleet.crash(&other).await;
        let refused = refusal(&fleet, Typed::Add).await;
        assert!(refused.contains(&format!("{other} does not answer")), "{refused}");
        fleet.start(&other).await.unwrap();
        fleet.commit(pause()).await;

        // Nobody there, or somebody who was started wrongly.
        fleet.crash(&fourth()).await;
        assert!(refusal(&fleet, Typed::Add).await.contains("--join 0"));
        fleet.disks.insert(fourth(), MemoryDisk::new());
        fleet.joins.remove(&fourth());
        fleet.start(&fourth()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let refused = refusal(&fleet, Typed::Add).await;
        assert!(refused.contains("started without --join"), "{refused}");
        assert_eq!(votes(&fleet).await.len(), 3);
        // Then as it should be; that they had met another disk is forgotten.
        fleet.crash(&fourth()).await;
        begin_fourth(&mut fleet).await;
        typed_until_done(&fleet, Typed::Add).await;
        fleet.settle().await;
        assert!(refusal(&fleet, Typed::Add).await.contains("already, and votes"));
    });
}

#[test]
fn a_fleet_of_three_stays_three_and_a_leader_does_not_remove_itself() {
    simulate(10, async {
        let fleet = prepared(10).await;
        let leader = fleet.leader().await;
        let (by, clock) = (Actor::Operator("alice".into()), TokioClock::starting_at(Timestamp(1)));
        let asked = Asked { by: &by, clock: &clock };
        let [other, _] = Fleet::others(&leader);
        let error = fleet.running[&leader].remove(&other, asked).await.unwrap_err();
        assert!(error.reason.contains("a fleet of 3 cannot do without"), "{error}");
        typed_until_done(&fleet, Typed::Add).await;
        let leader = fleet.leader().await;
        let error = fleet.running[&leader].remove(&leader, asked).await.unwrap_err();
        assert!(error.reason.contains("leads: stop its daemon") && !error.unfinished, "{error}");
        let error = fleet.running[&other].remove(&fourth(), asked).await;
        assert!(other == leader || error.is_err(), "only the leader does it");
    });
}

#[test]
fn two_of_four_agree_on_nothing() {
    simulate(11, async {
        let mut fleet = prepared(11).await;
        typed_until_done(&fleet, Typed::Add).await;
        fleet.settle().await;
        let leader = fleet.leader().await;
        let gone: Vec<Region> = FOUR.map(Region::from).into_iter().filter(|region| *region != leader).take(2).collect();
        for region in &gone {
            fleet.crash(region).await;
        }
        assert!(fleet.running[&leader].propose(pause()).await.is_err());
    });
}
