//! A rolling upgrade from one format to the next, daemon by daemon, on virtual time.

use std::time::Duration;

use failoverd::consensus::seed_elections;
use failoverd::sim::fleet::{EU_WEST, REGIONS, SERVICE, Shop, SimulatedFleet, US_EAST, US_WEST, region};
use failoverd_domain::fleet::{Actor, Command, Entry, Run, RunState};
use failoverd_domain::format::{Build, Format};
use failoverd_domain::ids::Region;
use failoverd_domain::plan::Mode;

const OLD: Format = Format::NEWEST;
const NEW: Format = Format(Format::NEWEST.0 + 1);

fn build(reads: Format) -> Build {
    Build { version: format!("0.{reads}.0"), reads }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn virtually<T>(seed: u64, scenario: impl Future<Output = T>) -> T {
    let _seeded = seed_elections(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(scenario)
}

async fn of_old_daemons(seed: u64) -> SimulatedFleet {
    let mut fleet = SimulatedFleet::steady(seed, Shop { announce_s: 0, ..Shop::default() }).await;
    for name in REGIONS {
        become_build(&mut fleet, &region(name), OLD).await.unwrap();
    }
    fleet.run_for(seconds(20)).await;
    fleet
}

/// As `helm upgrade` does: waits until the daemon may be stopped, stops it in order, starts the other build and waits
/// until that is ready.
async fn become_build(fleet: &mut SimulatedFleet, at: &Region, reads: Format) -> Result<(), String> {
    let may_stop = fleet.until(seconds(180), |fleet| fleet.state().why_stay().is_empty()).await;
    holds(fleet, may_stop, "it may be stopped");
    swap(fleet, at, reads).await
}

/// As when nobody waits: the node is drained, the process is killed.
async fn swap(fleet: &mut SimulatedFleet, at: &Region, reads: Format) -> Result<(), String> {
    fleet.replace_build(at, build(reads)).await;
    fleet.try_start(at).await?;
    let ready = |fleet: &SimulatedFleet| {
        fleet.leadership_at(at).is_some_and(|seen| seen.caught_up && seen.leader.is_some()) && fleet.leader().is_some()
    };
    let ready = fleet.until(seconds(30), ready).await;
    holds(fleet, ready, "quorum is kept and the new daemon catches up");
    Ok(())
}

/// Something that only the newer format can say.
async fn new_thing(fleet: &SimulatedFleet) -> Result<(), String> {
    let leader = fleet.leader().ok_or("nobody leads")?;
    let command = Command::Resume { service: None };
    let entry = Entry { format: NEW, ..Entry::new(fleet.sight_at(&leader).unwrap().0, alice(), command) };
    fleet.send_entry(&leader, entry).await.map(drop)
}

fn alice() -> Actor {
    Actor::Operator("alice".to_owned())
}

fn newest_run(fleet: &SimulatedFleet) -> Option<Run> {
    fleet.state().runs.values().max_by_key(|run| run.decided_index).cloned()
}

#[track_caller]
fn holds(fleet: &SimulatedFleet, so: bool, what: &str) {
    assert!(so && fleet.judge.violations().is_empty(), "{what}\n{}", fleet.judge.log().join("\n"));
}

#[test]
fn what_is_new_waits_for_the_last_daemon_and_works_from_then_on() {
    virtually(41, async {
        let mut fleet = of_old_daemons(41).await;
        for name in [US_WEST, EU_WEST] {
            become_build(&mut fleet, &region(name), NEW).await.unwrap();
            fleet.run_for(seconds(20)).await;
            let refused = new_thing(&fleet).await.unwrap_err();
            assert!(refused.contains(&format!("needs format {NEW}")), "{refused}");
            assert_eq!(fleet.state().format, OLD);
        }
        become_build(&mut fleet, &region(US_EAST), NEW).await.unwrap();
        let agreed = fleet.until(seconds(20), |fleet| fleet.state().format == NEW).await;
        holds(&fleet, agreed, "the leader has the fleet write the new format by itself");
        new_thing(&fleet).await.unwrap();
        let all = fleet.until(seconds(20), |fleet| fleet.unrest().is_none()).await;
        holds(&fleet, all, "every daemon and every history has it");
        for name in REGIONS {
            assert_eq!(fleet.state_at(&region(name)).unwrap().format, NEW);
        }
    });
}

#[test]
fn a_daemon_may_go_back_before_the_last_one_is_upgraded_and_not_after() {
    virtually(42, async {
        let mut fleet = of_old_daemons(42).await;
        become_build(&mut fleet, &region(US_WEST), NEW).await.unwrap();
        become_build(&mut fleet, &region(EU_WEST), NEW).await.unwrap();
        become_build(&mut fleet, &region(EU_WEST), OLD).await.unwrap();
        become_build(&mut fleet, &region(US_EAST), NEW).await.unwrap();
        fleet.run_for(seconds(60)).await;
        assert_eq!(fleet.state().format, OLD, "one of three went back: nothing newer is written");
        become_build(&mut fleet, &region(EU_WEST), NEW).await.unwrap();
        let agreed = fleet.until(seconds(20), |fleet| fleet.state().format == NEW).await;
        holds(&fleet, agreed, "agreed at last");
        fleet.run_for(seconds(5)).await;

        let refused = become_build(&mut fleet, &region(EU_WEST), OLD).await.unwrap_err();
        for part in [&format!("has format {NEW}"), &format!("reads formats up to {OLD}"), "no way back"] {
            assert!(refused.contains(part), "{refused}");
        }
        become_build(&mut fleet, &region(EU_WEST), NEW).await.unwrap();
        let whole = fleet.until(seconds(60), |fleet| fleet.unrest().is_none()).await;
        fleet.audit();
        holds(&fleet, whole, "with the newer build it goes on, and nothing was lost");
    });
}

/// Whoever drains waits for the move; a node that is taken away does not. Neither interrupts it.
#[test]
fn a_run_that_is_open_during_the_upgrade_ends_well() {
    for forced in [false, true] {
        virtually(43, async {
            let mut fleet = of_old_daemons(43).await;
            fleet.failover(&region(EU_WEST), Some(Mode::Graceful)).await.unwrap();
            let running = |fleet: &SimulatedFleet| newest_run(fleet).is_some_and(|run| run.state == RunState::Running);
            let began = fleet.until_exactly(seconds(30), running).await;
            holds(&fleet, began, "it runs");
            assert!(!fleet.state().why_stay().is_empty(), "a daemon that asks is told to stay");
            let leader = fleet.leader().unwrap();
            let mut order: Vec<Region> = REGIONS.iter().map(|name| region(name)).collect();
            // The leader first: it is in the middle of a step.
            order.sort_by_key(|at| *at != leader);
            for at in order {
                if forced {
                    swap(&mut fleet, &at, NEW).await.unwrap();
                } else {
                    become_build(&mut fleet, &at, NEW).await.unwrap();
                }
            }
            let moved = fleet.until(seconds(180), |fleet| {
                let there = fleet.answer() == Some(region(EU_WEST)) && fleet.writer() == Some(region(EU_WEST));
                there && fleet.is_steady() && fleet.state().format == NEW
            });
            let moved = moved.await;
            holds(&fleet, moved, "it serves from the other Region, settled, and the fleet writes the new format");
            let run = newest_run(&fleet).unwrap();
            assert_eq!((run.state, run.service.as_str()), (RunState::Succeeded, SERVICE));
            assert_eq!(fleet.effects_of("SwitchoverGlobalCluster").len(), 1, "done once");
        });
    }
}
