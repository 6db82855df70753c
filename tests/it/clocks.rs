//! Clocks that somebody sets, and clocks that are wrong from the start.

use failoverd::sim::fleet::{EU_WEST, Fault, SERVICE, Shop, SimulatedFleet, US_EAST, US_WEST, region};
use failoverd_domain::fleet::{Actor, RunState};

use crate::outages::{holds, newest_run, run_is, seconds, steady};
use crate::simulation::virtually;

const HOUR_MS: i64 = 3_600_000;
const EVERYWHERE: [&str; 3] = [US_EAST, EU_WEST, US_WEST];

async fn set_clocks(fleet: &mut SimulatedFleet, regions: &[&str], by_ms: i64) {
    for at in regions {
        fleet.inflict(&Fault::ClockJump(region(at), by_ms)).await;
    }
}

#[test]
fn clocks_that_are_set_in_the_middle_of_an_announcement_make_it_neither_shorter_nor_longer() {
    for by_ms in [3 * HOUR_MS, -3 * HOUR_MS] {
        virtually(31, async {
            let mut fleet = steady(31, Shop { announce_s: 30, ..Shop::default() }).await;
            fleet.break_region(&region(US_EAST)).await;
            let announced = fleet.until(seconds(60), |fleet| run_is(fleet, RunState::Announced)).await;
            holds(&fleet, announced, "announced");
            let begun = fleet.judge.elapsed_ms();
            set_clocks(&mut fleet, &EVERYWHERE, by_ms).await;
            let started = fleet.until(seconds(60), |fleet| !run_is(fleet, RunState::Announced)).await;
            holds(&fleet, started, "started");
            // A clock that is worked off goes up to a twentieth faster or slower.
            let took_ms = fleet.judge.elapsed_ms() - begun;
            assert!((28_000..34_000).contains(&took_ms), "{by_ms}: {took_ms} ms");
            let moved = fleet.until(seconds(90), |fleet| fleet.is_steady() && run_is(fleet, RunState::Succeeded)).await;
            holds(&fleet, moved, "moved");
        });
    }
}

#[test]
fn the_last_words_of_a_region_that_died_do_not_stay_fresh_because_clocks_were_set_back() {
    virtually(32, async {
        let mut fleet = steady(32, Shop { announce_s: 0, ..Shop::default() }).await;
        set_clocks(&mut fleet, &[EU_WEST, US_WEST], -HOUR_MS).await;
        fleet.break_region(&region(US_EAST)).await;
        let moved = fleet.until(seconds(90), |fleet| fleet.is_steady() && run_is(fleet, RunState::Succeeded)).await;
        holds(&fleet, moved, "the others move it as if nothing was the matter with their clocks");
    });
}

#[test]
fn a_daemon_whose_clock_is_hours_off_hands_leadership_over_and_what_it_announced_is_decided_anew() {
    for by_ms in [3 * HOUR_MS, -3 * HOUR_MS] {
        virtually(33, async {
            let mut fleet = steady(33, Shop { announce_s: 30, loss_over_budget: "proceed", ..Shop::default() }).await;
            let wrong = region(US_WEST);
            fleet.crash(&wrong).await;
            set_clocks(&mut fleet, &[US_WEST], by_ms).await;
            fleet.start(&wrong).await;
            fleet.run_for(seconds(5)).await;
            let led = fleet.make_leader(&wrong).await;
            holds(&fleet, led, "a daemon is elected whatever its clock says");
            let handed = fleet.until(seconds(70), |fleet| fleet.leader().is_some_and(|leader| leader != wrong)).await;
            holds(&fleet, handed, "it hands over: the others' clocks agree with each other and not with its own");

            // With one of the others away nobody can say whose clock is wrong.
            fleet.crash(&region(US_EAST)).await;
            fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), false);
            let led = fleet.make_leader(&wrong).await;
            holds(&fleet, led, "one of two leads");
            let by_wrong = |fleet: &SimulatedFleet| {
                run_is(fleet, RunState::Announced)
                    && newest_run(fleet).is_some_and(|run| run.actor == Actor::Daemon(region(US_WEST)))
            };
            let announced = fleet.until(seconds(90), by_wrong).await;
            holds(&fleet, announced, "it decides");
            // The third is heard before the leader dies: the breach is proven all the time.
            fleet.start(&region(US_EAST)).await;
            fleet.run_for(seconds(8)).await;
            fleet.crash(&wrong).await;
            let moved = fleet.until(seconds(240), |fleet| run_is(fleet, RunState::Succeeded)).await;
            holds(&fleet, moved, "who leads next does not wait for three hours");
        });
    }
}

#[test]
fn a_loss_can_be_bounded_again_after_a_writer_of_canaries_had_a_wrong_clock() {
    virtually(34, async {
        let mut fleet = steady(34, Shop { announce_s: 0, more_stores: true, ..Shop::default() }).await;
        let writer = region(US_EAST);
        for by_ms in [3 * HOUR_MS, -3 * HOUR_MS] {
            fleet.crash(&writer).await;
            set_clocks(&mut fleet, &[US_EAST], by_ms).await;
            fleet.start(&writer).await;
            fleet.run_for(seconds(20)).await;
        }
        fleet.break_region(&writer).await;
        let moved = fleet.until(seconds(90), |fleet| fleet.is_steady() && run_is(fleet, RunState::Succeeded)).await;
        holds(&fleet, moved, "nobody has to be asked what would be lost");
    });
}

#[test]
fn a_switch_through_cloudwatch_is_followed_when_one_daemon_has_a_wrong_clock_and_another_is_gone() {
    for by_ms in [3 * HOUR_MS, -3 * HOUR_MS] {
        virtually(35, async {
            let mut fleet = steady(35, Shop { switch: "cloudwatch", ..Shop::default() }).await;
            let wrong = region(EU_WEST);
            fleet.crash(&wrong).await;
            set_clocks(&mut fleet, &[EU_WEST], by_ms).await;
            fleet.start(&wrong).await;
            fleet.run_for(seconds(20)).await;
            // The word of its daemon stays as it was: both others have to be heard.
            fleet.break_region(&region(US_EAST)).await;
            let moved =
                fleet.until(seconds(90), |fleet| fleet.is_steady() && fleet.answer() == Some(region(EU_WEST))).await;
            holds(&fleet, moved, "the answer follows two of three words");
        });
    }
}
