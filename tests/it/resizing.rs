//! A fourth Region is added to a fleet that carries a service, counts in what it proves, and is removed again. Whatever
//! daemons say meanwhile, the answer stays where it belongs; every invariant is asked after every event.

use failoverd::sim::fleet::{EU_WEST, Shop, SimulatedFleet, US_EAST, US_WEST, region};
use failoverd_domain::fleet::{Command, RunState};
use failoverd_domain::ids::Region;

use crate::outages::{holds, newest_run, run_is, seconds, steady};
use crate::simulation::virtually;

const FOURTH: &str = "ap-south-1";

/// Typed until it is done, as a person would.
async fn done(fleet: &mut SimulatedFleet, adds: bool) {
    let mut said = String::new();
    for _ in 0..10 {
        let outcome = if adds { fleet.add(&region(FOURTH)).await } else { fleet.remove(&region(FOURTH)).await };
        match outcome {
            Ok(()) => return,
            Err(why) => said = why,
        }
        fleet.run_for(seconds(5)).await;
    }
    holds(fleet, false, &format!("adds: {adds}: {said}"));
}

async fn is_steady_again(fleet: &mut SimulatedFleet, what: &str) {
    let settled = fleet.until(seconds(180), SimulatedFleet::is_steady).await;
    holds(fleet, settled, what);
}

fn answers(fleet: &SimulatedFleet, here: &str) -> bool {
    fleet.answer() == Some(region(here))
}

#[test]
fn a_fourth_region_counts_in_what_is_proven_and_leaves_again() {
    for seed in [41, 42, 43] {
        virtually(seed, async {
            let mut fleet = steady(seed, Shop::default()).await;
            let (us, eu, witness, fourth) = (region(US_EAST), region(EU_WEST), region(US_WEST), region(FOURTH));
            fleet.prepare(&fourth).await;
            fleet.run_for(seconds(10)).await;
            holds(&fleet, fleet.state().members.len() == 3, "named is not added");
            holds(&fleet, answers(&fleet, US_EAST), "nothing has moved");
            done(&mut fleet, true).await;
            is_steady_again(&mut fleet, "the health checks of four").await;
            let listed: Vec<Region> = fleet.state().members.keys().cloned().collect();
            holds(&fleet, listed.len() == 4 && answers(&fleet, US_EAST), "four");

            // Two of four prove nothing, where two of three would have.
            fleet.crash(&witness).await;
            fleet.break_region(&us).await;
            fleet.run_for(seconds(60)).await;
            holds(&fleet, newest_run(&fleet).is_none(), "two of four decide nothing");
            fleet.start(&witness).await;
            // What was not measured for a minute is over the budget: a person lets it go.
            let proven = fleet.until(seconds(60), |fleet| newest_run(fleet).is_some()).await;
            holds(&fleet, proven && run_is(&fleet, RunState::AwaitingApproval), "three of four prove it");
            let run = newest_run(&fleet).unwrap().id;
            fleet.ask(Command::Approve { run }).await.unwrap();
            let moved = fleet.until(seconds(300), |fleet| run_is(fleet, RunState::Succeeded)).await;
            holds(&fleet, moved && answers(&fleet, EU_WEST), "and move it");
            fleet.heal_region(&us).await;
            is_steady_again(&mut fleet, "settled there").await;

            if fleet.leader() == Some(fourth.clone()) {
                let refused = fleet.remove(&fourth).await;
                holds(&fleet, refused.is_err_and(|why| why.contains("leads")), "not itself");
                let leads = fleet.make_leader(&eu).await;
                holds(&fleet, leads, "another leads");
            }
            done(&mut fleet, false).await;
            is_steady_again(&mut fleet, "the health checks of three").await;
            fleet.run_for(seconds(60)).await;
            holds(&fleet, fleet.state().members.len() == 3 && answers(&fleet, EU_WEST), "three");
            let seen = fleet.leadership_at(&fourth).unwrap();
            holds(&fleet, !seen.is_me && !seen.caught_up, &format!("it is silent: {seen:?}"));
            fleet.crash(&fourth).await;
            let refused = fleet.try_start(&fourth).await.unwrap_err();
            holds(&fleet, refused.contains("was removed from the fleet"), &refused);
        });
    }
}
